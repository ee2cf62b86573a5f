import { sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { blockJson } from './queries.ts'
import type { Block, NewBlock } from './schema.ts'

/** Keeps a patron from borrowing, renewing and queuing. Throws 'user-not-found', and 'date-out-of-range' for an end that
 *  has passed. */
export function setBlock(db: Db, { userId, reason, endsAt }: NewBlock, claim: Claim | null): Promise<Block> {
  return db.make(
    sql`
      select ${blockJson} as body
      from set_block(${userId}, ${reason}, ${endsAt ?? null}) b`,
    claim,
  )
}
