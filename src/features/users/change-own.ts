import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import { confirmationOf } from './confirm-email.ts'
import { changeUser } from './queries.ts'
import type { OwnChange, User } from './schema.ts'

/** Changes one's own account. A new email address is asked to be confirmed. Throws 'username-taken'. */
export async function changeOwn(
  db: Db,
  config: Config,
  { userId, change: { email, ...change } }: { userId: string; change: OwnChange },
): Promise<User> {
  if (email === undefined) return changeUser(db, config, { userId, change })
  return changeUser(db, config, { userId, change, confirmation: await confirmationOf(config, { userId, email }) })
}
