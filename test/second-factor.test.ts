import { env } from 'cloudflare:workers'
import { base32nopad } from '@scure/base'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { configOf } from '../src/config.ts'
import type { SecurityEvent } from '../src/features/security-events/schema.ts'
import { stepOfCode } from '../src/features/second-factor/codes.ts'
import type { Tokens } from '../src/features/sessions/schema.ts'
import { keyedHash } from '../src/keyed-hash.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Answer, aNewcomer, ask, database, type Library, PASSWORD, problemOf } from './support/library.ts'
import { awaitMail, confirm as confirmEmail, tokenIn } from './support/mail.ts'
import { codeOf } from './support/second-factor.ts'

/** A second factor: nobody gets in with the password alone, and nobody who has the app or a code on paper is kept out. */

const PERIOD_MS = 30_000

/** The middle of a period, so that no test meets the end of one. */
const middle = () => (Math.floor(Date.now() / PERIOD_MS) + 1.5) * PERIOD_MS

beforeEach(() => void vi.useFakeTimers({ now: middle(), toFake: ['Date'] }))
afterEach(() => void vi.useRealTimers())

const PATH = '/v1/users/me/second-factor'
type Where = Pick<Library, 'ask' | 'database' | 'aNewcomer'>
const library: Where = { ask, database, aNewcomer }
type Asking = { token: string }

const said = (answer: Answer) => [answer.status, problemOf(answer)]

const logIn = (username: string, code?: string, { at = library, from = '', password = PASSWORD } = {}) =>
  at.ask<Tokens>('POST', '/v1/sessions', {
    body: { username, password, ...(code !== undefined && { code }) },
    ...(from !== '' && { headers: { 'cf-connecting-ip': from } }),
  })

const me = (token: string, at = library) => at.ask('GET', '/v1/users/me', { token })
const shown = ({ token }: Asking) =>
  ask<{ confirmedAt: string | null; recoveryCodesLeft: number }>('GET', PATH, { token })

const begin = async ({ token }: Asking, at = library) => {
  const answer = await at.ask<{ secret: string; uri: string }>('POST', PATH, { token })
  expect(answer.status, answer.text).toBe(201)
  return answer.body
}
const confirm = ({ token }: Asking, code: string, at = library) =>
  at.ask<{ recoveryCodes: string[] }>('PUT', `${PATH}/confirmation`, { token, body: { code } })

/** Somebody with a second factor, confirmed with the code of the period before: that of now and the next are unspent. */
async function somebody(at = library) {
  const person = await at.aNewcomer()
  const { secret } = await begin(person, at)
  const answer = await confirm(person, codeOf(secret, -1), at)
  expect(answer.status, answer.text).toBe(200)
  return { ...person, secret, recoveryCodes: answer.body.recoveryCodes }
}

const age = (sessionId: string) =>
  database`update sessions set created_at = now() - interval '11 minutes' where id = ${sessionId}`

const kindsOf = async ({ token }: Asking) =>
  (await ask<{ items: SecurityEvent[] }>('GET', '/v1/users/me/security-events', { token })).body.items.map(
    ({ kind }) => kind,
  )

describe('codes', () => {
  /** RFC 6238, Appendix B, SHA-1: the last six of its eight digits. */
  const secret = base32nopad.encode(new TextEncoder().encode('12345678901234567890'))

  test.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('at %i seconds it is %s', (seconds, code) => {
    vi.setSystemTime(seconds * 1000)
    const step = Math.floor(seconds / 30)
    expect(stepOfCode(secret, code)).toBe(step)
    expect(codeOf(secret)).toBe(code)
    // The period before and the one after count, and no other.
    const steps = [-2, -1, 1, 2].map((periods) => {
      vi.setSystemTime((seconds + periods * 30) * 1000)
      return stepOfCode(secret, code)
    })
    expect(steps).toEqual([null, step, step, null])
  })
})

