import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import { z } from 'zod'
import { migrate } from '../../scripts/local/migrate.ts'
import { freePort, removePostgres, startPostgres, type Postgres } from '../../scripts/local/postgres.ts'
import { admitWorker, type AsWorker } from '../../scripts/local/worker-role.ts'
import type { Command, Edit, Opened } from '../support/commands.ts'

export type Laboratory = { url: string; stop: () => Promise<void> }

const databaseUrl = z.string()
const command: z.ZodType<Command> = z.discriminatedUnion('verb', [
  z.strictObject({
    verb: z.literal('open-library'),
    edits: z.array(z.strictObject({ function: z.string(), replace: z.string().min(1), by: z.string() })),
    statements: z.array(z.string()),
  }),
  z.strictObject({ verb: z.literal('drop-library'), databaseUrl }),
  z.strictObject({ verb: z.literal('open-server'), settings: z.record(z.string(), z.string()) }),
  z.strictObject({ verb: z.literal('crash-server'), databaseUrl, signal: z.enum(['SIGQUIT', 'SIGKILL']) }),
  z.strictObject({ verb: z.literal('start-server'), databaseUrl }),
  z.strictObject({ verb: z.literal('end-server'), databaseUrl }),
  z.strictObject({ verb: z.literal('await-fault'), run: z.string() }),
])

const restartLimitMs = 20_000

/**
 * Makes libraries and servers for single tests. It is for tests on this machine: whoever reaches its address may run
 * any SQL. `template` is a migrated database of `postgres` that nobody is connected to; `directory` is where servers
 * keep their data.
 */
export async function startLaboratory({
  postgres,
  asWorker,
  faults,
  template,
  directory,
}: {
  postgres: Postgres
  asWorker: AsWorker
  faults: { over: (run: string) => Promise<void> }
  template: string
  directory: string
}): Promise<Laboratory> {
  const servers = new Map<string, Server>()
  const serverOf = (url: string) => {
    const server = servers.get(url)
    if (server === undefined) throw new Error(`No server of this laboratory: ${url}`)
    return server
  }

  const drop = (url: string) => postgres.dropDatabase(new URL(url).pathname.slice(1))
  const open = async (settings: Record<string, string>) => {
    const server = await openServer({ directory: join(directory, randomUUID()), settings })
    servers.set(server.databaseUrl, server)
    return { ownerUrl: server.databaseUrl, workerUrl: server.workerUrl }
  }
  const end = async (url: string) => {
    await serverOf(url).end()
    servers.delete(url)
  }

  /** Some answer addresses. */
  const obey = async (given: Command): Promise<Opened | void> => {
    if (given.verb === 'open-library') {
      const ownerUrl = await openLibrary({ postgres, template, ...given })
      return { ownerUrl, workerUrl: asWorker(ownerUrl) }
    }
    if (given.verb === 'drop-library') return drop(given.databaseUrl)
    if (given.verb === 'open-server') return open(given.settings)
    if (given.verb === 'crash-server') return serverOf(given.databaseUrl).crash(given.signal)
    if (given.verb === 'start-server') return serverOf(given.databaseUrl).start()
    if (given.verb === 'end-server') return end(given.databaseUrl)
    return faults.over(given.run)
  }

  const answer = async (request: IncomingMessage): Promise<[status: number, body: object]> => {
    try {
      return [200, { ...(await obey(command.parse(JSON.parse(await textOf(request))))) }]
    } catch (error) {
      return [500, { message: error instanceof Error ? error.message : String(error) }]
    }
  }
  const control = createServer((request, response) => {
    void answer(request).then(([status, body]) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    })
  })
  await new Promise<void>((listening, failed) => {
    control.once('error', failed)
    control.listen(0, '127.0.0.1', listening)
  })
  const address = control.address()
  if (address === null || typeof address === 'string') throw new Error('No port was bound.')
  return {
    url: `http://127.0.0.1:${address.port}/`,
    stop: async () => {
      const closed = new Promise((done) => control.close(done))
      control.closeAllConnections()
      await closed
      await Promise.all([...servers.values()].map((server) => server.end()))
    },
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) {
    if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function openLibrary({
  postgres,
  template,
  edits,
  statements,
}: {
  postgres: Postgres
  template: string
  edits: Edit[]
  statements: string[]
}): Promise<string> {
  const name = `apart_${randomUUID().replaceAll('-', '')}`
  const url = await postgres.createDatabase(name, { template })
  try {
    await change(url, { edits, statements })
  } catch (error) {
    await postgres.dropDatabase(name)
    throw error
  }
  return url
}

async function change(url: string, { edits, statements }: { edits: Edit[]; statements: string[] }): Promise<void> {
  if (edits.length + statements.length === 0) return
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000, statement_timeout: 30_000 })
  // A lost connection also rejects the query below; without a listener it would end this process.
  client.on('error', () => {})
  try {
    await client.connect()
    for (const edit of edits) await client.query(await edited(client, edit))
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

async function edited(client: Client, { function: name, replace, by }: Edit): Promise<string> {
  const { rows } = await client.query<{ definition: string }>(
    `select pg_get_functiondef(oid) as definition from pg_proc
    where proname = $1 and pronamespace = 'public'::regnamespace`,
    [name],
  )
  const [only, ...others] = rows
  if (only === undefined || others.length > 0) throw new Error(`${rows.length} functions are named ${name}`)
  if (!only.definition.includes(replace)) throw new Error(`${name} does not say: ${replace}`)
  return only.definition.split(replace).join(by)
}

type Server = Awaited<ReturnType<typeof openServer>>

/** A PostgreSQL of its own, with one migrated library, that keeps what it has promised when it is killed. */
async function openServer({ directory, settings }: { directory: string; settings: Record<string, string> }) {
  await mkdir(directory, { recursive: true })
  const port = await freePort()
  const start = () => startPostgres({ directory, port, durable: true, settings })
  let running: Postgres | undefined = await start()
  const databaseUrl = await running.createDatabase('lectern')
  await migrate(databaseUrl)
  const workerUrl = (await admitWorker(databaseUrl))(databaseUrl)
  // Whatever the settings promise, the tables outlive the first crash.
  await change(databaseUrl, { edits: [], statements: ['checkpoint'] })
  return {
    databaseUrl,
    workerUrl,
    crash: async (signal: 'SIGQUIT' | 'SIGKILL') => {
      await running?.crash(signal)
      running = undefined
    },
    start: async () => {
      running ??= await untilStarted(start)
    },
    end: async () => {
      await running?.stop()
      await removePostgres(directory)
    },
  }
}

/** Where the parent process was killed its children may live on for a moment, and PostgreSQL does not start beside them. */
async function untilStarted(start: () => Promise<Postgres>): Promise<Postgres> {
  const deadline = Date.now() + restartLimitMs
  for (;;) {
    try {
      return await start()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await delay(50)
    }
  }
}
