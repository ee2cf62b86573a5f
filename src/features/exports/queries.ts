import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { jsonb } from '../../db/parameters.ts'
import { books, marcRecords } from '../../db/schema.ts'
import { makeCursor } from '../../page.ts'
import { bookJson } from '../books/queries.ts'
import type { BookFilter } from '../books/schema.ts'
import { foundBy } from '../books/search.ts'
import { formats, type Item } from './formats.ts'
import type { ExportFormat } from './schema.ts'

/** A row `b` of books as a file needs it. */
const itemJson = (format: ExportFormat) => sql`json_build_object(
  'book', ${bookJson},
  'marc', ${
    formats[format].hasMarc ? sql`(select m.record from ${marcRecords} m where m.book_id = b.id)` : sql`null::jsonb`
  }
)`

/** Throws 'book-not-found', 'book-merged'. */
export function getItem(db: Db, { id, format }: { id: string; format: ExportFormat }): Promise<Item> {
  return db.one(sql`
    select coalesce(
      (select ${itemJson(format)} from ${books} b where b.id = ${id} and b.removed_at is null),
      refuse_book(${id})
    ) as body`)
}

/** The ids of what is found, the first items of it, and where the list goes on after the last id. */
export type Found = { ids: string[]; items: Item[]; nextCursor: string | null }

/** All ids at once: so it is known before the first byte where the next request goes on, and a book that changes its place
 *  meanwhile comes neither twice nor never. */
export async function findItems(
  db: Db,
  { filter, format, first }: { filter: BookFilter; format: ExportFormat; first: number },
): Promise<Found> {
  const { limit } = filter
  const { ids, items, last } = await db.row<{ ids: string[]; items: Item[]; last: unknown }>(sql`
    with ${foundBy(filter)}
    select
      (select coalesce(json_agg(f.book_id order by f.place), '[]') from found f where f.place <= ${limit}) as ids,
      (
        select coalesce(json_agg(${itemJson(format)} order by f.place), '[]')
        from found f
        join ${books} b on b.id = f.book_id
        where f.place <= ${Math.min(first, limit)}
      ) as items,
      (select f.key from found f where f.place = ${limit} and exists (select from found where place > ${limit})) as last`)
  return { ids, items, nextCursor: last === null ? null : makeCursor(last) }
}

/** In the order of the ids, without those that have been removed. */
export function listItems(db: Db, { ids, format }: { ids: string[]; format: ExportFormat }): Promise<Item[]> {
  return db.one(sql`
    select coalesce(json_agg(${itemJson(format)} order by wanted.place), '[]') as body
    from jsonb_array_elements_text(${jsonb(ids)}) with ordinality as wanted (id, place)
    join ${books} b on b.id = wanted.id::uuid and b.removed_at is null`)
}
