import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { type Owner, ownerNamed } from '../../access.ts'
import type { Actor, Db } from '../../db/client.ts'
import { books, loans, pastLoans } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { Loan, LoanFilter } from './schema.ts'

/** What a row of loans is on the wire. */
export const loanJson = sql`json_build_object(
  'id', l.id,
  'bookId', l.book_id,
  'bookTitle', (select b.title from ${books} b where b.id = l.book_id),
  'copyId', l.copy_id,
  'format', l.format,
  'userId', l.user_id,
  'checkedOutAt', l.checked_out_at,
  'dueAt', l.due_at,
  'renewals', l.renewals,
  'returnedAt', l.returned_at,
  'lostAt', l.lost_at,
  'claimedReturnedAt', l.claimed_returned_at,
  'accruedFee', accrued_fee(l)
)`

const isInHistoryOf = (userId: string) =>
  sql`exists (select from ${pastLoans} p where p.user_id = ${userId} and p.loan_id = l.id)`

/** Throws 'loan-not-found', for somebody else's too. */
export function getLoan(db: Db, { id, owner }: { id: string; owner: Owner }): Promise<Loan> {
  return db.one(sql`
    select coalesce(
      (
        select ${loanJson}
        from ${loans} l
        where l.id = ${id} ${owner === null ? sql`` : sql`and (l.user_id = ${owner} or ${isInHistoryOf(owner)})`}
      ),
      refuse_json('loan-not-found')
    ) as body`)
}

/** Patrons see their own, and returned ones if they keep a history, which staff do not see. Throws 'forbidden' when a
 *  patron asks for somebody's. */
export function listLoans(db: Db, { filter, owner, actor }: { filter: LoanFilter; owner: Owner; actor: Actor }) {
  const { state, overdue, userId, bookId, limit, cursor } = filter
  const patron = ownerNamed(owner, userId)
  const after = readCursor(z.uuid(), cursor)
  const conditions = [
    state === 'open' ? sql`l.returned_at is null` : sql`l.returned_at is not null`,
    ...(patron === null
      ? []
      : [state === 'returned' && patron === actor.userId ? isInHistoryOf(patron) : sql`l.user_id = ${patron}`]),
    ...(bookId === undefined ? [] : [sql`l.book_id = ${bookId}`]),
    ...(overdue === true ? [sql`l.due_at < now()`] : []),
    ...(after === null ? [] : [sql`l.id < ${after}`]),
  ]
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${loanJson} as body, to_json(l.id) as key
        from ${loans} l
        where ${sql.join(conditions, sql` and `)}
        order by l.id desc`,
    }),
  )
}
