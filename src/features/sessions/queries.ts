import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db, LoggedIn } from '../../db/client.ts'
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

/** Throws 'session-not-found' for another's, and 'session-ended' when one's own was ended meanwhile. */
export async function endSession(db: Db, { userId, sessionId }: LoggedIn, { id }: { id: string }): Promise<void> {
  await db.row(sql`select end_session(${userId}, ${id}, ${sessionId})`)
}
