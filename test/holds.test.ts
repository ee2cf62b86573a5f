import { env } from 'cloudflare:workers'
import { describe, expect, test, vi } from 'vitest'
import { configOf } from '../src/config.ts'
import type { Book } from '../src/features/books/schema.ts'
import type { Copy } from '../src/features/copies/schema.ts'
import type { Hold } from '../src/features/holds/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import type { Page } from '../src/page.ts'
import { runTasks } from '../src/scheduled.ts'
import { aLibraryApart } from './support/laboratory.ts'
import {
  aBook,
  aCopy,
  aHold,
  aLoan,
  aPatron,
  ask,
  borrow,
  database,
  giveBack,
  problemOf,
  queue,
  theStaff,
} from './support/library.ts'

const DAY_MS = 86_400_000

/** A book whose only copy is out. */
async function aBookOnLoan() {
  const [holder, book] = await Promise.all([aPatron(), aBook()])
  return { book, holder, loan: await aLoan(holder, book) }
}

const read = async ({ token }: { token: string }, { id }: { id: string }) =>
  (await ask<Hold>('GET', `/v1/holds/${id}`, { token })).body

const cancel = ({ token }: { token: string }, { id }: { id: string }) => ask('DELETE', `/v1/holds/${id}`, { token })

/** Copies and holds agree; nothing lies free while somebody waits for it; a patron has no hold on what they have. */
async function expectQueuesInOrder() {
  const rows = await database`
    select c.id, 'state' as fault from copies c
    where (c.state = 'on_loan') <> exists (select from loans l where l.copy_id = c.id and l.returned_at is null)
      or (c.state = 'on_hold') <> exists (select from holds h where h.copy_id = c.id)
    union all
    select h.id, 'stranded' from holds h
    join copies c on c.book_id = h.book_id
    where waits(h) and (h.format is null or h.format = c.format) and can_be_lent(c)
    union all
    select h.id, 'has it' from holds h
    join loans l on l.user_id = h.user_id and l.book_id = h.book_id and l.returned_at is null
    union all
    select n.user_id, 'counter' from loan_counters n
    where n.open_loans <> (select count(*) from loans l where l.user_id = n.user_id and l.returned_at is null)`
  expect(rows).toEqual([])
}

