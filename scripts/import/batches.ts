import { BATCH_BYTES_MAX, RAW_BYTES_MAX } from '../../src/features/imports/schema.ts'
import { fit } from './fit.ts'
import { toJson } from './marc-record.ts'
import type { Read } from './piece.ts'

/** So many records a request, which PostgreSQL takes well within the time that a round trip may take. */
const BATCH_RECORDS = 100
/** Room for what stands round the records. */
const BATCH_BYTES = BATCH_BYTES_MAX - 1_024

/** A record as POST /v1/imports/{id}/records takes it. */
export type Entry = { position: number; [field: string]: unknown }
/** What a report says of a record beside its verdict. */
export type Place = { position: number; offset: number; title: string }
export type Batch = { entries: Entry[]; places: Place[]; bytesRead: number; last: boolean }

/** The records of a file by their place in it, from 1, as many at a time as fit into a request. */
export async function* batchesOf(reads: AsyncIterable<Read>): AsyncGenerator<Batch> {
  let batch: Batch = { entries: [], places: [], bytesRead: 0, last: false }
  let size = 0
  let position = 0
  for await (const read of reads) {
    position += 1
    const { entry, length } = smallEnough(entryOf(read, position), read)
    if (batch.entries.length === BATCH_RECORDS || (batch.entries.length > 0 && size + length > BATCH_BYTES)) {
      yield batch
      batch = { entries: [], places: [], bytesRead: 0, last: false }
      size = 0
    }
    batch.entries.push(entry)
    batch.places.push({ position, offset: read.offset, title: 'draft' in read ? titleOf(read.draft.title) : '' })
    batch.bytesRead = read.offset + read.bytes.length
    size += length + 1
  }
  yield { ...batch, last: true }
}

const titleOf = (title: unknown) => (typeof title === 'string' ? title.slice(0, 200).toWellFormed() : '')

function entryOf(read: Read, position: number): Entry {
  if ('reason' in read) return refusedEntry(read, position, read.reason)
  const { record, notes } = fit(read.draft)
  return { position, record, marc: read.marc === null ? null : toJson(read.marc), notes: [...read.notes, ...notes] }
}

/** Its bytes are kept with the reason, and where they stood. */
function refusedEntry({ offset, bytes }: Read, position: number, reason: string): Entry {
  const isCut = bytes.length > RAW_BYTES_MAX
  const cut = isCut ? `; the first ${RAW_BYTES_MAX} of its ${bytes.length} bytes are kept` : ''
  const said = reason.toWellFormed().replaceAll(/\p{C}/gu, ' ').slice(0, 380).toWellFormed()
  return {
    position,
    reason: `${said} (at byte ${offset}${cut})`,
    raw: bytes.subarray(0, RAW_BYTES_MAX).toString('base64'),
  }
}

function smallEnough(entry: Entry, read: Read): { entry: Entry; length: number } {
  const length = Buffer.byteLength(JSON.stringify(entry))
  if (length <= BATCH_BYTES) return { entry, length }
  return smallEnough(refusedEntry(read, entry.position, 'the record is too large'), read)
}
