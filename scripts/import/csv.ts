import { parse } from 'csv-parse/sync'
import { z } from 'zod'
import { isBlank, splitLines, withoutBom } from './lines.ts'
import { decodeUtf8, type Draft, messageOf, type Piece, PIECE_BYTES_MAX, type Read } from './piece.ts'

/** CSV, each row read by itself by csv-parse. A row whose quotes do not close is refused as one line, and reading goes on with
 *  the next: the parser alone would take all that follows for its text. */

const columns = z.union([z.string(), z.array(z.string()).min(1)]).optional()

/** Which columns hold a field; of several, the first that says something counts. Several values in one column are separated
 *  by semicolons, or by what `separators` says. */
export const Mapping = z.strictObject({
  title: columns,
  subtitle: columns,
  /** Title and subtitle in one: "title: subtitle". */
  wholeTitle: columns,
  authors: columns,
  publisher: columns,
  publishedYear: columns,
  language: columns,
  description: columns,
  edition: columns,
  subjects: columns,
  series: columns,
  seriesNumber: columns,
  links: columns,
  isbns: columns,
  goodreads: columns,
  oclc: columns,
  lccn: columns,
  issn: columns,
  doi: columns,
  separators: z.record(z.string(), z.string().min(1).max(5)).optional(),
})
export type Mapping = z.infer<typeof Mapping>
type Field = Exclude<keyof Mapping, 'separators'>

/** By the names that columns usually have. */
export const usualMapping: Mapping = {
  title: ['title'],
  subtitle: ['subtitle'],
  wholeTitle: ['title_and_subtitle'],
  authors: ['authors', 'author'],
  isbns: ['isbn13', 'isbn10', 'isbn', 'isbns'],
  publishedYear: ['published_year', 'year', 'original_publication_year'],
  language: ['language', 'language_code'],
  publisher: ['publisher'],
  subjects: ['categories', 'subjects'],
  description: ['description'],
  edition: ['edition'],
  series: ['series'],
  seriesNumber: ['series_number'],
  links: ['link', 'url'],
}

const DELIMITERS = [',', ';', '\t']

export async function* readCsv(
  stream: AsyncIterable<Uint8Array>,
  { mapping = usualMapping }: { mapping?: Mapping } = {},
): AsyncGenerator<Read> {
  let names: string[] | null = null
  let delimiter = ','
  for await (const row of splitRows(stream, () => ({ delimiter, width: names?.length ?? null }))) {
    if (names === null) {
      const [head] = decodeHead(row).split('\n', 1)
      delimiter = DELIMITERS.toSorted((a, b) => (head ?? '').split(b).length - (head ?? '').split(a).length)[0] ?? ','
      names = parseRow(row.bytes, delimiter).map((name) => name.trim().toLowerCase())
      requireTitle(names, mapping)
      continue
    }
    yield readRow(row, { names, delimiter, mapping })
  }
}

function decodeHead({ bytes }: Piece): string {
  try {
    return decodeUtf8(bytes)
  } catch {
    throw new Error('The first row, which names the columns, is not UTF-8.')
  }
}

function requireTitle(names: string[], mapping: Mapping) {
  const wanted = columnsOf(mapping, 'title')
  if (wanted.some((name) => names.includes(name))) return
  throw new Error(`The first row names no column for the title (${wanted.join(', ')}): it names ${names.join(', ')}.`)
}

/** Throws what csv-parse says of it. */
function parseRow(bytes: Uint8Array, delimiter: string): string[] {
  const rows: string[][] = parse(decodeUtf8(bytes), {
    delimiter,
    relax_column_count: true,
    max_record_size: PIECE_BYTES_MAX,
  })
  const [row] = rows
  if (row === undefined || rows.length > 1) throw new Error('it is not one row')
  return row
}

type How = { names: string[]; delimiter: string; mapping: Mapping }

function readRow(piece: Piece, { names, delimiter, mapping }: How): Read {
  try {
    const values = parseRow(piece.bytes, delimiter)
    if (values.length !== names.length) {
      throw new Error(`it has ${values.length} columns, and the first row names ${names.length}`)
    }
    const row = Object.fromEntries(names.map((name, place) => [name, (values[place] ?? '').trim()]))
    return { ...piece, draft: draftOf(row, mapping), marc: null, notes: [] }
  } catch (error) {
    return { ...piece, reason: `the row cannot be read: ${messageOf(error)}` }
  }
}

/** What a row must be like; width: null before the first row has said it. */
type Shape = { delimiter: string; width: number | null }

