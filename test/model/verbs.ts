import type { Terms } from '../../src/features/policies/schema.ts'
import { blockAnswer, copyAnswer, feeAnswer, holdAnswer, loanAnswer, policyAnswer, userAnswer } from './answers.ts'
import { dayOf, endOfDay, type Hours, isOpen, momentOn, hoursOn, nameOfDay, openDayFrom } from './days.ts'
import {
  accruedFee,
  balanceOf,
  type Block,
  circulates,
  collectMoment,
  copiesOf,
  type Copy,
  dueMoment,
  type Fee,
  forgetPatronOf,
  type Format,
  type Hold,
  holdOf,
  isOnTheShelf,
  isOpenLoan,
  type Library,
  type Loan,
  type Patron,
  policyFor,
  type Policy,
  positionOf,
  record,
  refuse,
  today,
} from './library.ts'
import {
  compare,
  copyFor,
  firstWaitingFor,
  obstaclesToHold,
  obstaclesToLoan,
  obstaclesToRenewal,
  overcome,
  policyForLoan,
} from './rules.ts'

/** What people and time do in a library. Each verb first finds out whether it may, then does it, and answers what is there
 *  afterwards. */

/** The owner of a thing, whose name a patron must bear to touch it; null: anyone's, for staff. */
export type Owner = Patron | null

/** A reason for which staff set aside what a policy lets them; null: they do not. */
export type Override = string | null

const iso = (moment: number) => new Date(moment).toISOString()

const nextName = (kind: string, things: unknown[]) => `${kind}-${things.length + 1}`

/** Every name once, also when what bore it is gone. */
const counts = new WeakMap<Library, Map<string, number>>()
function newName(library: Library, kind: string) {
  const count = counts.get(library) ?? new Map<string, number>()
  counts.set(library, count)
  count.set(kind, (count.get(kind) ?? 0) + 1)
  return `${kind}-${count.get(kind)}`
}

// Loans ---------------------------------------------------------------------------------------------------

type Wish = { patron: Patron; book: string; format: Format | null; barcode: string | null; override: Override }

export function checkOut(library: Library, { override, ...wish }: Wish) {
  const { patron } = wish
  const copy = copyFor(library, wish)
  const policy = policyForLoan(library, wish, copy)
  const overridden = overcome(obstaclesToLoan(library, wish), policy, override)
  if (copy === null) throw new Error('a loan without a copy cannot be overridden')
  const loan = {
    name: nextName('loan', library.loans),
    copy,
    patron,
    category: patron.category,
    madeAt: library.now,
    dueAt: dueMoment(library, policy.terms, copy),
    renewals: 0,
    claimedAt: null,
    endedAt: null,
    lostAt: null,
    fees: feesOf(policy),
  }
  library.loans.push(loan)
  copy.state = 'on_loan'
  if (copy.loansLeft !== null) copy.loansLeft -= 1
  record(library, { kind: 'loan.made', ...about(loan), patron, details: overridingDetails(loan, overridden, override) })
  const own = holdOf(library, patron, wish.book)
  if (own !== undefined) closeHold(library, own, 'hold.collected')
  return loanAnswer(library, loan)
}

const feesOf = ({ terms: { graceDays, feePerDay, feeMax } }: Policy) => ({ graceDays, feePerDay, feeMax })

const about = ({ name, copy }: Loan) => ({ subject: name, book: copy.book, copy: copy.name })

const overridingDetails = ({ dueAt }: Loan, overridden: string[], reason: Override) => ({
  dueAt: iso(dueAt),
  ...(overridden.length > 0 && { overridden, reason }),
})

/** Whoever knows the name of a loan that has ended may see that it has. */
export function giveBack(library: Library, loan: Loan, owner: Owner) {
  if (isOpenLoan(loan)) {
    if (owner !== null && loan.patron !== owner) refuse('loan-not-found')
    endLoan(library, loan, 'returned')
    offer(library, loan.copy)
  }
  return loanAnswer(library, loan)
}

