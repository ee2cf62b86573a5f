import { expect, test } from 'vitest'
import type { Eligibility } from '../src/features/eligibility/schema.ts'
import {
  aBook,
  aHold,
  aLoan,
  aPatron,
  ask,
  borrow,
  database,
  type Person,
  problemOf,
  queue,
  theStaff,
} from './support/library.ts'

const eligibility = async ({ token }: { token: string }, { id }: { id: string }, query = '') =>
  (await ask<Eligibility>('GET', `/v1/books/${id}/eligibility${query}`, { token })).body

const named = ({ obstacles }: Eligibility['borrow']) => obstacles.map(({ problem }) => problem)

/** Overdue loans, an unpaid fee, a block with an end, an expired account: everything at once. */
async function trouble({ id }: Person) {
  await database`update users set expires_at = now() - interval '1 day' where id = ${id}`
  await database`select charge_fee(${id}, 2500, 'A torn map')`
  await database`select set_block(${id}, 'Shouted', now() + interval '3 days')`
  await database`
    update loans set checked_out_at = checked_out_at - interval '40 days', due_at = due_at - interval '40 days'
    where user_id = ${id}`
}

test('a patron in good standing may borrow what is there, and nothing else', async () => {
  const [patron, book] = await Promise.all([aPatron(), aBook()])
  const answer = await eligibility(patron, book)
  expect(answer.borrow).toEqual({ allowed: true, obstacles: [] })
  expect(named(answer.renew)).toEqual(['loan-not-found'])
  expect(named(answer.placeHold)).toEqual(['copy-available'])
})

test('every rule that speaks against it is told, with what would change it and when', async () => {
  const [patron, holder, book] = await Promise.all([aPatron(), aPatron(), aBook()])
  for (let i = 0; i < 3; i++) await aLoan(patron, await aBook())
  const loan = await aLoan(holder, book)
  await trouble(patron)
  const { borrow: decision, placeHold } = await eligibility(patron, book)
  const ofPatron = ['account-expired', 'patron-blocked', 'fee-limit-reached', 'overdue-limit-reached']
  expect(named(decision)).toEqual([...ofPatron, 'no-copy-available'])
  expect(named(placeHold)).toEqual(ofPatron)
  const [expired, blocked, fees, overdue, none] = decision.obstacles
  expect(expired).toMatchObject({
    title: 'The account has expired',
    detail: 'Renew it at the library.',
    overridable: true,
  })
  expect(Date.parse(blocked?.until ?? '') - Date.now()).toBeGreaterThan(2 * 86_400_000)
  expect(fees).toMatchObject({ found: 2500, allowed: 1000 })
  expect(overdue).toMatchObject({ found: 3, allowed: 3 })
  expect(none).toMatchObject({ until: loan.dueAt, overridable: false })
})

test('it is what the request itself is told, whatever is in the way', async () => {
  const [patron, holder] = await Promise.all([aPatron(), aPatron()])
  const [free, lent, mine, queued] = await Promise.all([aBook(), aBook(), aBook(), aBook()])
  await Promise.all([aLoan(holder, lent), aLoan(holder, queued)])
  await aLoan(patron, mine)
  await aHold(patron, queued)
  /** What was foretold beside what was answered, for whatever is refused: a success would change what comes next. */
  const foretoldAndTold = async () => {
    const pairs: [string | undefined, string | null][] = []
    for (const book of [free, lent, mine, queued]) {
      const { borrow: toBorrow, placeHold } = await eligibility(patron, book)
      if (!toBorrow.allowed) pairs.push([named(toBorrow)[0], problemOf(await borrow(patron, book))])
      if (!placeHold.allowed) pairs.push([named(placeHold)[0], problemOf(await queue(patron, book))])
    }
    return pairs
  }
  const before = await foretoldAndTold()
  await trouble(patron)
  const after = await foretoldAndTold()
  expect([before.length, after.length]).toEqual([6, 8])
  for (const [foretold, told] of [...before, ...after]) expect(told).toBe(foretold)
})

test('staff ask for anyone, patrons for themselves only; the book and the patron must be there', async () => {
  const [staff, patron, other, book] = await Promise.all([theStaff(), aPatron(), aPatron(), aBook()])
  await database`select set_block(${other.id}, 'A reason', null)`
  const forOther = `?userId=${other.id}`
  expect(named((await eligibility(staff, book, forOther)).borrow)).toEqual(['patron-blocked'])
  const path = `/v1/books/${book.id}/eligibility`
  expect(problemOf(await ask('GET', path + forOther, { token: patron.token }))).toBe('forbidden')
  const nobody = `?userId=${crypto.randomUUID()}`
  expect(problemOf(await ask('GET', path + nobody, { token: staff.token }))).toBe('user-not-found')
  const nowhere = `/v1/books/${crypto.randomUUID()}/eligibility`
  expect(problemOf(await ask('GET', nowhere, { token: patron.token }))).toBe('book-not-found')
})
