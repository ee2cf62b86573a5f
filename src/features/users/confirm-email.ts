import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import { bytea } from '../../db/parameters.ts'
import { emailHash } from '../../keyed-hash.ts'
import { newMailedToken } from '../mailed-tokens/mailed-token.ts'
import { seal } from '../../personal-data.ts'
import { sha256 } from '../../sha256.ts'
import { getUser } from './queries.ts'
import type { User } from './schema.ts'

/** The message that asks whoever owns an address to confirm it. */
type Question = { tokenHash: SQL; messageId: string; content: string }

/** The same, and the address as the user's row keeps it. */
export type Confirmation = Question & { email: string; hash: SQL }

async function newQuestion(config: Config): Promise<Question> {
  const messageId = crypto.randomUUID()
  const token = newMailedToken('confirm-email')
  const content = await seal(config, { column: 'messages.content', row: messageId }, JSON.stringify({ token }))
  return { tokenHash: bytea(await sha256(token)), messageId, content }
}

export async function confirmationOf(
  config: Config,
  { userId, email }: { userId: string; email: string },
): Promise<Confirmation> {
  const sealed = await seal(config, { column: 'users.email', row: userId }, email)
  return { email: sealed, hash: bytea(await emailHash(config, email)), ...(await newQuestion(config)) }
}

/** The new address waits until it is confirmed. */
export async function changeEmail(
  db: Db,
  config: Config,
  { userId, email }: { userId: string; email: string },
): Promise<User> {
  const { email: sealed, hash, tokenHash, messageId, content } = await confirmationOf(config, { userId, email })
  const changing = db.after(sql`
    select change_email(${userId}, ${sealed}, ${hash}, ${tokenHash}, ${messageId}, ${content})`)
  return getUser(changing, config, { userId })
}

/** Sends the message once more. Throws 'nothing-to-confirm'. */
export async function askAgain(db: Db, config: Config, { userId }: { userId: string }): Promise<void> {
  const { tokenHash, messageId, content } = await newQuestion(config)
  await db.row(sql`select ask_to_confirm(${userId}, ${tokenHash}, ${messageId}, ${content})`)
}

/** Puts the address in force. Throws 'mailed-token-invalid', and 'email-taken' when another account was faster: the only one who
 *  learns that is who reads the mail of the address. */
export async function confirmEmail(db: Db, { token }: { token: string }): Promise<void> {
  await db.row(sql`select confirm_email(${bytea(await sha256(token))})`)
}
