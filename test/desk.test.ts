import { describe, expect, test } from 'vitest'
import type { CheckIn } from '../src/features/check-ins/schema.ts'
import type { Copy } from '../src/features/copies/schema.ts'
import type { Fee } from '../src/features/fees/schema.ts'
import type { Hold } from '../src/features/holds/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import type { Page } from '../src/page.ts'
import {
  aBook,
  aCopy,
  aHold,
  aLoan,
  aPatron,
  type Ask,
  ask,
  borrow,
  database,
  giveBack,
  type Person,
  problemOf,
  queue,
  theStaff,
} from './support/library.ts'

/** A book with one copy that has a known barcode. */
async function aBookOnTheShelf() {
  const book = await aBook({ copies: 0 })
  const copy = await aCopy(book)
  return { book, copy, barcode: copy.barcode ?? '' }
}

const checkIn = async (barcode: string, how: Ask = {}) =>
  ask<CheckIn>('POST', '/v1/check-ins', { token: (await theStaff()).token, body: { barcode }, ...how })

const asStaff = async <T>(method: string, path: string, body?: object) =>
  ask<T>(method, path, { token: (await theStaff()).token, ...(body && { body }) })

const lose = ({ id }: { id: string }) => asStaff<Copy>('PUT', `/v1/copies/${id}/loss`)
const find = ({ id }: { id: string }) => asStaff<Copy>('DELETE', `/v1/copies/${id}/loss`)

/** Puts a patron into a category of their own, whose policy has these fees. */
async function chargeForLoss({ id }: Person, lostFee: number) {
  const category = `c${id.slice(-12)}`
  await database`insert into categories (name) values (${category})`
  await database`
    insert into policies (category, loan_days, loan_limit, renewal_limit, fee_per_day, fee_max, lost_fee, fee_limit)
    values (${category}, 21, 5, 2, 10, 1000, ${lostFee}, null)`
  await database`update users set category = ${category} where id = ${id}`
}

const feesOf = async ({ token }: Person) => (await ask<Page<Fee>>('GET', '/v1/fees', { token })).body.items

describe('checking in by barcode', () => {
  test('ends the loan and sends the copy to the shelf', async () => {
    const { book, copy, barcode } = await aBookOnTheShelf()
    const loan = await aLoan(await aPatron(), book)
    const { status, body } = await checkIn(barcode)
    expect(status).toBe(201)
    expect(body).toMatchObject({ next: 'shelf', holdId: null, feeCharged: 0, usedInLibrary: false })
    expect(body.loan).toMatchObject({ id: loan.id, userId: null })
    expect(body.loan?.returnedAt).not.toBeNull()
    expect(body.copy).toMatchObject({ id: copy.id, state: 'available', inLibraryUses: 0 })
  })

  test('sends the copy to the first hold', async () => {
    const { book, barcode } = await aBookOnTheShelf()
    const [holder, patron] = await Promise.all([aPatron(), aPatron()])
    await aLoan(holder, book)
    const hold = await aHold(patron, book)
    expect((await checkIn(barcode)).body).toMatchObject({ next: 'hold', holdId: hold.id, copy: { state: 'on_hold' } })
    // Scanned again it still says so, and that is no use in the library.
    expect((await checkIn(barcode)).body).toMatchObject({ next: 'hold', holdId: hold.id, usedInLibrary: false })
  })

  test('counts a copy from the shelf as used in the library, once for ten requests with one key', async () => {
    const { barcode } = await aBookOnTheShelf()
    expect((await checkIn(barcode)).body).toMatchObject({ loan: null, next: 'shelf', usedInLibrary: true })
    const headers = { 'idempotency-key': crypto.randomUUID() }
    await Promise.all(Array.from({ length: 10 }, () => checkIn(barcode, { headers })))
    expect((await checkIn(barcode)).body.copy.inLibraryUses).toBe(3)
  })

  test('charges what is overdue, and says how much', async () => {
    const { book, barcode } = await aBookOnTheShelf()
    const patron = await aPatron()
    await chargeForLoss(patron, 0)
    const loan = await aLoan(patron, book)
    await database`
      update loans set checked_out_at = checked_out_at - interval '30 days', due_at = due_at - interval '30 days'
      where id = ${loan.id}`
    expect((await checkIn(barcode)).body.feeCharged).toBe(90)
  })

  test('knows no barcode that is not there, and is not for patrons', async () => {
    expect(problemOf(await checkIn('NO SUCH LABEL'))).toBe('copy-not-found')
    const { token } = await aPatron()
    expect(problemOf(await checkIn('NO SUCH LABEL', { token }))).toBe('forbidden')
    expect((await checkIn('')).status).toBe(422)
  })

  test('by ten desks at once ends the loan once', async () => {
    const { book, barcode } = await aBookOnTheShelf()
    const patron = await aPatron()
    await aLoan(patron, book)
    const answers = await Promise.all(Array.from({ length: 10 }, () => checkIn(barcode)))
    expect(answers.filter(({ status }) => status !== 201)).toEqual([])
    const [events] = await database`
      select count(*)::integer as count from events where book_id = ${book.id} and kind = 'loan.returned'`
    expect(events?.['count']).toBe(1)
    const [counter] = await database`select open_loans from loan_counters where user_id = ${patron.id}`
    expect(counter?.['open_loans']).toBe(0)
  })
})

