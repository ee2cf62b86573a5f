import { beforeAll, describe, expect, test } from 'vitest'
import type { Copy } from '../src/features/copies/schema.ts'
import type { Hold } from '../src/features/holds/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import { aLibraryWithClock } from './support/clock.ts'
import { waiting } from './support/gate.ts'
import { problemOf } from './support/library.ts'

/** What time does, in a library where it passes as the test says. */

type Library = Awaited<ReturnType<typeof aLibraryWithClock>>
let library: Library
beforeAll(async () => {
  library = await aLibraryWithClock()
})

const day = async (ahead: number) => {
  const [row] = await library.database`select (today() + ${ahead}::integer)::text as day`
  return String(row?.['day'])
}

const readHold = async ({ token }: { token: string }, { id }: { id: string }) =>
  (await library.ask<Hold>('GET', `/v1/holds/${id}`, { token })).body

const readCopy = async ({ id }: { id: string }) =>
  (await library.ask<Copy>('GET', `/v1/copies/${id}`, { token: (await library.theStaff()).token })).body

const suspend = ({ token }: { token: string }, { id }: { id: string }, until: string) =>
  library.ask<Hold>('PUT', `/v1/holds/${id}/suspension`, { token, body: { until } })

const eventsOf = async (id: string) =>
  (await library.database`select kind, actor_role from events where subject_id = ${id} order by id`).map(
    ({ kind, actor_role: by }) => `${kind} by ${by}`,
  )

describe('a digital loan', () => {
  test('returns itself when it is due, and its copy goes to the next, also when two runs do it at once', async () => {
    const { aPatron, aBook, aLoan, aHold, ask, pass, runScheduled, database } = library
    const [patron, next, book] = await Promise.all([aPatron(), aPatron(), aBook({ copies: 0, licences: 1 })])
    const loan = await aLoan(patron, book)
    const hold = await aHold(next, book)
    await pass(20)
    expect((await readHold(next, hold)).state).toBe('waiting')
    await database`update test_clock set at = at + interval '2 days'`
    await Promise.all([runScheduled(), runScheduled()])
    expect(await readHold(next, hold)).toMatchObject({ state: 'ready', copyId: loan.copyId })
    expect((await ask('GET', `/v1/loans/${loan.id}`, { token: patron.token })).status).toBe(404)
    expect(await eventsOf(loan.id)).toEqual(['loan.made by patron', 'loan.returned by library'])
  })

  test('costs nothing and blocks nothing for being due', async () => {
    const { aPatron, aBook, aLoan, database, ask } = library
    const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 0, licences: 1 })])
    const loan = await aLoan(patron, book)
    await database`update loans set checked_out_at = checked_out_at - interval '90 days', due_at = due_at - interval '90 days', fee_per_day = 50, fee_max = 5000 where id = ${loan.id}`
    expect((await ask<Loan>('GET', `/v1/loans/${loan.id}`, { token: patron.token })).body.accruedFee).toBe(0)
  })
})

describe('a licence', () => {
  test('that has run out of time leaves circulation, and whoever it waited for waits again', async () => {
    const { aPatron, aBook, aCopy, aLoan, aHold, giveBack, pass, ask, theStaff, queue } = library
    const [holder, patron, late, book] = await Promise.all([aPatron(), aPatron(), aPatron(), aBook({ copies: 0 })])
    const licence = await aCopy(book, { format: 'digital', licenceEndsAt: `${await day(5)}T00:00:00Z` })
    const loan = await aLoan(holder, book)
    expect(loan.dueAt).toBe(licence.licenceEndsAt)
    const hold = await aHold(patron, book)
    await giveBack(holder, loan)
    expect((await readHold(patron, hold)).collectBy).toBe(licence.licenceEndsAt)
    await pass(6)
    expect((await readCopy(licence)).state).toBe('expired')
    expect(await readHold(patron, hold)).toMatchObject({ state: 'waiting', position: 1, forecast: null })
    expect(await eventsOf(licence.id)).toEqual(['copy.expired by library'])
    expect(problemOf(await queue(late, book))).toBe('no-copy-in-circulation')
    const { token } = await theStaff()
    const body = { licenceEndsAt: null }
    await ask('PATCH', `/v1/copies/${licence.id}`, { token, body, headers: { 'if-match': '*' } })
    expect((await readHold(patron, hold)).state).toBe('ready')
    expect(await eventsOf(licence.id)).toEqual(['copy.expired by library', 'copy.reinstated by staff'])
  })

  test('that has run out of loans leaves circulation with the last return, and takes no more holds', async () => {
    const { aPatron, aBook, aCopy, aLoan, giveBack, queue } = library
    const [holder, patron, book] = await Promise.all([aPatron(), aPatron(), aBook({ copies: 0 })])
    const licence = await aCopy(book, { format: 'digital', loansLeft: 1 })
    const loan = await aLoan(holder, book)
    expect(problemOf(await queue(patron, book))).toBe('no-copy-in-circulation')
    await giveBack(holder, loan)
    expect(await readCopy(licence)).toMatchObject({ state: 'expired', loansLeft: 0 })
    expect(await eventsOf(licence.id)).toEqual(['copy.expired by patron'])
  })
})

