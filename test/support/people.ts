import { signAccessToken } from '../../src/access-token.ts'
import { configOf } from '../../src/config.ts'
import type { Actor } from '../../src/db/client.ts'
import type { Library } from './library.ts'

export type Someone = { id: string; token: string; sessionId: string }

/** People of these names, logged in. They have no passwords, or one whose hash is given: to make a hash for each would take
 *  longer than the test. */
export async function people(
  { database, env }: Pick<Library, 'database' | 'env'>,
  wanted: { username: string; role: Actor['role'] }[],
  passwordHash = '-',
): Promise<Someone[]> {
  const rows = await database`
    with made as (
      select w.place, (create_user(uuidv7(), w.username, ${passwordHash}, w.role, null, null)).id as id
      from unnest(${wanted.map(({ username }) => username)}::text[], ${wanted.map(({ role }) => role)}::text[])
        with ordinality as w (username, role, place)
    ),
    opened as (
      insert into sessions (user_id, expires_at) select id, now() + interval '1 day' from made
      returning id, user_id
    )
    select m.id as user_id, o.id as session_id from made m join opened o on o.user_id = m.id order by m.place`
  const iat = Math.floor(Date.now() / 1000)
  return Promise.all(
    wanted.map(async ({ role }, place) => {
      const [id, sid] = [String(rows[place]?.['user_id']), String(rows[place]?.['session_id'])]
      const token = await signAccessToken(configOf(env), { sub: id, sid, jti: crypto.randomUUID(), role, iat })
      return { id, token, sessionId: sid }
    }),
  )
}
