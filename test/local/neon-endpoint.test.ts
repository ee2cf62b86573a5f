import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { neon, neonConfig, NeonDbError } from '@neondatabase/serverless'
import { sql as raw } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-http'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { startNeonEndpoint, type NeonEndpoint } from '../../scripts/local/neon-endpoint.ts'
import { startPostgres, type Postgres } from '../../scripts/local/postgres.ts'
import { type FaultName, faultNames } from '../support/commands.ts'
import { newFaults } from './faults.ts'

let directory: string
let postgres: Postgres
let endpoint: NeonEndpoint
let url: string
/** Sees what the endpoint's own connections do. */
let observer: Client

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lectern-neon-'))
  postgres = await startPostgres({ directory, port: 0, durable: false })
  url = await postgres.createDatabase('library')
  observer = new Client({ connectionString: url })
  await observer.connect()
  endpoint = await startNeonEndpoint({ port: 0 })
  neonConfig.fetchEndpoint = endpoint.url
}, 60_000)

afterAll(async () => {
  await observer.end()
  await endpoint.stop()
  await postgres.stop()
  await rm(directory, { recursive: true })
})

beforeEach(async () => {
  await observer.query('drop table if exists shelf; create table shelf (id int primary key, name text not null)')
})

/** For what PostgreSQL does in its own time, on a machine that may be busy. */
const patient = { timeout: 10_000 }

const shelf = pgTable('shelf', { id: integer().primaryKey(), name: text().notNull() })

test('a single query answers with its rows, its columns and its command', async () => {
  const sql = neon(url)
  const result = await sql.query('select $1::int as id, $2 as name', [7, 'Emma'], { fullResults: true })
  expect(result).toMatchObject({
    command: 'SELECT',
    rowCount: 1,
    rowAsArray: false,
    rows: [{ id: 7, name: 'Emma' }],
    fields: [
      { name: 'id', dataTypeID: 23, tableID: 0, columnID: 0, dataTypeSize: 4, dataTypeModifier: -1, format: 'text' },
      { name: 'name', dataTypeID: 25 },
    ],
  })
})

test('rows come as arrays where arrays are asked for, and columns of one name all arrive', async () => {
  expect(await neon(url, { arrayMode: true })`select 1 as id, 2 as id`).toEqual([[1, 2]])
})

test('the count is of the rows written, and absent for a command that counts none', async () => {
  const sql = neon(url, { fullResults: true })
  const written = await sql`insert into shelf values (1, 'Emma'), (2, 'Ulysses')`
  expect(written).toMatchObject({ command: 'INSERT', rowCount: 2, rows: [], fields: [] })
  expect(await sql`create table if not exists shelf ()`).toMatchObject({ command: 'CREATE', rowCount: null })
  expect(await sql.query('')).toMatchObject({ command: '', rowCount: null, rows: [] })
})

test('each type arrives as the driver reads it from PostgreSQL', async () => {
  const [row] = await neon(url)`
    select 9007199254740993::int8 as int8, 12.340::numeric as numeric, true as bool, null::text as nothing,
      '\\x00ff'::bytea as bytea, '{"a":[1,null]}'::jsonb as jsonb, '{"n":1e3}'::json as json,
      array['a', 'b"c', null, '{,}'] as texts, array[[1, 2], [3, 4]] as ints,
      timestamptz '2026-02-28 12:00:00.123456+00' as at, 'NaN'::float8 as nan`
  expect(row).toEqual({
    int8: '9007199254740993',
    numeric: '12.340',
    bool: true,
    nothing: null,
    bytea: Buffer.from([0, 255]),
    jsonb: { a: [1, null] },
    json: { n: 1000 },
    texts: ['a', 'b"c', null, '{,}'],
    ints: [
      [1, 2],
      [3, 4],
    ],
    at: new Date('2026-02-28T12:00:00.123Z'),
    nan: Number.NaN,
  })
})

