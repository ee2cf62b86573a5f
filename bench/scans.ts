import type pg from 'pg'
import { z } from 'zod'
import { addPast } from './history.ts'
import { table } from './table.ts'
import { CALLS, remembering, scheduled, type Verb, verbs } from './verbs.ts'

/** A table with fewer rows may be read from end to end. */
const BIG = 1_000
/** How many past loans each reader of a checkout has had, all of the book that is borrowed. */
const PASTS = [0, 1_000, 10_000]

/** `buffers`: pages that the last call touched, when all its plans were made. Rows: the most of any call. `scanned`: the
 *  big tables that a call began to read from end to end, or of which it read more than half by an index. */
type Effort = { rowsRead: number; rowsWritten: number; buffers: number; scanned: string[] }

/** A library, and how many books it has. */
export type Measurable = { client: pg.Client; bookCount: number }

/** What each verb reads in a library and in a larger one. What a verb did is undone; what was due is done in the end.
 *  Good when no verb that somebody waits for scans a big table, and a past costs nothing. */
export async function measureScans(
  small: Measurable,
  large: Measurable,
  note: (text: string) => void,
): Promise<{ text: string; isGood: boolean }> {
  const inSmall = await effortsIn(small, note)
  const inLarge = await effortsIn(large, note)
  const rowsOf = (name: string, effort: Effort) => [
    name,
    String(inSmall.get(name)?.rowsRead),
    String(effort.rowsRead),
    String(effort.rowsWritten),
    String(inSmall.get(name)?.buffers),
    String(effort.buffers),
    effort.scanned.join(', ') || 'none',
  ]
  const books = [small, large].map(({ bookCount }) => `${bookCount.toLocaleString('en')} books`)
  const head = [
    'Verb',
    ...books.map((size) => `Rows read, ${size}`),
    'Rows written',
    ...books.map((size) => `Buffers, ${size}`),
    'Big tables scanned',
  ]
  const sizes = [...(await bigTables(large.client))].map(([name, size]) => `${size.toLocaleString('en')} ${name}`)
  const pasts = await measurePasts(large.client, note)
  const text = [
    table(
      head,
      [...inLarge].map(([name, effort]) => rowsOf(name, effort)),
    ),
    `Big tables of the larger library: ${sizes.join(', ')}.\n`,
    pasts.text,
  ].join('\n')
  return { text, isGood: pasts.isGood && verbs.every(({ name }) => inLarge.get(name)?.scanned.length === 0) }
}

async function effortsIn(
  { client, bookCount }: Measurable,
  note: (text: string) => void,
): Promise<Map<string, Effort>> {
  const big = await bigTables(client)
  const efforts = new Map<string, Effort>()
  const look = async (verb: Verb, suffix = '') => {
    note(`reading, ${bookCount} books: ${verb.name}${suffix} ...`)
    efforts.set(verb.name + suffix, await effortOf(client, verb, big))
  }
  for (const verb of verbs) await look(verb)
  for (const verb of scheduled) await look(verb, ', with work')
  await settleAll(client)
  for (const verb of scheduled) await look(verb, ', nothing to do')
  return efforts
}

/** The same verbs, for the same readers and books, as their past grows. Good when none then touches half as much again. */
async function measurePasts(
  client: pg.Client,
  note: (text: string) => void,
): Promise<{ text: string; isGood: boolean }> {
  const lines: { verb: Verb; loans: number; effort: Effort }[] = []
  let had = 0
  for (const loans of PASTS) {
    note(`reading, ${loans} past loans ...`)
    await addPast(client, remembering[0]?.subjects ?? '', loans - had)
    had = loans
    const big = await bigTables(client)
    for (const verb of remembering) lines.push({ verb, loans, effort: await effortOf(client, verb, big) })
  }
  const byVerb = remembering.map((verb) => lines.filter((line) => line.verb === verb))
  const text = table(
    ['Verb', 'Past loans of this reader, of this book', 'Rows read', 'Rows written', 'Buffers'],
    byVerb
      .flat()
      .map(({ verb, loans, effort: { rowsRead, rowsWritten, buffers } }) => [
        verb.name,
        loans.toLocaleString('en'),
        String(rowsRead),
        String(rowsWritten),
        String(buffers),
      ]),
  )
  const isGood = byVerb.every(([first, ...later]) =>
    later.every(
      ({ effort }) =>
        first !== undefined &&
        effort.rowsRead < 1.5 * first.effort.rowsRead &&
        effort.buffers < 1.5 * first.effort.buffers,
    ),
  )
  return { text, isGood }
}

