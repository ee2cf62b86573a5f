import { type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Claim, Db } from '../../db/client.ts'
import { integerArray, jsonb, textArray } from '../../db/parameters.ts'
import { bookIsbns, books, copies, holds } from '../../db/schema.ts'
import { isOneOf, type Versions } from '../../versions.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { Book, BookChange, BookFilter, NewBook } from './schema.ts'

const holding = (format: 'physical' | 'digital') => sql`json_build_object(
  'copies', count(*) filter (where c.format = ${sql.raw(`'${format}'`)} and circulates(c)),
  'available', count(*) filter (where c.format = ${sql.raw(`'${format}'`)} and can_be_lent(c))
)`

/** What a row of books is on the wire. */
export const bookJson = sql`json_build_object(
  'id', b.id,
  'title', b.title,
  'subtitle', b.subtitle,
  'contributors', b.contributors,
  'publisher', b.publisher,
  'publishedYear', b.published_year,
  'language', b.language,
  'subjects', b.subjects,
  'description', b.description,
  'edition', b.edition,
  'series', b.series,
  'originalScript', b.original_script,
  'links', b.links,
  'isbns', b.isbns,
  'identifiers', b.identifiers,
  'availability', (
    select json_build_object(
      'physical', ${holding('physical')},
      'digital', ${holding('digital')},
      'holds', (select count(*) from ${holds} h where h.book_id = b.id and h.copy_id is null)
    )
    from ${copies} c
    where c.book_id = b.id and c.removed_at is null
  ),
  'version', b.version,
  'createdAt', b.created_at,
  'updatedAt', b.updated_at
)`

/** Throws 'book-not-found', and 'book-merged' for one that is part of another now. */
export function getBook(db: Db, { id }: { id: string }): Promise<Book> {
  return db.one(sql`
    select coalesce(
      (select ${bookJson} from ${books} b where b.id = ${id} and b.removed_at is null),
      refuse_book(${id})
    ) as body`)
}

export function getBookByIsbn(db: Db, { isbn }: { isbn: string }): Promise<Book> {
  return db.one(sql`
    select coalesce(
      (
        select ${bookJson}
        from ${bookIsbns} i
        join ${books} b on b.id = i.book_id
        where i.isbn = ${isbn}
      ),
      refuse_json('book-not-found')
    ) as body`)
}

/** The columns of a catalogue record. What is undefined is left as it is. */
const columnsOf = (record: BookChange): [column: string, value: SQL][] => {
  const column = <T>(name: string, value: T | undefined, write: (value: T) => SQL): [string, SQL][] =>
    value === undefined ? [] : [[name, write(value)]]
  const plain = (value: string | number | null) => sql`${value}`
  return [
    ...column('title', record.title, plain),
    ...column('subtitle', record.subtitle, plain),
    ...column('contributors', record.contributors, jsonb),
    ...column('publisher', record.publisher, plain),
    ...column('published_year', record.publishedYear, plain),
    ...column('language', record.language, plain),
    ...column('subjects', record.subjects, textArray),
    ...column('description', record.description, plain),
    ...column('edition', record.edition, plain),
    ...column('series', record.series, jsonb),
    ...column('original_script', record.originalScript, (script) => (script === null ? sql`null` : jsonb(script))),
    ...column('links', record.links, jsonb),
    ...column('isbns', record.isbns, (isbns) => textArray([...new Set(isbns)])),
    ...column('identifiers', record.identifiers, jsonb),
  ]
}

/** Throws 'isbn-taken'. */
export function createBook(db: Db, record: NewBook, claim: Claim | null): Promise<Book> {
  const columns = columnsOf(record)
  return db.make(
    sql`
      insert into ${books} as b (${sql.raw(columns.map(([column]) => column).join(', '))})
      values (${sql.join(
        columns.map(([, value]) => value),
        sql`, `,
      )})
      returning ${bookJson} as body`,
    claim,
  )
}

/** Throws 'book-not-found', 'isbn-taken', and 'precondition-failed' when the current version is none of `versions`. */
export function changeBook(
  db: Db,
  { id, versions, change }: { id: string; versions: Versions; change: BookChange },
): Promise<Book> {
  const assignments = columnsOf(change).map(([column, value]) => sql`${sql.raw(column)} = ${value}`)
  return db.one(sql`
    with b as (
      update ${books}
      set ${sql.join(assignments, sql`, `)}, version = version + 1, updated_at = now()
      where id = ${id} and removed_at is null and ${isOneOf(versions)}
      returning *
    )
    select coalesce(
      (select ${bookJson} from b),
      refuse_json(
        case
          when exists (select from ${books} where id = ${id} and removed_at is null) then 'precondition-failed'
          else 'book-not-found'
        end
      )
    ) as body`)
}

