import { spawnSync } from 'node:child_process'
import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { migrate } from './local/migrate.ts'
import { freePort, startPostgres } from './local/postgres.ts'

/** Whether drizzle/ and src/db/schema.ts say the same. The migrations are written by hand, so it is not enough that
 *  drizzle-kit sees nothing to generate: the tables that each of the two makes are compared as PostgreSQL sees them. */

const root = resolve(import.meta.dirname, '..')

/** Columns, constraints and indexes, one a row. */
const catalogue = `
  select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || case when a.attnotnull then ' not null' else '' end || ' ' || a.attgenerated::text
    || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '') as fact
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid and c.relkind = 'r'
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
  union all
  select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
  from pg_constraint
  where connamespace = 'public'::regnamespace and conrelid <> 0 and contype not in ('n', 't')
  union all
  select 'index ' || indexname || ' ' || indexdef from pg_indexes where schemaname = 'public'
  order by 1`

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

const run = (url: string, statements: string) => withClient(url, (client) => client.query(statements))

const query = (url: string, sql: string) =>
  withClient(url, async (client) => (await client.query<{ fact: string }>(sql)).rows.map(({ fact }) => fact))

/** Throws when drizzle-kit would write a migration. Works on a copy, since it writes where it stands. */
async function requireNothingToGenerate(copy: string) {
  for (const name of ['drizzle', 'src', 'drizzle.config.ts', 'package.json']) {
    await cp(join(root, name), join(copy, name), { recursive: true })
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  const before = await readdir(join(copy, 'drizzle'))
  const { status, stdout, stderr } = spawnSync('drizzle-kit', ['generate'], { cwd: copy, encoding: 'utf8' })
  const after = await readdir(join(copy, 'drizzle'))
  if (status !== 0 || after.length !== before.length) {
    throw new Error(`src/db/schema.ts has changes that no migration makes:\n${stdout}${stderr}`)
  }
}

const work = await mkdtemp(join(tmpdir(), 'lectern-migrations-'))
const postgres = await startPostgres({ directory: join(work, 'postgres'), port: await freePort(), durable: false })
try {
  const copy = join(work, 'copy')
  await requireNothingToGenerate(copy)

  const migrated = await postgres.createDatabase('migrated')
  await migrate(migrated)

  // The functions come from the migrations; the tables anew from the schema.
  const declared = await postgres.createDatabase('declared')
  await migrate(declared)
  const tables = await query(
    declared,
    `select format('drop table %I cascade', relname) as fact from pg_class
     where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  )
  await run(declared, tables.join(';'))
  const { stdout } = spawnSync('drizzle-kit', ['export'], { cwd: copy, encoding: 'utf8' })
  await run(declared, stdout)

  const [before, after] = [await query(migrated, catalogue), await query(declared, catalogue)]
  const onlyIn = (facts: string[], others: string[]) => facts.filter((fact) => !others.includes(fact))
  const differences = [
    ...onlyIn(before, after).map((fact) => `only in drizzle/:          ${fact}`),
    ...onlyIn(after, before).map((fact) => `only in src/db/schema.ts:  ${fact}`),
  ]
  if (before.length === 0 || differences.length > 0) {
    throw new Error(`the migrations and the schema differ:\n${differences.join('\n')}`)
  }
  console.log(`${before.length} facts agree`)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  await postgres.stop()
  await rm(work, { recursive: true, force: true })
}
