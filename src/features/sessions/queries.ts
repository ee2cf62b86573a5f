import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import { sessions } from '../../db/schema.ts'
import { unsealOptional } from '../../personal-data.ts'
import type { Session } from './schema.ts'

export async function listSessions(
  db: Db,
  config: Config,
  { userId, sessionId }: { userId: string; sessionId: string },
): Promise<{ items: Session[] }> {
  const { items } = await db.one<{ items: Session[] }>(sql`
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
  return { items: await Promise.all(items.map((session) => reveal(config, session))) }
}

async function reveal(config: Config, sealed: Session): Promise<Session> {
  const place = { column: 'sessions.device_name', row: sealed.id } as const
  return { ...sealed, deviceName: await unsealOptional(config, place, sealed.deviceName) }
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
