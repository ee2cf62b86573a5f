import { beforeAll, describe, expect, test } from 'vitest'
import type { Fee } from '../src/features/fees/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import type { Page } from '../src/page.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Ask, type Library, type Person, problemOf } from './support/library.ts'

/** In a library of its own, whose calendar nobody changes. */
let library: Library
beforeAll(async () => {
  library = await aLibraryApart()
})

type Terms = { feePerDay?: number; feeMax?: number; graceDays?: number; feeLimit?: number; overdueLimit?: number }

/** A patron of a category of their own, with a policy of its own. */
async function aPatronUnder(terms: Terms = {}, { database, aPatron }: Library = library) {
  const { feePerDay = 25, feeMax = 500, graceDays = 2, feeLimit = 1_000, overdueLimit = 10 } = terms
  const patron = await aPatron()
  const category = `of-${patron.username.toLowerCase()}`
  await database`insert into categories (name) values (${category})`
  await database`
    insert into policies (
      category, loan_days, loan_limit, renewal_limit, fee_per_day, fee_max, grace_days, fee_limit, overdue_limit
    )
    values (${category}, 10, 30, 5, ${feePerDay}, ${feeMax}, ${graceDays}, ${feeLimit}, ${overdueLimit})`
  await database`update users set category = ${category} where id = ${patron.id}`
  return { ...patron, category }
}

/** Lets time pass for one loan: it fell due so many days ago. */
const makeLate = ({ id }: { id: string }, days: number, { database }: Library = library) =>
  database`
    update loans
    set checked_out_at = end_of_day(today() - ${days}::integer - 10), due_at = end_of_day(today() - ${days}::integer)
    where id = ${id}`

async function aLateLoan(patron: Person, days: number) {
  const loan = await library.aLoan(patron, await library.aBook())
  await makeLate(loan, days)
  return loan
}

const accrued = async ({ token }: Person, { id }: { id: string }, { ask }: Library = library) =>
  (await ask<Loan>('GET', `/v1/loans/${id}`, { token })).body.accruedFee

const renew = ({ token }: Person, { id }: { id: string }) =>
  library.ask<Loan>('POST', `/v1/loans/${id}/renewals`, { token })

const feesOf = async ({ token }: Person, query = '') =>
  (await library.ask<Page<Fee>>('GET', `/v1/fees?${query}`, { token })).body.items

async function charge(userId: string, amount: number) {
  const { token } = await library.theStaff()
  return library.ask<Fee>('POST', '/v1/fees', { token, body: { userId, amount, note: 'A new card' } })
}

async function pay({ id }: { id: string }, amount: number, how: Ask = {}) {
  const { token } = await library.theStaff()
  return library.ask<Fee>('POST', `/v1/fees/${id}/payments`, { token, body: { amount }, ...how })
}

async function waive({ id }: { id: string }, amount: number) {
  const { token } = await library.theStaff()
  return library.ask<Fee>('POST', `/v1/fees/${id}/waivers`, { token, body: { amount, reason: 'It rained in' } })
}

const read = async ({ id }: { id: string }) => {
  const { token } = await library.theStaff()
  return (await library.ask<Fee>('GET', `/v1/fees/${id}`, { token })).body
}

/** What the ledger adds up to, from its entries alone. */
const sumOf = ({ entries }: Fee) =>
  entries.reduce((sum, { kind, amount }) => sum + (kind === 'charge' ? amount : -amount), 0)

