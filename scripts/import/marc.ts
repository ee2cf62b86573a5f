import { type DataField, isDataField, type MarcField, type MarcRecord } from './marc-record.ts'
import type { Draft } from './piece.ts'

/** What of a MARC 21 bibliographic record (loc.gov/marc/bibliographic) goes into which field of ours. The rest is kept in the
 *  MARC record that goes with the book. */

const relators: Record<string, string> = {
  ...{ aut: 'author', edt: 'editor', trl: 'translator', ill: 'illustrator', nrt: 'narrator', cmp: 'composer' },
  ...{ pht: 'photographer', com: 'compiler', ctb: 'contributor', art: 'illustrator', dub: 'author' },
  ...{ author: 'author', editor: 'editor', ed: 'editor', translator: 'translator', tr: 'translator' },
  ...{ illustrator: 'illustrator', artist: 'illustrator', narrator: 'narrator', composer: 'composer' },
  ...{ photographer: 'photographer', compiler: 'compiler', comp: 'compiler', contributor: 'contributor' },
}

/** A responsible name without a role of its own: the main entry is the author's. */
const nameFields: Record<string, { parts: string; role: string }> = {
  '100': { parts: 'abcq', role: 'author' },
  '110': { parts: 'ab', role: 'author' },
  '111': { parts: 'a', role: 'author' },
  '700': { parts: 'abcq', role: 'contributor' },
  '710': { parts: 'ab', role: 'contributor' },
  '711': { parts: 'a', role: 'contributor' },
}

/** Names and titles of a subject heading, then its subdivisions. */
const SUBJECTS = /^(600|610|611|630|648|650|651|653|655)$/
const SUBJECT_PARTS = 'abcdqt'
const SUBDIVISIONS = 'vxyz'

/** In this order: a summary, the contents, general notes. */
const descriptionFields = ['520', '505', '500']

/** What is read of a record, with notes about what could not be. */
export function recordOf(marc: MarcRecord, notes: string[]): { draft: Draft; notes: string[] } {
  const data = marc.fields.filter(isDataField)
  const of = (...tags: string[]) => data.filter(({ tag }) => tags.includes(tag))
  const title = of('245')[0]
  return {
    draft: {
      title: title === undefined ? undefined : titleOf(title),
      subtitle: title === undefined ? null : trimIsbd(join(title, 'b')) || null,
      contributors: contributorsIn(data),
      publisher: publisherIn(of('264', '260')),
      publishedYear: yearIn(of('264', '260'), controlField(marc, '008')),
      language: languageIn(of('041'), controlField(marc, '008')),
      edition: first(of('250').map((field) => trimIsbd(join(field, 'ab')))),
      subjects: unique(data.filter(({ tag }) => SUBJECTS.test(tag)).map(subjectOf)),
      description: descriptionIn(of),
      series: seriesIn(of('490', '440', '830')),
      originalScript: originalScriptIn(of('880')),
      links: of('856').flatMap(linksOf),
      isbns: of('020').flatMap((field) => values(field, 'a').map(isbnOf)),
      identifiers: identifiersIn(of),
    },
    notes,
  }
}

type Of = (...tags: string[]) => DataField[]

const values = ({ subfields }: DataField, codes: string) =>
  subfields
    .filter(({ code }) => codes.includes(code))
    .map(({ value }) => value.trim())
    .filter((value) => value !== '')

const join = (field: DataField, codes: string) => values(field, codes).join(' ')
const first = (texts: string[]) => texts.find((text) => text !== '') ?? null
const unique = (texts: string[]) => [...new Set(texts.filter((text) => text !== ''))]

const controlField = ({ fields }: MarcRecord, tag: string) =>
  fields.find((field): field is Extract<MarcField, { value: string }> => field.tag === tag && !isDataField(field))
    ?.value ?? ''

/** Without the punctuation that ISBD puts between elements. A full stop belongs to an initial or an abbreviation when the
 *  word before it is short. */
