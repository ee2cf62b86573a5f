import { sql } from 'drizzle-orm'
import { rolesOfScope } from '../../access.ts'
import { newApiKey } from '../../api-key.ts'
import type { Actor, Db } from '../../db/client.ts'
import { bytea, textArray } from '../../db/parameters.ts'
import { problem } from '../../problem.ts'
import { keyJson } from './queries.ts'
import type { Key, MadeKey, NewKey } from './schema.ts'

/** Makes a key and answers with it, the only time that it is known. Throws 'forbidden' for a scope that the role does not
 *  have, 'key-limit-reached', 'date-out-of-range'. */
export async function makeKey(
  db: Db,
  { name, scopes, expiresAt, actor: { userId, role } }: NewKey & { actor: Actor },
): Promise<MadeKey> {
  const allowed = scopes.every((scope) => rolesOfScope(scope).includes(role))
  if (!allowed) throw problem('forbidden')
  const { key, hash } = await newApiKey({ userId, role, isForDesk: scopes.includes('desk') })
  const made = await db.one<Key>(sql`
    select ${keyJson} as body
    from make_key(${userId}, ${role}, ${bytea(hash)}, ${name}, ${textArray(scopes)}, ${expiresAt ?? null}) k`)
  return { ...made, key }
}
