import { env } from 'cloudflare:workers'
import { base64urlnopad } from '@scure/base'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { app } from '../src/app.ts'
import type { Tokens } from '../src/features/sessions/schema.ts'
import { aPatron, PASSWORD } from './support/library.ts'

type Environment = Record<string, unknown>

const encode = (text: string) => base64urlnopad.encode(new TextEncoder().encode(text))
const randomKey = (bytes = 32) => base64urlnopad.encode(crypto.getRandomValues(new Uint8Array(bytes)))

const PRODUCTION = 'https://books.town.test'
const DATABASE_PASSWORD = 'npg_Zk4vT9qLm2Xw'

const production = (change: Environment = {}): Environment => ({
  ENVIRONMENT: 'production',
  PUBLIC_URL: PRODUCTION,
  CORS_ORIGINS: 'https://app.town.test',
  DATABASE_URL: `postgresql://lectern_app:${DATABASE_PASSWORD}@db.town.test/library?sslmode=require`,
  ACCESS_TOKEN_KEYS: `k1:${randomKey()},k0:${randomKey()}`,
  PERSONAL_DATA_KEYS: `k1:${randomKey()},k0:${randomKey()}`,
  LOOKUP_KEY: randomKey(),
  MAILER: 'cloudflare',
  MAIL_FROM: 'library@town.test',
  EMAIL: {},
  BRAKE: {},
  SECURITY_CONTACT: 'mailto:security@town.test',
  SECURITY_EXPIRES: '2099-01-01T00:00:00Z',
  ...change,
})

const without = (key: string) => {
  const { [key]: _, ...rest } = production()
  return rest
}

const health = (environment: Environment, origin = PRODUCTION) =>
  app.fetch(new Request(`${origin}/healthz`), environment)

/** What the log said, a record a line, without what changes from one request to the next. */
const logged: Record<string, unknown>[] = []

beforeEach(() => {
  logged.length = 0
  for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, level).mockImplementation((line: string) => {
      const { time: _time, requestId: _id, durationMs: _duration, ...rest } = JSON.parse(line) as Environment
      logged.push(rest)
    })
  }
})
afterEach(() => void vi.restoreAllMocks())

const refused = { status: 500, type: '/problems/misconfigured', named: ['in the answer', 'in the log'], shown: [] }

/** How the service refuses to run, where it names the key, and which secrets it shows. */
async function refusal(environment: Environment, key: string, secrets: string[] = []) {
  const response = await health(environment)
  const { instance: _, ...body } = await response.json<{ instance: string; type: string; detail: string }>()
  const faults = logged.filter(({ event }) => event === 'misconfigured').map((record) => String(record['faults']))
  const said = JSON.stringify([body, logged])
  const value = environment[key]
  return {
    status: response.status,
    type: body.type,
    named: [
      ...(body.detail.includes(`${key} `) ? ['in the answer'] : []),
      ...(faults.some((fault) => fault.startsWith(`${key} `)) ? ['in the log'] : []),
    ],
    // A number of two digits is no secret, and stands in the text of limits.
    shown: [value, ...secrets].filter(
      (secret) => typeof secret === 'string' && secret.length > 2 && said.includes(secret),
    ),
  }
}

