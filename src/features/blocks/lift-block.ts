import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'

/** Ends a block, whose reason is not kept. Throws 'block-not-found'. */
export async function liftBlock(db: Db, { id }: { id: string }): Promise<void> {
  await db.row(sql`select lift_block(${id})`)
}
