import { describe, expect, test } from 'vitest'
import type { Book } from '../src/features/books/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import {
  aBook,
  aCopy,
  aLoan,
  aPatron,
  ask,
  borrow,
  database,
  giveBack,
  PASSWORD,
  problemOf,
  theStaff,
} from './support/library.ts'

const availability = async (book: { id: string }) => (await ask<Book>('GET', `/v1/books/${book.id}`)).body.availability

const openLoans = async (userId: string) => {
  const [row] = await database`
    select
      (select count(*)::integer from loans where user_id = ${userId} and returned_at is null) as loans,
      (select open_loans from loan_counters where user_id = ${userId}) as counter`
  return row
}

/** Every copy's state says whether it has an open loan, and every counter how many its patron has. */
async function expectBooksBalanced() {
  const rows = await database`
    select c.id from copies c
    where (c.state = 'on_loan') <> exists (select from loans l where l.copy_id = c.id and l.returned_at is null)
    union all
    select n.user_id from loan_counters n
    where n.open_loans <> (select count(*) from loans l where l.user_id = n.user_id and l.returned_at is null)`
  expect(rows).toEqual([])
}

/** The end of the day so many days after a moment, in the zone of a new library, which is UTC. */
const endOfDay = (moment: string, days: number) =>
  `${new Date(Date.parse(moment) + days * 86_400_000).toISOString().slice(0, 10)}T23:59:59+00:00`

describe('borrowing', () => {
  test('a patron borrows a book, and its copy is no longer available', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 2 })])
    const answer = await borrow(patron, book)
    expect(answer.status, answer.text).toBe(201)
    expect(answer.headers.get('location')).toBe(`/v1/loans/${answer.body.id}`)
    expect(answer.body).toMatchObject({
      bookId: book.id,
      bookTitle: book.title,
      userId: patron.id,
      format: 'physical',
      renewals: 0,
      returnedAt: null,
    })
    expect(answer.body.dueAt).toBe(endOfDay(answer.body.checkedOutAt, 21))
    expect(await availability(book)).toEqual({
      physical: { copies: 2, available: 1 },
      digital: { copies: 0, available: 0 },
      holds: 0,
    })
  })

  test('the last copy goes to exactly one of fifty patrons who ask at once', async () => {
    const [book, ...patrons] = await Promise.all([aBook({ copies: 1 }), ...Array.from({ length: 50 }, aPatron)])
    const answers = await Promise.all(patrons.map((patron) => borrow(patron, book)))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.toSorted()).toEqual([201, ...Array.from({ length: 49 }, () => 409)])
    expect(new Set(answers.filter(({ status }) => status === 409).map(problemOf))).toEqual(
      new Set(['no-copy-available']),
    )
    const [open] = await database`
      select count(*)::integer as count from loans where book_id = ${book.id} and returned_at is null`
    expect(open?.['count']).toBe(1)
    await expectBooksBalanced()
  })

  test('one patron who asks for fifty books at once gets five', async () => {
    const [patron, ...books] = await Promise.all([aPatron(), ...Array.from({ length: 50 }, () => aBook())])
    const answers = await Promise.all(books.map((book) => borrow(patron, book)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(5)
    expect(answers.filter((answer) => problemOf(answer) === 'loan-limit-reached')).toHaveLength(45)
    expect(await openLoans(patron.id)).toEqual({ loans: 5, counter: 5 })
    await expectBooksBalanced()
  })

  test('five copies for ten patrons at once are all lent', async () => {
    const [book, ...patrons] = await Promise.all([aBook({ copies: 5 }), ...Array.from({ length: 10 }, aPatron)])
    const answers = await Promise.all(patrons.map((patron) => borrow(patron, book)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(5)
    expect((await availability(book)).physical.available).toBe(0)
  })

  test('a patron at the limit does not keep others from the copy they were refused', async () => {
    const [greedy, other, last] = await Promise.all([aPatron(), aPatron(), aBook()])
    for (const book of await Promise.all(Array.from({ length: 5 }, () => aBook()))) await aLoan(greedy, book)
    const [refused, lent] = await Promise.all([borrow(greedy, last), borrow(other, last)])
    expect(problemOf(refused)).toBe('loan-limit-reached')
    expect(lent.status).toBe(201)
  })

  test('a patron has one copy of a book at a time, also when they ask twice at once', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 3 })])
    const answers = await Promise.all([borrow(patron, book), borrow(patron, book), borrow(patron, book)])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409])
    expect(answers.map(problemOf).filter(Boolean)).toEqual(['already-on-loan', 'already-on-loan'])
    expect(await openLoans(patron.id)).toEqual({ loans: 1, counter: 1 })
  })

  test('a copy of the format that was asked for is lent, and no other', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 1, licences: 0 })])
    const body = { bookId: book.id, format: 'digital' }
    expect(problemOf(await ask('POST', '/v1/loans', { token: patron.token, body }))).toBe('no-copy-available')
    await aCopy(book, { format: 'digital' })
    const answer = await ask<Loan>('POST', '/v1/loans', { token: patron.token, body })
    expect(answer.body.format).toBe('digital')
  })

  test('a licence is lent as often as it allows, never after its end, and no loan outlasts it', async () => {
    const [first, second, book] = await Promise.all([aPatron(), aPatron(), aBook({ copies: 0 })])
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
    await aCopy(book, { format: 'digital', loansLeft: 1, licenceEndsAt: tomorrow })
    const loan = await aLoan(first, book)
    expect(Date.parse(loan.dueAt)).toBe(Date.parse(tomorrow))
    await giveBack(first, loan)
    expect(problemOf(await borrow(second, book))).toBe('no-copy-available')
    await aCopy(book, { format: 'digital', licenceEndsAt: '2020-01-01T00:00:00Z' })
    expect(problemOf(await borrow(second, book))).toBe('no-copy-available')
    expect((await availability(book)).digital).toEqual({ copies: 0, available: 0 })
  })

  test('an unknown book is 404, and a removed one too', async () => {
    const [patron, staff, book] = await Promise.all([aPatron(), theStaff(), aBook()])
    expect(problemOf(await borrow(patron, { id: crypto.randomUUID() }))).toBe('book-not-found')
    await ask('DELETE', `/v1/books/${book.id}`, { token: staff.token, headers: { 'if-match': '*' } })
    expect(problemOf(await borrow(patron, book))).toBe('book-not-found')
  })

  test.each([
    [{}, '/bookId'],
    [{ bookId: 'x' }, '/bookId'],
    [{ barcode: 'B1' }, '/userId'],
    [{ bookId: crypto.randomUUID(), userId: crypto.randomUUID() }, '/userId'],
    [{ bookId: crypto.randomUUID(), barcode: 'B1' }, '/barcode'],
    [{ bookId: crypto.randomUUID(), dueAt: '2030-01-01T00:00:00Z' }, '/dueAt'],
  ])('%j is refused with a pointer to %s', async (body, pointer) => {
    const answer = await ask<{ errors: { pointer: string }[] }>('POST', '/v1/loans', {
      token: (await aPatron()).token,
      body,
    })
    expect(answer.status).toBe(422)
    expect(answer.body.errors.map((error) => error.pointer)).toContain(pointer)
  })
})

