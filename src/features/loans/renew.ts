import { sql } from 'drizzle-orm'
import { ownerFor } from '../../actor.ts'
import type { Actor, Claim, Db } from '../../db/client.ts'
import { problem } from '../../problem.ts'
import { loanJson } from './queries.ts'
import type { Loan, Renewal } from './schema.ts'

/** Extends a loan; the function renew holds the rules. Throws 'forbidden' for a patron with an override, and the problems
 *  that renew names. */
export function renew(
  db: Db,
  { id, override, actor }: Renewal & { id: string; actor: Actor },
  claim: Claim | null,
): Promise<Loan> {
  if (override !== undefined && actor.role !== 'staff') throw problem('forbidden')
  return db.make(
    sql`
      select ${loanJson} as body
      from renew(${id}, ${ownerFor(actor)}, ${override?.reason ?? null}) l`,
    claim,
  )
}