describe('enrolment', () => {
  test('shows a secret once, counts when a code of it has been shown, and gives ten recovery codes', async () => {
    const patron = await aNewcomer()
    expect((await shown(patron)).body).toEqual({ confirmedAt: null, recoveryCodesLeft: 0 })
    const { secret, uri } = await begin(patron)
    expect(secret).toMatch(/^[A-Z2-7]{32}$/)
    const parsed = new URL(uri)
    expect([parsed.protocol, parsed.host]).toEqual(['otpauth:', 'totp'])
    expect(decodeURIComponent(parsed.pathname)).toBe(`/library.test:${patron.username}`)
    expect(Object.fromEntries(parsed.searchParams)).toEqual({
      secret,
      issuer: 'library.test',
      algorithm: 'SHA1',
      digits: '6',
      period: '30',
    })
    expect((await shown(patron)).body).toEqual({ confirmedAt: null, recoveryCodesLeft: 0 })
    expect((await logIn(patron.username)).status).toBe(201)

    const confirmed = await confirm(patron, codeOf(secret))
    expect(confirmed.status).toBe(200)
    const { recoveryCodes } = confirmed.body
    expect(new Set(recoveryCodes).size).toBe(10)
    for (const code of recoveryCodes) expect(code).toMatch(/^(?:[A-Z2-7]{4}-){5}[A-Z2-7]{4}$/)
    const { body } = await shown(patron)
    expect(body).toEqual({ confirmedAt: expect.any(String), recoveryCodesLeft: 10 })
    expect(said(await logIn(patron.username))).toEqual([401, 'second-factor-required'])
  })

  test('may begin again before it is confirmed: only the newest secret counts', async () => {
    const patron = await aNewcomer()
    const [first, second] = [await begin(patron), await begin(patron)]
    expect(said(await confirm(patron, codeOf(first.secret)))).toEqual([403, 'wrong-code'])
    expect((await confirm(patron, codeOf(second.secret))).status).toBe(200)
  })

  test('is of one secret, when several begin and confirm at once', async () => {
    const patron = await aNewcomer()
    const secrets = await Promise.all(Array.from({ length: 5 }, () => begin(patron)))
    const answers = await Promise.all(secrets.map(({ secret }) => confirm(patron, codeOf(secret))))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    // A code of another secret is wrong; whoever asks when it is on already is told that.
    for (const { status } of answers) expect([200, 403, 409]).toContain(status)
    const { secret } = secrets[answers.findIndex(({ status }) => status === 200)] ?? { secret: '' }
    expect((await logIn(patron.username, codeOf(secret, 1))).status).toBe(201)
    expect((await shown(patron)).body.recoveryCodesLeft).toBe(10)
  })

  test('is confirmed once, of twenty with the same code', async () => {
    const patron = await aNewcomer()
    const { secret } = await begin(patron)
    const answers = await Promise.all(Array.from({ length: 20 }, () => confirm(patron, codeOf(secret))))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect((await shown(patron)).body.recoveryCodesLeft).toBe(10)
  })

  test('ends the other sessions, which have shown nothing, and keeps the one that confirms', async () => {
    const patron = await aNewcomer()
    const other = await logIn(patron.username)
    const { secret } = await begin(patron)
    expect((await me(other.body.accessToken)).status).toBe(200)
    await confirm(patron, codeOf(secret))
    expect(problemOf(await me(other.body.accessToken))).toBe('session-ended')
    expect((await me(patron.token)).status).toBe(200)
    const refreshed = await ask('POST', '/v1/sessions/refresh', { body: { refreshToken: other.body.refreshToken } })
    expect(said(refreshed)).toEqual([401, 'refresh-token-invalid'])
  })

  test('names what is wrong', async () => {
    const patron = await aNewcomer()
    expect(said(await confirm(patron, '123456'))).toEqual([409, 'second-factor-not-begun'])
    const { secret } = await begin(patron)
    const wrong = String((Number(codeOf(secret)) + 1) % 1_000_000).padStart(6, '0')
    expect(said(await confirm(patron, wrong))).toEqual([403, 'wrong-code'])
    for (const code of ['', '12345', '1234567', 'abcdef', '１２３４５６', '12345 ', 123456, null, undefined]) {
      const answer = await ask('PUT', `${PATH}/confirmation`, { token: patron.token, body: { code } })
      expect(said(answer), String(code)).toEqual([422, 'invalid-input'])
    }
    await confirm(patron, codeOf(secret))
    expect(said(await confirm(patron, codeOf(secret, 1)))).toEqual([409, 'second-factor-not-begun'])
    expect(said(await ask('POST', PATH, { token: patron.token }))).toEqual([409, 'second-factor-active'])
  })

  test.each([
    ['POST', PATH, undefined],
    ['DELETE', PATH, undefined],
    ['PUT', `${PATH}/confirmation`, { code: '123456' }],
    ['POST', `${PATH}/recovery-codes`, undefined],
  ])('%s %s needs a fresh login, and changes nothing without', async (method, path, body) => {
    const patron = await somebody()
    await age(patron.sessionId)
    const answer = await ask(method, path, { token: patron.token, ...(body && { body }) })
    expect(said(answer)).toEqual([403, 'fresh-login-required'])
    expect((await shown(patron)).body).toMatchObject({ confirmedAt: expect.any(String), recoveryCodesLeft: 10 })
  })
})

