import { hexToBytes } from '@noble/hashes/utils.js'
import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import { bytea } from '../../db/parameters.ts'
import { problem, type ProblemName } from '../../problem.ts'
import type { Tokens } from './schema.ts'
import { hashRefreshToken, issueTokens, newNonce, succeedRefreshToken } from './tokens.ts'

type Outcome =
  | {
      outcome: 'rotated'
      nonce: string
      rotatedAt: string
      sessionId: string
      user: Tokens['user']
    }
  | { outcome: Extract<ProblemName, 'refresh-token-invalid' | 'refresh-token-reused' | 'account-suspended'> }

/** Rotates the pair. We offer a nonce and the hash of the successor that it makes; the database keeps the first offer
 *  for a token and answers with it for ten seconds, so a hundred refreshes at once, or a retry whose answer got lost,
 *  get the same pair. After that the reuse of a spent token ends the session. */
export async function refresh(db: Db, config: Config, { refreshToken }: { refreshToken: string }): Promise<Tokens> {
  const nonce = newNonce()
  const offered = await succeedRefreshToken(refreshToken, nonce)
  const [tokenHash, offeredHash] = await Promise.all([hashRefreshToken(refreshToken), hashRefreshToken(offered)])
  const result = await db.one<Outcome>(sql`
    select json_build_object(
      'outcome', r.outcome,
      'nonce', encode(r.nonce, 'hex'),
      'rotatedAt', r.rotated_at,
      'sessionId', (r.session).id,
      'user', json_build_object('id', (r.session).user_id, 'role', r.user_role)
    ) as body
    from refresh_session(${bytea(tokenHash)}, ${bytea(nonce)}, ${bytea(offeredHash)}) as r`)
  if (result.outcome !== 'rotated') throw problem(result.outcome)
  return issueTokens(config, {
    refreshToken: await succeedRefreshToken(refreshToken, hexToBytes(result.nonce)),
    issuedAt: result.rotatedAt,
    sessionId: result.sessionId,
    user: result.user,
  })
}
