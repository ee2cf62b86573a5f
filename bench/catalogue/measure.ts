import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { PgDialect } from 'drizzle-orm/pg-core'
import type { Db } from '../../src/db/client.ts'
import { BookQuery } from '../../src/features/books/schema.ts'
import { listBooks, suggest } from '../../src/features/books/search.ts'
import { random, withTypos } from './typos.ts'

/** What each kind of search costs the database: CPU time of the process that serves the connection, which Linux counts in
 *  nanoseconds, so that other work on the machine hardly shows, and pages of 8 kB that it touched. Statements are planned anew each
 *  time, as over HTTP. */

/** Milliseconds; pages and round trips are means. */
export type Cost = { kind: string; p50: number; p99: number; pages: number; trips: number }

/** Of each kind, before it counts: a connection's first plans take longer. */
const WARM_UP = 5

type Query = { kind: string; run: (db: Db) => Promise<unknown> }

export async function measure(url: string, { rounds, seed }: { rounds: number; seed: number }): Promise<Cost[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('set client_min_messages = warning')
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const pid = rows[0]?.pid ?? 0
  const cpuMs = () => Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  let trips = 0
  const db = dbOf(client, () => (trips += 1))
  const pagesSoFar = async () => {
    await client.query('select pg_stat_force_next_flush()')
    const { rows } = await client.query<{ pages: string }>(
      'select sum(coalesce(hits, 0) + coalesce(reads, 0)) as pages from pg_stat_get_backend_io($1)',
      [pid],
    )
    return Number(rows[0]?.pages)
  }
  const kinds = await queriesOf(client, random(seed))
  const costs: Cost[] = []
  for (const [kind, make] of Object.entries(kinds)) {
    const times: number[] = []
    let pagesBefore = 0
    for (let round = 0; round < rounds + WARM_UP; round++) {
      if (round === WARM_UP) {
        pagesBefore = await pagesSoFar()
        trips = 0
      }
      const run = make()
      const before = cpuMs()
      await run(db)
      times.push(cpuMs() - before)
    }
    const pages = ((await pagesSoFar()) - pagesBefore) / rounds
    const sorted = times.slice(WARM_UP).toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    costs.push({ kind, p50: at(0.5), p99: at(0.99), pages, trips: trips / rounds })
  }
  await client.end()
  return costs
}

/** As src/db/client.ts has it, without the Worker between. */
function dbOf(client: Client, onTrip: () => void = () => undefined): Db {
  const dialect = new PgDialect()
  const row = async (statement: Parameters<Db['row']>[0]) => {
    onTrip()
    const { sql, params } = dialect.sqlToQuery(statement)
    const { rows } = await client.query<Record<string, unknown>>(sql, params)
    return rows[0]
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- safe because the statements measured call only `row` and `one`
  return { row, one: async (statement: never) => (await row(statement))?.['body'] } as unknown as Db
}

/** Words by how many books have them, titles and names, from the catalogue itself. */
async function queriesOf(client: Client, next: () => number): Promise<Record<string, () => Query['run']>> {
  const column = async (sql: string) => (await client.query<{ value: string }>(sql)).rows.map(({ value }) => value)
  const common = await column('select word as value from vocabulary order by books desc limit 40')
  const rare = await column('select word as value from vocabulary where books between 1 and 3 order by word limit 3000')
  const titles = await column(
    `select title_key as value from book_search where title_key ~ '^[a-z]+( [a-z]+){1,5}$' order by book_id limit 5000`,
  )
  const pick = (list: string[]) => list[Math.floor(next() * list.length)] ?? ''
  const list = (query: Record<string, string>) => (db: Db) => listBooks(db, BookQuery.parse(query))
  const [commonest = ''] = common
  const tenth = async (query: Record<string, string>) => {
    let cursor: string | undefined
    const db = dbOf(client)
    for (let page = 0; page < 9; page++) {
      const { nextCursor } = await listBooks(db, BookQuery.parse({ ...query, ...(cursor !== undefined && { cursor }) }))
      if (nextCursor === null) break
      cursor = nextCursor
    }
    return cursor
  }
  const cursor = await tenth({ q: common[3] ?? '' })
  return {
    'the commonest word': () => list({ q: commonest }),
    'a common word': () => list({ q: pick(common) }),
    'two common words': () => list({ q: `${pick(common)} ${pick(common)}` }),
    'three common words': () => list({ q: `${pick(common)} ${pick(common)} ${pick(common)}` }),
    'a rare word': () => list({ q: pick(rare) }),
    'a title': () => list({ q: pick(titles) }),
    'a typo in every word': () => list({ q: withTypos(pick(titles), next) }),
    'a prefix of two letters': () => (db) => suggest(db, { q: pick(titles).slice(0, 2), limit: 5 }),
    'a longer prefix': () => (db) => suggest(db, { q: pick(titles).slice(0, 3 + Math.floor(next() * 6)), limit: 5 }),
    'the tenth page': () => list({ q: common[3] ?? '', ...(cursor !== undefined && { cursor }) }),
    'totals and facets': () => list({ q: pick(common), facets: 'true' }),
    'totals and facets, commonest': () => list({ q: commonest, facets: 'true' }),
    'totals and facets of all': () => list({ sort: 'popular', facets: 'true' }),
    'a filter by subject': () => list({ q: pick(common), subject: 'Fiction' }),
    'available now': () => list({ q: pick(common), available: 'true' }),
    'newest, a common word': () => list({ q: pick(common), sort: 'newest' }),
    'by title, a common word': () => list({ q: pick(common), sort: 'title' }),
    highlights: () => list({ q: pick(common), highlights: 'true' }),
    'newest of all': () => list({}),
  }
}
