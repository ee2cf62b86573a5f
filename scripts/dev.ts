import { spawn } from 'node:child_process'
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { z } from 'zod'
import { readConfig } from '../src/config.ts'
import { openDb } from '../src/db/client.ts'
import { reEncrypt } from '../src/re-encrypt.ts'
import { seed } from './demo/seed.ts'
import { migrate } from './local/migrate.ts'
import { startNeonEndpoint } from './local/neon-endpoint.ts'
import { freePort, isRunning, removePostgres, startPostgres, type Postgres } from './local/postgres.ts'
import { scriptSettings, type Secrets, secretsFrom } from './local/secrets.ts'
import { admitWorker } from './local/worker-role.ts'

type Options = { port: number; fresh: boolean; demo: boolean }
type Accounts = Awaited<ReturnType<typeof seed>>
type Library = { content: 'demonstration' | 'empty'; newAccounts: Accounts; workerUrl: string }

const usage = `usage: npm run dev -- [options]

  --port N    listen on this port (8787), or on the next free one
  --fresh     start over: delete the local library first
  --no-demo   start with an empty library, without demonstration data`

const root = resolve(import.meta.dirname, '..')
const state = join(root, '.lectern')
const workerPidFile = join(state, 'worker-pid')
const variablesFile = join(state, 'dev.vars')
const ownerFile = join(state, 'owner.vars')
const database = 'lectern'
const readyLimitMs = 60_000
const showAfterMs = 20_000
const linesHeld = 200
const stopLimitMs = 5_000

const say = (text: string) => console.log(text)

async function main(): Promise<void> {
  const options = readOptions()
  if (options === undefined) return
  const life = lifetime()
  const startup = start(options, life)
  // A terminal that was closed takes no more lines, which is no reason to leave things running.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // npm hands on the Ctrl-C that the terminal has sent us already.
    process.on(signal, () => {
      if (life.ended()) return
      say('\nStopping ...')
      void life.end().then(async () => {
        // What was starting just then ends as soon as it tries to join the rest.
        await Promise.race([startup.catch(() => {}), delay(stopLimitMs)])
        process.exit(0)
      })
    })
  }
  try {
    const reason = await startup
    if (reason !== undefined) throw new Error(reason)
  } catch (error) {
    if (life.ended()) return
    await life.end()
    console.error(`\n${error instanceof Error ? error.message : String(error)}`)
    process.exit(1)
  }
}

