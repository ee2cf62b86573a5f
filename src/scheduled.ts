import { sql } from 'drizzle-orm'
import type { Config } from './config.ts'
import { openDb } from './db/client.ts'
import { log } from './log.ts'

/** At most so many batches a run; the next run goes on. */
const BATCHES_MAX = 20
const BATCH_ROWS = 1_000

/** Deletes what has run out and means nothing any more: sessions, and answers kept for an Idempotency-Key longer than
 *  24 hours. Each batch is one round trip; two runs at once skip each other's rows. */
export async function clearAway(config: Config): Promise<void> {
  const db = openDb({ config, onRoundTrip: () => undefined })
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const { count } = await db.row<{ count: number }>(sql`select clear_away(${BATCH_ROWS}) as count`)
    log({ event: 'cleared_away', count })
    if (count === 0) return
  }
}