describe('queuing', () => {
  test('a hold says where one stands, and the queue moves up', async () => {
    const { book, holder, loan } = await aBookOnLoan()
    const [first, second] = await Promise.all([aPatron(), aPatron()])
    const answer = await queue(first, book)
    expect(answer.headers.get('location')).toBe(`/v1/holds/${answer.body.id}`)
    expect(answer.body).toMatchObject({
      bookId: book.id,
      bookTitle: book.title,
      userId: first.id,
      state: 'waiting',
      position: 1,
      copyId: null,
      collectBy: null,
    })
    const behind = await aHold(second, book)
    expect(behind.position).toBe(2)
    expect((await ask<Book>('GET', `/v1/books/${book.id}`)).body.availability.holds).toBe(2)
    await giveBack(holder, loan)
    expect((await read(second, behind)).position).toBe(1)
  })

  test('fifty who queue at once stand in fifty places', async () => {
    const { book } = await aBookOnLoan()
    const patrons = await Promise.all(Array.from({ length: 50 }, aPatron))
    const holds = await Promise.all(patrons.map((patron) => aHold(patron, book)))
    expect(holds.map(({ position }) => position).toSorted((a, b) => (a ?? 0) - (b ?? 0))).toEqual(
      Array.from({ length: 50 }, (_, i) => i + 1),
    )
  })

  test('one queues neither for what one has, nor twice, nor for what can be borrowed', async () => {
    const { book, holder } = await aBookOnLoan()
    const [patron, free, bare] = await Promise.all([aPatron(), aBook(), aBook({ copies: 0 })])
    expect(problemOf(await queue(holder, book))).toBe('already-on-loan')
    const answers = await Promise.all([queue(patron, book), queue(patron, book), queue(patron, book)])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409])
    expect(problemOf(await queue(patron, book))).toBe('already-on-hold')
    expect(problemOf(await queue(patron, free))).toBe('copy-available')
    expect(problemOf(await queue(patron, bare))).toBe('no-copy-in-circulation')
    expect(problemOf(await queue(patron, { id: crypto.randomUUID() }))).toBe('book-not-found')
  })

  test('a patron who asks for eight holds at once gets five', async () => {
    const patron = await aPatron()
    const lent = await Promise.all(Array.from({ length: 8 }, aBookOnLoan))
    const answers = await Promise.all(lent.map(({ book }) => queue(patron, book)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(5)
    expect(answers.filter((answer) => problemOf(answer) === 'hold-limit-reached')).toHaveLength(3)
  })

  test('a hold for one format waits for that format', async () => {
    const [patron, holder, book] = await Promise.all([aPatron(), aPatron(), aBook({ copies: 1, licences: 1 })])
    const loan = await ask<Loan>('POST', '/v1/loans', {
      token: holder.token,
      body: { bookId: book.id, format: 'digital' },
    })
    const body = { bookId: book.id, format: 'digital' }
    const hold = await ask<Hold>('POST', '/v1/holds', { token: patron.token, body })
    expect(hold.body).toMatchObject({ format: 'digital', position: 1 })
    await giveBack(holder, loan.body)
    expect((await read(patron, hold.body)).state).toBe('ready')
  })

  test('staff queue for a patron; a patron for nobody else', async () => {
    const [{ token }, patron, other, { book }] = await Promise.all([theStaff(), aPatron(), aPatron(), aBookOnLoan()])
    const body = { bookId: book.id, userId: other.id }
    expect(problemOf(await ask('POST', '/v1/holds', { token: patron.token, body }))).toBe('forbidden')
    expect((await ask<Hold>('POST', '/v1/holds', { token, body })).body.userId).toBe(other.id)
    expect(problemOf(await ask('POST', '/v1/holds', { token, body: { ...body, userId: crypto.randomUUID() } }))).toBe(
      'user-not-found',
    )
    await ask('PUT', `/v1/users/${patron.id}/suspension`, { token, body: { reason: 'a test' } })
    expect(problemOf(await ask('POST', '/v1/holds', { token, body: { ...body, userId: patron.id } }))).toBe(
      'patron-suspended',
    )
  })

  test('a hold placed ten times at once with one Idempotency-Key is one hold', async () => {
    const [patron, { book }] = await Promise.all([aPatron(), aBookOnLoan()])
    const headers = { 'idempotency-key': crypto.randomUUID() }
    const answers = await Promise.all(Array.from({ length: 10 }, () => queue(patron, book, { headers })))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]))
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
  })
})