function readOptions(): Options | undefined {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 22 || (major === 22 && minor < 12)) {
    console.error(`This needs Node 22.12 or later, and this is ${process.version}. "npm run dev" brings its own.`)
    process.exitCode = 1
    return undefined
  }
  try {
    const { values } = parseArgs({
      options: {
        port: { type: 'string', default: '8787' },
        fresh: { type: 'boolean', default: false },
        'no-demo': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      say(usage)
      return undefined
    }
    const port = Number(values.port)
    if (!/^\d{1,5}$/.test(values.port) || port < 1 || port > 65_535) throw new Error(`Not a port: ${values.port}`)
    return { port, fresh: values.fresh, demo: !values['no-demo'] }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    process.exitCode = 2
    return undefined
  }
}

type Lifetime = ReturnType<typeof lifetime>

/** What was started, to be stopped once and in reverse. */
function lifetime() {
  const closers: (() => Promise<void>)[] = []
  let ending: Promise<void> | undefined
  const closeAll = async () => {
    for (const close of closers.toReversed()) {
      await close().catch((error: unknown) => console.error(error instanceof Error ? error.message : error))
    }
  }
  return {
    ended: () => ending !== undefined,
    add: async (close: () => Promise<void>) => {
      if (ending === undefined) return void closers.push(close)
      await close()
      throw new Error('Stopped before it had started.')
    },
    end: () => (ending ??= closeAll()),
  }
}

/** Returns when all is over without having been asked to: the reason. */
async function start(options: Options, life: Lifetime): Promise<string | undefined> {
  await mkdir(state, { recursive: true, mode: 0o700 })
  await chmod(state, 0o700)
  await life.add(await claim(join(state, 'pid')))
  await endOrphanedWorker()
  if (options.fresh) await wipe()

  say('Starting PostgreSQL ...')
  const postgres = await startPostgres({ directory: join(state, 'postgres'), port: 0, durable: true })
  await life.add(postgres.stop)
  const endpoint = await startNeonEndpoint({ port: 0 })
  await life.add(endpoint.stop)
  const secrets = await keptSecrets()
  const library = await openLibrary({ postgres, endpoint: endpoint.url, demo: options.demo, secrets })

  const port = await freePort(options.port)
  if (port !== options.port) say(`Port ${options.port} is taken: using ${port}.`)
  const variables = {
    ENVIRONMENT: 'development',
    PUBLIC_URL: `http://localhost:${port}`,
    DATABASE_URL: library.workerUrl,
    DATABASE_ENDPOINT: endpoint.url,
    MAILER: 'log',
    MAIL_FROM: 'library@localhost.test',
    ...secrets,
    SECURITY_CONTACT: 'mailto:security@localhost',
    SECURITY_EXPIRES: new Date(Date.now() + 180 * 86_400_000).toISOString(),
  }
  await writeVariables(variablesFile, variables)
  await writeVariables(ownerFile, { DATABASE_URL: postgres.urlOf(database) })

  say('Starting the Worker ...')
  const worker = startWorker({ port, inspectorPort: await freePort(9229), variables })
  await life.add(worker.stop)
  await writeFile(workerPidFile, String(worker.pid))
  await worker.ready()
  say(await banner({ url: variables.PUBLIC_URL, library }))
  worker.showOutput()
  return worker.exited
}

/** Returns the function that gives the claim up. */
async function claim(pidFile: string): Promise<() => Promise<void>> {
  const holder = Number(await readFile(pidFile, 'utf8').catch(() => ''))
  if (holder > 0 && holder !== process.pid && (await isRunning(holder, 'dev.ts')))
    throw new Error(`"npm run dev" is already running for this folder (process ${holder}). Stop that one first.`)
  await rm(pidFile, { force: true })
  await writeFile(pidFile, String(process.pid), { flag: 'wx' })
  return () => rm(pidFile, { force: true })
}

/** A run that was killed takes nothing with it, and its Worker would keep the port. PostgreSQL looks after its own. */
async function endOrphanedWorker(): Promise<void> {
  const pid = Number(await readFile(workerPidFile, 'utf8').catch(() => ''))
  if (pid > 0 && (await isRunning(pid, root, 'wrangler'))) {
    signalGroup(pid, 'SIGTERM')
    for (let waited = 0; waited < stopLimitMs && (await isRunning(pid, root)); waited += 50) await delay(50)
    signalGroup(pid, 'SIGKILL')
  }
  await rm(workerPidFile, { force: true })
}

async function wipe(): Promise<void> {
  say('Deleting the local library ...')
  await removePostgres(join(state, 'postgres'))
  await rm(join(state, 'wrangler'), { recursive: true, force: true })
}

/**
 * A library is complete when its database says so, in its comment: that is set last, and goes with the
 * database wherever that goes. One that was interrupted on the way is made again from nothing.
 */
async function openLibrary({
  postgres,
  endpoint,
  demo,
  secrets,
}: {
  postgres: Postgres
  endpoint: string
  demo: boolean
  secrets: Secrets
}): Promise<Library> {
  const url = postgres.urlOf(database)
  const content = await contentOf(postgres)
  if (content !== undefined) {
    await migrate(url).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`The library could not be brought up to date. To start over: npm run dev -- --fresh\n${reason}`, {
        cause,
      })
    })
    const workerUrl = (await admitWorker(url))(url)
    await encryptWhatIsNot({ databaseUrl: workerUrl, databaseEndpoint: endpoint, secrets })
    if (content === 'demonstration' && !demo)
      say('This library has its demonstration data already. For an empty one: npm run dev -- --fresh --no-demo')
    if (content === 'empty' && demo)
      say('This library was made without demonstration data. For one with it: npm run dev -- --fresh')
    return { content, newAccounts: [], workerUrl }
  }

  say(demo ? 'Making a library with demonstration data ...' : 'Making an empty library ...')
  await postgres.dropDatabase(database)
  await postgres.createDatabase(database)
  await migrate(url)
  const workerUrl = (await admitWorker(url))(url)
  const newAccounts = demo
    ? await seed({ databaseUrl: workerUrl, ownerUrl: url, databaseEndpoint: endpoint, secrets })
    : []
  if (newAccounts.length > 0) say(accountTable(newAccounts))
  const made = demo ? 'demonstration' : 'empty'
  await administer(postgres, `comment on database ${database} is '${made}'`)
  return { content: made, newAccounts, workerUrl }
}

