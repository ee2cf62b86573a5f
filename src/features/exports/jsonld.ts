import type { Book } from '../books/schema.ts'
import type { Writer } from './formats.ts'
import { nameOf } from './names.ts'

const properties: Record<string, string> = {
  author: 'author',
  editor: 'editor',
  translator: 'translator',
  illustrator: 'illustrator',
  narrator: 'readBy',
}

/** Whether a name that tells no parts is of a person or of a body is not known, and not said. */
function agent(text: string) {
  const name = nameOf(text)
  return 'literal' in name
    ? { name: text }
    : { '@type': 'Person', name: text, familyName: name.family, givenName: name.given }
}

/** ISO 8601 has four digits for a year, and a sign before those of the years before 1, of which 1 BC is 0. */
function yearOf(year: number) {
  const digits = String(Math.abs(year)).padStart(4, '0')
  return year < 0 ? `-${digits}` : digits
}

function jsonldOf(book: Book, address: string) {
  const agents: Record<string, object[]> = {}
  for (const { name, role } of book.contributors) {
    const property = properties[role] ?? 'contributor'
    agents[property] = [...(agents[property] ?? []), agent(name)]
  }
  return {
    '@type': 'Book',
    '@id': address,
    name: book.title,
    alternativeHeadline: book.subtitle ?? undefined,
    alternateName: book.originalScript?.title ?? undefined,
    ...agents,
    publisher: book.publisher === null ? undefined : { '@type': 'Organization', name: book.publisher },
    datePublished: book.publishedYear === null ? undefined : yearOf(book.publishedYear),
    bookEdition: book.edition ?? undefined,
    inLanguage: book.language ?? undefined,
    isbn: book.isbns,
    isPartOf: book.series.map(({ name, number }) => ({
      '@type': 'BookSeries',
      name,
      position: number ?? undefined,
    })),
    keywords: book.subjects,
    description: book.description ?? undefined,
    identifier: book.identifiers.map(({ scheme, value }) => ({
      '@type': 'PropertyValue',
      propertyID: scheme,
      value,
    })),
    workExample: book.links.map(({ url, label }) => ({ '@type': 'Book', url, name: label ?? undefined })),
  }
}

const CONTEXT = '"@context":"https://schema.org"'

/** Where it is put into a page, no `</script>` ends it. */
const escape = (json: string) => json.replaceAll('<', '\\u003c')

/** One Book, or an ItemList of them. */
export const jsonld: Writer = {
  one: ({ book }, { addressOf }) => escape(`{${CONTEXT},${JSON.stringify(jsonldOf(book, addressOf(book))).slice(1)}\n`),
  head: `{${CONTEXT},"@type":"ItemList","itemListElement":[\n`,
  write: ({ book }, { addressOf }) => escape(JSON.stringify(jsonldOf(book, addressOf(book)))),
  between: ',\n',
  tail: '\n]}\n',
}
