import { env } from 'cloudflare:workers'
import { Hono } from 'hono'
import { sign } from 'hono/jwt'
import { beforeAll, describe, expect, test } from 'vitest'
import { access } from '../src/access.ts'
import { ACCESS_TOKEN_SECONDS } from '../src/access-token.ts'
import { allow } from '../src/actor.ts'
import { routes } from '../src/app.ts'
import { describeRoute, readRoutes } from '../src/route-facts.ts'
import {
  aBook,
  aHold,
  aLoan,
  aMemberOfStaff,
  aPatron,
  type Answer,
  type Ask,
  ask,
  borrow,
  database,
  type Library,
  logIn,
  ORIGIN,
  PASSWORD,
  problemOf,
  theStaff,
} from './support/library.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { people, type Someone } from './support/people.ts'

/** The matrix of access, cell by cell: every route by every kind of caller, with every kind of token, and for what
 *  belongs to somebody by whose it is. */

const ABSENT = '01900000-0000-7000-8000-000000000000'
const anyVersion = { 'if-match': '*' }

type Whose = 'own' | 'all'
type Scope = 'read' | 'lend' | 'desk'
type Line = {
  patron?: Whose
  staff?: Whose
  fresh?: true
  scope?: Scope
  mayLackFactor?: true
  /** A call that the rule lets through, to whatever it then meets. */
  call?: Ask
  /** How 'own' is to be seen here. */
  shown?: Showing
}
type Showing =
  | { by: 'thing'; of: (owner: Someone) => Promise<string> }
  | { by: 'list'; of: (owner: Someone) => Promise<string>; named: boolean }
  | { by: 'name'; another: (other: Someone) => Promise<{ path?: string; body?: unknown }> }
  | { by: 'self' }

async function someone(role: 'patron' | 'staff'): Promise<Someone> {
  const [made] = await people({ database, env }, [{ username: `a${crypto.randomUUID().slice(0, 18)}`, role }])
  if (made === undefined) throw new Error('nobody was made')
  return made
}

/** Things of somebody, by their ids. */
const loanOf = async (owner: Someone) => (await aLoan(owner, await aBook())).id
const holdOf = async (owner: Someone) => {
  const book = await aBook()
  await aLoan(await someone('patron'), book)
  return (await aHold(owner, book)).id
}
const feeOf = ({ id: userId }: Someone) => madeByStaff('/v1/fees', { userId, amount: 100, note: 'a test' })
const blockOf = ({ id: userId }: Someone) => madeByStaff('/v1/blocks', { userId, reason: 'a test' })
const sessionOf = async ({ id }: Someone) => {
  const [session] = await database`
    insert into sessions (user_id, expires_at) values (${id}, now() + interval '1 day') returning id`
  return String(session?.['id'])
}
const keyOf = async (owner: Someone) => (await aKey(owner, ['read'])).id
async function aKey({ token }: Someone, scopes: Scope[]) {
  const body = { name: 'a test', scopes }
  const answer = await ask<{ id: string; key: string }>('POST', '/v1/users/me/keys', { token, body })
  expect(answer.status, answer.text).toBe(201)
  return answer.body
}
const securityEventOf = async ({ id }: Someone) => {
  const [event] = await database`insert into security_events (user_id, kind) values (${id}, 'login') returning id`
  return String(event?.['id'])
}
async function madeByStaff(path: string, body: object) {
  const answer = await ask<{ id: string }>('POST', path, { token: (await theStaff()).token, body })
  expect(answer.status, answer.text).toBe(201)
  return answer.body.id
}

const thing = (of: (owner: Someone) => Promise<string>) => ({ by: 'thing', of }) as const
const list = (of: (owner: Someone) => Promise<string>, { named = true } = {}) => ({ by: 'list', of, named }) as const
const self = { by: 'self' } as const

/** Who may come without being anybody. With each route a call that gets through. */
const open: Record<string, Ask> = {
  'GET /': {},
  'GET /healthz': {},
  'GET /readyz': {},
  'GET /version': {},
  'GET /problems': {},
  'GET /problems/:name': {},
  'GET /openapi.json': {},
  'GET /.well-known/security.txt': {},
  'GET /docs': {},
  'GET /docs/:file': {},
  'POST /v1/users': { body: {} },
  'POST /v1/auth/email-confirmations': { body: {} },
  'POST /v1/auth/password-reset-requests': { body: {} },
  'POST /v1/auth/password-resets': { body: {} },
  'POST /v1/auth/password-check': { body: {} },
  'GET /v1/security/guidance': {},
  'POST /v1/sessions': { body: {} },
  'POST /v1/sessions/refresh': { body: {} },
  'GET /v1/books': {},
  'GET /v1/books/suggest': {},
  'GET /v1/books/newest': {},
  'GET /v1/books/newest.atom': {},
  'GET /v1/books/popular': {},
  'GET /v1/books/popular.atom': {},
  'GET /v1/books/:id/related': {},
  'GET /v1/books/exports/:format': {},
  'GET /v1/books/isbn/:isbn': {},
  'GET /v1/books/:id': {},
  'GET /v1/books/:id/exports/:format': {},
  'GET /v1/library': {},
  'GET /v1/library/days': {},
}