describe('a copy that waits', () => {
  test('goes to the first in the queue, who has a week, and to nobody else', async () => {
    const { book, holder, loan } = await aBookOnLoan()
    const [first, second, stranger] = await Promise.all([aPatron(), aPatron(), aPatron()])
    const hold = await aHold(first, book)
    await aHold(second, book)
    await giveBack(holder, loan)
    const ready = await read(first, hold)
    expect(ready).toMatchObject({ state: 'ready', position: null, copyId: loan.copyId })
    expect(ready.collectBy).toBe(
      `${new Date(Date.parse(ready.readyAt ?? '') + 8 * DAY_MS).toISOString().slice(0, 10)}T00:00:00+00:00`,
    )
    expect((await ask<Book>('GET', `/v1/books/${book.id}`)).body.availability.physical).toEqual({
      copies: 1,
      available: 0,
    })
    for (const patron of [second, stranger, holder]) {
      expect(problemOf(await borrow(patron, book))).toBe('no-copy-available')
    }
    expect((await borrow(first, book)).body.copyId).toBe(loan.copyId)
    expect((await ask('GET', `/v1/holds/${hold.id}`, { token: first.token })).status).toBe(404)
    await expectQueuesInOrder()
  })

  test('is not lent at the desk to another, and is to whom it waits for', async () => {
    const [{ token }, patron, stranger, holder, book] = await Promise.all([
      theStaff(),
      aPatron(),
      aPatron(),
      aPatron(),
      aBook({ copies: 0 }),
    ])
    const { barcode } = await aCopy(book)
    const loan = await aLoan(holder, book)
    await aHold(patron, book)
    await giveBack(holder, loan)
    const lend = (userId: string) => ask('POST', '/v1/loans', { token, body: { barcode, userId } })
    expect(problemOf(await lend(stranger.id))).toBe('copy-waits-for-another')
    expect((await lend(patron.id)).status).toBe(201)
  })

  test('goes to the next when the hold is cancelled, and to the shelf after the last', async () => {
    const { book, holder, loan } = await aBookOnLoan()
    const [first, second, stranger] = await Promise.all([aPatron(), aPatron(), aPatron()])
    const [hold, next] = [await aHold(first, book), await aHold(second, book)]
    await giveBack(holder, loan)
    expect((await cancel(first, hold)).status).toBe(204)
    expect((await read(second, next)).state).toBe('ready')
    expect(problemOf(await cancel(stranger, next))).toBe('hold-not-found')
    expect((await cancel(await theStaff(), next)).status).toBe(204)
    expect((await borrow(stranger, book)).status).toBe(201)
  })

  test('goes to the next when nobody collects it, also when two runs settle at once', async () => {
    const { book, holder, loan } = await aBookOnLoan()
    const [first, second] = await Promise.all([aPatron(), aPatron()])
    const [hold, next] = [await aHold(first, book), await aHold(second, book)]
    await giveBack(holder, loan)
    await database`update holds set collect_by = now() where id = ${hold.id}`
    await Promise.all([runTasks(configOf(env)), runTasks(configOf(env))])
    expect((await ask('GET', `/v1/holds/${hold.id}`, { token: first.token })).status).toBe(404)
    expect((await read(second, next)).state).toBe('ready')
    await expectQueuesInOrder()
  })

  test('whose licence ends goes, and its hold gets the one on the shelf', async () => {
    const [patron, one, two, { token }] = await Promise.all([aPatron(), aPatron(), aPatron(), theStaff()])
    const book = await aBook()
    const licence = await aCopy(book, { format: 'digital', loansLeft: 5 })
    const [onPaper, onScreen] = [await aLoan(one, book), await aLoan(two, book)]
    const hold = await aHold(patron, book)
    await giveBack(two, onScreen)
    await giveBack(one, onPaper)
    expect((await read(patron, hold)).copyId).toBe(licence.id)
    await ask('PATCH', `/v1/copies/${licence.id}`, { token, body: { loansLeft: 0 }, headers: { 'if-match': '*' } })
    expect((await read(patron, hold)).copyId).toBe(onPaper.copyId)
  })

  test('may be a new one, or a licence that lends again', async () => {
    const { book } = await aBookOnLoan()
    const [{ token }, first, second, third] = await Promise.all([theStaff(), aPatron(), aPatron(), aPatron()])
    const holds = [await aHold(first, book), await aHold(second, book), await aHold(third, book)] as const
    expect((await aCopy(book)).state).toBe('on_hold')
    expect((await read(first, holds[0])).state).toBe('ready')
    const licence = await aCopy(book, { format: 'digital', loansLeft: 0 })
    expect((await read(second, holds[1])).state).toBe('waiting')
    await ask('PATCH', `/v1/copies/${licence.id}`, { token, body: { loansLeft: 5 }, headers: { 'if-match': '*' } })
    await runTasks(configOf(env))
    expect((await read(second, holds[1])).copyId).toBe(licence.id)
    expect((await read(third, holds[2])).position).toBe(1)
  })

  test('keeps its copy, its book and the loans of the book in their place', async () => {
    const { book, holder, loan } = await aBookOnLoan()
    const [{ token }, patron] = await Promise.all([theStaff(), aPatron()])
    const hold = await aHold(patron, book)
    await database`
      update loans
      set checked_out_at = checked_out_at - interval '9 days', due_at = due_at - interval '9 days'
      where id = ${loan.id}`
    expect(problemOf(await ask('POST', `/v1/loans/${loan.id}/renewals`, { token: holder.token }))).toBe(
      'others-are-waiting',
    )
    await giveBack(holder, loan)
    const headers = { 'if-match': '*' }
    expect(problemOf(await ask('DELETE', `/v1/copies/${loan.copyId}`, { token, headers }))).toBe('copy-on-hold')
    expect(problemOf(await ask('DELETE', `/v1/books/${book.id}`, { token, headers }))).toBe('book-on-hold')
    await cancel(patron, hold)
    expect((await ask('DELETE', `/v1/books/${book.id}`, { token, headers })).status).toBe(204)
  })
})

