import { describe, expect, test } from 'vitest'
import type { Book } from '../src/features/books/schema.ts'
import type { Copy } from '../src/features/copies/schema.ts'
import type { Merge, Revision } from '../src/features/editing/schema.ts'
import type { Hold } from '../src/features/holds/schema.ts'
import type { Page } from '../src/page.ts'
import { expectConsistent } from './support/consistent.ts'
import { aLibraryApart } from './support/laboratory.ts'
import {
  aBook,
  aCopy,
  aHold,
  aLoan,
  aPatron,
  type Answer,
  ask,
  borrow,
  database,
  giveBack,
  type Library,
  type Person,
  problemOf,
  queue,
  theStaff,
} from './support/library.ts'

/** Two records of one book become one, whatever hangs on them and whatever is under way. */

const anyVersion = { 'if-match': '*' }

type Somewhere = Pick<Library, 'ask' | 'theStaff'>
const here: Somewhere = { ask, theStaff }

async function merge(
  stays: { id: string },
  goes: { id: string; version?: number },
  { ask: send, theStaff: who } = here,
) {
  const { token } = await who()
  const body = { bookId: goes.id, version: goes.version ?? 1 }
  return send<Merge>('POST', `/v1/books/${stays.id}/merges`, { token, body, headers: anyVersion })
}

const bookOf = async ({ id }: { id: string }) => (await ask<Book>('GET', `/v1/books/${id}`)).body
const holdOf = ({ token }: { token: string }, { id }: { id: string }) => ask<Hold>('GET', `/v1/holds/${id}`, { token })
const queueOf = async ({ id }: { id: string }) => {
  const { token } = await theStaff()
  return (await ask<Page<Hold>>('GET', `/v1/holds?bookId=${id}`, { token })).body.items
}
const copiesOf = async ({ id }: { id: string }) => {
  const { token } = await theStaff()
  return (await ask<Page<Copy>>('GET', `/v1/books/${id}/copies`, { token })).body.items
}

/** A book whose only copy somebody has. */
async function aLentBook() {
  const [book, holder] = await Promise.all([aBook(), aPatron()])
  return { book, holder, loan: await aLoan(holder, book) }
}

