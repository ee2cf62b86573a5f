import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { migrate } from '../../scripts/local/migrate.ts'
import { startNeonEndpoint } from '../../scripts/local/neon-endpoint.ts'
import { freePort, removePostgres, startPostgres } from '../../scripts/local/postgres.ts'
import { scriptSettings } from '../../scripts/local/secrets.ts'
import { readConfig } from '../../src/config.ts'
import { openDb } from '../../src/db/client.ts'
import { hashPassword } from '../../src/features/users/password.ts'
import { createUser } from '../../src/features/users/queries.ts'
import type { Lifetime } from '../lifetime.ts'
import { type Variables, variablesFor } from '../library.ts'
import { parentOf, peakMemoryMiB } from '../processes.ts'
import { type Bundle, bundleWorker, startWorker } from '../worker.ts'

const root = join(import.meta.dirname, '../..')
const USERNAME = 'librarian'
const WATCHED_EVERY_MS = 100

/** What makes libraries that are alike: PostgreSQL, the Neon endpoint and the Worker's bundle. */
export type Bench = {
  directory: string
  makeLibrary: (name: string) => Promise<Library>
}

export type Library = {
  url: string
  client: pg.Client
  variables: Variables
  username: string
  password: string
  workerPid: number
  postmasterPid: number
  close: () => Promise<void>
}

export async function startBench(life: Lifetime): Promise<Bench> {
  const directory = await mkdtemp(join(tmpdir(), 'lectern-bench-'))
  await life.add(() => rm(directory, { recursive: true, force: true }))
  const stopping = new AbortController()
  await life.add(() => Promise.resolve(stopping.abort()))
  const bundle = await bundleWorker({ directory: join(directory, 'bundle'), signal: stopping.signal })
  const postgres = await startPostgres({ directory: join(directory, 'postgres'), port: 0, durable: true })
  await life.add(async () => {
    await postgres.stop()
    await removePostgres(join(directory, 'postgres'))
  })
  const endpoint = await startNeonEndpoint({ port: 0 })
  await life.add(endpoint.stop)
  return {
    directory,
    makeLibrary: async (name) => {
      const ownerUrl = await postgres.createDatabase(name)
      await migrate(ownerUrl)
      const variables = await variablesFor({ ownerUrl, endpoint })
      return openLibrary({ life, bundle, variables, ownerUrl })
    },
  }
}

async function openLibrary({
  life,
  bundle,
  variables,
  ownerUrl,
}: {
  life: Lifetime
  bundle: Bundle
  variables: Variables
  ownerUrl: string
}): Promise<Library> {
  const client = new pg.Client({ connectionString: ownerUrl })
  await client.connect()
  await client.query('set client_min_messages = warning')
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const password = randomUUID()
  await makeStaff(variables, password)
  const worker = await startWorker({
    bundle,
    port: await freePort(),
    variables: { ...variables, EDGE_CACHE: 'off' },
    cachePort: null,
  })
  const close = async () => {
    await worker.stop()
    await client.end()
  }
  let closing: Promise<void> | undefined
  const closeOnce = () => (closing ??= close())
  await life.add(closeOnce)
  return {
    url: worker.url,
    client,
    variables,
    username: USERNAME,
    password,
    workerPid: worker.pid,
    postmasterPid: await parentOf(rows[0]?.pid ?? 0),
    close: closeOnce,
  }
}

async function makeStaff(variables: Variables, password: string) {
  const config = readConfig({ ...scriptSettings, ...variables })
  const db = openDb({ config, onRoundTrip: () => undefined })
  const passwordHash = await hashPassword(config, password)
  await createUser(db, config, { username: USERNAME, email: `${USERNAME}@example.org`, passwordHash, role: 'staff' })
}

export type Imported = { output: string; seconds: number; peakMiB: number | null }

/** `npm run import` of a file into the library. Throws where it fails. */
export async function importFile(
  { url, username, password }: Pick<Library, 'url' | 'username' | 'password'>,
  options: string[],
): Promise<Imported> {
  const began = performance.now()
  const child = spawn(
    process.execPath,
    [join(root, 'scripts/import.ts'), '--url', url, '--username', username, ...options],
    { env: { ...process.env, LECTERN_PASSWORD: password }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  let peakMiB: number | null = null
  const watch = setInterval(() => {
    // It may have ended between two looks.
    void peakMemoryMiB(child.pid ?? 0).then(
      (peak) => (peakMiB = peak),
      () => undefined,
    )
  }, WATCHED_EVERY_MS)
  const code = await new Promise<number | null>((done) => child.once('close', done))
  clearInterval(watch)
  if (code !== 0) throw new Error(`npm run import ${options.join(' ')} ended with ${code}:\n${output}`)
  return { output, seconds: (performance.now() - began) / 1_000, peakMiB }
}
