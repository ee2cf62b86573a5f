import { sql } from 'drizzle-orm'
import { ownerFor } from '../../actor.ts'
import type { Actor, Db } from '../../db/client.ts'
import { loanJson } from './queries.ts'
import type { Loan } from './schema.ts'

/** Takes a copy back and forgets who had it. A second return changes nothing and answers alike. Throws
 *  'loan-not-found', for an open loan of somebody else too. */
export function checkIn(db: Db, { id, actor }: { id: string; actor: Actor }): Promise<Loan> {
  return db.one(sql`
    select ${loanJson} as body
    from check_in(${id}, ${ownerFor(actor)}) l`)
}
