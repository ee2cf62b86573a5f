import { base32nopad } from '@scure/base'
import { Secret, TOTP } from 'otpauth'

/** RFC 6238 as the apps all speak it: SHA-1, six digits, thirty seconds. */
const DIGITS = 6
const PERIOD_SECONDS = 30

/** One period either way, for clocks that differ (RFC 6238, section 5.2). */
const WINDOW = 1

/** RFC 4226 asks for 128 bits at least and recommends 160. */
const SECRET_BYTES = 20

/** 120 bits, so that SHA-256 alone keeps them (ASVS 5.0, 6.5.2, asks for 112). */
const RECOVERY_BYTES = 15
export const RECOVERY_CODES = 10

const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes))

export const newSecret = () => base32nopad.encode(random(SECRET_BYTES))

const totpOf = (secret: string, label = 'Lectern', issuer = 'Lectern') =>
  new TOTP({
    secret: Secret.fromBase32(secret),
    label,
    issuer,
    algorithm: 'SHA1',
    digits: DIGITS,
    period: PERIOD_SECONDS,
  })

/** For the app to scan. */
export const uriOf = ({ secret, username, issuer }: { secret: string; username: string; issuer: string }) =>
  totpOf(secret, username, issuer).toString()

/** The digits of a code of an app, which may stand in groups as apps show them; null for anything else. */
export function digitsOf(code: string): string | null {
  const digits = code.replace(/[ -]/g, '')
  return new RegExp(`^[0-9]{${DIGITS}}$`).test(digits) ? digits : null
}

/** The period that the code is of, counted from 1970; null when it is of none that counts now. */
export function stepOfCode(secret: string, code: string): number | null {
  const now = Date.now()
  const delta = totpOf(secret).validate({ token: code, timestamp: now, window: WINDOW })
  return delta === null ? null : Math.floor(now / 1000 / PERIOD_SECONDS) + delta
}

/** In groups of four: they are for paper. */
export const newRecoveryCode = () => {
  const code = base32nopad.encode(random(RECOVERY_BYTES))
  return (code.match(/.{4}/g) ?? []).join('-')
}

/** However it was copied from the paper: base32 has no 0, 1 and 8, so that they can only be the letters they look like. */
export const normalRecoveryCode = (code: string) =>
  code
    .toUpperCase()
    .replaceAll('0', 'O')
    .replaceAll('1', 'I')
    .replaceAll('8', 'B')
    .replace(/[^A-Z2-7]/g, '')
