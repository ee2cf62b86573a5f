import type { Book } from '../books/schema.ts'

/** `path`: of the feed, with what it was asked for. */
type Feed = { title: string; path: string; publicUrl: string; books: Book[] }

/** What XML 1.0 has no place for, not even escaped (2.2). */
// oxlint-disable-next-line no-control-regex -- control characters are what is taken out
const NOT_IN_XML = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }

const escape = (text: string) =>
  text.replace(NOT_IN_XML, '').replace(/[&<>"']/g, (character) => entities[character] ?? '')

const element = (name: string, text: string) => `<${name}>${escape(text)}</${name}>`

const person = (name: string, of: { name: string }) => `<${name}>${element('name', of.name)}</${name}>`

/** An Atom feed (RFC 4287). It says nothing of what changes with each loan, so that it is the same until its books are
 *  others. */
export function atomOf({ title, path, publicUrl, books }: Feed): string {
  const { hostname } = new URL(publicUrl)
  const updated = books.map(({ updatedAt }) => updatedAt).toSorted((a, b) => Date.parse(b) - Date.parse(a))[0]
  return [
    '<?xml version="1.0" encoding="utf-8"?>',
    '<feed xmlns="http://www.w3.org/2005/Atom">',
    // RFC 4151: the name that the library had in that year.
    element('id', `tag:${hostname},2026:${path}`),
    element('title', title),
    element('updated', updated ?? '1970-01-01T00:00:00Z'),
    person('author', { name: hostname }),
    `<link rel="self" type="application/atom+xml" href="${escape(publicUrl + path)}"/>`,
    ...books.map((book) => entryOf(book, publicUrl)),
    '</feed>',
    '',
  ].join('\n')
}

function entryOf(book: Book, publicUrl: string): string {
  const isAuthor = ({ role }: Book['contributors'][number]) => role === 'author'
  return [
    '<entry>',
    element('id', `urn:uuid:${book.id}`),
    element('title', book.subtitle === null ? book.title : `${book.title}: ${book.subtitle}`),
    ...book.contributors.filter(isAuthor).map((of) => person('author', of)),
    ...book.contributors.filter((of) => !isAuthor(of)).map((of) => person('contributor', of)),
    element('published', book.createdAt),
    element('updated', book.updatedAt),
    `<link rel="alternate" type="application/json" href="${escape(`${publicUrl}/v1/books/${book.id}`)}"/>`,
    ...book.subjects.map((subject) => `<category term="${escape(subject)}"/>`),
    ...(book.description === null ? [] : [element('summary', book.description)]),
    '</entry>',
  ].join('\n')
}
