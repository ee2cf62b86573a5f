import { sql } from 'drizzle-orm'
import type { Owner } from '../../access.ts'
import type { Claim, Db } from '../../db/client.ts'
import { problem } from '../../problem.ts'
import { loanJson } from './queries.ts'
import type { Loan, Renewal } from './schema.ts'

/** Extends a loan; the function renew holds the rules. Throws 'forbidden' for a patron with an override, and the problems
 *  that renew names. */
export function renew(
  db: Db,
  { id, override, owner }: Renewal & { id: string; owner: Owner },
  claim: Claim | null,
): Promise<Loan> {
  if (override !== undefined && owner !== null) throw problem('forbidden')
  return db.make(
    sql`
      select ${loanJson} as body
      from renew(${id}, ${owner}, ${override?.reason ?? null}) l`,
    claim,
  )
}
