import { sql } from 'drizzle-orm'
import type { MiddlewareHandler } from 'hono'
import { z } from 'zod'
import { integerArray } from './db/parameters.ts'
import type { AppEnv } from './factory.ts'
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

/** Whether If-None-Match names this tag (weak comparison). */
export const isNotModified = (header: string | undefined, etag: string) =>
  header !== undefined &&
  (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))
