import { type SQL, sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { integerArray, jsonb, textArray } from '../../db/parameters.ts'
import { bookIsbns, books, copies, holds } from '../../db/schema.ts'
import type { Reading } from '../../edge-cache.ts'
import { isOneOf, type Versions } from '../../versions.ts'
import { type Book, type BookChange, bookForm, type NewBook } from './schema.ts'

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

/** Of all that bookJson holds: the version, which fields there are, and the availability, which changes without a version. */
const bookTag = sql`(
  select concat(
    '"', b.version, '-',
    concat_ws(
      '.', ${bookForm}::int,
      count(*) filter (where c.format = 'physical' and circulates(c)),
      count(*) filter (where c.format = 'physical' and can_be_lent(c)),
      count(*) filter (where c.format = 'digital' and circulates(c)),
      count(*) filter (where c.format = 'digital' and can_be_lent(c)),
      (select count(*) from ${holds} h where h.book_id = b.id and h.copy_id is null)
    ),
    '"'
  )
  from ${copies} c
  where c.book_id = b.id and c.removed_at is null
)`

/** The JSON of the book among `rows` of books, or nothing but its tag if that is one of `unless`: PostgreSQL then makes no
 *  JSON. `refusal`: what is said where there is none. */
function readBook(db: Db, { rows, refusal, unless }: { rows: SQL; refusal: SQL; unless: string[] }): Promise<Reading> {
  return db.row(sql`
    with b as materialized (select b.*, ${bookTag} as tag from (${rows}) as b)
    select
      coalesce(b.tag, (${refusal})::text) as tag,
      case when b.tag <> all (${textArray(unless)}) then (${bookJson})::text end as body
    from (select) as nothing
    left join b on true`)
}

/** Throws 'book-not-found', and 'book-merged' for one that is part of another now. */
export function getBook(db: Db, { id, unless = [] }: { id: string; unless?: string[] }) {
  const rows = sql`select * from ${books} where id = ${id} and removed_at is null`
  return readBook(db, { rows, refusal: sql`refuse_book(${id})`, unless })
}

/** Throws 'book-not-found'. */
export function getBookByIsbn(db: Db, { isbn, unless = [] }: { isbn: string; unless?: string[] }) {
  const rows = sql`select b.* from ${bookIsbns} i join ${books} b on b.id = i.book_id where i.isbn = ${isbn}`
  return readBook(db, { rows, refusal: sql`refuse_json('book-not-found')`, unless })
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
