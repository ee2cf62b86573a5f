import { env } from 'cloudflare:workers'
import { Hono } from 'hono'
import { sign } from 'hono/jwt'
import { beforeAll, describe, expect, test } from 'vitest'
import { ACCESS_TOKEN_SECONDS } from '../src/access-token.ts'
import { allowAnyone } from '../src/actor.ts'
import { routes } from '../src/app.ts'
import { describeRoute, readRoutes, type Route } from '../src/route-facts.ts'
import {
  aBook,
  aLoan,
  aMemberOfStaff,
  aPatron,
  type Ask,
  ask,
  borrow,
  database,
  giveBack,
  ORIGIN,
  PASSWORD,
  type Person,
  problemOf,
  theStaff,
} from './support/library.ts'

/** Every route by every kind of caller, with every kind of token. */

const ABSENT = '01900000-0000-7000-8000-000000000000'
const anyVersion = { 'if-match': '*' }

/** Who may call what, said again: a route whose rule has changed by mistake is noticed here. With each route a call that
 *  its rule lets through, to whatever it then meets. */
const matrix: Record<'anyone' | 'patrons and staff' | 'staff', Record<string, Ask>> = {
  anyone: {
    'GET /': {},
    'GET /healthz': {},
    'GET /readyz': {},
    'GET /version': {},
    'GET /problems': {},
    'GET /problems/:name': {},
    'GET /openapi.json': {},
    'GET /docs': {},
    'GET /docs/:file': {},
    'POST /v1/users': { body: {} },
    'POST /v1/sessions': { body: {} },
    'POST /v1/sessions/refresh': { body: {} },
    'GET /v1/books': {},
    'GET /v1/books/isbn/:isbn': {},
    'GET /v1/books/:id': {},
    'GET /v1/library': {},
    'GET /v1/library/days': {},
    'GET /.well-known/security.txt': {},
    'POST /v1/auth/password-check': { body: {} },
    'GET /v1/security/guidance': {},
  },
  'patrons and staff': {
    'GET /v1/users/me': {},
    'PATCH /v1/users/me': { body: {} },
    'PUT /v1/users/me/password': { body: {} },
    'GET /v1/sessions': {},
    'DELETE /v1/sessions/current': {},
    'DELETE /v1/sessions/:id': {},
    'POST /v1/loans': { body: { bookId: ABSENT } },
    'GET /v1/loans': {},
    'POST /v1/holds': { body: { bookId: ABSENT } },
    'GET /v1/holds': {},
    'GET /v1/holds/:id': {},
    'DELETE /v1/holds/:id': {},
    'GET /v1/loans/:id': {},
    'PUT /v1/loans/:id/return': {},
    'POST /v1/loans/:id/renewals': {},
    'GET /v1/policies': {},
    'GET /v1/policies/:id': {},
    'GET /v1/fees': {},
    'GET /v1/fees/:id': {},
    'GET /v1/blocks': {},
    'GET /v1/books/:id/eligibility': {},
    'PUT /v1/holds/:id/suspension': { body: { until: '2099-01-01' } },
    'DELETE /v1/holds/:id/suspension': {},
  },
  staff: {
    'GET /v1/users': {},
    'GET /v1/users/:id': {},
    'PATCH /v1/users/:id': { body: { role: 'patron' } },
    'PUT /v1/users/:id/suspension': { body: { reason: 'a test' } },
    'DELETE /v1/users/:id/suspension': {},
    'POST /v1/books': { body: { title: 'Of the matrix' } },
    'PATCH /v1/books/:id': { body: { title: 'x' }, headers: anyVersion },
    'DELETE /v1/books/:id': { headers: anyVersion },
    'GET /v1/books/:id/copies': {},
    'POST /v1/books/:id/copies': { body: { format: 'digital' } },
    'GET /v1/copies/:id': {},
    'PATCH /v1/copies/:id': { body: { loansLeft: 1 }, headers: anyVersion },
    'DELETE /v1/copies/:id': { headers: anyVersion },
    'POST /v1/policies': { body: { category: 'of-nobody' } },
    'PATCH /v1/policies/:id': { body: { loanDays: 1 }, headers: anyVersion },
    'DELETE /v1/policies/:id': { headers: anyVersion },
    'GET /v1/categories': {},
    'PUT /v1/categories/:name': {},
    'DELETE /v1/categories/:name': {},
    'PATCH /v1/library': { body: { currency: 'EUR' } },
    'PUT /v1/library/days/:day': { body: { opens: '00:00', closes: '24:00' } },
    'DELETE /v1/library/days/:day': {},
    'POST /v1/fees': { body: { userId: ABSENT, amount: 1, note: 'a test' } },
    'POST /v1/fees/:id/payments': { body: { amount: 1 } },
    'POST /v1/fees/:id/waivers': { body: { amount: 1, reason: 'a test' } },
    'POST /v1/blocks': { body: { userId: ABSENT, reason: 'a test' } },
    'DELETE /v1/blocks/:id': {},
    'GET /v1/events': {},
    'PUT /v1/loans/:id/claimed-return': {},
    'DELETE /v1/loans/:id/claimed-return': {},
    'PUT /v1/copies/:id/loss': {},
    'DELETE /v1/copies/:id/loss': {},
    'POST /v1/check-ins': { body: { barcode: 'NOWHERE' } },
    'PUT /v1/holds/:id/position': { body: { position: 1, reason: 'a test' } },
  },
}

