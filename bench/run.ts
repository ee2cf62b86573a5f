import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { migrate } from '../scripts/local/migrate.ts'
import { startNeonEndpoint } from '../scripts/local/neon-endpoint.ts'
import { freePort, type Postgres, removePostgres, startPostgres } from '../scripts/local/postgres.ts'
import { compareWithPgbench } from './beside-pgbench.ts'
import { type Distance, makeDistance } from './distance.ts'
import { measureEdge, startCache } from './edge.ts'
import { enlarge, type Library, makeLibrary, variablesFor } from './library.ts'
import { type Lifetime, makeLifetime } from './lifetime.ts'
import { measureMemory, type Memory } from './memory.ts'
import { parentOf } from './processes.ts'
import { measureScans } from './scans.ts'
import { table } from './table.ts'
import { compareTrips } from './trips.ts'
import { type Bundle, bundleWorker, startWorker } from './worker.ts'

/** As many as borrow at a time. */
const PATRONS = 8
/** The larger library has so many times as much as the other. */
const TIMES = 4
/** Above idle, after ten logins in a row: an isolate has 128 MiB, and some of that is needed for the rest. */
const MEMORY_LIMIT_MIB = 100

const parts = ['reads', 'pgbench', 'trips', 'edge', 'memory'] as const

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: parts.join(',') },
  },
})
const seconds = Number(options.seconds)
const asked = options.only.split(',')
const isAsked = (part: (typeof parts)[number]) => asked.includes(part)

const say = (text: string) => console.log(text)
const note = (text: string) => console.error(text)

async function main(): Promise<void> {
  const life = makeLifetime(note)
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

/** Prints the tables; false when something is not as it must be. */
async function measure(life: Lifetime): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'lectern-bench-'))
  await life.add(() => rm(directory, { recursive: true, force: true }))
  const stopping = new AbortController()
  await life.add(() => Promise.resolve(stopping.abort()))
  const bundle = (name: string, entry: string) => {
    note(`Bundling ${entry} ...`)
    return bundleWorker({ directory: join(directory, name), entry, signal: stopping.signal })
  }
  const lectern = await bundle('lectern', 'src/index.ts')

  note('Starting PostgreSQL and making a library ...')
  const distance = makeDistance()
  const { variables, ownerUrl, endpoint, postgres } = await startDatabase(life, join(directory, 'postgres'), distance)
  const library = await makeLibrary({ variables, ownerUrl, patrons: PATRONS })
  await release(postgres)
  const larger = isAsked('reads') ? await postgres.createDatabase('larger', { template: 'lectern' }) : null
  const { client, postmasterPid } = await connect(life, ownerUrl)
  const start = async (bundle: Bundle, cachePort?: number) => {
    const EDGE_CACHE = cachePort === undefined ? 'off' : 'on'
    const worker = await startWorker({
      bundle,
      port: await freePort(),
      variables: { ...variables, EDGE_CACHE },
      cachePort: cachePort ?? null,
    })
    await life.add(worker.stop)
    return worker
  }
  say(await setting(client, lectern, library))

  let isGood = true
  if (larger !== null) {
    note('Making the larger library ...')
    const bookCount = await enlarge(larger, TIMES)
    const large = { client: (await connect(life, larger)).client, bookCount }
    const scans = await measureScans({ client, bookCount: library.bookCount }, large, note)
    say(scans.text)
    isGood &&= scans.isGood
    await client.query('vacuum analyze')
  }
  const shared = { variables, endpoint, library, client, seconds, note }
  if (isAsked('pgbench')) {
    const worker = await start(lectern)
    const processes = { workerPids: [worker.pid], postmasterPid }
    say(await compareWithPgbench({ ...shared, worker, processes, directory }))
    await worker.stop()
  }
  if (isAsked('trips')) {
    const oneTrip = await start(lectern)
    const fiveTrips = await start(await bundle('five-trips', 'bench/five-trips.ts'))
    const processes = { workerPids: [oneTrip.pid, fiveTrips.pid], postmasterPid }
    say(await compareTrips({ ...shared, distance, oneTrip, fiveTrips, processes }))
    await Promise.all([oneTrip.stop(), fiveTrips.stop()])
  }
  if (isAsked('edge')) {
    note('Reading from the edge ...')
    const cache = await startCache()
    await life.add(cache.stop)
    const worker = await start(lectern, cache.port)
    say(await measureEdge({ endpoint, worker, library }))
    await worker.stop()
  }
  if (isAsked('memory')) {
    note('Logging in ...')
    const memory = await measureMemory({ start: () => start(lectern), account: library.account })
    say(memoryTable(memory))
    isGood &&= memory === null || Math.max(memory.inARow, memory.atOnce) < MEMORY_LIMIT_MIB
  }
  return isGood
}

async function startDatabase(life: Lifetime, directory: string, distance: Distance) {
  const postgres = await startPostgres({ directory, port: 0, durable: true })
  await life.add(async () => {
    await postgres.stop()
    await removePostgres(directory)
  })
  const url = await postgres.createDatabase('lectern')
  await migrate(url)
  const endpoint = await startNeonEndpoint({ port: 0, faults: distance.faults })
  await life.add(endpoint.stop)
  return { variables: await variablesFor({ ownerUrl: url, endpoint }), ownerUrl: url, endpoint, postgres }
}

/** A database with connections cannot be copied: the endpoint's go, and it makes others when it needs them. */
async function release({ url }: Postgres): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = 'lectern'`)
  await client.end()
}

async function connect(life: Lifetime, url: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await life.add(() => client.end())
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return { client, postmasterPid: await parentOf(rows[0]?.pid ?? 0) }
}

async function setting(client: pg.Client, bundle: Bundle, library: Library): Promise<string> {
  const { rows } = await client.query<{ server_version: string }>('show server_version')
  const kib = (bytes: number) => Math.round(bytes / 1024).toLocaleString('en')
  return [
    `${new Date().toISOString().slice(0, 10)}, ${availableParallelism()} cores (${cpus()[0]?.model.trim()}), ${process.platform}, ` +
      `Node ${process.version}, PostgreSQL ${rows[0]?.server_version}, ${library.bookCount.toLocaleString('en')} books.`,
    '',
    `Bundle: ${kib(bundle.rawBytes)} KiB, ${kib(bundle.gzipBytes)} KiB with gzip.`,
    '',
  ].join('\n')
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

await main()
