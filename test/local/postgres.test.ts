import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrate } from '../../scripts/local/migrate.ts'
import { freePort, removePostgres, startPostgres } from '../../scripts/local/postgres.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lectern-postgres-'))
})

afterEach(async () => {
  await removePostgres(directory)
  await rm(directory, { recursive: true })
})

test('what was written is there after a restart, under the same password', async () => {
  const first = await startPostgres({ directory, port: 0, durable: true })
  const url = await first.createDatabase('library')
  await query(url, 'create table shelf as select 7 as id')
  await first.stop()
  const second = await startPostgres({ directory, port: first.port, durable: true })
  expect(second.urlOf('library')).toBe(url)
  expect(await query(url, 'select id from shelf')).toEqual([{ id: 7 }])
  await second.stop()
})

test.each(['SIGQUIT', 'SIGKILL'] as const)('what was committed is there after a crash by %s', async (signal) => {
  const first = await startPostgres({ directory, port: 0, durable: true, settings: { application_name: 'crash' } })
  const url = await first.createDatabase('library')
  expect(await query(url, 'show application_name')).toEqual([{ application_name: 'crash' }])
  await query(url, 'create table shelf as select 7 as id')
  await first.crash(signal)
  await expect(query(url, 'select')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  const second = await startPostgres({ directory, port: first.port, durable: true })
  expect(await query(url, 'select id from shelf')).toEqual([{ id: 7 }])
  await second.stop()
})

test('text is UTF-8 and sorts by code point, and times are in UTC, whatever the machine says', async () => {
  const postgres = await startPostgres({ directory, port: 0, durable: false })
  const [row] = await query(
    postgres.url,
    `select pg_encoding_to_char(encoding) as encoding, datlocprovider as provider, datlocale as locale,
       current_setting('timezone') as zone, 'a' > 'B' as by_code_point, upper('é') as upper
     from pg_database where datname = current_database()`,
  )
  expect(row).toEqual({
    encoding: 'UTF8',
    provider: 'b',
    locale: 'C.UTF-8',
    zone: 'UTC',
    by_code_point: true,
    upper: 'É',
  })
  await postgres.stop()
})

test('the password is for its owner alone, and nobody gets in without it', async () => {
  const postgres = await startPostgres({ directory, port: 0, durable: false })
  expect((await stat(join(await homeOf(directory), 'cluster', 'password'))).mode & 0o777).toBe(0o600)
  const withoutPassword = postgres.url.replace(/:[^:@]+@/, ':guess@')
  await expect(query(withoutPassword, 'select')).rejects.toMatchObject({ code: '28P01' })
  await postgres.stop()
})

test('a server for tests leaves nothing behind when it stops', async () => {
  const postgres = await startPostgres({ directory, port: 0, durable: false })
  const home = await homeOf(directory)
  await postgres.stop()
  expect(await readdir(directory)).toEqual([])
  expect(await readdir(home).catch(() => [])).toEqual([])
})

test('a database can be made from another, and dropped while it is in use', async () => {
  const postgres = await startPostgres({ directory, port: 0, durable: false })
  await query(await postgres.createDatabase('original'), 'create table shelf as select 7 as id')
  const copy = await postgres.createDatabase('copy', { template: 'original' })
  expect(await query(copy, 'select id from shelf')).toEqual([{ id: 7 }])
  await expect(postgres.createDatabase('copy')).rejects.toMatchObject({ code: '42P04' })
  await expect(postgres.createDatabase('a"b')).rejects.toThrow('Not a database name')

  const user = new Client({ connectionString: copy })
  const failures: unknown[] = []
  user.on('error', (error) => failures.push(error))
  await user.connect()
  await postgres.dropDatabase('copy')
  await expect.poll(() => failures[0], { timeout: 10_000 }).toMatchObject({ code: '57P01' })
  await postgres.dropDatabase('copy')
  await expect(query(copy, 'select')).rejects.toMatchObject({ code: '3D000' })
  await postgres.stop()
})

test('a server that a killed run left behind is stopped, and its data kept', async () => {
  const { port } = await killedRun(/^ready/)
  const postgres = await startPostgres({ directory, port: 0, durable: true })
  expect(await query(postgres.url, 'select id from shelf')).toEqual([{ id: 7 }])
  expect(await freePort(port)).toBe(port)
  await postgres.stop()
})

test('a run that was killed while it made the cluster is no obstacle', async () => {
  await killedRun(/making a new PostgreSQL cluster/)
  const home = await homeOf(directory)
  expect(await readdir(home)).not.toContain('cluster')
  const postgres = await startPostgres({ directory, port: 0, durable: true })
  expect((await readdir(home)).filter((name) => name.startsWith('initialising-'))).toEqual([])
  await postgres.stop()
})

test('a pid file is no obstacle when its number belongs to some other process', async () => {
  const first = await startPostgres({ directory, port: 0, durable: true })
  await first.stop()
  const data = join(await homeOf(directory), 'cluster', 'data')
  await writeFile(join(data, 'postmaster.pid'), `${process.pid}\n${data}\n1\n5432\n\n127.0.0.1\n`)
  const second = await startPostgres({ directory, port: 0, durable: true })
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }])
  await second.stop()
})

