import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import { bytea } from '../../db/parameters.ts'
import { users } from '../../db/schema.ts'
import { problem } from '../../problem.ts'
import { hashPassword, verifyPassword } from '../users/password.ts'
import type { NewSession, Tokens } from './schema.ts'
import { hashRefreshToken, issueTokens, newRefreshToken } from './tokens.ts'

/** Two round trips: the hash must be read before the password can be compared. An unknown account costs the same work
 *  and gets the same answer as a wrong password. Throws 'wrong-credentials', 'account-suspended'. */
export async function logIn(db: Db, config: Config, { username, password, deviceName }: NewSession): Promise<Tokens> {
  const account = await db.row<{ user: { id: string; role: 'staff' | 'patron'; stored: string } | null }>(sql`
    select (
      select json_build_object('id', id, 'role', role, 'stored', password_hash)
      from ${users}
      where lower(username) = lower(${username}) or lower(email) = lower(${username})
    ) as user`)
  const stored = account.user?.stored ?? null
  const { isRight, isOutdated } = await verifyPassword(config, { password, stored })
  if (!isRight || account.user === null) throw problem('wrong-credentials')

  const { id, role } = account.user
  const newHash = isOutdated ? await hashPassword(config, password) : null
  const refreshToken = newRefreshToken()
  const session = await db.one<{ id: string; createdAt: string }>(sql`
    select json_build_object('id', s.id, 'createdAt', s.created_at) as body
    from log_in(
      ${id}, ${stored}, ${newHash}, ${bytea(await hashRefreshToken(refreshToken))}, ${deviceName ?? null}
    ) as s`)
  return issueTokens(config, {
    refreshToken,
    issuedAt: session.createdAt,
    sessionId: session.id,
    user: { id, role },
  })
}
