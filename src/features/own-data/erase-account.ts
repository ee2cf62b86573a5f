import { sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import { log } from '../../log.ts'
import { send } from '../../mail/drivers.ts'
import { writeLetter } from '../../mail/messages.ts'
import { unseal } from '../../personal-data.ts'
import type { Erasure } from './schema.ts'

type Erased = { receipt: Erasure; recipient: string | null }

/** Erases an account and everything that names it. recipient: the address to tell, still encrypted. Throws 'loans-open',
 *  'fees-owed', 'last-member-of-staff'. */
export const eraseAccount = (db: Db, { userId }: { userId: string }): Promise<Erased> =>
  db.one(sql`
    select json_build_object(
      'receipt', json_build_object(
        'id', (e.receipt).id, 'erasedAt', (e.receipt).erased_at, 'counts', (e.receipt).counts
      ),
      'recipient', e.recipient
    ) as body
    from erase_user(${userId}) e`)

/** Tells the address once. There is no message in the database for this, which may not know the address any more, so nothing
 *  is tried again. Never rejects. */
export async function tellErased(
  config: Config,
  { userId, recipient, receipt }: Erased & { userId: string },
): Promise<void> {
  if (recipient === null) return
  try {
    const to = await unseal(config, { column: 'users.email', row: userId }, recipient)
    const at = `${receipt.erasedAt.slice(0, 16).replace('T', ' ')} UTC`
    await send(config, { to, ...writeLetter('account-erased', { content: {}, at, config }) })
  } catch {
    log({ event: 'mail.failed' })
  }
}
