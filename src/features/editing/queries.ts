import { sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../../db/client.ts'
import { bookKeys, bookRevisions, books } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { DuplicatesFilter, RevisionFilter } from './schema.ts'

/** The versions of a book, the newest first, also of one that was removed. Throws 'book-not-found'. */
export function listRevisions(db: Db, { bookId, limit, cursor }: RevisionFilter & { bookId: string }) {
  const before = readCursor(z.int().min(1).max(2_147_483_647), cursor)
  return readPage(
    db.after(requireRevisions(bookId)),
    pageOfRows({
      limit,
      rows: sql`
        select
          json_build_object(
            'version', r.version,
            'kind', r.kind,
            'changedAt', r.changed_at,
            'actorId', r.actor_id,
            'before', difference.before,
            'after', difference.after
          ) as body,
          to_json(r.version) as key
        from ${bookRevisions} r
        left join lateral (
          select p.record from ${bookRevisions} p
          where p.book_id = r.book_id and p.version < r.version
          order by p.version desc
          limit 1
        ) as earlier on true
        cross join lateral (
          select
            coalesce(jsonb_object_agg(f.key, earlier.record -> f.key) filter (where earlier.record ? f.key), '{}') as before,
            coalesce(jsonb_object_agg(f.key, f.value), '{}') as after
          from jsonb_each(r.record) as f
          where case
            when earlier.record is null then f.value not in ('null', '[]')
            else f.value is distinct from earlier.record -> f.key
          end
        ) as difference
        where r.book_id = ${bookId} ${before === null ? sql`` : sql`and r.version < ${before}`}
        order by r.version desc`,
    }),
  )
}

const requireRevisions = (bookId: string) => sql`
  select case
    when not exists (select from ${bookRevisions} where book_id = ${bookId}) then refuse_json('book-not-found')
  end`

/** How many keys one page looks through: a tenth of a second or so, however few duplicates there are among them. */
const KEYS_A_PAGE = 50_000

/** Books that may be the same, in the order of what they share. A page reads the index of the keys from where the last one
 *  ended, looks at books only where a key is there twice, and may come to its end with fewer than asked for, or with none. */
export function listDuplicates(db: Db, { limit, cursor }: DuplicatesFilter) {
  // A key is a hash in the form of a UUID, of no version.
  const after = readCursor(z.guid(), cursor) ?? NIL
  return readPage(
    db,
    sql`
      with horizon as (
        select key from ${bookKeys} where key > ${after} order by key offset ${KEYS_A_PAGE - 1} limit 1
      ),
      found as (
        select shared.key, shared.kind, likely.ids, row_number() over () as place
        from (
          select key, min(kind) as kind from ${bookKeys}
          where key > ${after} and key <= coalesce((select key from horizon), ${MAX})
          group by key
          having count(*) > 1
          order by key
        ) as shared
        cross join lateral likely_duplicates(shared.key) as likely (ids)
        where likely.ids is not null
        limit ${limit + 1}
      ),
      shown as (
        select
          f.place,
          json_build_object(
            'reason', f.kind,
            'books', (select json_agg(${candidateJson} order by b.id) from ${books} b where b.id = any (f.ids))
          ) as body
        from found f
        where f.place <= ${limit}
      )
      select
        (select coalesce(json_agg(s.body order by s.place), '[]')::text from shown s) as items,
        coalesce(
          (select to_json(f.key) from found f where f.place = ${limit} and exists (select from found where place > ${limit})),
          (select to_json(key) from horizon)
        ) as last`,
  )
}

const [NIL, MAX] = ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff']

const candidateJson = sql`json_build_object(
  'id', b.id,
  'title', b.title,
  'subtitle', b.subtitle,
  'contributors', b.contributors,
  'publisher', b.publisher,
  'publishedYear', b.published_year,
  'language', b.language,
  'edition', b.edition,
  'isbns', b.isbns,
  'identifiers', b.identifiers,
  'version', b.version
)`