/** Throws 'book-not-found', 'precondition-failed', 'book-on-loan'. */
export async function removeBook(db: Db, { id, versions }: { id: string; versions: Versions }): Promise<void> {
  await db.row(sql`select remove_book(${id}, ${integerArray(versions)})`)
}

type Sort = NonNullable<BookFilter['sort']>

const Smallint = z.int().min(-32_768).max(32_767)

/** What each order sorts by, and which way. Every order ends in the id, so a page never repeats or skips. */
const orders: Record<Sort, { key: SQL; schema: z.ZodType<string | number>; type: SQL; descending: boolean }> = {
  relevance: { key: sql`rank`, schema: z.number(), type: sql`float8`, descending: true },
  title: { key: sql`title_key collate "C"`, schema: z.string(), type: sql`text`, descending: false },
  '-title': { key: sql`title_key collate "C"`, schema: z.string(), type: sql`text`, descending: true },
  year: { key: yearKey(), schema: Smallint, type: sql`smallint`, descending: false },
  '-year': { key: yearKey(), schema: Smallint, type: sql`smallint`, descending: true },
  newest: { key: sql`id`, schema: z.uuid(), type: sql`uuid`, descending: true },
}

/** Books without a year stand before the oldest. */
function yearKey() {
  return sql`coalesce(published_year, '-32768'::smallint)`
}

/** Plain words or stems, as the catalogue is indexed. */
const queryOf = (q: string) => sql`(
  websearch_to_tsquery('pg_catalog.simple', fold(${q})) || websearch_to_tsquery('pg_catalog.english', fold(${q}))
)`

export function listBooks(db: Db, filter: BookFilter) {
  const { q, limit } = filter
  const sort = filter.sort ?? (q === undefined ? 'newest' : 'relevance')
  const order = orders[sort]
  const direction = order.descending ? sql`desc` : sql`asc`
  const after = readCursor(z.tuple([order.schema, z.uuid()]), filter.cursor)

  // The title itself comes before what begins with it, and that before the rest, by where the words stand.
  const rank =
    q === undefined
      ? sql`0::float8`
      : sql`(
          ts_rank(search, ${queryOf(q)}, 1)
          + case when title_key = fold(${q}) then 2 when starts_with(title_key, fold(${q})) then 1 else 0 end
        )::float8`

  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${bookJson} as body, json_build_array(b.sort_key, b.id) as key
        from (
          select *, ${order.key} as sort_key
          from (select *, ${rank} as rank from ${books} where ${conditionsOf(filter)}) as matches
          ${
            after === null
              ? sql``
              : sql`where (${order.key}, id) ${order.descending ? sql`<` : sql`>`} (${after[0]}::${order.type}, ${after[1]}::uuid)`
          }
          order by ${order.key} ${direction}, id ${direction}
          limit ${limit + 1}
        ) as b
        order by b.sort_key ${direction}, b.id ${direction}`,
    }),
  )
}

function conditionsOf(filter: BookFilter): SQL {
  const { q, language, subject, author, yearFrom, yearTo, format, available } = filter
  const copyExists = (...and: SQL[]) => sql`exists (
    select from ${copies} c
    where ${sql.join([sql`c.book_id = books.id`, sql`c.removed_at is null`, ...and], sql` and `)}
  )`
  const conditions = [
    sql`removed_at is null`,
    ...(q === undefined ? [] : [sql`search @@ ${queryOf(q)}`]),
    ...(language === undefined ? [] : [sql`language = ${language}`]),
    ...(subject === undefined ? [] : [sql`subject_keys @> array[fold(${subject})]`]),
    ...(author === undefined ? [] : [sql`search @@ contributor_query(${author})`]),
    ...(yearFrom === undefined ? [] : [sql`published_year >= ${yearFrom}`]),
    ...(yearTo === undefined ? [] : [sql`published_year <= ${yearTo}`]),
    ...(format === undefined || available === true ? [] : [copyExists(sql`c.format = ${format}`, sql`circulates(c)`)]),
    ...(available === true
      ? [copyExists(sql`can_be_lent(c)`, ...(format === undefined ? [] : [sql`c.format = ${format}`]))]
      : []),
  ]
  return sql.join(conditions, sql` and `)
}
