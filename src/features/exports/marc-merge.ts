import { readIsbn } from '../books/isbn.ts'
import type { Book } from '../books/schema.ts'
import { onOneLine } from './line.ts'
import { isPlainLanguage, marcLanguage } from './languages.ts'
import { asField, type DataField, datesOf, linkScripts, relators, saidBy, timeOf } from './marc.ts'
import type { MarcDataField, MarcField, MarcRecord } from './schema.ts'

/** The record with what the book says now. A field of the record stays, with all that is in it, while the book still says what
 *  scripts/import/marc.ts reads there; it goes when the book no longer does, and what no field says is written anew. What the
 *  catalogue has no field for is left alone. Punctuation, case and order of words do not count: what stands in the catalogue
 *  has been trimmed. */
export function mergedMarc({ leader, fields }: MarcRecord, book: Book): MarcRecord {
  const controls = fields.flatMap(controlOf)
  const given = fields.flatMap(dataOf)
  const fixed = controls.find(({ tag }) => tag === '008')?.text ?? ''
  const merged = [
    ...groups.flatMap((group) => group(given, book, fixed)),
    ...given.filter(({ tag }) => !grouped.test(tag)),
  ]
  return {
    leader: `${leader.slice(0, 5)}c${leader.slice(6)}`,
    fields: [...controlsOf(controls, { book, given }), ...linked(inOrder(given, merged)).map(asField)],
  }
}

type Control = { tag: string; text: string }

const controlOf = (field: MarcField): Control[] =>
  Object.entries(field).flatMap(([tag, content]) => (typeof content === 'string' ? [{ tag, text: content }] : []))

const dataOf = (field: MarcField): DataField[] =>
  Object.entries(field).flatMap(([tag, content]) =>
    typeof content === 'string' ? [] : [{ tag, field: copyOf(content) }],
  )

const copyOf = ({ subfields, ...rest }: MarcDataField) => ({ ...rest, subfields: subfields.map((its) => ({ ...its })) })

// Words

const fold = (text: string) => text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase()

const wordsOf = (text: string) =>
  fold(text)
    .match(/[\p{L}\p{N}]+/gu)
    ?.toSorted() ?? []

/** What is written in signs alone has no words, and is compared as it stands. */
const keyOf = (text: string) => wordsOf(text).join(' ') || fold(text).replaceAll(/\s+/g, '')

const isSame = (a: string, b: string) => keyOf(a) === keyOf(b)

const textOf = ({ field }: DataField, codes: string) =>
  field.subfields
    .flatMap((subfield) => Object.entries(subfield))
    .filter(([code]) => codes.includes(code))
    .map(([, text]) => text)
    .join(' ')

const textsOf = ({ field }: DataField, code: string) => field.subfields.flatMap(({ [code]: text }) => text ?? [])

/** Whether the text has all words of $a, and none that stands in none of the codes. */
function isWithin(text: string, field: DataField, codes: string) {
  const words = new Set(wordsOf(text))
  const all = new Set(wordsOf(textOf(field, codes)))
  if (words.size === 0) return isSame(text, textOf(field, 'a'))
  return [...words].every((word) => all.has(word)) && wordsOf(textOf(field, 'a')).every((word) => words.has(word))
}

// Groups of fields

/** All that the group of fields is when the book has been asked; `fixed`: field 008. */
type Group = (given: DataField[], book: Book, fixed: string) => DataField[]

/** For each thing the book says, the fields that say it, or else the field made of it; and the fields that are not read. */
function kept<T>(
  fields: DataField[],
  things: T[],
  {
    says,
    made,
    isRead = () => true,
  }: {
    says: (field: DataField, thing: T) => boolean
    made: DataField[]
    isRead?: (field: DataField) => boolean
  },
): DataField[] {
  const saying = things.map((thing) => fields.filter((field) => isRead(field) && says(field, thing)))
  const said = new Set(saying.flat())
  return [
    ...fields.filter((field) => said.has(field) || !isRead(field)),
    ...made.filter((_, i) => saying[i]?.length === 0),
  ]
}

