import { type SQL, sql } from 'drizzle-orm'
import { v7 as newId } from 'uuid'
import { z } from 'zod'
import type { Config } from '../../config.ts'
import type { Claim, Db } from '../../db/client.ts'
import { bytea } from '../../db/parameters.ts'
import { loanCounters, users } from '../../db/schema.ts'
import { emailHash } from '../../keyed-hash.ts'
import { mapPage, pageOfRows, readCursor, readPage } from '../../page.ts'
import { seal, sealOptional, unsealOptional } from '../../personal-data.ts'
import type { Confirmation } from './confirm-email.ts'
import type { OwnChange, User, UserChange, UserFilter } from './schema.ts'

/** What a row of users is on the wire, but for what is encrypted: see reveal(). */
export const userJson = sql`json_build_object(
  'id', u.id,
  'username', u.username,
  'email', u.email,
  'pendingEmail', u.pending_email,
  'name', u.name,
  'phone', u.phone,
  'address', u.address,
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

/** A user with what is encrypted made readable. */
export async function reveal(config: Config, sealed: User): Promise<User> {
  const at = (column: 'email' | 'name' | 'phone' | 'address') =>
    ({ column: `users.${column}`, row: sealed.id }) as const
  const [email, pendingEmail, name, phone, address] = await Promise.all([
    unsealOptional(config, at('email'), sealed.email),
    unsealOptional(config, at('email'), sealed.pendingEmail),
    unsealOptional(config, at('name'), sealed.name),
    unsealOptional(config, at('phone'), sealed.phone),
    unsealOptional(config, at('address'), sealed.address),
  ])
  return { ...sealed, email, pendingEmail, name, phone, address }
}

type NewAccount = { username: string; email: string; passwordHash: string; role: User['role'] }

/** Makes an account whose email address needs no confirmation, since whoever runs the library vouches for it. Throws
 *  'username-taken' and 'email-taken'. */
export async function createUser(db: Db, config: Config, account: NewAccount): Promise<User> {
  const { username, email, passwordHash, role } = account
  const id = newId()
  const sealed = await seal(config, { column: 'users.email', row: id }, email)
  const made = await db.one<User>(sql`
    select ${userJson} as body
    from create_user(${id}, ${username}, ${passwordHash}, ${role}, ${sealed}, ${bytea(await emailHash(config, email))}) u`)
  return reveal(config, made)
}

/** Throws 'username-taken'. */
export async function registerUser(
  db: Db,
  config: Config,
  account: { id: string; username: string; passwordHash: string; confirmation: Confirmation },
  claim: Claim | null,
): Promise<User> {
  const { id, username, passwordHash, confirmation } = account
  const { email, hash, tokenHash, messageId, content } = confirmation
  const made = await db.make<User>(
    sql`
      select ${userJson} as body
      from register(
        ${id}, ${username}, ${passwordHash}, ${email}, ${hash}, ${tokenHash}, ${messageId}, ${content}
      ) u`,
    claim,
  )
  return reveal(config, made)
}

export async function getUser(db: Db, config: Config, { userId }: { userId: string }): Promise<User> {
  const user = await db.one<User>(sql`
    select coalesce(
      (select ${userJson} from ${users} u where u.id = ${userId}),
      refuse_json('user-not-found')
    ) as body`)
  return reveal(config, user)
}

/** Throws 'username-taken', 'category-not-found', 'user-not-found'. A history that is turned off is forgotten in the same
 *  transaction. */
export async function changeUser(
  db: Db,
  config: Config,
  { userId, change }: { userId: string; change: OwnChange & UserChange },
): Promise<User> {
  const { username, name, phone, address, keepHistory, role, category, expiresAt } = change
  const personal = { name, phone, address }
  const sealed = await Promise.all(
    (['name', 'phone', 'address'] as const).map(async (column) => {
      const value = await sealOptional(config, { column: `users.${column}`, row: userId }, personal[column])
      return value === undefined ? [] : [sql`${sql.identifier(column)} = ${value}`]
    }),
  )
  const assignments = [
    sql`updated_at = now()`,
    ...(username === undefined ? [] : [sql`username = ${username}`]),
    ...(role === undefined ? [] : [sql`role = ${role}`]),
    ...(category === undefined ? [] : [sql`category = ${category}`]),
    ...(expiresAt === undefined ? [] : [sql`expires_at = ${expiresAt}`]),
    ...sealed.flat(),
  ]
  const history = keepHistory === undefined ? db : db.after(sql`select set_history(${userId}, ${keepHistory})`)
  return reveal(config, await changed(history, { userId, assignments }))
}

export async function suspendUser(
  db: Db,
  config: Config,
  { userId, reason }: { userId: string; reason: string },
): Promise<User> {
  const user = await db.one<User>(sql`
    select ${userJson} as body
    from suspend_user(${userId}, ${reason}) u`)
  return reveal(config, user)
}

export async function reinstateUser(db: Db, config: Config, { userId }: { userId: string }): Promise<User> {
  const user = await changed(db, {
    userId,
    assignments: [sql`suspended_at = null`, sql`suspension_reason = null`, sql`updated_at = now()`],
  })
  return reveal(config, user)
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

/** `q` is the beginning of a username, or a whole email address: what is encrypted has no beginning to look for. */
export async function listUsers(db: Db, config: Config, { q, role, suspended, limit, cursor }: UserFilter) {
  const after = readCursor(Cursor, cursor)
  const conditions = [
    sql`true`,
    ...(q === undefined
      ? []
      : [sql`(starts_with(lower(u.username), lower(${q})) or u.email_hash = ${bytea(await emailHash(config, q))})`]),
    ...(role === undefined ? [] : [sql`u.role = ${role}`]),
    ...(suspended === undefined ? [] : [sql`(u.suspended_at is not null) = ${suspended}`]),
    ...(after === null ? [] : [sql`u.id > ${after}`]),
  ]
  const page = await readPage(
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
  return mapPage<User>(page, (user) => reveal(config, user))
}
