import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { apiKeys } from '../../db/schema.ts'
import type { Key } from './schema.ts'

/** What a row of api_keys is on the wire. */
export const keyJson = sql`json_build_object(
  'id', k.id,
  'name', k.name,
  'scopes', k.scopes,
  'createdAt', k.created_at,
  'expiresAt', k.expires_at,
  'lastUsedAt', k.last_used_at
)`

export function listKeys(db: Db, { userId }: { userId: string }): Promise<{ items: Key[] }> {
  return db.one(sql`
    select json_build_object('items', coalesce(json_agg(${keyJson} order by k.id desc), '[]')) as body
    from ${apiKeys} k
    where k.user_id = ${userId} and (k.expires_at is null or k.expires_at > now())`)
}