test('each type goes in as a parameter and comes back the same', async () => {
  const sql = neon(url)
  const at = new Date('2026-02-28T12:00:00.123Z')
  const [row] = await sql`
    select ${12}::int as number, ${true}::bool as bool, ${null}::text as nothing, ${{ a: [1] }}::jsonb as object,
      ${['a', 'b"c', null]}::text[] as texts, ${Buffer.from([0, 255])}::bytea as bytes, ${at}::timestamptz as at,
      ${'ünïcode 🐉'} as text`
  expect(row).toEqual({
    number: 12,
    bool: true,
    nothing: null,
    object: { a: [1] },
    texts: ['a', 'b"c', null],
    bytes: Buffer.from([0, 255]),
    at,
    text: 'ünïcode 🐉',
  })
})

test('without raw text the values are JSON as Neon types them, and parameters may be JSON as well', async () => {
  const response = await post({
    query: `select 1::int2 as small, 2::int8 as big, true as yes, 'x' as text, null::int as nothing, 1.5::float8 as float,
      'Infinity'::float8 as far, '{"n":12345678901234567890}'::json as json, array[1, null] as ints,
      array['a', 'b"\\c', 'NULL', null, '{,}', ''] as texts, '[0:1]={t,f}'::bool[] as bools, '{}'::int[] as none,
      array['{"a":1}'::jsonb] as objects, $1::int as number, $2::jsonb as object, $3::text[] as list, $4::int[] as matrix`,
    params: [
      7,
      { a: true },
      ['x"y', null, 'NULL'],
      [
        [1, 2],
        [3, null],
      ],
    ],
  })
  const body = await response.text()
  expect(body).toContain('"json":{"n":12345678901234567890}')
  expect(JSON.parse(body)).toHaveProperty(
    'rows.0',
    expect.objectContaining({
      small: 1,
      big: '2',
      yes: true,
      text: 'x',
      nothing: null,
      float: 1.5,
      far: 'Infinity',
      ints: [1, null],
      texts: ['a', 'b"\\c', 'NULL', null, '{,}', ''],
      bools: [true, false],
      none: [],
      objects: [{ a: 1 }],
      number: 7,
      object: { a: true },
      list: ['x"y', null, 'NULL'],
      matrix: [
        [1, 2],
        [3, null],
      ],
    }),
  )
})

test('a query says for itself whether its rows are arrays', async () => {
  const response = await post({
    queries: [{ query: 'select 1 as id', arrayMode: true }, { query: 'select 2 as id' }],
  })
  expect(await response.json()).toMatchObject({
    results: [
      { rows: [[1]], rowAsArray: true },
      { rows: [{ id: 2 }], rowAsArray: false },
    ],
  })
})

test('Drizzle reads and writes through it, one by one and in a batch', async () => {
  const db = drizzle(neon(url))
  await db.insert(shelf).values({ id: 1, name: 'Emma' })
  const [inserted, all, counted] = await db.batch([
    db.insert(shelf).values({ id: 2, name: 'Ulysses' }).returning(),
    db.select().from(shelf).orderBy(shelf.id),
    db.execute(raw`select count(*)::int as count from shelf`),
  ])
  expect(inserted).toEqual([{ id: 2, name: 'Ulysses' }])
  expect(all).toEqual([
    { id: 1, name: 'Emma' },
    { id: 2, name: 'Ulysses' },
  ])
  expect(counted.rows).toEqual([{ count: 2 }])
})

test('a batch counts as one request', async () => {
  const sql = neon(url)
  const before = endpoint.requests()
  await sql.transaction([sql`select 1`, sql`select 2`, sql`select 3`])
  expect(endpoint.requests() - before).toBe(1)
})

