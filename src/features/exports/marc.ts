import type { Book } from '../books/schema.ts'
import { isPlainLanguage, marcLanguage, nonfilingCharacters } from './languages.ts'
import { onOneLine } from './line.ts'
import { nameOf } from './names.ts'
import type { MarcDataField, MarcField, MarcRecord } from './schema.ts'

type Contributor = Book['contributors'][number]

/** Its tag and what it holds. */
export type DataField = { tag: string; field: MarcDataField }

export const relators: Record<string, string> = {
  author: 'aut',
  editor: 'edt',
  translator: 'trl',
  illustrator: 'ill',
  narrator: 'nrt',
  composer: 'cmp',
  photographer: 'pht',
  compiler: 'com',
  contributor: 'ctb',
}

/** What a book says, as fields: everything of a record but its leader and control fields. */
export type Said = {
  isbns: DataField[]
  identifiers: DataField[]
  languages: DataField[]
  names: DataField[]
  title: DataField
  edition: DataField[]
  publication: DataField[]
  series: DataField[]
  description: DataField[]
  subjects: DataField[]
  links: DataField[]
  /** The script of the title, and those of the names, by their place among the contributors where that is known. */
  scriptTitle: string | null
  scriptNames: { name: string; of: number | null }[]
}

type Subfield = [code: string, text: string | number | null | undefined]

/** Two characters for the indicators; a subfield without text is left out. */
export function dataField(tag: string, indicators: string, ...subfields: Subfield[]): DataField {
  const [ind1 = ' ', ind2 = ' '] = indicators
  return {
    tag,
    field: {
      ind1,
      ind2,
      subfields: subfields
        .filter(([, text]) => text !== null && text !== undefined && text !== '')
        .map(([code, text]) => ({ [code]: onOneLine(String(text)) })),
    },
  }
}

export const asField = ({ tag, field }: DataField): MarcField => ({ [tag]: field })

/** A full record of the book, in the order of tags; `system` gives its number. */
export function marcOf(book: Book, { system }: { system: string }): MarcRecord {
  const said = saidBy(book)
  const scripts = linkScripts(said, 1)
  const { title, names } = said
  return {
    leader: leaderOf(book),
    fields: [
      { '001': book.id },
      { '003': onOneLine(system) },
      { '005': timeOf(book.updatedAt) },
      { '008': fixedDataOf(book) },
      ...[
        ...[...said.isbns, ...said.identifiers].toSorted((a, b) => a.tag.localeCompare(b.tag)),
        dataField('040', '  ', ['a', system], ['b', 'eng'], ['c', system]),
        ...said.languages,
        ...names.filter(({ tag }) => tag === '100'),
        title,
        ...said.edition,
        ...said.publication,
        ...said.series,
        ...said.description,
        ...said.subjects,
        ...names.filter(({ tag }) => tag !== '100'),
        ...said.links,
        ...scripts,
      ].map(asField),
    ],
  }
}

export function saidBy(book: Book): Said {
  const first = book.contributors.findIndex(({ role }) => role === 'author')
  return {
    isbns: book.isbns.map((isbn) => dataField('020', '  ', ['a', isbn])),
    identifiers: book.identifiers.map(identifierField),
    languages: isPlainLanguage(book.language) ? [] : [dataField('041', ' 7', ['a', book.language], ['2', 'rfc5646'])],
    names: book.contributors.map((contributor, i) => nameField(i === first ? '100' : '700', contributor)),
    title: titleField(book, first >= 0),
    edition: book.edition === null ? [] : [dataField('250', '  ', ['a', book.edition])],
    publication: publicationOf(book),
    series: book.series.map(({ name, number }) =>
      dataField('490', '0 ', ['a', number === null ? name : `${name} ;`], ['v', number]),
    ),
    description: divided(book.description).map((part) => dataField('520', '  ', ['a', part])),
    subjects: book.subjects.map((subject) => dataField('650', ' 4', ['a', subject])),
    links: book.links.map(({ url, label }) => dataField('856', '40', ['u', url], ['y', label])),
    scriptTitle: book.originalScript?.title ?? null,
    scriptNames: (book.originalScript?.contributors ?? []).map((name, i, all) => ({
      name,
      of: all.length === book.contributors.length ? i : null,
    })),
  }
}

/** 'c': corrected; 'am': a printed text, by itself; 'a': UTF-8; '7': minimal level; 'i': with the punctuation of ISBD. Lengths
 *  are ISO 2709's, and stand there as 0. */
const leaderOf = ({ version }: Book) => `00000${version > 1 ? 'c' : 'n'}am a22000007i 4500`

/** yyyymmddhhmmss.f of a moment in UTC. */
export const timeOf = (moment: string) => `${new Date(moment).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}.0`

/** Field 008 of a book: what is not known of it is '|', 'u' or blank, as the position has it. */
function fixedDataOf(book: Book): string {
  const entered = new Date(book.createdAt).toISOString().slice(2, 10).replaceAll('-', '')
  return `${entered}${datesOf(book.publishedYear)}xx |||||||||||||||||${marcLanguage(book.language)} d`
}