/** Charges what the loan has run up, and forgets whose it was. Answers the fee. */
function endLoan(library: Library, loan: Loan, how: 'returned' | 'lost'): number {
  const { patron, name } = loan
  if (patron === null) throw new Error('an open loan is somebody’s')
  const accrued = accruedFee(library, loan)
  if (patron.keepsHistory) patron.history.push(name)
  loan.patron = null
  loan.claimedAt = null
  loan.endedAt = library.now
  if (how === 'lost') loan.lostAt = library.now
  record(library, { kind: `loan.${how}`, ...about(loan) })
  forgetPatronOf(library, name)
  if (accrued > 0) charge(library, { patron, loan, kind: 'overdue', amount: accrued, note: null })
  return accrued
}

/** At the desk: whatever comes in. */
export function checkIn(library: Library, barcode: string) {
  const copy = library.copies.find((copy) => copy.barcode === barcode && !copy.isRemoved) ?? refuse('copy-not-found')
  const loan = library.loans.find((loan) => loan.copy === copy && isOpenLoan(loan))
  const wasOnTheShelf = copy.state === 'available'
  let feeCharged = 0
  if (loan !== undefined) {
    feeCharged = endLoan(library, loan, 'returned')
    offer(library, copy)
  } else if (copy.state === 'lost') {
    find(library, copy)
  } else if (wasOnTheShelf) {
    copy.usesInLibrary += 1
    record(library, { kind: 'copy.used', subject: copy.name, book: copy.book, copy: copy.name })
  }
  const hold = library.holds.find(({ ready }) => ready?.copy === copy)
  return {
    copy: copyAnswer(library, copy),
    loan: loan === undefined ? null : loanAnswer(library, loan),
    next: hold === undefined ? 'shelf' : 'hold',
    holdId: hold?.name ?? null,
    feeCharged,
    usedInLibrary: wasOnTheShelf,
  }
}

export function renew(library: Library, loan: Loan, { owner, override }: { owner: Owner; override: Override }) {
  const { patron } = loan
  if (owner !== null && patron !== owner) refuse('loan-not-found')
  if (patron === null) refuse('loan-returned')
  const policy = policyFor(library, patron.category, loan.copy.format)
  const overridden = overcome(obstaclesToRenewal(library, patron, loan), policy, override)
  const accrued = accruedFee(library, loan)
  if (accrued > 0) charge(library, { patron, loan, kind: 'overdue', amount: accrued, note: null })
  loan.renewals += 1
  loan.dueAt = dueMoment(library, policy.terms, loan.copy)
  loan.fees = feesOf(policy)
  record(library, {
    kind: 'loan.renewed',
    ...about(loan),
    patron,
    details: overridingDetails(loan, overridden, override),
  })
  return loanAnswer(library, loan)
}

/** The patron says that it was returned, and it is not there. */
export function claimReturned(library: Library, loan: Loan, isClaimed: boolean) {
  const { patron } = loan
  if (patron === null) refuse('loan-returned')
  if (loan.copy.format === 'digital') refuse('format-mismatch')
  if ((loan.claimedAt !== null) !== isClaimed) {
    loan.claimedAt = isClaimed ? library.now : null
    record(library, { kind: isClaimed ? 'loan.claimed-returned' : 'loan.claim-withdrawn', ...about(loan), patron })
  }
  return loanAnswer(library, loan)
}

// The queue -----------------------------------------------------------------------------------------------

/** A copy has become free: it goes to the first who waits for it, else to the shelf; a licence that has run out goes. */
function offer(library: Library, copy: Copy) {
  const subject = { subject: copy.name, book: copy.book, copy: copy.name }
  const wasExpired = copy.state === 'expired'
  copy.state = 'available'
  if (!circulates(library, copy)) {
    copy.state = 'expired'
    if (!wasExpired) record(library, { kind: 'copy.expired', ...subject })
    return
  }
  if (wasExpired) record(library, { kind: 'copy.reinstated', ...subject })
  const hold = firstWaitingFor(library, copy)
  if (hold === undefined) return
  const { terms } = policyFor(library, hold.patron.category, copy.format)
  const collectBy = collectMoment(library, terms, copy)
  copy.state = 'on_hold'
  hold.suspendedUntil = null
  hold.ready = { copy, since: library.now, collectBy }
  record(library, {
    kind: 'hold.ready',
    subject: hold.name,
    book: copy.book,
    copy: copy.name,
    patron: hold.patron,
    details: { collectBy: iso(collectBy) },
  })
}

