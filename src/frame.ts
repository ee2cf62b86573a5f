import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import { routePath } from 'hono/route'
import { secureHeaders } from 'hono/secure-headers'
import { configOf } from './config.ts'
import { BATCH_BYTES_MAX } from './features/imports/schema.ts'
import { factory } from './factory.ts'
import { log } from './log.ts'
import { problem } from './problem.ts'

const URI_LENGTH_MAX = 4_096
const BODY_BYTES_MAX = 64 * 1_024
/** A batch of an import may be larger; nobody but staff gets so far that it is read. */
const BATCH = /^\/v1\/imports\/[^/]+\/records$/
const PREFLIGHT_SECONDS = 600

/** What is known of a request, for its log line. */
export type RequestRecord = {
  requestId: string
  /** In milliseconds since 1970. */
  startedAt: number
  roundTrips: number
  actorId: string | null
  problem: string | null
}

/** One log line a request, and its id in the answer. The id is ours: a client's would end in the log. */
export const record = factory.createMiddleware(async (c, next) => {
  const request: RequestRecord = {
    requestId: crypto.randomUUID(),
    startedAt: Date.now(),
    roundTrips: 0,
    actorId: null,
    problem: null,
  }
  c.set('record', request)
  await next()
  c.res.headers.set('x-request-id', request.requestId)
  log({
    event: 'request',
    requestId: request.requestId,
    method: c.req.method,
    route: routePath(c),
    status: c.res.status,
    problem: request.problem,
    durationMs: Date.now() - request.startedAt,
    roundTrips: request.roundTrips,
    actorId: request.actorId,
  })
})

/** Nothing is served before the environment is right. Throws ConfigError. */
export const configured = factory.createMiddleware(async (c, next) => {
  c.set('config', configOf(c.env))
  await next()
})

/** Two years, as hstspreload.org asks. */
const hsts = 'max-age=63072000; includeSubDomains; preload'

const POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const standardHeaders = secureHeaders({
  strictTransportSecurity: hsts,
  referrerPolicy: 'no-referrer',
  crossOriginResourcePolicy: 'same-origin',
  crossOriginOpenerPolicy: 'same-origin',
  xFrameOptions: 'DENY',
  xXssProtection: false,
  permissionsPolicy: { camera: [], geolocation: [], microphone: [] },
})

/** On every answer. What a handler has said of its own policy or caching stays. Each says that it depends on the origin,
 *  or a cache would hand one of them out without the header that lets a listed origin read it. */
export const headers = factory.createMiddleware(async (c, next) => {
  await standardHeaders(c, next)
  const { headers: answer } = c.res
  if (!answer.has('content-security-policy')) answer.set('content-security-policy', POLICY)
  if (!answer.has('cache-control')) answer.set('cache-control', 'no-store')
  if (!/\borigin\b/i.test(answer.get('vary') ?? '')) answer.append('vary', 'Origin')
})

export const onlyHttps = factory.createMiddleware(async (c, next) => {
  if (c.var.config.isProduction && new URL(c.req.url).protocol !== 'https:') throw problem('https-required')
  await next()
})

export const boundedUri = factory.createMiddleware(async (c, next) => {
  if (c.req.url.length > URI_LENGTH_MAX) throw problem('uri-too-long')
  await next()
})

const boundedTo = (maxSize: number, detail: string) =>
  bodyLimit({
    maxSize,
    onError: () => {
      throw problem('body-too-large', { detail })
    },
  })

const boundedPlain = boundedTo(BODY_BYTES_MAX, 'Send at most 64 KiB.')
const boundedBatch = boundedTo(BATCH_BYTES_MAX, 'Send at most 1 MiB: fewer records at a time.')

export const boundedBody = factory.createMiddleware((c, next) =>
  BATCH.test(c.req.path) ? boundedBatch(c, next) : boundedPlain(c, next),
)

const crossOrigin = cors({
  origin: (origin) => origin,
  allowMethods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
  allowHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'If-Match', 'If-None-Match'],
  exposeHeaders: ['Age', 'ETag', 'Link', 'Location', 'Retry-After', 'X-Request-Id'],
  maxAge: PREFLIGHT_SECONDS,
})

/** Browsers of the origins on the list may read answers. The others get no header about it, not even which there are. */
export const allowListedOrigins = factory.createMiddleware((c, next) => {
  const origin = c.req.header('origin')
  return origin !== undefined && c.var.config.corsOrigins.includes(origin) ? crossOrigin(c, next) : next()
})