describe('a login', () => {
  test('needs a code, and tells so only to whoever knows the password', async () => {
    const { username } = await somebody()
    expect(said(await logIn(username))).toEqual([401, 'second-factor-required'])
    const wrong = [
      await logIn(username, undefined, { password: 'a wrong password' }),
      await logIn(username, '123456', { password: 'a wrong password' }),
      await logIn('nobody.of.that.name', '123456'),
    ]
    for (const answer of wrong) expect(said(answer)).toEqual([401, 'wrong-credentials'])
    const bodies = wrong.map(({ body }) => JSON.stringify({ ...(body as object), instance: '' }))
    expect(new Set(bodies).size).toBe(1)
  })

  test('with a wrong password spends no code', async () => {
    const { username, secret, recoveryCodes } = await somebody()
    await logIn(username, codeOf(secret), { password: 'a wrong password' })
    await logIn(username, recoveryCodes[0], { password: 'a wrong password' })
    expect((await logIn(username, codeOf(secret))).status).toBe(201)
    expect((await logIn(username, recoveryCodes[0])).status).toBe(201)
  })

  test.each([
    [-2, 403],
    [-1, 201],
    [0, 201],
    [1, 201],
    [2, 403],
  ])('with the code of %i periods from now is answered %i', async (periods, status) => {
    const { id, username, secret } = await somebody()
    // As if it had been confirmed long ago.
    await database`update second_factors set last_step = 0 where user_id = ${id}`
    const answer = await logIn(username, codeOf(secret, periods))
    expect(answer.status, answer.text).toBe(status)
    if (status === 403) expect(problemOf(answer)).toBe('wrong-code')
  })

  test('takes a code once, and none from before the last', async () => {
    const { username, secret } = await somebody()
    expect(said(await logIn(username, codeOf(secret, -1)))).toEqual([403, 'wrong-code'])
    expect((await logIn(username, codeOf(secret, 1))).status).toBe(201)
    expect(said(await logIn(username, codeOf(secret, 1)))).toEqual([403, 'wrong-code'])
    expect(said(await logIn(username, codeOf(secret, 0)))).toEqual([403, 'wrong-code'])
    vi.setSystemTime(Date.now() + 2 * PERIOD_MS)
    expect((await logIn(username, codeOf(secret))).status).toBe(201)
  })

  test('of ten at once with one code, one opens a session', async () => {
    const { id, username, secret } = await somebody()
    const answers = await Promise.all(Array.from({ length: 10 }, () => logIn(username, codeOf(secret))))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(403)])
    expect(await database`select from sessions where user_id = ${id}`).toHaveLength(2)
  })

  test('takes the digits in groups, as apps show them', async () => {
    const { username, secret } = await somebody()
    expect((await logIn(username, codeOf(secret).replace(/^(...)/, '$1 '))).status).toBe(201)
  })

  test('without a second factor does not look at a code', async () => {
    const { username } = await aNewcomer()
    expect((await logIn(username, '123456')).status).toBe(201)
  })

  test.each(['', '1234', '12345é', 'x'.repeat(41), '123456\n', '123456;--', 123456])(
    'refuses %o as no code at all',
    async (code) => {
      const answer = await ask('POST', '/v1/sessions', { body: { username: 'ada', password: PASSWORD, code } })
      expect(said(answer)).toEqual([422, 'invalid-input'])
    },
  )

  test('keeps what it has shown when it is refreshed', async () => {
    const { id, username, secret } = await somebody()
    const { body } = await logIn(username, codeOf(secret))
    await ask('POST', '/v1/sessions/refresh', { body: { refreshToken: body.refreshToken } })
    const rows = await database`select second_factor_at from sessions where user_id = ${id}`
    expect(rows).toHaveLength(2)
    expect(rows.filter((row) => row['second_factor_at'] === null)).toEqual([])
  })

  test('wrong codes are throttled like wrong passwords, and then the right one is not looked at', async () => {
    const { username, secret, recoveryCodes } = await somebody()
    const from = '198.51.100.77'
    const wrong = [codeOf(secret, 5), codeOf(secret, -1), recoveryCodes[0]?.replace(/^./, '-'), undefined, '000000']
    const problems: unknown[] = []
    for (const code of wrong) problems.push(problemOf(await logIn(username, code, { from })))
    expect(problems).toEqual(['wrong-code', 'wrong-code', 'wrong-code', 'second-factor-required', 'wrong-code'])
    // The wait after the fifth is a second; as if it were longer.
    const key = await keyedHash(configOf(env), 'login', username, from)
    const hex = Array.from(key, (byte) => byte.toString(16).padStart(2, '0')).join('')
    const waiting = await database`
      update attempts set wait_until = wait_until + interval '1 hour'
      where key_hash = decode(${hex}, 'hex') and failures = 5 returning failures`
    expect(waiting).toHaveLength(1)
    const answer = await logIn(username, codeOf(secret), { from })
    expect(said(answer)).toEqual([429, 'too-many-attempts'])
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    // It was not spent either.
    expect((await logIn(username, codeOf(secret))).status).toBe(201)
  })

  test('of a hundred at once with guessed codes from everywhere, ten are compared', async () => {
    const { username } = await somebody()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => logIn(username, String(n).padStart(6, '0'))),
    )
    const compared = answers.filter(({ status }) => status === 403).length
    // An eleventh may come after the first wait, which is a second.
    expect(compared).toBeGreaterThanOrEqual(10)
    expect(compared).toBeLessThanOrEqual(13)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(100 - compared)
  })

  test('that knew the password and not the code can be told from one that knew neither', async () => {
    const { username, secret, token } = await somebody()
    await logIn(username, undefined, { password: 'a wrong password' })
    await logIn(username)
    await logIn(username, '000000')
    await logIn(username, codeOf(secret, -1))
    await logIn(username, 'AAAA-AAAA')
    await logIn(username, codeOf(secret))
    expect((await kindsOf({ token })).slice(0, 6)).toEqual([
      'login-from-new-address',
      'login-without-code',
      'login-without-code',
      'login-without-code',
      'login-without-code',
      'login-failed',
    ])
  })
})

