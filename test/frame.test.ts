import { env, exports } from 'cloudflare:workers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { app, routes } from '../src/app.ts'
import { problems } from '../src/problem.ts'
import { type Answer, aPatron, ask, ORIGIN, problemOf, theStaff } from './support/library.ts'
import {
  BODY_BYTES_MAX,
  json,
  pathOf,
  production,
  send,
  SOME_ID,
  URI_LENGTH_MAX,
  withEnvironment,
} from './support/send.ts'

const sendJson = (path: string, text: BodyInit, headers: Record<string, string> = {}) =>
  send(path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: text })

const pointersOf = ({ body }: Answer) =>
  (body as { errors?: { in: string; pointer: string }[] }).errors?.map((error) => `${error.in} ${error.pointer}`) ?? []

const streamOf = (bytes: Uint8Array[]) =>
  new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = bytes.shift()
      if (chunk) controller.enqueue(chunk)
      else controller.close()
    },
  })

afterEach(() => void vi.restoreAllMocks())

test('the Worker’s own entry answers as the app does', async () => {
  const [entered, called] = [await exports.default.fetch(`${ORIGIN}/v1/users`), await ask('GET', '/v1/users')]
  expect([entered.status, await entered.json()]).toEqual([
    called.status,
    { ...(called.body as object), instance: entered.headers.get('x-request-id') },
  ])
})

describe('plain http', () => {
  test('is refused in production, before anything is looked at', async () => {
    const answer = await send('/v1/sessions', json('{'), production())
    expect([answer.status, problemOf(answer)]).toEqual([403, 'https-required'])
  })

  test('is no matter over https', async () => {
    const response = await app.fetch(new Request('https://books.town.test/healthz'), production())
    expect(response.status).toBe(200)
  })

  test('is served outside production', async () => {
    expect((await send('/healthz')).status).toBe(200)
  })
})

describe('methods', () => {
  test.each([
    ['POST', '/healthz', ['GET', 'HEAD']],
    ['GET', `/v1/loans/${SOME_ID}/renewals`, ['POST']],
    ['HEAD', `/v1/loans/${SOME_ID}/renewals`, ['POST']],
    ['PUT', '/v1/books', ['GET', 'HEAD', 'POST']],
    ['POST', `/v1/books/${SOME_ID}`, ['DELETE', 'GET', 'HEAD', 'PATCH']],
    ['PATCH', `/v1/loans/${SOME_ID}/return`, ['PUT']],
    ['POST', '/v1/users/me', ['DELETE', 'GET', 'HEAD', 'PATCH']],
    ['DELETE', '/v1/users/me/password', ['PUT']],
    ['POST', '/', ['GET', 'HEAD']],
  ])('%s %s is a 405 that lists what is known', async (method, path, known) => {
    const answer = await send(path, { method })
    expect(answer.status).toBe(405)
    if (method !== 'HEAD') expect(problemOf(answer)).toBe('method-not-allowed')
    const allow = answer.headers
      .get('allow')
      ?.split(', ')
      .filter((name) => name !== 'OPTIONS')
    expect(allow?.toSorted()).toEqual(known)
  })

  test('OPTIONS answers what is known, and 404 where nothing is', async () => {
    const known = await send('/v1/books', { method: 'OPTIONS' })
    expect([known.status, known.text]).toEqual([204, ''])
    expect(known.headers.get('allow')?.split(', ')).toEqual(expect.arrayContaining(['GET', 'HEAD', 'POST']))
    expect((await send('/nowhere', { method: 'OPTIONS' })).status).toBe(404)
  })

  test.each(['/', '/healthz', '/v1/books', '/problems', '/openapi.json'])(
    'HEAD %s answers like GET, without the body',
    async (path) => {
      const [head, get] = [await send(path, { method: 'HEAD' }), await send(path)]
      expect([head.status, head.text]).toEqual([get.status, ''])
      expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'))
    },
  )

  test('a path that is not known is a 404, whatever the method', async () => {
    const paths = [
      '/nowhere',
      '/v1',
      '/v1/',
      '/v2/books',
      '/v1/books/',
      '/v1//books',
      '/V1/BOOKS',
      '/%2e%2e/etc',
      '/%ff',
    ]
    const answers = await Promise.all(
      ['GET', 'POST', 'DELETE'].flatMap((method) => paths.map((path) => send(path, { method }))),
    )
    expect(new Set(answers.map((answer) => `${answer.status} ${problemOf(answer)}`))).toEqual(
      new Set(['404 not-found']),
    )
  })
})

