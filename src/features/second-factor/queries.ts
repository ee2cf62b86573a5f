import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db, LoggedIn } from '../../db/client.ts'
import { byteaArray } from '../../db/parameters.ts'
import { recoveryCodes, secondFactors, users } from '../../db/schema.ts'
import { seal, unseal } from '../../personal-data.ts'
import { problem } from '../../problem.ts'
import { sha256 } from '../../sha256.ts'
import { newRecoveryCode, newSecret, normalRecoveryCode, RECOVERY_CODES, stepOfCode, uriOf } from './codes.ts'
import type { SecondFactor } from './schema.ts'

export const getSecondFactor = (db: Db, { userId }: LoggedIn): Promise<SecondFactor> =>
  db.one(sql`
    select json_build_object(
      'confirmedAt', (select confirmed_at from ${secondFactors} where user_id = ${userId}),
      'recoveryCodesLeft', (select count(*)::integer from ${recoveryCodes} where user_id = ${userId})
    ) as body`)

/** Makes a secret, which counts once a code of it has been shown. Throws 'second-factor-active'. */
export async function beginSecondFactor(db: Db, config: Config, { userId }: LoggedIn) {
  const secret = newSecret()
  const sealed = await seal(config, { column: 'second_factors.secret', row: userId }, secret)
  const { username } = await db
    .after(sql`select begin_second_factor(${userId}, ${sealed})`)
    .row<{ username: string }>(sql`select username from ${users} where id = ${userId}`)
  return { secret, uri: uriOf({ secret, username, issuer: new URL(config.publicUrl).hostname }) }
}

/** Two round trips: the secret must be read before the code can be compared. Answers the recovery codes and ends the
 *  other sessions, which have not shown the factor. Throws 'second-factor-not-begun', 'wrong-code'. */
export async function confirmSecondFactor(
  db: Db,
  config: Config,
  { actor, code }: { actor: LoggedIn; code: string },
): Promise<{ recoveryCodes: string[] }> {
  const { userId, sessionId } = actor
  const { sealed } = await db.row<{ sealed: string | null }>(sql`
    select (select secret from ${secondFactors} where user_id = ${userId} and confirmed_at is null) as sealed`)
  if (sealed === null) throw problem('second-factor-not-begun')
  const step = stepOfCode(await unseal(config, { column: 'second_factors.secret', row: userId }, sealed), code)
  if (step === null) throw problem('wrong-code')
  const { codes, hashes } = await newCodes()
  await db.row(sql`select confirm_second_factor(${userId}, ${sessionId}, ${sealed}, ${step}, ${byteaArray(hashes)})`)
  return { recoveryCodes: codes }
}

/** The old ones are good no more. Throws 'second-factor-not-begun'. */
export async function replaceRecoveryCodes(
  db: Db,
  { userId, sessionId }: LoggedIn,
): Promise<{ recoveryCodes: string[] }> {
  const { codes, hashes } = await newCodes()
  await db.row(sql`select replace_recovery_codes(${userId}, ${sessionId}, ${byteaArray(hashes)})`)
  return { recoveryCodes: codes }
}

/** Throws 'second-factor-not-begun'. */
export async function removeSecondFactor(db: Db, { userId, sessionId }: LoggedIn): Promise<void> {
  await db.row(sql`select remove_second_factor(${userId}, ${sessionId})`)
}

async function newCodes() {
  const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode)
  return { codes, hashes: await Promise.all(codes.map((code) => sha256(normalRecoveryCode(code)))) }
}