/** What a library has from before personal data was encrypted. */
async function encryptWhatIsNot(options: { databaseUrl: string; databaseEndpoint: string; secrets: Secrets }) {
  const { databaseUrl, databaseEndpoint, secrets } = options
  const settings = { DATABASE_URL: databaseUrl, DATABASE_ENDPOINT: databaseEndpoint }
  const config = readConfig({ ...scriptSettings, ...secrets, ...settings })
  await reEncrypt(config, openDb({ config, onRoundTrip: () => undefined }))
}

const contentRows = z.array(z.object({ content: z.enum(['demonstration', 'empty']) })).max(1)

async function contentOf(postgres: Postgres): Promise<Library['content'] | undefined> {
  const rows = await administer(
    postgres,
    `select shobj_description(oid, 'pg_database') as content
     from pg_database
     where datname = '${database}' and shobj_description(oid, 'pg_database') is not null`,
  )
  return contentRows.parse(rows)[0]?.content
}

async function administer(postgres: Postgres, sql: string): Promise<unknown[]> {
  const client = new Client({
    connectionString: postgres.url,
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** Kept from run to run: without them nobody stays logged in, and nothing that is encrypted can be read. */
async function keptSecrets(): Promise<Secrets> {
  const secrets = secretsFrom(await readFile(variablesFile, 'utf8').catch(() => ''))
  // At once: what is written with them from here on could not be read without them.
  await writeVariables(variablesFile, secrets)
  return secrets
}

async function writeVariables(file: string, variables: Record<string, string>): Promise<void> {
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`)
  await rm(`${file}.new`, { force: true })
  await writeFile(`${file}.new`, lines.join(''), { mode: 0o600, flag: 'wx' })
  await rename(`${file}.new`, file)
}

function startWorker({
  port,
  inspectorPort,
  variables,
}: {
  port: number
  inspectorPort: number
  variables: Record<string, string>
}) {
  const options = [
    'dev',
    '--ip=127.0.0.1',
    `--port=${port}`,
    `--inspector-port=${inspectorPort}`,
    `--env-file=${variablesFile}`,
    `--persist-to=${join(state, 'wrangler')}`,
    '--show-interactive-dev-session=false',
    '--log-level=log',
    // wrangler.toml lists the secrets, and Wrangler then reads from the file what is listed and no more.
    `--var=DATABASE_ENDPOINT:${variables['DATABASE_ENDPOINT']}`,
  ]
  const child = spawn(process.execPath, [join(root, 'node_modules/wrangler/bin/wrangler.js'), ...options], {
    cwd: root,
    env: workerEnvironment(variables),
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C in the terminal is for us, who stop everything in order.
    detached: true,
  })
  const killGroup = (signal: NodeJS.Signals) => {
    if (child.pid !== undefined) signalGroup(child.pid, signal)
  }
  const killAtExit = () => killGroup('SIGKILL')
  process.once('exit', killAtExit)
  const exited = new Promise<string>((done) => {
    child.once('exit', (code, signal) => done(`Wrangler ended (${signal ?? code}).`))
    child.once('error', (error) => done(`Wrangler did not start: ${error.message}`))
  })
  const output = heldOutput(child)
  return {
    pid: child.pid,
    exited,
    showOutput: output.show,
    ready: async () => {
      const patience = setTimeout(output.showAll, showAfterMs)
      const failed = await Promise.race([exited, waitUntilReady(`http://127.0.0.1:${port}/readyz`)])
      clearTimeout(patience)
      if (failed === undefined) return
      output.showAll()
      throw new Error(failed)
    },
    stop: async () => {
      killGroup('SIGTERM')
      await Promise.race([exited, delay(stopLimitMs)])
      killGroup('SIGKILL')
      process.removeListener('exit', killAtExit)
      await rm(workerPidFile, { force: true })
    },
  }
}

/**
 * A variable in the shell wins over the one in the file, so a DATABASE_URL that somebody exported for
 * another purpose would reach the Worker. All of Wrangler's own files go to .lectern, and it asks nobody.
 */
function workerEnvironment(variables: Record<string, string>): NodeJS.ProcessEnv {
  const { CLOUDFLARE_ENV: _, CORS_ORIGINS: __, ...inherited } = process.env
  return {
    ...inherited,
    ...variables,
    ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}),
    CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: 'true',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_SEND_ERROR_REPORTS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    WRANGLER_LOG_PATH: join(state, 'wrangler', 'logs'),
    WRANGLER_REGISTRY_PATH: join(state, 'wrangler', 'registry'),
    WRANGLER_CACHE_DIR: join(state, 'wrangler', 'cache'),
    XDG_CONFIG_HOME: join(state, 'wrangler', 'config'),
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    const gone = error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM')
    if (!gone) throw error
  }
}

