import { readIsbn } from '../../src/features/books/isbn.ts'
import { NewBook } from '../../src/features/books/schema.ts'
import type { Draft } from './piece.ts'

/** A record that fits the limits of POST /v1/books, and a note of everything that was changed or left out for it. What cannot
 *  be made to fit, such as a missing title, stays as it is: the library refuses the record and says why. */
export function fit(draft: Draft): { record: Record<string, unknown>; notes: string[] } {
  const notes: string[] = []
  const note: Note = (field, what) => void notes.push(`${field}: ${what}`.slice(0, 500).toWellFormed())
  const record: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(draft)) {
    if (value === null || value === undefined) continue
    const fitted = fields[field]
    if (fitted === undefined)
      note(field.replaceAll(/\p{C}/gu, ' ').slice(0, 60) || 'a field', 'is not known, and is left out')
    else record[field] = fitted(value, (what) => note(field, what))
  }
  return { record: { ...record, title: record['title'] ?? '' }, notes: notes.slice(0, 100) }
}

type Note = (field: string, what: string) => void
type Say = (what: string) => void
type Fitting = (value: unknown, say: Say) => unknown

// What input.ts refuses in a line, and in several.
// oxlint-disable-next-line no-control-regex -- control characters are what is taken out
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufeff\ufffe\uffff]/g
const BREAKS = /[\t\n\r\u2028\u2029]+/g
const DIRECTION = /[\u202a-\u202e\u2066-\u2069]/g

const quote = (value: unknown) => JSON.stringify(value).replaceAll(/\p{C}/gu, ' ').slice(0, 80)

/** Null where nothing is left. */
function text(value: unknown, { max, several = false }: { max: number; several?: boolean }, say: Say): string | null {
  const given = typeof value === 'number' ? String(value) : value
  if (typeof given !== 'string') {
    say(`${quote(value)} is no text, and is left out`)
    return null
  }
  const sound = given.toWellFormed().normalize('NFC')
  const clean = several
    ? sound.replaceAll(CONTROL, '')
    : sound.replaceAll(BREAKS, ' ').replaceAll(CONTROL, '').replaceAll(DIRECTION, '')
  const trimmed = clean.trim()
  if (clean.length !== given.normalize('NFC').length) say('characters that do not show are left out')
  if (trimmed.length <= max) return trimmed === '' ? null : trimmed
  say(`cut to ${max} characters`)
  return cut(trimmed, max)
}

/** Not through the middle of a character. */
const cut = (value: string, max: number) =>
  value
    .slice(0, max)
    .replace(/[\ud800-\udbff]$/, '')
    .trimEnd()

const line =
  (max: number): Fitting =>
  (value, say) =>
    text(value, { max }, say)

/** Each of a list that is left, at most so many. */
const list =
  (max: number, each: Fitting): Fitting =>
  (value, say) => {
    if (!Array.isArray(value)) {
      say('is no list, and is left out')
      return []
    }
    const left = value.map((one: unknown) => each(one, say)).filter((one) => one !== null)
    if (left.length > max) say(`only ${max} of ${left.length} are kept`)
    return left.slice(0, max)
  }

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** A thing with a text without which it is nothing, and what else there is of it. */
const thing =
  (key: string, max: number, rest: (value: Record<string, unknown>, say: Say) => object | null): Fitting =>
  (value, say) => {
    const given = isObject(value) ? value : { [key]: value }
    const main = text(given[key] ?? '', { max }, say)
    const others = main === null ? null : rest(given, say)
    return main === null || others === null ? null : { [key]: main, ...others }
  }

const optional = (value: unknown, max: number, say: Say) =>
  value === null || value === undefined ? null : text(value, { max }, say)

/** ISO 639-2, of which MARC's codes are, and whatever else is a language tag, as BCP 47. */
function language(value: unknown, say: Say): string | null {
  const fits = (tag: string) => NewBook.shape.language.safeParse(tag).data
  const given = typeof value === 'string' ? value.trim().replaceAll('_', '-') : ''
  if (given === '') return null
  try {
    const found = fits(Intl.getCanonicalLocales(given)[0] ?? '')
    if (typeof found === 'string') return found
  } catch {
    // What is no language tag is said below.
  }
  say(`${quote(value)} is not a language, and is left out`)
  return null
}

function year(value: unknown, say: Say): number | null {
  const number = typeof value === 'number' ? value : NaN
  if (Number.isInteger(number) && number >= -4000 && number <= 2100) return number
  say(`${quote(value)} is not a year, and is left out`)
  return null
}

function isbn(value: unknown, say: Say): string | null {
  const found = typeof value === 'string' ? readIsbn(value.trim()) : null
  if (found === null) say(`${quote(value)} is not an ISBN, and is left out`)
  return found
}

const roles = ['author', 'editor', 'translator', 'illustrator', 'narrator', 'composer', 'photographer', 'compiler']

const contributor = thing('name', 200, ({ role = 'author' }, say) => {
  if (role === 'contributor' || roles.some((known) => known === role)) return { role }
  say(`the role ${quote(role)} is not known: contributor`)
  return { role: 'contributor' }
})

const series = thing('name', 300, ({ number }, say) => ({ number: optional(number, 40, say) }))

const link = thing('url', 2_000, ({ url, label }, say) => {
  const fitted = { url, label: optional(label, 300, say) }
  if (NewBook.shape.links.safeParse([{ ...fitted, url: String(url).trim() }]).success) return { label: fitted.label }
  say(`${quote(url)} is not a web address, and is left out`)
  return null
})

const schemes = ['doi', 'issn', 'lccn', 'oclc', 'ol', 'goodreads', 'other']

const identifier = thing('value', 200, ({ scheme = 'other' }, say) => {
  if (schemes.some((known) => known === scheme)) return { scheme }
  say(`the scheme ${quote(scheme)} is not known: other`)
  return { scheme: 'other' }
})

const fields: Record<string, Fitting> = {
  title: line(500),
  subtitle: line(500),
  contributors: list(100, contributor),
  publisher: line(300),
  publishedYear: year,
  language,
  edition: line(200),
  subjects: list(100, line(200)),
  description: (value, say) => text(value, { max: 10_000, several: true }, say),
  series: list(20, series),
  originalScript: (value, say) => {
    const given = isObject(value) ? value : {}
    return {
      title: optional(given['title'], 500, say),
      contributors: list(100, line(200))(given['contributors'] ?? [], say),
    }
  },
  links: list(50, link),
  isbns: list(50, isbn),
  identifiers: list(50, identifier),
}