test('data of another version of PostgreSQL is left alone', async () => {
  const first = await startPostgres({ directory, port: 0, durable: true })
  await first.stop()
  await writeFile(join(await homeOf(directory), 'cluster', 'data', 'PG_VERSION'), '17\n')
  await expect(startPostgres({ directory, port: 0, durable: true })).rejects.toThrow('made by PostgreSQL 17')
})

test('a port that is taken is named in the error', async () => {
  const [taken, close] = await listening('127.0.0.1')
  await expect(startPostgres({ directory, port: taken, durable: true })).rejects.toThrow(
    new RegExp(`could not bind.*Address already in use|port ${taken}`, 's'),
  )
  await close()
})

test('a folder in a long path, with spaces, is no obstacle', async () => {
  const deep = join(directory, 'with spaces and ünïcode'.padEnd(120, '-'))
  await mkdir(deep)
  const postgres = await startPostgres({ directory: deep, port: 0, durable: false })
  expect(await query(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }])
  await postgres.stop()
})

test('of migrations that start at once, one does the work and the others wait', async () => {
  const postgres = await startPostgres({ directory, port: 0, durable: false })
  const url = await postgres.createDatabase('library')
  await Promise.all(Array.from({ length: 4 }, () => migrate(url)))
  await migrate(url)
  const [row] = await query(url, 'select count(*) = count(distinct hash) as once from drizzle.__drizzle_migrations')
  expect(row).toEqual({ once: true })
  await postgres.stop()
})

test('a port that somebody listens on is passed over, on either address of this machine', async () => {
  for (const host of ['127.0.0.1', '::1', '::']) {
    const [taken, close] = await listening(host)
    expect(await freePort(taken)).toBeGreaterThan(taken)
    await close()
  }
})

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  try {
    await client.connect()
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** For root it is not the directory itself. */
async function homeOf(asked: string): Promise<string> {
  return readFile(join(asked, 'location'), 'utf8').then(
    (location) => location.trim(),
    () => asked,
  )
}

/** Starts PostgreSQL in a process of its own, and kills that process when it prints this. */
async function killedRun(moment: RegExp): Promise<{ port: number }> {
  const module = new URL('../../scripts/local/postgres.ts', import.meta.url).href
  const script = `
    import { startPostgres } from ${JSON.stringify(module)}
    import { Client } from 'pg'
    const postgres = await startPostgres({
      directory: ${JSON.stringify(directory)}, port: 0, durable: true, onLog: console.log,
    })
    const client = new Client({ connectionString: postgres.url })
    await client.connect()
    await client.query('create table shelf as select 7 as id')
    console.log('ready', postgres.port)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  let port = 0
  for await (const line of createInterface({ input: child.stdout })) {
    port = Number(/^ready (\d+)/.exec(line)?.[1] ?? port)
    if (moment.test(line)) child.kill('SIGKILL')
  }
  await exited
  return { port }
}

async function listening(host: string): Promise<[number, () => Promise<void>]> {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket))
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Not a port.')
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  return [address.port, close]
}