describe('recovery codes', () => {
  test('are good once each, are counted, and need no app', async () => {
    const { username, token, recoveryCodes } = await somebody()
    for (const [n, code] of recoveryCodes.entries()) {
      expect((await logIn(username, code)).status).toBe(201)
      expect((await shown({ token })).body.recoveryCodesLeft).toBe(9 - n)
      if (n === 0) expect(said(await logIn(username, code))).toEqual([403, 'wrong-code'])
    }
  })

  test('of ten at once with one of them, one opens a session', async () => {
    const { username, token, recoveryCodes } = await somebody()
    const answers = await Promise.all(Array.from({ length: 10 }, () => logIn(username, recoveryCodes[3])))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(403)])
    expect((await shown({ token })).body.recoveryCodesLeft).toBe(9)
  })

  test('are read in any spelling', async () => {
    const { username, recoveryCodes } = await somebody()
    const [lower = '', bare = '', spaced = '', look = ''] = recoveryCodes
    const spellings = [
      lower.toLowerCase(),
      bare.replaceAll('-', ''),
      ` ${spaced.replaceAll('-', ' ')} `,
      look.replaceAll('O', '0').replaceAll('I', '1').replaceAll('B', '8'),
    ]
    for (const code of spellings) expect((await logIn(username, code)).status, code).toBe(201)
  })

  test('of others are good for nothing', async () => {
    const [one, other] = await Promise.all([somebody(), somebody()])
    expect(said(await logIn(one.username, other.recoveryCodes[0]))).toEqual([403, 'wrong-code'])
    expect(said(await logIn(one.username, codeOf(other.secret)))).toEqual([403, 'wrong-code'])
  })

  test('are replaced by new ones, and only where there is a second factor', async () => {
    const none = await aNewcomer()
    const replace = ({ token }: Asking) => ask<{ recoveryCodes: string[] }>('POST', `${PATH}/recovery-codes`, { token })
    expect(said(await replace(none))).toEqual([409, 'second-factor-not-begun'])
    await begin(none)
    expect(said(await replace(none))).toEqual([409, 'second-factor-not-begun'])

    const { username, token, recoveryCodes } = await somebody()
    expect((await logIn(username, recoveryCodes[0])).status).toBe(201)
    const replaced = await replace({ token })
    expect(replaced.status).toBe(201)
    expect((await shown({ token })).body.recoveryCodesLeft).toBe(10)
    expect(said(await logIn(username, recoveryCodes[1]))).toEqual([403, 'wrong-code'])
    expect((await logIn(username, replaced.body.recoveryCodes[1])).status).toBe(201)
  })

  test('are ten, when they are replaced ten times at once', async () => {
    const { token } = await somebody()
    await Promise.all(Array.from({ length: 10 }, () => ask('POST', `${PATH}/recovery-codes`, { token })))
    expect((await shown({ token })).body.recoveryCodesLeft).toBe(10)
  })
})

