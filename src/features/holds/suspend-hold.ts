import { sql } from 'drizzle-orm'
import { ownerFor } from '../../actor.ts'
import type { Actor, Db } from '../../db/client.ts'
import { holdJson } from './queries.ts'
import type { Hold } from './schema.ts'

/** The hold keeps its place and is passed over until a day; its copy goes to the next. Throws 'hold-not-found', for somebody
 *  else's too, and 'date-out-of-range'. */
export function suspendHold(db: Db, { id, until, actor }: { id: string; until: string; actor: Actor }): Promise<Hold> {
  return db.one(sql`
    select ${holdJson} as body
    from suspend_hold(${id}, ${ownerFor(actor)}, ${until}) h`)
}