/** Nobody waits while a copy that would do lies on the shelf. */
function serveQueue(library: Library, book: string) {
  for (const copy of copiesOf(library, book)) {
    if (isOnTheShelf(library, copy) && firstWaitingFor(library, copy) !== undefined) offer(library, copy)
  }
}

/** The hold is over; a copy that waited for it, and was not lent to its patron now, goes on. */
function closeHold(library: Library, hold: Hold, kind: string) {
  const kept = hold.ready?.copy.state === 'on_hold' ? hold.ready.copy : null
  library.holds = library.holds.filter((other) => other !== hold)
  library.gone.holds.push(hold)
  record(library, { kind, subject: hold.name, book: hold.book, copy: kept?.name ?? null })
  forgetPatronOf(library, hold.name)
  if (kept !== null) offer(library, kept)
}

/** The hold waits again, in its place. */
function release(library: Library, hold: Hold, because: string) {
  record(library, {
    kind: 'hold.released',
    subject: hold.name,
    book: hold.book,
    copy: hold.ready?.copy.name ?? null,
    patron: hold.patron,
    details: { because },
  })
  hold.ready = null
}

type HoldWish = { patron: Patron; book: string; format: Format | null; override: Override }

export function placeHold(library: Library, { patron, book, format, override }: HoldWish) {
  const policy = policyFor(library, patron.category, format)
  const overridden = overcome(obstaclesToHold(library, patron, book, format), policy, override)
  const hold: Hold = {
    name: newName(library, 'hold'),
    patron,
    book,
    format,
    placedAt: library.now,
    suspendedUntil: null,
    ready: null,
  }
  library.holds.push(hold)
  const details = overridden.length > 0 ? { overridden, reason: override } : {}
  record(library, { kind: 'hold.placed', subject: hold.name, book, patron, details })
  return holdAnswer(library, hold)
}

/** A hold that is over is nowhere to be found. */
function requireHold(library: Library, hold: Hold, owner: Owner) {
  if (!library.holds.includes(hold) || (owner !== null && hold.patron !== owner)) refuse('hold-not-found')
}

export function cancelHold(library: Library, hold: Hold, owner: Owner) {
  requireHold(library, hold, owner)
  closeHold(library, hold, 'hold.cancelled')
  return null
}

export function suspendHold(library: Library, hold: Hold, { owner, until }: { owner: Owner; until: number }) {
  requireHold(library, hold, owner)
  if (until <= today(library) || until > today(library) + 366) refuse('date-out-of-range')
  if (hold.suspendedUntil !== until) {
    const copy = hold.ready?.copy
    if (copy !== undefined) release(library, hold, 'suspended')
    hold.suspendedUntil = until
    record(library, { ...on(hold), kind: 'hold.suspended', details: { until: nameOfDay(until) } })
    if (copy !== undefined) offer(library, copy)
  }
  return holdAnswer(library, hold)
}

const on = ({ name, book, patron }: Hold) => ({ subject: name, book, patron })

export function resumeHold(library: Library, hold: Hold, owner: Owner) {
  requireHold(library, hold, owner)
  if (hold.suspendedUntil !== null) {
    hold.suspendedUntil = null
    record(library, { ...on(hold), kind: 'hold.resumed' })
    serveQueue(library, hold.book)
  }
  return holdAnswer(library, hold)
}

/** Those who have a copy already keep their place; the others make room. */
export function moveHold(library: Library, hold: Hold, { position, reason }: { position: number; reason: string }) {
  requireHold(library, hold, null)
  if (hold.ready !== null) refuse('hold-ready')
  const from = positionOf(library, hold)
  const line = library.holds.filter(({ book, ready }) => book === hold.book && ready === null)
  const moved = line.filter((other) => other !== hold).toSpliced(position - 1, 0, hold)
  const next = moved.values()
  library.holds = library.holds.map((other) => (line.includes(other) ? (next.next().value ?? other) : other))
  const to = positionOf(library, hold)
  if (from !== to) record(library, { ...on(hold), kind: 'hold.moved', details: { from, to, reason } })
  return holdAnswer(library, hold)
}

