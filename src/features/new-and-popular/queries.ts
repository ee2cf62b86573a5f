import { type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../../db/client.ts'
import { books, copies, latelyBorrowed } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import { bookJson } from '../books/queries.ts'
import type { NewestFilter, PopularFilter, RelatedBooks } from './schema.ts'

/** The newest in the catalogue first. */
export function listNewest(db: Db, { limit, cursor }: NewestFilter) {
  const after = readCursor(z.tuple([z.uuid()]), cursor)
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${bookJson} as body, json_build_array(b.id) as key
        from (
          select * from ${books}
          where removed_at is null ${after === null ? sql`` : sql`and id < ${after[0]}::uuid`}
          order by id desc
          limit ${limit + 1}
        ) as b
        order by b.id desc`,
    }),
  )
}

/** What a subject, a language or a format is looked for among: the list stays quick however rare they are. */
export const POPULAR_MAX = 10_000

/** The most borrowed first, as the scheduled task has last counted. */
export function listPopular(db: Db, { days, subject, language, format, limit, cursor }: PopularFilter) {
  const loans = sql.raw(`loans_${days}`)
  const after = readCursor(z.tuple([z.int().min(0).max(2_147_483_647), z.uuid()]), cursor)
  const conditions: SQL[] = [
    sql`b.removed_at is null`,
    ...(after === null ? [] : [sql`(most.loans, most.book_id) < (${after[0]}::integer, ${after[1]}::uuid)`]),
    ...(subject === undefined ? [] : [sql`b.subject_keys @> array[fold(${subject})]`]),
    ...(language === undefined ? [] : [sql`b.language = ${language}`]),
    ...(format === undefined
      ? []
      : [
          sql`exists (
            select from ${copies} c
            where c.book_id = b.id and c.removed_at is null and c.format = ${format} and circulates(c)
          )`,
        ]),
  ]
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select json_build_object('loans', b.loans, 'book', ${bookJson}) as body, json_build_array(b.loans, b.id) as key
        from (
          select b.*, most.loans
          from (
            select book_id, ${loans} as loans from ${latelyBorrowed}
            where ${loans} > 0
            order by ${loans} desc, book_id desc
            limit ${POPULAR_MAX}
          ) as most
          join ${books} b on b.id = most.book_id
          where ${sql.join(conditions, sql` and `)}
          order by most.loans desc, most.book_id desc
          limit ${limit + 1}
        ) as b
        order by b.loans desc, b.id desc`,
    }),
  )
}

/** What goes with a book, the best reason first. Throws 'book-not-found'. */
export function listRelated(db: Db, { id, limit }: { id: string; limit: number }): Promise<RelatedBooks> {
  return db.one(sql`
    select json_build_object(
      'items', coalesce(json_agg(json_build_object('reason', r.reason, 'book', ${bookJson}) order by r.place), '[]')
    ) as body
    from (
      select * from related_books(${id}, ${limit}) with ordinality as f (book_id, reason, place) limit ${limit}
    ) as r
    join ${books} b on b.id = r.book_id`)
}
