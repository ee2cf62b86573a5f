import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Actor, Db } from '../../db/client.ts'
import { users } from '../../db/schema.ts'
import { problem } from '../../problem.ts'
import { isBreached } from './breached-passwords.ts'
import { hashPassword, verifyPassword } from './password.ts'
import { requireUnguessable } from './password-faults.ts'

/** Two round trips: the salt must be read before the current password can be compared. The write only counts if the
 *  hash is still the one compared with. What others know of the new one is asked beside the first, which costs no time of
 *  its own. Ends the other sessions. Throws 'wrong-password', 'invalid-input'. */
export async function changePassword(
  db: Db,
  config: Config,
  { actor, currentPassword, newPassword }: { actor: Actor; currentPassword: string; newPassword: string },
): Promise<void> {
  const { userId, sessionId } = actor
  const [{ username, email, stored }, isKnown] = await Promise.all([
    db.row<{ username: string; email: string; stored: string }>(sql`
      select username, email, password_hash as stored
      from ${users}
      where id = ${userId}`),
    isBreached(config, newPassword),
  ])
  requireUnguessable({ password: newPassword, username, email, isBreached: isKnown, pointer: '/newPassword' })
  const { isRight } = await verifyPassword(config, { password: currentPassword, stored })
  if (!isRight) throw problem('wrong-password')
  const passwordHash = await hashPassword(config, newPassword)
  await db.row(sql`select change_password(${userId}, ${sessionId}, ${stored}, ${passwordHash})`)
}
