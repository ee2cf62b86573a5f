import type { Config } from '../../config.ts'
import type { Claim, Db } from '../../db/client.ts'
import { isBreached } from './breached-passwords.ts'
import { hashPassword } from './password.ts'
import { requireUnguessable } from './password-faults.ts'
import { createUser } from './queries.ts'
import type { NewUser, User } from './schema.ts'

/** Makes a patron, whatever else. Throws 'username-taken', 'email-taken', 'invalid-input' for a guessable password. */
export async function register(db: Db, config: Config, newUser: NewUser, claim: Claim | null): Promise<User> {
  const { username, email, password } = newUser
  requireUnguessable({
    password,
    username,
    email,
    isBreached: await isBreached(config, password),
    pointer: '/password',
  })
  const passwordHash = await hashPassword(config, password)
  return createUser(db, { username, email, passwordHash, role: 'patron' }, claim)
}
