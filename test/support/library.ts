import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { neon } from '@neondatabase/serverless'
import { bytesToHex } from '@noble/hashes/utils.js'
import { v7 as newId } from 'uuid'
import { expect } from 'vitest'
import { signAccessToken } from '../../src/access-token.ts'
import { app } from '../../src/app.ts'
import { configOf } from '../../src/config.ts'
import type { Book } from '../../src/features/books/schema.ts'
import type { Copy } from '../../src/features/copies/schema.ts'
import type { Hold } from '../../src/features/holds/schema.ts'
import type { Loan } from '../../src/features/loans/schema.ts'
import type { Tokens } from '../../src/features/sessions/schema.ts'
import { hashRefreshToken, newRefreshToken } from '../../src/features/sessions/tokens.ts'
import { hashPassword } from '../../src/features/users/password.ts'
import type { User } from '../../src/features/users/schema.ts'
import { emailHash } from '../../src/keyed-hash.ts'
import { seal } from '../../src/personal-data.ts'
import { checkAgainstDocument } from './document.ts'

/** How tests use the library: over HTTP, as its clients do. Every answer is checked against the OpenAPI document. */

export const ORIGIN = 'http://library.test'

export type Ask = {
  token?: string | undefined
  body?: unknown
  headers?: Record<string, string>
}

export type Answer<T = unknown> = { status: number; headers: Headers; body: T; text: string }

export async function read<T>(request: Request, response: Response): Promise<Answer<T>> {
  // Not `text()`, of which the runtime warns where the media type does not say that it is text.
  const text = new TextDecoder().decode(await response.arrayBuffer())
  const isJson = /[/+]json(;|$)/.test(response.headers.get('content-type') ?? '')
  const body = isJson && text !== '' ? JSON.parse(text) : null
  checkAgainstDocument(request, response, body)
  return { status: response.status, headers: response.headers, body, text }
}

/** The name of the problem in an answer. */
export const problemOf = ({ body }: Answer) =>
  /^\/problems\/(.*)$/.exec((body as { type?: string } | null)?.type ?? '')?.[1] ?? null

let counter = 0
const unique = () => `${Date.now().toString(36)}${(counter++).toString(36)}${Math.random().toString(36).slice(2, 6)}`

/** An address of its own for each call, as the platform tells the Worker: clients come from all over the world. */
const anAddress = () => {
  const [a, b] = crypto.getRandomValues(new Uint16Array(2))
  return `2001:db8:${(a ?? 0).toString(16)}:${(b ?? 0).toString(16)}::1`
}

export const PASSWORD = 'seven quiet herons wade'

export type Person = {
  id: string
  username: string
  email: string
  token: string
  refreshToken: string
  sessionId: string
}

export type Library = ReturnType<typeof libraryOf>

/** One environment a library: the Worker reads each once. The app is called as src/index.ts has it called, without the way
 *  through the runtime, which would take most of a test's time. */
export const libraryWith = (env: Cloudflare.Env) =>
  libraryOf({ env, fetch: (request) => app.fetch(request, env, createExecutionContext()) })

/** The same with the cache of a data centre, which no other library shares. Each answer is heard when all that goes on after
 *  it is done. */
export const libraryAtTheEdge = (change: Partial<Cloudflare.Env> = {}) =>
  isolateAtTheEdge({ ...env, EDGE_CACHE: 'on', DATABASE_ENDPOINT: `${env.DATABASE_ENDPOINT}#${unique()}`, ...change })

/** Another isolate of that library, in the same data centre. */
export function isolateAtTheEdge(environment: Cloudflare.Env) {
  const env = { ...environment }
  return libraryOf({
    env,
    fetch: async (request) => {
      const context = createExecutionContext()
      const response = await app.fetch(request, env, context)
      await waitOnExecutionContext(context)
      return response
    },
  })
}