const calls = { ...matrix.anyone, ...matrix['patrons and staff'], ...matrix.staff }

const nameOf = ({ method, path }: Route) => `${method} ${path.replace(/(.)\/$/, '$1')}`

const callAs = (route: Route, token?: string) => {
  const path = route.path
    .replace(/(.)\/$/, '$1')
    .replace(':id', ABSENT)
    .replace(':isbn', '9780141439518')
    .replace(':name', 'forbidden')
    .replace(':file', 'start.js')
    .replace(':day', '1999-01-01')
  return ask(route.method, path, { ...calls[nameOf(route)], token })
}

const open = routes.filter(({ facts }) => facts.roles.includes('anyone'))
const closed = routes.filter(({ facts }) => !facts.roles.includes('anyone'))
const staffOnly = closed.filter(({ facts }) => !facts.roles.includes('patron'))
const forAll = closed.filter(({ facts }) => facts.roles.includes('patron'))
const named = (list: Route[]) => list.map((route) => [nameOf(route), route] as const)

test.each([
  ['anyone', open],
  ['patrons and staff', forAll],
  ['staff', staffOnly],
] as const)('the routes for %s are those of the matrix', (who, list) => {
  expect(list.map(nameOf).toSorted()).toEqual(Object.keys(matrix[who]).toSorted())
})

// Keys and claims

type Jwk = { kty: 'oct'; k: string; alg: 'HS256'; kid: string }
const jwk = (kid: string, k: string): Jwk => ({ kty: 'oct', k, alg: 'HS256', kid })
const ring = env.ACCESS_TOKEN_KEYS.split(',').map((entry) => {
  const [kid = '', secret = ''] = entry.split(':')
  return jwk(kid, secret)
})
const [signing, before] = ring
const foreign = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(33))))
  .replaceAll('+', '-')
  .replaceAll('/', '_')

const now = () => Math.floor(Date.now() / 1000)

const claimsOf = ({ id, sessionId }: Person, role = 'patron') => ({
  iss: env.PUBLIC_URL,
  aud: `${env.PUBLIC_URL}/v1`,
  sub: id,
  sid: sessionId,
  jti: crypto.randomUUID(),
  role,
  use: 'access',
  iat: now(),
  exp: now() + ACCESS_TOKEN_SECONDS,
})
type Claims = Record<string, unknown>

const signed = (claims: Claims, key: Jwk | undefined = signing) => {
  if (key === undefined) throw new Error('the ring has two keys')
  return sign(claims, key, 'HS256')
}

const part = (value: unknown) =>
  btoa(JSON.stringify(value)).replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_')

/** The same signature to a lenient reader: the two bits over in the last character are not zero. */
const bend = (token: string) => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1) ?? '') + 1]
}

