import { base64urlnopad } from '@scure/base'
import { type SQL, sql } from 'drizzle-orm'
import type { Context, TypedResponse } from 'hono'
import type { JSONParsed } from 'hono/utils/types'
import { z } from 'zod'
import type { Db } from './db/client.ts'
import { problem } from './problem.ts'

/** Where a list goes on: the sort key and the id of the last item, in base64url. Opaque to clients. */
export const PageQuery = {
  limit: z.coerce.number<string>().int().min(1).max(100).default(20).meta({ description: 'Items a page', example: 20 }),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,3072}$/)
    .optional()
    .meta({ description: 'From the `next` link of the page before' }),
}

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({
    items: z.array(item),
    next: z.string().nullable().meta({ description: 'The next page; null on the last. Also in Link.' }),
  })

export type Page<T> = { items: T[]; next: string | null }

/** Throws 'invalid-input' for a cursor that was not made for this list and order. */
export function readCursor<T>(schema: z.ZodType<T>, cursor: string | undefined): T | null {
  if (cursor === undefined) return null
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(base64urlnopad.decode(cursor))
    return schema.parse(JSON.parse(text, refuseBrokenText))
  } catch {
    const detail = 'is not a cursor of this list in this order: take it from the next link'
    throw problem('invalid-input', { errors: [{ in: 'query', pointer: '/cursor', detail }] })
  }
}

/** What no key of ours holds, and PostgreSQL does not take. */
function refuseBrokenText(_name: string, value: unknown) {
  if (typeof value === 'string' && (!value.isWellFormed() || value.includes('\0'))) throw new SyntaxError('broken text')
  return value
}

export const makeCursor = (key: unknown) => base64urlnopad.encode(new TextEncoder().encode(JSON.stringify(key)))

/** JSON that PostgreSQL made and that passes through unread. */
export type PageText = { items: string; nextCursor: string | null }

/** A page of `rows` (columns `body` and `key`, both json, in the list's order) and the key to go on from. */
export const pageOfRows = ({ rows, limit }: { rows: SQL; limit: number }) => sql`
  with numbered as (
    select body, key, row_number() over () as place
    from (${rows} limit ${limit + 1}) as r
  )
  select
    coalesce(json_agg(body order by place) filter (where place <= ${limit}), '[]')::text as items,
    case when count(*) > ${limit} then json_agg(key) filter (where place = ${limit}) -> 0 end as last
  from numbered`

export async function readPage(db: Db, statement: SQL): Promise<PageText> {
  const { items, last } = await db.row<{ items: string; last: unknown }>(statement)
  return { items, nextCursor: last === null ? null : makeCursor(last) }
}

/** The page with each item changed, where PostgreSQL cannot make the whole of it. */
export async function mapPage<T>(page: PageText, change: (item: T) => Promise<T>): Promise<PageText> {
  const items: T[] = JSON.parse(page.items)
  return { ...page, items: JSON.stringify(await Promise.all(items.map(change))) }
}

/** What a page is on the wire, at its address: the body, and the link to the next one in it and for Link (RFC 8288). `beside`:
 *  the JSON of what else it tells, by its name. */
export function writePage(address: string, { items, nextCursor }: PageText, beside: Record<string, string> = {}) {
  let next: string | null = null
  if (nextCursor !== null) {
    const { pathname, searchParams } = new URL(address)
    searchParams.set('cursor', nextCursor)
    next = `${pathname}?${searchParams.toString()}`
  }
  const more = Object.entries(beside).map(([name, json]) => `,"${name}":${json}`)
  const body = `{"items":${items},"next":${JSON.stringify(next)}${more.join('')}}`
  return { body, link: next === null ? null : `<${next}>; rel="next"` }
}

export function answerPage<T>(c: Context, page: PageText) {
  const { body, link } = writePage(c.req.url, page)
  if (link !== null) c.header('link', link)
  return answerText<Page<T>>(c, body)
}

/** Answers JSON that is text already. */
export const answerText = <T>(c: Pick<Context, 'body'>, text: string) =>
  answersWith<T>(c.body(text, 200, { 'content-type': 'application/json' }))

export const answersWith = <T>(response: Response) =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- safe because the text is the JSON of a T, which the tests check for every route; of 304 the client keeps the T that it has
  response as Response & TypedResponse<JSONParsed<T>, 200, 'json'>
