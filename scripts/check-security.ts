import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { z } from 'zod'

/** Holds docs/security.md, docs/asvs.md and docs/threats.md to the code and to a run of the tests: what a row names is
 *  there, and the tests that it names ran and passed. */

const usage = `usage: npm run check:security -- [--results FILE]

  FILE: what \`vitest run --reporter=json --outputFile=FILE\` wrote of a run of all tests. Without it that of the last
  \`npm run audit\` is read, .lectern/test-results.json, unless a source is newer. Where there is none, the tests are
  listed and not run: a name that is wrong is found, a test that fails is not.`

const DOCUMENTS = ['docs/security.md', 'docs/asvs.md', 'docs/threats.md']
const LAST_RUN = '.lectern/test-results.json'

/** What begins a cell that promises nothing a test could show. */
const UNPROVEN = /^(does not apply|not met|platform): ./
const NOTHING = '—'

type Row = { where: string; ids: string[]; meets: string; shown: string; cells: string[] }
type Test = { file: string; name: string; status: string }

const faults: string[] = []
const say = (where: string, fault: string) => faults.push(`${where}: ${fault}`)

// The tables

/** The rows of every table that ends in the columns 'what meets it' and 'shown by'. */
function rowsOf(document: string): Row[] {
  const rows: Row[] = []
  let columns: string[] | null = null
  for (const [i, line] of readFileSync(document, 'utf8').split('\n').entries()) {
    const where = `${document}:${i + 1}`
    if (!line.startsWith('|')) {
      columns = null
      continue
    }
    const cells = line
      .replace(/^\||\|\s*$/g, '')
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll('\\|', '|'))
    if (columns === null) {
      columns = cells
      if (cells.at(-1) === 'shown by' && cells.at(-2) !== 'what meets it') say(where, 'a table without its columns')
      continue
    }
    if (columns.at(-1) !== 'shown by' || cells.every((cell) => /^:?-+:?$/.test(cell))) continue
    if (cells.length !== columns.length) say(where, `has ${cells.length} cells where the table has ${columns.length}`)
    const [id = ''] = cells
    rows.push({ where, ids: idsOf(id), meets: cells.at(-2) ?? '', shown: cells.at(-1) ?? '', cells })
  }
  if (rows.length === 0) say(document, 'holds no table')
  return rows
}

/** `V5.3.1, V5.4.1-3` names four. */
const idsOf = (cell: string) =>
  cell.split(/,\s*/).flatMap((part) => {
    const [, stem, first, last] = /^(V[0-9.]+\.)([0-9]+)-([0-9]+)$/.exec(part) ?? []
    if (stem === undefined) return [part]
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => `${stem}${Number(first) + i}`)
  })

// What is there

const Results = z.object({
  startTime: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      assertionResults: z.array(
        z.object({ ancestorTitles: z.array(z.string()), title: z.string(), status: z.string() }),
      ),
    }),
  ),
})

const fromHere = (file: string) => relative(process.cwd(), file)

function readResults(file: string): { startTime: number; tests: Test[] } {
  if (!existsSync(file)) throw new Error(`There are no results of the tests at ${file}.\n\n${usage}`)
  const { startTime, testResults } = Results.parse(JSON.parse(readFileSync(file, 'utf8')))
  const tests = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ ancestorTitles, title, status }) => ({
      file: fromHere(name),
      name: [...ancestorTitles, title].join(' > '),
      status,
    })),
  )
  return { startTime, tests }
}

const Listing = z.array(z.object({ name: z.string(), file: z.string() }))