describe('a merge', () => {
  test('fills what is empty, unites ISBNs and identifiers, and overwrites nothing', async () => {
    const identifier = { scheme: 'oclc', value: '77' }
    const [stays, goes] = [
      await aBook({
        title: 'Stays',
        publisher: 'Kept',
        subjects: ['Kept'],
        isbns: ['9791090638105'],
        identifiers: [identifier],
      }),
      await aBook({
        title: 'Goes',
        subtitle: 'Filled',
        publisher: 'Not taken',
        subjects: ['Not taken'],
        series: [{ name: 'Filled', number: null }],
        originalScript: { title: 'Filled', contributors: [] },
        isbns: ['9791090638204'],
        identifiers: [identifier, { scheme: 'lccn', value: '5' }],
      }),
    ]
    const merged = await merge(stays, goes)
    expect(merged.status, merged.text).toBe(201)
    expect(merged.body).toEqual({ bookId: stays.id, mergedBookId: goes.id, version: 2, copies: 1, loans: 0, holds: 0 })
    expect(merged.headers.get('etag')).toBe('"2"')
    expect(await bookOf(stays)).toMatchObject({
      title: 'Stays',
      subtitle: 'Filled',
      publisher: 'Kept',
      subjects: ['Kept'],
      series: [{ name: 'Filled', number: null }],
      originalScript: { title: 'Filled', contributors: [] },
      isbns: ['9791090638105', '9791090638204'],
      identifiers: [identifier, { scheme: 'lccn', value: '5' }],
      availability: { physical: { copies: 2, available: 2 } },
    })
    const { token } = await theStaff()
    const kinds = async ({ id }: { id: string }) =>
      (await ask<Page<Revision>>('GET', `/v1/books/${id}/revisions`, { token })).body.items.map(({ kind }) => kind)
    expect([await kinds(stays), await kinds(goes)]).toEqual([
      ['merged', 'catalogued'],
      ['merged-away', 'catalogued'],
    ])
    const events = await database`select kind, details from events where subject_id = ${stays.id}`
    expect(events).toEqual([{ kind: 'book.merged', details: { copies: 1, loans: 0, holds: 0, mergedBookId: goes.id } }])
  })

  test('makes the old address lead to the new, through any number of merges', async () => {
    const [first, second, third] = [await aBook(), await aBook(), await aBook({ copies: 0 })]
    await merge(second, first)
    await merge(third, { ...second, version: 2 })
    const [{ token }, patron] = await Promise.all([theStaff(), aPatron()])
    for (const old of [first, second]) {
      const paths = ['', '/copies?limit=1', '/eligibility?format=physical']
      const answers = await Promise.all(paths.map((path) => ask('GET', `/v1/books/${old.id}${path}`, { token })))
      expect(answers.map((answer) => [answer.status, problemOf(answer), answer.headers.get('location')])).toEqual(
        paths.map((path) => [308, 'book-merged', `/v1/books/${third.id}${path}`]),
      )
    }
    expect(await copiesOf(third)).toHaveLength(2)
    expect((await borrow(patron, first)).body.bookId).toBe(third.id)
    expect((await borrow(await aPatron(), second)).body.bookId).toBe(third.id)
    const hold = await queue(await aPatron(), first)
    expect([hold.status, hold.body.bookId]).toEqual([201, third.id])
    const change = { token, body: { title: 'x' }, headers: anyVersion }
    expect(problemOf(await ask('PATCH', `/v1/books/${first.id}`, change))).toBe('book-not-found')
    expect(problemOf(await ask('DELETE', `/v1/books/${first.id}`, { token, headers: anyVersion }))).toBe(
      'book-not-found',
    )
    expect(problemOf(await merge(first, third))).toBe('book-not-found')
  })

  test('is refused of a book with itself, of one that is not there, and of versions that are old', async () => {
    const [{ token }, stays, goes] = await Promise.all([theStaff(), aBook(), aBook()])
    expect(problemOf(await merge(stays, stays))).toBe('same-book')
    expect(problemOf(await merge(stays, { id: crypto.randomUUID() }))).toBe('book-not-found')
    expect(problemOf(await merge({ id: crypto.randomUUID() }, goes))).toBe('book-not-found')
    expect(problemOf(await merge(stays, { ...goes, version: 2 }))).toBe('precondition-failed')
    const how = { token, body: { bookId: goes.id, version: 1 } }
    const path = `/v1/books/${stays.id}/merges`
    expect(problemOf(await ask('POST', path, { ...how, headers: { 'if-match': '"2"' } }))).toBe('precondition-failed')
    expect(problemOf(await ask('POST', path, how))).toBe('precondition-required')
    expect((await ask('POST', path, { ...how, body: { bookId: 'x', version: 1 }, headers: anyVersion })).status).toBe(
      422,
    )
    expect(await bookOf(goes)).toMatchObject({ version: 1, title: goes.title })
  })

  test('is refused while a patron has both, and leaves everything as it was', async () => {
    const [patron, stays, goes] = await Promise.all([aPatron(), aBook(), aBook()])
    const [, loan] = [await aLoan(patron, stays), await aLoan(patron, goes)]
    expect(problemOf(await merge(stays, goes))).toBe('both-on-loan')
    expect((await bookOf(goes)).version).toBe(1)
    await giveBack(patron, loan)
    expect((await merge(stays, goes)).body).toMatchObject({ copies: 1, loans: 0 })
  })

  test('moves loans, which are renewed and returned as before', async () => {
    const { token } = await theStaff()
    const { book: goes, holder, loan } = await aLentBook()
    const stays = await aBook({ copies: 0 })
    expect((await merge(stays, goes)).body).toMatchObject({ copies: 1, loans: 1, holds: 0 })
    expect(await ask('GET', `/v1/loans/${loan.id}`, { token: holder.token })).toMatchObject({
      body: { bookId: stays.id },
    })
    expect(problemOf(await borrow(holder, goes))).toBe('already-on-loan')
    const hold = await aHold(await aPatron(), stays)
    expect((await giveBack(holder, loan)).status).toBe(200)
    const [copy] = await copiesOf(stays)
    expect(copy?.state).toBe('on_hold')
    expect((await ask<Hold>('GET', `/v1/holds/${hold.id}`, { token })).body.state).toBe('ready')
    await expectConsistent(database)
  })

  test('keeps the order of time in one queue, and what is ready is ready', async () => {
    const [one, other] = [await aLentBook(), await aLentBook()]
    const patrons = await Promise.all(Array.from({ length: 5 }, aPatron))
    const holds: Hold[] = []
    for (const [i, patron] of patrons.entries()) holds.push(await aHold(patron, i % 2 ? one.book : other.book))
    await giveBack(other.holder, other.loan)
    expect((await merge(one.book, other.book)).body).toMatchObject({ copies: 1, loans: 0, holds: 3 })
    const left = await queueOf(one.book)
    expect(left.filter(({ state }) => state === 'ready').map(({ id }) => id)).toEqual([holds[0]?.id])
    expect(left.filter(({ state }) => state === 'waiting').map(({ id }) => id)).toEqual(
      holds.slice(1).map(({ id }) => id),
    )
    await expectConsistent(database)
  })

  test('leaves a patron who waits for both in the earlier place, or with the copy that is ready', async () => {
    const [one, other] = [await aLentBook(), await aLentBook()]
    const [early, ready, between, third] = await Promise.all([aPatron(), aPatron(), aPatron(), aPatron()])
    const collected = await aHold(ready, other.book)
    const kept = await aHold(early, one.book)
    const waiting = await aHold(between, other.book)
    const late = await aHold(early, other.book)
    const doubled = await aHold(ready, one.book)
    const last = await aHold(third, one.book)
    await giveBack(other.holder, other.loan)
    expect((await holdOf(ready, collected)).body.state).toBe('ready')
    await merge(one.book, other.book)
    expect((await queueOf(one.book)).map(({ id, position }) => [id, position]).toSorted()).toEqual(
      [
        [collected.id, null],
        [kept.id, 1],
        [waiting.id, 2],
        [last.id, 3],
      ].toSorted(),
    )
    expect([problemOf(await holdOf(early, late)), problemOf(await holdOf(ready, doubled))]).toEqual([
      'hold-not-found',
      'hold-not-found',
    ])
    await expectConsistent(database)
  })

  test('ends the hold of who has the other book, and serves whoever waits where a copy lies free', async () => {
    const one = await aLentBook()
    const other = await aLentBook()
    const next = await aPatron()
    const pointless = await aHold(one.holder, other.book)
    const hold = await aHold(next, one.book)
    await giveBack(other.holder, other.loan)
    expect((await holdOf(one.holder, pointless)).body.state).toBe('ready')
    await merge(one.book, other.book)
    expect(problemOf(await holdOf(one.holder, pointless))).toBe('hold-not-found')
    expect((await holdOf(next, hold)).body.state).toBe('ready')
    const waits = await aHold(await aPatron(), one.book)
    await merge(one.book, await aBook({ copies: 2 }))
    expect((await queueOf(one.book)).find(({ id }) => id === waits.id)?.state).toBe('ready')
    await expectConsistent(database)
  })

  test('waits for either format when the two holds were for different ones', async () => {
    const patron = await aPatron()
    const [one, other] = [await aLentBook(), await aLentBook()]
    const digital = await aCopy(other.book, { format: 'digital' })
    expect((await borrow(await aPatron(), other.book)).body.copyId).toBe(digital.id)
    const place = (book: Book, format: string) =>
      ask<Hold>('POST', '/v1/holds', { token: patron.token, body: { bookId: book.id, format } })
    const [first] = [await place(one.book, 'physical'), await place(other.book, 'digital')]
    await merge(one.book, other.book)
    expect((await holdOf(patron, first.body)).body.format).toBeNull()
    await expectConsistent(database)
  })

  test('with an Idempotency-Key is answered again', async () => {
    const [{ token }, stays, goes] = await Promise.all([theStaff(), aBook(), aBook()])
    const headers = { 'if-match': '"1"', 'idempotency-key': crypto.randomUUID() }
    const again = () =>
      ask<Merge>('POST', `/v1/books/${stays.id}/merges`, { token, body: { bookId: goes.id, version: 1 }, headers })
    expect((await again()).body).toEqual((await again()).body)
  })
})

