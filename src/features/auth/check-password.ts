import type { Config } from '../../config.ts'
import { isBreached } from '../users/breached-passwords.ts'
import { listPasswordFaults, PASSWORD_ADVICE } from '../users/password-faults.ts'
import type { PasswordCandidate, PasswordVerdict } from './schema.ts'

/** What registering would say of the password. Nothing is kept, and no account is looked at: it says nothing about
 *  anybody that the question did not. */
export async function checkPassword(config: Config, candidate: PasswordCandidate): Promise<PasswordVerdict> {
  const faults = listPasswordFaults({ ...candidate, isBreached: await isBreached(config, candidate.password) })
  return { acceptable: faults.length === 0, faults, advice: PASSWORD_ADVICE }
}
