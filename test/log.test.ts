import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { app, routes } from '../src/app.ts'
import type { Route } from '../src/route-facts.ts'
import { type Answer, aBook, aCopy, aMemberOfStaff, aPatron, ask, ORIGIN, theStaff } from './support/library.ts'

type Environment = Record<string, unknown>

const SOME_ID = '01a20c1c-656d-7ba8-a44c-4c09da1c0b1d'
const FIELDS = new Set([
  ...['time', 'event', 'requestId', 'method', 'route', 'status', 'problem', 'durationMs', 'roundTrips', 'actorId'],
  ...['error', 'sqlstate', 'constraint', 'faults', 'count', 'at'],
])

/** Letters and digits, so that it is also a username, a barcode and a word of a route. */
const aCanary = () => `canary${crypto.randomUUID().replaceAll('-', '').slice(0, 20)}`

/** Whatever was written to the console, by whomever: an array a call. */
const calls: unknown[][] = []
const written = () => calls.map((values) => values.map(inFull).join(' ')).join('\n')
const inFull = (value: unknown) =>
  value instanceof Error ? `${value.name} ${value.message} ${value.stack}` : (JSON.stringify(value) ?? String(value))
const records = () => calls.map(([line]) => JSON.parse(String(line)) as Environment)

beforeEach(() => {
  calls.length = 0
  for (const level of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) {
    vi.spyOn(console, level).mockImplementation((...values: unknown[]) => void calls.push(values))
  }
})
afterEach(() => void vi.restoreAllMocks())

const send = async (path: string, init: RequestInit = {}, environment: Environment = { ...env }) =>
  app.fetch(new Request(ORIGIN + path, init), environment, createExecutionContext())

/** What is wrong with the lines in the log: each is one object of JSON on one line, with known fields only. */
const faultsOfLines = () =>
  calls.flatMap((values) => {
    const [line] = values
    if (values.length !== 1 || typeof line !== 'string' || /[\r\n\u2028\u2029]/.test(line)) return [values]
    const unknown = Object.keys(JSON.parse(line) as object).filter((field) => !FIELDS.has(field))
    return unknown.length === 0 ? [] : [unknown]
  })

const fieldsOf = (schema: z.ZodType): string[] => {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape)
  if (schema instanceof z.ZodDiscriminatedUnion) {
    return [...new Set(schema.options.flatMap((option) => fieldsOf(option as z.ZodType)))]
  }
  throw new Error('a body of a form that this test does not know')
}

const schemasOf = ({ facts }: Route, target: string) =>
  facts.inputs.filter((input) => input.target === target).map(({ schema }) => schema)

/** Every header that a route, a proxy or a library might look at. */
const headersWith = (canary: string) =>
  Object.fromEntries(
    [
      ...['authorization', 'cookie', 'idempotency-key', 'if-match', 'if-none-match', 'if-modified-since', 'origin'],
      ...['referer', 'user-agent', 'accept', 'accept-language', 'accept-encoding', 'range', 'from', 'forwarded', 'via'],
      ...['x-request-id', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'x-api-key', 'x-http-method-override'],
      ...[
        'cf-connecting-ip',
        'cf-ray',
        'traceparent',
        'tracestate',
        'baggage',
        'content-language',
        'proxy-authorization',
      ],
      'access-control-request-headers',
    ].map((name) => [name, canary]),
  )

