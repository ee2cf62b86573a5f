import { problem } from '../../problem.ts'
import { commonPasswords } from './common-passwords.ts'

/** NIST SP 800-63B and ASVS 5.0, 6.2: no rules of composition, but nothing that a guesser tries first. */

export const PASSWORD_LENGTH_MIN = 12

/** NIST asks for at least 64 to be allowed; scrypt is fed at most this. */
export const PASSWORD_LENGTH_MAX = 128

const DIFFERENT_CHARACTERS_MIN = 5

/** Characters that a password must have beside a name of its owner's. */
const BESIDE_NAME_MIN = 8

/** Why a password is refused. A reason is a promise to clients and stays. */
export const passwordFaults = {
  'too-short': `is shorter than ${PASSWORD_LENGTH_MIN} characters`,
  'too-long': `is longer than ${PASSWORD_LENGTH_MAX} characters`,
  common: 'is on the list of common passwords',
  'few-characters': 'repeats too few characters',
  'repeated-word': 'repeats one short word',
  run: 'is a run of neighbouring characters',
  personal: 'is little more than the username or the email address',
  breached: 'has been found in stolen data elsewhere',
} as const

export type PasswordFaultReason = keyof typeof passwordFaults

/** What would be accepted. */
export const PASSWORD_ADVICE =
  `Use ${PASSWORD_LENGTH_MIN} to ${PASSWORD_LENGTH_MAX} characters of any kind, spaces too. Four words that have nothing ` +
  'to do with each other or with you are good, and so is what a password manager makes up. No digits, capitals or signs are needed.'

type Choice = { password: string; username?: string | undefined; email?: string | undefined; isBreached: boolean }

/** Everything that speaks against a password. */
export function listPasswordFaults({ password, username, email, isBreached }: Choice) {
  const plain = password.normalize('NFC').toLowerCase()
  const holds: Record<PasswordFaultReason, boolean> = {
    'too-short': password.length < PASSWORD_LENGTH_MIN,
    'too-long': password.length > PASSWORD_LENGTH_MAX,
    common: commonPasswords.has(plain),
    'few-characters': new Set(plain).size < DIFFERENT_CHARACTERS_MIN,
    'repeated-word': /^(.{1,8})\1+$/u.test(plain),
    run: isRun(plain),
    personal: isPersonal(plain, [username, email, email?.split('@')[0]]),
    breached: isBreached,
  }
  return passwordFaultReasons
    .filter((reason) => holds[reason])
    .map((reason) => ({ reason, detail: passwordFaults[reason] }))
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- safe because the keys of `passwordFaults` are the type
export const passwordFaultReasons = Object.keys(passwordFaults) as PasswordFaultReason[]

/** Throws 'invalid-input', which lists all that speaks against the password and says what would be accepted. */
export function requireUnguessable({ pointer, ...choice }: Choice & { pointer: string }) {
  const faults = listPasswordFaults(choice)
  if (faults.length === 0) return
  throw problem('invalid-input', {
    detail: PASSWORD_ADVICE,
    errors: faults.map(({ detail }) => ({ in: 'body', pointer, detail })),
  })
}

/** `own` is what anybody knows of the account. */
const isPersonal = (plain: string, own: (string | undefined)[]) =>
  own.some((word) => {
    if (word === undefined || word.length < 4) return false
    return plain.includes(word.toLowerCase()) && plain.length - word.length < BESIDE_NAME_MIN
  })

const ROWS = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', 'yxcvbnm', 'azertyuiop', '1234567890']

/** Most characters follow their neighbour, in the alphabet or on a keyboard. */
function isRun(text: string) {
  const follows = Array.from(text).filter((char, i, all) => {
    const before = all[i - 1]
    if (before === undefined) return false
    const step = char.charCodeAt(0) - before.charCodeAt(0)
    return Math.abs(step) === 1 || ROWS.some((row) => row.includes(before + char) || row.includes(char + before))
  })
  return follows.length >= text.length * 0.7
}
