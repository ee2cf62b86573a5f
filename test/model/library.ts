import type { Terms } from '../../src/features/policies/schema.ts'
import type { ProblemName } from '../../src/problem.ts'
import { type Calendar, dayNamed, dayOf, endOfDay, momentOn, hoursOn, openDayFrom, openDaysBetween } from './days.ts'

/** A library as it is meant to be, one thing after the other: no SQL, no locks. Things have names; moments and days are
 *  those of days.ts; amounts are in minor units. The verbs are in verbs.ts, what speaks against them in rules.ts. */

export type Format = 'physical' | 'digital'

export type Library = {
  now: number
  calendar: Calendar
  policies: Policy[]
  patrons: Patron[]
  books: string[]
  copies: Copy[]
  loans: Loan[]
  /** Each book's in the order of its queue. */
  holds: Hold[]
  fees: Fee[]
  blocks: Block[]
  /** What is over and forgotten, for those who ask for it all the same. */
  gone: { holds: Hold[]; blocks: Block[] }
  events: Event[]
  keys: Map<string, Key>
  /** On whose behalf things happen now. */
  actor: Actor
}

export type Actor = { role: 'staff' | 'patron' | 'library'; name: string | null }

export type Policy = { name: string; category: string | null; format: Format | null; terms: Terms; version: number }

export type Patron = {
  name: string
  category: string
  expiresAt: number | null
  isSuspended: boolean
  /** Whether their session lives. */
  isLoggedIn: boolean
  keepsHistory: boolean
  /** Loans that have ended, for those who keep a history. */
  history: string[]
}

export type Copy = {
  name: string
  book: string
  format: Format
  barcode: string | null
  licenceEndsAt: number | null
  loansLeft: number | null
  state: 'available' | 'on_loan' | 'on_hold' | 'lost' | 'expired'
  usesInLibrary: number
  isRemoved: boolean
  version: number
}

export type Loan = {
  name: string
  copy: Copy
  /** Nobody's once it has ended. */
  patron: Patron | null
  category: string
  madeAt: number
  dueAt: number
  renewals: number
  claimedAt: number | null
  endedAt: number | null
  lostAt: number | null
  /** As they were when it was made or last renewed. */
  fees: Pick<Terms, 'graceDays' | 'feePerDay' | 'feeMax'>
}

export type Hold = {
  name: string
  patron: Patron
  book: string
  format: Format | null
  placedAt: number
  suspendedUntil: number | null
  ready: { copy: Copy; since: number; collectBy: number } | null
}

export type Fee = {
  name: string
  kind: 'overdue' | 'lost' | 'other'
  note: string | null
  /** Nobody's, and for nothing, once it is settled. */
  patron: Patron | null
  loan: Loan | null
  madeAt: number
  settledAt: number | null
  entries: { kind: 'charge' | 'payment' | 'waiver'; amount: number; reason: string | null; by: string | null }[]
}

export type Block = { name: string; patron: Patron; reason: string; madeAt: number; endsAt: number | null }

export type Event = {
  kind: string
  subject: string
  book: string | null
  copy: string | null
  patron: string | null
  actor: Actor
  details: object | null
  at: number
}

/** What is known of an Idempotency-Key that was used. Without an answer it has been forgotten. */
export type Key = {
  request: string
  subject: string | null
  answer: { status: number; body: { id?: string } | null } | null
}

export class Refusal extends Error {
  override name = 'Refusal'
  readonly problem: ProblemName
  constructor(problem: ProblemName) {
    super(problem)
    this.problem = problem
  }
}

export function refuse(problem: ProblemName): never {
  throw new Refusal(problem)
}

// What there is -------------------------------------------------------------------------------------------

export const isOpenLoan = (loan: Loan) => loan.endedAt === null

export const openLoansOf = ({ loans }: Library, patron: Patron) => loans.filter((loan) => loan.patron === patron)

export const openLoanOfBook = (library: Library, patron: Patron, book: string) =>
  openLoansOf(library, patron).find(({ copy }) => copy.book === book)

export const copiesOf = ({ copies }: Library, book: string) =>
  copies.filter((copy) => copy.book === book && !copy.isRemoved)

export const holdOf = ({ holds }: Library, patron: Patron, book: string) =>
  holds.find((hold) => hold.patron === patron && hold.book === book)

export const matches = (wanted: Format | null, format: Format) => wanted === null || wanted === format

const mayBeLentAgain = ({ now }: Library, { licenceEndsAt, loansLeft }: Copy) =>
  (licenceEndsAt === null || licenceEndsAt > now) && (loansLeft === null || loansLeft > 0)

/** Part of what the library has to lend, whoever has it now. */
export const circulates = (library: Library, copy: Copy) =>
  !copy.isRemoved &&
  (copy.state === 'on_loan' ||
    ((copy.state === 'available' || copy.state === 'on_hold') && mayBeLentAgain(library, copy)))