describe('races', () => {
  test('a return and a hold at once never strand the copy', async () => {
    for (let round = 0; round < 15; round++) {
      const { book, holder, loan } = await aBookOnLoan()
      const patron = await aPatron()
      const [, hold] = await Promise.all([giveBack(holder, loan), queue(patron, book)])
      if (hold.status === 201) expect((await read(patron, hold.body)).state).toBe('ready')
      else expect(problemOf(hold)).toBe('copy-available')
    }
    await expectQueuesInOrder()
  })

  test('copies go out in the order of the queue, whoever asks meanwhile', async () => {
    const { book, holder, loan } = await aBookOnLoan()
    const patrons = await Promise.all(Array.from({ length: 6 }, aPatron))
    await Promise.all(patrons.map((patron) => aHold(patron, book)))
    const { token } = await theStaff()
    const line = (await ask<Page<Hold>>('GET', `/v1/holds?bookId=${book.id}`, { token })).body.items
    const byId = new Map(patrons.map((patron) => [patron.id, patron]))
    await giveBack(holder, loan)
    const served: string[] = []
    while (served.length < patrons.length) {
      const answers = await Promise.all(patrons.map((patron) => borrow(patron, book)))
      const lent = answers.filter(({ status }) => status === 201)
      expect(lent).toHaveLength(1)
      const { userId, id } = lent[0]?.body ?? { userId: null, id: '' }
      served.push(userId ?? '')
      const patron = byId.get(userId ?? '')
      if (patron) await giveBack(patron, { id })
    }
    expect(served).toEqual(line.map(({ userId }) => userId))
  })

  test('many at every verb on two books leave every copy and every queue in order', async () => {
    const [patrons, books] = await Promise.all([
      Promise.all(Array.from({ length: 8 }, aPatron)),
      Promise.all([aBook({ copies: 2 }), aBook({ copies: 1, licences: 1 })]),
    ])
    const pick = <T>(things: T[]) => things[Math.floor(Math.random() * things.length)]
    const faults: string[] = []
    await Promise.all(
      patrons.map(async (patron) => {
        for (let step = 0; step < 25; step++) {
          const book = pick(books)
          if (!book) continue
          const { token } = patron
          const [loans, holds] = await Promise.all([
            ask<Page<Loan>>('GET', '/v1/loans', { token }),
            ask<Page<Hold>>('GET', '/v1/holds', { token }),
          ])
          const [loan, hold] = [pick(loans.body.items), pick(holds.body.items)]
          const verbs = [() => borrow(patron, book), () => queue(patron, book)]
          if (loan) verbs.push(() => giveBack(patron, loan))
          if (hold) verbs.push(() => cancel(patron, hold) as ReturnType<typeof queue>)
          const answer = await pick<() => Promise<{ status: number; text: string }>>(verbs)?.()
          // A transaction that had to give way may answer 503; nothing else may fail.
          if (answer && answer.status >= 500) faults.push(answer.text)
        }
      }),
    )
    expect(faults).toEqual([])
    await expectQueuesInOrder()
  })

  test('a checkout that waits for one copy keeps no other from whoever loses a copy', async () => {
    const library = await aLibraryApart({
      statements: [
        `create function linger() returns trigger language plpgsql as $$
        begin
          perform pg_sleep(case new.kind when 'loan.made' then 1.5 when 'copy.lost' then 0.8 else 0 end);
          return new;
        end $$`,
        'create trigger events_linger before insert on events for each row execute function linger()',
      ],
    })
    const [{ token }, first, second] = await Promise.all([library.theStaff(), library.aPatron(), library.aPatron()])
    const book = await library.aBook({ copies: 2 })
    const { body } = await library.ask<Page<Copy>>('GET', `/v1/books/${book.id}/copies`, { token })
    const [, later] = body.items.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const linger = (count: number) =>
      vi.waitFor(
        async () =>
          expect(
            await library.database`
              select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`,
          ).toHaveLength(count),
        { timeout: 1_400, interval: 5 },
      )
    const borrowed = library.borrow(first, book)
    await linger(1)
    const lost = library.ask('PUT', `/v1/copies/${later?.id}/loss`, { token })
    await linger(2)
    const answers = await Promise.all([borrowed, lost, library.borrow(second, book)])
    expect(answers.map(problemOf)).toEqual([null, null, 'no-copy-available'])
    await library.drop()
  })
})