test('each statement of a batch sees what those before it did, and all have one time', async () => {
  const sql = neon(url)
  const [, seen, first, second] = await sql.transaction([
    sql`insert into shelf values (1, 'Emma')`,
    sql`select count(*)::int as count from shelf`,
    sql`select now() as at, pg_backend_pid() as pid`,
    sql`select now() as at, pg_backend_pid() as pid`,
  ])
  expect(seen).toEqual([{ count: 1 }])
  expect(first).toEqual(second)
})

test('a batch that fails leaves nothing behind, and no statement after the failed one runs', async () => {
  const sql = neon(url)
  await observer.query('drop sequence if exists asked; create sequence asked')
  const failed = sql.transaction([
    sql`insert into shelf values (1, 'Emma')`,
    sql`insert into shelf values (1, 'again')`,
    sql`select nextval('asked')`,
  ])
  await expect(failed).rejects.toMatchObject({ code: '23505' })
  expect(await sql`select * from shelf`).toEqual([])
  // A sequence is never rolled back.
  expect(await sql`select is_called from asked`).toEqual([{ is_called: false }])
})

test('the locks of a failed batch are free when its client hears of the failure', async () => {
  const sql = neon(url)
  await sql`insert into shelf values (1, 'Emma')`
  for (let round = 0; round < 20; round += 1) {
    await expect(sql.transaction([sql`select * from shelf for update`, sql`select 1 / 0`])).rejects.toMatchObject({
      code: '22012',
    })
    await observer.query('select * from shelf for update nowait')
  }
})

test('a constraint that waits for the commit fails the batch', async () => {
  const sql = neon(url)
  await observer.query('alter table shelf add constraint shelf_name_once unique (name) deferrable initially deferred')
  const failed = sql.transaction([
    sql`insert into shelf values (1, 'Emma'), (2, 'Emma')`,
    sql`select count(*) from shelf`,
  ])
  await expect(failed).rejects.toMatchObject({ code: '23505', constraint: 'shelf_name_once' })
  expect(await sql`select * from shelf`).toEqual([])
})

test('a batch runs at read committed, or at the isolation level it asks for', async () => {
  const sql = neon(url)
  const level = async (isolationLevel?: 'RepeatableRead' | 'Serializable') => {
    const options = isolationLevel === undefined ? {} : { isolationLevel }
    return sql.transaction([sql`show transaction_isolation`], options)
  }
  expect(await level()).toEqual([[{ transaction_isolation: 'read committed' }]])
  expect(await level('RepeatableRead')).toEqual([[{ transaction_isolation: 'repeatable read' }]])
  expect(await level('Serializable')).toEqual([[{ transaction_isolation: 'serializable' }]])
  const deferrable = await sql.transaction([sql`show transaction_deferrable`], {
    isolationLevel: 'Serializable',
    readOnly: true,
    deferrable: true,
  })
  expect(deferrable).toEqual([[{ transaction_deferrable: 'on' }]])
})

test('a read-only batch refuses to write', async () => {
  const sql = neon(url)
  const failed = sql.transaction([sql`insert into shelf values (1, 'Emma')`], { readOnly: true })
  await expect(failed).rejects.toMatchObject({ code: '25006' })
})

test('an unknown isolation level is refused', async () => {
  const response = await post({ queries: [] }, { 'Neon-Batch-Isolation-Level': 'Chaos' })
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ message: 'invalid isolation level', code: '' })
})

test('an error of PostgreSQL reaches the caller with everything PostgreSQL said', async () => {
  const sql = neon(url)
  await sql`insert into shelf values (1, 'Emma')`
  const error = await sql`insert into shelf values (1, 'again')`.catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(NeonDbError)
  expect(error).toMatchObject({
    message: 'duplicate key value violates unique constraint "shelf_pkey"',
    code: '23505',
    severity: 'ERROR',
    detail: 'Key (id)=(1) already exists.',
    schema: 'public',
    table: 'shelf',
    constraint: 'shelf_pkey',
    routine: '_bt_check_unique',
  })
  await expect(sql`select ${'x'}::int`).rejects.toMatchObject({ code: '22P02' })
  await expect(sql.query('select nothing')).rejects.toMatchObject({ code: '42703', position: '8' })
})