/** Lines, joined while a quote is open. Where it is never closed, its first line stands alone. */
async function* splitRows(stream: AsyncIterable<Uint8Array>, shape: () => Shape): AsyncGenerator<Piece> {
  const waiting: Line[] = []
  const lines = splitLines(stream)
  let isOver = false
  for (;;) {
    const row = takeRow(waiting, { isOver, ...shape() })
    if (row !== null) {
      if (!isBlank(row)) yield row
      continue
    }
    if (isOver) return
    const { value, done } = await lines.next()
    if (done === true) isOver = true
    else waiting.push(lineOf(withoutBom(value)))
  }
}

type Line = Piece & { quotes: number }

const lineOf = (piece: Piece): Line => ({
  ...piece,
  quotes: piece.bytes.reduce((sum, byte) => sum + (byte === 0x22 ? 1 : 0), 0),
})

/** The first whole row of the lines that wait, or null while there is none yet. */
function takeRow(waiting: Line[], { isOver, ...shape }: Shape & { isOver: boolean }): Piece | null {
  const [first] = waiting
  if (first === undefined) return null
  let quotes = 0
  let length = 0
  for (const [place, line] of waiting.entries()) {
    quotes += line.quotes
    length += line.bytes.length
    if (length > PIECE_BYTES_MAX) break
    if (quotes % 2 !== 0) continue
    const row = { offset: first.offset, bytes: Buffer.concat(waiting.slice(0, place + 1).map(({ bytes }) => bytes)) }
    if (place > 0 && !isRow(row, shape)) break
    waiting.splice(0, place + 1)
    return row
  }
  if (quotes % 2 !== 0 && length <= PIECE_BYTES_MAX && !isOver) return null
  waiting.shift()
  return { offset: first.offset, bytes: first.bytes }
}

function isRow({ bytes }: Piece, { delimiter, width }: Shape): boolean {
  try {
    return width === null || parseRow(bytes, delimiter).length === width
  } catch {
    return false
  }
}

// A row to a record

function columnsOf(mapping: Mapping, field: Field): string[] {
  const names = mapping[field] ?? []
  return (typeof names === 'string' ? [names] : names).map((name) => name.toLowerCase())
}

function draftOf(row: Record<string, string>, mapping: Mapping): Draft {
  const one = (field: Field) =>
    columnsOf(mapping, field)
      .map((name) => row[name] ?? '')
      .find((value) => value !== '')
  const several = (field: Field) =>
    (one(field) ?? '')
      .split(mapping.separators?.[field] ?? ';')
      .map((value) => value.trim())
      .filter((value) => value !== '')
  const title = one('title') ?? ''
  const whole = one('wholeTitle') ?? ''
  const year = one('publishedYear')
  const schemes = ['goodreads', 'oclc', 'lccn', 'issn', 'doi'] as const
  return {
    title,
    subtitle: one('subtitle') ?? (whole.startsWith(`${title}: `) ? whole.slice(title.length + 2) : null),
    contributors: several('authors').map((name) => ({ name, role: 'author' })),
    publisher: one('publisher') ?? null,
    publishedYear: year === undefined ? null : Number.isNaN(Number(year)) ? year : Number(year),
    language: one('language') ?? null,
    subjects: several('subjects'),
    description: one('description')?.replaceAll('\r\n', '\n') ?? null,
    edition: one('edition') ?? null,
    series: several('series').map((name) => ({ name, number: one('seriesNumber') ?? null })),
    links: several('links').map((url) => ({ url, label: null })),
    isbns: isbnsOf(row, mapping),
    identifiers: schemes.flatMap((scheme) => several(scheme).map((value) => ({ scheme, value }))),
  }
}

/** Spreadsheets take an ISBN for a number: they cut the zeros at its beginning, and write 13 digits as 9.78E+12, which says
 *  nothing any more. The first column that holds something usable counts. */
function isbnsOf(row: Record<string, string>, mapping: Mapping): string[] {
  for (const name of columnsOf(mapping, 'isbns')) {
    const values = (row[name] ?? '')
      .split(mapping.separators?.['isbns'] ?? ';')
      .map((value) => value.trim())
      .filter((value) => value !== '' && !/^[0-9.]+e\+?[0-9]+$/i.test(value))
      .map((value) => (/^[0-9]{5,9}[0-9Xx]?$/.test(value) ? value.padStart(10, '0') : value))
    if (values.length > 0) return values
  }
  return []
}
