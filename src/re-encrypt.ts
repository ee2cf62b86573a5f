import { bytesToHex } from '@noble/hashes/utils.js'
import { type SQL, sql } from 'drizzle-orm'
import type { Config } from './config.ts'
import type { Db } from './db/client.ts'
import { jsonb, textArray } from './db/parameters.ts'
import { emailHash } from './keyed-hash.ts'
import { log } from './log.ts'
import { isSealed, personalColumns, type Place, seal, unseal } from './personal-data.ts'

const ROWS_AT_ONCE = 100

/** Of a table in one call. */
const BATCHES_MAX = 20

type Column = (typeof personalColumns)[number]

/** The tables with encrypted columns, each with those columns. */
const tables = [...new Set(personalColumns.map(({ table }) => table))].map((table) => {
  const columns = personalColumns.filter((column) => column.table === table)
  return { table, columns, key: table === 'second_factors' ? 'user_id' : 'id' }
})

type Row = { key: string; values: Record<string, string | null>; rows: Record<string, string> }

/** Encrypts with the current key what older keys of the ring encrypted, and what is not encrypted yet, a batch of a table
 *  in two round trips. Nothing is overwritten that was changed meanwhile: that has the current key already. What cannot be
 *  opened stays as it is and is counted in the log. Answers how many rows it changed. */
export async function reEncrypt(config: Config, db: Db): Promise<number> {
  let changed = 0
  for (const { table, columns, key } of tables) {
    let after = '00000000-0000-0000-0000-000000000000'
    for (let batch = 0; batch < BATCHES_MAX; batch++) {
      const rows = await findStale(db, config, { table, columns, key, after })
      const last = rows.at(-1)
      if (last === undefined) break
      after = last.key
      changed += await renew(db, config, { table, columns, key, rows })
    }
  }
  return changed
}

type TableColumns = { table: string; columns: Column[]; key: string }

const identifiers = (columns: Column[]) =>
  sql.join(
    columns.map(({ column }) => sql.identifier(column)),
    sql`, `,
  )

/** Rows with a value under another key than the current one; finding none takes an index and no scan. */
function findStale(
  db: Db,
  config: Config,
  { table, columns, key, after }: TableColumns & { after: string },
): Promise<Row[]> {
  const { current, all } = config.personalDataKeys
  const stale = ['', ...all.map(({ kid }) => kid).filter((kid) => kid !== current.kid)]
  const object = (pairs: SQL[]) => sql`json_build_object(${sql.join(pairs, sql`, `)})`
  return db.one<Row[]>(sql`
    select coalesce(json_agg(json_build_object(
      'key', ${sql.identifier(key)},
      'values', ${object(columns.map(({ column }) => sql`${sql.raw(`'${column}'`)}, ${sql.identifier(column)}`))},
      'rows', ${object(columns.map(({ column, row }) => sql`${sql.raw(`'${column}'`)}, ${sql.identifier(row)}`))}
    ) order by ${sql.identifier(key)}), '[]') as body
    from (
      select * from ${sql.identifier(table)}
      where keys_of(array[${identifiers(columns)}]) && ${textArray(stale)} and ${sql.identifier(key)} > ${after}
      order by ${sql.identifier(key)}
      limit ${ROWS_AT_ONCE}
    ) as t`)
}

async function renew(
  db: Db,
  config: Config,
  { table, columns, key, rows }: TableColumns & { rows: Row[] },
): Promise<number> {
  const changes = await Promise.all(rows.map((row) => changeOf(config, columns, row)))
  const failed = changes.reduce((sum, change) => sum + change.failed, 0)
  if (failed > 0) log({ event: 're_encrypt.failed', count: failed })
  const records = changes.filter(({ isChanged }) => isChanged).map(({ record }) => record)
  if (records.length === 0) return 0
  const columnsOfRecord = sql.join(
    [
      sql`key uuid`,
      sql`email_hash text`,
      ...columns.flatMap(({ column }) => [
        sql`${sql.identifier(`${column}_old`)} text`,
        sql`${sql.identifier(`${column}_new`)} text`,
      ]),
    ],
    sql`, `,
  )
  const assignments = columns.map(({ column }) => {
    const [name, old, next] = [column, `${column}_old`, `${column}_new`].map((text) => sql.identifier(text))
    return sql`${name} = case when t.${name} = n.${old} then n.${next} else t.${name} end`
  })
  // An address from before addresses were encrypted has no hash yet. One that another account has confirmed since stays
  // without, and is nobody's way in.
  if (table === 'users') {
    assignments.push(sql`email_hash = coalesce(
      t.email_hash,
      case when t.email = n.email_old and not exists (select from users o where o.email_hash = decode(n.email_hash, 'hex'))
        then decode(n.email_hash, 'hex')
      end
    )`)
  }
  const { count } = await db.row<{ count: number }>(sql`
    with changed as (
      update ${sql.identifier(table)} t
      set ${sql.join(assignments, sql`, `)}
      from jsonb_to_recordset(${jsonb(records)}) as n (${columnsOfRecord})
      where t.${sql.identifier(key)} = n.key
      returning 1
    )
    select count(*)::integer as count from changed`)
  return count
}

/** The old and the new value of each column of a row, equal where it cannot be opened. */
async function changeOf(config: Config, columns: Column[], { key, values, rows }: Row) {
  let failed = 0
  const pairs = await Promise.all(
    columns.map(async ({ column, place }) => {
      const old = values[column] ?? null
      const next =
        old === null
          ? null
          : await again(config, { column: place, row: rows[column] ?? '' }, old).catch(() => {
              failed++
              return old
            })
      return { column, old, next }
    }),
  )
  const email = values['email'] ?? null
  const hash = email === null || isSealed(email) ? null : bytesToHex(await emailHash(config, email))
  const texts = pairs.flatMap(({ column, old, next }) => [
    [`${column}_old`, old],
    [`${column}_new`, next],
  ])
  const isChanged = pairs.some(({ old, next }) => old !== next)
  return { failed, isChanged, record: { key, email_hash: hash, ...Object.fromEntries(texts) } }
}

const again = async (config: Config, place: Place, value: string) => {
  if (value.startsWith(`${config.personalDataKeys.current.kid}.`) && isSealed(value)) return value
  return seal(config, place, isSealed(value) ? await unseal(config, place, value) : value)
}