describe('an environment that is right', () => {
  test('is served over https in production', async () => {
    const response = await health(production())
    expect(response.status, JSON.stringify(logged)).toBe(200)
    expect(await response.json()).toEqual({ status: 'ok' })
  })

  test.each(['CORS_ORIGINS', 'PASSWORD_SCRYPT_LN', 'DATABASE_ENDPOINT', 'BREACHED_PASSWORDS'])(
    'may leave out %s',
    async (key) => {
      expect((await health(without(key))).status).toBe(200)
    },
  )

  test.each([
    ['no origins', { CORS_ORIGINS: '' }],
    ['many origins with spaces between', { CORS_ORIGINS: 'https://a.town.test, https://b.town.test:8443' }],
    ['the full cost of passwords', { PASSWORD_SCRYPT_LN: '15' }],
    ['an https endpoint', { DATABASE_ENDPOINT: 'https://api.town.test/sql' }],
    ['one key', { ACCESS_TOKEN_KEYS: `k1:${randomKey()}` }],
    ['long keys', { ACCESS_TOKEN_KEYS: `k1:${randomKey(64)}, k0:${randomKey(128)}` }],
    ['a page as the contact', { SECURITY_CONTACT: 'https://town.test/security?lang=en' }],
    ['a date that has passed', { SECURITY_EXPIRES: '2020-01-01T00:00:00+01:00' }],
    ['no comparison with stolen passwords', { BREACHED_PASSWORDS: '' }],
    ['the comparison with stolen passwords', { BREACHED_PASSWORDS: 'https://api.pwnedpasswords.com/range/' }],
    ['a port in PUBLIC_URL', { PUBLIC_URL: 'https://books.town.test:8443' }],
  ])('may have %s', async (_, change) => {
    const response = await health(production(change))
    expect(response.status, JSON.stringify(logged)).toBe(200)
  })

  test('may be of plain http and cheap passwords outside production', async () => {
    const change = { ENVIRONMENT: 'development', PUBLIC_URL: 'http://localhost:8787', PASSWORD_SCRYPT_LN: '4' }
    expect((await health(production(change), 'http://localhost:8787')).status).toBe(200)
  })

  test.each([
    { SECURITY_CONTACT: undefined, SECURITY_EXPIRES: undefined },
    { SECURITY_CONTACT: 'mailto:security@library.example' },
    { BREACHED_PASSWORDS: 'http://127.0.0.1:4444/range/' },
  ])('may have %o outside production', async (change) => {
    expect((await health(production({ ENVIRONMENT: 'test', ...change }))).status).toBe(200)
  })

  test.each(['http://127.0.0.1:4444/sql', 'http://localhost:4444/sql', 'http://[::1]:4444/sql'])(
    'may reach the database at %s',
    async (DATABASE_ENDPOINT) => {
      expect((await health(production({ DATABASE_ENDPOINT }))).status).toBe(200)
    },
  )
})

