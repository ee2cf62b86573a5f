import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { holdJson } from './queries.ts'
import type { Hold, HoldMove } from './schema.ts'

/** Puts a waiting hold in another position, for a reason that is kept. Throws 'hold-not-found', 'hold-ready'. */
export function moveHold(db: Db, { id, position, reason }: HoldMove & { id: string }): Promise<Hold> {
  return db.one(sql`
    select ${holdJson} as body
    from move_hold(${id}, ${position}, ${reason}) h`)
}
