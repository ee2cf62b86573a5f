import { sql } from 'drizzle-orm'
import { ownerFor } from '../../actor.ts'
import type { Actor, Claim, Db } from '../../db/client.ts'
import { loanJson } from './queries.ts'
import type { Loan } from './schema.ts'

/** Extends a loan. Throws 'loan-not-found', 'loan-returned', 'renewal-limit-reached', 'nothing-to-renew',
 *  'patron-suspended'. */
export function renew(db: Db, { id, actor }: { id: string; actor: Actor }, claim: Claim | null): Promise<Loan> {
  return db.make(
    sql`
      select ${loanJson} as body
      from renew(${id}, ${ownerFor(actor)}) l`,
    claim,
  )
}