const NAMES = /^(100|110|111|700|710|711)$/
const SUBJECTS = /^(600|610|611|630|648|650|651|653|655)$/
const SERIES = /^(440|490|830)$/
const PUBLICATION = /^(260|264)$/
const NOTES = /^(500|505|520)$/

/** The tags that a group answers for. */
const others = /^(010|020|022|024|035|041|245|250|856|880)$/
const grouped = new RegExp([NAMES, SUBJECTS, SERIES, PUBLICATION, NOTES, others].map(({ source }) => source).join('|'))

const those = (given: DataField[], form: RegExp) => given.filter(({ tag }) => form.test(tag))

const isbns: Group = (given, book) =>
  kept(those(given, /^020$/), book.isbns, {
    says: (field, isbn) => isbnsIn(field).includes(isbn),
    made: saidBy(book).isbns,
    isRead: (field) => isbnsIn(field).length > 0,
  })

/** $a may go on with a binding or a price. */
const isbnsIn = (field: DataField) =>
  textsOf(field, 'a').flatMap((text) => readIsbn(/^(ISBN:?)?[\dXx\s-]+/i.exec(text.trim())?.[0].trim() ?? '') ?? [])

const identifiers: Group = (given, book) =>
  kept(those(given, /^(010|022|024|035)$/), book.identifiers, {
    says: (field, { scheme, value }) =>
      schemeOf(field) === scheme &&
      (scheme === 'oclc' ? digits : keyOf)(textOf(field, 'a')) === (scheme === 'oclc' ? digits : keyOf)(value),
    made: saidBy(book).identifiers,
    isRead: (field) => schemeOf(field) !== null,
  })

/** Numbers of WorldCat are padded and prefixed. */
const digits = (text: string) => text.replaceAll(/\D/g, '').replace(/^0+/, '')

const isOclc = (field: DataField) => /^\(OCoLC\)/i.test(textOf(field, 'a').trim())

function schemeOf(field: DataField): string | null {
  if (textOf(field, 'a') === '') return null
  if (field.tag === '010') return 'lccn'
  if (field.tag === '022') return 'issn'
  if (field.tag === '035') return isOclc(field) ? 'oclc' : 'other'
  return field.field.ind1 === '7' && textsOf(field, '2').includes('doi') ? 'doi' : null
}

/** The record's first language, as a code of MARC. */
function languageIn(given: DataField[], fixed: string): string {
  const codes = those(given, /^041$/).flatMap((field) => textsOf(field, 'a').map((text) => text.trim().slice(0, 3)))
  return (
    [...codes, fixed.slice(35, 38)].find((code) => /^[a-z]{3}$/.test(code) && !/^(mul|und|zxx)$/.test(code)) ?? 'und'
  )
}

const languages: Group = (given, book, fixed) => {
  const isSaid = languageIn(given, fixed) === marcLanguage(book.language)
  const fields = isSaid ? those(given, /^041$/) : []
  const isWhole =
    isPlainLanguage(book.language) || fields.some((field) => textsOf(field, 'a').includes(book.language ?? ''))
  return isWhole ? fields : [...fields, ...saidBy(book).languages]
}

const synonyms: Record<string, string> = {
  ...{ art: 'illustrator', artist: 'illustrator', dub: 'author', ed: 'editor', tr: 'translator', comp: 'compiler' },
  ...Object.fromEntries(
    Object.entries(relators).flatMap(([role, code]) => [
      [role, role],
      [code, role],
    ]),
  ),
}

/** The roles that a field says, or that it has without saying so. */
function rolesIn(field: DataField): string[] {
  const codes = textsOf(field, '4').map((text) => text.trim().toLowerCase().split('/').at(-1) ?? '')
  const given = [...codes, ...textsOf(field, 'e').map(keyOf)]
  if (given.length === 0) return [field.tag.startsWith('1') ? 'author' : 'contributor']
  const known = given.flatMap((term) => synonyms[term] ?? [])
  return known.length === 0 ? ['contributor'] : known
}

