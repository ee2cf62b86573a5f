import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db, LoggedIn } from '../../db/client.ts'
import { bytea } from '../../db/parameters.ts'
import { keyedHash } from '../../keyed-hash.ts'
import { unsealOptional } from '../../personal-data.ts'
import { problem } from '../../problem.ts'
import { tooManyAttempts } from '../sessions/attempts.ts'
import { isBreached } from './breached-passwords.ts'
import { hashPassword, verifyPassword } from './password.ts'
import { requireUnguessable } from './password-faults.ts'

type Account = { wait: number; username: string; email: string | null; stored: string }

/** Two round trips: the salt must be read before the current password can be compared. The write only counts if the
 *  hash is still the one compared with. What others know of the new one is asked beside the first, which costs no time of
 *  its own. Ends the other sessions. Throws 'wrong-password', 'invalid-input', and 'too-many-attempts', since a stolen
 *  session may not be a way to guess the password. */
export async function changePassword(
  db: Db,
  config: Config,
  { actor, currentPassword, newPassword }: { actor: LoggedIn; currentPassword: string; newPassword: string },
): Promise<void> {
  const { userId, sessionId } = actor
  // First without the names of the account, so that a weak wish costs no attempt.
  requireUnguessable({ password: newPassword, isBreached: false, pointer: '/newPassword' })
  const key = bytea(await keyedHash(config, 'password-change', userId))
  const [account, isKnown] = await Promise.all([
    db.row<Account>(sql`
      select b.wait, (b.account).username, (b.account).email, (b.account).password_hash as stored
      from begin_password_change(${userId}, ${key}) b`),
    isBreached(config, newPassword),
  ])
  if (account.wait > 0) throw tooManyAttempts(account.wait)
  const { username, stored } = account
  const email = (await unsealOptional(config, { column: 'users.email', row: userId }, account.email)) ?? undefined
  requireUnguessable({ password: newPassword, username, email, isBreached: isKnown, pointer: '/newPassword' })
  const { isRight } = await verifyPassword(config, { password: currentPassword, stored })
  if (!isRight) throw problem('wrong-password')
  const passwordHash = await hashPassword(config, newPassword)
  await db.row(sql`select change_password(${userId}, ${sessionId}, ${stored}, ${passwordHash}, ${key})`)
}