// Copies --------------------------------------------------------------------------------------------------

type NewCopy = Pick<Copy, 'book' | 'format' | 'barcode' | 'licenceEndsAt' | 'loansLeft'>

export function addCopy(library: Library, given: NewCopy) {
  const copy: Copy = {
    ...given,
    name: nextName('copy', library.copies),
    state: 'available',
    usesInLibrary: 0,
    isRemoved: false,
    version: 1,
  }
  library.copies.push(copy)
  offer(library, copy)
  return copyAnswer(library, copy)
}

type CopyChange = { licenceEndsAt?: number | null; loansLeft?: number | null }

export function changeCopy(library: Library, copy: Copy, change: CopyChange) {
  if (copy.isRemoved) refuse('copy-not-found')
  if (copy.format === 'physical' && Object.values(change).some((value) => value !== null)) refuse('format-mismatch')
  Object.assign(copy, change)
  copy.version += 1
  const hold = library.holds.find(({ ready }) => ready?.copy === copy)
  if (hold !== undefined && !circulates(library, copy)) {
    release(library, hold, 'licence-ended')
    offer(library, copy)
    serveQueue(library, copy.book)
  } else if (copy.state === 'available' || copy.state === 'expired') {
    offer(library, copy)
  }
  return copyAnswer(library, copy)
}

export function removeCopy(copy: Copy) {
  if (copy.isRemoved) refuse('copy-not-found')
  if (copy.state === 'on_loan') refuse('copy-on-loan')
  if (copy.state === 'on_hold') refuse('copy-on-hold')
  copy.isRemoved = true
  copy.version += 1
  return null
}

export function lose(library: Library, copy: Copy) {
  if (copy.isRemoved) refuse('copy-not-found')
  if (copy.format === 'digital') refuse('format-mismatch')
  if (copy.state !== 'lost') {
    const loan = library.loans.find((loan) => loan.copy === copy && isOpenLoan(loan))
    if (loan !== undefined) loseLoan(library, loan)
    const hold = library.holds.find(({ ready }) => ready?.copy === copy)
    if (hold !== undefined) release(library, hold, 'copy-lost')
    copy.state = 'lost'
    copy.version += 1
    record(library, { kind: 'copy.lost', subject: copy.name, book: copy.book, copy: copy.name })
    serveQueue(library, copy.book)
  }
  return copyAnswer(library, copy)
}

function loseLoan(library: Library, loan: Loan) {
  const { patron } = loan
  if (patron === null) throw new Error('an open loan is somebody’s')
  endLoan(library, loan, 'lost')
  const { lostFee } = policyFor(library, patron.category, 'physical').terms
  if (lostFee > 0) charge(library, { patron, loan, kind: 'lost', amount: lostFee, note: null })
}

export function findAgain(library: Library, copy: Copy) {
  if (copy.isRemoved) refuse('copy-not-found')
  if (copy.state === 'lost') find(library, copy)
  return copyAnswer(library, copy)
}

/** A lost copy is there again. What is still owed for its loss is waived. */
function find(library: Library, copy: Copy) {
  record(library, { kind: 'copy.found', subject: copy.name, book: copy.book, copy: copy.name })
  copy.version += 1
  offer(library, copy)
  for (const fee of library.fees) {
    const balance = balanceOf(fee)
    if (fee.kind === 'lost' && fee.loan?.copy === copy && balance > 0) {
      post(library, fee, { kind: 'waiver', amount: balance, reason: 'The copy was found' })
    }
  }
}

// Money ---------------------------------------------------------------------------------------------------

type Charge = { patron: Patron; loan: Loan | null; kind: Fee['kind']; amount: number; note: string | null }

function charge(library: Library, { patron, loan, kind, amount, note }: Charge): Fee {
  const fee: Fee = {
    name: nextName('fee', library.fees),
    kind,
    note,
    patron,
    loan,
    madeAt: library.now,
    settledAt: null,
    entries: [],
  }
  library.fees.push(fee)
  post(library, fee, { kind: 'charge', amount, reason: null })
  return fee
}

