import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { migrate } from '../scripts/local/migrate.ts'
import { type NeonEndpoint, startNeonEndpoint } from '../scripts/local/neon-endpoint.ts'
import { freePort, removePostgres, startPostgres } from '../scripts/local/postgres.ts'
import { type Library, makeLibrary, type Variables } from './library.ts'
import { loadPostgres, loadWorker } from './load.ts'
import { measureMemory, type Memory } from './memory.ts'
import { cpuSoFar, type CpuMs, parentOf } from './processes.ts'
import { type Bundle, bundleWorker, startWorker, type Worker } from './worker.ts'
import { type Work, worksOf } from './work.ts'

const CONNECTIONS = [1, 8]
const ROUNDS = 3
const WARM_UP_SECONDS = 2
/** Above idle, after ten logins in a row: an isolate has 128 MiB, and some of that is needed for the rest. */
const MEMORY_LIMIT_MIB = 100

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: 'load,memory' },
  },
})

const say = (text: string) => console.log(text)
const note = (text: string) => console.error(text)

async function main(): Promise<void> {
  const life = lifetime()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      note('Stopping ...')
      void life.end().then(() => process.exit(1))
    })
  }
  try {
    const isGood = await measure(life)
    process.exitCode = isGood ? 0 : 1
  } catch (error) {
    if (!life.isEnded()) note(error instanceof Error ? (error.stack ?? error.message) : String(error))
    process.exitCode = 1
  } finally {
    await life.end()
  }
}

/** What was started, to be stopped once and in reverse. */
function lifetime() {
  const closers: (() => Promise<void>)[] = []
  let ending: Promise<void> | undefined
  const closeAll = async () => {
    for (const close of closers.toReversed()) {
      await close().catch((error: unknown) => note(error instanceof Error ? error.message : String(error)))
    }
  }
  return {
    isEnded: () => ending !== undefined,
    end: () => (ending ??= closeAll()),
    add: async (close: () => Promise<void>) => {
      if (ending === undefined) return void closers.push(close)
      await close()
      throw new Error('Stopped before it had started.')
    },
  }
}

type Lifetime = ReturnType<typeof lifetime>

/** Prints the tables; false when the memory is over its limit, or logins at once were refused. */
async function measure(life: Lifetime): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'lectern-bench-'))
  await life.add(() => rm(directory, { recursive: true, force: true }))
  note('Bundling the Worker ...')
  const stopping = new AbortController()
  await life.add(() => Promise.resolve(stopping.abort()))
  const bundle = await bundleWorker({ directory: join(directory, 'bundle'), signal: stopping.signal })

  note('Starting PostgreSQL and making a library ...')
  const { variables, endpoint } = await startDatabase(life, join(directory, 'postgres'))
  const library = await makeLibrary({ variables, patrons: Math.max(...CONNECTIONS) })
  const start = async () => {
    const worker = await startWorker({ bundle, port: Number(new URL(variables.PUBLIC_URL).port), variables })
    await life.add(worker.stop)
    return worker
  }

  say(await setting({ bundle, variables, library }))
  if (options.only.includes('load')) say(await measureLoad({ life, start, variables, endpoint, library }))
  if (!options.only.includes('memory')) return true
  note('Logging in ...')
  const memory = await measureMemory({ start, account: library.account })
  say(memoryTable(memory))
  return memory === null || (memory.inARow < MEMORY_LIMIT_MIB && memory.refused === 0)
}

async function startDatabase(
  life: Lifetime,
  directory: string,
): Promise<{ variables: Variables; endpoint: NeonEndpoint }> {
  const postgres = await startPostgres({ directory, port: 0, durable: true })
  await life.add(async () => {
    await postgres.stop()
    await removePostgres(directory)
  })
  const url = await postgres.createDatabase('lectern')
  await migrate(url)
  const endpoint = await startNeonEndpoint({ port: 0 })
  await life.add(endpoint.stop)
  const variables: Variables = {
    ENVIRONMENT: 'development',
    PUBLIC_URL: `http://127.0.0.1:${await freePort()}`,
    DATABASE_URL: url,
    DATABASE_ENDPOINT: endpoint.url,
    ACCESS_TOKEN_KEYS: `bench:${randomBytes(32).toString('base64url')}`,
    CORS_ORIGINS: '',
  }
  return { variables, endpoint }
}