export const isOnTheShelf = (library: Library, copy: Copy) => copy.state === 'available' && circulates(library, copy)

/** Will, sooner or later, be lent to somebody else. */
export const servesTheQueue = (library: Library, copy: Copy) =>
  circulates(library, copy) && mayBeLentAgain(library, copy)

export const today = ({ calendar, now }: Library) => dayOf(calendar, now)

/** Whether a hold is to get the next copy: it has none, and its suspension, if any, is over. */
export const waits = (library: Library, { ready, suspendedUntil }: Hold) =>
  ready === null && (suspendedUntil === null || suspendedUntil <= today(library))

/** 1 for the first of those who have no copy yet, suspended or not. */
export const positionOf = ({ holds }: Library, hold: Hold) =>
  hold.ready === null ? holds.filter(({ book, ready }) => book === hold.book && ready === null).indexOf(hold) + 1 : null

// Terms ---------------------------------------------------------------------------------------------------

/** The most specific policy, where a category counts for more than a format. */
export function policyFor({ policies }: Library, category: string, format: Format | null): Policy {
  const [best] = policies
    .filter((policy) => policy.category === null || policy.category === category)
    .filter((policy) => policy.format === null || policy.format === format)
    .toSorted((a, b) => specificity(b) - specificity(a))
  if (best === undefined) throw new Error('there is always a policy for everybody and everything')
  return best
}

const specificity = ({ category, format }: Policy) => (category === null ? 0 : 2) + (format === null ? 0 : 1)

/** When a loan made now falls due: at the end of its last day, which is no later than the end of a term, and, for what has
 *  to be carried back, an open one. A licence ends a loan, too. */
export function dueMoment(library: Library, { loanDays, dueDates }: Terms, copy: Copy) {
  const { calendar } = library
  const ends = dueDates.map(dayNamed).filter((day) => day > today(library))
  const last = Math.min(today(library) + loanDays, ...ends)
  return endOf(copy, endOfDay(calendar, copy.format === 'physical' ? openDayFrom(calendar, last) : last))
}

/** Until when a copy waits to be collected: closing time of an open day; a digital one needs no door. */
export function collectMoment(library: Library, { collectDays }: Terms, copy: Copy) {
  const { calendar } = library
  const last = today(library) + collectDays
  if (copy.format === 'digital') return endOf(copy, endOfDay(calendar, last))
  const day = openDayFrom(calendar, last)
  return momentOn(calendar, day, hoursOn(calendar, day)?.closes ?? '24:00')
}

const endOf = ({ licenceEndsAt }: Copy, moment: number) => Math.min(moment, licenceEndsAt ?? Infinity)

// Money ---------------------------------------------------------------------------------------------------

/** What a loan has run up: something for each open day that it is late, if those are more than the days of grace. It stops
 *  on the day on which the patron says to have returned it. */
export function accruedFee({ calendar, now }: Library, loan: Loan) {
  const { graceDays, feePerDay, feeMax } = loan.fees
  if (!isOpenLoan(loan) || loan.copy.format === 'digital' || loan.dueAt >= now) return 0
  const until = Math.min(now, loan.claimedAt ?? Infinity)
  const daysLate = openDaysBetween(calendar, dayOf(calendar, loan.dueAt), dayOf(calendar, until))
  return daysLate > graceDays ? Math.min(daysLate * feePerDay, feeMax) : 0
}

export const balanceOf = ({ entries }: Fee) =>
  entries.reduce((sum, { kind, amount }) => (kind === 'charge' ? sum + amount : sum - amount), 0)

export function amountOwed(library: Library, patron: Patron) {
  const charged = library.fees.filter((fee) => fee.patron === patron).map(balanceOf)
  const accrued = openLoansOf(library, patron).map((loan) => accruedFee(library, loan))
  return [...charged, ...accrued].reduce((sum, amount) => sum + amount, 0)
}

// What is remembered --------------------------------------------------------------------------------------

type Happening = Pick<Event, 'kind' | 'subject'> &
  Partial<Pick<Event, 'book' | 'copy' | 'details'>> & { patron?: Patron }

export function record(library: Library, { patron, ...happening }: Happening) {
  const { actor, now } = library
  library.events.push({
    book: null,
    copy: null,
    details: null,
    ...happening,
    patron: patron?.name ?? null,
    actor: { role: actor.role, name: actor.role === 'staff' ? actor.name : null },
    at: now,
  })
}

/** A matter is over: nothing that was kept about it names the patron any more. */
export function forgetPatronOf(library: Library, subject: string) {
  for (const event of library.events) if (event.subject === subject) event.patron = null
  for (const key of library.keys.values()) if (key.subject === subject) key.answer = null
}