/** Who else may do what, said again: a rule that has changed by mistake is noticed here. */
const closed: Record<string, Line> = {
  'GET /v1/users/me': { patron: 'own', staff: 'own', mayLackFactor: true, scope: 'read', shown: self },
  'PATCH /v1/users/me': { patron: 'own', staff: 'own', call: { body: {} }, shown: self },
  'DELETE /v1/users/me': { patron: 'own', staff: 'own', fresh: true, shown: self },
  'GET /v1/users/me/export': { patron: 'own', staff: 'own', fresh: true, shown: self },
  'PUT /v1/users/me/password': { patron: 'own', staff: 'own', call: { body: {} }, shown: self },
  'PUT /v1/users/me/email': {
    patron: 'own',
    staff: 'own',
    fresh: true,
    call: { body: { email: 'of.the.matrix@mail.test' } },
    shown: self,
  },
  'POST /v1/users/me/email-confirmations': { patron: 'own', staff: 'own', shown: self },
  'GET /v1/users/me/security-events': { patron: 'own', staff: 'own', shown: list(securityEventOf, { named: false }) },
  'GET /v1/users/me/second-factor': { patron: 'own', staff: 'own', mayLackFactor: true, shown: self },
  'POST /v1/users/me/second-factor': { patron: 'own', staff: 'own', fresh: true, mayLackFactor: true, shown: self },
  'DELETE /v1/users/me/second-factor': { patron: 'own', staff: 'own', fresh: true, mayLackFactor: true, shown: self },
  'PUT /v1/users/me/second-factor/confirmation': {
    patron: 'own',
    staff: 'own',
    fresh: true,
    mayLackFactor: true,
    call: { body: { code: '123456' } },
    shown: self,
  },
  'POST /v1/users/me/second-factor/recovery-codes': {
    patron: 'own',
    staff: 'own',
    fresh: true,
    mayLackFactor: true,
    shown: self,
  },
  'GET /v1/sessions': {
    patron: 'own',
    staff: 'own',
    mayLackFactor: true,
    shown: list(sessionOf, { named: false }),
  },
  'DELETE /v1/sessions/current': { patron: 'own', staff: 'own', mayLackFactor: true, shown: self },
  'DELETE /v1/sessions/:id': { patron: 'own', staff: 'own', mayLackFactor: true, shown: thing(sessionOf) },

  'POST /v1/users/me/keys': { patron: 'own', staff: 'own', fresh: true, call: { body: {} }, shown: self },
  'GET /v1/users/me/keys': { patron: 'own', staff: 'own', shown: list(keyOf, { named: false }) },
  'DELETE /v1/users/me/keys/:id': { patron: 'own', staff: 'own', shown: thing(keyOf) },

  'POST /v1/loans': {
    patron: 'own',
    staff: 'all',
    scope: 'lend',
    call: { body: { bookId: ABSENT } },
    shown: { by: 'name', another: async ({ id: userId }) => ({ body: { barcode: 'NOWHERE', userId } }) },
  },
  'GET /v1/loans': { patron: 'own', staff: 'all', scope: 'read', shown: list(loanOf) },
  'GET /v1/loans/:id': { patron: 'own', staff: 'all', scope: 'read', shown: thing(loanOf) },
  'PUT /v1/loans/:id/return': { patron: 'own', staff: 'all', scope: 'lend', shown: thing(loanOf) },
  'POST /v1/loans/:id/renewals': { patron: 'own', staff: 'all', scope: 'lend', shown: thing(loanOf) },
  'POST /v1/holds': {
    patron: 'own',
    staff: 'all',
    scope: 'lend',
    call: { body: { bookId: ABSENT } },
    shown: {
      by: 'name',
      another: async ({ id: userId }) => ({ body: { bookId: (await aBook({ copies: 0 })).id, userId } }),
    },
  },
  'GET /v1/holds': { patron: 'own', staff: 'all', scope: 'read', shown: list(holdOf) },
  'GET /v1/holds/:id': { patron: 'own', staff: 'all', scope: 'read', shown: thing(holdOf) },
  'DELETE /v1/holds/:id': { patron: 'own', staff: 'all', scope: 'lend', shown: thing(holdOf) },
  'PUT /v1/holds/:id/suspension': {
    patron: 'own',
    staff: 'all',
    scope: 'lend',
    call: { body: { until: '2099-01-01' } },
    shown: thing(holdOf),
  },
  'DELETE /v1/holds/:id/suspension': { patron: 'own', staff: 'all', scope: 'lend', shown: thing(holdOf) },
  'GET /v1/fees': { patron: 'own', staff: 'all', scope: 'read', shown: list(feeOf) },
  'GET /v1/fees/:id': { patron: 'own', staff: 'all', scope: 'read', shown: thing(feeOf) },
  'GET /v1/blocks': { patron: 'own', staff: 'all', scope: 'read', shown: list(blockOf) },
  'GET /v1/books/:id/eligibility': {
    patron: 'own',
    staff: 'all',
    scope: 'read',
    shown: {
      by: 'name',
      another: async ({ id }) => ({ path: `/v1/books/${(await aBook()).id}/eligibility?userId=${id}` }),
    },
  },

  'GET /v1/policies': { patron: 'all', staff: 'all', scope: 'read' },
  'GET /v1/policies/:id': { patron: 'all', staff: 'all', scope: 'read' },

  'GET /v1/users': { staff: 'all', scope: 'desk' },
  'GET /v1/users/:id': { staff: 'all', scope: 'desk' },
  'PATCH /v1/users/:id': { staff: 'all', fresh: true, call: { body: { role: 'patron' } } },
  'PUT /v1/users/:id/suspension': { staff: 'all', fresh: true, call: { body: { reason: 'a test' } } },
  'DELETE /v1/users/:id/suspension': { staff: 'all', fresh: true },
  'POST /v1/books': { staff: 'all', call: { body: { title: 'Of the matrix' } } },
  'PATCH /v1/books/:id': { staff: 'all', call: { body: { title: 'x' }, headers: anyVersion } },
  'DELETE /v1/books/:id': { staff: 'all', call: { headers: anyVersion } },
  'GET /v1/books/duplicates': { staff: 'all' },
  'POST /v1/books/distinctions': {
    staff: 'all',
    call: { body: { bookIds: [ABSENT, '01900000-0000-7000-8000-000000000001'] } },
  },
  'POST /v1/books/changes': {
    staff: 'all',
    call: { body: { mode: 'each', books: [{ id: ABSENT, version: 1, remove: true }] } },
  },
  'GET /v1/books/:id/revisions': { staff: 'all' },
  'POST /v1/books/:id/reversions': { staff: 'all', call: { body: { version: 1 }, headers: anyVersion } },
  'POST /v1/books/:id/merges': { staff: 'all', call: { body: { bookId: ABSENT, version: 1 }, headers: anyVersion } },
  'GET /v1/books/:id/copies': { staff: 'all', scope: 'desk' },
  'POST /v1/books/:id/copies': { staff: 'all', call: { body: { format: 'digital' } } },
  'GET /v1/copies/:id': { staff: 'all', scope: 'desk' },
  'PATCH /v1/copies/:id': { staff: 'all', call: { body: { loansLeft: 1 }, headers: anyVersion } },
  'DELETE /v1/copies/:id': { staff: 'all', call: { headers: anyVersion } },
  'PUT /v1/copies/:id/loss': { staff: 'all' },
  'DELETE /v1/copies/:id/loss': { staff: 'all' },
  'POST /v1/check-ins': { staff: 'all', scope: 'desk', call: { body: { barcode: 'NOWHERE' } } },
  'PUT /v1/loans/:id/claimed-return': { staff: 'all' },
  'DELETE /v1/loans/:id/claimed-return': { staff: 'all' },
  'PUT /v1/holds/:id/position': { staff: 'all', call: { body: { position: 1, reason: 'a test' } } },
  'POST /v1/fees': { staff: 'all', call: { body: { userId: ABSENT, amount: 1, note: 'a test' } } },
  'POST /v1/fees/:id/payments': { staff: 'all', call: { body: { amount: 1 } } },
  'POST /v1/fees/:id/waivers': { staff: 'all', call: { body: { amount: 1, reason: 'a test' } } },
  'POST /v1/blocks': { staff: 'all', call: { body: { userId: ABSENT, reason: 'a test' } } },
  'DELETE /v1/blocks/:id': { staff: 'all' },
  'POST /v1/imports': { staff: 'all', call: { body: { source: 'of the matrix', format: 'csv' } } },
  'GET /v1/imports': { staff: 'all' },
  'GET /v1/imports/:id': { staff: 'all' },
  'POST /v1/imports/:id/records': {
    staff: 'all',
    call: { body: { records: [{ position: 1, record: { title: 'Of the matrix' } }] } },
  },
  'GET /v1/imports/:id/records': { staff: 'all' },
  'GET /v1/imports/:id/records/:position': { staff: 'all' },
  'PUT /v1/imports/:id/undo': { staff: 'all' },
  'GET /v1/events': { staff: 'all' },
  'GET /v1/figures/loans': { staff: 'all' },
  'GET /v1/figures/demand': { staff: 'all' },
  'GET /v1/figures/collection': { staff: 'all' },
  'POST /v1/policies': { staff: 'all', call: { body: { category: 'of-nobody' } } },
  'PATCH /v1/policies/:id': { staff: 'all', call: { body: { loanDays: 1 }, headers: anyVersion } },
  'DELETE /v1/policies/:id': { staff: 'all', call: { headers: anyVersion } },
  'GET /v1/categories': { staff: 'all' },
  'PUT /v1/categories/:name': { staff: 'all' },
  'DELETE /v1/categories/:name': { staff: 'all' },
  'PATCH /v1/library': { staff: 'all', fresh: true, call: { body: { currency: 'EUR' } } },
  'PUT /v1/library/days/:day': { staff: 'all', call: { body: { opens: '00:00', closes: '24:00' } } },
  'DELETE /v1/library/days/:day': { staff: 'all' },
}