const forgeries: Record<string, (person: Person) => string | Promise<string>> = {
  'no token at all': () => 'x',
  'an empty signature': (p) => `${part({ alg: 'HS256', typ: 'JWT', kid: signing?.kid })}.${part(claimsOf(p))}.`,
  'alg none': (p) => `${part({ alg: 'none', typ: 'JWT', kid: signing?.kid })}.${part(claimsOf(p))}.`,
  'a foreign key under a known kid': (p) => signed(claimsOf(p), jwk(signing?.kid ?? '', foreign)),
  'an unknown kid': (p) => signed(claimsOf(p), { ...jwk('other', signing?.k ?? '') }),
  'the kid of another key': (p) => signed(claimsOf(p), jwk(before?.kid ?? '', signing?.k ?? '')),
  'no exp': (p) => signed({ ...claimsOf(p), exp: undefined }),
  'an exp in text': (p) => signed({ ...claimsOf(p), exp: String(now() + 600) }),
  'a longer life than ten minutes': (p) => signed({ ...claimsOf(p), exp: now() + 3600 }),
  'an iat in the future': (p) => signed({ ...claimsOf(p), iat: now() + 300, exp: now() + 900 }),
  'another issuer': (p) => signed({ ...claimsOf(p), iss: 'https://elsewhere.test' }),
  'another audience': (p) => signed({ ...claimsOf(p), aud: 'https://elsewhere.test/v1' }),
  'several audiences': (p) => signed({ ...claimsOf(p), aud: [`${env.PUBLIC_URL}/v1`, 'x'] }),
  'another use': (p) => signed({ ...claimsOf(p), use: 'refresh' }),
  'no use': (p) => signed({ ...claimsOf(p), use: undefined }),
  'an unknown role': (p) => signed(claimsOf(p, 'admin')),
  'an unknown claim': (p) => signed({ ...claimsOf(p), admin: true }),
  'a bent signature': async (p) => bend(await signed(claimsOf(p))),
  'a changed payload': async (p) => {
    const [header, , signature] = (await signed(claimsOf(p))).split('.')
    return `${header}.${part(claimsOf(p, 'staff'))}.${signature}`
  },
  'a payload that is a list': async (p) => {
    const data = `${part({ alg: 'HS256', typ: 'JWT', kid: signing?.kid })}.${part([claimsOf(p)])}`
    const key = await crypto.subtle.importKey(
      'jwk',
      jwk(signing?.kid ?? '', signing?.k ?? ''),
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['sign'],
    )
    const bytes = new Uint8Array(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(data)))
    return `${data}.${btoa(String.fromCharCode(...bytes))
      .replaceAll('=', '')
      .replaceAll('+', '-')
      .replaceAll('/', '_')}`
  },
  'the refresh token': (p) => p.refreshToken,
}

let patron: Person
let staff: Person
let suspended: Person
let loggedOut: Person

beforeAll(async () => {
  const people = await Promise.all([aPatron(), aMemberOfStaff(), aMemberOfStaff(), aMemberOfStaff()])
  ;[patron, staff, suspended, loggedOut] = people
  // The state alone, without the end of the sessions that a suspension brings.
  await database`update users set suspended_at = now(), suspension_reason = 'a test' where id = ${suspended.id}`
  await ask('DELETE', '/v1/sessions/current', { token: loggedOut.token })
})

describe('what is open', () => {
  test.each(named(open))('%s lets anyone in, whatever token they show', async (_, route) => {
    const tokens = [undefined, patron.token, staff.token, suspended.token, loggedOut.token, 'x']
    for (const answer of await Promise.all(tokens.map((token) => callAs(route, token)))) {
      expect([401, 403], answer.text).not.toContain(answer.status)
    }
  })
})

