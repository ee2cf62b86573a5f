import { sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { jsonb } from '../../db/parameters.ts'
import type { Distinction, NewDistinction } from './schema.ts'

/** Says that each of these books is another than each of the others: together they are no duplicates any more. Saying it
 *  again changes nothing. Throws 'book-not-found' when one of them is not there. */
export function distinguishBooks(db: Db, { bookIds }: NewDistinction, claim: Claim | null): Promise<Distinction> {
  return db.make(
    sql`
      select json_build_object('bookIds', ${jsonb(bookIds)}) as body
      from distinguish_books(texts_in(${jsonb(bookIds)})::uuid[])`,
    claim,
  )
}
