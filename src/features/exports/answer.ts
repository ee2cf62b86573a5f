import type { Context } from 'hono'
import { type Db, openDb } from '../../db/client.ts'
import type { AppEnv } from '../../factory.ts'
import { log } from '../../log.ts'
import { ProblemError } from '../../problem.ts'
import type { BookFilter } from '../books/schema.ts'
import { contentTypeOf, fileOf, fileOfOne, formats, originOf } from './formats.ts'
import { findItems, type Found, getItem, listItems } from './queries.ts'
import type { ExportFormat } from './schema.ts'
import { streamOf } from './stream.ts'

/** How many books a round trip brings: what is held at once. */
const BOOKS_AT_ONCE = 50

/** How long a file may take. A reader who stops reading does not keep it open for ever. */
const FILE_SECONDS_MAX = 300

type WithDb = Context<AppEnv & { Variables: { db: Db } }>

const headersOf = (format: ExportFormat, name: string) => ({
  'content-type': contentTypeOf(format),
  'content-disposition': `attachment; filename="${name}.${formats[format].extension}"`,
})

/** Throws 'book-not-found'. */
export async function answerBookAs(c: WithDb, { id, format }: { id: string; format: ExportFormat }) {
  const item = await getItem(c.var.db, { id, format })
  return c.body(fileOfOne(format, item, originOf(c.var.config.publicUrl)), 200, headersOf(format, `book-${id}`))
}

/** The page of the list as a file, in one round trip. */
export async function answerPageAs(c: WithDb, { filter, format }: { filter: BookFilter; format: ExportFormat }) {
  const found = await findItems(c.var.db, { filter, format, first: filter.limit })
  linkNext(c, found)
  return c.body(fileOf(format, found.items, originOf(c.var.config.publicUrl)), 200, headersOf(format, 'books'))
}

/** What was found, page by page as it is read. The first round trip is made before the answer begins, so that what fails there
 *  is a problem. */
export async function answerSearchAs(c: WithDb, { filter, format }: { filter: BookFilter; format: ExportFormat }) {
  const found = await findItems(c.var.db, { filter, format, first: BOOKS_AT_ONCE })
  linkNext(c, found)
  c.set('isStreamed', true)
  return c.body(streamOf(chunksOf(c, { found, format }), { onFault: logBroken(c) }), 200, headersOf(format, 'books'))
}

function linkNext(c: Context, { nextCursor }: Found) {
  if (nextCursor === null) return
  const { pathname, searchParams } = new URL(c.req.url)
  searchParams.set('cursor', nextCursor)
  c.header('link', `<${pathname}?${searchParams.toString()}>; rel="next"`)
}

async function* chunksOf(c: WithDb, { found, format }: { found: Found; format: ExportFormat }) {
  const { config, record } = c.var
  // Not `c.var.db`: it refuses what comes late in a request, and this lasts as long as it is read.
  const db = openDb({ config, onRoundTrip: () => record.roundTrips++ })
  const { head = '', write, between = '', tail = '' } = formats[format].writer
  const origin = originOf(config.publicUrl)
  let lead = head
  for (let from = 0; from === 0 || from < found.ids.length; from += BOOKS_AT_ONCE) {
    if (Date.now() - record.startedAt > FILE_SECONDS_MAX * 1_000) throw new Error('the file was not read in time')
    const ids = found.ids.slice(from, from + BOOKS_AT_ONCE)
    const items = from === 0 ? found.items : await listItems(db, { ids, format })
    for (const item of items) {
      yield lead + write(item, origin)
      lead = between
    }
  }
  yield (lead === head ? head : '') + tail
}

/** The request has its line in the log already; this one says that its answer broke off. */
const logBroken =
  ({ var: { record } }: WithDb) =>
  (error: unknown) =>
    log({
      event: 'export.broken',
      requestId: record.requestId,
      problem: error instanceof ProblemError ? error.problem : 'internal-error',
      roundTrips: record.roundTrips,
    })