test('a function of ours can raise a code of its own', async () => {
  await observer.query(`create or replace function refuse() returns void language plpgsql as
    $$ begin raise exception 'loan-limit-reached' using errcode = 'LB001', detail = 'five', hint = 'return one'; end $$`)
  await expect(neon(url)`select refuse()`).rejects.toMatchObject({
    message: 'loan-limit-reached',
    code: 'LB001',
    detail: 'five',
    hint: 'return one',
    where: expect.stringContaining('refuse()'),
  })
  await expect(neon(url)`do $$ begin raise exception 'plain'; end $$`).rejects.toMatchObject({ code: 'P0001' })
})

test('fields without a value are null in an error, and code and severity are texts', async () => {
  const response = await post({ query: 'select 1 / 0' })
  expect(response.status).toBe(400)
  const error: unknown = await response.json()
  expect(Object.keys(Object(error)).toSorted()).toEqual(
    'code column constraint dataType detail file hint internalPosition internalQuery line message position'
      .concat(' routine schema severity table where')
      .split(' '),
  )
  expect(error).toMatchObject({ code: '22012', detail: null, constraint: null })
})

test('two statements in one query are refused', async () => {
  await expect(neon(url).query('select 1; select 2')).rejects.toMatchObject({ code: '42601' })
})

test('a zero byte in a value is an error of the query, and in the query of the request', async () => {
  await expect(neon(url)`select ${'a\0b'}::text`).rejects.toMatchObject({ code: '22021' })
  const response = await post({ query: 'select 1\0; drop table shelf' })
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ message: 'error encoding message to server' })
})

test('what is not a request is refused as Neon does', async () => {
  const refused = async (init: RequestInit, path = '/sql') => {
    const response = await fetch(new URL(path, endpoint.url), init)
    return [response.status, await response.text()]
  }
  const headers = { 'Neon-Connection-String': url }
  const body = JSON.stringify({ query: 'select 1' })
  const because = (message: string) => expect.stringContaining(`"message":"${message}`)

  expect(await refused({ headers })).toEqual([400, '"query is not supported"'])
  expect(await refused({ method: 'POST', headers, body }, '/other')).toEqual([400, '"query is not supported"'])
  expect(await refused({ method: 'POST', body })).toEqual([400, because('invalid header: neon-connection-string')])
  for (const [target, message] of [
    ['library', 'invalid connection string'],
    ['mysql://a:b@localhost/c', 'incorrect scheme'],
    ['postgresql://localhost/c', 'missing username'],
    ['postgresql://a@localhost/c', 'missing authentication credentials: required password'],
    ['postgresql://a:b@localhost', 'missing database name'],
    ['postgresql://a:b@library.example/c', 'invalid hostname'],
  ] as const) {
    const answer = await refused({ method: 'POST', headers: { 'Neon-Connection-String': target }, body })
    expect(answer).toEqual([400, because(message)])
  }
  for (const broken of ['{', '{}', '[]', '{"query":1}', '{"query":"select 1","params":"x"}', '{"query":"\\ud800"}']) {
    expect(await refused({ method: 'POST', headers, body: broken })).toEqual([
      400,
      because('could not parse the HTTP request body'),
    ])
  }
})

test('a body over 10 MiB is too large', async () => {
  const response = await post({ query: 'select 1', params: ['x'.repeat(10 * 1024 * 1024)] })
  expect(response.status).toBe(413)
  expect(await response.json()).toMatchObject({ message: 'request is too large (max is 10485760 bytes)' })
})

test('a result over 64 MiB is refused, and its connection not used again', async () => {
  const response = await post({ query: `select repeat('x', 1024 * 1024) from generate_series(1, 70)` })
  expect(response.status).toBe(507)
  expect(await neon(url)`select 1 as one`).toEqual([{ one: 1 }])
})