async function setting({
  bundle,
  variables,
  library,
}: {
  bundle: Bundle
  variables: Variables
  library: Library
}): Promise<string> {
  const client = new pg.Client({ connectionString: variables.DATABASE_URL })
  await client.connect()
  const { rows } = await client.query<{ server_version: string }>('show server_version')
  await client.end()
  const kib = (bytes: number) => Math.round(bytes / 1024).toLocaleString('en')
  return [
    `${new Date().toISOString().slice(0, 10)}, ${availableParallelism()} cores (${cpus()[0]?.model.trim()}), ${process.platform}, ` +
      `Node ${process.version}, PostgreSQL ${rows[0]?.server_version}, ${library.bookCount.toLocaleString('en')} books. ` +
      `Load average at the start: ${loadavg().at(0)?.toFixed(1)}.`,
    '',
    `Bundle: ${kib(bundle.rawBytes)} KiB, ${kib(bundle.gzipBytes)} KiB with gzip.`,
    '',
  ].join('\n')
}

type Side = { perSecond: number; medianMs: number | null; cpuMs: CpuMs | null }
type Line = { work: Work; connections: number; worker: Side; postgres: Side }

type Bench = {
  variables: Variables
  endpoint: NeonEndpoint
  library: Library
  worker: Worker
  clients: pg.Client[]
  postmasterPid: number
}

async function measureLoad({
  life,
  start,
  ...rest
}: Pick<Bench, 'variables' | 'endpoint' | 'library'> & {
  life: Lifetime
  start: () => Promise<Worker>
}): Promise<string> {
  const clients = await connect(life, rest.variables)
  const client = clients.at(0)
  if (client === undefined) throw new Error('There is no connection.')
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const worker = await start()
  const bench: Bench = { ...rest, worker, clients, postmasterPid: await parentOf(rows[0]?.pid ?? 0) }
  const works = worksOf(bench)
  const lines: Line[] = []
  for (const work of works) {
    for (const connections of CONNECTIONS) {
      note(`${work.name}, ${connections} at a time ...`)
      lines.push(await compare(bench, work, connections))
    }
  }
  const trips = await countTrips(bench, works)
  await worker.stop()
  return [rateTable(lines), trips, cpuTable(lines)].join('\n')
}

async function connect(life: Lifetime, variables: Variables): Promise<pg.Client[]> {
  const clients = Array.from(
    { length: Math.max(...CONNECTIONS) },
    () => new pg.Client({ connectionString: variables.DATABASE_URL, pipeline: true }),
  )
  await Promise.all(clients.map((client) => client.connect()))
  await life.add(async () => {
    await Promise.all(clients.map((client) => client.end()))
  })
  return clients
}

/** Both sides in turn, so that what else the machine does falls on both. */
async function compare(bench: Bench, work: Work, connections: number): Promise<Line> {
  const patrons = bench.library.patrons.slice(0, connections)
  const sides = {
    worker: (duration: number) => loadWorker({ url: bench.worker.url, work, patrons, extent: { duration } }),
    postgres: (seconds: number) => loadPostgres({ clients: bench.clients, work, patrons, seconds }),
  }
  const rounds: { worker: Side[]; postgres: Side[] } = { worker: [], postgres: [] }
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const name of ['postgres', 'worker'] as const) {
      const before = await cpuSoFar({ workerPid: bench.worker.pid, postmasterPid: bench.postmasterPid })
      const measured = await sides[name](round === 0 ? WARM_UP_SECONDS : Number(options.seconds))
      const after = await cpuSoFar({ workerPid: bench.worker.pid, postmasterPid: bench.postmasterPid })
      await settle(bench)
      if (round === 0) continue
      const { perSecond, medianMs, done } = measured
      rounds[name].push({ perSecond, medianMs, cpuMs: spent({ before, after, done }) })
    }
  }
  return { work, connections, worker: middle(rounds.worker), postgres: middle(rounds.postgres) }
}

