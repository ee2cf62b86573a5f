import type { Item, Origin } from './formats.ts'
import { marcOf } from './marc.ts'
import { mergedMarc } from './marc-merge.ts'
import type { MarcRecord } from './schema.ts'

/** The record that the book came in, with what has been changed since; without one, a record made of the book. A book in its
 *  first version has not been changed. */
export function exportedMarc({ book, marc }: Item, { publicUrl }: Origin): MarcRecord {
  if (marc === null) return marcOf(book, { system: new URL(publicUrl).hostname })
  return inUnicode(book.version === 1 ? marc : mergedMarc(marc, book))
}

/** It was read from whatever encoding, and is written in UTF-8. */
function inUnicode({ leader, fields }: MarcRecord): MarcRecord {
  const own = leader.padEnd(24)
  return { leader: `${own.slice(0, 9)}a${own.slice(10)}`, fields }
}
