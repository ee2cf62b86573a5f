import { sql } from 'drizzle-orm'
import type { Owner } from '../../access.ts'
import type { Db } from '../../db/client.ts'

/** Takes a hold out of the queue, and passes its copy on. Throws 'hold-not-found', for somebody else's too. */
export async function cancelHold(db: Db, { id, owner }: { id: string; owner: Owner }): Promise<void> {
  await db.row(sql`select cancel_hold(${id}, ${owner})`)
}
