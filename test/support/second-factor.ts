import { Secret, TOTP } from 'otpauth'

/** The code that an app shows, so many periods from now. */
export const codeOf = (secret: string, periods = 0) =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + periods * 30_000 })