/** Who has another role now keeps the field, with all that it says of the name. */
const names: Group = (given, book) => {
  // A name with a title is of another work.
  const isRead = (field: DataField) => textOf(field, 't') === ''
  const says = (field: DataField, { name }: Book['contributors'][number]) => isWithin(name, field, 'abcdgjnq')
  const fields = those(given, NAMES)
  const read = fields.filter(isRead)
  const hasMain = read.some((field) => field.tag.startsWith('1') && book.contributors.some((its) => says(field, its)))
  const made = saidBy(book).names.map(({ tag, field }) => ({ tag: hasMain ? '700' : tag, field }))
  return kept(fields, book.contributors, { says, made, isRead }).map((field) => {
    if (!read.includes(field)) return field
    const wanted = book.contributors.filter((its) => says(field, its))
    const isSaid = wanted.some(({ name, role }) =>
      read.some((its) => isWithin(name, its, 'abcdgjnq') && rolesIn(its).includes(role)),
    )
    return isSaid
      ? field
      : withRoles(
          field,
          wanted.map(({ role }) => role),
        )
  })
}

const withRoles = ({ tag, field }: DataField, roles: string[]): DataField => ({
  tag,
  field: {
    ...field,
    subfields: [
      ...field.subfields.filter((subfield) => !('e' in subfield) && !('4' in subfield)),
      ...roles.flatMap((role) => (relators[role] === undefined ? [] : [{ 4: relators[role] }])),
    ],
  },
})

/** Only $a, $b and their punctuation are changed: who is responsible stays as it stands on the title page. */
const title: Group = (given, book) => {
  const [field] = those(given, /^245$/)
  const made = saidBy(book).title
  if (field === undefined) return [made]
  if (isSame([book.title, book.subtitle ?? ''].join(' '), textOf(field, 'abnp'))) return [field]
  const stays = field.field.subfields.filter((subfield) => !['a', 'b', 'n', 'p', 'k'].some((code) => code in subfield))
  const parts = made.field.subfields.filter((subfield) => !('c' in subfield)).map(withoutSlash)
  const last = parts.length - 1
  const hasSlash = stays.some((subfield) => 'c' in subfield)
  return [
    {
      tag: '245',
      field: {
        ind1: field.field.ind1,
        ind2: made.field.ind2,
        subfields: [
          ...stays.filter((subfield) => '6' in subfield),
          ...parts.map((part, i) => (hasSlash && i === last ? changed(part, (text) => `${text} /`) : part)),
          ...stays.filter((subfield) => !('6' in subfield)),
        ],
      },
    },
  ]
}

const changed = (subfield: Record<string, string>, change: (text: string) => string) =>
  Object.fromEntries(Object.entries(subfield).map(([code, text]) => [code, change(text)]))

const withoutSlash = (subfield: Record<string, string>) => changed(subfield, (text) => text.replace(/ \/$/, ''))

const edition: Group = (given, book) => {
  const fields = those(given, /^250$/)
  return isSame(book.edition ?? '', fields[0] ? textOf(fields[0], 'ab') : '') ? fields : saidBy(book).edition
}

const published = (given: DataField[]) => {
  const fields = those(given, PUBLICATION)
  const own = fields.filter(({ tag, field }) => tag === '260' || field.ind2 === '1')
  return own.length > 0 ? own : fields
}

/** The year that the record says, in its text or else in field 008. */
function yearIn(given: DataField[], fixed: string): number | null {
  const texts = [...published(given).flatMap((field) => textsOf(field, 'c')), fixed.slice(7, 11)]
  const [year] = texts.flatMap((text) => /(?<![0-9])[0-9]{4}(?![0-9])/.exec(text) ?? [])
  return year === undefined || year === '9999' ? null : Number(year)
}

