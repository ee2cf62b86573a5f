import type { Context, TypedResponse } from 'hono'
import { accepts } from 'hono/accepts'
import { stringify } from 'csv-stringify/browser/esm/sync'
import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { getDemandFigures, getLoanFigures, listCollectionParts } from './queries.ts'
import {
  CollectionFilter,
  CollectionPage,
  CollectionPart,
  Csv,
  DemandFigures,
  DemandFilter,
  LoanFigures,
  LoanFiguresFilter,
} from './schema.ts'

const tag = 'Figures'
const asCsv = { 'text/csv': Csv }

/** JSON, unless `Accept` would rather have a table. No answer is stored, so nothing has to vary by it. */
function wantsCsv(c: Context) {
  const type = accepts(c, {
    header: 'Accept',
    supports: ['application/json', 'text/csv'],
    default: 'application/json',
  })
  return type === 'text/csv'
}

/** RFC 4180. What a spreadsheet would take for a formula gets an apostrophe before it. */
function answerCsv<T extends object>(
  c: Context,
  { name, columns, items }: { name: string; columns: string[]; items: T[] },
): Response & TypedResponse<string, 200, 'text'> {
  const csv = stringify(items, { columns, header: true, record_delimiter: 'windows', escape_formulas: true })
  return c.text(csv, 200, {
    'content-type': 'text/csv; charset=utf-8',
    'content-disposition': `attachment; filename="${name}.csv"`,
  })
}

/** The names of the columns are those of the items. */
const columnsOf = ({ shape }: { shape: object }) => Object.keys(shape)

export const figures = factory
  .createApp()
  .get(
    '/loans',
    describeRoute({
      tag,
      summary: 'What was borrowed',
      responses: { 200: { description: 'Loans, renewals and returns', schema: LoanFigures, or: asCsv } },
    }),
    allow('GET /v1/figures/loans'),
    valid('query', LoanFiguresFilter),
    async (c) => {
      const loans = await getLoanFigures(c.var.db, c.req.valid('query'))
      const columns = columnsOf(LoanFigures.shape.items.element)
      return wantsCsv(c) ? answerCsv(c, { name: 'loans', columns, items: loans.items }) : c.json(loans, 200)
    },
  )
  .get(
    '/demand',
    describeRoute({
      tag,
      summary: 'What is asked for and not to be had',
      responses: { 200: { description: 'Books that somebody waits for', schema: DemandFigures, or: asCsv } },
    }),
    allow('GET /v1/figures/demand'),
    valid('query', DemandFilter),
    async (c) => {
      const demand = await getDemandFigures(c.var.db, c.req.valid('query'))
      const columns = columnsOf(DemandFigures.shape.items.element)
      return wantsCsv(c) ? answerCsv(c, { name: 'demand', columns, items: demand.items }) : c.json(demand, 200)
    },
  )
  .get(
    '/collection',
    describeRoute({
      tag,
      summary: 'What there is, and how it is used',
      description: 'By a walk through the catalogue, which begins every six hours.',
      responses: { 200: { description: 'A page of subjects or formats', schema: CollectionPage, or: asCsv } },
    }),
    allow('GET /v1/figures/collection'),
    valid('query', CollectionFilter),
    async (c) => {
      const page = await listCollectionParts(c.var.db, c.req.valid('query'))
      const asJson = answerPage<CollectionPart>(c, page)
      if (!wantsCsv(c)) return asJson
      const items: CollectionPart[] = JSON.parse(page.items)
      return answerCsv(c, { name: 'collection', columns: columnsOf(CollectionPart), items })
    },
  )