/** Requests for a route that hold the canary, each in another place. */
function requestsWith(
  canary: string,
  route: Route,
): { path: string; init: Omit<RequestInit, 'headers'> & { headers: Record<string, string> } }[] {
  const { method } = route
  const path = route.path.replace(/:[a-z]+/g, SOME_ID)
  const hasBody = method !== 'GET' && method !== 'DELETE'
  const sound = { 'if-match': '*', ...(hasBody && { 'content-type': 'application/json' }) }
  const plain = { method, headers: sound, ...(hasBody && { body: '{}' }) }
  const withHeaders = (headers: Record<string, string>) => ({
    path,
    init: { ...plain, headers: { ...sound, ...headers } },
  })
  const withBody = (body: unknown) => ({ path, init: { ...plain, body: JSON.stringify(body) } })
  const values = [
    canary,
    [canary],
    { [canary]: canary, name: canary, number: canary },
    [{ name: canary, role: canary, scheme: canary, value: canary }],
    `${canary}\n${canary}`,
    `\ud800${canary}`,
  ]
  const fields = schemasOf(route, 'json').flatMap(fieldsOf)
  const parameters = schemasOf(route, 'query').flatMap(fieldsOf)
  return [
    ...[canary, `%0a${canary}`, `%ff${canary}`, `${canary}%`, `${canary}%2f..`].flatMap((segment) => [
      { path: route.path.replace(/:[a-z]+/g, segment), init: plain },
      { path: `${path === '/' ? '' : path}/${segment}`, init: plain },
    ]),
    ...[...parameters, 'access_token', canary].flatMap((name) => [
      { path: `${path}?${name}=${canary}`, init: plain },
      { path: `${path}?${name}=%0a${canary}&${name}=%00${canary}`, init: plain },
    ]),
    withHeaders(headersWith(canary)),
    ...Object.entries(headersWith(canary)).map(([name, value]) => withHeaders({ [name]: value })),
    ...[`Bearer ${canary}`, `Bearer ${canary}.${canary}.${canary}`, `Basic ${btoa(canary)}`].map((authorization) =>
      withHeaders({ authorization }),
    ),
    ...(hasBody
      ? [
          ...fields.flatMap((field) => values.map((value) => withBody({ [field]: value }))),
          ...values.map((value) => withBody(Object.fromEntries(fields.map((field) => [field, value])))),
          ...values.map((value) => withBody({ [canary]: value })),
          ...values.map(withBody),
          { path, init: { ...plain, body: canary } },
          { path, init: { ...plain, body: `{"${canary}":1,"${canary}":2}` } },
          { path, init: { ...plain, body: `\n    at ${canary}` } },
          { path, init: { ...plain, body: `password=${canary}`, headers: { 'content-type': `text/${canary}` } } },
          { path, init: { ...plain, headers: { ...sound, 'content-encoding': canary } } },
          { path, init: { ...plain, body: canary.repeat(4_000) } },
        ]
      : []),
  ]
}