/** Places and what else is in the field stay. */
const publication: Group = (given, book, fixed) => {
  const fields = those(given, PUBLICATION)
  const [made] = saidBy(book).publication
  const own = published(given)
  const publisher = own.flatMap((field) => textsOf(field, 'b')).find((text) => text.trim() !== '') ?? ''
  if (isSame(book.publisher ?? '', publisher) && yearIn(given, fixed) === book.publishedYear) return fields
  const [field] = own
  if (field === undefined) return made ? [made] : []
  const stays = field.field.subfields.filter((subfield) => !('b' in subfield) && !('c' in subfield))
  const subfields = [...stays, ...(made?.field.subfields ?? [])]
  const rewritten = { tag: field.tag, field: { ...field.field, subfields } }
  // The others of its kind would say something else again.
  return [...(subfields.length === 0 ? [] : [rewritten]), ...fields.filter((its) => !own.includes(its))]
}

/** 490 and 830 name the same series, and one of them its number. */
const series: Group = (given, book) => {
  const fields = those(given, SERIES)
  const isOf = (field: DataField, name: string) => isSame(name, textOf(field, 'anp'))
  return kept(fields, book.series, {
    says: (field, { name, number }) => {
      const own = textOf(field, 'v')
      if (!isOf(field, name)) return false
      if (number === null || own !== '') return isSame(number ?? '', own)
      return fields.some((other) => isOf(other, name) && isSame(number, textOf(other, 'v')))
    },
    made: saidBy(book).series,
  })
}

/** The longest that a description can be: what came in was cut there. */
const isCut = (description: string) => description.length > 9_900

/** A summary, contents and notes are a line each of the description. What is new of it is a summary. */
const description: Group = (given, book) => {
  const fields = those(given, NOTES)
  const text = book.description ?? ''
  const whole = [...fields].map((field) => textOf(field, 'abtgr'))
  const said = text.split('\n').filter((its) => its.trim() !== '')
  const isSaid = (note: string) =>
    said.some((its) => isSame(its, note)) ||
    (isCut(text) && onOneLine(note).startsWith(onOneLine(said.at(-1) ?? '').slice(0, -1)))
  const stays = fields.filter((_, i) => isSaid(whole[i] ?? ''))
  const written = new Set(stays.map((field) => keyOf(textOf(field, 'abtgr'))))
  const rest = said.filter(
    (its, i) => !written.has(keyOf(its)) && !(isCut(text) && i === said.length - 1 && stays.length > 0),
  )
  return [...stays, ...saidBy({ ...book, description: rest.length === 0 ? null : rest.join('\n') }).description]
}

const subjects: Group = (given, book) =>
  kept(those(given, SUBJECTS), book.subjects, {
    says: (field, subject) => isSame(subject, textOf(field, 'abcdqtvxyz')),
    made: saidBy(book).subjects,
  })

const links: Group = (given, book) =>
  kept(those(given, /^856$/), book.links, {
    says: (field, { url, label }) => {
      const own = ['y', '3', 'z'].map((code) => textOf(field, code)).find((text) => text !== '') ?? ''
      return textsOf(field, 'u').some((text) => text.trim() === url) && isSame(label ?? '', own)
    },
    made: saidBy(book).links,
    isRead: (field) => textsOf(field, 'u').some((text) => /^https?:/i.test(text.trim())),
  })