describe('the desk', () => {
  test('staff lend the copy with a barcode to a patron', async () => {
    const [staff, patron, book] = await Promise.all([theStaff(), aPatron(), aBook({ copies: 0 })])
    const copy = await aCopy(book)
    const body = { barcode: copy.barcode, userId: patron.id }
    const answer = await ask<Loan>('POST', '/v1/loans', { token: staff.token, body })
    expect(answer.body).toMatchObject({ copyId: copy.id, userId: patron.id })
    const other = await aPatron()
    const again = await ask('POST', '/v1/loans', { token: staff.token, body: { ...body, userId: other.id } })
    expect(problemOf(again)).toBe('copy-not-available')
  })

  test('a patron may not lend at the desk', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 0 })])
    const { barcode } = await aCopy(book)
    const answer = await ask('POST', '/v1/loans', { token: patron.token, body: { barcode, userId: patron.id } })
    expect(problemOf(answer)).toBe('forbidden')
  })

  test('an unknown barcode, an unknown patron and a suspended one are named', async () => {
    const [{ token }, patron, book] = await Promise.all([theStaff(), aPatron(), aBook({ copies: 0 })])
    const { barcode } = await aCopy(book)
    const lend = async (body: object) => problemOf(await ask('POST', '/v1/loans', { token, body }))
    expect(await lend({ barcode: 'NONE-1', userId: patron.id })).toBe('copy-not-found')
    expect(await lend({ barcode, userId: crypto.randomUUID() })).toBe('user-not-found')
    await ask('PUT', `/v1/users/${patron.id}/suspension`, { token, body: { reason: 'a test' } })
    expect(await lend({ barcode, userId: patron.id })).toBe('patron-suspended')
  })
})

