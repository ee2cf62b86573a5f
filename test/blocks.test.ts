import { describe, expect, test, vi } from 'vitest'
import type { Block } from '../src/features/blocks/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import type { Page } from '../src/page.ts'
import {
  aBook,
  aCopy,
  aLoan,
  aMemberOfStaff,
  aPatron,
  ask,
  borrow,
  database,
  giveBack,
  type Person,
  problemOf,
  queue,
  theStaff,
} from './support/library.ts'

const DAY_MS = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString()

async function block(userId: string, more: { endsAt?: string } = {}) {
  const { token } = await theStaff()
  return ask<Block>('POST', '/v1/blocks', { token, body: { userId, reason: 'Letters came back', ...more } })
}

const lift = async ({ id }: { id: string }) => ask('DELETE', `/v1/blocks/${id}`, { token: (await theStaff()).token })

const blocksOf = async ({ token }: Person, query = '') =>
  (await ask<Page<Block>>('GET', `/v1/blocks?${query}`, { token })).body.items

/** As if its end had come. */
const letEnd = ({ id }: { id: string }) => database`update blocks set ends_at = clock() where id = ${id}`

/** What becomes of a book to borrow, a loan to renew and a book to queue for. */
async function wishesOf(patron: Person) {
  const [free, lent, mine] = [await aBook(), await aBook(), await aLoan(patron, await aBook())]
  await aLoan(await aPatron(), lent)
  await database`
    update loans set checked_out_at = checked_out_at - interval '9 days', due_at = due_at - interval '9 days'
    where id = ${mine.id}`
  const tryAll = async () => [
    problemOf(await borrow(patron, free)),
    problemOf(await ask('POST', `/v1/loans/${mine.id}/renewals`, { token: patron.token })),
    problemOf(await queue(patron, lent)),
  ]
  return { tryAll, mine }
}
const granted = [null, null, null]
const refused = (problem: string) => [problem, problem, problem]

