import {
  accruedFee,
  amountOwed,
  balanceOf,
  type Block,
  circulates,
  type Copy,
  type Fee,
  type Hold,
  type Library,
  type Loan,
  openLoansOf,
  type Patron,
  positionOf,
  type Policy,
  policyFor,
  servesTheQueue,
  copiesOf,
  matches,
  waits,
} from './library.ts'
import {
  copyFor,
  isOverridable,
  type Obstacle,
  obstaclesToHold,
  obstaclesToLoan,
  obstaclesToRenewal,
  policyForLoan,
} from './rules.ts'
import { nameOfDay } from './days.ts'
import { openLoanOfBook, type Format } from './library.ts'

/** What things look like in an answer, with names for ids. What is left out is not checked. */

const iso = (moment: number | null) => (moment === null ? null : new Date(moment).toISOString())

export const loanAnswer = (library: Library, loan: Loan) => ({
  id: loan.name,
  bookId: loan.copy.book,
  bookTitle: loan.copy.book,
  copyId: loan.copy.name,
  format: loan.copy.format,
  userId: loan.patron?.name ?? null,
  checkedOutAt: iso(loan.madeAt),
  dueAt: iso(loan.dueAt),
  renewals: loan.renewals,
  returnedAt: iso(loan.endedAt),
  lostAt: iso(loan.lostAt),
  claimedReturnedAt: iso(loan.claimedAt),
  accruedFee: accruedFee(library, loan),
})

export const holdAnswer = (library: Library, hold: Hold) => ({
  id: hold.name,
  bookId: hold.book,
  bookTitle: hold.book,
  userId: hold.patron.name,
  format: hold.format,
  state: stateOf(library, hold),
  position: positionOf(library, hold),
  forecast: hasForecast(library, hold) ? {} : null,
  suspendedUntil: hold.suspendedUntil === null ? null : nameOfDay(hold.suspendedUntil),
  placedAt: iso(hold.placedAt),
  copyId: hold.ready?.copy.name ?? null,
  readyAt: iso(hold.ready?.since ?? null),
  collectBy: iso(hold.ready?.collectBy ?? null),
})

function stateOf(library: Library, hold: Hold) {
  if (hold.ready !== null) return 'ready'
  return waits(library, hold) ? 'waiting' : 'suspended'
}

/** The forecast itself is a guess, and has its own tests. */
const hasForecast = (library: Library, { book, format, ready }: Hold) =>
  ready === null &&
  copiesOf(library, book).some((copy) => matches(format, copy.format) && servesTheQueue(library, copy))

/** A licence that has run out is shown so from that moment, whether or not anybody has looked at it since. */
export const copyAnswer = (library: Library, copy: Copy) => ({
  id: copy.name,
  bookId: copy.book,
  format: copy.format,
  barcode: copy.barcode,
  licenceEndsAt: iso(copy.licenceEndsAt),
  loansLeft: copy.loansLeft,
  state: circulates(library, copy) || copy.state === 'lost' ? copy.state : 'expired',
  inLibraryUses: copy.usesInLibrary,
  version: copy.version,
})

export const feeAnswer = (fee: Fee) => ({
  id: fee.name,
  userId: fee.patron?.name ?? null,
  kind: fee.kind,
  note: fee.note,
  loanId: fee.loan?.name ?? null,
  bookTitle: fee.loan?.copy.book ?? null,
  currency: 'EUR',
  balance: balanceOf(fee),
  createdAt: iso(fee.madeAt),
  settledAt: iso(fee.settledAt),
  entries: fee.entries.map(({ kind, amount, reason }) => ({ kind, amount, reason })),
})

export const blockAnswer = ({ name, patron, reason, madeAt, endsAt }: Block) => ({
  id: name,
  userId: patron.name,
  reason,
  createdAt: iso(madeAt),
  endsAt: iso(endsAt),
})

export const userAnswer = (library: Library, patron: Patron) => ({
  id: patron.name,
  category: patron.category,
  expiresAt: iso(patron.expiresAt),
  openLoans: openLoansOf(library, patron).length,
  owed: amountOwed(library, patron),
  keepHistory: patron.keepsHistory,
  suspension: patron.isSuspended ? {} : null,
})

export const policyAnswer = ({ name, category, format, terms, version }: Policy) => ({
  id: name,
  category,
  format,
  ...terms,
  version,
})

/** What would be said to somebody who came now. */
export function eligibilityAnswer(library: Library, { patron, book, format }: Asked) {
  const { category } = patron
  const wish = { patron, book, format, barcode: null }
  const loan = openLoanOfBook(library, patron, book)
  const none: Obstacle = { problem: 'loan-not-found', found: null, allowed: null, until: null }
  return {
    userId: patron.name,
    bookId: book,
    borrow: decision(obstaclesToLoan(library, wish), policyForLoan(library, wish, copyFor(library, wish))),
    renew: decision(
      loan === undefined ? [none] : obstaclesToRenewal(library, patron, loan),
      policyFor(library, category, loan?.copy.format ?? null),
    ),
    placeHold: decision(obstaclesToHold(library, patron, book, format), policyFor(library, category, format)),
  }
}

type Asked = { patron: Patron; book: string; format: Format | null }

const decision = (obstacles: Obstacle[], policy: Policy) => ({
  allowed: obstacles.length === 0,
  obstacles: obstacles.map((obstacle) => ({
    ...obstacle,
    until: iso(obstacle.until),
    overridable: isOverridable(policy, obstacle.problem),
  })),
})
