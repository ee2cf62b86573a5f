import { v7 as newId } from 'uuid'
import type { Config } from '../../config.ts'
import type { Claim, Db } from '../../db/client.ts'
import { isBreached } from './breached-passwords.ts'
import { hashPassword } from './password.ts'
import { requireUnguessable } from './password-faults.ts'
import { confirmationOf } from './confirm-email.ts'
import { registerUser } from './queries.ts'
import type { NewUser, User } from './schema.ts'

/** Makes a patron, whatever else. An address that another account has is no fault: whoever owns it decides, with the
 *  message that is sent there. Throws 'username-taken', 'invalid-input' for a guessable password. */
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
  const id = newId()
  const confirmation = await confirmationOf(config, { userId: id, email })
  return registerUser(db, config, { id, username, passwordHash, confirmation }, claim)
}
