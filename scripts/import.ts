import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { parse } from 'csv-parse'
import { z } from 'zod'
import { readIsbn } from '../src/features/books/isbn.ts'

/** Catalogues the rows of a CSV file through the API, as a member of staff. */

const usage = `usage: npm run import -- FILE.csv --username NAME [options]

  --url URL        the library (http://localhost:8787)
  --username NAME  a member of staff; the password is LECTERN_PASSWORD, or is asked for
  --limit N        the first N rows only
  --copies N       physical copies for each book (1); their barcodes are made from the ISBN
  --report FILE    what became of each row, one JSON object a line (import-report.jsonl)

The first row names the columns: title (needed), subtitle or title_and_subtitle, authors, isbn13, isbn10 or isbn,
published_year, language, publisher, categories or subjects, description. Several values are separated by semicolons;
other columns are left out. A book that is in the catalogue already is not added again.`

const PARALLEL = 4
const TRIES = 4
const PROGRESS_EVERY = 25

type Options = { file: string; url: string; username: string; limit: number; copies: number; report: string }
type Verdict = { row: number; verdict: 'added' | 'there' | 'refused'; title: string; reason?: string }
type Row = Record<string, string>

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: 'string', default: 'http://localhost:8787' },
      username: { type: 'string' },
      limit: { type: 'string', default: '1000000000' },
      copies: { type: 'string', default: '1' },
      report: { type: 'string', default: 'import-report.jsonl' },
    },
  })
  const [file] = positionals
  const limit = Number(values.limit)
  const copies = Number(values.copies)
  if (file === undefined || positionals.length > 1) throw new Error('One file is needed.')
  if (values.username === undefined) throw new Error('--username is needed.')
  if (!Number.isInteger(limit) || limit < 1) throw new Error('--limit is not a whole number of rows.')
  if (!Number.isInteger(copies) || copies < 0 || copies > 100) throw new Error('--copies is not from 0 to 100.')
  return { file, url: values.url, username: values.username, limit, copies, report: values.report }
}

// The API

const Tokens = z.object({ accessToken: z.string(), refreshToken: z.string(), user: z.object({ role: z.string() }) })
const Made = z.object({ id: z.string() })
const Refusal = z.object({
  type: z.string(),
  title: z.string(),
  errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
})
const Found = z.object({
  items: z.array(
    z.object({ id: z.string(), title: z.string(), contributors: z.array(z.object({ name: z.string() })) }),
  ),
})

type Answer = { status: number; body: unknown }

/** Logged in, and again whenever the access token runs out. A request whose answer got lost is sent again with the same
 *  Idempotency-Key, so it is done once. */
class Library {
  readonly #url: string
  #tokens: z.infer<typeof Tokens>
  #refreshing: Promise<void> | null = null

  private constructor(url: string, tokens: z.infer<typeof Tokens>) {
    this.#url = url
    this.#tokens = tokens
  }

  static async logIn({ url, username, password }: { url: string; username: string; password: string }) {
    const answer = await send(url, 'POST', '/v1/sessions', { username, password, deviceName: 'npm run import' }, {})
    if (answer.status !== 201) throw new Error(`Logging in failed: ${reasonOf(answer)}`)
    const tokens = Tokens.parse(answer.body)
    if (tokens.user.role !== 'staff') throw new Error(`${username} is not a member of staff.`)
    return new Library(url, tokens)
  }

  get = (path: string) => this.#ask('GET', path)
  make = (path: string, body: object) => this.#ask('POST', path, body, { 'idempotency-key': randomUUID() })
  logOut = () => this.#ask('DELETE', '/v1/sessions/current')

  async #ask(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const { accessToken } = this.#tokens
      const answer = await send(this.#url, method, path, body, { ...headers, authorization: `Bearer ${accessToken}` })
      const mayPass = answer.status === 503 || answer.status === 429 || answer.status === 0
      if (attempt === TRIES) return answer
      if (problemOf(answer) === 'access-token-expired') await this.#refresh(accessToken)
      else if (mayPass) await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt))
      else return answer
    }
  }

  async #refresh(spent: string) {
    if (this.#tokens.accessToken !== spent) return
    this.#refreshing ??= (async () => {
      const { refreshToken } = this.#tokens
      const answer = await send(this.#url, 'POST', '/v1/sessions/refresh', { refreshToken }, {})
      if (answer.status !== 200) throw new Error(`The session has ended: ${reasonOf(answer)}`)
      this.#tokens = Tokens.parse(answer.body)
    })().finally(() => (this.#refreshing = null))
    await this.#refreshing
  }
}

