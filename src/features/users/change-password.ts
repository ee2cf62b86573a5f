import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db, LoggedIn } from '../../db/client.ts'
import { users } from '../../db/schema.ts'
import { problem } from '../../problem.ts'
import { hashPassword, verifyPassword } from './password.ts'
import { requireUnguessable } from './register.ts'

/** Two round trips: the salt must be read before the current password can be compared. The write only counts if the
 *  hash is still the one compared with. Ends the other sessions. Throws 'wrong-password', 'invalid-input'. */
export async function changePassword(
  db: Db,
  config: Config,
  { actor, currentPassword, newPassword }: { actor: LoggedIn; currentPassword: string; newPassword: string },
): Promise<void> {
  const { userId, sessionId } = actor
  const account = await db.row<{ username: string; email: string; stored: string }>(sql`
    select username, email, password_hash as stored
    from ${users}
    where id = ${userId}`)
  requireUnguessable({ password: newPassword, ...account, pointer: '/newPassword' })
  const { isRight } = await verifyPassword(config, { password: currentPassword, stored: account.stored })
  if (!isRight) throw problem('wrong-password')
  const passwordHash = await hashPassword(config, newPassword)
  await db.row(sql`select change_password(${userId}, ${sessionId}, ${account.stored}, ${passwordHash})`)
}
