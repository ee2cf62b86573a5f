import { type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Claim, Db } from '../../db/client.ts'
import { loanCounters, users } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { OwnChange, User, UserChange, UserFilter } from './schema.ts'

/** What a row of users is on the wire. */
const userJson = sql`json_build_object(
  'id', u.id,
  'username', u.username,
  'email', u.email,
  'role', u.role,
  'category', u.category,
  'expiresAt', u.expires_at,
  'openLoans', coalesce((select c.open_loans from ${loanCounters} c where c.user_id = u.id), 0),
  'owed', amount_owed(u.id),
  'keepHistory', u.keep_history,
  'suspension', case when u.suspended_at is not null then
    json_build_object('since', u.suspended_at, 'reason', u.suspension_reason)
  end,
  'createdAt', u.created_at
)`

type NewAccount = { username: string; email: string; passwordHash: string; role: User['role'] }

/** Throws 'username-taken' and 'email-taken'. */
export function createUser(db: Db, { username, email, passwordHash, role }: NewAccount, claim: Claim | null) {
  return db.make<User>(
    sql`
      select ${userJson} as body
      from create_user(${username}, ${email}, ${passwordHash}, ${role}) u`,
    claim,
  )
}

export function getUser(db: Db, { userId }: { userId: string }): Promise<User> {
  return db.one(sql`
    select coalesce(
      (select ${userJson} from ${users} u where u.id = ${userId}),
      refuse_json('user-not-found')
    ) as body`)
}

/** Throws 'username-taken', 'email-taken', 'category-not-found', 'user-not-found'. A history that is turned off is
 *  forgotten in the same transaction. */
export function changeUser(
  db: Db,
  { userId, change }: { userId: string; change: OwnChange & UserChange },
): Promise<User> {
  const { username, email, keepHistory, role, category, expiresAt } = change
  const assignments = [
    sql`updated_at = now()`,
    ...(username === undefined ? [] : [sql`username = ${username}`]),
    ...(email === undefined ? [] : [sql`email = ${email}`]),
    ...(role === undefined ? [] : [sql`role = ${role}`]),
    ...(category === undefined ? [] : [sql`category = ${category}`]),
    ...(expiresAt === undefined ? [] : [sql`expires_at = ${expiresAt}`]),
  ]
  const history = keepHistory === undefined ? db : db.after(sql`select set_history(${userId}, ${keepHistory})`)
  return changed(history, { userId, assignments })
}

export function suspendUser(db: Db, { userId, reason }: { userId: string; reason: string }): Promise<User> {
  return db.one(sql`
    select ${userJson} as body
    from suspend_user(${userId}, ${reason}) u`)
}

export function reinstateUser(db: Db, { userId }: { userId: string }): Promise<User> {
  return changed(db, {
    userId,
    assignments: [sql`suspended_at = null`, sql`suspension_reason = null`, sql`updated_at = now()`],
  })
}

function changed(db: Db, { userId, assignments }: { userId: string; assignments: SQL[] }): Promise<User> {
  return db.one(sql`
    with u as (
      update ${users}
      set ${sql.join(assignments, sql`, `)}
      where id = ${userId}
      returning *
    )
    select coalesce((select ${userJson} from u), refuse_json('user-not-found')) as body`)
}

const Cursor = z.uuid()

export function listUsers(db: Db, { q, role, suspended, limit, cursor }: UserFilter) {
  const after = readCursor(Cursor, cursor)
  const conditions = [
    sql`true`,
    ...(q === undefined
      ? []
      : [sql`(starts_with(lower(u.username), lower(${q})) or starts_with(lower(u.email), lower(${q})))`]),
    ...(role === undefined ? [] : [sql`u.role = ${role}`]),
    ...(suspended === undefined ? [] : [sql`(u.suspended_at is not null) = ${suspended}`]),
    ...(after === null ? [] : [sql`u.id > ${after}`]),
  ]
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${userJson} as body, to_json(u.id) as key
        from ${users} u
        where ${sql.join(conditions, sql` and `)}
        order by u.id`,
    }),
  )
}
