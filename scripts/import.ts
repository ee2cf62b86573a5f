import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { Import, ImportVerdicts } from '../src/features/imports/schema.ts'
import { type Batch, batchesOf } from './import/batches.ts'
import { Mapping, readCsv, usualMapping } from './import/csv.ts'
import { type Encoding, readIso2709 } from './import/iso2709.ts'
import { readJsonLines } from './import/json-lines.ts'
import { Library } from './import/library.ts'
import { readMarcXml } from './import/marcxml.ts'
import type { Read } from './import/piece.ts'
import { Progress } from './import/progress.ts'
import { Report } from './import/report.ts'

/** Imports a file of records through the API, as a member of staff, and takes an import back. */

const usage = `usage: npm run import -- FILE --username NAME [options]
       npm run import -- --undo ID --username NAME [options]

  --url URL        the library (http://localhost:8787)
  --username NAME  a member of staff; the password is LECTERN_PASSWORD, or is asked for
  --dry-run        the same verdicts, and nothing is written to the catalogue
  --format NAME    marc, marcxml, csv or jsonl; without it by the name of the file (.mrc .marc, .xml, .csv .tsv, .jsonl)
  --encoding NAME  utf-8 or marc-8, for MARC whose leaders say the wrong one
  --map FILE       for CSV: which columns hold a field, as JSON: {"title": "Titel", "authors": ["Autor", "Hrsg"],
                   "separators": {"authors": ", "}}
  --source NAME    where the records come from (the file and its folder): the same name each time
  --report NAME    what became of each record: NAME.json and NAME.csv (import-report)
  --resume ID      go on with an import that was broken off, with the same file
  --undo ID        take an import back

Each record is created, updated, merged, unchanged or refused: docs/import.md says when. Running it again changes nothing.`

const formats = ['marc', 'marcxml', 'csv', 'jsonl'] as const
type Format = (typeof formats)[number]

const formatsByEnding: Record<string, Format> = {
  ...{ mrc: 'marc', marc: 'marc', xml: 'marcxml', csv: 'csv', tsv: 'csv', jsonl: 'jsonl', ndjson: 'jsonl' },
}

type Options = Awaited<ReturnType<typeof readOptions>>

async function readOptions() {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...{ url: text, username: text, format: text, encoding: text, map: text, source: text, report: text },
      ...{ resume: text, undo: text },
      'dry-run': { type: 'boolean', default: false },
    },
  })
  const { url = 'http://localhost:8787', username, encoding, report = 'import-report', resume, undo } = values
  const [file] = positionals
  if (username === undefined) throw new UsageError('--username is needed.')
  if (positionals.length !== (undo === undefined ? 1 : 0)) throw new UsageError('One file is needed, or --undo alone.')
  if (encoding !== undefined && !isEncoding(encoding)) throw new UsageError('--encoding is utf-8 or marc-8.')
  const given = values.format ?? formatsByEnding[file?.split('.').at(-1)?.toLowerCase() ?? '']
  const format = formats.find((known) => known === given)
  if (file !== undefined && format === undefined) throw new UsageError(`--format is one of ${formats.join(', ')}.`)
  const mapping =
    values.map === undefined ? usualMapping : Mapping.parse(JSON.parse(await readFile(values.map, 'utf8')))
  const source = values.source ?? (file === undefined ? '' : sourceOf(file))
  return { file, url, username, encoding, report, resume, undo, format, mapping, source, dryRun: values['dry-run'] }
}

class UsageError extends Error {}

/** With its folder: many files are called books.csv, and a source writes over what it said before. */
const sourceOf = (file: string) => join(basename(dirname(resolve(file))), basename(file)).slice(-200)

const isEncoding = (name: string): name is Encoding => name === 'utf-8' || name === 'marc-8'

async function main() {
  const options = await readOptions()
  const password = await askPassword()
  const library = await Library.logIn({ ...options, password })
  try {
    if (options.undo === undefined) await importFile(library, options)
    else await undoImport(library, options.undo)
  } finally {
    await library.logOut()
  }
}

async function askPassword(): Promise<string> {
  const given = process.env['LECTERN_PASSWORD']
  if (given !== undefined) return given
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return await terminal.question('Password (it is shown as you type): ')
  } finally {
    terminal.close()
  }
}

// Importing

const readers: Record<Format, (stream: AsyncIterable<Uint8Array>, options: Options) => AsyncIterable<Read>> = {
  marc: readIso2709,
  marcxml: readMarcXml,
  csv: readCsv,
  jsonl: readJsonLines,
}