/** Status 0 stands for no answer. */
async function send(
  url: string,
  method: string,
  path: string,
  body: object | undefined,
  headers: Record<string, string>,
): Promise<Answer> {
  try {
    const response = await fetch(new URL(path, url), {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(20_000),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : JSON.parse(text) }
  } catch {
    return { status: 0, body: null }
  }
}

const problemOf = ({ body }: Answer) => Refusal.safeParse(body).data?.type.replace('/problems/', '') ?? null

function reasonOf(answer: Answer): string {
  if (answer.status === 0) return 'the library does not answer'
  const { data } = Refusal.safeParse(answer.body)
  if (data === undefined) return `status ${answer.status}`
  const faults = data.errors?.map(({ pointer, detail }) => `${pointer} ${detail}`) ?? []
  return [data.title, ...faults].join('; ')
}

// Rows

const several = (text: string | undefined) =>
  (text ?? '')
    .split(';')
    .map((value) => value.trim())
    .filter((value) => value !== '')

/** The record of a row, as POST /v1/books takes it. What is wrong in it is for the API to say. */
function recordOf(row: Row) {
  const title = (row['title'] ?? '').trim()
  const whole = row['title_and_subtitle']?.trim() ?? ''
  const subtitle = row['subtitle']?.trim() || (whole.startsWith(`${title}: `) ? whole.slice(title.length + 2) : '')
  const year = row['published_year'] ?? row['year'] ?? row['original_publication_year'] ?? ''
  const isbn = [row['isbn13'], row['isbn10'], row['isbn']].find((value) => value?.trim())?.trim()
  const optional = {
    subtitle,
    publisher: row['publisher']?.trim(),
    language: row['language']?.trim() || row['language_code']?.trim(),
    description: row['description']?.trim().replaceAll('\r\n', '\n'),
  }
  return {
    title,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value)),
    ...(year.trim() !== '' && { publishedYear: Number(year) }),
    contributors: several(row['authors'] ?? row['author']).map((name) => ({ name, role: 'author' })),
    subjects: several(row['categories'] ?? row['subjects']),
    isbns: isbn === undefined ? [] : [isbn],
  }
}

type BookRecord = ReturnType<typeof recordOf>

/** The id of the book that is there already: by its ISBN or, without one, by title and contributors. */
async function findBook(library: Library, record: BookRecord): Promise<string | null> {
  const [isbn] = record.isbns
  if (isbn !== undefined) {
    const answer = await library.get(`/v1/books/isbn/${encodeURIComponent(isbn)}`)
    return answer.status === 200 ? Made.parse(answer.body).id : null
  }
  const [first] = record.contributors
  const query = new URLSearchParams({ q: record.title.slice(0, 200), limit: '100' })
  if (first !== undefined) query.set('author', first.name.slice(0, 200))
  const answer = await library.get(`/v1/books?${query.toString()}`)
  if (answer.status !== 200) return null
  const names = record.contributors.map(({ name }) => name).join(';')
  const same = Found.parse(answer.body).items.find(
    (book) => book.title === record.title && book.contributors.map(({ name }) => name).join(';') === names,
  )
  return same?.id ?? null
}

/** The same for the same book each time, so that a copy is not added twice. */
function barcodeOf(record: BookRecord, place: number): string {
  const isbn = readIsbn(record.isbns[0] ?? '')
  const hash = createHash('sha256')
    .update(`${record.title} ${JSON.stringify(record.contributors)}`)
    .digest('hex')
  return `${isbn ?? `R${hash.slice(0, 12).toUpperCase()}`}-${place}`
}

async function importRow(library: Library, row: Row, number: number, copies: number): Promise<Verdict> {
  const record = recordOf(row)
  const about = { row: number, title: record.title }
  const [isbn] = record.isbns
  const known = isbn === undefined ? await findBook(library, record) : null
  const made = known === null ? await library.make('/v1/books', record) : null
  const isTaken = made !== null && problemOf(made) === 'isbn-taken'
  if (made !== null && made.status !== 201 && !isTaken) return { ...about, verdict: 'refused', reason: reasonOf(made) }
  const id = made?.status === 201 ? Made.parse(made.body).id : (known ?? (await findBook(library, record)))
  if (id === null) return { ...about, verdict: 'refused', reason: 'the book with that ISBN could not be read' }
  for (let place = 1; place <= copies; place++) {
    const copy = { format: 'physical', barcode: barcodeOf(record, place) }
    const added = await library.make(`/v1/books/${id}/copies`, copy)
    if (added.status === 201 || problemOf(added) === 'barcode-taken') continue
    return { ...about, verdict: 'refused', reason: `catalogued, but copy ${place} is missing: ${reasonOf(added)}` }
  }
  return { ...about, verdict: made?.status === 201 ? 'added' : 'there' }
}

// The run

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

async function main() {
  const options = readOptions()
  const library = await Library.logIn({ ...options, password: await askPassword() })
  const report = createWriteStream(options.report)
  const counts = { added: 0, there: 0, refused: 0 }
  const startedAt = Date.now()
  let taken = 0

  const judge = (verdict: Verdict) => {
    counts[verdict.verdict]++
    report.write(`${JSON.stringify(verdict)}\n`)
    const done = counts.added + counts.there + counts.refused
    if (done % PROGRESS_EVERY !== 0) return
    const rate = Math.round((done * 1000) / (Date.now() - startedAt))
    process.stdout.write(`\r${done} rows, ${rate} a second, ${counts.refused} refused `)
  }

  const rows = createReadStream(options.file).pipe(
    parse({
      columns: (names: string[]) => names.map((name) => name.trim().toLowerCase()),
      bom: true,
      skip_records_with_error: true,
    }),
  )
  rows.on('skip', (error: Error & { records?: number }) => {
    judge({
      row: (error.records ?? 0) + 1,
      verdict: 'refused',
      title: '',
      reason: `the row cannot be read: ${error.message}`,
    })
  })
  const work: AsyncIterator<Row> = rows[Symbol.asyncIterator]()
  const take = async () => {
    while (taken < options.limit) {
      const number = ++taken
      const { value, done } = await work.next()
      if (done === true) return
      judge(await importRow(library, value, number, options.copies))
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, take))
  rows.destroy()
  await library.logOut()
  await new Promise((resolve) => report.end(resolve))

  const { added, there, refused } = counts
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1)
  console.log(
    `\r${added + there + refused} rows in ${seconds} s: ${added} added, ${there} there already, ${refused} refused.`,
  )
  console.log(`What became of each: ${options.report}`)
}

try {
  await main()
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
  process.exitCode = 2
}
