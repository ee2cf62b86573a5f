import { sql } from 'drizzle-orm'
import type { Actor, Db } from '../../db/client.ts'
import { sessions } from '../../db/schema.ts'
import type { Session } from './schema.ts'

export function listSessions(db: Db, { userId, sessionId }: Actor): Promise<{ items: Session[] }> {
  return db.one(sql`
    select json_build_object('items', json_agg(
      json_build_object(
        'id', s.id,
        'deviceName', s.device_name,
        'createdAt', s.created_at,
        'lastUsedAt', s.last_used_at,
        'expiresAt', s.expires_at,
        'isCurrent', s.id = ${sessionId}
      )
      order by s.last_used_at desc, s.id desc
    )) as body
    from ${sessions} s
    where s.user_id = ${userId} and s.expires_at > now()`)
}

type Ending = { userId: string; id: string; absent: 'session-not-found' | 'session-ended' }

/** Deletes a session and, with it, its refresh tokens. Throws `absent` for another's, and when it was ended meanwhile. */
export async function endSession(db: Db, { userId, id, absent }: Ending): Promise<void> {
  await db.one(sql`
    with ended as (
      delete from ${sessions}
      where id = ${id} and user_id = ${userId}
      returning id
    )
    select coalesce((select to_json(id) from ended), refuse_json(${absent})) as body`)
}