/** All that tests do in one library, wherever that is. */
export function libraryOf({
  env,
  fetch,
}: {
  env: Cloudflare.Env
  fetch: (request: Request) => Response | Promise<Response>
}) {
  async function ask<T = unknown>(method: string, path: string, how: Ask = {}): Promise<Answer<T>> {
    const request = new Request(ORIGIN + path, {
      method,
      headers: {
        ...(how.token !== undefined && { authorization: `Bearer ${how.token}` }),
        ...(how.body !== undefined && { 'content-type': 'application/json' }),
        'cf-connecting-ip': anAddress(),
        ...how.headers,
      },
      ...(how.body !== undefined && { body: JSON.stringify(how.body) }),
    })
    return read(request, await fetch(request.clone()))
  }

  /** A call that must succeed, since it only prepares. */
  async function must<T>(status: number, ...call: Parameters<typeof ask>): Promise<T> {
    const answer = await untilNotBusy(() => ask<T>(...call))
    expect(answer.status, answer.text).toBe(status)
    return answer.body
  }

  /** Fifty people made at once wait for each other's hashes, and some are told to come again. */
  async function untilNotBusy<T>(call: () => Promise<Answer<T>>, times = 10): Promise<Answer<T>> {
    const answer = await call()
    return problemOf(answer) === 'busy' && times > 1 ? untilNotBusy(call, times - 1) : answer
  }

  /** The database itself, as its owner, for what HTTP does not show and the Worker may not do. */
  const database = neon(env.OWNER_DATABASE_URL, { fetchOptions: { endpoint: env.DATABASE_ENDPOINT } })

  /** Somebody with an account, logged in, and with an address that waits to be confirmed: as aNewcomer is, but made by SQL,
   *  which takes a tenth of the time. */
  async function aPatron(): Promise<Person> {
    return aPerson('patron')
  }

  let passwordHash: Promise<string> | undefined

  async function aPerson(role: 'staff' | 'patron'): Promise<Person> {
    const config = configOf(env)
    const username = `p${unique()}`
    const email = `${username}@mail.test`
    const [id, sessionId, refreshToken] = [newId(), crypto.randomUUID(), newRefreshToken()]
    passwordHash ??= hashPassword(config, PASSWORD)
    const [stored, sealed, hash, tokenHash] = await Promise.all([
      passwordHash,
      seal(config, { column: 'users.email', row: id }, email),
      emailHash(config, email),
      hashRefreshToken(refreshToken),
    ])
    await database`
      with account as (
        insert into users (id, username, password_hash, role, pending_email, pending_email_hash)
        values (${id}, ${username}, ${stored}, ${role}, ${sealed}, decode(${bytesToHex(hash)}, 'hex'))
      ),
      counter as (insert into loan_counters (user_id) values (${id})),
      session as (
        insert into sessions (id, user_id, expires_at) values (${sessionId}, ${id}, now() + interval '90 days')
      )
      insert into refresh_tokens (token_hash, session_id, expires_at)
      values (decode(${bytesToHex(tokenHash)}, 'hex'), ${sessionId}, now() + interval '14 days')`
    const iat = Math.floor(Date.now() / 1000)
    const token = await signAccessToken(config, { sub: id, sid: sessionId, jti: crypto.randomUUID(), role, iat })
    return { id, username, email, token, refreshToken, sessionId }
  }

  /** Registered and logged in over HTTP, with the message to confirm the address on its way. */
  async function aNewcomer(): Promise<Person> {
    const username = `p${unique()}`
    const email = `${username}@mail.test`
    const { id } = await must<User>(201, 'POST', '/v1/users', { body: { username, email, password: PASSWORD } })
    return { id, username, email, ...(await logIn(username)) }
  }

  async function logIn(username: string, password = PASSWORD) {
    const tokens = await must<Tokens>(201, 'POST', '/v1/sessions', { body: { username, password } })
    return { token: tokens.accessToken, refreshToken: tokens.refreshToken, sessionId: tokens.sessionId }
  }

  async function aMemberOfStaff(): Promise<Person> {
    return aPerson('staff')
  }

  let staff: Promise<Person> | undefined
  /** One member of staff a test file, for what only prepares. */
  const theStaff = () => (staff ??= aMemberOfStaff())

  async function aBook(record: Record<string, unknown> & { copies?: number; licences?: number } = {}) {
    const { copies = 1, licences = 0, ...rest } = record
    const { token } = await theStaff()
    const book = await must<Book>(201, 'POST', '/v1/books', { token, body: { title: `Book ${unique()}`, ...rest } })
    for (let i = 0; i < copies; i++) await aCopy(book)
    for (let i = 0; i < licences; i++) await aCopy(book, { format: 'digital' })
    return book
  }

  async function aCopy({ id }: { id: string }, copy: object = { format: 'physical', barcode: `B${unique()}` }) {
    const { token } = await theStaff()
    return must<Copy>(201, 'POST', `/v1/books/${id}/copies`, { token, body: copy })
  }

  const borrow = ({ token }: { token: string }, book: { id: string }, how: Ask = {}) =>
    ask<Loan>('POST', '/v1/loans', { token, body: { bookId: book.id }, ...how })

  async function aLoan(patron: { token: string }, book: { id: string }): Promise<Loan> {
    const answer = await borrow(patron, book)
    expect(answer.status, answer.text).toBe(201)
    return answer.body
  }

  const queue = ({ token }: { token: string }, book: { id: string }, how: Ask = {}) =>
    ask<Hold>('POST', '/v1/holds', { token, body: { bookId: book.id }, ...how })

  async function aHold(patron: { token: string }, book: { id: string }): Promise<Hold> {
    const answer = await queue(patron, book)
    expect(answer.status, answer.text).toBe(201)
    return answer.body
  }

  const giveBack = ({ token }: { token: string }, { id }: { id: string }) =>
    ask<Loan>('PUT', `/v1/loans/${id}/return`, { token })

  return {
    env,
    ask,
    database,
    aPatron,
    aNewcomer,
    logIn,
    aMemberOfStaff,
    theStaff,
    aBook,
    aCopy,
    borrow,
    aLoan,
    queue,
    aHold,
    giveBack,
  }
}

/** The library that test files share, each with its own people and books. For another: laboratory.ts. */
export const {
  ask,
  database,
  aPatron,
  aNewcomer,
  logIn,
  aMemberOfStaff,
  theStaff,
  aBook,
  aCopy,
  borrow,
  aLoan,
  queue,
  aHold,
  giveBack,
} = libraryWith(env)