describe('a lost copy', () => {
  test('ends its loan, costs what the policy says, and leaves circulation', async () => {
    const { book, copy, barcode } = await aBookOnTheShelf()
    const patron = await aPatron()
    await chargeForLoss(patron, 2500)
    const loan = await aLoan(patron, book)
    expect((await lose(copy)).body.state).toBe('lost')
    expect((await lose(copy)).body.state).toBe('lost')
    const { body } = await asStaff<Loan>('GET', `/v1/loans/${loan.id}`)
    expect(body).toMatchObject({ userId: null, lostAt: body.returnedAt })
    expect((await feesOf(patron)).map(({ kind, balance }) => ({ kind, balance }))).toEqual([
      { kind: 'lost', balance: 2500 },
    ])
    expect(problemOf(await borrow(patron, book))).toBe('no-copy-available')
    expect(problemOf(await queue(patron, book))).toBe('no-copy-in-circulation')
    const { id } = patron
    expect(problemOf(await asStaff('POST', '/v1/loans', { barcode, userId: id }))).toBe('copy-not-available')
  })

  test('that is found goes to the first hold, and what is still owed for it is waived', async () => {
    const { book, copy, barcode } = await aBookOnTheShelf()
    const spare = await aCopy(book)
    const [patron, other, next] = await Promise.all([aPatron(), aPatron(), aPatron()])
    await chargeForLoss(patron, 2500)
    const loan = await aLoan(patron, book)
    const first = loan.copyId === copy.id ? copy : spare
    await aLoan(other, book)
    const hold = await aHold(next, book)
    await lose(first)
    const [fee] = await feesOf(patron)
    await asStaff('POST', `/v1/fees/${fee?.id}/payments`, { amount: 500 })
    const found = await checkIn(first.id === copy.id ? barcode : (spare.barcode ?? ''))
    expect(found.body).toMatchObject({ next: 'hold', holdId: hold.id, loan: null, usedInLibrary: false })
    expect(await feesOf(patron)).toEqual([])
    const { body } = await asStaff<Fee>('GET', `/v1/fees/${fee?.id}`)
    expect(body).toMatchObject({ userId: null, balance: 0 })
    expect(body.entries.map(({ kind, amount }) => [kind, amount])).toEqual([
      ['charge', 2500],
      ['payment', 500],
      ['waiver', 2000],
    ])
  })

  test('may have waited for somebody, who keeps their place and gets the next', async () => {
    const { book, copy } = await aBookOnTheShelf()
    const spare = await aCopy(book)
    const [one, two, patron] = await Promise.all([aPatron(), aPatron(), aPatron()])
    const [loan, second] = [await aLoan(one, book), await aLoan(two, book)]
    const hold = await aHold(patron, book)
    await giveBack(one, loan)
    await lose(loan.copyId === copy.id ? copy : spare)
    const read = async () => (await ask<Hold>('GET', `/v1/holds/${hold.id}`, { token: patron.token })).body
    expect(await read()).toMatchObject({ state: 'waiting', position: 1, copyId: null })
    await giveBack(two, second)
    expect(await read()).toMatchObject({ state: 'ready', copyId: second.copyId })
  })

  test('found by declaring it is on the shelf; a digital one cannot be lost, an unknown one not found', async () => {
    const { copy, book } = await aBookOnTheShelf()
    await lose(copy)
    expect((await find(copy)).body.state).toBe('available')
    expect((await find(copy)).body.state).toBe('available')
    const licence = await aCopy(book, { format: 'digital' })
    expect(problemOf(await lose(licence))).toBe('format-mismatch')
    expect(problemOf(await lose({ id: crypto.randomUUID() }))).toBe('copy-not-found')
    expect(problemOf(await find({ id: crypto.randomUUID() }))).toBe('copy-not-found')
  })

  test('declared lost and returned at once ends the loan once, either way', async () => {
    for (let round = 0; round < 10; round++) {
      const { book, copy } = await aBookOnTheShelf()
      const patron = await aPatron()
      const loan = await aLoan(patron, book)
      const answers = await Promise.all([lose(copy), giveBack(patron, loan)])
      expect(answers.every(({ status }) => status === 200 || status === 503)).toBe(true)
      const rows = await database`
        select kind from events where subject_id = ${loan.id} and kind in ('loan.lost', 'loan.returned')`
      expect(rows).toHaveLength(1)
    }
  })
})