describe('a secret that is sent does not reach the log', () => {
  test.each(routes.map((route) => [`${route.method} ${route.path}`, route] as const))('of %s', async (_, route) => {
    const canary = aCanary()
    const { token } = await aMemberOfStaff()
    calls.length = 0
    const requests = requestsWith(canary, route)
    for (const { path, init } of requests) {
      await send(path, init)
      const authorization = init.headers['authorization'] ?? `Bearer ${token}`
      await send(path, { ...init, headers: { ...init.headers, authorization } })
    }
    expect(records().filter(({ event }) => event === 'request')).toHaveLength(requests.length * 2)
    expect(calls.filter((values) => values.map(inFull).join(' ').includes(canary))).toEqual([])
    expect(written()).not.toContain(btoa(canary))
    expect(written()).not.toContain(token)
    expect(faultsOfLines()).toEqual([])
  })

  test('when the requests succeed, and when they meet what is there already', async () => {
    const canary = aCanary()
    const account = { username: canary, email: `${canary}@mail.test`, password: `${canary} ${canary}` }
    const { token } = await theStaff()
    const record = {
      title: canary,
      subtitle: canary,
      contributors: [{ name: canary, role: 'author' }],
      publisher: canary,
      subjects: [canary],
      description: `${canary}\n${canary}`,
      series: { name: canary, number: canary },
      identifiers: [{ scheme: 'other', value: canary }],
    }
    const twice = async (...call: Parameters<typeof ask>) => [await ask(...call), await ask(...call)]
    const registered = await twice('POST', '/v1/users', { body: account })
    const { id } = (registered[0] as Answer<{ id: string }>).body
    const loggedIn = await ask<{ accessToken: string }>('POST', '/v1/sessions', {
      body: { username: account.username, password: account.password, deviceName: canary },
    })
    const patron = loggedIn.body.accessToken
    const book = await ask<{ id: string }>('POST', '/v1/books', { token, body: record })
    const copy = { format: 'physical', barcode: canary, callNumber: canary }
    const answers: Answer[] = [
      ...registered,
      loggedIn,
      book,
      ...(await twice('POST', `/v1/books/${book.body.id}/copies`, { token, body: copy })),
      await ask('POST', '/v1/loans', { token, body: { barcode: canary, userId: id } }),
      await ask('PATCH', '/v1/users/me', { token: patron, body: { username: `${canary}2` } }),
      await ask('PUT', `/v1/users/${id}/suspension`, { token, body: { reason: canary } }),
      await ask('POST', '/v1/users', { body: account, headers: { 'idempotency-key': canary } }),
      await ask('GET', `/v1/books?q=${canary}&author=${canary}&subject=${canary}`),
      await ask('GET', `/v1/users?q=${canary}`, { token }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([201, 409, 201, 201, 201, 409, 201, 200, 200, 201, 200, 200])
    expect(written()).not.toContain(canary)
    expect(faultsOfLines()).toEqual([])
  })

  test('when the address is wrong, too long, or asked for by another method', async () => {
    const canary = aCanary()
    const paths = [`/${canary}`, `/v1/${canary}?${canary}=${canary}`, `/healthz?${canary.repeat(400)}`, `/%0a${canary}`]
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      for (const path of paths) await send(path, { method, headers: headersWith(canary) })
    }
    expect(records()).toHaveLength(7 * paths.length)
    expect(written()).not.toContain(canary)
    expect(faultsOfLines()).toEqual([])
  })
})

describe('passwords and tokens', () => {
  test('are in no line of the log, and in no answer but the one that hands the token out', async () => {
    const [suffix, username] = [aCanary(), aCanary()]
    const [password, newPassword] = [`first ${suffix}`, `second ${suffix}`]
    const account = { username, email: `${username}@mail.test`, password }
    type Pair = { accessToken: string; refreshToken: string; sessionId: string }
    const logIn = (given: string) =>
      ask<Pair>('POST', '/v1/sessions', { body: { username: account.username, password: given } })

    const registered = await ask('POST', '/v1/users', { body: account, headers: { 'idempotency-key': username } })
    const again = await ask('POST', '/v1/users', { body: account, headers: { 'idempotency-key': username } })
    const loggedIn = await logIn(password)
    const { accessToken: token, refreshToken } = loggedIn.body
    const refreshed = await ask<Pair>('POST', '/v1/sessions/refresh', { body: { refreshToken } })
    const silent = [
      registered,
      again,
      await logIn(`wrong ${suffix}`),
      await ask('POST', '/v1/sessions/refresh', { body: { refreshToken: `lrt_${'A'.repeat(43)}` } }),
      await ask('POST', '/v1/sessions/refresh', { body: { refreshToken: `${refreshToken}x` } }),
      await ask('GET', '/v1/users/me', { token }),
      await ask('GET', '/v1/users/me', { token: `${token}x` }),
      await ask('GET', '/v1/sessions', { token }),
      await ask('PATCH', '/v1/users/me', { token, body: { password } }),
      await ask('PUT', '/v1/users/me/password', { token, body: { currentPassword: newPassword, newPassword } }),
      await ask('PUT', '/v1/users/me/password', { token, body: { currentPassword: password, newPassword: 'short' } }),
      await ask('PUT', '/v1/users/me/password', { token, body: { currentPassword: password, newPassword } }),
      await ask('DELETE', '/v1/sessions/current', { token }),
      await ask('GET', '/v1/users/me', { token }),
    ]
    expect(silent.map(({ status }) => status)).toEqual([
      ...[201, 201, 401, 401, 422, 200, 401, 200, 422, 403, 422, 204, 204, 401],
    ])

    const passwords = [password, newPassword, `wrong ${suffix}`]
    const tokens = [token, refreshToken, refreshed.body.accessToken, refreshed.body.refreshToken]
    const wholeOf = ({ text, headers }: Answer) => text + JSON.stringify([...headers])
    const found = (text: string, secrets: string[]) => secrets.filter((secret) => text.includes(secret))
    expect(found(written(), [...passwords, ...tokens])).toEqual([])
    expect(silent.flatMap((answer) => found(wholeOf(answer), [...passwords, ...tokens]))).toEqual([])
    expect([loggedIn, refreshed].flatMap((answer) => found(wholeOf(answer), passwords))).toEqual([])
    expect(found(JSON.stringify([...loggedIn.headers]), tokens)).toEqual([])
    expect(found(refreshed.text, tokens.slice(0, 2))).toEqual([])
    expect(silent.map(wholeOf).join()).not.toMatch(/scrypt|password_?hash|lrt_/i)
  })
})

describe('one event is one line', () => {
  test('of JSON, which says what happened and to whom', async () => {
    const patron = await aPatron()
    const book = await aBook()
    calls.length = 0
    const answer = await ask('GET', `/v1/books/${book.id}`)
    const mine = await ask('GET', '/v1/loans', { token: patron.token })
    const refused = await ask('POST', '/v1/books', { token: patron.token, body: {} })
    expect(records()).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
        event: 'request',
        requestId: answer.headers.get('x-request-id'),
        method: 'GET',
        route: '/v1/books/:id',
        status: 200,
        durationMs: expect.any(Number) as number,
        roundTrips: 1,
      },
      expect.objectContaining({
        requestId: mine.headers.get('x-request-id'),
        route: '/v1/loans',
        status: 200,
        actorId: patron.id,
      }) as object,
      expect.objectContaining({
        requestId: refused.headers.get('x-request-id'),
        method: 'POST',
        status: 403,
        problem: 'forbidden',
        actorId: patron.id,
      }) as object,
    ])
    expect(faultsOfLines()).toEqual([])
  })

  test('that names the user of a key once it is known to be theirs, and never the key', async () => {
    const { id, token } = await aPatron()
    const body = { name: 'a test', scopes: ['read'] }
    const { key } = (await ask<{ key: string }>('POST', '/v1/users/me/keys', { token, body })).body
    calls.length = 0
    await ask('GET', '/v1/users/me', { token: key })
    await ask('GET', '/v1/users/me', { token: key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A') })
    expect(records().map(({ status, actorId }) => [status, actorId])).toEqual([
      [200, id],
      [401, undefined],
    ])
    expect(written()).not.toContain('lak_')
  })

  test('that names the route that answered', async () => {
    const { token } = await aPatron()
    calls.length = 0
    await ask('GET', '/v1/users/me', { token })
    await ask('GET', '/v1/users/me')
    expect(records().map(({ route }) => route)).toEqual(['/v1/users/me', '/v1/users/me'])
  })

  test('also when the database tries to write a second', async () => {
    const forged = '\n{"event":"forged"}'
    const answer = { message: forged, code: 'XX000', constraint: `x${forged}`, severity: forged, detail: forged }
    vi.spyOn(globalThis, 'fetch').mockImplementation(async () => Response.json(answer, { status: 400 }))
    await send('/v1/books')
    expect(records().map(({ event }) => event)).toEqual(['fault', 'fault.stack', 'request'])
    expect(faultsOfLines()).toEqual([])
    expect(written()).not.toContain('forged')
  })
})

