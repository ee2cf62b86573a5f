import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'

/** Ends a key. Once this has answered, no request with the key does anything more. Throws 'key-not-found' for another's. */
export async function revokeKey(db: Db, { userId, id }: { userId: string; id: string }): Promise<void> {
  await db.row(sql`select revoke_key(${id}, ${userId})`)
}