describe('removal', () => {
  const remove = ({ token }: Asking) => ask('DELETE', PATH, { token })

  test('lets the password alone be enough, keeps the sessions, and ends the recovery codes', async () => {
    const { id, username, token, secret, recoveryCodes } = await somebody()
    const other = (await logIn(username, codeOf(secret))).body
    expect((await remove({ token })).status).toBe(204)
    expect((await shown({ token })).body).toEqual({ confirmedAt: null, recoveryCodesLeft: 0 })
    expect((await me(other.accessToken)).status).toBe(200)
    expect((await logIn(username)).status).toBe(201)
    expect(said(await remove({ token }))).toEqual([409, 'second-factor-not-begun'])
    // No session passes for one that has shown what there is no more.
    expect(await database`select from sessions where user_id = ${id} and second_factor_at is not null`).toEqual([])

    const again = await begin({ token })
    await confirm({ token }, codeOf(again.secret, -1))
    expect(said(await logIn(username, recoveryCodes[0]))).toEqual([403, 'wrong-code'])
    expect(said(await logIn(username, codeOf(secret, 1)))).toEqual([403, 'wrong-code'])
    expect((await logIn(username, codeOf(again.secret))).status).toBe(201)
  })

  test('of one that was begun is nothing to tell of', async () => {
    const patron = await aNewcomer()
    await begin(patron)
    expect((await remove(patron)).status).toBe(204)
    expect(await kindsOf(patron)).toEqual(['login'])
  })
})

test('what is done to a second factor is noted and told by mail', async () => {
  const patron = await aNewcomer()
  await confirmEmail(patron.email)
  const { secret } = await begin(patron)
  const { body } = await confirm(patron, codeOf(secret))
  await ask('POST', `${PATH}/recovery-codes`, { token: patron.token })
  await ask('DELETE', PATH, { token: patron.token })
  expect((await kindsOf(patron)).slice(0, 3)).toEqual([
    'second-factor-removed',
    'recovery-codes-replaced',
    'second-factor-added',
  ])
  const mails = [
    await awaitMail(patron.email, /^A second factor was added$/),
    await awaitMail(patron.email, /^Your recovery codes were replaced$/),
    await awaitMail(patron.email, /^The second factor was removed$/),
  ]
  for (const { text } of mails) {
    for (const hidden of [secret, codeOf(secret), ...body.recoveryCodes]) expect(text).not.toContain(hidden)
    expect(text).toContain('If that was not you')
  }
})