describe('a late loan', () => {
  test('runs up a fee for each day the library opened, past the days of grace and up to the maximum', async () => {
    const apart = await aLibraryApart({
      statements: [
        `update library set time_zone = 'Pacific/Auckland'`,
        `update opening_hours set opens = null, closes = null where weekday = 7`,
        `insert into calendar_days (day, opens, closes) values
          (today() - 1, null, null), (today() - 4, null, null),
          (today() - 7 - extract(isodow from today())::integer, '10:00', '12:00')`,
      ],
    })
    const patron = await aPatronUnder({ feePerDay: 7, feeMax: 95, graceDays: 3 }, apart)
    const loan = await apart.aLoan(patron, await apart.aBook())

    const today = new Date(new Date().toLocaleDateString('en-CA', { timeZone: 'Pacific/Auckland' }))
    const isoWeekday = today.getUTCDay() || 7
    /** The calendar above, in words of its own. */
    const isOpen = (daysAgo: number) => {
      if (daysAgo === 1 || daysAgo === 4) return false
      if (daysAgo === 7 + isoWeekday) return true
      return new Date(today.getTime() - daysAgo * 86_400_000).getUTCDay() !== 0
    }
    const expected = (lateSince: number) => {
      const days = Array.from({ length: lateSince }, (_, daysAgo) => daysAgo).filter(isOpen).length
      return days <= 3 ? 0 : Math.min(days * 7, 95)
    }
    const found: Record<number, number> = {}
    for (let days = 0; days <= 25; days++) {
      await makeLate(loan, days, apart)
      found[days] = await accrued(patron, loan, apart)
    }
    expect(found).toEqual(Object.fromEntries(Array.from({ length: 26 }, (_, days) => [days, expected(days)])))
    expect(new Set(Object.values(found))).toEqual(
      new Set([0, ...[4, 5, 6, 7, 8, 9, 10, 11, 12, 13].map((n) => n * 7), 95]),
    )
    await apart.drop()
  })

  test('is charged when it comes back, as much as it had run up, and once', async () => {
    const patron = await aPatronUnder()
    const loan = await aLateLoan(patron, 7)
    expect(await accrued(patron, loan)).toBe(175)
    expect(await feesOf(patron)).toEqual([])
    expect((await library.giveBack(patron, loan)).body.accruedFee).toBe(0)
    expect((await library.giveBack(patron, loan)).status).toBe(200)
    const fees = await feesOf(patron)
    expect(fees).toEqual([
      {
        id: fees[0]?.id,
        userId: patron.id,
        kind: 'overdue',
        note: null,
        loanId: loan.id,
        bookTitle: loan.bookTitle,
        currency: 'EUR',
        balance: 175,
        createdAt: expect.any(String),
        settledAt: null,
        entries: [{ id: expect.any(String), kind: 'charge', amount: 175, reason: null, createdAt: expect.any(String) }],
      },
    ])
  })

  test('that comes back ten times at once is charged once', async () => {
    const patron = await aPatronUnder()
    const loan = await aLateLoan(patron, 7)
    const answers = await Promise.all(Array.from({ length: 10 }, () => library.giveBack(patron, loan)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect((await feesOf(patron)).map(({ balance }) => balance)).toEqual([175])
  })

  test('within the days of grace costs nothing', async () => {
    const patron = await aPatronUnder()
    const loan = await aLateLoan(patron, 2)
    await library.giveBack(patron, loan)
    expect(await feesOf(patron)).toEqual([])
  })

  test('is charged when it is renewed, and starts again', async () => {
    const patron = await aPatronUnder()
    const loan = await aLateLoan(patron, 4)
    const renewed = await renew(patron, loan)
    expect([renewed.status, renewed.body.accruedFee]).toEqual([201, 0])
    expect((await feesOf(patron)).map(({ balance }) => balance)).toEqual([100])
    await makeLate(loan, 3)
    expect(await accrued(patron, loan)).toBe(75)
    await library.giveBack(patron, loan)
    expect((await feesOf(patron)).map(({ balance }) => balance)).toEqual([75, 100])
  })

  test('that is renewed and returned at once is charged once', async () => {
    for (let round = 0; round < 10; round++) {
      const patron = await aPatronUnder()
      const loan = await aLateLoan(patron, 4)
      const [renewed, returned] = await Promise.all([renew(patron, loan), library.giveBack(patron, loan)])
      expect(returned.status).toBe(200)
      expect([null, 'loan-returned', 'loan-not-found']).toContain(problemOf(renewed))
      expect((await feesOf(patron)).map(({ balance }) => balance)).toEqual([100])
    }
  })

  test('keeps the terms it was made with', async () => {
    const patron = await aPatronUnder()
    const loan = await aLateLoan(patron, 4)
    await library.database`update policies set fee_per_day = 90, grace_days = 9 where category = ${patron.category}`
    expect(await accrued(patron, loan)).toBe(100)
  })
})

describe('paying', () => {
  test('a fee is paid in part, waived in part, and forgets whose it was when nothing is left', async () => {
    const [{ token }, patron] = await Promise.all([library.theStaff(), library.aPatron()])
    const charged = await charge(patron.id, 1_000)
    expect(charged.headers.get('location')).toBe(`/v1/fees/${charged.body.id}`)
    expect(charged.body).toMatchObject({
      userId: patron.id,
      kind: 'other',
      note: 'A new card',
      loanId: null,
      bookTitle: null,
      balance: 1_000,
      settledAt: null,
    })
    const paid = await pay(charged.body, 300, { body: { amount: 300, reference: 'Till 2' } })
    expect([paid.status, paid.body.balance, paid.body.userId]).toEqual([201, 700, patron.id])
    expect((await waive(charged.body, 699)).body.balance).toBe(1)
    const settled = (await pay(charged.body, 1)).body
    expect(settled).toMatchObject({ balance: 0, userId: null, loanId: null, settledAt: expect.any(String) })
    expect(settled.entries.map(({ kind, amount, reason }) => [kind, amount, reason])).toEqual([
      ['charge', 1_000, null],
      ['payment', 300, 'Till 2'],
      ['waiver', 699, 'It rained in'],
      ['payment', 1, null],
    ])
    expect(await read(settled)).toEqual(settled)
    expect(problemOf(await library.ask('GET', `/v1/fees/${settled.id}`, { token: patron.token }))).toBe('fee-not-found')
    expect(problemOf(await pay(settled, 1))).toBe('fee-settled')
    expect(problemOf(await waive(settled, 1))).toBe('fee-settled')
    expect((await library.ask('GET', `/v1/fees/${settled.id}`, { token })).status).toBe(200)
  })

  test('no more is paid or waived than is owed', async () => {
    const { body } = await charge((await library.aPatron()).id, 100)
    expect(problemOf(await pay(body, 101))).toBe('amount-exceeds-balance')
    expect(problemOf(await waive(body, 100_000_000))).toBe('amount-exceeds-balance')
    expect(await read(body)).toEqual(body)
  })

  test('the whole balance paid ten times at once is paid once', async () => {
    const { body } = await charge((await library.aPatron()).id, 350)
    const answers = await Promise.all(Array.from({ length: 10 }, () => pay(body, 350)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter((answer) => problemOf(answer) === 'fee-settled')).toHaveLength(9)
    expect(sumOf(await read(body))).toBe(0)
  })

  test('ten payments and waivers at once take what there is, and each is answered with itself', async () => {
    const { body } = await charge((await library.aPatron()).id, 550)
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => (n % 2 ? pay : waive)(body, 100)))
    const done = answers.filter(({ status }) => status === 201).map((answer) => answer.body)
    expect(done.map(({ balance }) => balance).toSorted((a, b) => b - a)).toEqual([450, 350, 250, 150, 50])
    for (const fee of done) expect([fee.id, sumOf(fee)]).toEqual([body.id, fee.balance])
    expect(answers.filter((answer) => problemOf(answer) === 'amount-exceeds-balance')).toHaveLength(5)
    expect((await read(body)).balance).toBe(50)
  })

  test('a payment, or a charge, sent ten times at once with one Idempotency-Key is one', async () => {
    const [{ token }, patron] = await Promise.all([library.theStaff(), library.aPatron()])
    const headers = () => ({ 'idempotency-key': crypto.randomUUID() })
    const charging = { token, body: { userId: patron.id, amount: 1_000, note: 'A new card' }, headers: headers() }
    const charges = await Promise.all(Array.from({ length: 10 }, () => library.ask<Fee>('POST', '/v1/fees', charging)))
    const [first] = charges
    expect(new Set(charges.map(({ text }) => text))).toEqual(new Set([first?.text]))
    expect(await feesOf(patron)).toHaveLength(1)
    const fee = charges[0]?.body ?? { id: '' }
    const paying = { body: { amount: 100 }, headers: headers() }
    const payments = await Promise.all(Array.from({ length: 10 }, () => pay(fee, 100, paying)))
    expect(payments.map(({ status, body }) => [status, body.balance])).toEqual(Array(10).fill([201, 900]))
    expect((await read(fee)).balance).toBe(900)
  })

  test('nobody is charged who is not there, nothing is paid that is not owed, and amounts are whole', async () => {
    const [{ token }, patron] = await Promise.all([library.theStaff(), library.aPatron()])
    expect(problemOf(await charge(crypto.randomUUID(), 1))).toBe('user-not-found')
    const absent = { id: crypto.randomUUID() }
    expect([problemOf(await pay(absent, 1)), problemOf(await waive(absent, 1))]).toEqual(Array(2).fill('fee-not-found'))
    const { body: fee } = await charge(patron.id, 100_000_000)
    for (const amount of [0, -1, 0.5, 100_000_001, '10', null]) {
      const body = { userId: patron.id, amount, note: 'x' }
      expect((await library.ask('POST', '/v1/fees', { token, body })).status).toBe(422)
      expect((await pay(fee, 1, { body: { amount } })).status).toBe(422)
    }
    const withoutReason = { token, body: { amount: 1 } }
    expect((await library.ask('POST', `/v1/fees/${fee.id}/waivers`, withoutReason)).status).toBe(422)
    expect(sumOf(await read(fee))).toBe(100_000_000)
  })
})

describe('the ledger', () => {
  test('is only ever added to', async () => {
    const { id } = (await charge((await library.aPatron()).id, 100)).body
    const appendOnly = /append-only/
    const { database } = library
    await expect(database`update fee_entries set amount = 1 where fee_id = ${id}`).rejects.toThrow(appendOnly)
    await expect(database`delete from fee_entries where fee_id = ${id}`).rejects.toThrow(appendOnly)
    await expect(database`truncate fee_entries`).rejects.toThrow(appendOnly)
    await expect(database`truncate fees cascade`).rejects.toThrow(appendOnly)
    await expect(database`delete from fees where id = ${id}`).rejects.toThrow('fee_entries_fee_fkey')
  })

  test('always balances', async () => {
    const { id } = (await charge((await library.aPatron()).id, 100)).body
    const unbalanced = 'the ledger does not balance'
    const { database } = library
    await expect(
      database`insert into fee_entries (fee_id, kind, amount) values (${id}, 'payment', -1)`,
    ).rejects.toThrow(unbalanced)
    await expect(database`update fees set balance = 99 where id = ${id}`).rejects.toThrow(unbalanced)
    await expect(
      database`insert into fees (user_id, kind, balance) select user_id, 'other', 1 from fees where id = ${id}`,
    ).rejects.toThrow(unbalanced)
    await expect(database`update fees set balance = -1 where id = ${id}`).rejects.toThrow('fees_balance_never_negative')
    await database.transaction([
      database`update fees set balance = 99 where id = ${id}`,
      database`insert into fee_entries (fee_id, kind, amount) values (${id}, 'payment', -1)`,
    ])
    expect((await read({ id })).balance).toBe(99)
  })
})

describe('what is owed', () => {
  /** A book to borrow, a loan to renew and a book to queue for. */
  async function wishesOf(patron: Person) {
    const { aBook, aLoan, aPatron, borrow, queue } = library
    const [free, lent, mine] = [await aBook(), await aBook(), await aLoan(patron, await aBook())]
    await aLoan(await aPatron(), lent)
    await library.database`
      update loans set checked_out_at = checked_out_at - interval '5 days', due_at = due_at - interval '5 days'
      where id = ${mine.id}`
    return async () => [
      problemOf(await borrow(patron, free)),
      problemOf(await renew(patron, mine)),
      problemOf(await queue(patron, lent)),
    ]
  }
  const granted = [null, null, null]

  test('keeps a patron from borrowing, renewing and queuing until enough of it is paid', async () => {
    const patron = await aPatronUnder({ feeLimit: 200 })
    const tryAll = await wishesOf(patron)
    const [first] = [(await charge(patron.id, 150)).body, (await charge(patron.id, 50)).body]
    expect(await tryAll()).toEqual(Array(3).fill('fee-limit-reached'))
    await pay(first, 1)
    expect(await tryAll()).toEqual(granted)
  })

  test('counts from when it has run up, before it is charged', async () => {
    const patron = await aPatronUnder({ feeLimit: 200 })
    const tryAll = await wishesOf(patron)
    const late = await aLateLoan(patron, 8)
    expect(await tryAll()).toEqual(Array(3).fill('fee-limit-reached'))
    await library.giveBack(patron, late)
    expect(await tryAll()).toEqual(Array(3).fill('fee-limit-reached'))
    const [fee] = await feesOf(patron)
    await pay(fee ?? { id: '' }, 200)
    expect(await tryAll()).toEqual(granted)
  })

  test('does not keep anybody from returning', async () => {
    const patron = await aPatronUnder({ feeLimit: 1 })
    const loan = await aLateLoan(patron, 8)
    expect((await library.giveBack(patron, loan)).status).toBe(200)
  })

  test('is one thing, how many loans are overdue another', async () => {
    const patron = await aPatronUnder({ feePerDay: 0, overdueLimit: 2 })
    const tryAll = await wishesOf(patron)
    const late = await aLateLoan(patron, 1)
    const later = await aLateLoan(patron, 0)
    await library.database`update loans set due_at = clock() - interval '1 second' where id = ${later.id}`
    expect(await tryAll()).toEqual(Array(3).fill('overdue-limit-reached'))
    await library.giveBack(patron, late)
    expect(await tryAll()).toEqual(granted)
  })

  test('is set aside by staff with a reason, where the policy lets them', async () => {
    const [{ token }, patron] = await Promise.all([library.theStaff(), aPatronUnder({ feeLimit: 100 })])
    await charge(patron.id, 100)
    const { barcode } = await library.aCopy(await library.aBook({ copies: 0 }))
    const override = { reason: 'An exam tomorrow' }
    const lend = (body: object) =>
      library.ask<Loan>('POST', '/v1/loans', { token, body: { barcode, userId: patron.id, ...body } })
    expect(problemOf(await lend({}))).toBe('fee-limit-reached')
    const body = { bookId: (await library.aBook()).id, override }
    expect(problemOf(await library.ask('POST', '/v1/loans', { token: patron.token, body }))).toBe('forbidden')
    await library.database`update policies set overridable = '{patron-blocked}' where category = ${patron.category}`
    expect(problemOf(await lend({ override }))).toBe('fee-limit-reached')
    await library.database`update policies set overridable = '{fee-limit-reached}' where category = ${patron.category}`
    const lent = await lend({ override })
    expect(lent.status, lent.text).toBe(201)
    const [event] = await library.database`select details from events where subject_id = ${lent.body.id}`
    expect(event?.['details']).toMatchObject({ overridden: ['fee-limit-reached'], reason: 'An exam tomorrow' })
  })
})

describe('lists of fees', () => {
  test('a patron lists their own, staff anyone’s, and those that are settled', async () => {
    const [staff, patron, other] = await Promise.all([library.theStaff(), library.aPatron(), library.aPatron()])
    const ids: string[] = []
    for (let n = 0; n < 3; n++) ids.unshift((await charge(patron.id, 100 + n)).body.id)
    const theirs = (await charge(other.id, 1)).body
    const list = async (who: Person, query = '') => (await feesOf(who, query)).map(({ id }) => id)
    expect(await list(patron)).toEqual(ids)
    expect(await list(staff, `userId=${patron.id}`)).toEqual(ids)
    expect(await list(staff, 'limit=4')).toEqual([theirs.id, ...ids])

    const page = await library.ask<Page<Fee>>('GET', '/v1/fees?limit=2', { token: patron.token })
    const rest = await library.ask<Page<Fee>>('GET', page.body.next ?? '', { token: patron.token })
    expect([page, rest].map(({ body }) => body.items.map(({ id }) => id))).toEqual([ids.slice(0, 2), ids.slice(2)])
    expect(rest.body.next).toBeNull()

    await pay(theirs, 1)
    expect(await list(staff, 'state=settled&limit=1')).toEqual([theirs.id])
    expect(await list(other)).toEqual([])
    expect(await list(other, 'state=settled')).toEqual([])
    expect(await list(staff, `state=settled&userId=${other.id}`)).toEqual([])
    const { token } = other
    expect(problemOf(await library.ask('GET', `/v1/fees?userId=${patron.id}`, { token }))).toBe('forbidden')
    expect(problemOf(await library.ask('GET', `/v1/fees/${ids[0]}`, { token }))).toBe('fee-not-found')
    expect((await library.ask('GET', `/v1/fees/${ids[0]}`, { token: patron.token })).status).toBe(200)
  })
})
