import type { Book } from '../books/schema.ts'
import type { Writer } from './formats.ts'
import { nameOf } from './names.ts'

/** The names of CSL 1.0.2 for those who made a book. */
const variables: Record<string, string> = {
  author: 'author',
  editor: 'editor',
  translator: 'translator',
  illustrator: 'illustrator',
  narrator: 'narrator',
  composer: 'composer',
  compiler: 'compiler',
}

function cslOf(book: Book) {
  const names: Record<string, object[]> = {}
  for (const { name, role } of book.contributors) {
    const variable = variables[role] ?? 'contributor'
    names[variable] = [...(names[variable] ?? []), nameOf(name)]
  }
  const identifier = (scheme: string) => book.identifiers.find((its) => its.scheme === scheme)?.value
  const [series] = book.series
  return {
    id: book.id,
    type: 'book',
    title: book.subtitle === null ? book.title : `${book.title}: ${book.subtitle}`,
    ...(book.subtitle !== null && { 'title-short': book.title }),
    ...names,
    ...(book.publisher !== null && { publisher: book.publisher }),
    ...(book.publishedYear !== null && { issued: { 'date-parts': [[book.publishedYear]] } }),
    ...(book.edition !== null && { edition: book.edition }),
    ...(book.language !== null && { language: book.language }),
    ...(series && { 'collection-title': series.name }),
    ...(series?.number && { 'collection-number': series.number }),
    ...(book.isbns.length > 0 && { ISBN: book.isbns.join(' ') }),
    ISSN: identifier('issn'),
    DOI: identifier('doi'),
    ...(book.subjects.length > 0 && { keyword: book.subjects.join(', ') }),
    ...(book.description !== null && { abstract: book.description }),
    URL: book.links[0]?.url,
  }
}

/** The items of Citation Style Language, in an array. */
export const csl: Writer = {
  head: '[\n',
  write: ({ book }) => JSON.stringify(cslOf(book)),
  between: ',\n',
  tail: '\n]\n',
}
