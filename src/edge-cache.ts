import { bytesToHex } from '@noble/hashes/utils.js'
import type { Context } from 'hono'
import type { OpenRoute } from './access.ts'
import type { Config } from './config.ts'
import { factory } from './factory.ts'
import { keyedHash } from './keyed-hash.ts'
import { log } from './log.ts'
import { answersWith } from './page.ts'
import { ProblemError } from './problem.ts'
import { tagsIn } from './versions.ts'

/** What anyone may read of the catalogue is kept in the cache of the data centre, and costs no round trip there. How stale
 *  what may be is told in docs/architecture.md. */

/** Answered as it is. Availability changes with each loan, and a loan in another data centre is not heard of here. */
const FRESH_SECONDS = 5
/** Answered for so much longer, while it is read anew after the answer. */
const REVALIDATING_SECONDS = 10
/** Answered for so long, from when it was read, where the database does not answer. */
const AWAY_SECONDS = 600
/** Longer than anything that is kept, so that no older generation comes to life again. */
const GENERATION_SECONDS = 86_400
/** After which a refresh that has said nothing counts as lost: no round trip of a request ends later than this. */
const REFRESH_MS = 10_000

const SHARED = [
  'public',
  // Browsers ask each time, and mostly hear 304.
  'max-age=0',
  `s-maxage=${FRESH_SECONDS}`,
  `stale-while-revalidate=${REVALIDATING_SECONDS}`,
  `stale-if-error=${AWAY_SECONDS}`,
].join(', ')

const JSON_TYPE = 'application/json'

/** An answer as the database gives it. Without a body the asker has it already: its tag is one of those that were named. */
export type Reading = { tag: string; body: string | null; link?: string | null; mediaType?: string }

/** Reads; `unless`: tags whose bodies are known, and need not be made. */
type Read = (unless: string[]) => Promise<Reading>

/** As much of a request as is used here. */
type Asking = Pick<Context, 'req' | 'header' | 'body' | 'executionCtx'> & { var: { config: Config } }

/** What is kept. `readAt`: when the database was asked whether it is so; `madeAt`: when it made the body. Both in milliseconds
 *  since 1970. */
type Entry = {
  tag: string
  body: string
  link: string | null
  mediaType: string
  readAt: number
  madeAt: number
  generation: string
}

/**
 * Answers what anyone may read, from the cache where it may. `about`: the valid input, which with the route (only one that is
 * open to anyone compiles) is all that the answer depends on. A reader who shows who they are, by a token or a cookie, is always answered from the database, and so
 * is what is `ofThisMoment`. It takes the reading and is no middleware, since what is read anew after the answer is read
 * outside the request's chain.
 */
export async function answerPublic<T>(
  c: Asking,
  { route, about, ofThisMoment = false }: { route: OpenRoute; about: object; ofThisMoment?: boolean },
  read: Read,
) {
  const known = tagsIn(c.req.header('if-none-match'))
  const isAnonymous = c.req.header('authorization') === undefined && c.req.header('cookie') === undefined
  const isShared = isAnonymous && !ofThisMoment
  const control = isShared ? SHARED : isAnonymous ? 'public, no-cache' : 'private, no-cache'
  if (!isShared || !c.var.config.edgeCache) return answer<T>(c, await read(known), { control })

  const { config } = c.var
  const address = await addressOf(config, route.replace('GET ', ''), about)
  const [generation, stored] = await Promise.all([generationOf(config), find(address)])
  const ageSeconds = stored === null ? Infinity : (Date.now() - stored.readAt) / 1_000
  if (stored !== null && stored.generation === generation && ageSeconds < FRESH_SECONDS + REVALIDATING_SECONDS) {
    if (ageSeconds >= FRESH_SECONDS && claimRefresh(config, address)) {
      c.executionCtx.waitUntil(refresh({ config, address, generation, stored }, read))
    }
    return answer<T>(c, stored, { control, ageSeconds })
  }
  try {
    const { reading, entry } = await readAnew({ generation, stored, known }, read)
    if (entry === null) return answer<T>(c, reading, { control })
    c.executionCtx.waitUntil(keep(address, entry))
    return answer<T>(c, entry, { control })
  } catch (error) {
    if (stored !== null && isAway(error) && ageSeconds < AWAY_SECONDS)
      return answer<T>(c, stored, { control, ageSeconds })
    if (stored !== null && !isAway(error)) c.executionCtx.waitUntil(forget(address))
    throw error
  }
}

/** Age says how long ago the database said so (RFC 9111, 5.1). A browser that has logged in since must not take what it heard
 *  before for what it would hear now: that is what Vary is for. */
function answer<T>(
  c: Asking,
  { tag, body, link = null, mediaType = JSON_TYPE }: Reading,
  { control, ageSeconds }: { control: string; ageSeconds?: number },
) {
  c.header('etag', tag)
  c.header('cache-control', control)
  c.header('vary', 'Authorization')
  if (ageSeconds !== undefined) c.header('age', String(Math.max(0, Math.floor(ageSeconds))))
  if (body === null) return answersWith<T>(c.body(null, 304))
  if (link !== null) c.header('link', link)
  return answersWith<T>(c.body(body, 200, { 'content-type': mediaType }))
}

const isAway = (error: unknown) => error instanceof ProblemError && error.problem === 'database-unavailable'