async function importFile(library: Library, options: Options) {
  const { file, format } = options
  if (file === undefined || format === undefined) throw new UsageError('One file is needed.')
  const { size } = await stat(file)
  const begun = await beginImport(library, options)
  console.log(`Import ${begun.id}${begun.dryRun ? ' (a dry run)' : ''}`)
  const report = new Report(options.report)
  const progress = new Progress(size)
  const reads = readers[format](createReadStream(file), options)
  try {
    const counts = await sendAll(library, { id: begun.id, batches: batchesOf(reads), report, progress })
    const after = await library.ask(Import, 'GET', `/v1/imports/${begun.id}`)
    await report.end(after)
    tell(after, { counts, seconds: progress.end(), report: options.report })
  } catch (error) {
    progress.end()
    console.error(`Broken off. To go on: the same command with --resume ${begun.id}`)
    throw error
  }
}

/** A run that goes on sends everything again: the library leaves alone what it has, and the report is whole. */
async function beginImport(library: Library, { source, format, dryRun, resume }: Options): Promise<Import> {
  if (resume === undefined) return library.ask(Import, 'POST', '/v1/imports', { source, format, dryRun })
  const begun = await library.ask(Import, 'GET', `/v1/imports/${resume}`)
  if (begun.source === source && begun.format === format && begun.dryRun === dryRun) return begun
  throw new Error(`That import is of ${begun.source} (${begun.format}${begun.dryRun ? ', a dry run' : ''}).`)
}

type Counts = Record<string, number>
type Run = { id: string; batches: AsyncIterable<Batch>; report: Report; progress: Progress }

/** So many batches are under way while the next is read: the library reads one while its database takes the other. */
const UNDER_WAY = 2

async function sendAll(library: Library, { id, batches, report, progress }: Run): Promise<Counts> {
  const counts: Counts = {}
  let records = 0
  const ask = (batch: Batch, after: number | null) =>
    library.ask(ImportVerdicts, 'POST', `/v1/imports/${id}/records`, {
      records: batch.entries,
      after,
      last: batch.last,
    })
  const hear = async ({ places, bytesRead }: Batch, { items }: ImportVerdicts) => {
    if (items.length !== places.length) throw new Error('The library has not answered for every record.')
    for (const { verdict } of items) counts[verdict] = (counts[verdict] ?? 0) + 1
    records += items.length
    await report.add(items.map((item, place) => Object.assign(item, { offset: 0, title: '' }, places[place])))
    progress.show({ done: bytesRead, records, refused: counts['refused'] ?? 0 })
  }
  const underWay: { batch: Batch; answer: Promise<ImportVerdicts> }[] = []
  let after: number | null = null
  for await (const batch of batches) {
    if (batch.entries.length === 0) continue
    const first = underWay.length === UNDER_WAY ? underWay.shift() : undefined
    if (first !== undefined) await hear(first.batch, await first.answer)
    const answer = ask(batch, after)
    // Heard when its turn comes.
    answer.catch(() => undefined)
    underWay.push({ batch, answer })
    after = batch.places.at(-1)?.position ?? after
  }
  for (const { batch, answer } of underWay) await hear(batch, await answer)
  return counts
}

function tell(after: Import, { counts, seconds, report }: { counts: Counts; seconds: number; report: string }) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const words = Object.entries(after.totals).map(([verdict, count]) => `${count} ${verdict}`)
  console.log(
    `${total} records in ${seconds.toFixed(1)} s (${Math.round(total / seconds)} a second): ${words.join(', ')}.`,
  )
  if (after.dryRun) console.log('It was a dry run: the catalogue is as it was.')
  console.log(`What became of each: ${report}.json and ${report}.csv`)
  const differ = Object.entries(after.totals).filter(([verdict, count]) => (counts[verdict] ?? 0) !== count)
  if (differ.length === 0) return
  throw new Error(`The library counts otherwise: ${JSON.stringify(after.totals)}, and here ${JSON.stringify(counts)}.`)
}

// Undoing

async function undoImport(library: Library, id: string) {
  const path = `/v1/imports/${id}/undo`
  const { undo } = await library.ask(Import, 'GET', `/v1/imports/${id}`)
  const progress = new Progress(undo.left)
  let state
  do {
    state = await library.ask(Import, 'PUT', path)
    const done = undo.left - state.undo.left
    progress.show({ done, records: done, refused: state.undo.kept - undo.kept })
  } while (state.undo.left > 0)
  progress.end()
  console.log(`${state.undo.removed} removed, ${state.undo.restored} restored, ${state.undo.kept} kept as they are.`)
  if (state.undo.kept > 0) console.log(`Why: GET /v1/imports/${id}/records?undo=kept`)
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  if (error instanceof UsageError) console.error(`\n${usage}`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