/** Nobody wants to read how Wrangler starts, unless it does not. */
function heldOutput({ stdout, stderr }: { stdout: Readable; stderr: Readable }) {
  const held: (() => void)[] = []
  let shown = false
  const pass = (print: (line: string) => void) => (line: string) => {
    if (shown) return print(line)
    held.push(() => print(line))
    if (held.length > linesHeld) held.shift()
  }
  createInterface({ input: stdout }).on('line', pass(console.log))
  createInterface({ input: stderr }).on('line', pass(console.error))
  return {
    show: () => {
      shown = true
    },
    showAll: () => {
      shown = true
      for (const print of held.splice(0)) print()
    },
  }
}

/** Returns what is wrong where it does not become ready. */
async function waitUntilReady(url: string): Promise<string | undefined> {
  const deadline = Date.now() + readyLimitMs
  let last = 'no answer'
  while (Date.now() < deadline) {
    last = await fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
      (response) => (response.ok ? 'ready' : `HTTP ${response.status}`),
      () => last,
    )
    if (last === 'ready') return undefined
    await delay(200)
  }
  return `The Worker was not ready after ${readyLimitMs / 1000} s: ${url} answered ${last}.`
}

function accountTable(accounts: Accounts): string {
  const widest = (key: 'role' | 'username' | 'password') => Math.max(...accounts.map((account) => account[key].length))
  const [role, username, password] = [widest('role'), widest('username'), widest('password')]
  const rows = accounts.map(
    (account) =>
      `  ${account.role.padEnd(role)}  ${account.username.padEnd(username)}  ${account.password.padEnd(password)}  ${account.note}`,
  )
  return `\nAccounts. Their passwords are shown this once:\n\n${rows.join('\n')}\n`
}

async function banner({ url, library }: { url: string; library: Library }): Promise<string> {
  const patron = library.newAccounts.find(({ role }) => role === 'patron')
  return [
    '',
    `Lectern listens on ${url}`,
    `Reference:         ${url}/docs`,
    `Settings:          .lectern/dev.vars (the database's URL for the Worker is in it)`,
    `For psql:          .lectern/owner.vars (the database's URL for its owner)`,
    ...(library.content === 'demonstration' && patron === undefined
      ? ['', 'The accounts were printed on the first start. New ones: npm run dev -- --fresh']
      : []),
    ...(await thingsToTry(url, patron)),
    '',
    'Stop with Ctrl-C. Changes in src/ are picked up as you save them.',
    '',
  ].join('\n')
}

const bookPage = z.object({ items: z.array(z.object({ id: z.string(), title: z.string() })) })

/** Lines to paste, made from what is really there. */
async function thingsToTry(url: string, patron: Accounts[number] | undefined): Promise<string[]> {
  const response = await fetch(`${url.replace('localhost', '127.0.0.1')}/v1/books?available=true&limit=1`, {
    signal: AbortSignal.timeout(10_000),
  }).catch(() => undefined)
  const page = bookPage.safeParse(response?.ok === true ? await response.json() : undefined)
  const book = page.data?.items[0]
  const word = book?.title.match(/[a-z]{4,}/i)?.[0].toLowerCase()
  if (book === undefined || word === undefined) return []
  const json = `-H 'content-type: application/json'`
  const login = patron && quoted(JSON.stringify({ username: patron.username, password: patron.password }))
  return [
    '',
    'To try, line by line:',
    `  curl '${url}/v1/books?q=${word}'`,
    ...(login === undefined
      ? []
      : [
          `  TOKEN=$(curl -s ${url}/v1/sessions ${json} -d ${login} | sed 's/.*"accessToken" *: *"\\([^"]*\\)".*/\\1/')`,
          `  curl ${url}/v1/loans ${json} -H "authorization: Bearer $TOKEN" -d ${quoted(JSON.stringify({ bookId: book.id }))}`,
        ]),
  ]
}

/** For a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

await main()