/** The other script of the title and of names; of other fields it stays with them. */
const originalScript: Group = (given, book) => {
  const fields = those(given, /^880$/)
  const script = book.originalScript
  const tagOf = (field: DataField) => textOf(field, '6').slice(0, 3)
  const titles = fields.filter((field) => tagOf(field) === '245')
  const people = fields.filter((field) => NAMES.test(tagOf(field)))
  const own = script?.title ?? null
  const made = linkScripts(
    {
      ...saidBy(book),
      scriptTitle: own !== null && titles.some((field) => isTitle(field, own)) ? null : own,
      scriptNames: (script?.contributors ?? [])
        .filter((name) => !people.some((field) => isWithin(name, field, 'abcdgjnq')))
        .map((name) => ({ name, of: null })),
    },
    1 + Math.max(0, ...fields.map((field) => Number(/-(\d\d)/.exec(textOf(field, '6'))?.[1] ?? 0))),
  )
  return [
    ...fields.filter((field) => !titles.includes(field) && !people.includes(field)),
    ...titles.filter((field) => own !== null && isTitle(field, own)),
    ...people.filter((field) => script?.contributors.some((name) => isWithin(name, field, 'abcdgjnq'))),
    ...made.map(unlinked),
  ]
}

const isTitle = (field: DataField, own: string) =>
  ['a', 'ab', 'abnp'].some((codes) => isSame(own, textOf(field, codes)))

/** Written anew, it stands for no field of the record. */
const unlinked = (field: DataField): DataField => withLink(field, (link) => link.replace(/-\d\d/, '-00'))

const withLink = ({ tag, field }: DataField, change: (link: string) => string | null): DataField => ({
  tag,
  field: {
    ...field,
    subfields: field.subfields.flatMap((subfield) => {
      const { 6: link } = subfield
      if (link === undefined) return [subfield]
      const changed = change(link)
      return changed === null ? [] : [{ 6: changed }]
    }),
  },
})

const groups: Group[] = [
  isbns,
  identifiers,
  languages,
  names,
  title,
  edition,
  publication,
  series,
  description,
  subjects,
  links,
  originalScript,
]

/** A field whose other side has gone is linked to nothing: $6 goes, or says 00 where it tells what the field stands for. */
function linked(fields: DataField[]): DataField[] {
  const linksOf = (field: DataField) => /^(\d{3})-(\d\d)/.exec(textOf(field, '6')) ?? []
  const sides = new Set(fields.map((field) => `${field.tag === '880' ? '880' : 'own'}-${linksOf(field)[2]}`))
  return fields.map((field) => {
    const [, , number] = linksOf(field)
    if (number === undefined || number === '00') return field
    if (field.tag === '880') return sides.has(`own-${number}`) ? field : unlinked(field)
    return sides.has(`880-${number}`) ? field : withLink(field, () => null)
  })
}

/** As they stood, and what is new behind its like. */
function inOrder(given: DataField[], merged: DataField[]): DataField[] {
  const all = new Set(merged)
  const stood = new Set(given)
  const fields = given.filter((field) => all.has(field))
  for (const field of merged.filter((its) => !stood.has(its))) {
    fields.splice(fields.findLastIndex(({ tag }) => tag <= field.tag) + 1, 0, field)
  }
  return fields
}

// Control fields

/** When it was changed, and of field 008 the dates and the language where the book has others. */
function controlsOf(controls: Control[], { book, given }: { book: Book; given: DataField[] }): MarcField[] {
  const changed = { tag: '005', text: timeOf(book.updatedAt) }
  const rest = controls.filter(({ tag }) => tag !== '005')
  return [...rest, changed]
    .toSorted((a, b) => (a.tag < b.tag ? -1 : a.tag > b.tag ? 1 : 0))
    .map(({ tag, text }) => ({ [tag]: tag === '008' ? fixedData(text, { book, given }) : text }))
}

function fixedData(text: string, { book, given }: { book: Book; given: DataField[] }): string {
  const own = text.padEnd(40).slice(0, 40)
  const dates = yearIn(given, own) === book.publishedYear ? own.slice(6, 15) : datesOf(book.publishedYear)
  const code = marcLanguage(book.language)
  const language = languageIn(given, own) === code ? own.slice(35, 38) : code
  return `${own.slice(0, 6)}${dates}${own.slice(15, 35)}${language}${own.slice(38)}`
}