/** The kind of date, and two dates. MARC has none before the year 0. */
export function datesOf(year: number | null): string {
  if (year === null) return 'nuuuuuuuu'
  return year < 0 ? 'b        ' : `s${String(year).padStart(4, '0')}    `
}

function identifierField({ scheme, value }: Book['identifiers'][number]): DataField {
  if (scheme === 'lccn') return dataField('010', '  ', ['a', value])
  if (scheme === 'issn') return dataField('022', '  ', ['a', value])
  if (scheme === 'doi') return dataField('024', '7 ', ['a', value], ['2', 'doi'])
  const system = { oclc: 'OCoLC', ol: 'OpenLibrary', goodreads: 'Goodreads' }[scheme]
  // '(DE-588)123': the number of a system that says which.
  if (system === undefined && /^\([^()]+\)./.test(value)) return dataField('035', '  ', ['a', value])
  return system === undefined
    ? dataField('024', '8 ', ['a', value])
    : dataField('035', '  ', ['a', `(${system})${value}`])
}

/** The first indicator says whether the family name stands first. */
function nameField(tag: string, { name, role }: Contributor): DataField {
  return dataField(tag, 'literal' in nameOf(name) ? '0 ' : '1 ', ['a', name], ['4', relators[role]])
}

/** In ISBD the punctuation belongs to what comes next, and stands at the end of what comes before. */
function titleField({ title, subtitle, language, contributors }: Book, hasAuthor: boolean): DataField {
  const authors = contributors.filter(({ role }) => role === 'author').map(({ name }) => directly(name))
  const ends = subtitle === null ? '' : ' :'
  const indicators = `${hasAuthor ? 1 : 0}${nonfilingCharacters(onOneLine(title), language)}`
  if (authors.length === 0) return dataField('245', indicators, ['a', `${title}${ends}`], ['b', subtitle])
  return dataField(
    '245',
    indicators,
    ['a', `${title}${subtitle === null ? ' /' : ends}`],
    ['b', subtitle === null ? null : `${subtitle} /`],
    ['c', `${authors.join(', ')}.`],
  )
}

function directly(text: string) {
  const name = nameOf(text)
  return 'literal' in name ? text : `${name.given} ${name.family}`
}

const yearText = (year: number) => (year < 0 ? `${-year} B.C.` : String(year))

function publicationOf({ publisher, publishedYear }: Book): DataField[] {
  if (publisher === null && publishedYear === null) return []
  const year = publishedYear === null ? null : yearText(publishedYear)
  return [
    dataField(
      '264',
      ' 1',
      ['b', publisher === null || year === null ? publisher : `${publisher},`],
      ['c', year && `${year}.`],
    ),
  ]
}

/** As long as a field of ISO 2709 can be, with room for what else is in it. */
const PART_BYTES_MAX = 9_900

const bytesIn = (text: string) => new TextEncoder().encode(text).length

/** A long description is several fields, each of which ISO 2709 can hold. */
function divided(description: string | null): string[] {
  const parts: string[] = []
  let part = ''
  for (const word of onOneLine(description ?? '').match(/\s*\S{1,2000}/gu) ?? []) {
    if (bytesIn(part + word) > PART_BYTES_MAX) {
      parts.push(part)
      part = ''
    }
    part += word
  }
  return [...parts, part].map((text) => text.trim()).filter((text) => text !== '')
}

/** Fields 880, and the links to them on both sides ($6). Numbers begin with `from`; 00 stands where the other side is not
 *  known (MARC 21, appendix A). */
export function linkScripts(said: Said, from: number): DataField[] {
  let number = from
  const scriptOf = (other: DataField | undefined, tag: string, indicators: string, text: string) => {
    const occurrence = other === undefined ? '00' : String(number++).padStart(2, '0')
    other?.field.subfields.unshift({ 6: `880-${occurrence}` })
    return dataField('880', indicators, ['6', `${tag}-${occurrence}${scriptCode(text)}`], ['a', text])
  }
  const { ind1 } = said.title.field
  return [
    ...(said.scriptTitle === null ? [] : [scriptOf(said.title, '245', `${ind1}0`, said.scriptTitle)]),
    ...said.scriptNames.map(({ name, of }) => {
      const other = of === null || number > 99 ? undefined : said.names[of]
      return scriptOf(other, other?.tag ?? '700', `${other?.field.ind1 ?? 0} `, name)
    }),
  ]
}

/** The codes that $6 has for scripts, and for those that run to the left. */
const scripts: [RegExp, string][] = [
  [/\p{Script=Arabic}/u, '/(3/r'],
  [/\p{Script=Hebrew}/u, '/(2/r'],
  [/\p{Script=Cyrillic}/u, '/(N'],
  [/\p{Script=Greek}/u, '/(S'],
  [/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u, '/$1'],
]

const scriptCode = (text: string) => scripts.find(([form]) => form.test(text))?.[1] ?? ''
