import { z } from 'zod'
import { line } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'

/** The largest body of a batch, in bytes. */
export const BATCH_BYTES_MAX = 1_024 * 1_024
/** What a MARC record can be at most, since its length has five digits; so much is kept of what is refused. */
export const RAW_BYTES_MAX = 99_999
/** So many records an undo takes back in a call. */
export const UNDO_BATCH = 200

const Format = z.enum(['marc', 'marcxml', 'csv', 'jsonl'])
const Verdict = z.enum(['created', 'updated', 'merged', 'unchanged', 'refused'])
const MatchedBy = z.enum(['control-number', 'earlier-import', 'isbn', 'title'])
const Undo = z.enum(['removed', 'restored', 'kept'])

const Position = z.int().min(1).max(2_147_483_647)

export const NewImport = z
  .strictObject({
    source: line(200).meta({ description: 'Where the records come from: the same name each time', example: 'loc.mrc' }),
    format: Format,
    dryRun: z.boolean().default(false).meta({ description: 'The same verdicts, and the catalogue stays as it is' }),
  })
  .meta({ id: 'NewImport' })
export type NewImport = z.infer<typeof NewImport>

const count = z.int().min(0)

export const Import = z
  .object({
    id: z.uuid(),
    source: z.string(),
    format: Format,
    dryRun: z.boolean(),
    begunAt: timestamp,
    endedAt: timestamp.nullable().meta({ description: 'null: it goes on, or was broken off' }),
    undoBegunAt: timestamp.nullable(),
    undoneAt: timestamp.nullable(),
    nextPosition: z.int().meta({ description: 'Where an import that was broken off goes on' }),
    totals: z
      .object({ created: count, updated: count, merged: count, unchanged: count, refused: count })
      .meta({ description: 'Records by their verdict: each has one' }),
    undo: z.object({ removed: count, restored: count, kept: count, left: count }),
  })
  .meta({ id: 'Import' })
export type Import = z.infer<typeof Import>

export const ImportFilter = z.strictObject(PageQuery)
export type ImportFilter = z.infer<typeof ImportFilter>

export const ImportPage = pageOf(Import)

/** Read as a NewBook by itself, so that one that is none is refused and not the batch. */
const Loose = z.record(z.string(), z.unknown())

const ReadableRecord = z.strictObject({
  position: Position,
  record: Loose.meta({ description: 'A NewBook; what is none is refused by itself' }),
  marc: Loose.nullable()
    .default(null)
    .meta({ description: 'The MARC record that it was made from, as MARC-in-JSON: kept with the book' }),
  notes: z.array(line(500)).max(200).default([]).meta({ description: 'What was changed to make it fit' }),
})
export type ReadableRecord = z.infer<typeof ReadableRecord>

const UnreadableRecord = z.strictObject({
  position: Position,
  reason: line(500),
  raw: z
    .base64()
    .max(Math.ceil(RAW_BYTES_MAX / 3) * 4)
    .meta({ description: 'Its bytes, at most 99,999 of them' }),
})

/** One that cannot be read is refused, and kept. */
export const ImportBatch = z
  .strictObject({
    records: z
      .array(z.union([ReadableRecord, UnreadableRecord]))
      .min(1)
      .max(500),
    after: Position.nullable().default(null).meta({
      description:
        'A position of the batch before, which must have been taken: a batch that comes too early is refused with `busy`. So one may be sent before the last one is answered',
    }),
    last: z.boolean().default(false).meta({ description: 'Nothing comes after this batch' }),
  })
  .refine(({ records }) => new Set(records.map(({ position }) => position)).size === records.length, {
    error: 'names a position twice',
    path: ['records'],
  })
  .meta({ id: 'ImportBatch' })
export type ImportBatch = z.infer<typeof ImportBatch>

/** Kept as it is, and bounded: PostgreSQL takes neither NUL nor half a surrogate pair. */
const marcText = z
  .string()
  .max(RAW_BYTES_MAX)
  .refine((value) => value.isWellFormed() && !value.includes('\0'), 'holds broken text')

const oneKey = [
  (value: object) => Object.keys(value).length === 1,
  { error: 'does not name exactly one tag or code' },
] as const

const MarcField = z
  .record(
    z.string().regex(/^[0-9A-Za-z]{3}$/),
    z.union([
      marcText,
      z.strictObject({
        ind1: marcText.max(1),
        ind2: marcText.max(1),
        subfields: z.array(z.record(marcText.max(1), marcText).refine(...oneKey)).max(2_000),
      }),
    ]),
  )
  .refine(...oneKey)

/** MARC-in-JSON: {leader, fields: [{'001': text}, {'245': {ind1, ind2, subfields: [{a: text}]}}]}. */
export const MarcRecord = z.strictObject({ leader: marcText.max(24), fields: z.array(MarcField).max(5_000) })
export type MarcRecord = z.infer<typeof MarcRecord>

export const ImportRecord = z
  .object({
    position: z.int().meta({ description: 'Its place in the file, from 1' }),
    verdict: Verdict,
    matchedBy: MatchedBy.nullable().meta({ description: 'How the book that it is of was found' }),
    reason: z.string().nullable().meta({ description: 'Why it was refused' }),
    controlNumber: z.string().nullable(),
    notes: z.array(z.string()).meta({ description: 'What was changed to make it fit, or left out' }),
    bookId: z.uuid().nullable().meta({ description: 'After a dry run perhaps of a book that was never made' }),
    rawBytes: z.int().meta({ description: 'How much was kept of a record that was refused' }),
    undo: Undo.nullable(),
    undoReason: z.string().nullable().meta({ description: 'Why an undo left the book as it is' }),
  })
  .meta({ id: 'ImportRecord' })
export type ImportRecord = z.infer<typeof ImportRecord>

export const ImportVerdicts = z.object({ items: z.array(ImportRecord) })
export type ImportVerdicts = z.infer<typeof ImportVerdicts>

export const WholeImportRecord = ImportRecord.extend({
  raw: z.string().nullable().meta({ description: 'What was refused, in base64' }),
  before: z
    .record(z.string(), z.unknown())
    .nullable()
    .meta({ description: 'What staff catalogued of the book, before the import changed it' }),
}).meta({ id: 'WholeImportRecord' })
export type WholeImportRecord = z.infer<typeof WholeImportRecord>

export const ImportRecordFilter = z.strictObject({
  verdict: Verdict.optional(),
  undo: Undo.optional(),
  ...PageQuery,
})
export type ImportRecordFilter = z.infer<typeof ImportRecordFilter>

export const ImportRecordPage = pageOf(ImportRecord)

export const ImportRecordParam = z.strictObject({
  id: z.uuid().toLowerCase(),
  position: z
    .string()
    .regex(/^[1-9][0-9]{0,9}$/)
    .transform(Number)
    .pipe(Position),
})
