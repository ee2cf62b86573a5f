import { getTableColumns, getTableName } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { routes } from '../src/app.ts'
import { type ColumnClass, columnClasses } from '../src/db/column-classes.ts'
import * as schema from '../src/db/schema.ts'
import { describeApi } from '../src/openapi.ts'
import { personalColumns } from '../src/personal-data.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { database } from './support/library.ts'

type Column = { table: string; column: string; key: string; type: string; class: ColumnClass }

/** As the database names them. */
const columns = Object.entries(schema).flatMap(([name, table]): Column[] => {
  const classes: Record<string, ColumnClass> = columnClasses[name as keyof typeof columnClasses]
  return Object.entries(getTableColumns(table)).map(([key, column]) => ({
    table: getTableName(table),
    column: column.name,
    key,
    type: column.getSQLType(),
    class: classes[key] as ColumnClass,
  }))
})
const nameOf = ({ table, column }: { table: string; column: string }) => `${table}.${column}`
const ofClass = (wanted: ColumnClass) => columns.filter((column) => column.class === wanted)

test('every column of the database has a class, and every class a column', async () => {
  const rows = await database`
    select c.relname as table, a.attname as column from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped`
  const known = Object.entries(columnClasses).flatMap(([name, classes]) =>
    Object.keys(classes).map((key) => `${name}.${key}`),
  )
  expect(columns.map(nameOf).toSorted()).toEqual(rows.map((row) => `${row['table']}.${row['column']}`).toSorted())
  expect(known.length).toBe(columns.length)
  expect(columns.filter((column) => column.class === undefined)).toEqual([])
})

test('what is personal is encrypted, and what is encrypted is personal or secret', () => {
  const encrypted = new Set(personalColumns.map(nameOf))
  expect(
    ofClass('personal')
      .map(nameOf)
      .filter((name) => !encrypted.has(name)),
  ).toEqual([])
  const classed = new Set([...ofClass('personal'), ...ofClass('secret')].map(nameOf))
  expect([...encrypted].filter((name) => !classed.has(name))).toEqual([])
})

test('what only links is no free text, and what is free text is in the list', () => {
  // Words from a list, held by a check or by another table.
  const words = new Set(['role', 'kind', 'category', 'format', 'actor_role', 'purpose'])
  expect(ofClass('personal (linked)').filter(({ type, column }) => type === 'text' && !words.has(column))).toEqual([])
  expect(ofClass('personal (written)').map(nameOf).toSorted()).toEqual([
    'api_keys.name',
    'blocks.reason',
    'events.details',
    'fee_entries.reason',
    'fees.note',
    'idempotency_keys.answer',
    'users.suspension_reason',
    'users.username',
  ])
})

/** The names of all properties below a schema. */
function namesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(namesIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, below]) =>
    (key === 'properties' ? Object.keys(below as object) : []).concat(namesIn(below)),
  )
}

test('no answer has a place for a secret, but one', () => {
  const document = describeApi(routes) as { paths: unknown; components: { schemas: Record<string, unknown> } }
  const secrets = new Set(ofClass('secret').map(({ key }) => key))
  const found = Object.entries(document.components.schemas).flatMap(([name, part]) =>
    namesIn(part)
      .filter((key) => secrets.has(key) && key !== 'content')
      .map((key) => `${name}.${key}`),
  )
  expect(found).toEqual(['NewSecondFactor.secret'])
})

test('no answer holds one', async () => {
  const library = await aLibraryApart()
  const { ask, aHold, aLoan, aBook, aNewcomer, database: own, theStaff } = library
  const [patron, staff] = [await aNewcomer(), await theStaff()]
  const book = await aBook()
  const loan = await aLoan(patron, book)
  const hold = await aHold(staff, book)
  await own`insert into second_factors (user_id, secret, confirmed_at) values (${patron.id}, 'k.CanarySecret', now())`
  await own`insert into recovery_codes (user_id, code_hash) values (${patron.id}, sha256('a code'))`
  const selects = ofClass('secret').map(
    ({ table, column, type }) =>
      `select ${type === 'bytea' ? `encode("${column}", 'hex')` : `"${column}"::text`} as value from "${table}" where "${column}" is not null`,
  )
  const canaries = (await own.query(selects.join(' union ')))
    .map((row) => String(row['value']))
    .filter((value) => value.length > 8)
  expect(canaries.length).toBeGreaterThan(10)
  const gets = routes.filter(({ method, facts }) => method === 'GET' && !facts.roles.includes('anyone'))
  expect(gets.length).toBeGreaterThan(15)
  for (const { path } of gets) {
    for (const id of [patron.id, book.id, loan.id, hold.id, loan.copyId]) {
      for (const { token } of [patron, staff]) {
        const { text } = await ask('GET', path.replace(':id', id), { token })
        expect(
          canaries.filter((canary) => text.includes(canary)),
          path,
        ).toEqual([])
      }
      if (!path.includes(':id')) break
    }
  }
  await library.drop()
})
