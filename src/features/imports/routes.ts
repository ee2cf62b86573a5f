import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import {
  beginImport,
  getImport,
  getImportRecord,
  listImportRecords,
  listImports,
  takeRecords,
  undoImport,
} from './queries.ts'
import {
  Import,
  ImportBatch,
  ImportFilter,
  ImportPage,
  type ImportRecord,
  ImportRecordFilter,
  ImportRecordPage,
  ImportRecordParam,
  ImportVerdicts,
  NewImport,
  WholeImportRecord,
} from './schema.ts'

const tag = 'Imports'

export const imports = factory
  .createApp()
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Begin an import',
      description:
        'Its records follow in batches. A dry run gives the same verdicts and leaves the catalogue as it is.',
      responses: { 201: { description: 'Begun', schema: Import, headers: { Location: 'Its address' } } },
    }),
    allow('POST /v1/imports'),
    valid('json', NewImport),
    idempotent(),
    async (c) => {
      const begun = await beginImport(c.var.db, c.req.valid('json'), c.var.claim)
      return c.json(begun, 201, { location: `/v1/imports/${begun.id}` })
    },
  )
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'List imports',
      responses: { 200: { description: 'A page of imports, the newest first', schema: ImportPage } },
    }),
    allow('GET /v1/imports'),
    valid('query', ImportFilter),
    async (c) => answerPage<Import>(c, await listImports(c.var.db, c.req.valid('query'))),
  )
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'An import, with its totals',
      responses: { 200: { description: 'The import', schema: Import } },
      problems: ['import-not-found'],
    }),
    allow('GET /v1/imports/:id'),
    valid('param', IdParam),
    async (c) => c.json(await getImport(c.var.db, c.req.valid('param')), 200),
  )
  .post(
    '/:id/records',
    describeRoute({
      tag,
      summary: 'Import a batch of records',
      description:
        'All of the batch or none of it; each record gets a verdict. A position that is there already stays as it is, so a batch whose answer got lost can be sent again. The body may be 1 MiB.',
      responses: { 200: { description: 'The verdicts, by position', schema: ImportVerdicts } },
      problems: ['import-not-found', 'import-undone', 'busy'],
    }),
    allow('POST /v1/imports/:id/records'),
    valid('param', IdParam),
    valid('json', ImportBatch),
    async (c) => {
      const { id } = c.req.valid('param')
      return c.json(await takeRecords(c.var.db, { id, batch: c.req.valid('json') }), 200)
    },
  )
  .get(
    '/:id/records',
    describeRoute({
      tag,
      summary: 'What became of each record',
      responses: { 200: { description: 'A page of records, in the order of the file', schema: ImportRecordPage } },
      problems: ['import-not-found'],
    }),
    allow('GET /v1/imports/:id/records'),
    valid('param', IdParam),
    valid('query', ImportRecordFilter),
    async (c) => {
      const { id } = c.req.valid('param')
      return answerPage<ImportRecord>(c, await listImportRecords(c.var.db, { id, filter: c.req.valid('query') }))
    },
  )
  .get(
    '/:id/records/:position',
    describeRoute({
      tag,
      summary: 'One record, with what was kept of it',
      responses: { 200: { description: 'The record', schema: WholeImportRecord } },
      problems: ['import-not-found'],
    }),
    allow('GET /v1/imports/:id/records/:position'),
    valid('param', ImportRecordParam),
    async (c) => c.json(await getImportRecord(c.var.db, c.req.valid('param')), 200),
  )
  .put(
    '/:id/undo',
    describeRoute({
      tag,
      summary: 'Undo an import',
      description:
        'What it made is removed, unless it has copies, has been borrowed or is waited for; what it changed goes back, unless it has been changed since. Each call takes back up to 200 records, the last first: repeat it until nothing is left.',
      responses: { 200: { description: 'The import, with how many are left', schema: Import } },
      problems: ['import-not-found'],
    }),
    allow('PUT /v1/imports/:id/undo'),
    valid('param', IdParam),
    async (c) => c.json(await undoImport(c.var.db, c.req.valid('param')), 200),
  )