const lines = Object.entries(closed)
const staffOnly = lines.filter(([, { patron }]) => patron === undefined)
const forPatrons = lines.filter(([, { patron }]) => patron !== undefined)
const shownBy = <By extends Showing['by']>(by: By) =>
  lines.flatMap(([name, { shown, ...line }]) =>
    shown?.by === by ? [[name, { ...line, shown: shown as Extract<Showing, { by: By }> }] as const] : [],
  )

test('the app is built from this matrix', () => {
  const rule = ({ patron, staff, fresh, mayLackFactor, scope }: Line) => ({
    patron,
    staff,
    fresh,
    mayLackFactor,
    scope,
  })
  expect(access).toEqual({
    ...Object.fromEntries(Object.keys(open).map((name) => [name, 'anyone'])),
    ...Object.fromEntries(lines.map(([name, line]) => [name, rule(line)])),
  })
  expect(routes.map(({ facts }) => facts.rule).toSorted()).toEqual(Object.keys(access).toSorted())
})

test('wherever a cell says own, it is shown below what that means', () => {
  const own = lines.filter(([, { patron, staff }]) => patron === 'own' || staff === 'own')
  expect(own.filter(([, { shown }]) => shown === undefined)).toEqual([])
})

type How = Ask & { id?: string; path?: string; at?: Pick<Library, 'ask'> }
const callAs = (name: string, token: string | undefined, how: How = {}) => {
  const [method = '', template = ''] = name.split(' ')
  const { id = ABSENT, path = template, at = { ask }, ...rest } = how
  const address = path
    .replace(':id', id)
    .replace(':isbn', '9780141439518')
    .replace(':name', 'forbidden')
    .replace(':file', 'start.js')
    .replace(':day', '1999-01-01')
    .replace(':position', '1')
  return at.ask(method, address, { ...(open[name] ?? closed[name]?.call), ...rest, token })
}

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