/** Where what is stored is as it was, its body is not made again: but for once in a while, since another version of the Worker
 *  may make another. */
async function readAnew(
  { generation, stored, known }: { generation: string; stored: Entry | null; known: string[] },
  read: Read,
): Promise<{ reading: Reading; entry: Entry | null }> {
  const readAt = Date.now()
  const isKnown = stored !== null && readAt - stored.madeAt < AWAY_SECONDS * 1_000
  const reading = await read(isKnown ? [...known, stored.tag] : known)
  const { tag, body, link = null, mediaType = JSON_TYPE } = reading
  if (body !== null) return { reading, entry: { tag, body, link, mediaType, readAt, madeAt: readAt, generation } }
  return { reading, entry: tag === stored?.tag ? { ...stored, readAt, generation } : null }
}

/** After the answer. What fails is left to the next reader. */
async function refresh(
  { config, address, generation, stored }: { config: Config; address: string; generation: string; stored: Entry },
  read: Read,
): Promise<void> {
  try {
    const { entry } = await readAnew({ generation, stored, known: [] }, read)
    if (entry !== null) await keep(address, entry)
  } catch (error) {
    if (!isAway(error)) await forget(address)
  } finally {
    refreshing.get(config)?.delete(address)
  }
}

/** When what is being read anew was begun, in this isolate: a crowd must not do it all at once. */
const refreshing = new WeakMap<Config, Map<string, number>>()

function claimRefresh(config: Config, address: string): boolean {
  const begun = refreshing.get(config) ?? new Map<string, number>()
  refreshing.set(config, begun)
  if (Date.now() - (begun.get(address) ?? -Infinity) < REFRESH_MS) return false
  begun.set(address, Date.now())
  return true
}

/** Nothing of the catalogue changes with these. */
const CHANGES_NOTHING = /^\/v1\/(sessions|auth)(\/|$)/

/**
 * After whatever may have changed the catalogue, and before its answer: what the cache of this data centre holds is no longer
 * current. Each answer is kept with the generation that was there before it was read, so that one that was under way
 * meanwhile counts as old whenever it is put back. One generation for all: a write need not know which books, lists and
 * ISBNs it touches, and what has not changed costs the next reader a round trip, but no body.
 */
export const announceChanges = factory.createMiddleware(async (c, next) => {
  await next()
  if (!c.var.config.edgeCache || ['GET', 'HEAD', 'OPTIONS'].includes(c.req.method)) return
  // After a 5xx it is not known whether it was done.
  const isRefused = c.res.status >= 400 && c.res.status < 500
  if (isRefused || CHANGES_NOTHING.test(c.req.path)) return
  const address = await generationAddressOf(c.var.config)
  await quietly(caches.default.put(address, storable(crypto.randomUUID(), GENERATION_SECONDS)), undefined)
})

async function generationOf(config: Config): Promise<string> {
  const address = await generationAddressOf(config)
  return quietly(
    caches.default.match(address).then((stored) => stored?.text() ?? 'none'),
    'none',
  )
}

const generationAddressOf = (config: Config) => addressOf(config, '/generation', {})

/** As much of the Cache API as is used here; scripts are compiled without the types of the Workers' runtime. */
declare const caches: {
  default: {
    match: (address: string) => Promise<Response | undefined>
    put: (address: string, response: Response) => Promise<void>
    delete: (address: string) => Promise<boolean>
  }
}

const storable = (body: string, seconds: number) =>
  new Response(body, { headers: { 'content-type': 'text/plain', 'cache-control': `public, max-age=${seconds}` } })

async function find(address: string): Promise<Entry | null> {
  const text = await quietly(
    caches.default.match(address).then((stored) => stored?.text()),
    undefined,
  )
  return text === undefined ? null : trust(text)
}

const trust = (text: string): Entry =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- safe because only `keep` puts something at these addresses
  JSON.parse(text) as Entry

const keep = (address: string, entry: Entry) =>
  quietly(caches.default.put(address, storable(JSON.stringify(entry), AWAY_SECONDS)), undefined)

const forget = (address: string) => quietly(caches.default.delete(address), false)

/** A cache that fails is one that holds nothing. */
const quietly = <T>(work: Promise<T>, otherwise: T): Promise<T> =>
  work.catch(() => {
    log({ event: 'edge_cache.failed' })
    return otherwise
  })

/** One for all spellings of a request: the valid input in order, with its defaults. At the Worker's own host, as Cloudflare
 *  asks, and under a path that no route has. */
async function addressOf(config: Config, route: string, about: object): Promise<string> {
  const address = new URL(`/.edge-cache${route}`, config.publicUrl)
  for (const [name, value] of Object.entries(about).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (value !== undefined) address.searchParams.set(name, String(value))
  }
  address.searchParams.set('library', await libraryOf(config))
  return address.href
}

const libraries = new WeakMap<Config, Promise<string>>()

/** Keeps apart the libraries that share a host, or a runtime: nothing of the one may be answered for the other. */
function libraryOf(config: Config): Promise<string> {
  const { publicUrl, databaseUrl, databaseEndpoint = '' } = config
  const known =
    libraries.get(config) ?? keyedHash(config, 'edge-cache', publicUrl, databaseUrl, databaseEndpoint).then(bytesToHex)
  libraries.set(config, known)
  return known
}
