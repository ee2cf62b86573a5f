import type { Book } from '../books/schema.ts'
import type { Writer } from './formats.ts'
import { onOneLine } from './line.ts'

/** RIS has authors, editors and those who helped. */
const tags: Record<string, string> = { author: 'AU', editor: 'ED' }

const tagsOf = (book: Book): [tag: string, value: string | number | null][] => [
  ['TY', 'BOOK'],
  ['ID', book.id],
  ['TI', book.subtitle === null ? book.title : `${book.title}: ${book.subtitle}`],
  ...book.contributors.map(({ name, role }): [string, string] => [tags[role] ?? 'A4', name]),
  ['PB', book.publisher],
  ['PY', book.publishedYear],
  ['ET', book.edition],
  ...book.series.flatMap(({ name, number }): [string, string | null][] => [
    ['T2', name],
    ['M1', number],
  ]),
  ['LA', book.language],
  ...book.isbns.map((isbn): [string, string] => ['SN', isbn]),
  ['DO', book.identifiers.find(({ scheme }) => scheme === 'doi')?.value ?? null],
  ...book.subjects.map((subject): [string, string] => ['KW', subject]),
  ['AB', book.description],
  ...book.links.map(({ url }): [string, string] => ['UR', url]),
]

export const ris: Writer = {
  write: ({ book }) =>
    [
      ...tagsOf(book)
        .filter(([, value]) => value !== null)
        .map(([tag, value]) => `${tag}  - ${onOneLine(String(value))}\r\n`),
      'ER  - \r\n\r\n',
    ].join(''),
}
