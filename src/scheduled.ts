import { type SQL, sql } from 'drizzle-orm'
import { type Config, ConfigError } from './config.ts'
import { type Db, openDb } from './db/client.ts'
import { noticeSecurityTxt } from './features/service/security-txt.ts'
import { log } from './log.ts'
import { deliverMail } from './mail/deliver.ts'
import { reEncrypt } from './re-encrypt.ts'

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
  { event: 'books_learned', statement: sql`select learn_books(1000) as count` },
  { event: 'books_ranked', statement: sql`select retier(5000) as count` },
  { event: 'figures_gathered', statement: sql`select gather_figures(1000) as count` },
  { event: 'figures_aged', statement: sql`select age_figures(1000) as count` },
  { event: 'pairs_gathered', statement: sql`select gather_pairs(1000) as count` },
  { event: 'collection_walked', statement: sql`select walk_collection(2000) as count` },
] satisfies Task[]

/** A batch of what the database cannot do alone; it answers how much it did. */
type Chore = { event: string; batch: (config: Config) => Promise<number> }

const chores = [
  { event: 'mail_taken', batch: deliverMail },
  { event: 're_encrypted', batch: (config) => reEncrypt(config, openDb({ config, onRoundTrip: () => undefined })) },
] satisfies Chore[]

/** Runs every task, also when one before it failed; throws then, at the end. Throws ConfigError at the first. */
export async function runTasks(config: Config): Promise<void> {
  noticeSecurityTxt(config)
  const failures: unknown[] = []
  const db = openDb({ config, onRoundTrip: () => undefined })
  const all: Chore[] = [
    ...tasks.map(({ event, statement }) => ({ event, batch: () => countOf(db, statement) })),
    ...chores,
  ]
  for (const chore of all) {
    await inBatches(config, chore).catch((error: unknown) => {
      if (error instanceof ConfigError) throw error
      failures.push(error)
    })
  }
  if (failures.length > 0) throw new AggregateError(failures, 'scheduled tasks failed')
}

const countOf = async (db: Db, statement: SQL) => (await db.row<{ count: number }>(statement)).count

async function inBatches(config: Config, { event, batch }: Chore): Promise<void> {
  for (let i = 0; i < BATCHES_MAX; i++) {
    const count = await batch(config)
    log({ event, count })
    if (count === 0) return
  }
}
