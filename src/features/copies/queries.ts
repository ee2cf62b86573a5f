import { sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Claim, Db } from '../../db/client.ts'
import { integerArray, jsonb } from '../../db/parameters.ts'
import { copies } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import type { Versions } from '../../versions.ts'
import type { Copy, CopyChange, CopyFilter, NewCopy } from './schema.ts'

/** What a row of copies is on the wire. */
export const copyJson = sql`json_build_object(
  'id', c.id,
  'bookId', c.book_id,
  'format', c.format,
  'barcode', c.barcode,
  'callNumber', c.call_number,
  'licenceEndsAt', c.licence_ends_at,
  'loansLeft', c.loans_left,
  'state', case when circulates(c) or c.state = 'lost' then c.state else 'expired' end,
  'inLibraryUses', c.in_library_uses,
  'version', c.version,
  'createdAt', c.created_at,
  'updatedAt', c.updated_at
)`

/** Throws 'book-not-found', 'barcode-taken'. */
export function createCopy(
  db: Db,
  { bookId, copy }: { bookId: string; copy: NewCopy },
  claim: Claim | null,
): Promise<Copy> {
  const { barcode, callNumber, licenceEndsAt, loansLeft } = {
    barcode: null,
    callNumber: null,
    licenceEndsAt: null,
    loansLeft: null,
    ...copy,
  }
  return db.make(
    sql`
      select ${copyJson} as body
      from add_copy(${bookId}, ${copy.format}, ${barcode}, ${callNumber}, ${licenceEndsAt}, ${loansLeft}) c`,
    claim,
  )
}

export function getCopy(db: Db, { id }: { id: string }): Promise<Copy> {
  return db.one(sql`
    select coalesce(
      (select ${copyJson} from ${copies} c where c.id = ${id} and c.removed_at is null),
      refuse_json('copy-not-found')
    ) as body`)
}

/** Throws 'book-not-found', and 'book-merged' for one that is part of another now: neither is a book without copies. */
export function listCopies(db: Db, { bookId, limit, cursor }: CopyFilter & { bookId: string }) {
  const after = readCursor(z.uuid(), cursor)
  return readPage(
    db.after(sql`select require_book(${bookId})`),
    pageOfRows({
      limit,
      rows: sql`
        select ${copyJson} as body, to_json(c.id) as key
        from ${copies} c
        where c.book_id = ${bookId} and c.removed_at is null
          ${after === null ? sql`` : sql`and c.id > ${after}`}
        order by c.id`,
    }),
  )
}

/** A licence that lends again serves the queue at once. Throws 'copy-not-found', 'precondition-failed', 'barcode-taken',
 *  'format-mismatch'. */
export function changeCopy(
  db: Db,
  { id, versions, change }: { id: string; versions: Versions; change: CopyChange },
): Promise<Copy> {
  return db.one(sql`
    select ${copyJson} as body
    from change_copy(${id}, ${integerArray(versions)}, ${jsonb(change)}) c`)
}

/** Takes a copy out of circulation, ends its loan and charges for it. Throws 'copy-not-found', 'format-mismatch' for a
 *  digital one. */
export function declareLost(db: Db, { id }: { id: string }): Promise<Copy> {
  return db.one(sql`
    select ${copyJson} as body
    from lose_copy(${id}) c`)
}

/** Brings a lost copy back, and waives what is still owed for it. Throws 'copy-not-found'. */
export function declareFound(db: Db, { id }: { id: string }): Promise<Copy> {
  return db.one(sql`
    select ${copyJson} as body
    from find_copy(${id}) c`)
}

/** Throws 'copy-not-found', 'precondition-failed', 'copy-on-loan'. */
export async function removeCopy(db: Db, { id, versions }: { id: string; versions: Versions }): Promise<void> {
  await db.row(sql`select remove_copy(${id}, ${integerArray(versions)})`)
}
