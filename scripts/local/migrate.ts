import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate as applyAll } from 'drizzle-orm/node-postgres/migrator'
import { Client } from 'pg'

const migrationsFolder = fileURLToPath(new URL('../../drizzle', import.meta.url))
const limitMs = 120_000
/** Any number that nothing else in these databases locks: 'lectern' in a bigint. */
const lock = '30510846262735214'

/**
 * Brings the database up to date with drizzle/, in one transaction. Of several that start at once one does
 * the work and the others wait for it. Throws where that takes longer than two minutes.
 */
export async function migrate(url: string): Promise<void> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    statement_timeout: limitMs,
  })
  // A lost connection also rejects the query below; without a listener it would end this process.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select pg_advisory_lock($1)', [lock])
    await applyAll(drizzle(client), { migrationsFolder })
  } finally {
    await client.end()
  }
}