describe('an environment that is wrong is refused, and its values stay secret', () => {
  test.each([
    ...['ENVIRONMENT', 'PUBLIC_URL', 'DATABASE_URL', 'ACCESS_TOKEN_KEYS', 'PERSONAL_DATA_KEYS', 'LOOKUP_KEY'],
    ...['MAILER', 'MAIL_FROM', 'BRAKE'],
    ...['SECURITY_CONTACT', 'SECURITY_EXPIRES'],
  ])('%s is missing', async (key) => {
    expect(await refusal(without(key), key)).toEqual(refused)
    expect(logged).toContainEqual({ event: 'misconfigured', faults: `${key} is missing` })
  })

  test.each([
    ['ENVIRONMENT', 'staging'],
    ['ENVIRONMENT', 'PRODUCTION'],
    ['ENVIRONMENT', ''],
    ['PUBLIC_URL', ''],
    ['PUBLIC_URL', 'books.town.test'],
    ['PUBLIC_URL', 'https://books.town.test/'],
    ['PUBLIC_URL', 'https://books.town.test/api'],
    ['PUBLIC_URL', 'https://books.town.test?x=1'],
    ['PUBLIC_URL', 'https://ada:lovelace@books.town.test'],
    ['PUBLIC_URL', 'https://BOOKS.town.test'],
    ['PUBLIC_URL', 'ftp://books.town.test'],
    ['PUBLIC_URL', 'http://books.town.test'],
    ['PUBLIC_URL', 'https://library.example'],
    ['CORS_ORIGINS', '*'],
    ['CORS_ORIGINS', 'null'],
    ['CORS_ORIGINS', 'app.town.test'],
    ['CORS_ORIGINS', 'https://app.town.test/'],
    ['CORS_ORIGINS', 'https://app.town.test,https://other.town.test/path'],
    ['DATABASE_ENDPOINT', ''],
    ['DATABASE_ENDPOINT', 'api.town.test/sql'],
    ['DATABASE_ENDPOINT', 'http://api.town.test/sql'],
    ['DATABASE_ENDPOINT', 'http://localhost.town.test/sql'],
    ['DATABASE_ENDPOINT', 'ftp://127.0.0.1/sql'],
    ['MAILER', 'smtp'],
    ['MAIL_FROM', 'library'],
    ['MAIL_FROM', 'library@library.example'],
    ['APP_URL', 'https://app.town.test/'],
    ['MAIL_HTTP_URL', 'http://mail.town.test/'],
    ['MAIL_HTTP_KEY', 'two words'],
    ['SECURITY_CONTACT', ''],
    ['SECURITY_CONTACT', 'security@town.test'],
    ['SECURITY_CONTACT', 'mailto:@town.test'],
    ['SECURITY_CONTACT', 'mailto:nobody'],
    ['SECURITY_CONTACT', 'mailto:a@town.test\nExpires: 2099-01-01T00:00:00Z'],
    ['SECURITY_CONTACT', 'https://town.test/security\nPolicy: x'],
    ['SECURITY_CONTACT', 'http://town.test/security'],
    ['SECURITY_CONTACT', 'mailto:security@library.example'],
    ['SECURITY_CONTACT', 'https://www.example.org/security'],
    ['SECURITY_EXPIRES', ''],
    ['SECURITY_EXPIRES', '2099-01-01'],
    ['SECURITY_EXPIRES', '2099-02-30T00:00:00Z'],
    ['SECURITY_EXPIRES', '2099-01-01T00:00:00'],
    ['SECURITY_EXPIRES', 'next year'],
    ['BREACHED_PASSWORDS', 'on'],
    ['BREACHED_PASSWORDS', 'https://API.pwnedpasswords.com/range/'],
    ['BREACHED_PASSWORDS', 'https://api.pwnedpasswords.com/range/?x='],
    ['BREACHED_PASSWORDS', 'http://api.pwnedpasswords.com/range/'],
    ['BREACHED_PASSWORDS', 'https://passwords.town.test/range/'],
    ['BREACHED_PASSWORDS', 'http://127.0.0.1:4444/range/'],
    ['PASSWORD_SCRYPT_LN', '14'],
    ['PASSWORD_SCRYPT_LN', '4'],
    ['PASSWORD_SCRYPT_LN', '16'],
    ['PASSWORD_SCRYPT_LN', '1.5e1'],
    ['PASSWORD_SCRYPT_LN', 'fifteen'],
  ])('%s is "%s"', async (key, value) => {
    expect(await refusal(production({ [key]: value }), key)).toEqual(refused)
  })

  test.each([
    ['is not a URL', 'not-a-url-wTq8'],
    ['is of another kind of database', 'mysql://lectern_app:wTq8uZ3kP0xR@db.town.test/library'],
    ['has no password', 'postgresql://wTq8uZ3kP0xR@db.town.test/library'],
    ['has no user', 'postgresql://:wTq8uZ3kP0xR@db.town.test/library'],
    ['has no database', 'postgresql://lectern_app:wTq8uZ3kP0xR@db.town.test'],
    ['has a short password', 'postgresql://lectern_app:wTq8uZ3kP0x@db.town.test/library'],
    ['has an example password', 'postgresql://lectern_app:wTq8-ChangeMe-wTq8@db.town.test/library'],
    ['has a password of documentation', 'postgresql://lectern_app:wTq8password123@db.town.test/library'],
    ['names an example host', 'postgresql://lectern_app:wTq8uZ3kP0xR@db.example.com/library'],
    ['names the host of Neon’s documentation', 'postgresql://u:wTq8uZ3kP0xR@ep-cool-darkness-123456.neon.tech/db'],
  ])('DATABASE_URL %s', async (_, value) => {
    expect(await refusal(production({ DATABASE_URL: value }), 'DATABASE_URL', ['wTq8', 'ep-cool-darkness'])).toEqual(
      refused,
    )
  })

  const strong = randomKey()
  test.each([
    ['is empty', ''],
    ['has no kid', strong],
    ['has an empty kid', `:${strong}`],
    ['has a kid of other characters', `k 1:${strong}`],
    ['has no key', 'kid-without-key:'],
    ['is not base64url', `k1:${'+/'.repeat(22)}`],
    ['is padded', `k1:${strong}=`],
    ['has bits left over', `k1:${strong.slice(0, 42)}B`],
    ['ends in a comma', `k1:${strong},`],
    ['is of another separator', `k1:${strong};k0:${strong}`],
    ['has a short key', `k1:${randomKey(31)}`],
    ['has a short second key', `k1:${strong},k0:${randomKey(16)}`],
    ['has a key of one byte repeated', `k1:${base64urlnopad.encode(new Uint8Array(32).fill(0x61))}`],
    ['has a key of two bytes in turn', `k1:${encode('ab'.repeat(32))}`],
    ['has the key of an example', `k1:${encode('example-key-0123456789-abcdefghijklmnop')}`],
    ['has a key that says it must be changed', `k1:${encode('ChangeMe-0123456789-abcdefghijklmnopqrs')}`],
    ['has a key whose base64url is words', `k1:this-is-a-secret-of-32-bytes-or-even-morABC`],
    ['names a kid twice', `k1:${strong},k1:${randomKey()}`],
  ])('a key ring %s', async (_, value) => {
    const parts = value.split(/[,;:]/).filter((part) => part.length > 8)
    for (const ring of ['ACCESS_TOKEN_KEYS', 'PERSONAL_DATA_KEYS']) {
      logged.length = 0
      expect(await refusal(production({ [ring]: value }), ring, parts)).toEqual(refused)
    }
  })

  test('PERSONAL_DATA_KEYS has a key that AES-256 does not take', async () => {
    const environment = production({ PERSONAL_DATA_KEYS: `k1:${randomKey(64)}` })
    expect(await refusal(environment, 'PERSONAL_DATA_KEYS')).toEqual(refused)
  })

  test.each([
    ['is short', randomKey(31)],
    ['is not base64url', '+/'.repeat(22)],
    ['is of one byte', base64urlnopad.encode(new Uint8Array(32).fill(0x61))],
    ['is an example', encode('example-key-0123456789-abcdefghijklmnop')],
  ])('LOOKUP_KEY %s', async (_, value) => {
    expect(await refusal(production({ LOOKUP_KEY: value }), 'LOOKUP_KEY')).toEqual(refused)
  })

  test('the mailer is one for development, or lacks what it needs', async () => {
    const { status, named } = await refusal(production({ MAILER: 'log' }), 'MAILER')
    expect({ status, named }).toEqual({ status: 500, named: refused.named })
    expect(await refusal(without('EMAIL'), 'EMAIL')).toEqual(refused)
    expect(await refusal(production({ MAILER: 'http' }), 'MAIL_HTTP_URL')).toEqual(refused)
  })

  test('every wrong key is named at once, in the answer and in the log', async () => {
    const keys = [
      ...['ENVIRONMENT', 'PUBLIC_URL', 'DATABASE_URL', 'ACCESS_TOKEN_KEYS', 'PERSONAL_DATA_KEYS', 'LOOKUP_KEY'],
      ...['MAILER', 'MAIL_FROM', 'BRAKE'],
    ]
    const response = await health({})
    const { detail } = await response.json<{ detail: string }>()
    expect(keys.filter((key) => !detail.includes(`${key} is missing`))).toEqual([])
    expect(logged.filter(({ event }) => event === 'misconfigured').map(({ faults }) => faults)).toEqual(
      keys.map((key) => `${key} is missing`),
    )
  })

  test('variables that are not text are refused', async () => {
    expect(await refusal(production({ PASSWORD_SCRYPT_LN: 15 }), 'PASSWORD_SCRYPT_LN')).toEqual(refused)
    expect(await refusal(production({ CORS_ORIGINS: ['https://app.town.test'] }), 'CORS_ORIGINS')).toEqual(refused)
  })

  test('no route is served, whether it needs the variable or not', async () => {
    const paths = ['/', '/version', '/problems', '/openapi.json', '/docs', '/docs/start.js', '/v1/books', '/nowhere']
    const statuses = await Promise.all(
      paths.map(async (path) => (await app.fetch(new Request(PRODUCTION + path), without('DATABASE_URL'))).status),
    )
    expect(statuses).toEqual(paths.map(() => 500))
  })
})

