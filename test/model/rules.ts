import type { ProblemName } from '../../src/problem.ts'
import {
  amountOwed,
  circulates,
  copiesOf,
  type Copy,
  dueMoment,
  type Format,
  type Hold,
  holdOf,
  isOnTheShelf,
  isOpenLoan,
  type Library,
  type Loan,
  matches,
  openLoanOfBook,
  openLoansOf,
  type Patron,
  policyFor,
  type Policy,
  refuse,
  servesTheQueue,
  waits,
} from './library.ts'

/** Everything that speaks against something, in the order in which it is told. `found` meets the limit `allowed`; `until` is
 *  when it ends by itself, as far as one can know. */
export type Obstacle = { problem: ProblemName; found: number | null; allowed: number | null; until: number | null }

type More = Partial<Omit<Obstacle, 'problem'>>
type Rule = Obstacle | false

const against = (problem: ProblemName, more: More = {}): Obstacle => ({
  problem,
  found: null,
  allowed: null,
  until: null,
  ...more,
})

const limited = (problem: ProblemName, found: number, allowed: number | null): Rule =>
  allowed !== null && found >= allowed && against(problem, { found, allowed })

const thoseOf = (rules: Rule[]) => rules.filter((rule) => rule !== false)

/** Whatever the patron asks for. */
function obstaclesOfPatron(library: Library, patron: Patron, { terms }: Policy): Obstacle[] {
  const { now } = library
  const ends = library.blocks
    .filter((block) => block.patron === patron)
    .map(({ endsAt }) => endsAt ?? Infinity)
    .filter((end) => end > now)
  const last = Math.max(...ends)
  const late = openLoansOf(library, patron).filter(
    ({ copy, dueAt, claimedAt }) => copy.format === 'physical' && dueAt < now && claimedAt === null,
  )
  return thoseOf([
    patron.isSuspended && against('patron-suspended'),
    patron.expiresAt !== null && patron.expiresAt <= now && against('account-expired'),
    ends.length > 0 && against('patron-blocked', { until: last === Infinity ? null : last }),
    limited('fee-limit-reached', amountOwed(library, patron), terms.feeLimit),
    limited('overdue-limit-reached', late.length, terms.overdueLimit),
  ])
}

type Wish = { patron: Patron; book: string; format: Format | null; barcode: string | null }

/** The copy that a patron would get: at the desk the one they hold in their hand; else the one that waits for them; else
 *  from the shelf a physical one first, then the licence that would be wasted soonest, then the oldest. */
export function copyFor(library: Library, { patron, book, format, barcode }: Wish): Copy | null {
  const copies = copiesOf(library, book)
  if (barcode !== null) return copies.find((copy) => copy.barcode === barcode) ?? null
  const wanted = copies.filter((copy) => matches(format, copy.format))
  const own = wanted.find((copy) => copy === holdOf(library, patron, book)?.ready?.copy)
  if (own !== undefined && circulates(library, own)) return own
  const [best] = wanted
    .filter((copy) => isOnTheShelf(library, copy))
    .toSorted(
      (a, b) =>
        Number(b.format === 'physical') - Number(a.format === 'physical') ||
        compare(a.licenceEndsAt ?? Infinity, b.licenceEndsAt ?? Infinity) ||
        compare(a.loansLeft ?? Infinity, b.loansLeft ?? Infinity),
    )
  return best ?? null
}

export const compare = (a: number, b: number) => (a === b ? 0 : a < b ? -1 : 1)

/** What a loan would be made under: the terms for the copy, or for what was asked for. */
export const policyForLoan = (library: Library, { patron, format }: Wish, copy: Copy | null) =>
  policyFor(library, patron.category, copy?.format ?? format)

export function obstaclesToLoan(library: Library, wish: Wish): Obstacle[] {
  const { patron, book } = wish
  const copy = copyFor(library, wish)
  const policy = policyForLoan(library, wish, copy)
  const taken = openLoansOf(library, patron).filter(
    (loan) => policyFor(library, patron.category, loan.copy.format) === policy,
  )
  return [
    ...obstaclesOfPatron(library, patron, policy),
    ...thoseOf([
      limited('loan-limit-reached', taken.length, policy.terms.loanLimit),
      openLoanOfBook(library, patron, book) !== undefined && against('already-on-loan'),
      wish.barcode === null ? copy === null && noCopy(library, wish) : againstCopy(library, wish, copy),
    ]),
  ]
}

/** The next copy that may come back is one that is on loan and not late. */
function noCopy({ loans, now }: Library, { book, format }: Wish): Obstacle {
  const ahead = loans
    .filter(({ copy }) => copy.book === book && matches(format, copy.format))
    .filter((loan) => isOpenLoan(loan) && loan.dueAt > now)
  return against('no-copy-available', {
    until: ahead.length === 0 ? null : Math.min(...ahead.map(({ dueAt }) => dueAt)),
  })
}

function againstCopy(library: Library, { patron, book }: Wish, copy: Copy | null): Rule {
  if (copy === null) return against('copy-not-available')
  if (copy.state === 'on_hold') {
    return holdOf(library, patron, book)?.ready?.copy !== copy && against('copy-waits-for-another')
  }
  return !isOnTheShelf(library, copy) && against('copy-not-available')
}

/** Whoever stands in the queue and would be served by this copy. */
export const firstWaitingFor = (library: Library, { book, format }: Copy): Hold | undefined =>
  library.holds.find((hold) => hold.book === book && waits(library, hold) && matches(hold.format, format))

export function obstaclesToRenewal(library: Library, patron: Patron, loan: Loan): Obstacle[] {
  const policy = policyFor(library, patron.category, loan.copy.format)
  return [
    ...obstaclesOfPatron(library, patron, policy),
    ...thoseOf([
      loan.claimedAt !== null && against('loan-claimed-returned'),
      firstWaitingFor(library, loan.copy) !== undefined && against('others-are-waiting'),
      limited('renewal-limit-reached', loan.renewals, policy.terms.renewalLimit),
      dueMoment(library, policy.terms, loan.copy) <= loan.dueAt && against('nothing-to-renew'),
    ]),
  ]
}

export function obstaclesToHold(library: Library, patron: Patron, book: string, format: Format | null): Obstacle[] {
  const policy = policyFor(library, patron.category, format)
  const placed = library.holds.filter(
    (hold) => hold.patron === patron && policyFor(library, patron.category, hold.format) === policy,
  )
  const copies = copiesOf(library, book).filter((copy) => matches(format, copy.format))
  return [
    ...obstaclesOfPatron(library, patron, policy),
    ...thoseOf([
      holdOf(library, patron, book) !== undefined && against('already-on-hold'),
      openLoanOfBook(library, patron, book) !== undefined && against('already-on-loan'),
      limited('hold-limit-reached', placed.length, policy.terms.holdLimit),
      copies.some((copy) => isOnTheShelf(library, copy)) && against('copy-available'),
      !copies.some((copy) => servesTheQueue(library, copy)) && against('no-copy-in-circulation'),
    ]),
  ]
}

export const isOverridable = ({ terms }: Policy, problem: ProblemName) =>
  terms.overridable.some((name) => name === problem)

/** Refuses with the first obstacle that stands. A reason, given by staff, sets aside those that the policy lets them. */
export function overcome(obstacles: Obstacle[], policy: Policy, reason: string | null): ProblemName[] {
  const standing = obstacles.find(({ problem }) => reason === null || !isOverridable(policy, problem))
  if (standing !== undefined) refuse(standing.problem)
  return obstacles.map(({ problem }) => problem)
}