describe('a claim to have returned it', () => {
  test('stops what accrues, is not renewed, and is taken back or settled by checking in', async () => {
    const { book, barcode } = await aBookOnTheShelf()
    const patron = await aPatron()
    await chargeForLoss(patron, 0)
    const loan = await aLoan(patron, book)
    await database`
      update loans set checked_out_at = checked_out_at - interval '30 days', due_at = due_at - interval '30 days'
      where id = ${loan.id}`
    const claim = (method: string) => asStaff<Loan>(method, `/v1/loans/${loan.id}/claimed-return`)
    expect((await claim('PUT')).body.claimedReturnedAt).not.toBeNull()
    const again = await claim('PUT')
    expect(again.body.accruedFee).toBe(90)
    await database`update loans set claimed_returned_at = claimed_returned_at - interval '4 days' where id = ${loan.id}`
    const read = async () => (await ask<Loan>('GET', `/v1/loans/${loan.id}`, { token: patron.token })).body
    expect((await read()).accruedFee).toBe(50)
    expect(problemOf(await ask('POST', `/v1/loans/${loan.id}/renewals`, { token: patron.token }))).toBe(
      'loan-claimed-returned',
    )
    expect((await claim('DELETE')).body).toMatchObject({ claimedReturnedAt: null, accruedFee: 90 })
    await claim('PUT')
    expect((await checkIn(barcode)).body).toMatchObject({ next: 'shelf', feeCharged: 90 })
    expect(problemOf(await claim('PUT'))).toBe('loan-returned')
  })

  test('is not for a digital loan, which returns itself', async () => {
    const book = await aBook({ copies: 0, licences: 1 })
    const loan = await aLoan(await aPatron(), book)
    expect(problemOf(await asStaff('PUT', `/v1/loans/${loan.id}/claimed-return`))).toBe('format-mismatch')
    expect(problemOf(await asStaff('PUT', `/v1/loans/${crypto.randomUUID()}/claimed-return`))).toBe('loan-not-found')
  })
})
