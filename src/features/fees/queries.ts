import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { type Owner, ownerNamed } from '../../access.ts'
import type { Db } from '../../db/client.ts'
import { books, fees, library, loans } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { Fee, FeeFilter } from './schema.ts'

/** What a row of fees is on the wire. */
export const feeJson = sql`json_build_object(
  'id', f.id,
  'userId', f.user_id,
  'kind', f.kind,
  'note', f.note,
  'loanId', f.loan_id,
  'bookTitle', (select b.title from ${loans} l join ${books} b on b.id = l.book_id where l.id = f.loan_id),
  'currency', (select s.currency from ${library} s),
  'balance', f.balance,
  'createdAt', f.created_at,
  'settledAt', f.settled_at,
  'entries', entries_of(f)
)`

/** Throws 'fee-not-found', for somebody else's too, and for a patron once it is settled. */
export function getFee(db: Db, { id, owner }: { id: string; owner: Owner }): Promise<Fee> {
  return db.one(sql`
    select coalesce(
      (
        select ${feeJson}
        from ${fees} f
        where f.id = ${id} ${owner === null ? sql`` : sql`and f.user_id = ${owner}`}
      ),
      refuse_json('fee-not-found')
    ) as body`)
}

/** Patrons see their own. Throws 'forbidden' when a patron asks for somebody's. */
export function listFees(db: Db, { filter, owner }: { filter: FeeFilter; owner: Owner }) {
  const { state, userId, limit, cursor } = filter
  const patron = ownerNamed(owner, userId)
  const after = readCursor(z.uuid(), cursor)
  const conditions = [
    state === 'open' ? sql`f.user_id is not null` : sql`f.user_id is null`,
    ...(patron === null ? [] : [sql`f.user_id = ${patron}`]),
    ...(after === null ? [] : [sql`f.id < ${after}`]),
  ]
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${feeJson} as body, to_json(f.id) as key
        from ${fees} f
        where ${sql.join(conditions, sql` and `)}
        order by f.id desc`,
    }),
  )
}