const claimsOf = ({ id, sessionId }: Someone, role = 'patron') => ({
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

const forgeries: Record<string, (person: Someone) => string | Promise<string>> = {
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
  'a refresh token': () => `lrt_${'A'.repeat(43)}`,
}

let patron: Someone
let otherPatron: Someone
let staff: Someone
let otherStaff: Someone
/** Has become staff, and shows the token of a patron. */
let promoted: Someone
/** Every forgery, in the name of a member of staff. */
let forged: [forgery: string, token: string][]
/** Who may not come, though their tokens are good, and why. */
let refused: Record<'account-suspended' | 'session-ended' | 'access-token-outdated', Someone[]>

beforeAll(async () => {
  ;[patron, otherPatron, staff, otherStaff] = await Promise.all([
    someone('patron'),
    someone('patron'),
    someone('staff'),
    someone('staff'),
  ])
  const [suspended, loggedOut, late, demoted] = await Promise.all([
    someone('staff'),
    someone('staff'),
    someone('staff'),
    someone('staff'),
  ])
  promoted = await someone('patron')
  forged = await Promise.all(
    Object.entries(forgeries).map(async ([forgery, forge]): Promise<[string, string]> => [forgery, await forge(staff)]),
  )
  refused = {
    'account-suspended': [suspended],
    'session-ended': [loggedOut, late],
    'access-token-outdated': [demoted, promoted],
  }
  // The states alone, without the end of the sessions that a suspension brings.
  await database.transaction([
    database`update users set suspended_at = now(), suspension_reason = 'a test' where id = ${suspended.id}`,
    database`delete from sessions where id = ${loggedOut.sessionId}`,
    database`update sessions set expires_at = now() where id = ${late.sessionId}`,
    database`update users set role = 'patron' where id = ${demoted.id}`,
    database`update users set role = 'staff' where id = ${promoted.id}`,
  ])
})

/** All that an answer says but its id. */
const toldBy = ({ status, body }: Answer) => ({ status, ...(body as object), instance: '' })

const said = (answer: Answer) => [answer.status, problemOf(answer)]

describe('what is open', () => {
  test.each(Object.keys(open))('%s lets anyone in, whatever token they show', async (name) => {
    const tokens = [undefined, ...[patron, staff, ...Object.values(refused).flat()].map(({ token }) => token), 'x']
    for (const answer of await Promise.all(tokens.map((token) => callAs(name, token)))) {
      expect([401, 403], answer.text).not.toContain(answer.status)
    }
  })
})

describe('what is closed', () => {
  test.each(lines)('%s refuses nobody, and a token that has expired', async (name) => {
    const nobody = await callAs(name, undefined)
    expect(said(nobody)).toEqual([401, 'authentication-required'])
    expect(nobody.headers.get('www-authenticate')).toBe('Bearer')

    const expired = await callAs(
      name,
      await signed({ ...claimsOf(staff, 'staff'), iat: now() - 700, exp: now() - 100 }),
    )
    expect(said(expired)).toEqual([401, 'access-token-expired'])
    expect(expired.headers.get('www-authenticate')).toContain('invalid_token')
  })

  test.each(lines)('%s refuses every forged token', async (name) => {
    for (const [forgery, token] of forged) {
      expect(said(await callAs(name, token)), forgery).toEqual([401, 'access-token-invalid'])
    }
  })

  test.each(lines)(
    '%s does nothing for the suspended, the logged out, and who has another role now',
    async (name, line) => {
      for (const [reason, persons] of Object.entries(refused)) {
        for (const person of persons) {
          // A role that may not come hears that, and a body that is no good is refused, before the database is asked.
          const isTurnedAway = person === promoted && line.patron === undefined
          const isEmpty = JSON.stringify(line.call?.body) === '{}'
          const expected = isTurnedAway ? 'forbidden' : isEmpty ? 'invalid-input' : reason
          expect(problemOf(await callAs(name, person.token))).toBe(expected)
        }
      }
    },
  )

  test.each(staffOnly)('%s refuses a patron, and a patron whose token says staff', async (name) => {
    expect(said(await callAs(name, patron.token))).toEqual([403, 'forbidden'])
    const asStaff = await callAs(name, await signed(claimsOf(patron, 'staff')))
    expect(said(asStaff)).toEqual([401, 'access-token-outdated'])
  })

  test.each(lines)('%s lets staff in', async (name) => {
    const answer = await callAs(name, (await someone('staff')).token)
    expect([401, 403], answer.text).not.toContain(answer.status)
  })

  test.each(forPatrons)('%s lets a patron in', async (name) => {
    const answer = await callAs(name, (await someone('patron')).token)
    expect([401, 403], answer.text).not.toContain(answer.status)
  })
})

describe('what is another’s', () => {
  test.each(shownBy('thing'))('%s tells of another’s no more than of what is not there', async (name, line) => {
    const absent = toldBy(await callAs(name, otherPatron.token))
    expect(absent.status).toBe(404)

    const owner = await someone('patron')
    const id = await line.shown.of(owner)
    expect(toldBy(await callAs(name, otherPatron.token, { id }))).toEqual(absent)
    if (line.staff === 'own') {
      expect(toldBy(await callAs(name, staff.token, { id }))).toEqual(absent)
      const ofStaff = await line.shown.of(staff)
      expect(toldBy(await callAs(name, otherStaff.token, { id: ofStaff }))).toEqual(absent)
      expect((await callAs(name, staff.token, { id: ofStaff })).status).toBeLessThan(300)
    }

    const own = await callAs(name, owner.token, { id })
    expect([401, 403, 404], own.text).not.toContain(own.status)
    if (line.staff === 'all') {
      const ofPatron = await callAs(name, staff.token, { id: await line.shown.of(owner) })
      expect([401, 403, 404], ofPatron.text).not.toContain(ofPatron.status)
    }
  })

  test.each(shownBy('list'))('%s shows nothing of others', async (name, line) => {
    const owner = await someone(line.staff === 'own' ? 'staff' : 'patron')
    const id = await line.shown.of(owner)
    const idsFor = async ({ token }: Someone, path?: string) => {
      const answer = await callAs(name, token, path === undefined ? {} : { path })
      expect(answer.status, answer.text).toBe(200)
      return (answer.body as { items: { id: string }[] }).items.map((item) => item.id)
    }
    expect(await idsFor(owner)).toContain(id)
    expect(await idsFor(otherPatron)).not.toContain(id)
    if (line.staff === 'own') {
      expect(await idsFor(otherStaff)).not.toContain(id)
      expect(await idsFor(patron)).not.toContain(id)
    }
    if (line.shown.named) {
      const path = `${name.split(' ')[1]}?userId=${owner.id}`
      expect(said(await callAs(name, otherPatron.token, { path }))).toEqual([403, 'forbidden'])
      expect(said(await callAs(name, owner.token, { path }))).toEqual([403, 'forbidden'])
      expect(await idsFor(staff, path)).toContain(id)
    }
  })

  test.each(shownBy('name'))('%s lets a patron name nobody, and staff anybody', async (name, line) => {
    const how = await line.shown.another(patron)
    expect(said(await callAs(name, otherPatron.token, how))).toEqual([403, 'forbidden'])
    const byStaff = await callAs(name, staff.token, how)
    expect([401, 403], byStaff.text).not.toContain(byStaff.status)
  })

  test('the routes that name nobody touch the account and the session that ask', async () => {
    const [one, two] = await Promise.all([aPatron(), someone('staff')])
    for (const { id, token } of [one, two]) {
      expect(await callAs('GET /v1/users/me', token)).toMatchObject({ status: 200, body: { id } })
      const changed = await callAs('PATCH /v1/users/me', token, { body: { keepHistory: true } })
      expect(changed).toMatchObject({ status: 200, body: { id, keepHistory: true } })
    }
    const change = { body: { currentPassword: PASSWORD, newPassword: 'eight loud herons fly' } }
    expect((await callAs('PUT /v1/users/me/password', one.token, change)).status).toBe(204)
    const key = await callAs('POST /v1/users/me/keys', one.token, { body: { name: 'a test', scopes: ['read'] } })
    expect((await callAs('GET /v1/users/me', (key.body as { key: string }).key)).body).toMatchObject({ id: one.id })
    expect((await callAs('DELETE /v1/sessions/current', one.token)).status).toBe(204)
    expect(said(await callAs('GET /v1/users/me', one.token))).toEqual([401, 'session-ended'])
    expect((await callAs('GET /v1/users/me', two.token)).status).toBe(200)
    expect((await callAs('GET /v1/users/me', patron.token)).body).toMatchObject({ keepHistory: false })
  })

  test('a user id in the body lends to nobody else', async () => {
    const [book, borrower] = await Promise.all([aBook(), someone('patron')])
    const body = { bookId: book.id, userId: borrower.id }
    expect((await ask('POST', '/v1/loans', { token: patron.token, body })).status).toBe(422)
    expect((await borrow(borrower, book)).body.userId).toBe(borrower.id)
  })
})

describe('what a key opens', () => {
  /** Of a patron, of staff for themselves, and of staff at the desk; each without one of the scopes too. */
  const kinds: { role: 'patron' | 'staff'; scopes: Scope[] }[] = [
    { role: 'patron', scopes: ['read'] },
    { role: 'patron', scopes: ['lend'] },
    { role: 'staff', scopes: ['read'] },
    { role: 'staff', scopes: ['lend'] },
    { role: 'staff', scopes: ['desk'] },
    { role: 'staff', scopes: ['read', 'lend', 'desk'] },
  ]
  const keys: { role: 'patron' | 'staff'; scopes: Scope[]; key: string }[] = []
  beforeAll(async () => {
    for (const { role, scopes } of kinds) {
      const { key } = await aKey(role === 'staff' ? staff : patron, scopes)
      keys.push({ role, scopes, key })
    }
  })

  /** The problem that a key meets; null: none of access. */
  const refusalOf = ({ scope, ...line }: Line, { role, scopes }: (typeof kinds)[number]) => {
    if (scope === undefined) return 'scope-missing'
    if (line[role] === undefined) return 'forbidden'
    // Everybody's things are for the desk. Without it staff come as patrons do, where patrons come.
    const isForDesk = role === 'staff' && line.staff === 'all' && line.patron !== 'all'
    const needed = isForDesk && (scopes.includes('desk') || line.patron === undefined) ? 'desk' : scope
    return scopes.includes(needed) ? null : 'scope-missing'
  }

  test.each(lines)('%s', async (name, line) => {
    for (const kind of keys) {
      const answer = await callAs(name, kind.key)
      const refusal = refusalOf(line, kind)
      const isOfAccess = [401, 403].includes(answer.status)
      expect(isOfAccess ? problemOf(answer) : null, `${kind.role} ${kind.scopes.join()}`).toBe(refusal)
    }
  })

  test.each(shownBy('thing').filter(([, { scope }]) => scope !== undefined))(
    '%s tells a key of another’s no more than of what is not there, unless it is for the desk',
    async (name, line) => {
      const [owner, member] = await Promise.all([someone('patron'), someone('staff')])
      const id = await line.shown.of(owner)
      const [ofOwner, ofOther, ofStaff, atDesk] = await Promise.all([
        aKey(owner, ['read', 'lend']),
        aKey(await someone('patron'), ['read', 'lend']),
        aKey(member, ['read', 'lend']),
        aKey(member, ['desk']),
      ])
      const absent = toldBy(await callAs(name, ofOther.key))
      expect(absent.status).toBe(404)
      expect(toldBy(await callAs(name, ofOther.key, { id }))).toEqual(absent)
      expect(toldBy(await callAs(name, ofStaff.key, { id }))).toEqual(absent)
      for (const { key } of [ofOwner, atDesk]) {
        const thingId = key === ofOwner.key ? id : await line.shown.of(owner)
        const answer = await callAs(name, key, { id: thingId })
        expect([401, 403, 404], answer.text).not.toContain(answer.status)
      }
    },
  )

  test.each(shownBy('name'))('%s lets a key name nobody, unless it is for the desk', async (name, line) => {
    const how = await line.shown.another(patron)
    const member = await someone('staff')
    const [ofStaff, atDesk] = [await aKey(member, ['read', 'lend']), await aKey(member, ['desk'])]
    expect(said(await callAs(name, ofStaff.key, how))).toEqual([403, 'forbidden'])
    const answer = await callAs(name, atDesk.key, how)
    expect([401, 403], answer.text).not.toContain(answer.status)
  })
})

describe('a session that was opened more than ten minutes ago', () => {
  const age = (sessionId: string, by: string) =>
    database`update sessions set created_at = now() - ${by}::interval where id = ${sessionId}`

  test.each(lines)('%s', async (name, { fresh, staff: whose, call }) => {
    // Of their own: some calls end the session or the account that asks.
    const { sessionId, token } = await someone(whose === undefined ? 'patron' : 'staff')
    await age(sessionId, '10 minutes 1 second')
    const answer = await callAs(name, token)
    const isEmpty = JSON.stringify(call?.body) === '{}'
    if (fresh && !isEmpty) expect(said(answer)).toEqual([403, 'fresh-login-required'])
    else expect([401, 403], answer.text).not.toContain(answer.status)

    if (!fresh || isEmpty) return
    await age(sessionId, '9 minutes 30 seconds')
    const soon = await callAs(name, token)
    expect([401, 403], soon.text).not.toContain(soon.status)
  })

  test('changes nothing, and is not made fresh by being refreshed', async () => {
    const [person, old] = await Promise.all([aPatron(), aMemberOfStaff()])
    await age(old.sessionId, '11 minutes')
    const { refreshToken } = old
    const pair = await ask<{ accessToken: string }>('POST', '/v1/sessions/refresh', { body: { refreshToken } })
    const how = { id: person.id, body: { role: 'staff' } }
    expect(said(await callAs('PATCH /v1/users/:id', pair.body.accessToken, how))).toEqual([403, 'fresh-login-required'])
    const { token } = await theStaff()
    expect((await callAs('GET /v1/users/:id', token, { id: person.id })).body).toMatchObject({ role: 'patron' })
    const again = await logIn(old.username)
    expect((await callAs('PATCH /v1/users/:id', again.token, how)).body).toMatchObject({ role: 'staff' })
  })
})

describe('a library that asks a second factor of its staff', () => {
  let library: Awaited<ReturnType<typeof aLibraryApart>>
  let persons: Someone[]
  beforeAll(async () => {
    library = await aLibraryApart({ statements: ['update library set staff_second_factor = true'] })
    persons = await people(library, [
      { username: 'without', role: 'staff' },
      { username: 'with', role: 'staff' },
      { username: 'patron', role: 'patron' },
    ])
    await library.database`update sessions set second_factor_at = now() where user_id = ${persons[1]?.id}`
  })

  /** In a session like theirs: some calls end the one that asks. */
  const callOf = async (person: Someone | undefined, name: string, role: string) => {
    if (person === undefined) throw new Error('nobody was made')
    const [session] = await library.database`
      insert into sessions (user_id, expires_at, second_factor_at)
      select user_id, expires_at, second_factor_at from sessions where id = ${person.sessionId} returning id`
    const token = await signed(claimsOf({ ...person, sessionId: String(session?.['id']) }, role))
    return callAs(name, token, { at: library })
  }

  test.each(lines)('%s', async (name, { staff: whose, patron: ofPatrons, mayLackFactor, call }) => {
    const answer = await callOf(persons[0], name, 'staff')
    if (whose === undefined) expect(said(answer)).toEqual([403, 'forbidden'])
    else if (mayLackFactor || JSON.stringify(call?.body) === '{}') {
      expect(problemOf(answer), answer.text).not.toBe('second-factor-needed')
    } else expect(said(answer)).toEqual([403, 'second-factor-needed'])

    const shown = await callOf(persons[1], name, 'staff')
    expect(problemOf(shown), shown.text).not.toBe('second-factor-needed')
    if (ofPatrons === undefined) return
    const patrons = await callOf(persons[2], name, 'patron')
    expect(problemOf(patrons), patrons.text).not.toBe('second-factor-needed')
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

describe('the start', () => {
  const describing = describeRoute({ tag: 'Service', summary: 'x', responses: { 200: { description: 'x' } } })

  test('fails when a route does not say who may use it', () => {
    const app = new Hono().get('/x', describing, (c) => c.text('x', 200))
    expect(() => readRoutes(app, {})).toThrow('GET /x does not say who may use it')
  })

  test('fails when a route goes by the rule of another', () => {
    const app = new Hono().get('/x', describing, allow('GET /version'), (c) => c.text('x', 200))
    expect(() => readRoutes(app, { 'GET /x': 'anyone' })).toThrow('GET /x goes by the rule of GET /version')
  })

  test('fails when a route has two rules', () => {
    const app = new Hono().get('/version', describing, allow('GET /version'), allow('GET /version'), (c) => c.text('x'))
    expect(() => readRoutes(app, { 'GET /version': 'anyone' })).toThrow('GET /version has more than one rule')
  })

  test('fails when a rule is of no route, or a route of no rule', () => {
    const app = new Hono().get('/version', describing, allow('GET /version'), (c) => c.text('x', 200))
    expect(readRoutes(app, { 'GET /version': 'anyone' })).toHaveLength(1)
    expect(() => readRoutes(app, { 'GET /version': 'anyone', 'GET /nowhere': 'anyone' })).toThrow(
      'there is no route for the rule of GET /nowhere',
    )
    expect(() => readRoutes(app, {})).toThrow('GET /version has no rule')
  })

  test('has compiled, so no handler asks who it is for where its rule does not say', () => {
    new Hono()
      // @ts-expect-error -- anyone may come
      .get('/version', allow('GET /version'), (c) => c.json({ id: c.var.actor.userId }, 200))
      // @ts-expect-error -- and nobody is the owner
      .get('/version', allow('GET /version'), (c) => c.json({ id: c.var.owner }, 200))
      .get('/v1/users/me', allow('GET /v1/users/me'), (c) => c.json({ id: c.var.owner.slice(0) }, 200))
      // @ts-expect-error -- null for staff
      .get('/v1/loans', allow('GET /v1/loans'), (c) => c.json({ id: c.var.owner.slice(0) }, 200))
    // @ts-expect-error -- a rule that does not exist
    expect(() => allow('GET /nowhere')).toThrow('undefined')
  })

  test('fails when a route does not describe itself', () => {
    const app = new Hono().get('/version', allow('GET /version'), (c) => c.text('x', 200))
    expect(() => readRoutes(app, { 'GET /version': 'anyone' })).toThrow('GET /version does not describe itself')
  })

  test('fails when a route answers every method', () => {
    const app = new Hono().all('/x', (c) => c.text('x', 200))
    expect(() => readRoutes(app, {})).toThrow('ALL /x')
  })
})

test('a password in the address is not looked at', async () => {
  const answer = await ask('GET', `/v1/users/me?token=${patron.token}&password=${encodeURIComponent(PASSWORD)}`)
  expect(answer.status).toBe(401)
  expect(ORIGIN).toBe(env.PUBLIC_URL)
})
