import type { Context, MiddlewareHandler } from 'hono'
import Negotiator from 'negotiator'
import type { Db } from '../../db/client.ts'
import type { AppEnv } from '../../factory.ts'
import { IdParam } from '../../input.ts'
import { problem } from '../../problem.ts'
import { stateFacts } from '../../route-facts.ts'
import { BookQuery } from '../books/schema.ts'
import { answerBookAs, answerPageAs } from './answer.ts'
import { ExportFormat, mediaTypes } from './schema.ts'

type WithDb = AppEnv & { Variables: { db: Db } }

/** A book, or a page of them, in the format that Accept asks for. JSON is what it is anyway, and what whoever accepts anything
 *  gets. They stand behind what validates their input. */
export const orBookAsFile = () => orAsFile((c, format) => answerBookAs(c, { ...IdParam.parse(c.req.param()), format }))

export const orPageAsFile = () =>
  orAsFile((c, format) => answerPageAs(c, { filter: BookQuery.parse(c.req.query()), format }))

function orAsFile(answer: (c: Context<WithDb>, format: ExportFormat) => Promise<Response>) {
  const handler: MiddlewareHandler<WithDb> = async (c, next) => {
    const format = negotiate(c)
    if (format === null) await next()
    else c.res = await answer(c, format)
    if (c.res.ok || c.res.status === 304) c.header('vary', 'Accept', { append: true })
  }
  return stateFacts(handler, { problems: ['not-acceptable'] })
}

const offered = ['application/json', ...Object.values(mediaTypes)]

/** The format that the client would rather have than the others, or null for JSON. Throws 'not-acceptable'. */
function negotiate(c: Context): ExportFormat | null {
  // An empty header says nothing, as a missing one does.
  const accept = c.req.header('accept')?.slice(0, 1_024) || undefined
  const [best] = new Negotiator({ headers: { accept } }).mediaTypes(offered)
  if (best === undefined) {
    throw problem('not-acceptable', { detail: `There is: ${offered.join(', ')}.`, headers: { vary: 'Accept' } })
  }
  return ExportFormat.options.find((format) => mediaTypes[format] === best) ?? null
}
