import { sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { feeJson } from './queries.ts'
import type { Fee } from './schema.ts'

type Reduction = { id: string; kind: 'payment' | 'waiver'; amount: number; reason: string | null }

/** Takes an amount, in minor units, off what is owed. A fee that comes to nothing is settled and forgets whose it was.
 *  Throws 'fee-not-found', 'fee-settled', 'amount-exceeds-balance'. */
export function reduceFee(db: Db, { id, kind, amount, reason }: Reduction, claim: Claim | null): Promise<Fee> {
  return db.make(
    sql`
      select ${feeJson} as body
      from reduce_fee(${id}, ${kind}, ${amount}, ${reason}) f`,
    claim,
  )
}