describe('returning', () => {
  test('a returned copy can be borrowed by the next patron', async () => {
    const [first, second, book] = await Promise.all([aPatron(), aPatron(), aBook()])
    const loan = await aLoan(first, book)
    expect(problemOf(await borrow(second, book))).toBe('no-copy-available')
    const returned = await giveBack(first, loan)
    expect(returned.status).toBe(200)
    expect(returned.body.returnedAt).not.toBeNull()
    expect((await borrow(second, book)).status).toBe(201)
  })

  test('a return forgets who had the book, in the loan and in the answers kept for repeats', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const key = crypto.randomUUID()
    const { body: loan } = await borrow(patron, book, { headers: { 'idempotency-key': key } })
    const kept = () => database`select answer from idempotency_keys where subject_id = ${loan.id}`
    expect((await kept())[0]?.['answer']).toMatchObject({ userId: patron.id })
    const returned = await giveBack(patron, loan)
    expect(returned.body.userId).toBeNull()
    const [row] = await database`select user_id from loans where id = ${loan.id}`
    expect(row?.['user_id']).toBeNull()
    expect((await kept())[0]?.['answer']).toBeNull()
    const repeated = await borrow(patron, book, { headers: { 'idempotency-key': key } })
    expect(problemOf(repeated)).toBe('idempotency-key-spent')
    expect((await ask('GET', `/v1/loans/${loan.id}`, { token: patron.token })).status).toBe(404)
  })

  test('a second return changes nothing, however many come at once', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    const answers = await Promise.all(Array.from({ length: 10 }, () => giveBack(patron, loan)))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    expect(new Set(answers.map(({ body }) => body.returnedAt)).size).toBe(1)
    expect(await openLoans(patron.id)).toEqual({ loans: 0, counter: 0 })
    await expectBooksBalanced()
  })

  test('staff take back what anyone has; a patron only their own', async () => {
    const [staff, patron, other, book] = await Promise.all([theStaff(), aPatron(), aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    expect(problemOf(await giveBack(other, loan))).toBe('loan-not-found')
    expect((await giveBack(staff, loan)).status).toBe(200)
    expect(problemOf(await giveBack(staff, { id: crypto.randomUUID() }))).toBe('loan-not-found')
  })

  test('borrowing and returning one copy by many at once never lends it twice', async () => {
    const [book, ...patrons] = await Promise.all([aBook(), ...Array.from({ length: 8 }, aPatron)])
    let lent = 0
    await Promise.all(
      patrons.map(async (patron) => {
        for (let i = 0; i < 8; i++) {
          const { status, body } = await borrow(patron, book)
          if (status !== 201) continue
          lent++
          await giveBack(patron, body)
        }
      }),
    )
    const [row] = await database`select count(*)::integer as count from loans where book_id = ${book.id}`
    expect(row?.['count']).toBe(lent)
    await expectBooksBalanced()
  })
})

describe('renewing', () => {
  const renew = ({ token }: { token: string }, { id }: { id: string }, headers = {}) =>
    ask<Loan>('POST', `/v1/loans/${id}/renewals`, { token, headers })

  const age = (loan: Loan, days: number) =>
    database`
      update loans
      set checked_out_at = checked_out_at - make_interval(days => ${days}),
        due_at = due_at - make_interval(days => ${days})
      where id = ${loan.id}`

  test('a renewal extends the loan by the period, as often as the policy allows', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    for (const times of [1, 2]) {
      await age(loan, 10)
      const { status, body } = await renew(patron, loan)
      expect(status).toBe(201)
      expect(body.renewals).toBe(times)
      expect(body.dueAt).toBe(endOfDay(new Date().toISOString(), 21))
    }
    await age(loan, 10)
    expect(problemOf(await renew(patron, loan))).toBe('renewal-limit-reached')
  })

  test('ten renewals at once stay under the limit', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    await age(loan, 10)
    await Promise.all(Array.from({ length: 10 }, () => renew(patron, loan)))
    const [row] = await database`select renewals from loans where id = ${loan.id}`
    expect(row?.['renewals']).toBeLessThanOrEqual(2)
  })

  test('a renewal that would gain nothing, of a returned loan, or of another’s is refused', async () => {
    const [patron, other, book] = await Promise.all([aPatron(), aPatron(), aBook({ copies: 0 })])
    const licenceEndsAt = new Date(Date.now() + 86_400_000).toISOString()
    await aCopy(book, { format: 'digital', licenceEndsAt })
    const loan = await aLoan(patron, book)
    expect(problemOf(await renew(patron, loan))).toBe('nothing-to-renew')
    expect(problemOf(await renew(other, loan))).toBe('loan-not-found')
    await giveBack(patron, loan)
    expect(problemOf(await renew(await theStaff(), loan))).toBe('loan-returned')
  })

  test('a renewal repeated with its Idempotency-Key renews once', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    await age(loan, 10)
    const headers = { 'idempotency-key': crypto.randomUUID() }
    const first = await renew(patron, loan, headers)
    const again = await renew(patron, loan, headers)
    expect(again.body).toEqual(first.body)
    expect(again.body.renewals).toBe(1)
  })

  test('a suspended patron’s loan is not renewed at the desk', async () => {
    const [staff, patron, book] = await Promise.all([theStaff(), aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    await age(loan, 10)
    await ask('PUT', `/v1/users/${patron.id}/suspension`, { token: staff.token, body: { reason: 'a test' } })
    expect(problemOf(await renew(staff, loan))).toBe('patron-suspended')
  })
})

