import { z } from 'zod'
import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { describeRoute } from '../../route-facts.ts'
import { answerBookAs, answerSearchAs } from './answer.ts'
import { BookExportParam, EXPORT_BOOKS_MAX, ExportFilter, ExportParam, files } from './schema.ts'

const tag = 'Books'

const file = { schema: z.string(), mediaType: 'text/csv', or: files }
const disposition = { 'Content-Disposition': 'attachment, with a file name' }

export const exports = factory
  .createApp()
  .get(
    '/exports/:format',
    describeRoute({
      tag,
      summary: 'What a search finds, as a file',
      description: `Up to ${EXPORT_BOOKS_MAX} books a request, sent as they are read; Link has where the next ones are. A file that breaks off has not arrived: ask again.`,
      responses: {
        200: { description: 'The file', ...file, headers: { ...disposition, Link: 'rel="next", if there are more' } },
      },
    }),
    allow('GET /v1/books/exports/:format'),
    valid('param', ExportParam),
    valid('query', ExportFilter),
    (c) => answerSearchAs(c, { ...c.req.valid('param'), filter: c.req.valid('query') }),
  )
  .get(
    '/:id/exports/:format',
    describeRoute({
      tag,
      summary: 'A book as a file',
      responses: { 200: { description: 'The file', ...file, headers: disposition } },
      problems: ['book-not-found', 'book-merged'],
    }),
    allow('GET /v1/books/:id/exports/:format'),
    valid('param', BookExportParam),
    (c) => answerBookAs(c, c.req.valid('param')),
  )
