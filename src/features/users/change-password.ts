import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Actor, Db } from '../../db/client.ts'
import { bytea } from '../../db/parameters.ts'
import { keyedHash } from '../../keyed-hash.ts'
import { unsealOptional } from '../../personal-data.ts'
import { problem } from '../../problem.ts'
import { tooManyAttempts } from '../sessions/attempts.ts'
import { hashPassword, verifyPassword } from './password.ts'
import { requireUnguessable } from './register.ts'

type Account = { wait: number; username: string; email: string | null; stored: string }

/** Two round trips: the salt must be read before the current password can be compared. The write only counts if the
 *  hash is still the one compared with. Ends the other sessions. Throws 'wrong-password', 'invalid-input', and
 *  'too-many-attempts', since a stolen session may not be a way to guess the password. */
export async function changePassword(
  db: Db,
  config: Config,
  { actor, currentPassword, newPassword }: { actor: Actor; currentPassword: string; newPassword: string },
): Promise<void> {
  const { userId, sessionId } = actor
  // First without the names of the account, so that a weak wish costs no attempt.
  requireUnguessable({ password: newPassword, username: '', pointer: '/newPassword' })
  const key = bytea(await keyedHash(config, 'password-change', userId))
  const account = await db.row<Account>(sql`
    select b.wait, (b.account).username, (b.account).email, (b.account).password_hash as stored
    from begin_password_change(${userId}, ${key}) b`)
  if (account.wait > 0) throw tooManyAttempts(account.wait)
  const email = await unsealOptional(config, { column: 'users.email', row: userId }, account.email)
  const { isRight } = await verifyPassword(config, { password: currentPassword, stored: account.stored })
  if (!isRight) throw problem('wrong-password')
  requireUnguessable({
    password: newPassword,
    username: account.username,
    email: email ?? undefined,
    pointer: '/newPassword',
  })
  const passwordHash = await hashPassword(config, newPassword)
  await db.row(sql`select change_password(${userId}, ${sessionId}, ${account.stored}, ${passwordHash}, ${key})`)
}
