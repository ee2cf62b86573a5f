import { describe, expect, test } from 'vitest'
import { TERMS } from './faults/scene.ts'
import { effectOf, trial } from './faults/trial.ts'
import { atMost } from './faults/turns.ts'
import { verbs } from './faults/verbs.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import type { CrashSignal } from './support/commands.ts'
import { inconsistencies } from './support/consistent.ts'
import { aServerApart } from './support/laboratory.ts'
import { type Answer, type Library, problemOf } from './support/library.ts'
import { people, type Someone } from './support/people.ts'

/** PostgreSQL is killed again and again while patrons borrow books. Whoever hears nothing asks again with the same key,
 *  until they hear. */

const PATIENCE_MS = 120_000
/** How long a client has to wait for any answer. */
const LIMIT_MS = 10_000
const PAUSE_MS = 50
/** So many answers are heard before the server is killed. */
const ENOUGH = 8

type Server = Awaited<ReturnType<typeof aServerApart>>
type Crowd = { patrons: Someone[]; books: { id: string }[] }

describe.concurrent('while PostgreSQL is killed', { timeout: PATIENCE_MS }, () => {
  test('nothing acknowledged is lost and nothing is doubled in five hundred checkouts', async () => {
    const server = await aServerApart()
    const crowd = await aCrowd(server, { patrons: 25, books: 20 })
    const signals = ['SIGQUIT', 'SIGKILL', 'SIGQUIT', 'SIGKILL'] as const
    const { wrong, acknowledged, outages } = await borrowAll(server, crowd, signals)
    expect(wrong).toEqual([])
    expect(acknowledged).toBe(500)
    expect(outages).toBeGreaterThan(0)
    await server.end()
  })

  test.each(['SIGQUIT', 'SIGKILL'] as const)(
    'every verb is done or is not, and asking again settles which (%s)',
    async (signal) => {
      const server = await aServerApart()
      await server.database.query(TERMS)
      const { wrong, heard } = await askAll(server, signal)
      expect(wrong).toEqual([])
      expect(heard).toBeGreaterThan(0)
      expect(heard).toBeLessThan(Object.keys(verbs).length)
      await server.end()
    },
  )

  test('this test notices commits that are acknowledged before they are kept', async () => {
    // Nothing but the writer of the log, which sleeps, would write it before a crash.
    const server = await aServerApart({
      synchronous_commit: 'off',
      bgwriter_lru_maxpages: '0',
      wal_writer_delay: '10s',
      wal_writer_flush_after: '1GB',
      wal_buffers: '64MB',
    })
    const crowd = await aCrowd(server, { patrons: 10, books: 10 })
    const { wrong } = await borrowAll(server, crowd, ['SIGQUIT'])
    expect(wrong).toContain('an acknowledged loan is lost')
    await server.end()
  })
})

/** Everybody asks for something else at once; when some have been answered the server is killed and started again. */
async function askAll(server: Server, signal: CrashSignal) {
  // The rest needs a library or a moment of its own.
  const all = Object.entries(verbs).filter(([, { everywhere, prompt, trips }]) => !everywhere && !prompt && !trips)
  const inTurn = atMost(6)
  const effects = await Promise.all(all.map(([, verb]) => inTurn(() => effectOf(server, verb))))
  const ready = Promise.withResolvers<void>()
  const restarted = Promise.withResolvers<void>()
  let waiting = 0
  let heard = 0
  const restart = async () => {
    await server.crash(signal)
    await server.start()
  }

  // Not the one where they ask again: that has not met the outage, and refuses nothing because of it.
  const isolate = server.isolate()
  const ask: Server['ask'] = async (...call) => {
    const answer = await isolate.ask<never>(...call)
    if (answer.status >= 300) return answer
    heard += 1
    if (heard === ENOUGH) restart().then(restarted.resolve, restarted.reject)
    return answer
  }
  const meet = async () => {
    waiting += 1
    if (waiting === all.length) ready.resolve()
    await ready.promise
    return [{ ask, over: () => restarted.promise, mayBeHeard: true } as const]
  }
  const trials = all.map(async ([name, verb], place) => {
    const effect = effects[place]
    if (effect === undefined) throw new Error(`nobody knows what it does to ${name}`)
    const wrong = await trial({ library: server, verb, effect, again: 'later', meet })
    return wrong.map((what) => `${name}: ${what}`)
  })
  return { wrong: (await Promise.all(trials)).flat(), heard }
}

/** As many copies of each book as there are patrons, who may have all books. */
async function aCrowd(server: Server, { patrons, books }: { patrons: number; books: number }): Promise<Crowd> {
  const { database } = server
  const names = Array.from({ length: patrons }, (_, place) => ({ username: `patron${place}`, role: 'patron' as const }))
  await database`update policies set loan_limit = ${books}`
  const rows = await database`
    with made as (
      insert into books (title) select 'Book ' || n from generate_series(1, ${books}::integer) as n returning id
    ),
    added as (
      insert into copies (book_id, format) select made.id, 'digital' from made, generate_series(1, ${patrons}::integer)
    )
    select id from made`
  const crowd = { patrons: await people(server, names), books: rows.map(({ id }) => ({ id: String(id) })) }
  await database`checkpoint`
  return crowd
}

/** Every patron borrows every book, while the server is killed by these signals, evenly spread over the loans. */
async function borrowAll(server: Server, { patrons, books }: Crowd, signals: readonly CrashSignal[]) {
  const wrong: string[] = []
  const acknowledged: string[] = []
  let outages = 0

  const borrow = async (patron: Someone, book: { id: string }) => {
    const headers = { 'idempotency-key': `${patron.id}${book.id}` }
    for (let isolate: Library = server; ; isolate = server.isolate()) {
      const startedAt = Date.now()
      const answer: Answer<Loan> = await isolate.borrow(patron, book, { headers })
      if (Date.now() - startedAt > LIMIT_MS) wrong.push('an answer came too late')
      if (answer.status === 201) return acknowledged.push(answer.body.id)
      if (problemOf(answer) !== 'database-unavailable') return wrong.push(`refused: ${answer.text}`)
      outages += 1
      await scheduler.wait(PAUSE_MS)
    }
  }
  const borrowAllOf = async (patron: Someone) => {
    for (const book of books) {
      await borrow(patron, book)
      // The Worker is in this isolate too, and its timers, on which a hash's turn depends, fire when nothing else is ready.
      await scheduler.wait(1)
    }
  }
  const kill = async () => {
    for (const [place, signal] of signals.entries()) {
      const many = (patrons.length * books.length * (place + 1)) / (signals.length + 1)
      while (acknowledged.length + wrong.length < many) await scheduler.wait(PAUSE_MS)
      await server.crash(signal)
      await server.start()
    }
  }
  await Promise.all([kill(), ...patrons.map(borrowAllOf)])
  return { wrong: [...wrong, ...(await wrongIn(server, acknowledged))], acknowledged: acknowledged.length, outages }
}

async function wrongIn({ database }: Server, acknowledged: string[]): Promise<string[]> {
  const wrong = await database`
    select 'an acknowledged loan is lost' as what
    from unnest(${acknowledged}::uuid[]) as a (id)
    where not exists (select from loans l where l.id = a.id)
    union all
    select 'a loan was never acknowledged' from loans l where l.id <> all (${acknowledged}::uuid[])
    union all
    select 'a loan has another number of events than one' from loans l
    where (select count(*) from events e where e.subject_id = l.id) <> 1`
  return [...wrong.map(({ what }) => String(what)), ...(await inconsistencies(database)).map(({ what }) => what)]
}
