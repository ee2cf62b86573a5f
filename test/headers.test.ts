import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { routes } from '../src/app.ts'
import type { Route } from '../src/route-facts.ts'
import {
  type Answer,
  aBook,
  aHold,
  aLoan,
  aMemberOfStaff,
  aPatron,
  ask,
  problemOf,
  theStaff,
} from './support/library.ts'
import {
  BODY_BYTES_MAX,
  type Environment,
  json,
  pathOf,
  production,
  send,
  SOME_ID,
  URI_LENGTH_MAX,
  withEnvironment,
} from './support/send.ts'

/** Every header of every answer: what must stand there, word for word, and nothing that is not known here. */

const LISTED = 'https://app.library.test'
const UNLISTED = 'https://elsewhere.test'

const NOTHING_LOADED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
const DOCS_LOADED =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const everywhere = {
  'strict-transport-security': 'max-age=63072000; includeSubDomains; preload',
  'content-security-policy': NOTHING_LOADED,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'x-download-options': 'noopen',
  'x-dns-prefetch-control': 'off',
  'x-permitted-cross-domain-policies': 'none',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
  vary: 'Origin',
}

/** For a listed origin. */
const readable = {
  'access-control-allow-origin': LISTED,
  'access-control-expose-headers': 'Age,ETag,Link,Location,Retry-After,X-Request-Id',
}

/** What belongs to a single answer, and the form it has. Neither Server, X-Powered-By nor Set-Cookie is among them. */
const ofTheAnswer: Record<string, RegExp> = {
  'x-request-id': /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  'content-type':
    /^(application\/((problem\+)?json|atom\+xml)|text\/(html|plain|csv); charset=utf-8|text\/(css|javascript)(; charset=utf-8)?)$/i,
  'content-disposition': /^attachment; filename="[a-z0-9.-]+"$/,
  age: /^[0-9]+$/,
  allow: /^[A-Z]+(, [A-Z]+)*$/,
  etag: /^"[^"]+"$/,
  link: /^<\/v1\/[^>]*>; rel="next"$/,
  location: /^\/v1\//,
  'retry-after': /^[0-9]+$/,
  'www-authenticate': /^Bearer/,
}

/** The headers that are the same everywhere, and the names of those that nobody expects or that are not as they must be. */
function headersOf({ headers, text }: Answer) {
  const all = [...headers]
  const strange = all.filter(([name, value]) => !(name in everywhere) && ofTheAnswer[name]?.test(value) !== true)
  return {
    everywhere: Object.fromEntries(all.filter(([name]) => name in everywhere)),
    strange: Object.fromEntries(strange),
    missing: ['x-request-id', ...(text === '' ? [] : ['content-type'])].filter((name) => !headers.has(name)),
  }
}

const expected = (change: Partial<typeof everywhere> = {}, strange: Record<string, string> = {}) => ({
  everywhere: { ...everywhere, ...change },
  strange,
  missing: [],
})

const SHARED = 'public, max-age=0, s-maxage=5, stale-while-revalidate=10, stale-if-error=600'

/** What of the catalogue somebody who has logged in hears. */
const personal: Record<string, string> = {
  'GET /v1/books': 'private, no-cache',
  'GET /v1/books/:id': 'private, no-cache, no-transform',
  'GET /v1/books/isbn/:isbn': 'private, no-cache, no-transform',
  'GET /v1/books/suggest': 'private, no-cache',
  'GET /v1/books/newest': 'private, no-cache',
  'GET /v1/books/newest.atom': 'private, no-cache',
  'GET /v1/books/popular': 'private, no-cache',
  'GET /v1/books/popular.atom': 'private, no-cache',
  'GET /v1/books/:id/related': 'private, no-cache',
}