const trimIsbd = (text: string) =>
  text
    .trim()
    .replace(/\s*[/:;,=]+$/, '')
    .replace(/(\p{L}{4,}|[\p{N})\]"'”’?!])\.$/u, '$1')
    .trim()

function titleOf(field: DataField): string {
  const own = trimIsbd(join(field, 'a'))
  const parts = values(field, 'np').map(trimIsbd)
  return [own || trimIsbd(join(field, 'kb')), ...parts].filter((text) => text !== '').join('. ')
}

function contributorsIn(fields: DataField[]) {
  const found = new Map<string, { name: string; role: string }>()
  for (const field of fields) {
    const kind = nameFields[field.tag]
    // A name with a title is of another work, which this one holds or is about.
    if (kind === undefined || values(field, 't').length > 0) continue
    const name = nameOf(field, kind.parts)
    if (name !== '' && !found.has(name)) found.set(name, { name, role: roleOf(field) ?? kind.role })
  }
  return [...found.values()]
}

const nameOf = (field: DataField, parts: string) => trimIsbd(join(field, parts))

function roleOf(field: DataField): string | null {
  const codes = values(field, '4').map((value) => value.toLowerCase().split('/').at(-1) ?? '')
  const terms = values(field, 'e').map((value) => value.toLowerCase().replace(/[.,;]+$/, ''))
  const given = [...codes, ...terms]
  return first(given.map((role) => relators[role] ?? '')) ?? (given.length > 0 ? 'contributor' : null)
}

/** 264 with a second indicator of 1 speaks of publication; others of printing, distribution or copyright. */
const publications = (fields: DataField[]) => {
  const published = fields.filter(({ tag, ind2 }) => tag === '260' || ind2 === '1')
  return published.length > 0 ? published : fields
}

const publisherIn = (fields: DataField[]) =>
  first(publications(fields).map((field) => trimIsbd(values(field, 'b')[0] ?? '')))

function yearIn(fields: DataField[], fixed: string): number | null {
  const dates = publications(fields).flatMap((field) => values(field, 'c'))
  const [year] = [...dates, fixed.slice(7, 11)].flatMap((date) => /(?<![0-9])[0-9]{4}(?![0-9])/.exec(date) ?? [])
  return year === undefined || year === '9999' ? null : Number(year)
}

/** Codes of three letters, which fit.ts makes BCP 47 of; several and none are no language. */
function languageIn(fields: DataField[], fixed: string): string | null {
  const codes = [...fields.flatMap((field) => values(field, 'a').map((code) => code.slice(0, 3))), fixed.slice(35, 38)]
  return first(
    codes.map((code) => code.toLowerCase()).filter((code) => /^[a-z]{3}$/.test(code) && !/^(mul|und|zxx)$/.test(code)),
  )
}

function subjectOf(field: DataField): string {
  const heading = trimIsbd(join(field, SUBJECT_PARTS))
  const subdivisions = values(field, SUBDIVISIONS).map(trimIsbd)
  return [heading, ...subdivisions].filter((text) => text !== '').join(' -- ')
}

function descriptionIn(of: Of): string | null {
  const notes = descriptionFields.flatMap((tag) => of(tag).map((field) => join(field, 'abtgr')))
  return notes.filter((note) => note !== '').join('\n') || null
}

/** 490 and 830 name the same series as it stands there and as it is catalogued: once is enough. */
function seriesIn(fields: DataField[]) {
  const found = new Map<string, { name: string; number: string | null }>()
  for (const field of fields) {
    const name = trimIsbd(join(field, 'anp'))
    const key = name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    const number = first(values(field, 'v').map(trimIsbd))
    if (name !== '') found.set(key, { name: found.get(key)?.name ?? name, number: found.get(key)?.number ?? number })
  }
  return [...found.values()]
}

/** 880 says in $6 which field it stands beside: 245-01/$1. */
function originalScriptIn(fields: DataField[]) {
  const beside = (tag: string) => fields.filter((field) => (values(field, '6')[0] ?? '').startsWith(tag))
  const title = first(beside('245').map((field) => trimIsbd(join(field, 'abnp'))))
  const contributors = unique(
    Object.entries(nameFields).flatMap(([tag, { parts }]) => beside(tag).map((field) => nameOf(field, parts))),
  )
  return title === null && contributors.length === 0 ? null : { title, contributors }
}

const linksOf = (field: DataField) =>
  values(field, 'u').map((url) => ({ url, label: first(['y', '3', 'z'].map((code) => join(field, code))) }))

/** $a may go on with a binding or a price: 0123456789 (pbk.) : $9.95. */
const isbnOf = (value: string) => /^[0-9Xx\s-]*[0-9Xx]/.exec(value.replace(/^ISBN:?\s*/i, ''))?.[0].trim() ?? value

function identifiersIn(of: Of) {
  const dois = of('024').filter((field) => field.ind1 === '7' && values(field, '2').includes('doi'))
  return [
    ...of('010').flatMap((field) => values(field, 'a').map((value) => ({ scheme: 'lccn', value }))),
    ...of('022').flatMap((field) => values(field, 'a').map((value) => ({ scheme: 'issn', value }))),
    ...dois.flatMap((field) => values(field, 'a').map((value) => ({ scheme: 'doi', value }))),
    ...of('035').flatMap((field) => values(field, 'a').map(systemNumber)),
  ]
}

/** (OCoLC)ocm12345678 is number 12345678 of WorldCat. */
function systemNumber(value: string) {
  const oclc = /^\(OCoLC\)\s*(?:oc[mn]|on)?0*([0-9]+)/i.exec(value)?.[1]
  return oclc === undefined ? { scheme: 'other', value } : { scheme: 'oclc', value: oclc }
}