describe('a suspended hold', () => {
  test('is passed over in its place, and wakes on its day', async () => {
    const { aPatron, aBook, aLoan, aHold, giveBack, pass, ask } = library
    const [holder, first, second, book] = await Promise.all([aPatron(), aPatron(), aPatron(), aBook()])
    const loan = await aLoan(holder, book)
    const [hold, next] = [await aHold(first, book), await aHold(second, book)]
    const until = await day(10)
    expect((await suspend(first, hold, until)).body).toMatchObject({
      state: 'suspended',
      suspendedUntil: until,
      position: 1,
    })
    expect((await suspend(first, hold, until)).status).toBe(200)
    await giveBack(holder, loan)
    expect((await readHold(second, next)).state).toBe('ready')
    const collected = await aLoan(second, book)
    await pass(9)
    expect((await readHold(first, hold)).state).toBe('suspended')
    await pass(1)
    expect(await readHold(first, hold)).toMatchObject({ state: 'waiting', position: 1, suspendedUntil: null })
    await giveBack(second, collected)
    expect((await readHold(first, hold)).state).toBe('ready')
    expect((await ask('GET', `/v1/holds?state=ready`, { token: first.token })).body).toMatchObject({
      items: [{ id: hold.id }],
    })
    expect(await eventsOf(hold.id)).toEqual([
      'hold.placed by patron',
      'hold.suspended by patron',
      'hold.resumed by library',
      'hold.ready by patron',
    ])
  })

  test('wakes to a copy that lies free', async () => {
    const { aPatron, aBook, aLoan, aHold, giveBack, pass, borrow } = library
    const [holder, patron, stranger, book] = await Promise.all([aPatron(), aPatron(), aPatron(), aBook()])
    const loan = await aLoan(holder, book)
    const hold = await aHold(patron, book)
    await suspend(patron, hold, await day(10))
    await giveBack(holder, loan)
    await pass(11)
    expect((await readHold(patron, hold)).state).toBe('ready')
    expect(problemOf(await borrow(stranger, book))).toBe('no-copy-available')
  })

  test('gives up the copy that waits for it, and may be woken early', async () => {
    const { aPatron, aBook, aLoan, aHold, giveBack, ask } = library
    const [holder, first, second, book] = await Promise.all([aPatron(), aPatron(), aPatron(), aBook()])
    const loan = await aLoan(holder, book)
    const [hold, next] = [await aHold(first, book), await aHold(second, book)]
    await giveBack(holder, loan)
    expect((await suspend(first, hold, await day(30))).body).toMatchObject({ state: 'suspended', copyId: null })
    expect((await readHold(second, next)).state).toBe('ready')
    const resume = () => ask<Hold>('DELETE', `/v1/holds/${hold.id}/suspension`, { token: first.token })
    expect((await resume()).body).toMatchObject({ state: 'waiting', position: 1 })
    expect((await resume()).status).toBe(200)
  })

  test('neither renewals nor other patrons wait for it', async () => {
    const { aPatron, aBook, aLoan, aHold, giveBack, borrow, ask, database } = library
    const [holder, patron, stranger, book] = await Promise.all([aPatron(), aPatron(), aPatron(), aBook()])
    const loan = await aLoan(holder, book)
    const hold = await aHold(patron, book)
    await suspend(patron, hold, await day(30))
    await database`update loans set checked_out_at = checked_out_at - interval '9 days', due_at = due_at - interval '9 days' where id = ${loan.id}`
    expect((await ask('POST', `/v1/loans/${loan.id}/renewals`, { token: holder.token })).status).toBe(201)
    await giveBack(holder, loan)
    expect((await borrow(stranger, book)).status).toBe(201)
  })

  test('is suspended until a day ahead, within a year, by its patron or staff', async () => {
    const { aPatron, aBook, aLoan, aHold, theStaff } = library
    const [holder, patron, stranger, book] = await Promise.all([aPatron(), aPatron(), aPatron(), aBook()])
    await aLoan(holder, book)
    const hold = await aHold(patron, book)
    for (const ahead of [-1, 0, 367]) {
      expect(problemOf(await suspend(patron, hold, await day(ahead)))).toBe('date-out-of-range')
    }
    expect((await suspend(patron, hold, '2026-02-30')).status).toBe(422)
    expect(problemOf(await suspend(stranger, hold, await day(3)))).toBe('hold-not-found')
    expect((await suspend(await theStaff(), hold, await day(366))).status).toBe(200)
  })
})

test('a hold that is not collected passes on after closing time of its last day', async () => {
  const { aPatron, aBook, aLoan, aHold, giveBack, pass, ask } = library
  const [holder, first, second, book] = await Promise.all([aPatron(), aPatron(), aPatron(), aBook()])
  const loan = await aLoan(holder, book)
  const [hold, next] = [await aHold(first, book), await aHold(second, book)]
  await giveBack(holder, loan)
  await pass(7)
  expect((await readHold(first, hold)).state).toBe('ready')
  await pass(1)
  expect((await ask('GET', `/v1/holds/${hold.id}`, { token: first.token })).status).toBe(404)
  expect((await readHold(second, next)).state).toBe('ready')
  expect((await eventsOf(hold.id)).at(-1)).toBe('hold.expired by library')
})

test('what there is nothing to do for does nothing, however often it runs', async () => {
  await library.runScheduled()
  const count = async () => (await library.database`select count(*)::integer as count from events`)[0]?.['count']
  const before = await count()
  await Promise.all([library.runScheduled(), library.runScheduled()])
  expect(await count()).toBe(before)
})

test('a run takes what is bounded at once and leaves what somebody is working on', async () => {
  const { aPatron, aBook, aLoan, database } = library
  const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 0, licences: 1 })])
  const loan = await aLoan(patron, book)
  await database`update loans set checked_out_at = checked_out_at - interval '90 days', due_at = due_at - interval '90 days' where id = ${loan.id}`
  // A transaction has the queue while a run looks: the run does not wait for it.
  const somebody = waiting(library, { before: `select lock_queue('${book.id}')` })
  await somebody.atGate()
  expect((await database`select end_digital_loans(100) as count`)[0]?.['count']).toBe(0)
  await somebody.open()
  expect((await database`select end_digital_loans(100) as count`)[0]?.['count']).toBe(1)
})