describe('races', () => {
  const BOOKS = 4
  const faultsOf = (answers: Answer[]) =>
    answers.filter((answer) => answer.status >= 500 && problemOf(answer) !== 'busy').map(({ text }) => text)

  /** Patrons who borrow, return, queue and cancel by whatever id they know, while the books become one. */
  async function aCrowd(library: Library) {
    const { token } = await library.theStaff()
    const books = await Promise.all(Array.from({ length: BOOKS }, () => library.aBook({ copies: 2, licences: 1 })))
    const patrons = await Promise.all(Array.from({ length: 12 }, library.aPatron))
    const answers: Answer[] = []
    const state = { over: false }
    const act = async (patron: Person, seed: number) => {
      for (let n = seed; !state.over; n += 7) {
        const book = books[n % BOOKS] ?? books[0]
        if (!book) return
        const made = n % 3 ? await library.borrow(patron, book) : await library.queue(patron, book)
        answers.push(made)
        if (made.status !== 201 || n % 2) continue
        const done =
          n % 3
            ? await library.giveBack(patron, made.body)
            : await library.ask('DELETE', `/v1/holds/${made.body.id}`, { token: patron.token })
        // A merge may have ended the hold.
        if (problemOf(done) !== 'hold-not-found') answers.push(done)
      }
    }
    const desk = async () => {
      while (!state.over) {
        const { body } = await library.ask<Page<Copy>>('GET', `/v1/books/${books[0]?.id}/copies`, { token })
        const copy = body.items.find(({ format }) => format === 'physical')
        if (!copy) return
        answers.push(await library.ask('PUT', `/v1/copies/${copy.id}/loss`, { token }))
        answers.push(await library.ask('POST', '/v1/check-ins', { token, body: { barcode: copy.barcode } }))
      }
    }
    const running = Promise.all([...patrons.map(act), desk()])
    return {
      books,
      answers,
      end: async () => {
        state.over = true
        await running
      },
    }
  }

  /** Merges until it is done: it is refused while a patron has both. */
  async function mergeAll(library: Library, books: Book[]) {
    const [stays, ...others] = books
    if (!stays) return []
    const answers: Answer[] = []
    for (const goes of others) {
      for (let tries = 0; tries < 60; tries++) {
        const answer = await merge(stays, goes, library)
        answers.push(answer)
        if (answer.status === 201) break
        const { token } = await library.theStaff()
        // Whoever has both returns one.
        const lent = await library.database`
          select min(id::text) as id from loans
          where returned_at is null and book_id in (${stays.id}, ${goes.id})
          group by user_id having count(*) > 1`
        for (const { id } of lent) await library.ask('PUT', `/v1/loans/${String(id)}/return`, { token })
      }
    }
    return answers
  }

  test('whatever goes on meanwhile, nothing is lost and nobody is stranded', async () => {
    const library = await aLibraryApart()
    const { books, answers, end } = await aCrowd(library)
    const merges = await mergeAll(library, books)
    await end()
    expect(merges.filter(({ status }) => status === 201)).toHaveLength(BOOKS - 1)
    expect(faultsOf([...answers, ...merges])).toEqual([])
    await expectConsistent(library.database)
    const [stays] = books
    const [left] = await library.database`
      select (select count(distinct book_id)::integer from copies) as homes,
        (select count(*)::integer from copies where removed_at is null) as copies,
        (select count(*)::integer from holds where book_id <> ${stays?.id}) as astray,
        (select count(*)::integer from loans where book_id <> ${stays?.id}) as elsewhere`
    expect(left).toEqual({ homes: 1, copies: BOOKS * 3, astray: 0, elsewhere: 0 })
    await library.drop()
  })

  test('two merges of the same book at once: one is made', async () => {
    const books = await Promise.all([aBook(), aBook(), aBook()])
    const [a, b, c] = books
    const answers = await Promise.all([merge(a, c), merge(b, c), merge(a, c), merge(b, c)])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 404, 404, 404])
    const crossed = await Promise.all([merge(a, { ...b, version: (await bookOf(b)).version }), merge(b, a)])
    expect(crossed.filter(({ status }) => status === 201).length).toBeLessThanOrEqual(1)
    await expectConsistent(database)
  })

  /** Events of these kinds take their time, so that what comes meanwhile meets what is under way. */
  const lingering = (kinds: string[]) => [
    `create function linger() returns trigger language plpgsql as $$
    begin
      perform pg_sleep(case when new.kind = any ('{${kinds.join(',')}}') then 0.6 else 0 end);
      return new;
    end $$`,
    'create trigger events_linger before insert on events for each row execute function linger()',
  ]

  test('a checkout that waits for the copy of a book that is being merged lends it as the other', async () => {
    const library = await aLibraryApart({ statements: lingering(['book.merged']) })
    const [stays, goes, patron] = [await library.aBook({ copies: 0 }), await library.aBook(), await library.aPatron()]
    const [merged, lent] = await Promise.all([
      merge(stays, goes, library),
      scheduler.wait(200).then(() => library.borrow(patron, goes)),
    ])
    expect([merged.status, lent.status, lent.body.bookId]).toEqual([201, 201, stays.id])
    await expectConsistent(library.database)
    await library.drop()
  })

  test('a return, a hold and a lost copy that wait for it find the queue of the other', async () => {
    const library = await aLibraryApart({ statements: lingering(['book.merged']) })
    const { token } = await library.theStaff()
    const [stays, goes] = [await library.aBook({ copies: 1 }), await library.aBook({ copies: 1 })]
    const [holder, other, first, second] = [
      await library.aPatron(),
      await library.aPatron(),
      await library.aPatron(),
      await library.aPatron(),
    ]
    const loan = await library.aLoan(holder, goes)
    const lost = await library.aLoan(other, stays)
    const hold = await library.aHold(first, stays)
    const [merged, placed, given, loss] = await Promise.all([
      merge(stays, goes, library),
      scheduler.wait(150).then(() => library.queue(second, goes)),
      scheduler.wait(200).then(() => library.giveBack(holder, loan)),
      scheduler.wait(250).then(() => library.ask('PUT', `/v1/copies/${lost.copyId}/loss`, { token })),
    ])
    expect([merged.status, placed.status, given.status, loss.status]).toEqual([201, 201, 200, 200])
    expect(placed.body.bookId).toBe(stays.id)
    expect((await library.ask<Hold>('GET', `/v1/holds/${hold.id}`, { token })).body.state).toBe('ready')
    await expectConsistent(library.database)
    await library.drop()
  })

  test('a merge that waits for a checkout sees it', async () => {
    const library = await aLibraryApart({ statements: lingering(['loan.made']) })
    const [stays, goes, patron] = [await library.aBook(), await library.aBook(), await library.aPatron()]
    const [lent, merged] = await Promise.all([
      library.borrow(patron, goes),
      scheduler.wait(200).then(() => merge(stays, goes, library)),
    ])
    expect([lent.status, merged.status, merged.body.loans]).toEqual([201, 201, 1])
    await expectConsistent(library.database)
    await library.drop()
  })
})
