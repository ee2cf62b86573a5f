import { env as shared } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { configOf } from '../src/config.ts'
import { runTasks, tasks } from '../src/scheduled.ts'
import { type FaultName, faultNames } from './support/commands.ts'
import { aLibraryApart, anIsolate } from './support/laboratory.ts'
import { aPatron, aLoan, aBook, PASSWORD, problemOf } from './support/library.ts'

/** While the database is away nobody waits for it and nobody adds to its troubles; when it is back, so is the library. */

type Isolate = ReturnType<typeof anIsolate>
type Database = 'there' | 'away' | 'silent' | { sqlstate: string }

let database: Database
let trips: number
let lines: Record<string, unknown>[]
let shiftMs: number

beforeEach(() => {
  database = 'there'
  trips = 0
  lines = []
  shiftMs = 0
  const { fetch } = globalThis
  const now = Date.now.bind(Date)
  vi.spyOn(Date, 'now').mockImplementation(() => now() + shiftMs)
  vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(JSON.parse(String(line))))
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const url = input instanceof Request ? input.url : input.toString()
    if (!url.startsWith(shared.DATABASE_ENDPOINT ?? '')) return fetch(input, init)
    trips += 1
    if (database === 'there') return fetch(input, init)
    if (database === 'away') throw new TypeError('Network connection lost.')
    if (database === 'silent') return new Promise(() => {})
    return Response.json({ message: 'said so', code: database.sqlstate, severity: 'ERROR' }, { status: 400 })
  })
})
afterEach(() => vi.restoreAllMocks())

/** Reads something; what comes of it, and what it cost. */
async function look({ ask }: Isolate) {
  const before = trips
  const { status, headers } = await ask('GET', '/v1/library')
  return { status, retryAfter: headers.get('retry-after'), trips: trips - before }
}

/** So many look at once. */
async function crowd({ ask }: Isolate, count = 20) {
  const before = trips
  const answers = await Promise.all(Array.from({ length: count }, () => ask('GET', '/v1/library')))
  return { heard: answers.filter(({ status }) => status === 200).length, trips: trips - before }
}

const events = () => lines.map(({ event }) => event).filter((event) => String(event).startsWith('database'))

async function anOutage() {
  const isolate = anIsolate()
  database = 'away'
  for (let i = 0; i < 5; i++) await look(isolate)
  return isolate
}

describe('while the database is away', () => {
  test('the sixth request is refused at once, and those after it, and none asks the database', async () => {
    const isolate = anIsolate()
    database = 'away'
    for (let i = 0; i < 5; i++) expect(await look(isolate)).toEqual({ status: 503, retryAfter: '2', trips: 1 })
    expect(await look(isolate)).toEqual({ status: 503, retryAfter: '5', trips: 0 })
    shiftMs = 3_500
    expect(await look(isolate)).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^[12]$/), trips: 0 })
    expect(await crowd(isolate, 100)).toEqual({ heard: 0, trips: 0 })
    expect(events()).toEqual(['database.away'])
    expect(lines.at(-1)).toMatchObject({ event: 'request', problem: 'database-unavailable', roundTrips: 0 })
  })

  test('a hundred requests at once that all fail pause it no longer than five do', async () => {
    const isolate = anIsolate()
    database = 'away'
    expect(await crowd(isolate, 100)).toEqual({ heard: 0, trips: 100 })
    expect(await look(isolate)).toEqual({ status: 503, retryAfter: '5', trips: 0 })
    expect(events()).toEqual(['database.away'])
  })

  test('after the pause one of twenty is let through, and each failure doubles the pause, up to half a minute', async () => {
    const isolate = await anOutage()
    for (const seconds of [5, 10, 20, 30, 30, 30]) {
      expect(await look(isolate)).toEqual({ status: 503, retryAfter: String(seconds), trips: 0 })
      shiftMs += seconds * 1_000 - 500
      expect(await crowd(isolate)).toEqual({ heard: 0, trips: 0 })
      shiftMs += 500
      expect(await crowd(isolate)).toEqual({ heard: 0, trips: 1 })
    }
  })

  test('what needs no database, and what is refused without it, is answered as always', async () => {
    const { ask } = await anOutage()
    expect((await ask('GET', '/healthz')).status).toBe(200)
    expect((await ask('GET', '/readyz')).status).toBe(503)
    expect((await ask('GET', '/v1/loans')).status).toBe(401)
    expect((await ask('POST', '/v1/users', { body: {} })).status).toBe(422)
  })

  test('nobody is let in for want of an answer', async () => {
    const [patron, isolate] = [await aPatron(), await anOutage()]
    const { username, token, refreshToken } = patron
    const answers = await Promise.all([
      isolate.ask('POST', '/v1/sessions', { body: { username, password: PASSWORD } }),
      isolate.ask('POST', '/v1/sessions/refresh', { body: { refreshToken } }),
      isolate.ask('GET', '/v1/users/me', { token }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503])
  })

  test('another configuration goes on', async () => {
    await anOutage()
    database = 'there'
    expect(await look(anIsolate())).toEqual({ status: 200, retryAfter: null, trips: 1 })
  })
})

