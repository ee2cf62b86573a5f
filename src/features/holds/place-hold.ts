import { sql } from 'drizzle-orm'
import type { Owner } from '../../access.ts'
import type { Actor, Claim, Db } from '../../db/client.ts'
import { problem } from '../../problem.ts'
import { holdJson } from './queries.ts'
import type { Hold, NewHold } from './schema.ts'

/** Puts a patron at the end of a book's queue. The function place_hold holds the rules. Throws 'forbidden' for a patron who
 *  names another or overrides, and the problems that place_hold names. */
export function placeHold(
  db: Db,
  { bookId, format, userId, override, actor, owner }: NewHold & { actor: Actor; owner: Owner },
  claim: Claim | null,
): Promise<Hold> {
  if ((userId !== undefined || override !== undefined) && owner !== null) throw problem('forbidden')
  return db.make(
    sql`
      select ${holdJson} as body
      from place_hold(${userId ?? actor.userId}, ${bookId}, ${format ?? null}, ${override?.reason ?? null}) h`,
    claim,
  )
}