const words = { charge: 'fee.charged', payment: 'fee.paid', waiver: 'fee.waived' } as const

/** A fee that comes to nothing is settled, and nobody's. */
function post(library: Library, fee: Fee, entry: Omit<Fee['entries'][number], 'by'>) {
  const { actor } = library
  fee.entries.push({ ...entry, by: actor.role === 'staff' ? actor.name : null })
  const balance = balanceOf(fee)
  record(library, {
    kind: words[entry.kind],
    subject: fee.name,
    ...(fee.patron !== null && { patron: fee.patron }),
    details: { amount: entry.amount, balance },
  })
  if (balance === 0) {
    fee.patron = null
    fee.loan = null
    fee.settledAt = library.now
    forgetPatronOf(library, fee.name)
  }
}

export const chargeFee = (library: Library, { patron, amount, note }: Pick<Charge, 'patron' | 'amount' | 'note'>) =>
  feeAnswer(charge(library, { patron, loan: null, kind: 'other', amount, note }))

type Reduction = { kind: 'payment' | 'waiver'; amount: number; reason: string | null }

export function reduceFee(library: Library, fee: Fee, reduction: Reduction) {
  if (fee.settledAt !== null) refuse('fee-settled')
  if (reduction.amount > balanceOf(fee)) refuse('amount-exceeds-balance')
  post(library, fee, reduction)
  return feeAnswer(fee)
}

// Patrons and terms ---------------------------------------------------------------------------------------

export function setBlock(library: Library, patron: Patron, { reason, endsAt }: Pick<Block, 'reason' | 'endsAt'>) {
  if (endsAt !== null && endsAt <= library.now) refuse('date-out-of-range')
  const block = { name: newName(library, 'block'), patron, reason, madeAt: library.now, endsAt }
  library.blocks.push(block)
  record(library, { kind: 'block.set', subject: block.name, patron })
  return blockAnswer(block)
}

export function liftBlock(library: Library, block: Block) {
  if (!library.blocks.includes(block)) refuse('block-not-found')
  endBlock(library, block, 'block.lifted')
  return null
}

function endBlock(library: Library, block: Block, kind: string) {
  library.blocks = library.blocks.filter((other) => other !== block)
  library.gone.blocks.push(block)
  record(library, { kind, subject: block.name })
  forgetPatronOf(library, block.name)
}

export function suspendUser(library: Library, patron: Patron) {
  patron.isSuspended = true
  patron.isLoggedIn = false
  return userAnswer(library, patron)
}

export function reinstateUser(library: Library, patron: Patron) {
  patron.isSuspended = false
  return userAnswer(library, patron)
}

export function changeUser(library: Library, patron: Patron, change: Partial<Pick<Patron, 'category' | 'expiresAt'>>) {
  Object.assign(patron, change)
  return userAnswer(library, patron)
}

export function keepHistory(library: Library, patron: Patron, keeps: boolean) {
  patron.keepsHistory = keeps
  if (!keeps) patron.history = []
  return userAnswer(library, patron)
}

/** Loans that have been made keep their terms. */
export function changePolicy(policy: Policy, change: Partial<Terms>) {
  policy.terms = { ...policy.terms, ...change }
  policy.version += 1
  return policyAnswer(policy)
}

// The calendar --------------------------------------------------------------------------------------------

export function setDay(library: Library, day: number, hours: Hours) {
  library.calendar.days.set(day, hours)
  leaveClosedDays(library)
  return { day: nameOfDay(day), opens: hours?.opens ?? null, closes: hours?.closes ?? null, note: null }
}

export function forgetDay(library: Library, day: number) {
  if (!library.calendar.days.delete(day)) refuse('calendar-day-not-found')
  leaveClosedDays(library)
  return null
}

export function changeLibrary(library: Library, { zone, week }: { zone: string | null; week: Hours[] | null }) {
  if (zone !== null) library.calendar.zone = zone
  if (week !== null) library.calendar.week = week
  leaveClosedDays(library)
  return {
    timeZone: library.calendar.zone,
    openingHours: library.calendar.week.map((hours, index) => ({
      weekday: index + 1,
      opens: hours?.opens ?? null,
      closes: hours?.closes ?? null,
    })),
  }
}

