import { sql } from 'drizzle-orm'
import type { Owner } from '../../access.ts'
import type { Db } from '../../db/client.ts'
import { holdJson } from './queries.ts'
import type { Hold } from './schema.ts'

/** The hold keeps its place and is passed over until a day; its copy goes to the next. Throws 'hold-not-found', for somebody
 *  else's too, and 'date-out-of-range'. */
export function suspendHold(db: Db, { id, until, owner }: { id: string; until: string; owner: Owner }): Promise<Hold> {
  return db.one(sql`
    select ${holdJson} as body
    from suspend_hold(${id}, ${owner}, ${until}) h`)
}