describe('the ring of keys', () => {
  const call = (environment: Environment, path: string, init: RequestInit) =>
    app.fetch(new Request(`http://library.test${path}`, init), environment)

  const logInUnder = async (environment: Environment, username: string) => {
    const response = await call(environment, '/v1/sessions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password: PASSWORD }),
    })
    expect(response.status).toBe(201)
    return (await response.json<Tokens>()).accessToken
  }

  const whoAmI = (environment: Environment, token: string) =>
    call(environment, '/v1/users/me', { headers: { authorization: `Bearer ${token}` } })

  test('a token of the second key is accepted until that key is taken away, and the first key signs', async () => {
    const [older, newer] = [randomKey(), randomKey()]
    const before: Environment = { ...env, ACCESS_TOKEN_KEYS: `older:${older}` }
    const during: Environment = { ...env, ACCESS_TOKEN_KEYS: `newer:${newer},older:${older}` }
    const after: Environment = { ...env, ACCESS_TOKEN_KEYS: `newer:${newer}` }
    const { username } = await aPatron()

    const oldToken = await logInUnder(before, username)
    expect((await whoAmI(during, oldToken)).status).toBe(200)
    const refused = await whoAmI(after, oldToken)
    expect(refused.status).toBe(401)
    expect(await refused.json()).toMatchObject({ type: '/problems/access-token-invalid' })

    const newToken = await logInUnder(during, username)
    expect((await whoAmI(after, newToken)).status).toBe(200)
    expect((await whoAmI(before, newToken)).status).toBe(401)
  })

  test('a token is refused when another key has taken over its kid', async () => {
    const { username } = await aPatron()
    const token = await logInUnder({ ...env, ACCESS_TOKEN_KEYS: `k:${randomKey()}` }, username)
    expect((await whoAmI({ ...env, ACCESS_TOKEN_KEYS: `k:${randomKey()}` }, token)).status).toBe(401)
  })
})
