import { zValidator } from '@hono/zod-validator'
import type { Context } from 'hono'
import { visit } from 'jsonc-parser'
import { z } from 'zod'
import { type InputError, problem } from './problem.ts'
import { stateFacts } from './route-facts.ts'

/** Text as people write it: NFC, no control characters (a description may hold line breaks), nothing PostgreSQL
 *  or a terminal chokes on. Length is in UTF-16 units, as clients count. */
const plain = (form: RegExp) => (value: string) => value.isWellFormed() && !form.test(value)
// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/
/** Embeddings, overrides and isolates turn round what stands beside a line, and can make it read as something else (UTR #36,
 *  2.9). No script needs them within a line: the marks U+200E and U+200F, and the joiners, stay allowed. */
const DIRECTION = /[\u202a-\u202e\u2066-\u2069]/
// oxlint-disable-next-line no-control-regex -- the same, but for tab and line breaks
const CONTROL_IN_LINES = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufeff\ufffe\uffff]/

const bounded = (max: number) => z.string().min(1).max(max)

export const line = (max: number) =>
  bounded(max)
    .refine(plain(CONTROL), 'holds a control character or broken text')
    .refine((value) => !DIRECTION.test(value), 'holds a character that changes the direction of text')
    .transform((value) => value.normalize('NFC'))
    .pipe(z.string().max(max).regex(/\S/, 'holds nothing but space'))

export const lines = (max: number) =>
  bounded(max)
    .refine(plain(CONTROL_IN_LINES), 'holds a control character or broken text')
    .transform((value) => value.normalize('NFC'))
    .pipe(z.string().max(max).regex(/\S/, 'holds nothing but space'))

/** A moment with its offset from UTC, kept in UTC, where its year has four digits too. Dates that do not exist are refused. */
export const moment = z.iso
  .datetime({ offset: true })
  .refine((value) => Date.parse(value) >= Date.UTC(1900, 0), 'is before 1900')
  .refine((value) => Date.parse(value) < Date.UTC(10_000, 0), 'is after 9999')
  .transform((value) => new Date(value).toISOString())

/** For the body of a PATCH: at least one field. Says nothing beside another fault. */
export const changesSomething = [
  (value: object) => Object.keys(value).length > 0,
  { error: 'changes nothing', when: ({ issues }: { issues: unknown[] }) => issues.length === 0 },
] as const

/** PostgreSQL reads a UUID in any case; here it is compared as text, so it has one form. */
export const IdParam = z.strictObject({ id: z.uuid().toLowerCase() })

type Target = 'json' | 'query' | 'param' | 'header'

const placeOf = { json: 'body', query: 'query', param: 'path', header: 'header' } as const

const escapePointer = (key: PropertyKey) => String(key).replaceAll('~', '~0').replaceAll('/', '~1')

/** Where each fault is. An unknown field is named by its own pointer, not by its parent's. */
function inputErrors(target: Target, error: z.core.$ZodError): InputError[] {
  return error.issues.slice(0, 20).flatMap((issue) => {
    const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path]
    const detail = issue.code === 'unrecognized_keys' ? 'is not known here' : issue.message
    return paths.slice(0, 20).map((path) => ({
      in: placeOf[target],
      pointer: path.map((key) => `/${escapePointer(key).slice(0, 100)}`).join(''),
      detail,
    }))
  })
}

/** Parses a part of the request at the door. A path that is not well formed names nothing: 404. An optional body may be
 *  missing altogether, and counts as one without fields. */
export function valid<T extends z.ZodType, Where extends Target>(
  target: Where,
  schema: T,
  { optional = false }: { optional?: boolean } = {},
) {
  const validated = zValidator(target, schema, (result) => {
    if (result.success) return
    if (target === 'param') throw problem('not-found')
    throw problem('invalid-input', { errors: inputErrors(target, result.error) })
  })
  const handler: typeof validated = async (c, next) => {
    if (target === 'query') requireTextQuery(c)
    if (target === 'json' && !(optional && (await isWithoutBody(c)))) await requireStrictJson(c)
    return validated(c, next)
  }
  return stateFacts(handler, { inputs: [{ target, schema, optional }] })
}

const isWithoutBody = async (c: Context) =>
  c.req.header('content-type') === undefined && (await c.req.arrayBuffer()).byteLength === 0

/** Hono keeps what it cannot decode as it stands, and URL, which makes the next link, reads it as U+FFFD: it is refused. */
function requireTextQuery(c: Context) {
  try {
    decodeURIComponent(new URL(c.req.url).search)
  } catch {
    throw problem('invalid-input', { errors: [{ in: 'query', pointer: '', detail: 'is not UTF-8, percent-encoded' }] })
  }
}

/** Deeper than any body of ours, and far from where a parser runs out of stack. */
const DEPTH_MAX = 32

/** The only way in for a body: application/json, valid UTF-8, valid JSON, not too deep, no key twice, no __proto__. */
async function requireStrictJson(c: Context) {
  const [mediaType, charset] = (c.req.header('content-type') ?? '').toLowerCase().split(';')
  const isUtf8 = charset === undefined || /^\s*charset="?utf-8"?\s*$/.test(charset)
  if (mediaType?.trim() !== 'application/json' || !isUtf8) throw problem('unsupported-media-type')
  if (c.req.header('content-encoding') !== undefined) throw problem('unsupported-media-type')
  const bytes = await c.req.arrayBuffer()
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    JSON.parse(text)
    refuseDepthAndDoubleKeys(text)
  } catch {
    throw problem('malformed-json')
  }
}

function refuseDepthAndDoubleKeys(text: string) {
  const open: Set<string>[] = []
  const enter = () => {
    if (open.push(new Set()) > DEPTH_MAX) throw new SyntaxError('too deep')
  }
  const leave = () => void open.pop()
  visit(text, {
    onObjectBegin: enter,
    onObjectEnd: leave,
    onArrayBegin: enter,
    onArrayEnd: leave,
    onObjectProperty: (key) => {
      const keys = open.at(-1)
      if (key === '__proto__' || keys?.has(key)) throw new SyntaxError('a key stands twice')
      keys?.add(key)
    },
  })
}