describe('what is too large', () => {
  const path = '/v1/sessions'

  test('a body of 64 KiB is read, one byte more is not', async () => {
    const padded = (bytes: number) => `{}${' '.repeat(bytes - 2)}`
    expect((await sendJson(path, padded(BODY_BYTES_MAX))).status).toBe(422)
    const answer = await sendJson(path, padded(BODY_BYTES_MAX + 1))
    expect([answer.status, problemOf(answer)]).toEqual([413, 'body-too-large'])
  })

  test('a body that does not say how long it is is read so far and no further', async () => {
    const chunk = new TextEncoder().encode(' '.repeat(1_024))
    const init = (kibibytes: number) => ({
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: streamOf(Array.from({ length: kibibytes }, () => chunk)),
    })
    const over = await send(path, init(65))
    expect([over.status, problemOf(over)]).toEqual([413, 'body-too-large'])
    const endless = await app.fetch(
      new Request(ORIGIN + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }),
      }),
      { ...env },
    )
    expect(endless.status).toBe(413)
    expect((await send(path, init(64))).status).toBe(400)
  })

  test('a body counts in bytes, not in characters', async () => {
    const text = JSON.stringify({ username: 'é'.repeat(33_000) })
    expect((await sendJson(path, text)).status).toBe(413)
  })

  test('a body is bounded where none is expected, too', async () => {
    const { token } = await aPatron()
    const answer = await app.fetch(
      new Request(`${ORIGIN}/v1/loans/${SOME_ID}/renewals`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: 'x'.repeat(BODY_BYTES_MAX + 1),
      }),
      { ...env },
    )
    expect(answer.status).toBe(413)
  })

  test('an address of 4,096 characters is read, one more is not', async () => {
    const address = (length: number) => `/healthz?${'x'.repeat(length - ORIGIN.length - '/healthz?'.length)}`
    expect((await send(address(URI_LENGTH_MAX))).status).toBe(200)
    const answer = await send(address(URI_LENGTH_MAX + 1))
    expect([answer.status, problemOf(answer)]).toEqual([414, 'uri-too-long'])
  })
})

describe('the type of a body', () => {
  const body = new TextEncoder().encode('{}')
  const sent = (headers: Record<string, string>) => send('/v1/sessions', { method: 'POST', headers, body })

  test.each([
    {},
    { 'content-type': '' },
    { 'content-type': 'text/plain' },
    { 'content-type': 'text/json' },
    { 'content-type': 'application/x-www-form-urlencoded' },
    { 'content-type': 'multipart/form-data; boundary=x' },
    { 'content-type': 'application/jsonp' },
    { 'content-type': 'application/ld+json' },
    { 'content-type': 'application/json, text/plain' },
    { 'content-type': 'application/json; charset=latin1' },
    { 'content-type': 'application/json; charset=utf-16' },
    { 'content-type': 'application/json; charset=' },
    { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    { 'content-type': 'application/json', 'content-encoding': 'identity' },
  ])('%o is refused', async (headers) => {
    const answer = await sent(headers)
    expect([answer.status, problemOf(answer)]).toEqual([415, 'unsupported-media-type'])
  })

  test.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
  ])('%s is read', async (type) => {
    const answer = await sent({ 'content-type': type })
    expect([answer.status, ...pointersOf(answer)]).toEqual([422, 'body /username', 'body /password'])
  })
})

