import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { isDataField, type MarcField, type MarcRecord } from '../../scripts/import/marc-record.ts'
import type { Read } from '../../scripts/import/piece.ts'
import { random } from '../catalogue/typos.ts'
import { table } from '../table.ts'
import { damage, type Format, judge, kinds, readAll } from './damage.ts'
import { type Bench, importFile, type Library } from './library.ts'

/** Real files there and back: imported, imported again, corrected by staff, exported, compared field by field, and the export
 *  imported into the same library and into an empty one; then damaged copies of them. */

const formatOf = (file: string): Format =>
  file.endsWith('.mrc') ? 'marc' : file.endsWith('.xml') ? 'marcxml' : file.endsWith('.csv') ? 'csv' : 'jsonl'

const Report = z.object({
  records: z.array(z.object({ position: z.int(), verdict: z.string(), bookId: z.string().nullable() })),
  import: z.object({ totals: z.record(z.string(), z.int()) }),
})

type Verdicts = Record<string, number>

/** Prints the tables; false when something is not as it must be. */
export async function tryFiles(bench: Bench, files: string[], say: (text: string) => void): Promise<boolean> {
  let isGood = true
  const must = (holds: boolean, what: string) => {
    if (holds) return
    isGood = false
    say(`NOT SO: ${what}\n`)
  }
  const rows: string[][] = []
  for (const [place, file] of files.entries()) {
    const format = formatOf(file)
    const library = await bench.makeLibrary(`file${place}`)
    const run = runIn(bench, library)
    const first = await run(file)
    const again = await run(file)
    must(again.changed === 0, `${basename(file)} imported again changes nothing`)
    rows.push([basename(file), first.told, again.told])
    if (format === 'marc' || format === 'marcxml') {
      const original = await readAll(format, await readFile(file))
      const edited = await correct(library, first.bookIds)
      for (const exported of ['mrc', 'xml'] as const) {
        const copy = join(bench.directory, `export${place}.${exported}`)
        await writeFile(copy, await exportAll(library, exported))
        const reads = await readAll(formatOf(copy), await readFile(copy))
        const { same, differing } = compare(original, reads)
        must(differing === edited, `${copy}: ${edited} records were corrected, and ${differing} differ`)
        const versions = await versionsOf(library)
        const back = await run(copy)
        must((await versionsOf(library)) === versions, `${basename(copy)} into the same library changes no book`)
        must(back.changed <= edited, `${basename(copy)}: at most the corrected MARC records are kept anew`)
        const empty = await bench.makeLibrary(`empty${place}${exported}`)
        const elsewhere = await runIn(bench, empty)(copy)
        must(elsewhere.created === first.created, `${basename(copy)} makes as many books in an empty library`)
        await empty.close()
        rows.push([`exported as ${exported}: ${same} the same, ${differing} as corrected`, elsewhere.told, back.told])
      }
    }
    await library.close()
    for (const kind of kinds) {
      const text = await readFile(file)
      const original = await readAll(format, text)
      const damaged = damage({ format, file: text, records: original, kind, next: random(place + 1) })
      const copy = join(bench.directory, `${kind}-${basename(file)}`)
      await writeFile(copy, damaged.bytes)
      const reads = await readAll(format, damaged.bytes)
      const { lost, refused } = judge({ damaged, original, reads })
      const other = await bench.makeLibrary(`damaged${place}${kind}`)
      const told = await runIn(bench, other)(copy)
      await other.close()
      must(lost === 0, `${basename(copy)}: every whole record is read`)
      must(told.records === reads.length, `${basename(copy)}: every record and every damage is in the report`)
      must((told.verdicts['refused'] ?? 0) >= refused, `${basename(copy)}: every damage is refused`)
      rows.push([`${kind}: ${damaged.whole.length} whole`, told.told, ''])
    }
  }
  say(table(['file', 'imported', 'again'], rows))
  return isGood
}

const runIn = (bench: Bench, library: Library) => async (file: string) => {
  const name = join(bench.directory, 'report')
  await importFile(library, [file, '--report', name])
  const report = Report.parse(JSON.parse(await readFile(`${name}.json`, 'utf8')))
  const verdicts: Verdicts = {}
  for (const { verdict } of report.records) verdicts[verdict] = (verdicts[verdict] ?? 0) + 1
  const { created = 0, updated = 0, merged = 0 } = verdicts
  return {
    verdicts,
    created,
    changed: created + updated + merged,
    records: report.records.length,
    bookIds: report.records.flatMap(({ bookId }) => bookId ?? []),
    told: Object.entries(verdicts)
      .map(([verdict, count]) => `${count} ${verdict}`)
      .join(', '),
  }
}

const versionsOf = async ({ client }: Library) => {
  const { rows } = await client.query<{ sum: string }>('select sum(version) as sum from books')
  return rows[0]?.sum
}

// Staff

const json = async <T extends z.ZodType>(schema: T, response: Response): Promise<z.infer<T>> =>
  schema.parse(await response.json())

async function logIn({ url, username, password }: Library): Promise<string> {
  const response = await fetch(`${url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password }),
  })
  return (await json(z.object({ accessToken: z.string() }), response)).accessToken
}

/** Corrects a title, a year and the subjects of three books. Answers how many. */
async function correct(library: Library, bookIds: string[]): Promise<number> {
  const token = await logIn(library)
  const corrections = [{ title: 'Corrected by staff' }, { publishedYear: 1234 }, { subjects: ['Corrected by staff'] }]
  for (const [place, correction] of corrections.entries()) {
    const response = await fetch(`${library.url}/v1/books/${bookIds[place]}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json', 'if-match': '*', authorization: `Bearer ${token}` },
      body: JSON.stringify(correction),
    })
    if (response.status !== 200) throw new Error(`A correction was answered with ${response.status}.`)
  }
  return corrections.length
}

/** What a search for everything finds, as the files that Link leads to, one behind the other. */
async function exportAll({ url }: Library, format: 'mrc' | 'xml'): Promise<Buffer> {
  const parts: Buffer[] = []
  let next: string | undefined = `/v1/books/exports/${format}?sort=title`
  while (next !== undefined) {
    const response: Response = await fetch(new URL(next, url))
    if (response.status !== 200) throw new Error(`An export was answered with ${response.status}.`)
    parts.push(Buffer.from(await response.arrayBuffer()))
    next = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1]
  }
  return Buffer.concat(parts)
}

// Comparing

/** By what they are called: 001, and where there is none the title. */
function compare(original: Read[], exported: Read[]): { same: number; differing: number } {
  const left = new Map<string, number>()
  for (const text of exported.map(textOf)) left.set(text, (left.get(text) ?? 0) + 1)
  let same = 0
  for (const text of original.map(textOf)) {
    const there = left.get(text) ?? 0
    if (there === 0) continue
    left.set(text, there - 1)
    same += 1
  }
  return { same, differing: original.length - same }
}

/** Every field, in its order, letter by letter. Of the leader what the encoding and the lengths do not decide. */
const textOf = (read: Read) => ('marc' in read && read.marc !== null ? marcText(read.marc) : '')

const marcText = ({ leader, fields }: MarcRecord) =>
  [leader.slice(5, 9) + leader.slice(17, 20), ...fields.map(fieldText)].join('\n')

const fieldText = (field: MarcField) =>
  isDataField(field)
    ? `${field.tag} ${field.ind1}${field.ind2} ${field.subfields.map(({ code, value }) => `$${code}${value}`).join('')}`
    : `${field.tag} ${field.value}`
