import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import { bytea, byteaArray } from '../../db/parameters.ts'
import { emailHash, keyedHash } from '../../keyed-hash.ts'
import { seal, sealOptional, unseal } from '../../personal-data.ts'
import { problem } from '../../problem.ts'
import { sha256 } from '../../sha256.ts'
import { digitsOf, normalRecoveryCode, stepOfCode } from '../second-factor/codes.ts'
import { hashPassword, verifyPassword } from '../users/password.ts'
import { tooManyAttempts } from './attempts.ts'
import type { NewSession, Tokens } from './schema.ts'
import { hashRefreshToken, issueTokens, newRefreshToken } from './tokens.ts'

type Begun = {
  wait: number
  isKnown: boolean
  eventId: string | null
  user: { id: string; role: 'staff' | 'patron'; stored: string } | null
  secret: string | null
}

type Opened = { refusal: 'second-factor-required' | 'wrong-code' } | { refusal: null; at: string; hasMessage: boolean }

/** Two round trips: the hash must be read before the password can be compared. The first counts the attempt, as failed,
 *  before anything is compared; the second takes that back. An unknown account costs the same work, is counted alike and
 *  gets the same answer as a wrong password. Throws 'too-many-attempts', 'wrong-credentials', 'account-suspended',
 *  'second-factor-required', 'wrong-code'; the last two only to whoever knows the password. */
export async function logIn(
  db: Db,
  config: Config,
  { username, password, code, deviceName }: NewSession,
  { address }: { address: string },
): Promise<{ tokens: Tokens; hasMessage: boolean }> {
  const [addressHash, ...keys] = await Promise.all([
    keyedHash(config, 'address', address),
    keyedHash(config, 'login', username.toLowerCase(), address),
    keyedHash(config, 'login-account', username.toLowerCase()),
    keyedHash(config, 'login-address', address),
  ])
  const begun = await db.one<Begun>(sql`
    select json_build_object(
      'wait', b.wait,
      'isKnown', b.is_known,
      'eventId', b.event_id,
      'user', case when (b.account).id is not null then json_build_object(
        'id', (b.account).id, 'role', (b.account).role, 'stored', (b.account).password_hash
      ) end,
      'secret', (b.second_factor).secret
    ) as body
    from begin_login(
      ${username}, ${bytea(await emailHash(config, username))}, ${bytea(addressHash)}, ${byteaArray(keys)}
    ) as b`)
  if (begun.wait > 0) throw tooManyAttempts(begun.wait)
  const { user, secret } = begun
  const { isRight, isOutdated } = await verifyPassword(config, { password, stored: user?.stored ?? null })
  if (!isRight || user === null) throw problem('wrong-credentials')

  const factor = secret === null ? null : await readFactor(config, { userId: user.id, secret, code })
  const newHash = isOutdated ? await hashPassword(config, password) : null
  const refreshToken = newRefreshToken()
  const ids = { session: crypto.randomUUID(), message: crypto.randomUUID() }
  const [device, content, tokenHash] = await Promise.all([
    sealOptional(config, { column: 'sessions.device_name', row: ids.session }, deviceName),
    seal(config, { column: 'messages.content', row: ids.message }, JSON.stringify({ deviceName })),
    hashRefreshToken(refreshToken),
  ])
  const counted = begun.isKnown ? keys.slice(0, 1) : keys
  const opened = await db.one<Opened>(sql`
    select json_build_object('refusal', l.refusal, 'at', l.opened_at, 'hasMessage', l.has_message) as body
    from log_in(
      ${user.id}, ${user.stored}, ${newHash}, ${bytea(tokenHash)}, ${ids.session}, ${device ?? null},
      ${byteaArray(counted)}, ${bytea(addressHash)}, ${begun.eventId}, ${factor?.step ?? null},
      ${factor?.codeHash ?? sql`null::bytea`}, ${ids.message}, ${content}
    ) as l`)
  if (opened.refusal !== null) throw problem(opened.refusal)
  const tokens = await issueTokens(config, {
    refreshToken,
    issuedAt: opened.at,
    sessionId: ids.session,
    user: { id: user.id, role: user.role },
  })
  return { tokens, hasMessage: opened.hasMessage }
}

/** The period of a code that is of none that counts: long spent in any account. */
const NO_STEP = 0

/** What the database has to spend: the period of a code, or a recovery code; neither where none was sent. */
async function readFactor(
  config: Config,
  { userId, secret, code }: { userId: string; secret: string; code: string | undefined },
): Promise<{ step: number | null; codeHash: SQL | null }> {
  if (code === undefined) return { step: null, codeHash: null }
  const digits = digitsOf(code)
  if (digits === null) return { step: null, codeHash: bytea(await sha256(normalRecoveryCode(code))) }
  const plain = await unseal(config, { column: 'second_factors.secret', row: userId }, secret)
  return { step: stepOfCode(plain, digits) ?? NO_STEP, codeHash: null }
}