function listTests(): Test[] {
  const file = join(tmpdir(), `lectern-tests-${process.pid}.json`)
  const { status, stderr } = spawnSync('vitest', ['list', `--json=${file}`], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the tests cannot be listed: ${stderr}`)
  return Listing.parse(JSON.parse(readFileSync(file, 'utf8'))).map(({ name, file }) => ({
    file: fromHere(file),
    name: name.replaceAll('\\"', '"').replaceAll("\\'", "'"),
    status: 'listed',
  }))
}

const newestSource = () =>
  Math.max(
    ...['src', 'test', 'drizzle'].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => statSync(join(folder, name)).mtimeMs),
    ),
  )

function findTests(given: string | undefined): Test[] {
  if (given !== undefined) return readResults(given).tests
  if (existsSync(LAST_RUN)) {
    const { startTime, tests } = readResults(LAST_RUN)
    if (newestSource() < startTime) {
      console.log(`Held to the run of ${new Date(startTime).toISOString()} (${LAST_RUN}).`)
      return tests
    }
    console.log(`${LAST_RUN} is older than the sources, and is not looked at.`)
  }
  console.log('No run of the tests to hold it to: only that each test is there is checked, not that it passes.')
  return listTests()
}

// The rules

/** A title as it stands in the source: what a table of cases puts in may be anything, and so may what … stands for. */
const patternOf = (title: string) =>
  new RegExp(
    `(^| > )${title
      .split(/%[sdifjoO#]|\$\{[^}]+\}|\$[a-zA-Z_.]+|…/)
      .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
    's',
  )

function checkTest(row: Row, file: string, title: string, tests: Test[]) {
  const pattern = patternOf(title)
  const found = tests.filter((test) => test.file === file && pattern.test(test.name))
  if (found.length === 0) say(row.where, `${file} has no test "${title}", or it did not run`)
  for (const { name, status } of found) {
    if (status === 'failed') say(row.where, `failed: ${file} "${name}"`)
    else if (status !== 'passed' && status !== 'listed') say(row.where, `did not run (${status}): ${file} "${name}"`)
  }
}

const Package = z.object({ scripts: z.record(z.string(), z.string()) })
const { scripts } = Package.parse(JSON.parse(readFileSync('package.json', 'utf8')))

function checkHeading(row: Row, file: string, heading: string) {
  const headings = existsSync(file) ? readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm) : []
  if (![...headings].some(([, text]) => text === heading)) say(row.where, `${file} has no heading "${heading}"`)
}

/** `file` "title"; `docs/page.md` "heading"; `npm run command`; several, between semicolons. */
function checkShown(row: Row, tests: Test[]) {
  const isUnproven = UNPROVEN.test(row.meets)
  if (row.shown === NOTHING) {
    if (!isUnproven) say(row.where, 'is met by something, and shown by nothing')
    return
  }
  for (const proof of row.shown.split(/;\s+(?=`)/)) {
    const [, name = '', title] = /^`([^`]+)`(?: "(.+)")?$/s.exec(proof) ?? []
    const [, command] = /^npm (?:run )?([a-z:-]+)$/.exec(name) ?? []
    if (command !== undefined && title === undefined) {
      if (scripts[command] === undefined) say(row.where, `package.json has no command ${name}`)
    } else if (name.startsWith('test/') && title !== undefined) checkTest(row, name, title, tests)
    else if (name.endsWith('.md') && title !== undefined) checkHeading(row, name, title)
    else say(row.where, `cannot be read as a test, a heading or a command: ${proof}`)
  }
}

const code = globSync(['src/**/*.ts', 'drizzle/*.sql', 'scripts/**/*.ts', 'wrangler.toml', 'package.json'])
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n')
const words = new Set(code.match(/[A-Za-z_][A-Za-z0-9_]*/g))

/** Files must be there, and names of functions, constraints and settings must stand somewhere in the code. */
function checkMeets(row: Row) {
  for (const [, name = ''] of row.meets.matchAll(/`([^`]+)`/g)) {
    if (/^[A-Za-z_][A-Za-z0-9_]*(\(\))?$/.test(name)) {
      if (!words.has(name.replace('()', ''))) say(row.where, `${name} is not in the code`)
    } else if (/^[\w.-]+\/[\w./*-]*$|^[\w-]+\.(ts|toml|json|md|sql)$/.test(name)) {
      if (globSync(name).length === 0) say(row.where, `there is no ${name}`)
    }
  }
}

const Ids = z.object({ 1: z.array(z.string()), 2: z.array(z.string()), 3: z.array(z.string()) })

/** Every id of level 1 and 2 has its row; no id has two. */
function checkIds(rows: Row[]) {
  const byLevel = Ids.parse(JSON.parse(readFileSync('docs/asvs-ids.json', 'utf8')))
  const known = new Set([...byLevel[1], ...byLevel[2], ...byLevel[3]])
  const places = new Map<string, string>()
  for (const { where, ids } of rows) {
    for (const id of ids) {
      const before = places.get(id)
      if (before !== undefined) say(where, `${id} stands at ${before} as well`)
      places.set(id, where)
      if (/^V[0-9]/.test(id) && !known.has(id)) say(where, `ASVS 5.0 has no ${id}`)
    }
  }
  for (const id of [...byLevel[1], ...byLevel[2]]) {
    if (!places.has(id)) say('docs/asvs.md', `${id} is missing`)
  }
  return byLevel
}

const KINDS = ['met', 'partly', 'platform', 'does not apply', 'not met'] as const
const kindOf = ({ meets }: Row) =>
  KINDS.find((kind) => meets.startsWith(`${kind}:`) || (kind === 'partly' && meets.startsWith('partly'))) ?? 'met'

function summarise(title: string, rows: Row[], counts: (row: Row) => number) {
  const total = (kind: (typeof KINDS)[number]) =>
    rows.filter((row) => kindOf(row) === kind).reduce((sum, row) => sum + counts(row), 0)
  console.log(`${title.padEnd(18)} ${KINDS.map((kind) => `${total(kind)} ${kind}`).join(', ')}`)
}

function main() {
  const { values } = parseArgs({ options: { results: { type: 'string' }, help: { type: 'boolean' } } })
  if (values.help) return console.log(usage)
  const tests = findTests(values.results)
  const tables = DOCUMENTS.map((document) => ({ document, rows: rowsOf(document) }))
  const rows = tables.flatMap((table) => table.rows)
  for (const row of rows) {
    if (row.cells.some((cell) => cell === '')) say(row.where, 'has an empty cell')
    checkMeets(row)
    checkShown(row, tests)
  }
  const byLevel = checkIds(rows)

  for (const { document, rows } of tables) {
    if (document !== 'docs/asvs.md') summarise(document, rows, () => 1)
    else {
      for (const [level, ids] of Object.entries(byLevel)) {
        const ofLevel = new Set<string>(ids)
        summarise(`ASVS 5.0, level ${level}`, rows, (row) => row.ids.filter((id) => ofLevel.has(id)).length)
      }
    }
  }
  for (const fault of faults) console.log(fault)
  console.log(`${rows.length} rows, ${faults.length} faults`)
  process.exitCode = faults.length === 0 ? 0 : 1
}

try {
  main()
} catch (error) {
  console.error(String(error).replace(/^Error: /, ''))
  process.exitCode = 1
}
