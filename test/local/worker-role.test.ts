import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrate } from '../../scripts/local/migrate.ts'
import { freePort, type Postgres, startPostgres } from '../../scripts/local/postgres.ts'
import { admitWorker } from '../../scripts/local/worker-role.ts'

/** The role of the Worker where nothing but the migrations has been, and who runs them is what an owner is at Neon: no
 *  superuser, but somebody who makes roles. */

let directory: string
let postgres: Postgres
let libraries: [string, string]

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lectern-worker-role-'))
  postgres = await startPostgres({ directory, port: await freePort(), durable: false })
  await rowsOf(postgres.url, "create role keeper login createrole createdb bypassrls password 'keeper'")
  libraries = [await ownedByKeeper('here'), await ownedByKeeper('there')]
  await Promise.all(libraries.map((url) => migrate(url)))
})

afterAll(async () => {
  await postgres.stop()
  await rm(directory, { recursive: true, force: true })
})

async function ownedByKeeper(name: string): Promise<string> {
  const url = new URL(await postgres.createDatabase(name))
  await rowsOf(postgres.url, `alter database ${name} owner to keeper`)
  url.username = url.password = 'keeper'
  return url.href
}

async function rowsOf(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

test('two libraries of one server that are migrated at once share a role that is nothing by itself', async () => {
  const [here] = libraries
  expect(
    await rowsOf(
      here,
      `select rolcanlogin or rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls as more
       from pg_roles where rolname = 'lectern_worker'`,
    ),
  ).toEqual([{ more: false }])
  const asWorker = await admitWorker(here)
  for (const url of libraries) {
    expect(await rowsOf(asWorker(url), 'select require_plain_role()')).toHaveLength(1)
    await expect(rowsOf(url, 'select require_plain_role()')).rejects.toMatchObject({ message: 'misconfigured' })
    expect(await rowsOf(asWorker(url), 'select currency from library')).toEqual([{ currency: 'EUR' }])
    await expect(rowsOf(asWorker(url), 'create temporary table loot ()')).rejects.toMatchObject({ code: '42501' })
  }
})

test('admitting the Worker again locks out who has the password of before', async () => {
  const [here] = libraries
  const before = await admitWorker(here)
  const after = await admitWorker(here)
  await expect(rowsOf(before(here), 'select 1')).rejects.toMatchObject({ code: '28P01' })
  expect(await rowsOf(after(here), 'select 1 as one')).toEqual([{ one: 1 }])
})

test('the Worker may call what its statements call, and what that calls, and no other function', async () => {
  const rows = await rowsOf(
    libraries[0],
    `select p.proname as name, pg_get_functiondef(p.oid) as definition, p.prorettype = 'trigger'::regtype as "isTrigger",
       has_function_privilege('lectern_worker', p.oid, 'execute') as granted,
       exists (select from aclexplode(p.proacl) a where a.grantee = 0) or p.proacl is null as "isPublic"
     from pg_proc p
     where p.pronamespace = 'public'::regnamespace
       and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')`,
  )
  // What a column or an index works out is called in the name of who writes the row.
  const generated = await rowsOf(
    libraries[0],
    `select pg_get_expr(adbin, adrelid) as expression from pg_attrdef
     union all select pg_get_indexdef(indexrelid) from pg_index`,
  )
  const source = resolve(import.meta.dirname, '../../src')
  const files = (await readdir(source, { recursive: true })).filter((name) => name.endsWith('.ts'))
  const statements = await Promise.all(files.map((name) => readFile(join(source, name), 'utf8')))

  const named = (text: string) => rows.filter(({ name }) => new RegExp(`\\b${String(name)}\\(`).test(text))
  /** Without its own name. */
  const bodyOf = ({ definition }: Record<string, unknown>) => String(definition).replace(/^.*?\(/, '')
  const texts = [...statements, ...generated.map(({ expression }) => String(expression))]
  const called = new Set(named([...texts, ...rows.filter(({ isTrigger }) => isTrigger).map(bodyOf)].join('\n')))
  for (const one of called) for (const next of named(bodyOf(one))) called.add(next)

  const names = (some: Record<string, unknown>[]) => some.map(({ name }) => String(name)).toSorted()
  expect(names(rows.filter(({ granted }) => granted === true))).toEqual(names([...called]))
  expect(names(rows.filter(({ isPublic }) => isPublic === true))).toEqual([])
})

test('a function of a later migration is nobody’s before it is granted', async () => {
  const [, there] = libraries
  await rowsOf(there, 'create function later() returns integer language sql return 1')
  const asWorker = await admitWorker(there)
  await expect(rowsOf(asWorker(there), 'select later()')).rejects.toMatchObject({ code: '42501' })
})