/** What may be stored, by whom it may be: everything else is not. */
const stored: Record<string, string> = {
  'GET /openapi.json': 'public, max-age=300',
  'GET /docs': 'public, max-age=300',
  'GET /docs/:file': 'public, max-age=86400',
  'GET /.well-known/security.txt': 'public, max-age=3600',
  'GET /v1/security/guidance': 'public, max-age=3600',
  'GET /v1/books': SHARED,
  'GET /v1/books/suggest': SHARED,
  'GET /v1/books/newest': SHARED,
  'GET /v1/books/newest.atom': SHARED,
  'GET /v1/books/popular': SHARED,
  'GET /v1/books/popular.atom': SHARED,
  'GET /v1/books/:id/related': SHARED,
  'GET /v1/books/:id': SHARED,
  'GET /v1/books/isbn/:isbn': SHARED,
}

/** What depends on what the client accepts. */
const negotiated = new Set(['GET /v1/books', 'GET /v1/books/:id'])

const policies: Record<string, string> = { 'GET /docs': DOCS_LOADED }

/** As a good answer of the route; a refusal is never stored, and loads nothing. */
const expectedOf = (route: string, status: number, isPersonal = false) =>
  expected(
    status === 200
      ? {
          'cache-control': (isPersonal ? personal[route] : undefined) ?? stored[route] ?? everywhere['cache-control'],
          'content-security-policy': policies[route] ?? NOTHING_LOADED,
          vary: [
            ...(route in personal ? ['Authorization'] : []),
            ...(negotiated.has(route) ? ['Accept'] : []),
            'Origin',
          ].join(', '),
        }
      : {},
  )

const nameOf = ({ method, path }: Route) => `${method} ${path.replace(/(.)\/$/, '$1')}`
const names = routes.map((route) => [nameOf(route), route.method, route.path] as const)

afterEach(() => void vi.restoreAllMocks())

describe('every route', () => {
  test.each(names)('%s answers anybody, staff and HEAD with these headers', async (name, method, path) => {
    // Their own, since one of the routes ends their session.
    const { token } = await aMemberOfStaff()
    const hasBody = method !== 'GET' && method !== 'DELETE'
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'if-match': '*' }
    const address = pathOf(path.replace(/(.)\/$/, '$1'))
    const answers = [
      await send(address, { method, ...(hasBody && { ...json('{}'), method }) }),
      await send(address, { method, headers, ...(hasBody && { body: '{}' }) }),
      ...(method === 'GET' ? [await send(address, { method: 'HEAD', headers })] : []),
    ]
    for (const [place, answer] of answers.entries()) {
      expect(answer.status, answer.text).toBeLessThan(500)
      expect(headersOf(answer)).toEqual(expectedOf(name, answer.status, place > 0))
    }
  })

  test('that may be stored is open to anyone, and is stored when it answers', async () => {
    const [{ token }, { id }] = [await theStaff(), await aBook()]
    // There is a book with the ISBN of pathOf then, whoever made it.
    const made = await ask('POST', '/v1/books', { token, body: { title: 'Of headers', isbns: ['9780306406157'] } })
    expect([201, 409]).toContain(made.status)
    const paths: Record<string, string> = {
      'GET /v1/books/:id': `/v1/books/${id}`,
      'GET /v1/books/suggest': '/v1/books/suggest?q=a',
      'GET /v1/books/:id/related': `/v1/books/${id}/related`,
    }
    for (const [name, cacheControl] of Object.entries(stored)) {
      const [, , path] = names.find(([of]) => of === name) ?? ['', '', name]
      const answer = await ask('GET', paths[name] ?? pathOf(path.replace(/(.)\/$/, '$1')))
      expect([name, answer.status, answer.headers.get('cache-control')]).toEqual([name, 200, cacheControl])
    }
    const closed = routes.filter(({ facts }) => !facts.roles.includes('anyone'))
    expect(closed.map(nameOf).filter((name) => name in stored)).toEqual([])
  })
})