describe('staff move a hold', () => {
  const move = async ({ id }: { id: string }, position: number, token?: string) =>
    ask<Hold>('PUT', `/v1/holds/${id}/position`, {
      token: token ?? (await theStaff()).token,
      body: { position, reason: 'The course begins on Monday' },
    })

  /** The queue of a book, as the numbers that its holds were placed with. */
  async function aQueue(length: number) {
    const { book, ...rest } = await aBookOnLoan()
    const patrons = await Promise.all(Array.from({ length }, aPatron))
    const holds: Hold[] = []
    for (const patron of patrons) holds.push(await aHold(patron, book))
    const order = async () => {
      const { token } = await theStaff()
      const { items } = (await ask<Page<Hold>>('GET', `/v1/holds?bookId=${book.id}`, { token })).body
      expect(items.map(({ position }) => position)).toEqual(items.map((_, i) => i + 1))
      return items.map(({ id }) => holds.findIndex((hold) => hold.id === id) + 1)
    }
    const at = (n: number) => holds[n - 1] ?? { id: '' }
    return { book, patrons, holds, order, at, ...rest }
  }

  test('forwards, backwards, past the end and to where it is', async () => {
    const { order, at } = await aQueue(5)
    expect((await move(at(4), 1)).body.position).toBe(1)
    expect(await order()).toEqual([4, 1, 2, 3, 5])
    expect((await move(at(4), 3)).body.position).toBe(3)
    expect(await order()).toEqual([1, 2, 4, 3, 5])
    expect((await move(at(1), 99)).body.position).toBe(5)
    expect(await order()).toEqual([2, 4, 3, 5, 1])
    expect((await move(at(2), 1)).body.position).toBe(1)
    expect(await order()).toEqual([2, 4, 3, 5, 1])
    const moved = await database`
      select details from events where kind = 'hold.moved' and subject_id = any (${[at(1).id, at(2).id, at(4).id]})
      order by id`
    expect(moved.map(({ details }) => details)).toEqual([
      { from: 4, to: 1, reason: 'The course begins on Monday' },
      { from: 1, to: 3, reason: 'The course begins on Monday' },
      { from: 1, to: 5, reason: 'The course begins on Monday' },
    ])
  })

  test('and the first is served first', async () => {
    const { at, holder, loan, patrons } = await aQueue(3)
    await move(at(3), 1)
    await giveBack(holder, loan)
    const [, , third] = patrons
    if (third) expect((await read(third, at(3))).state).toBe('ready')
    expect(problemOf(await move(at(3), 2))).toBe('hold-ready')
    expect(problemOf(await move({ id: crypto.randomUUID() }, 1))).toBe('hold-not-found')
  })

  test('patrons do not', async () => {
    const { at, patrons } = await aQueue(2)
    expect(problemOf(await move(at(2), 1, patrons[1]?.token))).toBe('forbidden')
  })

  test('ten moves at once leave a queue in which everybody has one place', async () => {
    const { order, holds } = await aQueue(6)
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => move(holds[i % 6] ?? { id: '' }, 1 + ((i * 7) % 6))),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    expect((await order()).toSorted()).toEqual([1, 2, 3, 4, 5, 6])
  })
})

describe('lists of holds', () => {
  test('a patron lists their own, staff anyone’s by patron, book and state, in the order of the queue', async () => {
    const [{ token }, patron, other, first, second] = await Promise.all([
      theStaff(),
      aPatron(),
      aPatron(),
      aBookOnLoan(),
      aBookOnLoan(),
    ])
    const mine = [await aHold(patron, first.book), await aHold(patron, second.book)]
    const theirs = await aHold(other, first.book)
    const list = async (query: string, as: string) =>
      (await ask<Page<Hold>>('GET', `/v1/holds?${query}`, { token: as })).body.items.map(({ id }) => id)
    expect(await list('', patron.token)).toEqual(mine.map(({ id }) => id))
    expect(await list(`bookId=${first.book.id}`, token)).toEqual([mine[0]?.id, theirs.id])
    expect(await list(`userId=${patron.id}&limit=1`, token)).toEqual([mine[0]?.id])
    await giveBack(first.holder, first.loan)
    expect(await list('state=ready', patron.token)).toEqual([mine[0]?.id])
    expect(problemOf(await ask('GET', `/v1/holds?userId=${patron.id}`, { token: other.token }))).toBe('forbidden')
    expect(problemOf(await ask('GET', `/v1/holds/${mine[1]?.id}`, { token: other.token }))).toBe('hold-not-found')
  })

  test('a copy says that it waits', async () => {
    const { book, holder, loan } = await aBookOnLoan()
    await aHold(await aPatron(), book)
    await giveBack(holder, loan)
    const { token } = await theStaff()
    expect((await ask<Copy>('GET', `/v1/copies/${loan.copyId}`, { token })).body.state).toBe('on_hold')
  })
})