/** What would end on a day that is closed now ends on the next open one; nothing becomes shorter. */
function leaveClosedDays(library: Library) {
  const { calendar, now } = library
  for (const loan of library.loans) {
    const last = dayOf(calendar, loan.dueAt)
    if (!isOpenLoan(loan) || loan.copy.format === 'digital' || loan.dueAt < now || isOpen(calendar, last)) continue
    const dueAt = endOfDay(calendar, openDayFrom(calendar, last))
    if (dueAt <= loan.dueAt) continue
    loan.dueAt = dueAt
    const patron = loan.patron === null ? {} : { patron: loan.patron }
    record(library, { kind: 'loan.extended', ...about(loan), ...patron, details: { dueAt: iso(dueAt) } })
  }
  for (const hold of library.holds.toSorted(byName)) extendReady(library, hold)
}

function extendReady(library: Library, hold: Hold) {
  const { calendar, now } = library
  const { ready } = hold
  if (ready === null || ready.copy.format === 'digital' || ready.collectBy <= now) return
  // A copy may wait until midnight, when the next day begins.
  const last = dayOf(calendar, ready.collectBy - 1000)
  const day = openDayFrom(calendar, last)
  const hours = hoursOn(calendar, day)
  if (day === last || hours === null) return
  ready.collectBy = momentOn(calendar, day, hours.closes)
  const details = { collectBy: iso(ready.collectBy) }
  record(library, { ...on(hold), kind: 'hold.extended', copy: ready.copy.name, details })
}

const numberOf = ({ name }: { name: string }) => Number(name.split('-')[1])
const byName = (a: { name: string }, b: { name: string }) => numberOf(a) - numberOf(b)

// Time ----------------------------------------------------------------------------------------------------

/** What happens by itself, in this order. */
export function runTasks(library: Library) {
  endDigitalLoans(library)
  expireLicences(library)
  wakeHolds(library)
  settleHolds(library)
  for (const block of library.blocks.toSorted(byEnd)) {
    if (block.endsAt !== null && block.endsAt <= library.now) endBlock(library, block, 'block.ended')
  }
}

const byEnd = (a: Block, b: Block) => compare(a.endsAt ?? Infinity, b.endsAt ?? Infinity)

function endDigitalLoans(library: Library) {
  const due = library.loans.filter(
    (loan) => isOpenLoan(loan) && loan.copy.format === 'digital' && loan.dueAt <= library.now,
  )
  for (const loan of due.toSorted((a, b) => compare(a.dueAt, b.dueAt))) {
    endLoan(library, loan, 'returned')
    offer(library, loan.copy)
  }
}

function expireLicences(library: Library) {
  const ended = library.copies.filter(
    ({ licenceEndsAt, state, isRemoved }) =>
      licenceEndsAt !== null && licenceEndsAt <= library.now && ['available', 'on_hold'].includes(state) && !isRemoved,
  )
  for (const copy of ended.toSorted((a, b) => compare(a.licenceEndsAt ?? 0, b.licenceEndsAt ?? 0))) {
    const hold = library.holds.find(({ ready }) => ready?.copy === copy)
    if (hold !== undefined) release(library, hold, 'licence-ended')
    offer(library, copy)
    serveQueue(library, copy.book)
  }
}

function wakeHolds(library: Library) {
  const asleep = library.holds.toSorted(
    (a, b) => compare(a.suspendedUntil ?? Infinity, b.suspendedUntil ?? Infinity) || byName(a, b),
  )
  for (const hold of asleep) {
    if (hold.suspendedUntil === null || hold.suspendedUntil > today(library)) continue
    hold.suspendedUntil = null
    record(library, { ...on(hold), kind: 'hold.resumed' })
    serveQueue(library, hold.book)
  }
}

/** What was not collected in time goes on, and what lies free although somebody waits for it is given out. */
function settleHolds(library: Library) {
  for (const book of library.books) {
    const overdue = library.holds.filter(
      ({ book: of, ready }) => of === book && ready !== null && ready.collectBy <= library.now,
    )
    for (const hold of overdue) closeHold(library, hold, 'hold.expired')
    serveQueue(library, book)
  }
}
