import { sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { feeJson } from './queries.ts'
import type { Fee, NewFee } from './schema.ts'

/** Charges a patron for what is no loan. The amount is in minor units. Throws 'user-not-found'. */
export function chargeFee(db: Db, { userId, amount, note }: NewFee, claim: Claim | null): Promise<Fee> {
  return db.make(
    sql`
      select ${feeJson} as body
      from charge_fee(${userId}, ${amount}, ${note}) f`,
    claim,
  )
}