/** A request for each status of a refusal, and whatever must be there first. */
const refusals: [status: number, problem: string, make: () => Promise<Answer>][] = [
  [400, 'malformed-json', () => send('/v1/sessions', json('{'))],
  [401, 'authentication-required', () => send('/v1/users/me')],
  [401, 'access-token-invalid', () => send('/v1/users/me', { headers: { authorization: 'Bearer x' } })],
  [401, 'wrong-credentials', () => send('/v1/sessions', json('{"username":"nobody.at.all","password":"x"}'))],
  [403, 'https-required', () => send('/healthz', {}, production())],
  [403, 'forbidden', async () => ask('GET', '/v1/users', { token: (await aPatron()).token })],
  [404, 'not-found', () => send('/nowhere')],
  [404, 'not-found', () => send('/docs/other.js')],
  [404, 'not-found', () => send('/v1/books/not-an-id')],
  [404, 'not-found', () => send('/.well-known/security.txt', {}, withEnvironment({ SECURITY_EXPIRES: undefined }))],
  [404, 'book-not-found', () => send(`/v1/books/${SOME_ID}`)],
  [406, 'not-acceptable', () => send('/v1/books', { headers: { accept: 'image/png' } })],
  [405, 'method-not-allowed', () => send('/healthz', { method: 'DELETE' })],
  [
    409,
    'already-on-loan',
    async () => {
      const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 2 })])
      await aLoan(patron, book)
      return ask('POST', '/v1/loans', { token: patron.token, body: { bookId: book.id } })
    },
  ],
  [412, 'precondition-failed', () => changeOfABook({ 'if-match': '"999"' })],
  [413, 'body-too-large', () => send('/v1/sessions', json('x'.repeat(BODY_BYTES_MAX + 1)))],
  [414, 'uri-too-long', () => send(`/healthz?${'x'.repeat(URI_LENGTH_MAX)}`)],
  [415, 'unsupported-media-type', () => send('/v1/sessions', { method: 'POST', body: 'x' })],
  [422, 'invalid-input', () => send('/v1/sessions', json('{}'))],
  [422, 'invalid-input', () => send('/v1/books?colour=red')],
  [428, 'precondition-required', () => changeOfABook({})],
  [500, 'misconfigured', () => send('/healthz', {}, {})],
  [500, 'internal-error', () => send('/docs/swagger-ui.css', {}, withEnvironment({ ASSETS: brokenAssets }))],
  [503, 'database-unavailable', () => send('/v1/books', {}, databaseAway())],
]

const brokenAssets = { fetch: () => Promise.reject(new Error('no such thing')) }
const databaseAway = (): Environment => withEnvironment({ DATABASE_ENDPOINT: 'http://127.0.0.1:9/sql' })

async function changeOfABook(headers: Record<string, string>) {
  const [{ token }, { id }] = [await theStaff(), await aBook()]
  return ask('PATCH', `/v1/books/${id}`, { token, body: { title: 'Another' }, headers })
}

describe('every refusal', () => {
  test.each(refusals)('%i %s has these headers, and is not stored (%#)', async (status, problem, make) => {
    const answer = await make()
    expect([answer.status, problemOf(answer)], answer.text).toEqual([status, problem])
    expect(headersOf(answer)).toEqual(expected(status === 406 ? { vary: 'Accept, Origin' } : {}))
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.body).toMatchObject({ status, instance: answer.headers.get('x-request-id') })
    expect(answer.headers.has('retry-after')).toBe(status === 503)
    expect(answer.headers.has('www-authenticate')).toBe(status === 401)
    expect(answer.headers.has('allow')).toBe(status === 405)
  })
})

describe('what has no body', () => {
  test('304 has the headers of the answer that it stands for', async () => {
    const { id } = await aBook()
    const book = await ask('GET', `/v1/books/${id}`)
    const etag = book.headers.get('etag') ?? ''
    const same = await ask('GET', `/v1/books/${id}`, { headers: { 'if-none-match': etag } })
    expect([same.status, same.text, same.headers.get('etag')]).toEqual([304, '', etag])
    expect(headersOf(same)).toEqual(expected({ 'cache-control': SHARED, vary: 'Authorization, Accept, Origin' }))
  })

  test('204 has these headers', async () => {
    const [patron, other, book] = await Promise.all([aPatron(), aPatron(), aBook()])
    await aLoan(other, book)
    const hold = await aHold(patron, book)
    const answer = await ask('DELETE', `/v1/holds/${hold.id}`, { token: patron.token })
    expect([answer.status, headersOf(answer)]).toEqual([204, expected()])
  })

  test('OPTIONS has these headers', async () => {
    const answer = await send('/healthz', { method: 'OPTIONS' })
    expect([answer.status, headersOf(answer)]).toEqual([204, expected()])
  })
})

