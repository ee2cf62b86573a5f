import { sql } from 'drizzle-orm'
import { ownerFor } from '../../actor.ts'
import type { Actor, Db } from '../../db/client.ts'
import { holdJson } from './queries.ts'
import type { Hold } from './schema.ts'

/** The hold waits again. Throws 'hold-not-found', for somebody else's too. */
export function resumeHold(db: Db, { id, actor }: { id: string; actor: Actor }): Promise<Hold> {
  return db.one(sql`
    select ${holdJson} as body
    from resume_hold(${id}, ${ownerFor(actor)}) h`)
}