describe('Idempotency-Key', () => {
  test('a checkout repeated twenty times at once with one key lends once and answers alike', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 3 })])
    const headers = { 'idempotency-key': crypto.randomUUID() }
    const answers = await Promise.all(Array.from({ length: 20 }, () => borrow(patron, book, { headers })))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]))
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
    expect(await openLoans(patron.id)).toEqual({ loans: 1, counter: 1 })
  })

  test('the same key with another body is 422, and another patron’s key is another key', async () => {
    const [patron, other, book, another] = await Promise.all([aPatron(), aPatron(), aBook({ copies: 2 }), aBook()])
    const headers = { 'idempotency-key': crypto.randomUUID() }
    expect((await borrow(patron, book, { headers })).status).toBe(201)
    const reused = await borrow(patron, another, { headers })
    expect(reused.status).toBe(422)
    expect(problemOf(reused)).toBe('idempotency-key-reused')
    expect((await borrow(other, book, { headers })).status).toBe(201)
  })

  test('a refused request leaves its key free', async () => {
    const [patron, holder, book] = await Promise.all([aPatron(), aPatron(), aBook()])
    const loan = await aLoan(holder, book)
    const headers = { 'idempotency-key': crypto.randomUUID() }
    expect(problemOf(await borrow(patron, book, { headers }))).toBe('no-copy-available')
    await giveBack(holder, loan)
    expect((await borrow(patron, book, { headers })).status).toBe(201)
  })

  test.each(['', 'with space', 'x'.repeat(256)])('a malformed key (%j) is refused', async (key) => {
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const answer = await borrow(patron, book, { headers: { 'idempotency-key': key } })
    expect(answer.status).toBe(422)
  })

  test('no name and no id of the asker stands in the table of keys', async () => {
    const patron = await aPatron()
    const key = crypto.randomUUID()
    const headers = { 'idempotency-key': key }
    const body = { username: `k${patron.username}`, email: `k${patron.email}`, password: PASSWORD }
    const registered = await ask<{ id: string }>('POST', '/v1/users', { body, headers })
    expect(registered.status).toBe(201)
    expect(await ask('POST', '/v1/users', { body, headers })).toMatchObject({ status: 201, body: registered.body })
    const rows = await database`select key_hash::text as text from idempotency_keys`
    expect(JSON.stringify(rows)).not.toContain(key)
  })
})

describe('lists of loans', () => {
  test('a patron lists their own open loans, page by page, each once', async () => {
    const [patron, ...books] = await Promise.all([aPatron(), ...Array.from({ length: 5 }, () => aBook())])
    for (const book of books) await aLoan(patron, book)
    const seen: string[] = []
    let path: string | null = '/v1/loans?limit=2'
    while (path !== null) {
      const { body }: { body: { items: Loan[]; next: string | null } } = await ask('GET', path, {
        token: patron.token,
      })
      seen.push(...body.items.map(({ bookId }) => bookId))
      path = body.next
    }
    expect(seen).toEqual(books.map(({ id }) => id).toReversed())
  })

  test('staff list anyone’s, by patron, by book, overdue ones and returned ones', async () => {
    const [{ token }, patron, book, late] = await Promise.all([theStaff(), aPatron(), aBook(), aBook()])
    const loan = await aLoan(patron, book)
    const overdue = await aLoan(patron, late)
    await database`
      update loans set checked_out_at = now() - interval '30 days', due_at = now() - interval '1 day'
      where id = ${overdue.id}`
    const list = async (query: string) =>
      (await ask<{ items: Loan[] }>('GET', `/v1/loans?${query}`, { token })).body.items.map(({ id }) => id)
    expect(await list(`userId=${patron.id}`)).toEqual([overdue.id, loan.id])
    expect(await list(`bookId=${book.id}`)).toEqual([loan.id])
    expect(await list(`userId=${patron.id}&overdue=true`)).toEqual([overdue.id])
    await giveBack(patron, loan)
    expect(await list(`bookId=${book.id}&state=returned`)).toEqual([loan.id])
  })

  test('a patron sees a loan of their own, and of nobody else', async () => {
    const [patron, other, book] = await Promise.all([aPatron(), aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    expect((await ask('GET', `/v1/loans/${loan.id}`, { token: patron.token })).body).toEqual(loan)
    expect((await ask('GET', `/v1/loans/${loan.id}`, { token: other.token })).status).toBe(404)
    const { status, body } = await ask<{ items: Loan[] }>('GET', '/v1/loans', { token: other.token })
    expect([status, body.items]).toEqual([200, []])
    const asked = await ask('GET', `/v1/loans?userId=${patron.id}`, { token: other.token })
    expect(problemOf(asked)).toBe('forbidden')
  })
})