describe('a block', () => {
  test('keeps a patron from borrowing, renewing and queuing, not from returning, until it is lifted', async () => {
    const patron = await aPatron()
    const { tryAll, mine } = await wishesOf(patron)
    const answer = await block(patron.id)
    expect(answer.status, answer.text).toBe(201)
    expect(answer.headers.get('location')).toBe(`/v1/blocks/${answer.body.id}`)
    expect(answer.body).toMatchObject({ userId: patron.id, reason: 'Letters came back', endsAt: null })
    expect(await blocksOf(patron)).toEqual([answer.body])
    expect(await tryAll()).toEqual(refused('patron-blocked'))
    expect((await lift(answer.body)).status).toBe(204)
    expect(problemOf(await lift(answer.body))).toBe('block-not-found')
    expect(await blocksOf(patron)).toEqual([])
    expect(await tryAll()).toEqual(granted)
    await block(patron.id)
    expect((await giveBack(patron, mine)).status).toBe(200)
  })

  test('holds until its end, from the second on whether or not it has been swept away', async () => {
    const patron = await aPatron()
    const { tryAll } = await wishesOf(patron)
    const endsAt = inDays(3)
    const { body } = await block(patron.id, { endsAt })
    expect(Date.parse(body.endsAt ?? '')).toBe(Date.parse(endsAt))
    expect(await tryAll()).toEqual(refused('patron-blocked'))
    await letEnd(body)
    expect(await blocksOf(patron)).toEqual([])
    expect(await tryAll()).toEqual(granted)
  })

  test('is lifted without lifting another', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const [first] = [(await block(patron.id)).body, (await block(patron.id, { endsAt: inDays(1) })).body]
    await lift(first)
    expect(problemOf(await borrow(patron, book))).toBe('patron-blocked')
  })

  test('that is over ends once, also when two runs come at once', async () => {
    const patrons = await Promise.all(Array.from({ length: 10 }, () => aPatron()))
    const blocks = await Promise.all(patrons.map(async ({ id }) => (await block(id, { endsAt: inDays(1) })).body))
    const [first, ...over] = blocks
    await Promise.all(over.map(letEnd))
    await Promise.all([database`select end_blocks(100)`, database`select end_blocks(100)`])
    // A run in another test file may have taken some of them.
    await vi.waitFor(
      async () => {
        const left = await database`select id from blocks where id = any (${blocks.map(({ id }) => id)}::uuid[])`
        expect(left).toEqual([{ id: first?.id }])
      },
      { timeout: 10_000, interval: 20 },
    )
    const ended = await database`
      select subject_id::text as id from events
      where kind = 'block.ended' and subject_id = any (${blocks.map(({ id }) => id)}::uuid[])`
    expect(ended.map((row) => row['id']).toSorted()).toEqual(over.map(({ id }) => id).toSorted())
    expect(problemOf(await lift(over[0] ?? { id: '' }))).toBe('block-not-found')
  })

  test('does not begin with an end that has passed, and not for nobody', async () => {
    const patron = await aPatron()
    expect(problemOf(await block(patron.id, { endsAt: inDays(-1) }))).toBe('date-out-of-range')
    expect(problemOf(await block(crypto.randomUUID()))).toBe('user-not-found')
    for (const body of [
      { userId: patron.id },
      { userId: patron.id, reason: ' ' },
      { userId: patron.id, reason: 'x'.repeat(501) },
      { userId: patron.id, reason: 'x', endsAt: '2099-02-30T00:00:00Z' },
      { userId: patron.id, reason: 'x', until: inDays(1) },
    ]) {
      expect((await ask('POST', '/v1/blocks', { token: (await theStaff()).token, body })).status).toBe(422)
    }
    expect(await blocksOf(patron)).toEqual([])
  })

  test('set ten times at once with one Idempotency-Key is one, and its answer is forgotten when it is lifted', async () => {
    const [{ token }, patron] = await Promise.all([theStaff(), aPatron()])
    const request = {
      token,
      body: { userId: patron.id, reason: 'Letters came back' },
      headers: { 'idempotency-key': crypto.randomUUID() },
    }
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask<Block>('POST', '/v1/blocks', request)))
    const [first] = answers
    expect(answers.map(({ status, text }) => [status, text])).toEqual(Array(10).fill([201, first?.text]))
    expect(await blocksOf(patron)).toEqual([first?.body])
    await lift(first?.body ?? { id: '' })
    expect(problemOf(await ask('POST', '/v1/blocks', request))).toBe('idempotency-key-spent')
  })

  test('that is set while the patron borrows counts for whatever comes after it', async () => {
    for (let round = 0; round < 10; round++) {
      const [patron, ...books] = await Promise.all([aPatron(), aBook(), aBook()])
      const [first, second] = books
      if (first === undefined || second === undefined) throw new Error('two books')
      const [answer] = await Promise.all([block(patron.id), borrow(patron, first)])
      expect(answer.status).toBe(201)
      expect(problemOf(await borrow(patron, second))).toBe('patron-blocked')
    }
  })

  test('is set aside by staff with a reason, which is kept', async () => {
    const [{ token }, patron, book] = await Promise.all([theStaff(), aPatron(), aBook({ copies: 0 })])
    const { barcode } = await aCopy(book)
    await block(patron.id)
    const lend = (more: object) =>
      ask<Loan>('POST', '/v1/loans', { token, body: { barcode, userId: patron.id, ...more } })
    expect(problemOf(await lend({}))).toBe('patron-blocked')
    const lent = await lend({ override: { reason: 'They came with a new address' } })
    expect(lent.status, lent.text).toBe(201)
    const [event] = await database`select details from events where subject_id = ${lent.body.id}`
    expect(event?.['details']).toMatchObject({
      overridden: ['patron-blocked'],
      reason: 'They came with a new address',
    })
  })
})

describe('an account', () => {
  test('that has expired neither borrows, renews nor queues, until it is prolonged', async () => {
    const [{ token }, patron] = await Promise.all([theStaff(), aPatron()])
    const { tryAll } = await wishesOf(patron)
    const expire = (expiresAt: string | null) => ask('PATCH', `/v1/users/${patron.id}`, { token, body: { expiresAt } })
    expect((await expire(inDays(-1))).status).toBe(200)
    expect(await tryAll()).toEqual(refused('account-expired'))
    await expire(inDays(1))
    expect(await tryAll()).toEqual(granted)
  })
})

describe('lists of blocks', () => {
  test('a patron lists their own, staff anyone’s by patron, in pages', async () => {
    const [staff, patron, other] = await Promise.all([aMemberOfStaff(), aPatron(), aPatron()])
    const mine: Block[] = []
    for (let n = 0; n < 3; n++) mine.unshift((await block(patron.id)).body)
    const theirs = (await block(other.id)).body
    expect(await blocksOf(patron)).toEqual(mine)
    expect(await blocksOf(staff, `userId=${patron.id}`)).toEqual(mine)
    expect((await blocksOf(staff, 'limit=100')).map(({ id }) => id)).toContain(theirs.id)
    const page = await ask<Page<Block>>('GET', '/v1/blocks?limit=2', { token: patron.token })
    const rest = await ask<Page<Block>>('GET', page.body.next ?? '', { token: patron.token })
    expect([page.body.items, rest.body.items, rest.body.next]).toEqual([mine.slice(0, 2), mine.slice(2), null])
    expect(problemOf(await ask('GET', `/v1/blocks?userId=${patron.id}`, { token: other.token }))).toBe('forbidden')
  })
})