test('queries run beside each other', async () => {
  const sql = neon(url)
  const start = performance.now()
  await Promise.all(Array.from({ length: 10 }, () => sql`select pg_sleep(0.2)`))
  expect(performance.now() - start).toBeLessThan(1_500)
})

test('more queries than connections wait for their turn', async () => {
  const sql = neon(url)
  const results = await Promise.all(Array.from({ length: 200 }, (_, index) => sql`select ${index}::int as index`))
  expect(results.flat().map((row) => row['index'])).toEqual(Array.from({ length: 200 }, (_, index) => index))
})

test('a connection that PostgreSQL ends fails its query, and the next one works', async () => {
  const sql = neon(url)
  const running = sql`select pg_sleep(5) as terminated`.catch((reason: unknown) => reason)
  const pid = await backendOf('terminated')
  await observer.query('select pg_terminate_backend($1)', [pid])
  expect(await running).toMatchObject({ code: '57P01' })
  expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
})

test('connections that PostgreSQL ends while they are idle are not used again', async () => {
  const sql = neon(url)
  await Promise.all(Array.from({ length: 5 }, () => sql`select pg_sleep(0.05)`))
  await observer.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  await expect.poll(() => othersIn('library'), patient).toBe(0)
  expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
})

test('a query whose client has gone is cancelled, and its connection closed', async () => {
  const client = new AbortController()
  const sql = neon(url, { fetchOptions: { signal: client.signal } })
  const running = sql`select pg_sleep(60) as abandoned`.catch((reason: unknown) => reason)
  const pid = await backendOf('abandoned')
  client.abort()
  await running
  await expect
    .poll(async () => (await observer.query('select 1 from pg_stat_activity where pid = $1', [pid])).rowCount, patient)
    .toBe(0)
})

test('a batch whose client has gone is rolled back', async () => {
  const client = new AbortController()
  const sql = neon(url)
  const running = sql
    .transaction([sql`insert into shelf values (1, 'Emma')`, sql`select pg_sleep(60) as deserted`], {
      fetchOptions: { signal: client.signal },
    })
    .catch((reason: unknown) => reason)
  await backendOf('deserted')
  client.abort()
  await running
  await expect.poll(() => activeWith('deserted'), patient).toBe(0)
  expect(await sql`select * from shelf`).toEqual([])
})

test('a query that takes too long is cancelled', async () => {
  const impatient = await startNeonEndpoint({ port: 0, timeLimitMs: 300 })
  const response = await post({ query: 'select pg_sleep(60)' }, {}, impatient)
  await impatient.stop()
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ code: '57014' })
})

test.each([
  `set lock_timeout = '1s'`,
  `set role pg_read_all_data`,
  `select set_config('lock_timeout', '1s', false)`,
  `select pg_advisory_lock(7)`,
  `select pg_advisory_lock(7), 1 / 0`,
  `create temp table leftover ()`,
  `select 1 as one into temporary leftover`,
  `prepare leftover as select 1`,
  `listen leftover`,
  `do $$ begin perform pg_advisory_lock(7); perform set_config('lock_timeout', '1s', false); end $$`,
])('the session is clean again after: %s', async (query) => {
  await neon(url)
    .query(query)
    .catch(() => {})
  const rows = await Promise.all(
    Array.from(
      { length: 20 },
      () => neon(url)`
        select current_setting('lock_timeout') as lock_timeout, current_user as "user",
          to_regclass('pg_temp.leftover') as temporary, pg_sleep(0.02) as busy,
          (select count(*)::int from pg_prepared_statements) as prepared,
          (select count(*)::int from pg_listening_channels()) as channels,
          (select count(*)::int from pg_locks where locktype = 'advisory') as locks`,
    ),
  )
  const clean = { lock_timeout: '0', user: 'lectern', temporary: null, busy: '', prepared: 0, channels: 0, locks: 0 }
  expect(rows.flat()).toEqual(Array.from({ length: 20 }, () => clean))
})