/** The load ends in the middle of things: what was lent and not returned would be in the way next time. */
async function settle({ clients, library }: Bench): Promise<void> {
  await delay(300)
  await clients
    .at(0)
    ?.query('select check_in(id, null) from loans where returned_at is null and user_id = any ($1)', [
      library.patrons.map(({ userId }) => userId),
    ])
}

function spent({ before, after, done }: { before: CpuMs | null; after: CpuMs | null; done: number }): CpuMs | null {
  if (before === null || after === null) return null
  return {
    worker: (after.worker - before.worker) / done,
    node: (after.node - before.node) / done,
    postgres: (after.postgres - before.postgres) / done,
  }
}

function middle(sides: Side[]): Side {
  const of = (read: (side: Side) => number | null) => {
    const values = sides.map(read).filter((value) => value !== null)
    return values.length === 0 ? null : median(values)
  }
  const cpu = (read: (cpuMs: CpuMs) => number) => of(({ cpuMs }) => (cpuMs === null ? null : read(cpuMs))) ?? 0
  return {
    perSecond: of(({ perSecond }) => perSecond) ?? 0,
    medianMs: of(({ medianMs }) => medianMs),
    cpuMs: sides.some(({ cpuMs }) => cpuMs === null)
      ? null
      : {
          worker: cpu(({ worker }) => worker),
          node: cpu(({ node }) => node),
          postgres: cpu(({ postgres }) => postgres),
        },
  }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

function rateTable(lines: Line[]): string {
  return table(
    ['Work', 'Connections', 'Worker, a second', 'PostgreSQL, a second', 'Worker / PostgreSQL'],
    lines.map(({ work, connections, worker, postgres }) => [
      work.name,
      String(connections),
      worker.perSecond.toFixed(0),
      postgres.perSecond.toFixed(0),
      (worker.perSecond / postgres.perSecond).toFixed(2),
    ]),
  )
}

/** Where the time goes. Node is autocannon and the Neon endpoint for the Worker, and `pg` for PostgreSQL. */
function cpuTable(lines: Line[]): string {
  const ms = (value: number | undefined) => (value === undefined ? 'no /proc' : value.toFixed(2))
  return table(
    ['CPU ms each', 'Connections', 'workerd', 'Node', 'PostgreSQL', 'direct: Node', 'direct: PostgreSQL'],
    lines.map(({ work, connections, worker, postgres }) => [
      work.name,
      String(connections),
      ms(worker.cpuMs?.worker),
      ms(worker.cpuMs?.node),
      ms(worker.cpuMs?.postgres),
      ms(postgres.cpuMs?.node),
      ms(postgres.cpuMs?.postgres),
    ]),
  )
}

/** Of each work. */
const COUNTED = 20

/** Round trips are counted at the endpoint. */
async function countTrips({ endpoint, worker, library }: Bench, works: Work[]): Promise<string> {
  const patron = library.patrons.at(0)
  if (patron === undefined) throw new Error('There is no patron.')
  const rows: string[][] = []
  for (const work of works) {
    const trips = await work.trips(patron)
    const before = endpoint.requests()
    const amount = COUNTED * work.statuses.length
    await loadWorker({ url: worker.url, work, patrons: [patron], extent: { amount } })
    const perRequest = (endpoint.requests() - before) / amount
    const statements = trips.reduce((sum, trip) => sum + trip.statements.length, 0) / trips.length
    rows.push([work.name, String(work.statuses.length), String(perRequest), String(statements)])
  }
  return table(['Work', 'Requests', 'Round trips a request', 'Statements a round trip'], rows)
}

function memoryTable(memory: Memory | null): string {
  if (memory === null) return 'Memory: not measured, because this system has no /proc.\n'
  return table(
    ['Peak memory of workerd', 'MiB'],
    [
      ['idle, after 20 requests', memory.idle.toFixed(0)],
      ['ten logins in a row, above idle', `${memory.inARow.toFixed(0)} (limit ${MEMORY_LIMIT_MIB})`],
      ['ten logins at once, above idle', `${memory.atOnce.toFixed(0)} (${memory.refused} refused)`],
    ],
  )
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |\n`
  return line(head) + line(head.map((_, place) => (place === 0 ? '---' : '--:'))) + rows.map(line).join('')
}

await main()
