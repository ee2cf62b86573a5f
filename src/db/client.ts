import { neon, neonConfig, NeonDbError } from '@neondatabase/serverless'
import { DrizzleQueryError, type SQL, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-http'
import type { ApiKey } from '../api-key.ts'
import { type Config, ConfigError } from '../config.ts'
import { newBreaker } from './breaker.ts'
import { bytea } from './parameters.ts'
import { z } from 'zod'
import { isProblemName, problem, type ProblemName, problems } from '../problem.ts'

/** How long one round trip may take, in milliseconds. */
const ROUND_TRIP_TIMEOUT_MS = 4_000

/** None is begun so late in a request that its answer could come after ten seconds. What may stand before the last one: a
 *  round trip (and beside it one second for breached passwords), and two hashes that each wait two seconds for their
 *  turn, 8.8 in all. Whoever is past this by then hears 503. */
const LAST_ROUND_TRIP_MS = 5_500

/** The endpoint and the time limit travel with each request, since neonConfig is shared by all. A redirect is not followed:
 *  the request holds the password of the database. */
neonConfig.fetchFunction = (url: string, { endpoint, ...init }: RequestInit & { endpoint?: string }) =>
  fetch(endpoint ?? url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(ROUND_TRIP_TIMEOUT_MS) })

/** A round trip to the database: statements in, the rows of each out, all in one transaction or none. */
export type Db = {
  /** The JSON in the column `body` of the statement's only row. */
  one: <T>(statement: SQL) => Promise<T>
  /** The only row, as it is. */
  row: <T extends Record<string, unknown>>(statement: SQL) => Promise<T>
  /** A statement whose `body` is the thing it made. With a claim, a repeated request makes nothing more and gets
   *  the first answer again. */
  make: <T>(statement: SQL, claim: Claim | null) => Promise<T>
  /** The same, where a check runs first in each round trip; what it refuses is not done. */
  after: (check: SQL) => Db
}

/** Somebody who has shown an access token or a key. */
export type Actor = { userId: string; role: 'staff' | 'patron' }

/** Somebody who has logged in. */
export type LoggedIn = Actor & { sessionId: string }

/** An Idempotency-Key, ready for the database: see src/idempotency.ts. */
export type Claim = { keyHash: Uint8Array; fingerprint: Uint8Array }

/** An error of the database without what was sent to it: DrizzleQueryError.message quotes the parameters. */
export class DatabaseError extends Error {
  override name = 'DatabaseError'
  readonly sqlstate: string | null
  readonly constraint: string | null
  constructor({ sqlstate, constraint }: { sqlstate: string | null; constraint: string | null }) {
    super(`SQLSTATE ${sqlstate}, constraint ${constraint}`)
    this.sqlstate = sqlstate
    this.constraint = constraint
  }
}

/** An ended session, a suspended user, a changed role or a second factor that the library asks for counts from the next
 *  request, at no round trip of its own. */
export const requireActor = ({ sessionId, userId, role }: LoggedIn, { mayLackFactor }: { mayLackFactor: boolean }) =>
  sql`select require_actor(${sessionId}, ${userId}, ${role}, ${mayLackFactor})`

/** Refreshing a session does not make it fresh. */
export const requireFreshSession = ({ sessionId }: LoggedIn) => sql`select require_fresh_session(${sessionId})`

/** The same for a key, of which nothing has been checked before. */
export const requireKey = ({ hash, userId, role }: ApiKey, scope: string) =>
  sql`select require_key(${bytea(hash)}, ${userId}, ${role}, ${scope})`

type Row = Record<string, unknown>

/** `startedAt`: of the request that this is for, in milliseconds since 1970. */
type Options = { config: Config; onRoundTrip: () => void; startedAt?: number; checks?: SQL[] }

const connect = ({ databaseUrl, databaseEndpoint }: Config) => ({
  client: drizzle(neon(databaseUrl, { fetchOptions: { endpoint: databaseEndpoint } })),
  breaker: newBreaker({ trialMs: ROUND_TRIP_TIMEOUT_MS }),
})

/** One a configuration: a client holds settings and no connection, so requests may share it, and what they have learnt of
 *  the database. Until a round trip has succeeded, each asks first whether the role may do no more than a Worker needs. */
const clients = new WeakMap<Config, ReturnType<typeof connect> & { startChecks: SQL[] }>()

function clientOf(config: Config) {
  const known = clients.get(config) ?? { ...connect(config), startChecks: [sql`select require_plain_role()`] }
  clients.set(config, known)
  return known
}

