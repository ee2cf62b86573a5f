import { sql } from 'drizzle-orm'
import type { Owner } from '../../access.ts'
import type { Db } from '../../db/client.ts'
import { loanJson } from './queries.ts'
import type { Loan } from './schema.ts'

/** Takes a copy back and forgets who had it. A second return changes nothing and answers alike. Throws
 *  'loan-not-found', for an open loan of somebody else too. */
export function checkIn(db: Db, { id, owner }: { id: string; owner: Owner }): Promise<Loan> {
  return db.one(sql`
    select ${loanJson} as body
    from check_in(${id}, ${owner}) l`)
}