test('a transaction that a query opened ends with it', async () => {
  const sql = neon(url)
  await sql`begin`
  await expect
    .poll(
      async () => (await observer.query(`select 1 from pg_stat_activity where state like 'idle in%'`)).rowCount,
      patient,
    )
    .toBe(0)
})

test('copying from nowhere is refused and holds nothing up', async () => {
  await expect(neon(url)`copy shelf from stdin`).rejects.toBeInstanceOf(NeonDbError)
  expect(await neon(url)`select 1 as one`).toEqual([{ one: 1 }])
})

test('the connections to all databases together stay within bounds', async () => {
  const narrow = await startNeonEndpoint({ port: 0, maxConnections: 120 })
  const urls = await Promise.all(['one', 'two', 'three'].map((name) => postgres.createDatabase(name)))
  for (const target of [...urls, ...urls]) {
    const response = await post({ query: 'select 1' }, { 'Neon-Connection-String': target }, narrow)
    expect(response.status).toBe(200)
  }
  const open = await observer.query(
    `select distinct datname from pg_stat_activity where datname in ('one', 'two', 'three')`,
  )
  await narrow.stop()
  expect(open.rowCount).toBeLessThanOrEqual(2)
})

test("a wrong password and a database that does not exist are the caller's fault", async () => {
  const wrong = url.replace(/:[^:@]*@/, ':wrong@')
  await expect(neon(wrong)`select 1`).rejects.toMatchObject({
    message: "password authentication failed for user 'lectern'",
  })
  await expect(neon(url.replace(/library$/, 'nowhere'))`select 1`).rejects.toMatchObject({ code: '3D000' })
})

