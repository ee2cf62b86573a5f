import fc from 'fast-check'
import type { Terms } from '../../src/features/policies/schema.ts'
import { DAY, HOUR, type Hours } from './days.ts'
import type { Format, Library } from './library.ts'

/** A small library, where much collides: four patrons, two books, a copy or two of each, and limits that are soon met. */

export const STAFF = 'Staff'
export const PATRONS = ['Ann', 'Ben', 'Cleo', 'Dev']
export const BOOKS = ['Book-A', 'Book-B']

export type Setting = {
  zone: string
  start: string
  week: Hours[]
  categories: string[]
  policies: { category: string | null; format: Format | null; terms: Terms }[]
  /** Of each book: so many physical copies, and licences with so many loans left and days until they end. */
  copies: { physical: number; licences: Licence[] }[]
}

export type Licence = { loansLeft: number | null; days: number | null }

/** Of several values the first is the plainest: histories that fail are made simpler towards it. */
const of = fc.constantFrom

const usual: Hours = { opens: '09:00', closes: '18:00' }

/** In most of them clocks change at night within weeks of the start; in Santiago at midnight. */
export const zones = of(
  'Europe/Berlin',
  'UTC',
  'America/New_York',
  'America/Santiago',
  'Asia/Kolkata',
  'Pacific/Auckland',
)

const starts = of('2026-03-20T09:00:00Z', '2026-10-19T22:30:00Z', '2026-08-27T03:59:59Z')

export const hours = of<Hours[]>(usual, { opens: '00:00', closes: '24:00' }, { opens: '10:00', closes: '12:30' })

export const weeks = fc
  .tuple(hours, fc.subarray([6, 5, 0]))
  .map(([hours, closed]) => [0, 1, 2, 3, 4, 5, 6].map((day) => (closed.includes(day) ? null : hours)))

export const overridable = of<Terms['overridable'][]>(
  ['account-expired', 'patron-blocked', 'fee-limit-reached', 'overdue-limit-reached'],
  ['loan-limit-reached', 'hold-limit-reached', 'renewal-limit-reached', 'patron-blocked'],
  [],
)

const endsOfTerms = ['2026-03-29', '2026-04-10', '2026-09-05', '2026-10-30', '2026-11-15']

export const terms = {
  loanDays: of(7, 1, 3, 14, 28),
  renewalLimit: of(1, 2, 3, 0),
  loanLimit: of(2, 3, 4, 4, 4, 1, 0),
  holdLimit: of(2, 3, 4, 4, 1, 0),
  collectDays: of(2, 1, 6),
  graceDays: of(0, 1, 3),
  feePerDay: of(0, 20, 150),
  feeMax: of(100, 400, 1000, 0),
  lostFee: of(0, 300, 1500),
  feeLimit: of(null, null, null, 1000, 300, 1),
  overdueLimit: of(null, null, 2, 1),
  dueDates: fc.oneof(
    { weight: 3, arbitrary: fc.constant<string[]>([]) },
    { weight: 1, arbitrary: fc.subarray(endsOfTerms) },
  ),
  overridable,
} satisfies { [Term in keyof Terms]: fc.Arbitrary<Terms[Term]> }

const scopes: { category: string | null; format: Format | null }[] = [
  { category: 'student', format: null },
  { category: null, format: 'digital' },
  { category: 'student', format: 'digital' },
]

const policies = fc
  .tuple(fc.record(terms), fc.subarray(scopes), fc.tuple(fc.record(terms), fc.record(terms), fc.record(terms)))
  .map(([standard, special, specials]) => {
    const terms = [standard, ...specials]
    return [{ category: null, format: null }, ...special].map(({ category, format }, index) => ({
      category,
      format,
      terms: terms[index] ?? standard,
    }))
  })

export const licences: fc.Arbitrary<Licence> = fc.record({
  loansLeft: of(null, 1, 2, 0),
  days: of(null, 3, 10, 0.5, -1),
})

export const settings: fc.Arbitrary<Setting> = fc.record({
  zone: zones,
  start: starts,
  week: weeks,
  categories: fc.tuple(...PATRONS.map(() => of('general', 'student'))),
  policies,
  copies: fc.tuple(
    ...BOOKS.map(() =>
      fc.record({ physical: of(1, 1, 2), licences: fc.array(licences, { maxLength: 1, size: 'max' }) }),
    ),
  ),
})

/** The model of that library, before anything has happened. */
export function libraryIn({ zone, start, week, categories, policies, copies }: Setting): Library {
  const now = Date.parse(start)
  const library: Library = {
    now,
    calendar: { zone, week, days: new Map() },
    policies: policies.map((policy, index) => ({ ...policy, name: `policy-${index + 1}`, version: 1 })),
    patrons: PATRONS.map((name, index) => ({
      name,
      category: categories[index] ?? 'general',
      expiresAt: null,
      isSuspended: false,
      isLoggedIn: true,
      keepsHistory: false,
      history: [],
    })),
    books: BOOKS,
    copies: [],
    loans: [],
    holds: [],
    fees: [],
    blocks: [],
    gone: { holds: [], blocks: [] },
    events: [],
    keys: new Map(),
    actor: { role: 'library', name: null },
  }
  for (const [index, { physical, licences }] of copies.entries()) {
    const book = BOOKS[index] ?? ''
    for (let i = 0; i < physical; i++) stock(library, { book, licence: null })
    for (const licence of licences) {
      // What has run out from the start would not be on the shelf.
      if (licence.loansLeft !== 0 && licence.days !== -1) stock(library, { book, licence })
    }
  }
  return library
}

function stock({ copies, now }: Library, { book, licence }: { book: string; licence: Licence | null }) {
  const name = `copy-${copies.length + 1}`
  copies.push({
    name,
    book,
    format: licence === null ? 'physical' : 'digital',
    barcode: licence === null ? barcodeOf(name) : null,
    licenceEndsAt: endOfLicence(now, licence),
    loansLeft: licence?.loansLeft ?? null,
    state: 'available',
    usesInLibrary: 0,
    isRemoved: false,
    version: 1,
  })
}

export const barcodeOf = (copy: string) => copy.toUpperCase()

export const endOfLicence = (now: number, licence: Licence | null) => {
  const days = licence?.days ?? null
  return days === null ? null : Math.ceil((now + days * DAY) / HOUR) * HOUR
}
