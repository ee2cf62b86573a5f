import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { type Owner, ownerNamed } from '../../access.ts'
import type { Db } from '../../db/client.ts'
import { books, holds } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { Hold, HoldFilter } from './schema.ts'

/** What a row of holds is on the wire. */
export const holdJson = sql`json_build_object(
  'id', h.id,
  'bookId', h.book_id,
  'bookTitle', (select b.title from ${books} b where b.id = h.book_id),
  'userId', h.user_id,
  'format', h.format,
  'state', case
    when h.copy_id is not null then 'ready'
    when waits(h) then 'waiting'
    else 'suspended'
  end,
  'position', hold_position(h),
  'forecast', hold_forecast(h),
  'suspendedUntil', h.suspended_until,
  'placedAt', h.placed_at,
  'copyId', h.copy_id,
  'readyAt', h.ready_at,
  'collectBy', h.collect_by
)`

/** Throws 'hold-not-found', for somebody else's too. */
export function getHold(db: Db, { id, owner }: { id: string; owner: Owner }): Promise<Hold> {
  return db.one(sql`
    select coalesce(
      (
        select ${holdJson}
        from ${holds} h
        where h.id = ${id} ${owner === null ? sql`` : sql`and h.user_id = ${owner}`}
      ),
      refuse_json('hold-not-found')
    ) as body`)
}

const inState = {
  ready: sql`h.copy_id is not null`,
  waiting: sql`waits(h)`,
  suspended: sql`h.copy_id is null and not waits(h)`,
}

/** In the order of the queues. Patrons see their own. Throws 'forbidden' when a patron asks for somebody's. */
export function listHolds(db: Db, { filter, owner }: { filter: HoldFilter; owner: Owner }) {
  const { state, userId, bookId, limit, cursor } = filter
  const patron = ownerNamed(owner, userId)
  const after = readCursor(z.int(), cursor)
  const conditions = [
    sql`true`,
    ...(state === undefined ? [] : [inState[state]]),
    ...(patron === null ? [] : [sql`h.user_id = ${patron}`]),
    ...(bookId === undefined ? [] : [sql`h.book_id = ${bookId}`]),
    ...(after === null ? [] : [sql`h.place > ${after}`]),
  ]
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${holdJson} as body, to_json(h.place) as key
        from ${holds} h
        where ${sql.join(conditions, sql` and `)}
        order by h.place`,
    }),
  )
}