describe('what is closed', () => {
  test.each(named(closed))('%s refuses nobody, the suspended, the logged out and the expired', async (_, route) => {
    const nobody = await callAs(route)
    expect([nobody.status, problemOf(nobody)]).toEqual([401, 'authentication-required'])
    expect(nobody.headers.get('www-authenticate')).toBe('Bearer')

    const expired = await callAs(
      route,
      await signed({ ...claimsOf(staff, 'staff'), iat: now() - 700, exp: now() - 100 }),
    )
    expect([expired.status, problemOf(expired)]).toEqual([401, 'access-token-expired'])
    expect(expired.headers.get('www-authenticate')).toContain('invalid_token')
  })

  test.each(named(closed))('%s touches the database for no suspended user and no ended session', async (_, route) => {
    const [first, second] = await Promise.all([callAs(route, suspended.token), callAs(route, loggedOut.token)])
    // A body that is no good is refused before the database is asked.
    expect([403, 422], first.text).toContain(first.status)
    if (first.status === 403) expect(problemOf(first)).toBe('account-suspended')
    expect([401, 422], second.text).toContain(second.status)
    if (second.status === 401) expect(problemOf(second)).toBe('session-ended')
  })

  test.each(named(closed))('%s refuses every forged token', async (_, route) => {
    for (const [forgery, forge] of Object.entries(forgeries)) {
      const answer = await callAs(route, await forge(staff))
      expect([answer.status, problemOf(answer)], forgery).toEqual([401, 'access-token-invalid'])
    }
  })

  test.each(named(staffOnly))('%s refuses a patron, and a patron who signs themselves staff', async (_, route) => {
    const asPatron = await callAs(route, patron.token)
    expect([asPatron.status, problemOf(asPatron)]).toEqual([403, 'forbidden'])
    const asStaff = await callAs(route, await signed(claimsOf(patron, 'staff')))
    expect([asStaff.status, problemOf(asStaff)], asStaff.text).toEqual([401, 'access-token-outdated'])
  })

  test.each(named(staffOnly))('%s lets staff in', async (_, route) => {
    const answer = await callAs(route, staff.token)
    expect([401, 403], answer.text).not.toContain(answer.status)
  })

  test.each(named(forAll))('%s lets a patron in, and staff', async (_, route) => {
    const people = await Promise.all([aPatron(), aMemberOfStaff()])
    for (const { token } of people) {
      const answer = await callAs(route, token)
      expect([401, 403], answer.text).not.toContain(answer.status)
    }
  })
})

describe('the key ring', () => {
  test('a token of the key before is good until it has run out', async () => {
    const token = await signed(claimsOf(patron), before)
    expect((await ask('GET', '/v1/users/me', { token })).status).toBe(200)
  })

  test('a token names its key, and holds no more than it must', async () => {
    const [header = '', payload = ''] = patron.token.split('.')
    const read = (text: string) => JSON.parse(atob(text.replaceAll('-', '+').replaceAll('_', '/')))
    expect(read(header)).toEqual({ alg: 'HS256', typ: 'JWT', kid: signing?.kid })
    expect(Object.keys(read(payload)).toSorted()).toEqual(Object.keys(claimsOf(patron)).toSorted())
  })
})

describe('what is another’s', () => {
  test('another patron’s loan is 404 to see, to return and to renew', async () => {
    const [other, book] = await Promise.all([aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    const { token } = other
    for (const answer of [
      await ask('GET', `/v1/loans/${loan.id}`, { token }),
      await giveBack(other, loan),
      await ask('POST', `/v1/loans/${loan.id}/renewals`, { token }),
    ]) {
      expect([answer.status, problemOf(answer)]).toEqual([404, 'loan-not-found'])
    }
    expect((await ask('GET', `/v1/loans/${loan.id}`, { token: patron.token })).status).toBe(200)
    await giveBack(patron, loan)
  })

  test('a user id in the body lends to nobody else', async () => {
    const [other, book] = await Promise.all([aPatron(), aBook()])
    const body = { bookId: book.id, userId: other.id }
    expect((await ask('POST', '/v1/loans', { token: patron.token, body })).status).toBe(422)
    expect((await borrow(other, book)).body.userId).toBe(other.id)
  })

  test('another’s session is 404 to end, for staff too', async () => {
    const { token } = await theStaff()
    const answer = await ask('DELETE', `/v1/sessions/${patron.sessionId}`, { token })
    expect([answer.status, problemOf(answer)]).toEqual([404, 'session-not-found'])
  })
})

describe('the start', () => {
  const describing = describeRoute({ tag: 'Service', summary: 'x', responses: { 200: { description: 'x' } } })

  test('fails when a route does not say who may use it', () => {
    const app = new Hono().get('/x', describing, (c) => c.text('x', 200))
    expect(() => readRoutes(app)).toThrow('GET /x does not say who may use it')
  })

  test('fails when a route does not describe itself', () => {
    const app = new Hono().get('/x', allowAnyone(), (c) => c.text('x', 200))
    expect(() => readRoutes(app)).toThrow('GET /x does not describe itself')
  })

  test('fails when a route answers every method', () => {
    const app = new Hono().all('/x', (c) => c.text('x', 200))
    expect(() => readRoutes(app)).toThrow('ALL /x')
  })
})

test('a password in the address is not looked at', async () => {
  const answer = await ask('GET', `/v1/users/me?token=${patron.token}&password=${encodeURIComponent(PASSWORD)}`)
  expect(answer.status).toBe(401)
  expect(ORIGIN).toBe(env.PUBLIC_URL)
})