test('a PostgreSQL that does not answer is an error of the server, also after it answered once', async () => {
  const own = await mkdtemp(join(tmpdir(), 'lectern-neon-'))
  const other = await startPostgres({ directory: own, port: 0, durable: false })
  const sql = neon(other.url)
  await sql`select 1`
  await other.stop()
  await expect(sql`select 1`).rejects.toThrow(/HTTP status 500.*Couldn't connect to compute node/)
  await rm(own, { recursive: true })
}, 60_000)

/** What its client sees, and how often the query takes effect. */
const consequences: Record<FaultName, { seen: string; effects: number }> = {
  refuse: { seen: 'lost', effects: 0 },
  'delay-before': { seen: 'late', effects: 0 },
  'run-late': { seen: 'late', effects: 1 },
  stuck: { seen: 'late', effects: 0 },
  'delay-after': { seen: 'late', effects: 1 },
  'drop-answer': { seen: 'lost', effects: 1 },
  'half-answer': { seen: '200, then lost', effects: 1 },
  'stall-answer': { seen: '200, then late', effects: 1 },
  'error-500': { seen: '500 {"message":"internal error","code":""}', effects: 0 },
  'error-500-after': { seen: '500 {"message":"internal error","code":""}', effects: 1 },
  html: { seen: '200 <!doctype html><title>Hello</title>', effects: 0 },
  'html-after': { seen: '200 <!doctype html><title>Hello</title>', effects: 1 },
  reset: { seen: 'lost', effects: 0 },
  empty: { seen: '200 ', effects: 0 },
  garbage: { seen: '200 \u0000\u0001{"rows":[[', effects: 0 },
  'other-json': { seen: '200 {"ok":true}', effects: 0 },
  'other-type': { seen: '200 OK', effects: 0 },
  'bad-gateway': { seen: '502 <html>Bad gateway</html>', effects: 0 },
  redirect: { seen: '307 ', effects: 0 },
  'too-many': { seen: '429 {"message":"Too many requests.","code":""}', effects: 0 },
  'too-large': { seen: '507 {"message":"response is too large (max is 67108864 bytes)","code":""}', effects: 1 },
  'cancel-midway': { seen: '400 57014', effects: 0 },
}

describe('on purpose', () => {
  const faults = newFaults()
  let faulty: NeonEndpoint

  beforeAll(async () => {
    faulty = await startNeonEndpoint({ port: 0, faults })
  })
  afterAll(() => faulty.stop())

  const seen = async (address: string, body: unknown) => {
    const failed = ({ name }: Error) => (name === 'TimeoutError' ? 'late' : 'lost')
    const signal = AbortSignal.timeout(1_000)
    const headers = { 'Neon-Connection-String': url }
    const how = { method: 'POST', headers, body: JSON.stringify(body), signal, redirect: 'manual' } as const
    const response = await fetch(address, how).catch(failed)
    if (typeof response === 'string') return response
    const answer = await response.text().catch((error: Error) => error)
    if (answer instanceof Error) return `${response.status}, then ${failed(answer)}`
    return `${response.status} ${/"code":"(\w+)"/.exec(answer)?.[1] ?? answer}`
  }

  test.each(faultNames)('%s', async (fault) => {
    const insert = { query: `insert into shelf (id, name) select count(*), 'Emma' from shelf` }
    for (const body of [insert, { queries: [insert] }]) {
      await observer.query('delete from shelf')
      const run = randomUUID()
      expect(await seen(`${faulty.url}?fault=${fault}&times=1&run=${run}`, body)).toBe(consequences[fault].seen)
      await faults.over(run)
      expect((await observer.query('select from shelf')).rowCount).toBe(consequences[fault].effects)
    }
  })

  test('a run meets its fault as often as it asked for', async () => {
    const address = `${faulty.url}?fault=too-many&times=2&run=${randomUUID()}`
    const answers = []
    for (let i = 0; i < 4; i += 1) answers.push((await seen(address, { query: 'select 1' })).slice(0, 3))
    expect(answers).toEqual(['429', '429', '200', '200'])
  })

  test('a run meets its fault after those that it lets pass', async () => {
    const address = `${faulty.url}?fault=too-many&times=1&skip=2&run=${randomUUID()}`
    const answers = []
    for (let i = 0; i < 4; i += 1) answers.push((await seen(address, { query: 'select 1' })).slice(0, 3))
    expect(answers).toEqual(['200', '200', '429', '200'])
  })

  test('an unknown fault is refused, and an endpoint without faults meets none', async () => {
    const query = '?fault=nonsense&times=1&run=1'
    expect(await seen(faulty.url + query, { query: 'select 1' })).toMatch(/^400 .*no fault: nonsense/)
    expect(await seen(endpoint.url + query, { query: 'select 1' })).toMatch(/^200 /)
  })
})

async function post(body: unknown, headers: Record<string, string> = {}, to = endpoint): Promise<Response> {
  return fetch(to.url, {
    method: 'POST',
    headers: { 'Neon-Connection-String': url, ...headers },
    body: JSON.stringify(body),
  })
}

/** Waits for a running query that has this word in its text. */
async function backendOf(word: string): Promise<number> {
  return vi.waitUntil(async () => {
    const found = await observer.query<{ pid: number }>(
      `select pid from pg_stat_activity where state = 'active' and query like $1 and pid <> pg_backend_pid()`,
      [`%${word}%`],
    )
    return found.rows.at(0)?.pid
  }, patient)
}

async function activeWith(word: string): Promise<number | null> {
  const found = await observer.query(
    `select 1 from pg_stat_activity where state = 'active' and query like $1 and pid <> pg_backend_pid()`,
    [`%${word}%`],
  )
  return found.rowCount
}

async function othersIn(database: string): Promise<number> {
  const found = await observer.query('select 1 from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()', [
    database,
  ])
  return found.rowCount ?? 0
}