describe('JSON', () => {
  const bytes = (...parts: (string | number[])[]) =>
    new Uint8Array(
      parts.flatMap((part) => (typeof part === 'string' ? Array.from(part, (c) => c.charCodeAt(0)) : part)),
    )

  test.each([
    ['nothing', ''],
    ['space', '  '],
    ['half an object', '{"username":"a"'],
    ['single quotes', "{'username':'a'}"],
    ['a comma at the end', '{"username":"a",}'],
    ['a comment', '{"username":"a" /* b */}'],
    ['NaN', '{"username":NaN}'],
    ['two values', '{} {}'],
    ['a line break in a string', '{"username":"a\nb"}'],
    ['an escape that does not exist', '{"username":"\\x41"}'],
    ['a key twice', '{"username":"a","username":"b"}'],
    ['a key twice with one value', '{"username":"a","username":"a"}'],
    ['a key twice, once escaped', '{"a":1,"\\u0061":1}'],
    ['a key twice further in', '{"username":"a","deviceName":{"x":{"y":1,"y":1}}}'],
    ['a key twice in an array', '{"username":[[{"y":1,"y":2}]]}'],
    ['an empty key twice', '{"":1,"":2}'],
    ['__proto__', '{"__proto__":{"username":"a"}}'],
    ['__proto__ escaped', '{"\\u005f_proto__":{"username":"a"}}'],
    ['__proto__ further in', '{"username":{"__proto__":null}}'],
    ['a byte order mark', bytes([0xef, 0xbb, 0xbf], '{}')],
    ['a byte that is not UTF-8', bytes('{"username":"', [0xff], '"}')],
    ['an overlong slash', bytes('{"username":"', [0xc0, 0xaf], '"}')],
    ['a surrogate in UTF-8', bytes('{"username":"', [0xed, 0xa0, 0x80], '"}')],
    ['UTF-16', bytes([0x7b, 0x00, 0x7d, 0x00])],
    ['half a character', bytes('{"username":"', [0xe2, 0x82])],
  ])('with %s is malformed', async (_, body) => {
    const answer = await sendJson('/v1/sessions', body)
    expect([answer.status, problemOf(answer)]).toEqual([400, 'malformed-json'])
  })

  test.each([
    ['30,000 arrays in each other', '['.repeat(30_000) + ']'.repeat(30_000)],
    ['30,000 arrays in a field', `{"username":${'['.repeat(30_000)}${']'.repeat(30_000)}}`],
    ['30,000 arrays left open', '['.repeat(30_000)],
    ['9,000 objects in each other', `${'{"a":'.repeat(9_000)}1${'}'.repeat(9_000)}`],
    ['1,000 arrays in a field', `{"username":${'['.repeat(1_000)}${']'.repeat(1_000)}}`],
    ['a number', '1'],
    ['a number beyond all numbers', '1e999'],
    ['text', '"text"'],
    ['null', 'null'],
    ['true', 'true'],
    ['a list', '[{"username":"a","password":"b"}]'],
    ['constructor', '{"constructor":{"prototype":{"x":1}}}'],
    ['5,000 unknown fields', JSON.stringify(Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`f${i}`, 0])))],
  ])('of %s is refused and breaks nothing', async (_, text) => {
    const answer = await sendJson('/v1/sessions', text)
    expect([400, 422], answer.text.slice(0, 500)).toContain(answer.status)
    expect(answer.text.length).toBeLessThan(50_000)
  })

  test.each(['', '{', '[]', '['.repeat(9_000) + ']'.repeat(9_000)])(
    'where none is expected breaks nothing, with an Idempotency-Key either (%#)',
    async (body) => {
      const { token } = await aPatron()
      const response = await app.fetch(
        new Request(`${ORIGIN}/v1/loans/${SOME_ID}/renewals`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${token}`,
            'content-type': 'application/json',
            'idempotency-key': crypto.randomUUID(),
          },
          body,
        }),
        { ...env },
      )
      expect(response.status, await response.text()).toBeLessThan(500)
    },
  )
})

describe('input', () => {
  test('an unknown field is named by its pointer', async () => {
    const answer = await sendJson('/v1/sessions', '{"username":"a","password":"b","a/b~c":1,"isAdmin":true}')
    expect([answer.status, problemOf(answer)]).toEqual([422, 'invalid-input'])
    expect(pointersOf(answer)).toEqual(['body /a~1b~0c', 'body /isAdmin'])
  })

  test('an unknown field further in is named by its pointer', async () => {
    const { token } = await theStaff()
    const body = { title: 'A', contributors: [{ name: 'A', role: 'author', born: 1775 }] }
    const answer = await ask('POST', '/v1/books', { token, body })
    expect([answer.status, ...pointersOf(answer)]).toEqual([422, 'body /contributors/0/born'])
  })

  test('an unknown query parameter is refused on every list', async () => {
    const { token } = await theStaff()
    const lists = routes.filter(({ facts }) => facts.inputs.some(({ target }) => target === 'query'))
    const answers = await Promise.all(
      lists.map(({ method, path }) =>
        ask(method, `${pathOf(path)}?colour=red${path.endsWith('/suggest') ? '&q=a' : ''}`, { token }),
      ),
    )
    expect(lists.length).toBeGreaterThan(3)
    expect(answers.map((answer) => [answer.status, pointersOf(answer)])).toEqual(
      lists.map(() => [422, ['query /colour']]),
    )
  })

  test('a query parameter that stands twice is refused', async () => {
    const answer = await send('/v1/books?q=a&q=b')
    expect([answer.status, ...pointersOf(answer)]).toEqual([422, 'query /q'])
  })

  const BROKEN = [
    ['NUL', 'a\u0000b'],
    ['a bell', 'a\u0007b'],
    ['an escape', 'a\u001b[31mb'],
    ['DEL', 'a\u007fb'],
    ['a C1 control', 'a\u0085b'],
    ['a line separator', 'a\u2028b'],
    ['a byte order mark', 'a\ufeffb'],
    ['a noncharacter', 'a\uffffb'],
    ['half a surrogate pair', 'a\ud800b'],
    ['the other half', 'a\udc00b'],
    ['a pair the wrong way round', 'a\udc00\ud800b'],
  ] as const

  test.each(BROKEN)('text with %s is refused', async (_, text) => {
    const answer = await sendJson('/v1/sessions', JSON.stringify({ username: text, password: 'b', deviceName: text }))
    expect([answer.status, ...pointersOf(answer)]).toEqual([422, 'body /username', 'body /deviceName'])
  })

  test.each(BROKEN.filter(([, text]) => text.isWellFormed()))('a search for %s is refused', async (_, text) => {
    const answer = await send(`/v1/books?${new URLSearchParams({ q: text }).toString()}`)
    expect([answer.status, ...pointersOf(answer)]).toEqual([422, 'query /q'])
  })

  test('a query that is not UTF-8 breaks nothing', async () => {
    const statuses = await Promise.all(
      ['%ff', '%', '%zz', '%ed%a0%80', '%00'].map(async (q) => (await send(`/v1/books?q=${q}`)).status),
    )
    expect(statuses.filter((status) => status >= 500)).toEqual([])
  })

  test('text comes back in NFC, and otherwise as it was', async () => {
    const { username } = await aPatron()
    const { token } = await ask<{ accessToken: string }>('POST', '/v1/sessions', {
      body: { username, password: 'seven quiet herons wade', deviceName: 'Zoe\u0308’s 日本語 👩‍👩‍👧 שלום' },
    }).then(({ body }) => ({ token: body.accessToken }))
    const sessions = await ask<{ items: { deviceName: string | null }[] }>('GET', '/v1/sessions', { token })
    expect(sessions.body.items.map(({ deviceName }) => deviceName)).toContain('Zoë’s 日本語 👩‍👩‍👧 שלום')
  })
})

describe('when the database is away', () => {
  const neonError = (code: string, rest: object = {}) =>
    Response.json({ message: 'secret-detail in relation users', code, severity: 'ERROR', ...rest }, { status: 400 })

  const stub = (answer: () => Response | Promise<Response>) =>
    vi.spyOn(globalThis, 'fetch').mockImplementation(async () => answer())

  const summary = (answer: Answer) => ({
    status: answer.status,
    problem: problemOf(answer),
    comeBackSeconds: answer.headers.get('retry-after'),
    isDiscreet: !answer.text.includes('secret-detail'),
  })
  const away = { status: 503, problem: 'database-unavailable', comeBackSeconds: '2', isDiscreet: true }

  test('nothing listens: the client is told to come back', async () => {
    expect(
      summary(await send('/v1/books', {}, withEnvironment({ DATABASE_ENDPOINT: 'http://127.0.0.1:9/sql' }))),
    ).toEqual(away)
  })

  test.each<[string, () => Response | Promise<Response>]>([
    ['cannot be reached', () => Promise.reject(new TypeError('secret-detail'))],
    ['answers 500', () => new Response('secret-detail', { status: 500 })],
    ['answers 502 in HTML', () => new Response('<html>secret-detail</html>', { status: 502 })],
    ['answers 429', () => new Response('secret-detail', { status: 429 })],
    ['answers 400 in HTML', () => new Response('<html>secret-detail</html>', { status: 400 })],
    [
      'answers 200 in HTML',
      () => new Response('<html>secret-detail</html>', { headers: { 'content-type': 'text/html' } }),
    ],
    ['answers half', () => new Response('{"fields":[{"name":"secret-detail"')],
    ['answers nothing', () => new Response('')],
    ['answers JSON of another form', () => Response.json({ secret: 'secret-detail' })],
    ['breaks off', () => new Response(new ReadableStream({ pull: (it) => it.error(new TypeError('secret-detail')) }))],
    ['lost the connection in mid-query', () => neonError('')],
    ['is shut down', () => neonError('57P01')],
    ['is full', () => neonError('53300')],
    ['cannot be connected to', () => neonError('08006')],
    ['gave way to a deadlock', () => neonError('40P01')],
    ['gave way to another transaction', () => neonError('40001')],
    ['took too long', () => neonError('57014')],
    ['has no disk', () => neonError('58030')],
    ['is not to be had, says the proxy', () => Response.json({ message: 'secret-detail' }, { status: 400 })],
  ])('it %s: the client is told to come back', async (_, answer) => {
    stub(answer)
    expect(summary(await send('/v1/books'))).toEqual(away)
  })

  test('it never answers: the client waits five seconds at most, and the request is given up', async () => {
    let gaveUp = false
    vi.spyOn(globalThis, 'fetch').mockImplementation(
      (_url, init) =>
        new Promise((_, reject) => {
          init?.signal?.addEventListener('abort', () => {
            gaveUp = true
            reject(init.signal?.reason as Error)
          })
        }),
    )
    const startedAt = performance.now()
    expect(summary(await send('/v1/books'))).toEqual(away)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    expect(gaveUp).toBe(true)
  })

  test('it stops in the middle of an answer: the client waits five seconds at most', async () => {
    vi.spyOn(globalThis, 'fetch').mockImplementation(
      async (_url, init) =>
        new Response(
          new ReadableStream({
            start: (controller) => {
              controller.enqueue(new TextEncoder().encode('{"fields":'))
              init?.signal?.addEventListener('abort', () => controller.error(init.signal?.reason))
            },
          }),
        ),
    )
    const startedAt = performance.now()
    expect(summary(await send('/v1/books'))).toEqual(away)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  test.each(['42P01', '42601', '22P02', '23514', 'XX000', 'P0001'])(
    'an error of ours there (%s) is a 500 that says nothing of it',
    async (code) => {
      stub(() => neonError(code, { constraint: 'users_something', detail: 'secret-detail', table: 'users' }))
      const answer = await send('/v1/books')
      expect([answer.status, problemOf(answer)]).toEqual([500, 'internal-error'])
      expect(answer.text).not.toMatch(/secret-detail|users|relation/)
      expect(answer.text).not.toContain(code)
    },
  )

  test('what needs no database is served all the same', async () => {
    const fetch = stub(() => Promise.reject(new TypeError('away')))
    const paths = ['/', '/healthz', '/version', '/problems', '/openapi.json', '/docs', '/docs/start.js']
    const statuses = await Promise.all(paths.map(async (path) => (await send(path)).status))
    expect(statuses).toEqual(paths.map(() => 200))
    expect(fetch).not.toHaveBeenCalled()
  })
})

describe('the service itself', () => {
  test('/readyz asks the database once in five seconds, and again after a bad answer', async () => {
    const now = vi.spyOn(Date, 'now')
    const at = (ms: number) => void now.mockReturnValue(Date.UTC(2040, 0) + ms)
    const fetch = vi.spyOn(globalThis, 'fetch')
    const ready = async () => (await send('/readyz')).status

    at(0)
    fetch.mockRejectedValueOnce(new TypeError('away'))
    expect([await ready(), fetch.mock.calls.length]).toEqual([503, 1])
    expect([await ready(), fetch.mock.calls.length]).toEqual([200, 2])
    at(4_999)
    expect([await ready(), await ready(), fetch.mock.calls.length]).toEqual([200, 200, 2])
    at(5_000)
    expect([await ready(), fetch.mock.calls.length]).toEqual([200, 3])
  })

  test('/problems lists every problem, and each is explained at its type', async () => {
    const { body } = await ask<{ items: { type: string; status: number; title: string; detail: string }[] }>(
      'GET',
      '/problems',
    )
    expect(body.items.map(({ type }) => type)).toEqual(Object.keys(problems).map((name) => `/problems/${name}`))
    const explained = await Promise.all(body.items.map(({ type }) => ask('GET', type)))
    expect(explained.map(({ status }) => status)).toEqual(body.items.map(() => 200))
    expect(explained.map((answer) => answer.body)).toEqual(body.items)
  })

  test.each(['nothing', 'constructor', '__proto__', 'toString', 'x'.repeat(65), '%00', '%E0%A4%A'])(
    '/problems/%s is not there',
    async (name) => {
      expect((await send(`/problems/${name}`)).status).toBe(404)
    },
  )

  test('/ and /version say what runs', async () => {
    const [root, version] = [await ask('GET', '/'), await ask('GET', '/version')]
    expect(root.body).toEqual({
      name: 'Lectern',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
      documentation: '/docs',
      openapi: '/openapi.json',
    })
    expect(version.body).toEqual({ version: (root.body as { version: string }).version })
  })
})
