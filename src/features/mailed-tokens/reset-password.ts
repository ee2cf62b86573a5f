import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import { bytea } from '../../db/parameters.ts'
import { mailedTokens, users } from '../../db/schema.ts'
import { emailHash } from '../../keyed-hash.ts'
import { seal, unsealOptional } from '../../personal-data.ts'
import { problem } from '../../problem.ts'
import { sha256 } from '../../sha256.ts'
import { hashPassword } from '../users/password.ts'
import { isBreached } from '../users/breached-passwords.ts'
import { requireUnguessable } from '../users/password-faults.ts'
import { newMailedToken } from './mailed-token.ts'

/** Sends a token to the address, if an account has confirmed it. The same work and the same answer if none has. */
export async function askToReset(db: Db, config: Config, { email }: { email: string }): Promise<void> {
  const messageId = crypto.randomUUID()
  const token = newMailedToken('reset-password')
  const content = await seal(config, { column: 'messages.content', row: messageId }, JSON.stringify({ token }))
  const [hash, tokenHash] = await Promise.all([emailHash(config, email), sha256(token)])
  await db.row(sql`select ask_to_reset(${bytea(hash)}, ${bytea(tokenHash)}, ${messageId}, ${content})`)
}

type Account = { id: string; username: string; email: string | null }

/** Two round trips, so that nobody makes us hash a password without a token. Ends every session of the account. Throws
 *  'mailed-token-invalid', 'invalid-input'. */
export async function resetPassword(
  db: Db,
  config: Config,
  { token, newPassword }: { token: string; newPassword: string },
): Promise<void> {
  const tokenHash = bytea(await sha256(token))
  const reading = db.row<{ account: Account | null }>(sql`
    select (
      select json_build_object('id', u.id, 'username', u.username, 'email', u.email)
      from ${mailedTokens} t
      join ${users} u on u.id = t.user_id
      where t.token_hash = ${tokenHash} and t.purpose = 'reset-password' and t.expires_at > now()
    ) as account`)
  const [{ account }, isKnown] = await Promise.all([reading, isBreached(config, newPassword)])
  if (account === null) throw problem('mailed-token-invalid')
  const email = await unsealOptional(config, { column: 'users.email', row: account.id }, account.email)
  requireUnguessable({
    password: newPassword,
    username: account.username,
    email: email ?? undefined,
    isBreached: isKnown,
    pointer: '/newPassword',
  })
  await db.row(sql`select reset_password(${tokenHash}, ${await hashPassword(config, newPassword)})`)
}