test('a password that is set by mail leaves it as it is', async () => {
  const patron = await aNewcomer()
  await confirmEmail(patron.email)
  const { secret } = await begin(patron)
  await confirm(patron, codeOf(secret, -1))
  await ask('POST', '/v1/auth/password-reset-requests', { body: { email: patron.email } })
  const token = tokenIn(await awaitMail(patron.email, /^Set a new/))
  const newPassword = 'eight loud herons fly'
  expect((await ask('POST', '/v1/auth/password-resets', { body: { token, newPassword } })).status).toBe(204)
  const without = await logIn(patron.username, undefined, { password: newPassword })
  expect(said(without)).toEqual([401, 'second-factor-required'])
  expect((await logIn(patron.username, codeOf(secret), { password: newPassword })).status).toBe(201)
})

test('neither the secret nor a recovery code can be read in the database', async () => {
  const { secret, recoveryCodes } = await somebody()
  const pending = await begin(await aNewcomer())
  const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  const forms = [secret, pending.secret].flatMap((text) => {
    const bytes = base32nopad.decode(text)
    const base64 = btoa(String.fromCharCode(...bytes))
    return [text, text.toLowerCase(), hex(bytes), base64.slice(0, 26), hex(new TextEncoder().encode(text))]
  })
  const codes = recoveryCodes.flatMap((code) => [code, code.replaceAll('-', '')])
  const tables = await database`
    select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`
  expect(tables.length).toBeGreaterThan(20)
  for (const { relname } of tables) {
    const rows = await database.query(`select t::text as row from ${String(relname)} t`)
    const all = rows.map((row) => String(row['row'])).join('\n')
    for (const form of [...forms, ...codes]) expect(all.includes(form), `${String(relname)}: ${form}`).toBe(false)
  }
})

describe('a second factor that is added while a login is under way', () => {
  test('is asked for, when the password was compared before it was there', async () => {
    const patron = await aNewcomer()
    const { secret } = await begin(patron)
    // Sealing the message to the owner stands between the two round trips of a login.
    const encrypt = crypto.subtle.encrypt.bind(crypto.subtle)
    const spy = vi.spyOn(crypto.subtle, 'encrypt').mockImplementationOnce(async (...given) => {
      expect((await confirm(patron, codeOf(secret))).status).toBe(200)
      return encrypt(...given)
    })
    const answer = await logIn(patron.username)
    spy.mockRestore()
    expect(said(answer)).toEqual([401, 'second-factor-required'])
  })

  const nap = { function: 'log_in', replace: 'is_new := exists', by: 'perform pg_sleep(2);\n  is_new := exists' }
  const unlocked = {
    function: 'confirm_second_factor',
    replace: 'perform from users where id = p_user_id for no key update;',
    by: '',
  }

  /** How many sessions without a second factor there are, when a login was in the middle of opening one. */
  async function meet(apart: Awaited<ReturnType<typeof aLibraryApart>>) {
    const patron = await apart.aNewcomer()
    const { secret } = await begin(patron, apart)
    const login = logIn(patron.username, undefined, { at: apart })
    const asleep = () =>
      apart.database`select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`
    await expect.poll(asleep, { timeout: 10_000, interval: 20 }).toHaveLength(1)
    expect((await confirm(patron, codeOf(secret), apart)).status).toBe(200)
    await login
    const left = await apart.database`
      select from sessions where user_id = ${patron.id} and second_factor_at is null`
    await apart.drop()
    return left.length
  }

  test('ends the session that the login was opening', async () => {
    expect(await meet(await aLibraryApart({ edits: [nap] }))).toBe(0)
  })

  test('and a library that does not lock the account is found out', async () => {
    expect(await meet(await aLibraryApart({ edits: [nap, unlocked] }))).toBe(1)
  })
})

test('logins, new recovery codes and removals at once leave an account that is one thing or the other', async () => {
  const { id, username, token, secret, recoveryCodes } = await somebody()
  const answers = await Promise.all([
    ...recoveryCodes.slice(0, 4).map((code) => logIn(username, code)),
    logIn(username, codeOf(secret)),
    ask('POST', `${PATH}/recovery-codes`, { token }),
    ask('POST', `${PATH}/recovery-codes`, { token }),
    ask('DELETE', PATH, { token }),
  ])
  for (const answer of answers) expect([201, 204, 403, 409], answer.text).toContain(answer.status)
  expect(await database`select from second_factors where user_id = ${id}`).toEqual([])
  expect(await database`select from recovery_codes where user_id = ${id}`).toEqual([])
})
