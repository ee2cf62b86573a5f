import { sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../../db/client.ts'
import { securityEvents } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { SecurityEventFilter } from './schema.ts'

/** What a row of security_events is on the wire. */
const eventJson = sql`json_build_object('id', e.id, 'kind', e.kind, 'at', e.occurred_at, 'sessionId', e.session_id)`

const Cursor = z.uuid()

/** Ids are drawn in the order of time. */
export function listSecurityEvents(db: Db, { userId, limit, cursor }: SecurityEventFilter & { userId: string }) {
  const last = readCursor(Cursor, cursor)
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${eventJson} as body, to_json(e.id) as key
        from ${securityEvents} e
        where e.user_id = ${userId} and ${last === null ? sql`true` : sql`e.id < ${last}`}
        order by e.id desc`,
    }),
  )
}
