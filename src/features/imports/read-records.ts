import { base64 } from '@scure/base'
import type { z } from 'zod'
import { NewBook } from '../books/schema.ts'
import { type ImportBatch, MarcRecord, RAW_BYTES_MAX, type ReadableRecord } from './schema.ts'

/** A record as the function take_records has it: to be catalogued, or refused already. */
type Given =
  | { position: number; notes: string[]; record: NewBook; marc: Marc | null }
  | { position: number; notes: string[]; reason: string; raw: string }
type Marc = { controlNumber: string | null; controlSystem: string; record: MarcRecord }

const CONTROL_NUMBER_LENGTH_MAX = 100
const CONTROL_SYSTEM_LENGTH_MAX = 40

/** Each record by itself: one that is no NewBook is refused, and the rest of its batch is not. */
export const readRecords = ({ records }: ImportBatch): Given[] =>
  records.map((given) => ('reason' in given ? { ...given, notes: [] } : readRecord(given)))

function readRecord({ position, record, marc, notes }: ReadableRecord): Given {
  const book = NewBook.safeParse(record)
  const kept = marc === null ? null : MarcRecord.safeParse(marc)
  const fault = book.error ?? kept?.error
  if (!book.success || fault !== undefined) {
    return { position, notes, reason: reasonOf(fault), raw: bytesOf(record) }
  }
  return {
    position,
    notes,
    record: { ...book.data, isbns: [...new Set(book.data.isbns)] },
    marc: kept?.data === undefined ? null : keptMarc(kept.data),
  }
}

/** What the fault quotes of the record is shown without what neither a terminal nor PostgreSQL takes. */
function reasonOf(error: z.ZodError | undefined): string {
  const faults = error?.issues.slice(0, 5).map(({ path, message }) => `/${path.join('/')} ${message}`) ?? []
  return faults.join('; ').toWellFormed().replaceAll(/\p{C}/gu, '\ufffd').slice(0, 500).toWellFormed()
}

const bytesOf = (record: unknown) =>
  base64.encode(new TextEncoder().encode(JSON.stringify(record)).subarray(0, RAW_BYTES_MAX))

function keptMarc(record: MarcRecord): Marc {
  const number = controlField(record, '001')
  const system = controlField(record, '003') ?? ''
  const fits =
    number !== null && number.length <= CONTROL_NUMBER_LENGTH_MAX && system.length <= CONTROL_SYSTEM_LENGTH_MAX
  return { controlNumber: fits ? number : null, controlSystem: fits ? system : '', record }
}

/** Null where the field is missing or holds nothing but space. */
function controlField({ fields }: MarcRecord, tag: string): string | null {
  const value = fields.find((field) => Object.hasOwn(field, tag))?.[tag]
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : null
}
