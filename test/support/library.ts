import { env, exports } from 'cloudflare:workers'
import { neon } from '@neondatabase/serverless'
import { expect } from 'vitest'
import type { Book } from '../../src/features/books/schema.ts'
import type { Copy } from '../../src/features/copies/schema.ts'
import type { Hold } from '../../src/features/holds/schema.ts'
import type { Loan } from '../../src/features/loans/schema.ts'
import type { Tokens } from '../../src/features/sessions/schema.ts'
import type { User } from '../../src/features/users/schema.ts'
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
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
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

  async function aPatron(): Promise<Person> {
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
    const patron = await aPatron()
    await database`update users set role = 'staff' where id = ${patron.id}`
    return { ...patron, ...(await logIn(patron.username)) }
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
} = libraryOf({ env, fetch: (request) => exports.default.fetch(request) })