describe('an exception is logged without what it says', () => {
  const failWith = async (error: Error) => {
    const assets = {
      fetch: async () => {
        throw error
      },
    }
    const response = await send('/docs/swagger-ui.css', {}, { ...env, ASSETS: assets })
    expect(response.status).toBe(500)
    return response.text()
  }

  test('its message, its cause and its fields', async () => {
    const canary = aCanary()
    const error = Object.assign(new TypeError(`${canary} failed`, { cause: new Error(canary) }), {
      sqlstate: canary,
      constraint: `Key (email)=(${canary})`,
      detail: canary,
    })
    expect(await failWith(error)).not.toContain(canary)
    expect(records()[0]).toMatchObject({ event: 'fault', error: 'TypeError' })
    expect(records()[1]?.['at']).not.toEqual([])
    expect(written()).not.toContain(canary)
    expect(faultsOfLines()).toEqual([])
  })

  test('a message of many lines that looks like a stack', async () => {
    const canary = aCanary()
    expect(await failWith(new Error(`no\n    at ${canary} (index.js:1:1)\n    at b`))).not.toContain(canary)
    expect(written()).not.toContain(canary)
  })

  test('a message that was changed after the stack was taken', async () => {
    const canary = aCanary()
    const error = new Error(canary)
    expect(error.stack).toContain(canary)
    error.message = 'harmless'
    expect(await failWith(error)).not.toContain(canary)
    expect(written()).not.toContain(canary)
  })

  test('a name that is not one', async () => {
    const canary = aCanary()
    const error = new Error('no')
    error.name = `${canary}: 1`
    expect(await failWith(error)).not.toContain(canary)
    expect(written()).not.toContain(canary)
  })

  test('of the database: neither the statement nor what was sent with it', async () => {
    const canary = aCanary()
    const answers = [
      () => Promise.reject(new TypeError(`fetch of ${canary} failed`)),
      async () => new Response(canary, { status: 500 }),
      async () => new Response(canary),
      async () =>
        Response.json(
          {
            message: `duplicate key: ${canary}`,
            code: 'XX000',
            detail: `Key (email)=(${canary}) already exists`,
            constraint: `Key (email)=(${canary})`,
            hint: canary,
            where: canary,
            table: canary,
          },
          { status: 400 },
        ),
    ]
    for (const answer of answers) {
      vi.spyOn(globalThis, 'fetch').mockImplementation(answer)
      const response = await send('/v1/users', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'cf-connecting-ip': '192.0.2.38' },
        body: JSON.stringify({ username: canary, email: `${canary}@mail.test`, password: `${canary} ${canary}` }),
      })
      expect(response.status).toBeGreaterThanOrEqual(500)
      expect(await response.text()).not.toContain(canary)
    }
    expect(written()).not.toContain(canary)
    expect(written()).not.toMatch(/insert into|npg_|postgres(ql)?:\/\//)
    expect(faultsOfLines()).toEqual([])
  })

  test('a copy that is there twice: the constraint answers, and its value stays out', async () => {
    const book = await aBook({ copies: 0 })
    const canary = aCanary()
    await aCopy(book, { format: 'physical', barcode: canary })
    const { token } = await theStaff()
    const again = await ask('POST', `/v1/books/${book.id}/copies`, {
      token,
      body: { format: 'physical', barcode: canary },
    })
    expect(again.status).toBe(409)
    expect(again.text + written()).not.toContain(canary)
  })
})
