import { decodeHeader, sign, verify } from 'hono/utils/jwt/jwt'
import { z } from 'zod'
import type { Config } from './config.ts'
import { problem } from './problem.ts'

/** Ten minutes: how long a token opens what does not touch the database. */
export const ACCESS_TOKEN_SECONDS = 600

/** How far the database's clock, which dates the tokens, may be ahead of a Worker's. */
const CLOCK_SKEW_SECONDS = 60

const Header = z.strictObject({ alg: z.literal('HS256'), typ: z.literal('JWT'), kid: z.string() })

/** hono/jwt lets a token without exp pass, and one whose payload is an array: this does not. */
const Payload = z
  .strictObject({
    iss: z.string(),
    aud: z.string(),
    sub: z.uuid(),
    sid: z.uuid(),
    jti: z.string().min(16).max(64),
    role: z.enum(['staff', 'patron']),
    // Tells an access token from any other that may ever be signed with these keys.
    use: z.literal('access'),
    iat: z.int(),
    exp: z.int(),
  })
  .refine(({ iat, exp }) => exp - iat === ACCESS_TOKEN_SECONDS)
type Payload = z.infer<typeof Payload>

export type AccessToken = Pick<Payload, 'sub' | 'sid' | 'jti' | 'role' | 'iat'>

type Key = { kid: string; secret: string }

const jwkOf = ({ kid, secret }: Key) => ({ kty: 'oct', k: secret, alg: 'HS256', kid }) as const

const audienceOf = (config: Config) => `${config.publicUrl}/v1`

/** The same claims under the same key make the same token. */
export function signAccessToken(config: Config, { sub, sid, jti, role, iat }: AccessToken): Promise<string> {
  const payload: Payload = {
    iss: config.publicUrl,
    aud: audienceOf(config),
    sub,
    sid,
    jti,
    role,
    use: 'access',
    iat,
    exp: iat + ACCESS_TOKEN_SECONDS,
  }
  return sign(payload, jwkOf(config.accessTokenKeys.current))
}

/** Throws 'access-token-expired' for one of ours that is too old, 'access-token-invalid' for everything else. */
export async function verifyAccessToken(config: Config, token: string): Promise<AccessToken> {
  const key = findKey(config, token)
  if (key === undefined || !isCanonical(token)) throw problem('access-token-invalid')
  let claims: unknown
  try {
    claims = await verify(token, jwkOf(key), {
      alg: 'HS256',
      iss: config.publicUrl,
      aud: audienceOf(config),
      exp: false,
      iat: false,
    })
  } catch {
    throw problem('access-token-invalid')
  }
  const { success, data } = Payload.safeParse(claims)
  const now = Date.now() / 1000
  if (!success || data.iat > now + CLOCK_SKEW_SECONDS) throw problem('access-token-invalid')
  if (data.exp <= now) throw problem('access-token-expired')
  return data
}

function findKey(config: Config, token: string): Key | undefined {
  try {
    const header = Header.parse(decodeHeader(token))
    return config.accessTokenKeys.all.find((key) => key.kid === header.kid)
  } catch {
    return undefined
  }
}

/** base64url of 32 bytes leaves two bits over: a token is only good with those bits zero, as it was signed. */
const isCanonical = (token: string) => /\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(token)
