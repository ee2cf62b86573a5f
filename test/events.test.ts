import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Block } from '../src/features/blocks/schema.ts'
import type { Event } from '../src/features/events/schema.ts'
import type { Fee } from '../src/features/fees/schema.ts'
import type { Page } from '../src/page.ts'
import { waiting } from './support/gate.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Library, type Person, problemOf } from './support/library.ts'

/** In a library of its own, where nothing happens but this. */
let library: Awaited<ReturnType<typeof aLibraryApart>>
beforeAll(async () => {
  library = await aLibraryApart()
})
afterAll(() => library.drop())

/** Until every transaction that has begun by now is over: from then on what they did is listed. */
async function untilListed({ database }: Library = library) {
  const [now] = await database`select pg_snapshot_xmax(pg_current_snapshot())::text as horizon`
  await vi.waitFor(
    async () => {
      const [row] = await database`
        select pg_snapshot_xmin(pg_current_snapshot()) >= ${now?.['horizon']}::xid8 as is_over`
      expect(row?.['is_over']).toBe(true)
    },
    { timeout: 10_000, interval: 20 },
  )
}

async function list(query: string): Promise<Page<Event>> {
  const { token } = await library.theStaff()
  const answer = await library.ask<Page<Event>>('GET', `/v1/events?${query}`, { token })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

/** All that happened to one thing, listed to the end of every transaction by now. */
async function historyOf({ id }: { id: string }) {
  await untilListed()
  return (await list(`subjectId=${id}&limit=100`)).items
}

const told = (events: Event[]) => events.map(({ kind, actor }) => [kind, actor.role, actor.id])

const count = async () => {
  const [row] = await library.database`select count(*)::integer as count from events`
  return Number(row?.['count'])
}

const post = <T>({ token }: Person, path: string, body: object) => library.ask<T>('POST', path, { token, body })

describe('one event an effect, with who did it', () => {
  test('for a loan', async () => {
    const { aBook, aLoan, aMemberOfStaff, aPatron, ask, database, giveBack } = library
    const [patron, staff, book] = await Promise.all([aPatron(), aMemberOfStaff(), aBook()])
    const loan = await aLoan(patron, book)
    await database`
      update loans set checked_out_at = checked_out_at - interval '9 days', due_at = due_at - interval '9 days'
      where id = ${loan.id}`
    await ask('POST', `/v1/loans/${loan.id}/renewals`, { token: patron.token })
    const open = await historyOf(loan)
    expect(told(open)).toEqual([
      ['loan.made', 'patron', null],
      ['loan.renewed', 'patron', null],
    ])
    expect(open[0]).toEqual({
      id: expect.any(Number),
      occurredAt: expect.any(String),
      kind: 'loan.made',
      subjectId: loan.id,
      bookId: book.id,
      copyId: loan.copyId,
      patronId: patron.id,
      actor: { role: 'patron', id: null },
      details: { dueAt: expect.any(String) },
    })
    await giveBack(staff, loan)
    await giveBack(staff, loan)
    const over = await historyOf(loan)
    expect(told(over)).toEqual([...told(open), ['loan.returned', 'staff', staff.id]])
    expect(over.map(({ patronId }) => patronId)).toEqual([null, null, null])
  })

  test('for holds', async () => {
    const { aBook, aHold, aLoan, aMemberOfStaff, aPatron, ask, giveBack } = library
    const [holder, first, second, staff, book] = await Promise.all([
      aPatron(),
      aPatron(),
      aPatron(),
      aMemberOfStaff(),
      aBook(),
    ])
    const loan = await aLoan(holder, book)
    const hold = await aHold(first, book)
    const next = (await post<{ id: string }>(staff, '/v1/holds', { bookId: book.id, userId: second.id })).body
    await giveBack(staff, loan)
    const ready = await historyOf(hold)
    expect(ready.map(({ kind, patronId, copyId }) => [kind, patronId, copyId])).toEqual([
      ['hold.placed', first.id, null],
      ['hold.ready', first.id, loan.copyId],
    ])
    const collected = await aLoan(first, book)
    await ask('DELETE', `/v1/holds/${next.id}`, { token: second.token })
    const over = [await historyOf(hold), await historyOf(next), await historyOf(collected)]
    expect(over.map(told)).toEqual([
      [
        ['hold.placed', 'patron', null],
        ['hold.ready', 'staff', staff.id],
        ['hold.collected', 'patron', null],
      ],
      [
        ['hold.placed', 'staff', staff.id],
        ['hold.cancelled', 'patron', null],
      ],
      [['loan.made', 'patron', null]],
    ])
    expect(over.flat().map(({ patronId }) => patronId)).toEqual([null, null, null, null, null, first.id])
  })

  test('for what time does, by the library', async () => {
    const { aBook, aHold, aLoan, aPatron, database, giveBack, theStaff } = library
    const [holder, first, second, staff, book] = await Promise.all([
      aPatron(),
      aPatron(),
      aPatron(),
      theStaff(),
      aBook(),
    ])
    const loan = await aLoan(holder, book)
    const [uncollected, next] = [await aHold(first, book), await aHold(second, book)]
    await giveBack(holder, loan)
    await database`update holds set collect_by = clock() where id = ${uncollected.id}`
    await database`select settle_holds(100)`
    const endsAt = new Date(Date.now() + 86_400_000).toISOString()
    const block = (await post<Block>(staff, '/v1/blocks', { userId: first.id, reason: 'x', endsAt })).body
    await database`update blocks set ends_at = clock() where id = ${block.id}`
    await database`select end_blocks(100)`
    expect(told(await historyOf(uncollected)).at(-1)).toEqual(['hold.expired', 'library', null])
    expect(told(await historyOf(next)).at(-1)).toEqual(['hold.ready', 'library', null])
    const ended = await historyOf(block)
    expect(told(ended)).toEqual([
      ['block.set', 'staff', staff.id],
      ['block.ended', 'library', null],
    ])
    expect(ended.map(({ patronId }) => patronId)).toEqual([null, null])
  })

  test('for fees and blocks', async () => {
    const { aMemberOfStaff, aPatron, ask } = library
    const [patron, staff] = await Promise.all([aPatron(), aMemberOfStaff()])
    const fee = (await post<Fee>(staff, '/v1/fees', { userId: patron.id, amount: 100, note: 'x' })).body
    await post(staff, `/v1/fees/${fee.id}/payments`, { amount: 60 })
    const open = await historyOf(fee)
    expect(open.map(({ kind, patronId, details }) => [kind, patronId, details])).toEqual([
      ['fee.charged', patron.id, { amount: 100, balance: 100 }],
      ['fee.paid', patron.id, { amount: 60, balance: 40 }],
    ])
    await post(staff, `/v1/fees/${fee.id}/waivers`, { amount: 40, reason: 'x' })
    const over = await historyOf(fee)
    expect(told(over)).toEqual([
      ['fee.charged', 'staff', staff.id],
      ['fee.paid', 'staff', staff.id],
      ['fee.waived', 'staff', staff.id],
    ])
    expect(over.map(({ patronId }) => patronId)).toEqual([null, null, null])

    const block = (await post<Block>(staff, '/v1/blocks', { userId: patron.id, reason: 'x' })).body
    expect((await historyOf(block)).map(({ kind, patronId }) => [kind, patronId])).toEqual([['block.set', patron.id]])
    await ask('DELETE', `/v1/blocks/${block.id}`, { token: staff.token })
    expect(told(await historyOf(block))).toEqual([
      ['block.set', 'staff', staff.id],
      ['block.lifted', 'staff', staff.id],
    ])
  })

  test('for a fee that a return charges, by whoever returned', async () => {
    const { aBook, aLoan, aPatron, database, giveBack } = library
    const patron = await aPatron()
    const loan = await aLoan(patron, await aBook())
    await database`
      update loans
      set checked_out_at = clock() - interval '40 days', due_at = end_of_day(today() - 3), fee_per_day = 10, fee_max = 500
      where id = ${loan.id}`
    await giveBack(patron, loan)
    const [fee] = await database`select id::text as id from fees where loan_id = ${loan.id}`
    const events = await historyOf({ id: String(fee?.['id']) })
    expect(told(events)).toEqual([['fee.charged', 'patron', null]])
    expect(events[0]).toMatchObject({ patronId: patron.id, details: { amount: 30, balance: 30 } })
  })

  test('and none for what is refused, repeated or done already', async () => {
    const { aBook, aLoan, aPatron, ask, borrow, giveBack, queue, theStaff } = library
    const [staff, patron, book, free] = await Promise.all([theStaff(), aPatron(), aBook(), aBook()])
    const headers = { 'idempotency-key': crypto.randomUUID() }
    const loan = (await borrow(patron, book, { headers })).body
    const returned = await aLoan(patron, await aBook())
    await giveBack(patron, returned)
    const fee = (await post<Fee>(staff, '/v1/fees', { userId: patron.id, amount: 5, note: 'x' })).body
    const before = await count()
    const { token } = patron
    for (const [answer, expected] of [
      [await borrow(patron, book, { headers }), null],
      [await giveBack(patron, returned), null],
      [await borrow(await aPatron(), book), 'no-copy-available'],
      [await ask('POST', `/v1/loans/${loan.id}/renewals`, { token }), 'nothing-to-renew'],
      [await queue(patron, free), 'copy-available'],
      [await ask('DELETE', `/v1/holds/${crypto.randomUUID()}`, { token }), 'hold-not-found'],
      [await post(staff, `/v1/fees/${fee.id}/payments`, { amount: 6 }), 'amount-exceeds-balance'],
      [await ask('DELETE', `/v1/blocks/${crypto.randomUUID()}`, { token: staff.token }), 'block-not-found'],
      [await post(staff, '/v1/blocks', { userId: crypto.randomUUID(), reason: 'x' }), 'user-not-found'],
    ] as const) {
      expect(problemOf(answer)).toBe(expected)
    }
    expect(await count()).toBe(before)
  })
})

describe('lists of events', () => {
  test('are filtered by kind, book and patron, and go on where a page or an event ended', async () => {
    const { aBook, aLoan, aPatron, ask, giveBack, theStaff } = library
    const [{ token }, patron, book] = await Promise.all([theStaff(), aPatron(), aBook()])
    const loans: string[] = []
    for (let n = 0; n < 3; n++) {
      const loan = await aLoan(patron, book)
      loans.push(loan.id)
      if (n < 2) await giveBack(patron, loan)
    }
    await untilListed()
    const ofBook = (await list(`bookId=${book.id}`)).items
    expect(ofBook.map(({ kind, subjectId }) => [kind, subjectId])).toEqual([
      ['loan.made', loans[0]],
      ['loan.returned', loans[0]],
      ['loan.made', loans[1]],
      ['loan.returned', loans[1]],
      ['loan.made', loans[2]],
    ])
    expect((await list(`bookId=${book.id}&kind=loan.made`)).items.map(({ subjectId }) => subjectId)).toEqual(loans)
    expect((await list(`patronId=${patron.id}`)).items).toEqual([ofBook[4]])

    const paged: Event[] = []
    let next: string | null = `/v1/events?bookId=${book.id}&limit=2`
    while (next !== null) {
      const { body }: { body: Page<Event> } = await ask<Page<Event>>('GET', next, { token })
      expect(body.items.length).toBeLessThanOrEqual(2)
      paged.push(...body.items)
      next = body.next
    }
    expect(paged).toEqual(ofBook)
    expect((await list(`bookId=${book.id}&after=${ofBook[1]?.id}`)).items).toEqual(ofBook.slice(2))
    const first = await list(`bookId=${book.id}&after=${ofBook[1]?.id}&limit=2`)
    expect(first.items).toEqual(ofBook.slice(2, 4))
    expect((await ask<Page<Event>>('GET', first.next ?? '', { token })).body).toEqual({
      items: ofBook.slice(4),
      next: null,
    })
    expect((await list(`after=${ofBook[4]?.id}`)).items).toEqual([])
  })

  test('refuse what is no event to go on from, no kind and no cursor', async () => {
    const { token } = await library.theStaff()
    for (const query of ['after=9007199254740991', 'after=0', 'after=x', 'kind=loans', 'cursor=WzEsMV0', 'q=x']) {
      expect(problemOf(await library.ask('GET', `/v1/events?${query}`, { token })), query).toBe('invalid-input')
    }
  })

  test('reading holds nothing back: what ended before is there', async () => {
    const { aBook, aLoan, aPatron } = library
    const loan = await aLoan(await aPatron(), await aBook())
    await untilListed()
    const lists = await Promise.all(Array.from({ length: 20 }, () => list(`subjectId=${loan.id}`)))
    expect(lists.map(({ items }) => items.length)).toEqual(Array(20).fill(1))
  })
})

describe('a reader who follows', () => {
  const mark = (subject: string) => `select record_event('test.mark', '${subject}', null, null, null, null)`
  const nothing = 'select pg_current_xact_id()'

  test('misses no event of a transaction that draws its ids before another, and commits after it', async () => {
    const [early, late] = [crypto.randomUUID(), crypto.randomUUID()]
    const seen = async (query = '') => (await list(`kind=test.mark${query}`)).items

    // The older transaction draws the higher id, and commits first.
    const older = waiting(library, { before: nothing, after: mark(early) })
    await older.atGate()
    const younger = waiting(library, { before: mark(late), after: nothing })
    await younger.atGate()
    await older.open()
    const [first] = await vi.waitFor(
      async () => {
        const events = await seen()
        expect(events.map(({ subjectId }) => subjectId)).toEqual([early])
        return events
      },
      { timeout: 10_000, interval: 20 },
    )
    await younger.open()
    await untilListed()
    const rest = await seen(`&after=${first?.id}`)
    expect(rest.map(({ subjectId }) => subjectId)).toEqual([late])
    expect(rest[0]?.id).toBeLessThan(first?.id ?? 0)
  })

  test('waits for a transaction that is older than one that has committed', async () => {
    const { aBook, aLoan, aPatron } = library
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const older = waiting(library, { before: nothing, after: mark(crypto.randomUUID()) })
    await older.atGate()
    const loan = await aLoan(patron, book)
    expect((await list(`subjectId=${loan.id}`)).items).toEqual([])
    await older.open()
    expect((await historyOf(loan)).map(({ kind }) => kind)).toEqual(['loan.made'])
  })
})