describe('an answer’s id', () => {
  test('is its own, whatever the client says', async () => {
    const headers = { 'x-request-id': SOME_ID }
    const answers = await Promise.all([send('/healthz', { headers }), send('/healthz', { headers })])
    const ids = new Set([SOME_ID, ...answers.map((answer) => answer.headers.get('x-request-id'))])
    expect(ids.size).toBe(3)
  })
})

describe('tokens and accounts', () => {
  test('are not stored', async () => {
    const username = `n${crypto.randomUUID().slice(0, 8)}`
    const account = { username, email: `${username}@mail.test`, password: 'seven quiet herons wade' }
    const registered = await ask('POST', '/v1/users', { body: account })
    const loggedIn = await ask<{ refreshToken: string }>('POST', '/v1/sessions', {
      body: { username, password: account.password },
    })
    const refreshed = await ask('POST', '/v1/sessions/refresh', { body: { refreshToken: loggedIn.body.refreshToken } })
    const answers = [registered, loggedIn, refreshed]
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 200])
    expect(answers.map(headersOf)).toEqual(Array(3).fill(expected()))
  })
})

describe('browsers of other origins', () => {
  const preflight = (origin: string, path = '/v1/books', method = 'GET') =>
    send(path, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': method,
        'access-control-request-headers': 'authorization,content-type,idempotency-key,if-match,if-none-match',
      },
    })

  test.each([
    [200, '/healthz'],
    [404, '/nowhere'],
    [401, '/v1/users/me'],
    [405, '/v1/sessions/refresh'],
    [414, `/healthz?${'x'.repeat(URI_LENGTH_MAX)}`],
  ])('that are listed may read a %i', async (status, path) => {
    const answer = await send(path, { headers: { origin: LISTED } })
    expect([answer.status, headersOf(answer)]).toEqual([status, expected({}, readable)])
  })

  test('that are listed may read a 413 and a 503', async () => {
    const headers = { origin: LISTED, 'content-type': 'application/json' }
    const large = await send('/v1/sessions', { ...json('x'.repeat(BODY_BYTES_MAX + 1)), headers })
    const away = await send('/v1/books', { headers }, databaseAway())
    expect([large.status, away.status]).toEqual([413, 503])
    expect([large, away].map(headersOf)).toEqual(Array(2).fill(expected({}, readable)))
  })

  test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])('that are listed may ask first about %s', async (method) => {
    const answer = await preflight(LISTED, '/v1/books', method)
    expect(answer.status).toBe(204)
    expect(headersOf(answer)).toEqual(
      expected(
        { vary: 'Origin, Access-Control-Request-Headers' },
        {
          ...readable,
          'access-control-allow-methods': 'GET,POST,PUT,PATCH,DELETE',
          'access-control-allow-headers': 'Authorization,Content-Type,Idempotency-Key,If-Match,If-None-Match',
          'access-control-max-age': '600',
        },
      ),
    )
  })

  test.each([
    UNLISTED,
    'null',
    'http://app.library.test',
    'https://app.library.test.evil.test',
    `${LISTED}:444`,
    `${LISTED}/`,
    env.PUBLIC_URL,
  ])('such as %s may not, and hear nothing of who may', async (origin) => {
    const answers = [
      await send('/healthz', { headers: { origin } }),
      await send('/nowhere', { headers: { origin } }),
      await preflight(origin),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 204])
    expect(answers.map(headersOf)).toEqual(Array(3).fill(expected()))
  })
})
