import { sql } from 'drizzle-orm'
import { ownerFor } from '../../actor.ts'
import type { Actor, Db } from '../../db/client.ts'

/** Takes a hold out of the queue, and passes its copy on. Throws 'hold-not-found', for somebody else's too. */
export async function cancelHold(db: Db, { id, actor }: { id: string; actor: Actor }): Promise<void> {
  await db.row(sql`select cancel_hold(${id}, ${ownerFor(actor)})`)
}
