import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type pg from 'pg'
import type { Patron } from './library.ts'
import type { Trip } from './work.ts'

const run = promisify(execFile)

/** With version 14 came pipelines, which a transaction in one go needs. */
const VERSION_MIN = 14

export type Pgbench = { name: string; path: string }

/** The one that PGBENCH names, else that of the PATH; null where there is none. It does not come from npm. */
export async function findPgbench(): Promise<Pgbench | null> {
  const path = process.env['PGBENCH'] ?? 'pgbench'
  const found = await run(path, ['--version']).catch(() => null)
  const version = /\(PostgreSQL\) (\d+)\S*/.exec(found?.stdout ?? '')
  if (version === null || Number(version[1]) < VERSION_MIN) return null
  return { name: `pgbench ${version[0].slice('(PostgreSQL) '.length)}`, path }
}

/** For `script`: each client of pgbench takes the patron of its number from here. */
export async function writePatrons(client: pg.Client, patrons: Patron[]): Promise<void> {
  await client.query(
    'create table bench_patrons (place integer primary key, user_id uuid, session_id uuid, book_id uuid)',
  )
  await client.query('grant select on bench_patrons to lectern_worker')
  await client.query(
    `insert into bench_patrons
     select place - 1, (p ->> 'userId')::uuid, (p ->> 'sessionId')::uuid, (p ->> 'bookId')::uuid
     from json_array_elements($1) with ordinality as t (p, place)`,
    [JSON.stringify(patrons)],
  )
}

/** The trips of one patron as a script for any: parameters that are the patron's become the client's own. */
export async function writeScript({
  directory,
  trips,
  patron,
}: {
  directory: string
  trips: Trip[]
  patron: Patron
}): Promise<string> {
  const script = [
    '\\if :known = 0',
    'select user_id, session_id, book_id from bench_patrons where place = :client_id \\gset',
    '\\set known 1',
    '\\endif',
    ...trips.map((trip) => written(trip, patron)),
  ]
  const path = join(directory, 'pgbench.sql')
  await writeFile(path, `${script.join('\n')}\n`)
  return path
}

function written({ statements, loanId }: Trip, patron: Patron): string {
  const lines = statements.map(({ query, params }) => `${withVariables(query, params, loanId, patron)};`)
  if (lines.length === 1) return lines.join('')
  return ['\\startpipeline', 'begin;', ...lines, 'commit;', '\\endpipeline'].join('\n')
}

/** In a pipeline an answer cannot be kept, so the loan is found again by its patron and book: one look into an index. */
const OWN_LOAN = '(select id from loans where user_id = :user_id and book_id = :book_id and returned_at is null)'

function withVariables(query: string, params: unknown[], loanId: string | null, patron: Patron): string {
  const named = new Map<unknown, string>([
    [patron.userId, ':user_id'],
    [patron.sessionId, ':session_id'],
    [patron.bookId, ':book_id'],
    [loanId, OWN_LOAN],
    [null, 'null'],
  ])
  return query.replaceAll(/\$(\d+)/g, (_, place: string) => {
    const param = params[Number(place) - 1]
    return named.get(param) ?? literal(param)
  })
}

function literal(param: unknown): string {
  if (param === null) return 'null'
  if (typeof param === 'number' || typeof param === 'boolean') return String(param)
  if (typeof param === 'string' && !param.includes(':')) return `'${param.replaceAll("'", "''")}'`
  throw new Error(`A statement has a parameter that pgbench is not told: ${JSON.stringify(param)}`)
}

/** A statement that is nobody's. */
export const plainScript = ({ query, params }: Trip['statements'][number]) =>
  `${query.replaceAll(/\$(\d+)/g, (_, place: string) => literal(params[Number(place) - 1])).replaceAll(/\s+/g, ' ')};\n`

/** To connect and to make the first plans takes a while. */
const START_SECONDS = 1
/** After five calls a function's statements may get a plan for any parameters, and keep it. */
const FIRST_ONES = 5

/** Parses and plans each statement anew, as Neon over HTTP does. Every run opens connections, and what is done first on
 *  each of them does not count: the endpoint's have long had their plans. */
export async function loadPgbench({
  pgbench,
  url,
  scripts,
  directory,
  clients,
  seconds,
}: {
  pgbench: Pgbench
  url: string
  /** Each is a transaction; of several one is taken by chance each time. */
  scripts: string[]
  directory: string
  clients: number
  seconds: number
}): Promise<{ done: number; perSecond: number }> {
  const { hostname, port, username, password, pathname } = new URL(url)
  const duration = Math.ceil(seconds) + START_SECONDS
  const logs = await mkdtemp(join(directory, 'pgbench-'))
  const options = [
    '-n',
    '-M',
    'extended',
    '-D',
    'known=0',
    '-c',
    String(clients),
    '-T',
    String(duration),
    ...scripts.flatMap((script) => ['-f', script]),
  ]
  const { stdout } = await run(pgbench.path, [...options, '-l', `--log-prefix=${join(logs, 'log')}`], {
    timeout: (duration + 30) * 1000,
    env: {
      ...process.env,
      PGHOST: hostname,
      PGPORT: port,
      PGUSER: username,
      PGPASSWORD: password,
      PGDATABASE: pathname.slice(1),
    },
  })
  const [log = ''] = await readdir(logs)
  const rates = ratesIn(await readFile(join(logs, log), 'utf8'))
  if (rates.length < clients) throw new Error(`Too slow to measure. pgbench said:\n${stdout}`)
  const perSecond = rates.reduce((sum, rate) => sum + rate, 0)
  return { done: perSecond * seconds, perSecond }
}

/** Of each client. A line is its number, the transaction's, how long that took, the script's, and when it ended, in
 *  seconds and microseconds. */
function ratesIn(log: string): number[] {
  const ends = Map.groupBy(log.trim().split('\n'), (line) => line.split(' ', 1)[0])
  return [...ends.values()].flatMap((lines) => {
    const times = lines.slice(FIRST_ONES).map((line) => {
      const [seconds, micros] = line.split(' ').slice(4, 6)
      return Number(seconds) + Number(micros) / 1e6
    })
    const [first = 0, last = 0] = [times.at(0), times.at(-1)]
    return last > first ? [(times.length - 1) / (last - first)] : []
  })
}