async function bigTables(client: pg.Client): Promise<Map<string, number>> {
  const { rows } = await client.query<{ name: string; size: number }>(
    `select relname as name, reltuples::float8 as size
     from pg_class
     where relkind = 'r' and relnamespace = 'public'::regnamespace and reltuples >= $1
     order by reltuples desc`,
    [BIG],
  )
  return new Map(rows.map(({ name, size }) => [name, size]))
}

/** A connection of its own would begin without plans, as does this one: all that it kept is thrown away first. */
async function effortOf(client: pg.Client, { name, call, subjects }: Verb, big: Map<string, number>): Promise<Effort> {
  await client.query('discard plans')
  const { rows: found } = await client.query<string[]>({ text: subjects, rowMode: 'array' })
  if (found.length === 0) throw new Error(`${name}: there is nothing to do it with.`)
  const effort: Effort = { buffers: 0, rowsRead: 0, rowsWritten: 0, scanned: [] }
  for (let n = 0; n < CALLS; n += 1) {
    const { buffers, tables } = await tried(client, { call, params: found[n % found.length] ?? [] }).catch(
      (cause: unknown) => {
        throw new Error(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      },
    )
    effort.buffers = buffers
    effort.rowsRead = Math.max(
      effort.rowsRead,
      sumOf(tables, ({ scanned, fetched }) => scanned + fetched),
    )
    effort.rowsWritten = Math.max(
      effort.rowsWritten,
      sumOf(tables, ({ written }) => written),
    )
    for (const { table, scans, scanned, fetched } of tables) {
      const size = big.get(table)
      if (size === undefined || effort.scanned.includes(table)) continue
      if (scans > 0 || scanned + fetched > size / 2) effort.scanned.push(table)
    }
  }
  return effort
}

const sumOf = (tables: Touched[], read: (touched: Touched) => number) =>
  tables.reduce((sum, touched) => sum + read(touched), 0)

type Touched = { table: string; scans: number; scanned: number; fetched: number; written: number }

const plans = z
  .tuple([
    z.object({
      'QUERY PLAN': z.tuple([
        z.object({ Plan: z.object({ 'Shared Hit Blocks': z.int(), 'Shared Read Blocks': z.int() }) }),
      ]),
    }),
  ])
  .transform(
    ([
      {
        'QUERY PLAN': [{ Plan: plan }],
      },
    ]) => plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
  )

/** One call, with what is checked at the end of its transaction, undone. */
async function tried(
  client: pg.Client,
  { call, params }: { call: string; params: string[] },
): Promise<{ buffers: number; tables: Touched[] }> {
  await client.query('begin')
  try {
    const before = await touched(client)
    const { rows } = await client.query(`explain (analyze, buffers, format json) select ${call}`, params)
    await client.query('set constraints all immediate')
    const after = await touched(client)
    return { buffers: plans.parse(rows), tables: after.map((counts) => since(before, counts)) }
  } finally {
    await client.query('rollback')
  }
}

/** Of this connection, and some of its earlier transactions. */
async function touched(client: pg.Client): Promise<Touched[]> {
  const { rows } = await client.query<Touched>(
    `select
       relname as table,
       seq_scan::float8 as scans,
       seq_tup_read::float8 as scanned,
       coalesce(idx_tup_fetch, 0)::float8 as fetched,
       (n_tup_ins + n_tup_upd + n_tup_del)::float8 as written
     from pg_stat_xact_user_tables`,
  )
  return rows
}

function since(before: Touched[], after: Touched): Touched {
  const was = before.find(({ table }) => table === after.table)
  if (was === undefined) return after
  return {
    table: after.table,
    scans: after.scans - was.scans,
    scanned: after.scanned - was.scanned,
    fetched: after.fetched - was.fetched,
    written: after.written - was.written,
  }
}

/** Does all that is due. */
async function settleAll(client: pg.Client): Promise<void> {
  for (const { call } of scheduled) {
    for (;;) {
      const { rows } = await client.query<{ count: number }>(`select ${call}`)
      if ((rows[0]?.count ?? 0) === 0) break
    }
  }
}