export function openDb({ config, onRoundTrip, startedAt = Infinity, checks = [] }: Options): Db {
  const known = clientOf(config)
  const { client, breaker } = known

  /** One request, whatever the number of statements; answers the rows of the last. */
  const run = async (statements: SQL[]): Promise<Row[]> => {
    if (Date.now() - startedAt > LAST_ROUND_TRIP_MS) throw problem('database-unavailable')
    const [first, ...rest] = [...known.startChecks, ...checks, ...statements].map((statement) =>
      client.execute(statement),
    )
    if (first === undefined) throw new Error('no statement')
    const leave = breaker.enter()
    onRoundTrip()
    try {
      const results = rest.length === 0 ? [await first] : await client.batch([first, ...rest])
      leave('reached')
      known.startChecks = []
      return results.at(-1)?.rows ?? []
    } catch (error) {
      const cause = error instanceof DrizzleQueryError ? error.cause : error
      leave(isAway(cause) ? 'away' : 'reached')
      throw translate(cause)
    }
  }

  const row = async <T extends Row>(...statements: SQL[]): Promise<T> => {
    const [only] = await run(statements)
    if (only === undefined) throw new Error('the statement answered no row')
    return trust(only)
  }

  const one = async <T>(...statements: SQL[]) => (await row<{ body: T }>(...statements)).body

  const make = async <T>(statement: SQL, claim: Claim | null): Promise<T> => {
    if (claim === null) return one<T>(statement)
    try {
      return await one<T>(
        sql`select claim_idempotency_key(${bytea(claim.keyHash)}, ${bytea(claim.fingerprint)})`,
        sql`
          with made as (${statement}),
          kept as (
            update idempotency_keys
            set answer = made.body, subject_id = (made.body ->> 'id')::uuid
            from made
            where key_hash = ${bytea(claim.keyHash)}
          )
          select body from made`,
      )
    } catch (error) {
      if (!(error instanceof Replayed)) throw error
      const answer = await one<T | null>(
        sql`select (select answer from idempotency_keys where key_hash = ${bytea(claim.keyHash)}) as body`,
      )
      // It was kept a moment ago, and may have been forgotten since.
      if (answer === null) throw problem('idempotency-key-spent')
      return answer
    }
  }

  return {
    one: (statement) => one(statement),
    row: (statement) => row(statement),
    make,
    after: (check) => openDb({ config, onRoundTrip, startedAt, checks: [...checks, check] }),
  }
}

const trust = <T>(row: Row) =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- safe because each statement builds the columns and the JSON that its caller names, and the tests check every response against the schema of its route
  row as T

class Replayed extends Error {}

/** What a violated constraint means to whoever asked. The others are faults of ours. */
const constraintProblems: Record<string, ProblemName> = {
  users_username_unique: 'username-taken',
  users_email_unique: 'email-taken',
  book_isbns_unique: 'isbn-taken',
  copies_barcode_unique: 'barcode-taken',
  copies_physical_has_barcode: 'format-mismatch',
  copies_shelf_is_for_physical: 'format-mismatch',
  copies_licence_is_for_digital: 'format-mismatch',
  holds_one_per_user_and_book: 'already-on-hold',
  fees_balance_never_negative: 'amount-exceeds-balance',
  policies_one_per_category_and_format: 'policy-exists',
  policies_category_fkey: 'category-not-found',
  users_category_fkey: 'category-not-found',
  loans_one_open_per_copy: 'copy-not-available',
  loans_one_open_per_user_and_book: 'already-on-loan',
}

/** Nothing was heard from PostgreSQL, or that it cannot serve anybody just now: connection errors, resources, shutdowns,
 *  its own input and output (appendix A). Without an SQLSTATE, something between us and it spoke, or nobody; for a
 *  connection lost in mid-query Neon answers an empty one. */
const isAway = (error: unknown) => !(error instanceof NeonDbError) || !error.code || /^(08|53|57P|58)/.test(error.code)

/** Cancelled by a time limit, or had to give way to another transaction: to be tried again, and no fault of the request. */
const isPassing = (sqlstate: string) => /^(57|40)/.test(sqlstate)

/** What some refusals tell beside their name: where a book has gone, or which of many edits were refused and why. */
const Detail = z.object({
  survivor: z.uuid().optional(),
  refused: z.array(z.object({ place: z.int(), problem: z.string().refine(isProblemName) })).optional(),
})

function readDetail(text: string | undefined) {
  if (!text) return {}
  const { survivor, refused } = Detail.parse(JSON.parse(text))
  return {
    ...(survivor !== undefined && { survivor }),
    ...(refused !== undefined && {
      errors: refused.map(({ place, problem: name }) => ({
        in: 'body' as const,
        pointer: `/books/${place}`,
        detail: `${name}: ${problems[name][1]}`,
      })),
    }),
  }
}

function translate(error: unknown): Error {
  if (isAway(error) || !(error instanceof NeonDbError)) return problem('database-unavailable')
  const { code = '', constraint } = error
  if (isPassing(code)) return problem('database-unavailable')
  if (code === 'LN001' && error.message === 'idempotency-key-replayed') return new Replayed()
  if (code === 'LN001' && error.message === 'misconfigured') {
    return new ConfigError([{ key: 'DATABASE_URL', fault: 'is of a role that may do more than the Worker needs' }])
  }
  if (code === 'LN001' && isProblemName(error.message)) return problem(error.message, readDetail(error.detail))
  // The account was erased while this was under way: asked again, it finds that.
  if (code === '23503' && constraint?.endsWith('_user_fkey')) return problem('database-unavailable')
  const named = constraint === undefined ? undefined : constraintProblems[constraint]
  if (named) return problem(named)
  return new DatabaseError({ sqlstate: code, constraint: constraint ?? null })
}
