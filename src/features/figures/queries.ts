import { type SQL, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { z } from 'zod'
import type { Db } from '../../db/client.ts'
import { books, collectionCounts, copies, figuresProgress, holds, lendingDays, subjectDays } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { CollectionFilter, DemandFigures, LoanFigures, LoanFiguresFilter } from './schema.ts'

const sums = sql`sum(loans) as loans, sum(renewals) as renewals, sum(returns) as returns`

const by = (name: SQL, table: PgTable) => sql`
  select ${name} as name, ${sums}
  from ${table}, range
  where day between first_day and last_day
  group by name
  order by loans desc, name
  limit 1000`

/** What is counted, by what: columns name, loans, renewals, returns, in the order of the answer. */
const countedBy: Record<LoanFiguresFilter['by'], SQL> = {
  day: sql`
    select d.day::date::text as name, coalesce(c.loans, 0) as loans, coalesce(c.renewals, 0) as renewals,
      coalesce(c.returns, 0) as returns
    from range
    cross join generate_series(first_day, last_day, interval '1 day') as d (day)
    left join (
      select day, ${sums} from ${lendingDays}, range where day between first_day and last_day group by day
    ) as c on c.day = d.day::date
    order by d.day`,
  format: by(sql`format`, lendingDays),
  category: by(sql`nullif(category, '')`, lendingDays),
  subject: by(sql`subject`, subjectDays),
}

/** Loans, renewals and returns of at most a year, as they were last counted. */
export function getLoanFigures(db: Db, { from, to, by }: LoanFiguresFilter): Promise<LoanFigures> {
  return db.one(sql`
    with given as (select ${from ?? null}::date as first_day, ${to ?? null}::date as last_day),
    range as materialized (
      select coalesce(first_day, coalesce(last_day, today()) - 29) as first_day,
        coalesce(last_day, first_day + 29, today()) as last_day
      from given
    )
    select json_build_object(
      'from', range.first_day,
      'to', range.last_day,
      'by', ${by}::text,
      'countedAt', (select gathered_at from ${figuresProgress}),
      'items', (
        select coalesce(json_agg(json_build_object(
          'name', name, 'loans', loans, 'renewals', renewals, 'returns', returns
        )), '[]')
        from (${countedBy[by]}) as counted
      )
    ) as body
    from range`)
}

/** What is asked for and not to be had, at this moment. */
export function getDemandFigures(db: Db, { limit }: { limit: number }): Promise<DemandFigures> {
  return db.one(sql`
    with waiting as (
      select h.book_id, count(*) as holds, bool_or(h.format is null) as any_format, array_agg(h.format) as formats
      from ${holds} h
      where waits(h)
      group by h.book_id
    ),
    demand as (
      select w.book_id, w.holds, (
        select count(*) from ${copies} c
        where c.book_id = w.book_id and c.removed_at is null and serves_queue(c)
          and (w.any_format or c.format = any (w.formats))
      ) as copies
      from waiting w
    ),
    pressing as (
      select b.id, b.title, d.holds, d.copies, d.holds::numeric / nullif(d.copies, 0) as per_copy
      from demand d
      join ${books} b on b.id = d.book_id
      order by per_copy desc nulls first, d.holds desc, b.id
      limit ${limit}
    )
    select json_build_object('items', coalesce(json_agg(json_build_object(
      'bookId', id,
      'title', title,
      'holds', holds,
      'copies', copies,
      'holdsPerCopy', round(per_copy, 2)
    ) order by per_copy desc nulls first, holds desc, id), '[]')) as body
    from pressing`)
}

/** What there is and how it is used, by the last walk through the catalogue. */
export function listCollectionParts(db: Db, { by, limit, cursor }: CollectionFilter) {
  const after = readCursor(z.tuple([z.string().max(1000)]), cursor)
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select json_build_object(
          'name', p.name,
          'books', p.books,
          'copies', p.copies,
          'loans', p.loans,
          'turnover', round(p.loans::numeric / p.copies, 2),
          'idle90', p.idle_90,
          'idle365', p.idle_365,
          'idle1095', p.idle_1095
        ) as body, json_build_array(p.name) as key
        from ${collectionCounts} p
        where p.walk = (select walk - 1 from ${figuresProgress}) and p.kind = ${by}
          ${after === null ? sql`` : sql`and p.name > ${after[0]}`}
        order by p.name`,
    }),
  )
}
