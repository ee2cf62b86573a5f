import { base64urlnopad } from '@scure/base'
import { sql } from 'drizzle-orm'
import type { MiddlewareHandler } from 'hono'
import { z } from 'zod'
import { integerArray } from './db/parameters.ts'
import { type AppEnv, factory } from './factory.ts'
import { problem } from './problem.ts'
import { stateFacts } from './route-facts.ts'

/** The versions that a caller has seen of what they change; null for `If-Match: *`. */
export type Versions = number[] | null

/** `"3"`, or `"3-2.1.0.0"` where the answer also holds what changes by itself. If-Match looks at the version alone, so a
 *  loan in between is no conflict for whoever corrects a title. */
export const etagOf = (version: number, ...rest: number[]) =>
  rest.length === 0 ? `"${version}"` : `"${version}-${rest.join('.')}"`

const TAG = /^(W\/)?"([0-9]{1,9})(?:-[0-9.]{1,80})?"$/

const Header = z.object({
  'if-match': z.string().meta({ description: 'The ETag of what was read, or `*`', example: '"3"' }),
})

/** Requires If-Match: 428 without it. A weak or strange tag matches nothing (RFC 9110, 13.1.1), which is 412. */
export const ifMatch = () => {
  const handler: MiddlewareHandler<AppEnv & { Variables: { versions: Versions } }> = async (c, next) => {
    const header = c.req.header('if-match')
    if (header === undefined) throw problem('precondition-required')
    c.set('versions', header.trim() === '*' ? null : readTags(header))
    await next()
  }
  return stateFacts(handler, {
    inputs: [{ target: 'header', schema: Header }],
    problems: ['precondition-required', 'precondition-failed'],
  })
}

const readTags = (header: string) =>
  header
    .slice(0, 1_024)
    .split(',')
    .map((tag) => TAG.exec(tag.trim()))
    .filter((match) => match !== null && match[1] === undefined)
    .map((match) => Number(match?.[2]))
    .filter((version) => version <= 2_147_483_647)

/** A condition on a row with a column `version`. */
export const isOneOf = (versions: Versions) =>
  versions === null ? sql`true` : sql`version = any (${integerArray(versions)})`

/** As many as anybody has of one resource; more are not looked at. */
const TAGS_MAX = 20

/** The tags in If-None-Match, each with its quotes. It compares weakly (RFC 9110, 13.1.2), so W/ is no part of them: whoever
 *  compresses an answer on its way makes its tag weak. `*` is none of them. */
export const tagsIn = (header: string | undefined) =>
  (header?.slice(0, 2_048).match(/"[\x21\x23-\x7e]{1,100}"/g) ?? []).slice(0, TAGS_MAX)

/** Whether If-None-Match names this tag, or says that any will do. */
export const isNotModified = (header: string | undefined, etag: string) =>
  header?.trim() === '*' || tagsIn(header).includes(etag)

/** The tag of an answer that has no version: half of a SHA-256, which nobody finds a second text for by chance. */
export async function tagOfBody(body: string | ArrayBuffer): Promise<string> {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  return `"${base64urlnopad.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)).subarray(0, 16))}"`
}

/**
 * What every read has, but for what is streamed: a strong ETag, and 304 for who names it. Where the route has set none, it is a hash of what is
 * answered: an amount that accrues or a place in a queue changes without a version. A version is for If-Match, which takes no
 * weak tag: where it goes to somebody who may send it back, the answer asks not to be compressed, since Cloudflare makes the
 * tag weak when it does.
 */
export const tagged = factory.createMiddleware(async (c, next) => {
  await next()
  const given = c.res.headers.get('etag')
  const control = c.res.headers.get('cache-control') ?? 'no-store'
  const isForIfMatch = given !== null && TAG.test(given) && !control.startsWith('public')
  if (isForIfMatch) c.res.headers.set('cache-control', `${control}, no-transform`)
  if ((c.req.method !== 'GET' && c.req.method !== 'HEAD') || c.res.status !== 200 || c.var.isStreamed) return
  const etag = given ?? (await tagOfBody(await c.res.clone().arrayBuffer()))
  c.res.headers.set('etag', etag)
  if (!isNotModified(c.req.header('if-none-match'), etag)) return
  const headers = new Headers(c.res.headers)
  headers.delete('content-type')
  c.res = new Response(null, { status: 304, headers })
})
