import { sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { integerArray } from '../../db/parameters.ts'
import type { Versions } from '../../versions.ts'
import type { Merge, NewMerge } from './schema.ts'

/** Makes one book of two. The function merge_books holds the rules. Throws 'book-not-found' for either,
 *  'precondition-failed' for either, 'same-book', 'both-on-loan', and 'busy' while too many borrow them at once. */
export function mergeBooks(
  db: Db,
  { id, versions, merge }: { id: string; versions: Versions; merge: NewMerge },
  claim: Claim | null,
): Promise<Merge> {
  return db.make(
    sql`select merge_books(${id}, ${integerArray(versions)}, ${merge.bookId}, ${merge.version}) as body`,
    claim,
  )
}
