import type { Config } from '../../config.ts'
import type { Claim, Db } from '../../db/client.ts'
import { problem } from '../../problem.ts'
import { findPasswordFault, hashPassword } from './password.ts'
import { createUser } from './queries.ts'
import type { NewUser, User } from './schema.ts'

/** Makes a patron, whatever else. Throws 'username-taken', 'email-taken', 'invalid-input' for a guessable password. */
export async function register(db: Db, config: Config, newUser: NewUser, claim: Claim | null): Promise<User> {
  const { username, email, password } = newUser
  requireUnguessable({ password, username, email, pointer: '/password' })
  const passwordHash = await hashPassword(config, password)
  return createUser(db, { username, email, passwordHash, role: 'patron' }, claim)
}

export function requireUnguessable({
  password,
  username,
  email,
  pointer,
}: {
  password: string
  username: string
  email: string
  pointer: string
}) {
  const detail = findPasswordFault(password, [username, email, email.split('@')[0] ?? ''])
  if (detail !== null) throw problem('invalid-input', { errors: [{ in: 'body', pointer, detail }] })
}
