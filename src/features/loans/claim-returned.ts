import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { loanJson } from './queries.ts'
import type { Loan } from './schema.ts'

/** Notes, or takes back, that the patron says the copy was returned. Throws 'loan-not-found', 'loan-returned',
 *  'format-mismatch' for a digital loan. */
export function claimReturned(db: Db, { id, claimed }: { id: string; claimed: boolean }): Promise<Loan> {
  return db.one(sql`
    select ${loanJson} as body
    from claim_returned(${id}, ${claimed}) l`)
}
