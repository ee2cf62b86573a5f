import { sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Claim, Db } from '../../db/client.ts'
import { jsonb } from '../../db/parameters.ts'
import { importRecords, imports } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import { readRecords } from './read-records.ts'
import {
  type Import,
  type ImportBatch,
  type ImportFilter,
  type ImportRecordFilter,
  type ImportVerdicts,
  type NewImport,
  UNDO_BATCH,
  type WholeImportRecord,
} from './schema.ts'

export const beginImport = (db: Db, { source, format, dryRun }: NewImport, claim: Claim | null): Promise<Import> =>
  db.make(
    sql`
      insert into ${imports} as i (source, format, dry_run)
      values (${source}, ${format}, ${dryRun})
      returning import_json(i) as body`,
    claim,
  )

/** Throws 'import-not-found', 'import-undone', 'busy'. */
export const takeRecords = (db: Db, { id, batch }: { id: string; batch: ImportBatch }): Promise<ImportVerdicts> =>
  db.one(sql`select take_records(${id}, ${jsonb(readRecords(batch))}, ${batch.last}, ${batch.after}) as body`)

/** Throws 'import-not-found'. */
export const undoImport = (db: Db, { id }: { id: string }): Promise<Import> =>
  db.one(sql`select undo_import(${id}, ${UNDO_BATCH}) as body`)

export function listImports(db: Db, { limit, cursor }: ImportFilter) {
  const after = readCursor(z.uuid(), cursor)
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select import_json(i) as body, to_json(i.id) as key
        from ${imports} i
        where ${after === null ? sql`true` : sql`i.id < ${after}`}
        order by i.id desc`,
    }),
  )
}

/** Throws 'import-not-found'. */
export const getImport = (db: Db, { id }: { id: string }): Promise<Import> =>
  db.one(sql`
    select coalesce(
      (select import_json(i) from ${imports} i where i.id = ${id}),
      refuse_json('import-not-found')
    ) as body`)

/** In the order of the file. Throws 'import-not-found'. */
export function listImportRecords(db: Db, { id, filter }: { id: string; filter: ImportRecordFilter }) {
  const { verdict, undo, limit, cursor } = filter
  const after = readCursor(z.int().min(1).max(2_147_483_647), cursor)
  const conditions = [
    sql`r.import_id = require_import(${id})`,
    ...(verdict === undefined ? [] : [sql`r.verdict = ${verdict}`]),
    ...(undo === undefined ? [] : [sql`r.undo = ${undo}`]),
    ...(after === null ? [] : [sql`r.position > ${after}`]),
  ]
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select import_record_json(r) as body, to_json(r.position) as key
        from ${importRecords} r
        where ${sql.join(conditions, sql` and `)}
        order by r.position`,
    }),
  )
}

/** Throws 'import-not-found'. */
export const getImportRecord = (
  db: Db,
  { id, position }: { id: string; position: number },
): Promise<WholeImportRecord> =>
  db.one(sql`
    select coalesce(
      (
        select (
          import_record_json(r)::jsonb || jsonb_build_object(
            'raw', translate(encode(r.raw, 'base64'), chr(10), ''),
            'before', r.before -> 'record'
          )
        )::json
        from ${importRecords} r
        where r.import_id = ${id} and r.position = ${position}
      ),
      refuse_json('import-not-found')
    ) as body`)
