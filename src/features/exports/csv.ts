import type { Book } from '../books/schema.ts'
import type { Writer } from './formats.ts'

/** Several values in a cell stand as `npm run import` reads them. */
const list = (values: string[]) => values.join('; ')

const columns: Record<string, (book: Book) => string> = {
  id: (book) => book.id,
  title: (book) => book.title,
  subtitle: (book) => book.subtitle ?? '',
  authors: (book) => list(book.contributors.filter(({ role }) => role === 'author').map(({ name }) => name)),
  contributors: (book) =>
    list(book.contributors.filter(({ role }) => role !== 'author').map(({ name, role }) => `${name} (${role})`)),
  publisher: (book) => book.publisher ?? '',
  published_year: (book) => String(book.publishedYear ?? ''),
  language: (book) => book.language ?? '',
  edition: (book) => book.edition ?? '',
  series: (book) => list(book.series.map(({ name, number }) => (number === null ? name : `${name} ; ${number}`))),
  isbn: (book) => list(book.isbns),
  identifiers: (book) => list(book.identifiers.map(({ scheme, value }) => `${scheme}:${value}`)),
  subjects: (book) => list(book.subjects),
  description: (book) => book.description ?? '',
  original_title: (book) => book.originalScript?.title ?? '',
  original_names: (book) => list(book.originalScript?.contributors ?? []),
  links: (book) => list(book.links.map(({ url }) => url)),
}

/** What a spreadsheet would run as a formula begins with an apostrophe, which shows it as text (OWASP, CSV Injection). */
const disarm = (text: string) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)

const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

const row = (cells: string[]) => `${cells.map((text) => cell(disarm(text))).join(',')}\r\n`

/** RFC 4180, with a first row of names. */
export const csv: Writer = {
  head: row(Object.keys(columns)),
  write: ({ book }) => row(Object.values(columns).map((valueOf) => valueOf(book))),
}
