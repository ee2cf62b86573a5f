import { readIsbn } from '../books/isbn.ts'
import type { Book } from '../books/schema.ts'
import { isPlainLanguage, marcLanguage } from './languages.ts'
import { asField, type DataField, datesOf, linkScripts, relators, saidBy, timeOf, yearText } from './marc.ts'
import type { MarcDataField, MarcField, MarcRecord } from './schema.ts'

/** The record with what the book says now. A field of the record stays, with all that is in it, while the book still says what
 *  it says; it goes when the book no longer does, and what no field says is written anew. What the catalogue has no field for
 *  is left alone. Punctuation, case and order of words do not count: catalogues write 'Austen, Jane, 1775-1817.' for what
 *  others call Jane Austen. */
export function mergedMarc({ leader, fields }: MarcRecord, book: Book): MarcRecord {
  const controls = fields.flatMap(controlOf)
  const given = fields.flatMap(dataOf)
  const merged = [...groups.flatMap((group) => group(given, book)), ...given.filter(({ tag }) => !grouped.test(tag))]
  return {
    leader: `${leader.slice(0, 5)}c${leader.slice(6)}`,
    fields: [...controlsOf(controls, { book, given }), ...inOrder(linked(merged)).map(asField)],
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

/** All that the group of fields is when the book has been asked. */
type Group = (given: DataField[], book: Book) => DataField[]

/** For each thing the book says, the fields that say it, or else the field made of it; and the fields that the catalogue does
 *  not read. */
function kept<T>(
  fields: DataField[],
  things: T[],
  {
    says,
    made,
    isRead = () => true,
  }: {
    says: (field: DataField, thing: T) => boolean
    made: (thing: T, i: number) => DataField | undefined
    isRead?: (field: DataField) => boolean
  },
): DataField[] {
  const saying = things.map((thing) => fields.filter((field) => isRead(field) && says(field, thing)))
  const said = new Set(saying.flat())
  return [
    ...fields.filter((field) => said.has(field) || !isRead(field)),
    ...things.flatMap((thing, i) => (saying[i]?.length === 0 ? (made(thing, i) ?? []) : [])),
  ]
}

const NAMES = /^(100|110|111|700|710|711)$/
const NAME_CODES = 'abcdgjnq'
const SUBJECTS = /^(600|610|611|630|648|650|651|653|655)$/
const SERIES = /^(440|490|800|810|811|830)$/
const PUBLICATION = /^(260|264)$/

/** The tags that a group answers for. */
const grouped =
  /^(010|020|022|024|035|041|100|110|111|245|250|260|264|440|490|520|600|610|611|630|648|650|651|653|655|700|710|711|800|810|811|830|856|880)$/

const those = (given: DataField[], form: RegExp) => given.filter(({ tag }) => form.test(tag))

const isbns: Group = (given, book) =>
  kept(those(given, /^020$/), book.isbns, {
    says: (field, isbn) => isbnIn(field) === isbn,
    made: (_, i) => saidBy(book).isbns[i],
    isRead: (field) => isbnIn(field) !== null,
  })

/** $a may go on with what kind of book it is. */
const isbnIn = (field: DataField) => readIsbn(/^[\dXx\s-]+/.exec(textOf(field, 'a').trim())?.[0].trim() ?? '')

/** Numbers are told apart by their digits, which systems pad and prefix. */
const compact = (text: string) => fold(text).replaceAll(/[^\p{L}\p{N}]/gu, '')
const oclc = (text: string) => text.replaceAll(/\D/g, '').replace(/^0+/, '')

/** 010, ISSN, DOI and OCLC numbers have a scheme of ours; other numbers are left alone. */
const isOfScheme = (field: DataField) =>
  textOf(field, 'a') !== '' &&
  (/^(010|022)$/.test(field.tag) ||
    (field.tag === '024' && textOf(field, '2').toLowerCase() === 'doi') ||
    (field.tag === '035' && /^\(OCoLC\)/i.test(textOf(field, 'a'))))

const identifiers: Group = (given, book) => {
  const fields = those(given, /^(010|022|024|035)$/)
  const schemeOf = { '010': 'lccn', '022': 'issn', '024': 'doi', '035': 'oclc' } as Record<string, string>
  const saysIt = (field: DataField, { scheme, value }: Book['identifiers'][number]) =>
    isOfScheme(field)
      ? schemeOf[field.tag] === scheme &&
        (scheme === 'oclc' ? oclc(textOf(field, 'a')) === oclc(value) : compact(textOf(field, 'a')) === compact(value))
      : compact(textOf(field, 'a')).endsWith(compact(value))
  const made = saidBy(book).identifiers
  const written = kept(fields, book.identifiers, { says: saysIt, made: (_, i) => made[i], isRead: isOfScheme })
  const others = fields.filter((field) => !isOfScheme(field))
  // A number of another system that a field of the record has already.
  const isThere = (field: DataField) => {
    const at = made.indexOf(field)
    const identifier = book.identifiers[at]
    return identifier !== undefined && others.some((other) => saysIt(other, identifier))
  }
  return written.filter((field) => !isThere(field))
}

/** The languages stay while the first of them is the book's. */
const languages: Group = (given, book) => {
  const fields = those(given, /^041$/)
  if (!isPlainLanguage(book.language)) {
    const made = saidBy(book).languages
    return fields.some((field) => textsOf(field, 'a').includes(book.language ?? '')) ? fields : made
  }
  const code = marcLanguage(book.language)
  return fields.some((field) => textOf(field, 'a').trim().slice(0, 3) === code) ? fields : []
}

/** What a field says of the role, as we call it. */
function rolesIn(field: DataField): string[] {
  const codes = new Set(textsOf(field, '4').map((text) => text.trim().slice(-3).toLowerCase()))
  const terms = new Set([...textsOf(field, 'e'), ...textsOf(field, 'j')].map((text) => keyOf(text)))
  return Object.entries(relators)
    .filter(([role, code]) => codes.has(code) || terms.has(role) || terms.has(code))
    .map(([role]) => role)
}

/** Whoever wrote or helped needs no relator; an editor who has none was made one by staff. */
const isAnyRole = (role: string) => role === 'author' || role === 'contributor'

const names: Group = (given, book) => {
  // A work that the book has something to do with is no contributor.
  const isRead = (field: DataField) => textOf(field, 't') === '' && field.field.ind2 !== '2'
  const says = (field: DataField, { name, role }: Book['contributors'][number]) => {
    if (!isWithin(name, field, NAME_CODES)) return false
    const roles = rolesIn(field)
    const isSilent = textOf(field, '4e') === ''
    return roles.includes(role) || (isAnyRole(role) && (isSilent || roles.length === 0))
  }
  const hasMain = book.contributors.some((contributor) =>
    given.some((field) => field.tag.startsWith('1') && says(field, contributor)),
  )
  const made = saidBy(book).names
  return kept(those(given, NAMES), book.contributors, {
    says,
    made: (_, i) => {
      const field = made[i]
      return field && hasMain ? { ...field, tag: '700' } : field
    },
    isRead,
  })
}

/** Only $a, $b and their punctuation are changed: who is responsible stays as it stands on the title page. */
const title: Group = (given, book) => {
  const [field] = those(given, /^245$/)
  const made = saidBy(book).title
  if (field === undefined) return [made]
  const own = [book.title, book.subtitle ?? ''].join(' ')
  if (['ab', 'abnp', 'a', 'anp', 'abknp'].some((codes) => isSame(own, textOf(field, codes)))) return [field]
  const stays = field.field.subfields.filter((subfield) => !['a', 'b', 'n', 'p', 'k'].some((code) => code in subfield))
  const responsibility = stays.some((subfield) => 'c' in subfield)
  const parts = made.field.subfields.filter((subfield) => !('c' in subfield))
  const link = stays.filter((subfield) => '6' in subfield)
  const plain = parts.map((subfield) => (responsibility ? subfield : withoutSlash(subfield)))
  const rest = stays.filter((subfield) => !('6' in subfield))
  const ind2 = made.field.ind2
  return [{ tag: '245', field: { ind1: field.field.ind1, ind2, subfields: [...link, ...plain, ...rest] } }]
}

const withoutSlash = (subfield: Record<string, string>) =>
  Object.fromEntries(Object.entries(subfield).map(([code, text]) => [code, text.replace(/ \/$/, '')]))

const edition: Group = (given, book) =>
  kept(those(given, /^250$/), book.edition === null ? [] : [book.edition], {
    says: (field, text) => isSame(text, textOf(field, 'ab')) || isSame(text, textOf(field, 'a')),
    made: () => saidBy(book).edition[0],
  })

/** Places and what else is in the field stay. */
const publication: Group = (given, book) => {
  const fields = those(given, PUBLICATION)
  const [made] = saidBy(book).publication
  const texts = (code: string) => fields.flatMap((field) => [textOf(field, code), ...textsOf(field, code)])
  const { publisher, publishedYear: year } = book
  const isPublisher =
    publisher === null ? texts('b').join('') === '' : texts('b').some((text) => isSame(text, publisher))
  const isYear = year === null || texts('c').some((text) => text.includes(yearText(year)))
  if (fields.length > 0 && isPublisher && isYear) return fields
  const at = Math.max(
    0,
    fields.findIndex((field) => field.tag === '260' || field.field.ind2 === '1'),
  )
  const field = fields[at]
  if (field === undefined) return made ? [made] : []
  const places = field.field.subfields.filter((subfield) => !('b' in subfield) && !('c' in subfield))
  const subfields = [...places, ...(made?.field.subfields ?? [])]
  // Of copyrights and printings the catalogue says nothing.
  return subfields.length === 0
    ? fields.toSpliced(at, 1)
    : fields.with(at, { ...field, field: { ...field.field, subfields } })
}

const series: Group = (given, book) => {
  const made = saidBy(book).series
  return kept(those(given, SERIES), book.series, {
    says: (field, { name, number }) =>
      (isSame(name, textOf(field, 'a')) || isSame(name, textOf(field, 'anp')) || isWithin(name, field, 'abdnpt')) &&
      (number === null ? textOf(field, 'v') === '' : isSame(number, textOf(field, 'v'))),
    made: (_, i) => made[i],
  })
}

/** All of them together are the description, or one of them is. */
const description: Group = (given, book) => {
  const fields = those(given, /^520$/)
  const text = book.description ?? ''
  const isSaid =
    fields.some((field) => isSame(text, textOf(field, 'a')) || isSame(text, textOf(field, 'ab'))) ||
    isSame(text, fields.map((field) => textOf(field, 'a')).join(' ')) ||
    isSame(text, fields.map((field) => textOf(field, 'ab')).join(' '))
  return isSaid ? fields : saidBy(book).description
}

/** What the tag always has for subjects; the others only where one of their fields is a subject of the book. */
const subjects: Group = (given, book) => {
  const fields = those(given, SUBJECTS)
  const says = (field: DataField, subject: string) =>
    ['a', 'avxyz', 'abcdfghklmnopqrstvxyz'].some((codes) => isSame(subject, textOf(field, codes)))
  const read = new Set([
    '650',
    '653',
    ...fields.filter((field) => book.subjects.some((subject) => says(field, subject))).map(({ tag }) => tag),
  ])
  const made = saidBy(book).subjects
  // A field 653 may hold several.
  const saysOne = (field: DataField, subject: string) =>
    says(field, subject) || (field.tag === '653' && textsOf(field, 'a').some((text) => isSame(text, subject)))
  return kept(fields, book.subjects, { says: saysOne, made: (_, i) => made[i], isRead: ({ tag }) => read.has(tag) })
}

/** Links to something else than the book, of which the second indicator tells, are left alone. */
const links: Group = (given, book) => {
  const made = saidBy(book).links
  return kept(those(given, /^856$/), book.links, {
    says: (field, { url, label }) =>
      textsOf(field, 'u').some((text) => text.trim() === url) &&
      (label === null
        ? textOf(field, 'y') === ''
        : ['y', '3', 'z', 'y3', 'y3z'].some((codes) => isSame(label, textOf(field, codes)))),
    made: (_, i) => made[i],
    isRead: (field) => field.field.ind2 !== '2' && /^https?:/i.test(textOf(field, 'u').trim()),
  })
}

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
        .filter((name) => !people.some((field) => isWithin(name, field, NAME_CODES)))
        .map((name) => ({ name, of: null })),
    },
    1 + Math.max(0, ...fields.map((field) => Number(/-(\d\d)/.exec(textOf(field, '6'))?.[1] ?? 0))),
  )
  return [
    ...fields.filter((field) => !titles.includes(field) && !people.includes(field)),
    ...titles.filter((field) => own !== null && isTitle(field, own)),
    ...people.filter((field) => script?.contributors.some((name) => isWithin(name, field, NAME_CODES))),
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

/** By the hundred, as records are read; within it as they stood. */
function inOrder(fields: DataField[]): DataField[] {
  const placeOf = ({ tag }: DataField) => (/^[01]/.test(tag) ? tag : tag.slice(0, 1))
  return fields.toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : placeOf(a) > placeOf(b) ? 1 : 0))
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
  const { publishedYear: year } = book
  const dates = [own.slice(7, 11), own.slice(11, 15)]
  const inText = those(given, PUBLICATION).map((field) => textOf(field, 'c'))
  const isSaid =
    year !== null &&
    (dates.includes(String(year).padStart(4, '0')) || inText.some((its) => its.includes(yearText(year))))
  const isSilent = year === null && dates.every((date) => !/^\d{4}$/.test(date))
  const code = marcLanguage(book.language)
  const isNone = book.language === null && /^(mul|zxx|und|[^a-z]{3})$/.test(own.slice(35, 38))
  const language = isNone ? own.slice(35, 38) : code
  return `${own.slice(0, 6)}${isSaid || isSilent ? own.slice(6, 15) : datesOf(year)}${own.slice(15, 35)}${language}${own.slice(38)}`
}