describe('when the database is back', () => {
  test('one of twenty finds out, and everybody is served', async () => {
    const isolate = await anOutage()
    database = 'there'
    expect(await look(isolate)).toMatchObject({ status: 503, trips: 0 })
    shiftMs = 5_000
    expect(await crowd(isolate)).toEqual({ heard: 1, trips: 1 })
    expect(await crowd(isolate)).toEqual({ heard: 20, trips: 20 })
    expect(events()).toEqual(['database.away', 'database.back'])
  })

  test('the next outage begins with five failures and a pause of five seconds again', async () => {
    const isolate = await anOutage()
    shiftMs = 5_000
    await look(isolate)
    shiftMs += 10_000
    database = 'there'
    await look(isolate)
    database = 'away'
    for (let i = 0; i < 5; i++) expect(await look(isolate)).toMatchObject({ trips: 1 })
    expect(await look(isolate)).toEqual({ status: 503, retryAfter: '5', trips: 0 })
  })

  test('a trial that never ends keeps nobody out for longer than a round trip may take', async () => {
    const isolate = await anOutage()
    shiftMs = 5_000
    database = 'silent'
    void look(isolate)
    await vi.waitFor(() => expect(trips).toBe(6))
    database = 'there'
    expect(await crowd(isolate)).toEqual({ heard: 0, trips: 0 })
    shiftMs += 4_000
    expect(await crowd(isolate)).toEqual({ heard: 1, trips: 1 })
    expect(await crowd(isolate)).toEqual({ heard: 20, trips: 20 })
  })
})

describe('no pause is made', () => {
  test('by fewer than five failures in a row', async () => {
    const isolate = anIsolate()
    for (let round = 0; round < 5; round++) {
      database = 'away'
      for (let i = 0; i < 4; i++) expect(await look(isolate)).toMatchObject({ status: 503, trips: 1 })
      database = 'there'
      expect(await look(isolate)).toMatchObject({ status: 200, trips: 1 })
    }
    expect(events()).toEqual([])
  })

  test.each(['LN001', '23505', '23514', '22P02', '42P01', 'XX000', '40001', '40P01', '55P03', '55006', '57014'])(
    'by what a working database says of a request (%s)',
    async (sqlstate) => {
      const isolate = anIsolate()
      database = { sqlstate }
      for (let i = 0; i < 12; i++) expect(await look(isolate)).toMatchObject({ trips: 1 })
      database = 'there'
      expect(await look(isolate)).toMatchObject({ status: 200 })
    },
  )

  test('by a hundred requests that the rules refuse, and four failures beside them', async () => {
    const [isolate, patron, book] = [anIsolate(), await aPatron(), await aBook()]
    await aLoan(await aPatron(), book)
    const { username, token } = patron
    const refused = Array.from({ length: 25 }, (_, n) => [
      isolate.ask('POST', '/v1/users', { body: { username, email: `${username}${n}@mail.test`, password: PASSWORD } }),
      isolate.ask('POST', '/v1/loans', { token, body: { bookId: book.id } }),
      isolate.ask('POST', '/v1/loans', { token, body: { bookId: crypto.randomUUID() } }),
      isolate.ask('POST', '/v1/sessions', { body: { username: `${username}${n}`, password: 'not the password' } }),
    ])
    const problems = new Set((await Promise.all(refused.flat())).map(problemOf))
    expect([...problems].toSorted()).toEqual([
      'book-not-found',
      'no-copy-available',
      'username-taken',
      'wrong-credentials',
    ])
    database = 'away'
    for (let i = 0; i < 4; i++) expect(await look(isolate)).toMatchObject({ status: 503, trips: 1 })
    database = 'there'
    await isolate.ask('POST', '/v1/loans', { token, body: { bookId: book.id } })
    database = 'away'
    for (let i = 0; i < 5; i++) expect(await look(isolate)).toMatchObject({ status: 503, trips: 1 })
    expect(await look(isolate)).toMatchObject({ status: 503, trips: 0 })
  })

  test.each(['53300', '57P01', '57P03', '08006', '58030', ''])(
    'but it is by what a database says that serves nobody (%s)',
    async (sqlstate) => {
      const isolate = anIsolate()
      database = { sqlstate }
      for (let i = 0; i < 5; i++) expect(await look(isolate)).toMatchObject({ status: 503, trips: 1 })
      expect(await look(isolate)).toMatchObject({ status: 503, trips: 0 })
    },
  )
})

describe('the scheduled tasks and the requests', () => {
  test('learn from each other', async () => {
    const isolate = anIsolate()
    database = 'away'
    await expect(runTasks(configOf(isolate.env))).rejects.toThrow('scheduled tasks failed')
    expect(trips).toBe(5)
    expect(tasks.length).toBeGreaterThan(5)
    expect(await look(isolate)).toMatchObject({ status: 503, trips: 0 })
    shiftMs = 5_000
    database = 'there'
    await runTasks(configOf(isolate.env))
    expect(await look(isolate)).toMatchObject({ status: 200 })
  })
})

describe('five requests at once that meet a fault for real', { timeout: 60_000 }, () => {
  /** Which leave PostgreSQL itself the last word. */
  const said = new Set<FaultName>(['cancel-midway'])

  test('open it, whatever the fault', async () => {
    const library = await aLibraryApart()
    const costs = faultNames.map(async (fault) => {
      const faulty = library.faulty(fault, { times: 5 })
      const answers = await Promise.all(Array.from({ length: 5 }, () => faulty.ask('GET', '/v1/library')))
      expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(503))
      return [fault, (await faulty.ask('GET', '/v1/library')).status]
    })
    expect(await Promise.all(costs)).toEqual(faultNames.map((fault) => [fault, said.has(fault) ? 200 : 503]))
    await library.drop()
  })
})
