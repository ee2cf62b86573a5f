import { sql } from 'drizzle-orm'
import { type Config, readConfig } from '../src/config.ts'
import { type Db, openDb } from '../src/db/client.ts'
import { personalColumns } from '../src/personal-data.ts'
import { reEncrypt } from '../src/re-encrypt.ts'
import { librarySettings } from './local/library-settings.ts'
import { scriptSettings, secretsFrom } from './local/secrets.ts'

/** Encrypts anew, to the end, what the Worker does bit by bit, and says which keys are still in use. */

const usage = `usage: npm run re-encrypt

  The library is that of DATABASE_URL, PERSONAL_DATA_KEYS and LOOKUP_KEY (and DATABASE_ENDPOINT) of the environment, as the
  Worker has them, or that of \`npm run dev\`, which must be running.`

async function main() {
  const config = readConfig({ ...scriptSettings, ...secretsFrom(), ...(await librarySettings(usage)) })
  const db = openDb({ config, onRoundTrip: () => undefined })
  let rows = 0
  for (let changed = -1; changed !== 0; rows += changed) changed = await reEncrypt(config, db)
  console.log(`${rows} rows encrypted anew.`)
  report(config, await valuesByKey(db))
}

/** How many values each key has encrypted; '' for what is not encrypted. */
function valuesByKey(db: Db): Promise<Record<string, number>> {
  const values = personalColumns.map(
    ({ table, column }) => sql`select ${sql.identifier(column)} as value from ${sql.identifier(table)}`,
  )
  return db.one(sql`
    select coalesce(json_object_agg(key, count), '{}') as body
    from (
      select key_of(value) as key, count(*)::integer as count
      from (${sql.join(values, sql` union all `)}) as v
      where value is not null
      group by 1
    ) as k`)
}

function report({ personalDataKeys: { current, all } }: Config, counts: Record<string, number>) {
  for (const { kid } of all) {
    const count = counts[kid] ?? 0
    const use =
      kid === current.kid ? 'in use' : count === 0 ? 'may go' : 'must stay: the values left could not be opened'
    console.log(`${kid}: ${count} values, ${use}`)
  }
  const known = new Set(all.map(({ kid }) => kid))
  const lost = Object.entries(counts).filter(([kid]) => !known.has(kid))
  for (const [kid, count] of lost) {
    console.log(
      kid === '' ? `not encrypted: ${count} values` : `${kid}: ${count} values, and the key is not in the ring`,
    )
  }
  if (lost.length > 0) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  console.error(String(error).replace(/^(Config)?Error: /, ''))
  process.exitCode = 1
}
