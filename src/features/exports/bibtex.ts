import type { Book } from '../books/schema.ts'
import type { Writer } from './formats.ts'
import { onOneLine } from './line.ts'
import { nameOf } from './names.ts'

/** BibTeX counts braces even where a backslash stands before them, so they go by their names. */
const specials: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '{': '\\textbraceleft{}',
  '}': '\\textbraceright{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '#': '\\#',
  $: '\\$',
  '%': '\\%',
  '&': '\\&',
  _: '\\_',
}

/** Two of these in a row are another sign in TeX: -- a dash, '' a quotation mark. */
const LIGATURE = /(?<=[-'`,<>?!])(?=[-'`,<>])/g

const escape = (text: string) =>
  onOneLine(text)
    .replaceAll(/[\\{}~^#$%&_]/g, (special) => specials[special] ?? '')
    .replaceAll(LIGATURE, '{}')

/** What biblatex takes as it stands, where only braces and a backslash at the end would matter. */
const verbatim = (text: string | undefined) =>
  onOneLine(text ?? '').replaceAll(/[{}\\]/g, (sign) => encodeURIComponent(sign))

const braced = (text: string | null) => (text === null ? '' : `{${escape(text)}}`)

/** In braces of their own, names are neither divided at 'and' nor taken apart. */
function author(text: string) {
  const name = nameOf(text)
  return 'literal' in name ? `{${escape(name.literal)}}` : `{${escape(name.family)}}, {${escape(name.given)}}`
}

const fieldsOf = (book: Book): [name: string, value: string][] => {
  const named = (role: string) => book.contributors.filter((contributor) => contributor.role === role)
  const people = (role: string) =>
    named(role)
      .map(({ name }) => author(name))
      .join(' and ')
  const text = (value: string | number | null | undefined) => escape(String(value ?? ''))
  const identifier = (scheme: string) => book.identifiers.find((its) => its.scheme === scheme)?.value
  const others = book.contributors.filter(({ role }) => !['author', 'editor', 'translator'].includes(role))
  const [series] = book.series
  return [
    // Twice in braces, so that no style changes its capitals.
    ['title', braced(book.title)],
    ['subtitle', braced(book.subtitle)],
    ['author', people('author')],
    ['editor', people('editor')],
    ['translator', people('translator')],
    ['note', text(others.map(({ name, role }) => `${name} (${role})`).join('; '))],
    ['publisher', braced(book.publisher)],
    ['year', text(book.publishedYear)],
    ['edition', text(book.edition)],
    ['series', text(series?.name)],
    ['number', text(series?.number)],
    ['language', text(book.language)],
    ['isbn', book.isbns.join(', ')],
    ['issn', text(identifier('issn'))],
    ['doi', verbatim(identifier('doi'))],
    ['keywords', text(book.subjects.join('; '))],
    ['abstract', text(book.description)],
    ['url', verbatim(book.links[0]?.url)],
  ]
}

/** BibTeX in UTF-8, with the fields of biblatex. The key of an entry is made of the book's id: it is never another's, and stays
 *  when the title or a name is corrected. */
export const bibtex: Writer = {
  write: ({ book }) => {
    const fields = fieldsOf(book)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `  ${name} = {${value}}`)
    return `@book{book-${book.id},\n${fields.join(',\n')}\n}\n\n`
  },
}
