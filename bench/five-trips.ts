import { sql } from 'drizzle-orm'
import { allow } from '../src/actor.ts'
import { type Actor, type Db, openDb } from '../src/db/client.ts'
import { factory } from '../src/factory.ts'
import { getLoan } from '../src/features/loans/queries.ts'
import { type Loan, NewLoan } from '../src/features/loans/schema.ts'
import { allowListedOrigins, boundedBody, boundedUri, configured, headers, onlyHttps, record } from '../src/frame.ts'
import { valid } from '../src/input.ts'
import { onError, problem } from '../src/problem.ts'

/** A Worker that lends as is usual over HTTP, where a transaction cannot wait for an answer: it reads, decides here, and
 *  writes. All else is Lectern's own: what surrounds a request, the driver, the rules for a patron who has neither a hold
 *  nor an override, the answer. Two requests at once can pass a limit together; that is what it saves in locks. */
const app = factory.createApp()

app.use(record, headers, configured, onlyHttps, allowListedOrigins, boundedUri, boundedBody)
app.onError(onError)

app.get('/healthz', (c) => c.text('ok', 200))
app.post('/v1/loans', allow('POST /v1/loans'), valid('json', NewLoan), async (c) => {
  const { bookId, format } = c.req.valid('json')
  if (bookId === undefined) throw problem('invalid-input')
  const db = openDb({ config: c.var.config, onRoundTrip: () => c.var.record.roundTrips++ })
  // The session is checked where the account is read, at no trip of its own.
  const patron = await readPatron(c.var.db, { userId: c.var.actor.userId, format: format ?? 'physical' })
  requireInGoodStanding(patron)
  await requireBook(db, { bookId, actor: c.var.actor })
  const copy = await chooseCopy(db, { bookId, format: format ?? null, category: patron.category })
  const id = await lend(db, { bookId, copy, patron, actor: c.var.actor })
  const loan = await getLoan(db, { id, owner: c.var.owner })
  return c.json(loan, 201, { location: `/v1/loans/${loan.id}` })
})

type Patron = {
  category: string
  isSuspended: boolean
  hasExpired: boolean
  isBlocked: boolean
  owed: number
  feeLimit: number | null
  overdue: number
  overdueLimit: number | null
  openLoans: number
  loanLimit: number
  graceDays: number
  feePerDay: number
  feeMax: number
}

/** Trip 1. */
function readPatron(db: Db, { userId, format }: { userId: string; format: Loan['format'] }): Promise<Patron> {
  return db.row(sql`
    select
      u.category,
      u.suspended_at is not null as "isSuspended",
      coalesce(u.expires_at <= clock(), false) as "hasExpired",
      exists (select from blocks b where b.user_id = u.id and (b.ends_at is null or b.ends_at > clock())) as "isBlocked",
      amount_owed(u.id)::float8 as owed,
      p.fee_limit as "feeLimit",
      (
        select count(*)::integer
        from loans l
        where l.user_id = u.id and l.returned_at is null and l.format = 'physical' and l.due_at < clock()
          and l.claimed_returned_at is null
      ) as overdue,
      p.overdue_limit as "overdueLimit",
      c.open_loans as "openLoans",
      p.loan_limit as "loanLimit",
      p.grace_days as "graceDays",
      p.fee_per_day as "feePerDay",
      p.fee_max as "feeMax"
    from users u
    join loan_counters c on c.user_id = u.id
    cross join policy_for(u.category, ${format}) as p
    where u.id = ${userId}`)
}

function requireInGoodStanding(patron: Patron): void {
  if (patron.isSuspended) throw problem('patron-suspended')
  if (patron.hasExpired) throw problem('account-expired')
  if (patron.isBlocked) throw problem('patron-blocked')
  if (patron.feeLimit !== null && patron.owed >= patron.feeLimit) throw problem('fee-limit-reached')
  if (patron.overdueLimit !== null && patron.overdue >= patron.overdueLimit) throw problem('overdue-limit-reached')
  if (patron.openLoans >= patron.loanLimit) throw problem('loan-limit-reached')
}

/** Trip 2. */
async function requireBook(db: Db, { bookId, actor }: { bookId: string; actor: Actor }): Promise<void> {
  const { isThere, isOnLoan } = await db.row<{ isThere: boolean; isOnLoan: boolean }>(sql`
    select
      exists (select from books b where b.id = ${bookId} and b.removed_at is null) as "isThere",
      exists (
        select from loans l where l.user_id = ${actor.userId} and l.book_id = ${bookId} and l.returned_at is null
      ) as "isOnLoan"`)
  if (!isThere) throw problem('book-not-found')
  if (isOnLoan) throw problem('already-on-loan')
}

type Copy = { id: string; format: Loan['format']; dueAt: string }

/** Trip 3, with the day on which a loan of it would end. */
async function chooseCopy(
  db: Db,
  { bookId, format, category }: { bookId: string; format: Loan['format'] | null; category: string },
): Promise<Copy> {
  const { copy } = await db.row<{ copy: Copy | null }>(sql`
    select (
      select json_build_object(
        'id', c.id,
        'format', c.format,
        'dueAt', due_moment(policy_for(${category}, c.format), c.format, c.licence_ends_at)
      )
      from copies c
      where c.book_id = ${bookId} and (${format}::text is null or c.format = ${format}) and can_be_lent(c)
      order by c.format = 'physical' desc, c.licence_ends_at, c.loans_left, c.id
      limit 1
    ) as copy`)
  if (copy === null) throw problem('no-copy-available')
  return copy
}

/** Trip 4. That two do not get one copy is held by loans_one_open_per_copy. */
async function lend(
  db: Db,
  { bookId, copy, patron, actor }: { bookId: string; copy: Copy; patron: Patron; actor: Actor },
): Promise<string> {
  const { id } = await db
    .after(sql`update copies set state = 'on_loan', loans_left = loans_left - 1 where id = ${copy.id}`)
    .after(sql`update loan_counters set open_loans = open_loans + 1 where user_id = ${actor.userId}`).row<{
    id: string
  }>(sql`
      with made as (
        insert into loans (user_id, copy_id, book_id, format, due_at, category, grace_days, fee_per_day, fee_max)
        values (
          ${actor.userId}, ${copy.id}, ${bookId}, ${copy.format}, ${copy.dueAt},
          ${patron.category}, ${patron.graceDays}, ${patron.feePerDay}, ${patron.feeMax}
        )
        returning id
      ),
      told as (
        insert into events (kind, subject_id, book_id, copy_id, patron_id, actor_role, details)
        select
          'loan.made', id, ${bookId}, ${copy.id}, ${actor.userId}, 'patron',
          jsonb_build_object('dueAt', ${copy.dueAt}::timestamptz)
        from made
      )
      select id from made`)
  return id
}

// oxlint-disable-next-line import/no-default-export -- workerd starts a Worker by its default export
export default { fetch: app.fetch }
