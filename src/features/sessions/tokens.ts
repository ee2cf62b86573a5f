import { base64urlnopad } from '@scure/base'
import { ACCESS_TOKEN_SECONDS, signAccessToken } from '../../access-token.ts'
import type { Config } from '../../config.ts'
import { sha256 } from '../../sha256.ts'
import type { Tokens } from './schema.ts'

const PREFIX = 'lrt_'
const TOKEN_BYTES = 32

const encode = (text: string) => new TextEncoder().encode(text)

export const newRefreshToken = () => PREFIX + base64urlnopad.encode(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)))

export const newNonce = () => crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))

/** Refresh tokens are kept as SHA-256 only: they are 256 random bits, which no dictionary holds. */
export const hashRefreshToken = (token: string) => sha256(token)

/** The token after this one: HMAC-SHA-256 of a stored nonce under the spent token. Whoever repeats a refresh with the
 *  same token gets the same successor, although the database knows neither. */
export async function succeedRefreshToken(token: string, nonce: Uint8Array): Promise<string> {
  const key = await crypto.subtle.importKey('raw', encode(token), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return PREFIX + base64urlnopad.encode(new Uint8Array(await crypto.subtle.sign('HMAC', key, nonce)))
}

/** The pair a client holds. Made from the refresh token and the moment alone, so a repeated refresh is answered alike. */
export async function issueTokens(
  config: Config,
  {
    refreshToken,
    issuedAt,
    sessionId,
    user,
  }: { refreshToken: string; issuedAt: string; sessionId: string; user: Tokens['user'] },
): Promise<Tokens> {
  const iat = Math.floor(Date.parse(issuedAt) / 1000)
  const jti = base64urlnopad.encode((await sha256(`jti ${refreshToken}`)).subarray(0, 16))
  return {
    accessToken: await signAccessToken(config, { sub: user.id, sid: sessionId, jti, role: user.role, iat }),
    refreshToken,
    expiresAt: new Date((iat + ACCESS_TOKEN_SECONDS) * 1000).toISOString(),
    sessionId,
    user,
  }
}
