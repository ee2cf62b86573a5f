import type { NeonQueryFunction } from '@neondatabase/serverless'
import { expect } from 'vitest'

/** What is true of a library at every moment, whatever is going on in it. */

type Database = NeonQueryFunction<false, false>

export type Inconsistency = { what: string; id: string | null }

/** One statement, so one snapshot: a select for each thing that must not be, of `what` it is and the `id` where it is. */
const ALL = `
  with open_loans as (select * from loans where returned_at is null),
  ready as (select * from holds where copy_id is not null),
  places as (
    select
      c.id, c.book_id, c.state,
      (select count(*) from open_loans l where l.copy_id = c.id) as lent,
      (select count(*) from ready h where h.copy_id = c.id) as kept
    from copies c
    where c.removed_at is null
  )
  select 'a copy is on loan twice' as what, id from places where lent > 1
  union all
  select 'a copy waits for two holds', id from places where kept > 1
  union all
  select 'a copy is on loan and waits for a hold', id from places where lent > 0 and kept > 0
  union all
  select 'the state of a copy is not where it is', id from places
  where (state = 'on_loan') <> (lent > 0) or (state = 'on_hold') <> (kept > 0)
  union all
  select 'the copies of a book do not add up', p.book_id from places p
  group by p.book_id
  having count(*) <> (select count(*) from open_loans l where l.book_id = p.book_id)
    + (select count(*) from ready h where h.book_id = p.book_id)
    + count(*) filter (where p.state = 'available')
    + count(*) filter (where p.state in ('lost', 'expired'))
  union all
  select 'a copy that was removed is on loan or waits', c.id from copies c
  where c.removed_at is not null
    and (exists (select from open_loans l where l.copy_id = c.id) or exists (select from ready h where h.copy_id = c.id))
  union all
  select 'a loan is not of the book or the format of its copy', l.id from open_loans l
  join copies c on c.id = l.copy_id
  where c.book_id <> l.book_id or c.format <> l.format
  union all
  select 'a hold has a copy of another book or format', h.id from ready h
  join copies c on c.id = h.copy_id
  where c.book_id <> h.book_id or c.format <> coalesce(h.format, c.format)
  union all
  -- A suspension that is over by the calendar ends with the next run of the tasks; a licence, too.
  select 'a copy lies free although a hold waits for it', h.id from holds h
  where h.copy_id is null and h.suspended_until is null
    and exists (
      select from copies c
      where c.book_id = h.book_id and c.removed_at is null and c.state = 'available'
        and (h.format is null or h.format = c.format) and (c.loans_left is null or c.loans_left > 0)
        and (c.licence_ends_at is null or c.licence_ends_at > clock() + interval '1 day')
    )
  union all
  select 'a patron has two loans of a book', l.user_id from open_loans l
  group by l.user_id, l.book_id having count(*) > 1
  union all
  select 'a patron has two holds on a book', h.user_id from holds h
  group by h.user_id, h.book_id having count(*) > 1
  union all
  select 'a patron waits for a book that they have', h.id from holds h
  join open_loans l on l.user_id = h.user_id and l.book_id = h.book_id
  union all
  select 'the counter of loans is wrong', n.user_id from loan_counters n
  where n.open_loans <> (select count(*) from open_loans l where l.user_id = n.user_id)
  union all
  select 'an open loan has no borrower, or an ended one still has', l.id from loans l
  where (l.returned_at is null) <> (l.user_id is not null)
  union all
  select 'the ledger of a fee does not balance', f.id from fees f
  where f.balance <> (select coalesce(sum(e.amount), 0) from fee_entries e where e.fee_id = f.id) or f.balance < 0
  union all
  select 'a settled fee has an owner, or an open one has none', f.id from fees f
  where (f.settled_at is null) <> (f.user_id is not null) or (f.settled_at is not null) <> (f.balance = 0)
  union all
  select 'an event names the patron of a matter that is over', e.subject_id from events e
  where e.patron_id is not null
    and not exists (select from open_loans l where l.id = e.subject_id and l.user_id = e.patron_id)
    and not exists (select from holds h where h.id = e.subject_id and h.user_id = e.patron_id)
    and not exists (select from fees f where f.id = e.subject_id and f.user_id = e.patron_id)
    and not exists (select from blocks b where b.id = e.subject_id and b.user_id = e.patron_id)
  union all
  select 'an answer is kept about a loan, a hold or a block that is over', k.subject_id from idempotency_keys k
  where k.answer is not null
    and (
      exists (select from loans l where l.id = k.subject_id and l.returned_at is not null)
      or exists (
        select from events e where e.subject_id = k.subject_id
          and e.kind in ('hold.cancelled', 'hold.collected', 'hold.expired', 'block.lifted', 'block.ended')
      )
    )`

/** True while no policy or category has become stricter, and nobody has set a limit aside. */
const LIMITS = `
  with taken as (
    select l.user_id, policy_for(u.category, l.format) as terms, count(*) as loans, 0 as holds
    from loans l
    join users u on u.id = l.user_id
    where l.returned_at is null
    group by l.user_id, terms
    union all
    select h.user_id, policy_for(u.category, h.format) as terms, 0, count(*)
    from holds h
    join users u on u.id = h.user_id
    group by h.user_id, terms
  )
  select 'a patron has more loans than the policy allows' as what, user_id as id from taken
  where loans > (terms).loan_limit
  union all
  select 'a patron has more holds than the policy allows', user_id from taken
  where holds > (terms).hold_limit`

/** What is wrong in one snapshot. `limits`: also whoever has more than the policies allow. */
export async function inconsistencies(database: Database, { limits = false } = {}): Promise<Inconsistency[]> {
  const rows = await database.query(limits ? `${ALL} union all (${LIMITS})` : ALL)
  return rows.map(({ what, id }) => ({ what: String(what), id: id === null ? null : String(id) }))
}

export async function expectConsistent(database: Database, how: { limits?: boolean } = {}): Promise<void> {
  expect(await inconsistencies(database, how)).toEqual([])
}
