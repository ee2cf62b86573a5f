import { type SQL, sql } from 'drizzle-orm'
import { type Config, ConfigError } from './config.ts'
import { openDb } from './db/client.ts'
import { log } from './log.ts'

/** At most so many batches of a kind a run; the next run goes on. */
const BATCHES_MAX = 20

type Task = { event: string; statement: SQL }

/** What time does, in this order: what ends may free a copy for whoever waits. Each batch is one round trip and bounded;
 *  two runs at once leave each other's work alone. */
export const tasks = [
  { event: 'digital_loans_ended', statement: sql`select end_digital_loans(100) as count` },
  { event: 'licences_expired', statement: sql`select expire_licences(100) as count` },
  { event: 'holds_woken', statement: sql`select wake_holds(100) as count` },
  { event: 'holds_settled', statement: sql`select settle_holds(100) as count` },
  { event: 'blocks_ended', statement: sql`select end_blocks(1000) as count` },
  { event: 'cleared_away', statement: sql`select clear_away(1000) as count` },
] satisfies Task[]

/** Runs every task, also when one before it failed; throws then, at the end. Throws ConfigError at the first. */
export async function runTasks(config: Config): Promise<void> {
  const failures: unknown[] = []
  for (const task of tasks) {
    await inBatches(config, task).catch((error: unknown) => {
      if (error instanceof ConfigError) throw error
      failures.push(error)
    })
  }
  if (failures.length > 0) throw new AggregateError(failures, 'scheduled tasks failed')
}

async function inBatches(config: Config, { event, statement }: Task): Promise<void> {
  const db = openDb({ config, onRoundTrip: () => undefined })
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const { count } = await db.row<{ count: number }>(statement)
    log({ event, count })
    if (count === 0) return
  }
}
