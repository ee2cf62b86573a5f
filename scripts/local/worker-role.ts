import { randomBytes } from 'node:crypto'
import { Client } from 'pg'

/** The same database for the login role of the Worker, whose password was made by `admitWorker`. */
export type AsWorker = (ownerUrl: string) => string

const role = 'library_worker'

/**
 * Makes the login role of the Worker on the server of a migrated database, with a new password, which the role then has
 * for all databases there. Who had an older one is locked out.
 */
export async function admitWorker(ownerUrl: string): Promise<AsWorker> {
  const password = randomBytes(24).toString('hex')
  const client = new Client({ connectionString: ownerUrl, connectionTimeoutMillis: 5_000, query_timeout: 10_000 })
  // A lost connection also rejects the query below; without a listener it would end this process.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(`
      do $$
      begin
        create role ${role};
      exception when duplicate_object then null;
      end
      $$;
      alter role ${role} login password '${password}';
      grant lectern_worker to ${role}`)
  } finally {
    await client.end()
  }
  return (url) => {
    const worker = new URL(url)
    worker.username = role
    worker.password = password
    return worker.href
  }
}
