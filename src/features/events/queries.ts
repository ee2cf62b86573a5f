import { sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../../db/client.ts'
import { events } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { EventFilter } from './schema.ts'

/** What a row of events is on the wire. */
const eventJson = sql`json_build_object(
  'id', e.id,
  'occurredAt', e.occurred_at,
  'kind', e.kind,
  'subjectId', e.subject_id,
  'bookId', e.book_id,
  'copyId', e.copy_id,
  'patronId', e.patron_id,
  'actor', json_build_object('role', e.actor_role, 'id', e.actor_id),
  'details', e.details
)`

/** A transaction, in the 19 digits that xid8 holds for certain, and the event. */
const Cursor = z.tuple([z.string().regex(/^[0-9]{1,19}$/), z.int()])

/**
 * In the order of their transactions, so that whoever goes on from the last one they have misses none. Ids are no such
 * order: they are drawn before the commit, so one may become visible behind a higher one. A transaction older than all that
 * are still running has ended, and so have all before it: nothing can be added up to there. What is newer is listed as
 * soon as that holds for it. Throws 'invalid-input' for `after` an event that there is not.
 */
export function listEvents(db: Db, { kind, subjectId, bookId, patronId, after, limit, cursor }: EventFilter) {
  const last = readCursor(Cursor, cursor)
  const conditions = [
    sql`e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())`,
    ...(kind === undefined ? [] : [sql`e.kind = ${kind}`]),
    ...(subjectId === undefined ? [] : [sql`e.subject_id = ${subjectId}`]),
    ...(bookId === undefined ? [] : [sql`e.book_id = ${bookId}`]),
    ...(patronId === undefined ? [] : [sql`e.patron_id = ${patronId}`]),
    ...(after === undefined
      ? []
      : [sql`(e.transaction_id, e.id) > (select a.transaction_id, a.id from ${events} a where a.id = ${after})`]),
    ...(last === null ? [] : [sql`(e.transaction_id, e.id) > (${last[0]}::xid8, ${last[1]}::bigint)`]),
  ]
  return readPage(
    after === undefined ? db : db.after(requireEvent(after)),
    pageOfRows({
      limit,
      rows: sql`
        select ${eventJson} as body, json_build_array(e.transaction_id::text, e.id) as key
        from ${events} e
        where ${sql.join(conditions, sql` and `)}
        order by e.transaction_id, e.id`,
    }),
  )
}

const requireEvent = (id: number) =>
  sql`select case when not exists (select from ${events} where id = ${id}) then refuse_json('invalid-input') end`
