import { type SQL, sql } from 'drizzle-orm'
import type { Config } from './config.ts'
import { openDb } from './db/client.ts'
import { log } from './log.ts'

/** At most so many batches a run; the next run goes on. */
const BATCHES_MAX = 20
const BATCH_ROWS = 1_000
const BATCH_BOOKS = 100

/** Deletes what has run out and means nothing any more: sessions, and answers kept for an Idempotency-Key longer than
 *  24 hours. */
export const clearAway = (config: Config) =>
  inBatches(config, { event: 'cleared_away', statement: sql`select clear_away(${BATCH_ROWS}) as count` })

/** Passes on copies that were not collected in time, and those that lie free although somebody waits for them. */
export const settleHolds = (config: Config) =>
  inBatches(config, { event: 'holds_settled', statement: sql`select settle_holds(${BATCH_BOOKS}) as count` })

/** Each batch is one round trip; two runs at once skip each other's rows. */
async function inBatches(config: Config, { event, statement }: { event: string; statement: SQL }): Promise<void> {
  const db = openDb({ config, onRoundTrip: () => undefined })
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const { count } = await db.row<{ count: number }>(statement)
    log({ event, count })
    if (count === 0) return
  }
}
