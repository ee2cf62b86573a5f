import { sql } from 'drizzle-orm'
import type { Owner } from '../../access.ts'
import type { Db } from '../../db/client.ts'
import { holdJson } from './queries.ts'
import type { Hold } from './schema.ts'

/** The hold waits again. Throws 'hold-not-found', for somebody else's too. */
export function resumeHold(db: Db, { id, owner }: { id: string; owner: Owner }): Promise<Hold> {
  return db.one(sql`
    select ${holdJson} as body
    from resume_hold(${id}, ${owner}) h`)
}
