import { sql } from 'drizzle-orm'
import type { Owner } from '../../access.ts'
import type { Actor, Claim, Db } from '../../db/client.ts'
import { problem } from '../../problem.ts'
import { loanJson } from './queries.ts'
import type { Loan, NewLoan } from './schema.ts'

/** Lends any copy of a book to the actor or, at the desk, the copy with a barcode to a patron. The function check_out
 *  holds the rules. Throws 'forbidden' for a patron at the desk or with an override, and the problems that check_out names. */
export function checkOut(
  db: Db,
  { bookId, format, barcode, userId, override, actor, owner }: NewLoan & { actor: Actor; owner: Owner },
  claim: Claim | null,
): Promise<Loan> {
  if ((barcode !== undefined || override !== undefined) && owner !== null) throw problem('forbidden')
  return db.make(
    sql`
      select ${loanJson} as body
      from check_out(
        ${userId ?? actor.userId}, ${bookId ?? null}, ${format ?? null}, ${barcode ?? null}, ${override?.reason ?? null}
      ) l`,
    claim,
  )
}
