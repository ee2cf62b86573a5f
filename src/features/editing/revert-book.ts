import { sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { integerArray } from '../../db/parameters.ts'
import type { Versions } from '../../versions.ts'
import { bookJson } from '../books/queries.ts'
import type { Book } from '../books/schema.ts'

/** Gives a book the record of an earlier version, as a new one. Throws 'book-not-found', 'revision-not-found',
 *  'precondition-failed', and 'isbn-taken' where another book has an ISBN of that record by now. */
export function revertBook(
  db: Db,
  { id, versions, version }: { id: string; versions: Versions; version: number },
  claim: Claim | null,
): Promise<Book> {
  return db.make(
    sql`select ${bookJson} as body from revert_book(${id}, ${integerArray(versions)}, ${version}) b`,
    claim,
  )
}
