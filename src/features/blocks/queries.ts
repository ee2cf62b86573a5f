import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { type Owner, ownerNamed } from '../../access.ts'
import type { Db } from '../../db/client.ts'
import { blocks } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { BlockFilter } from './schema.ts'

/** What a row of blocks is on the wire. */
export const blockJson = sql`json_build_object(
  'id', b.id,
  'userId', b.user_id,
  'reason', b.reason,
  'createdAt', b.created_at,
  'endsAt', b.ends_at
)`

/** Those in force. Patrons see their own. Throws 'forbidden' when a patron asks for somebody's. */
export function listBlocks(db: Db, { filter, owner }: { filter: BlockFilter; owner: Owner }) {
  const { userId, limit, cursor } = filter
  const patron = ownerNamed(owner, userId)
  const after = readCursor(z.uuid(), cursor)
  const conditions = [
    sql`(b.ends_at is null or b.ends_at > clock())`,
    ...(patron === null ? [] : [sql`b.user_id = ${patron}`]),
    ...(after === null ? [] : [sql`b.id < ${after}`]),
  ]
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${blockJson} as body, to_json(b.id) as key
        from ${blocks} b
        where ${sql.join(conditions, sql` and `)}
        order by b.id desc`,
    }),
  )
}
