import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { app } from '../src/app.ts'
import type { PasswordVerdict } from '../src/features/auth/schema.ts'
import { passwordFaults } from '../src/features/users/password-faults.ts'
import { BREACHED_PASSWORD, type RangeBehaviour, type RangeRequest } from './support/commands.ts'
import { type Answer, aPatron, ask, type Library, libraryOf, PASSWORD, problemOf } from './support/library.ts'
import { withEnvironment } from './support/send.ts'

/** Which passwords are refused, for which reasons, and what leaves the library to find that out. */

const NEW_PASSWORD = 'eleven otters cross the weir'

/** How long a request may take, whatever happens. */
const REQUEST_MS_MAX = 10_000

const aName = () => `u${crypto.randomUUID().slice(0, 13).replace('-', '')}`

const check = (body: object, library: Pick<Library, 'ask'> = { ask }) =>
  library.ask<PasswordVerdict>('POST', '/v1/auth/password-check', { body })

const reasonsOf = ({ body }: Answer<PasswordVerdict>) => body.faults.map(({ reason }) => reason)

const errorsOf = (answer: Answer) =>
  (answer.body as { errors?: { in: string; pointer: string; detail: string }[] } | null)?.errors ?? []

const register = (password: string, { ask: call }: Pick<Library, 'ask'> = { ask }) => {
  const username = aName()
  return call('POST', '/v1/users', { body: { username, email: `${username}@mail.test`, password } })
}

const logged: Record<string, unknown>[] = []
beforeEach(() => {
  logged.length = 0
  vi.spyOn(console, 'log').mockImplementation(
    (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>),
  )
})
afterEach(() => void vi.restoreAllMocks())

describe('a password check', () => {
  test.each([
    ['seven quiet herons wade', []],
    ['qu7xk9mz3vbt', []],
    ['pässwörter über alles', []],
    ['日本語で書いた長い合言葉です', []],
    ['eleven char', ['too-short']],
    [`${'qu7xk'.repeat(25)} and more`, ['too-long']],
    ['Password1234', ['common']],
    ['CorrectHorseBatteryStaple', ['common']],
    ['abbacddcaabbdcab', ['few-characters']],
    ['horsehorsehorse', ['repeated-word']],
    ['abcdefghijklmnop1', ['run']],
    ['poiuytrewqlkjhgfdsa', ['run']],
    ['ada.lovelace12', ['personal']],
    ['ADA@analytical.test!!', ['personal']],
    ['aaaaaaaaaaaaaaaa', ['few-characters', 'repeated-word']],
    ['a', ['too-short', 'few-characters']],
    ['ada.lovelace'.repeat(12), ['too-long']],
    ['123456789012', ['common', 'run']],
  ])('of %s finds %j, and nothing else', async (password, reasons) => {
    const answer = await check({ password, username: 'ada.lovelace', email: 'ada@analytical.test' })
    expect(answer.status, answer.text).toBe(200)
    expect(reasonsOf(answer)).toEqual(reasons)
    expect(answer.body.acceptable).toBe(reasons.length === 0)
    expect(answer.body.faults.map(({ detail }) => detail)).toEqual(
      reasons.map((reason) => passwordFaults[reason as keyof typeof passwordFaults]),
    )
    expect(answer.body.advice).toMatch(/12 to 128 characters/)
  })

  test.each(['Password1234', 'aaaaaaaaaaaaaaaa', '123456789012', NEW_PASSWORD])(
    'of %s says what registering and changing say',
    async (password) => {
      const [verdict, registered, { token }] = [await check({ password }), await register(password), await aPatron()]
      const body = { currentPassword: PASSWORD, newPassword: password }
      const changed = await ask('PUT', '/v1/users/me/password', { token, body })
      expect([registered.status < 300, changed.status < 300]).toEqual(Array(2).fill(verdict.body.acceptable))
      const details = verdict.body.faults.map(({ detail }) => detail)
      const at = (pointer: string) => details.map((detail) => ({ in: 'body', pointer, detail }))
      expect(errorsOf(registered)).toEqual(at('/password'))
      expect(errorsOf(changed)).toEqual(at('/newPassword'))
      for (const refused of [registered, changed].filter(({ status }) => status === 422)) {
        expect((refused.body as { detail: string }).detail).toBe(verdict.body.advice)
      }
    },
  )

  test('knows no account: a name that is taken and one that is not get the same answer', async () => {
    const { username, email } = await aPatron()
    const password = 'seven quiet herons wade'
    const taken = await check({ password, username, email })
    const free = await check({ password, username: aName(), email: 'nobody@mail.test' })
    expect([taken.status, taken.text]).toEqual([free.status, free.text])
  })

  test('keeps its question to itself: nothing of it is in the log, and it is not stored', async () => {
    const answer = await check({ password: 'a canary sings 4711', username: 'canary.4711', email: 'c4711@mail.test' })
    expect(answer.headers.get('cache-control')).toBe('no-store')
    // Mail of others may be under way.
    expect(logged.filter(({ event }) => event !== 'mail')).toHaveLength(1)
    expect(JSON.stringify(logged)).not.toMatch(/canary|4711/)
    expect(answer.text).not.toMatch(/canary|4711/)
  })

  test.each([
    [{}, '/password'],
    [{ password: '' }, '/password'],
    [{ password: 'x'.repeat(1_025) }, '/password'],
    [{ password: 'seven quiet \0 herons' }, '/password'],
    [{ password: 'seven quiet herons \ud800' }, '/password'],
    [{ password: 7 }, '/password'],
    [{ password: PASSWORD, username: 'x' }, '/username'],
    [{ password: PASSWORD, email: 'x' }, '/email'],
    [{ password: PASSWORD, role: 'staff' }, '/role'],
  ])('of %j is refused', async (body, pointer) => {
    const answer = await check(body)
    expect([answer.status, problemOf(answer), errorsOf(answer)[0]?.pointer]).toEqual([422, 'invalid-input', pointer])
  })
})

/** A library that asks the stand-in, which answers in this way, and what the stand-in was sent. */
function asking(behaviour: RangeBehaviour) {
  const run = crypto.randomUUID()
  const environment = withEnvironment({ BREACHED_PASSWORDS: `${env.RANGE_API}${run}/${behaviour}/range/` })
  return {
    run,
    ...libraryOf({ env, fetch: (request) => app.fetch(request, environment, createExecutionContext()) }),
    seen: async () => (await fetch(`${env.RANGE_API}${run}/seen`)).json<RangeRequest[]>(),
  }
}

const sha1Of = async (text: string) =>
  Array.from(new Uint8Array(await crypto.subtle.digest('SHA-1', new TextEncoder().encode(text))), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')

const away = () => logged.filter(({ event }) => event === 'breached_passwords_away').map(({ error }) => error)

describe('a password that is known from stolen data', () => {
  test.each(['hit', 'padded-hit'] as const)('is refused by all three that look at it (%s)', async (behaviour) => {
    const library = asking(behaviour)
    const detail = passwordFaults.breached
    const registered = await register(BREACHED_PASSWORD, library)
    expect([registered.status, errorsOf(registered)]).toEqual([422, [{ in: 'body', pointer: '/password', detail }]])
    const { token, username } = await aPatron()
    const body = { currentPassword: PASSWORD, newPassword: BREACHED_PASSWORD }
    const changed = await library.ask('PUT', '/v1/users/me/password', { token, body })
    expect([changed.status, errorsOf(changed)]).toEqual([422, [{ in: 'body', pointer: '/newPassword', detail }]])
    expect((await ask('POST', '/v1/sessions', { body: { username, password: PASSWORD } })).status).toBe(201)
    const verdict = await check({ password: BREACHED_PASSWORD }, library)
    expect([verdict.status, verdict.body.faults]).toEqual([200, [{ reason: 'breached', detail }]])
    expect(away()).toEqual([])
  })

  test('is found however its letters were composed', async () => {
    const composed = 'crème brûlée at the quay'
    const library = asking('hit')
    await check({ password: composed.normalize('NFD') }, library)
    const [{ url } = { url: '' }] = await library.seen()
    expect(url.slice(-5)).toBe((await sha1Of(composed.normalize('NFC'))).slice(0, 5).toUpperCase())
  })

  test.each(['miss', 'count-0'] as const)('is not any other, nor a row of padding (%s)', async (behaviour) => {
    const library = asking(behaviour)
    expect((await register(BREACHED_PASSWORD, library)).status).toBe(201)
    expect((await check({ password: BREACHED_PASSWORD }, library)).body.acceptable).toBe(true)
    expect([await library.seen(), away()]).toEqual([[expect.anything(), expect.anything()], []])
  })

  test('is still refused for what the library knows itself', async () => {
    expect(reasonsOf(await check({ password: 'Password1234' }, asking('miss')))).toEqual(['common'])
    expect(reasonsOf(await check({ password: 'Password1234' }, asking('error-500')))).toEqual(['common'])
  })

  test('may be used where nobody is asked, and nobody is asked unless it is set', async () => {
    const asked = vi.spyOn(globalThis, 'fetch')
    expect((await check({ password: BREACHED_PASSWORD })).body.acceptable).toBe(true)
    expect(asked).not.toHaveBeenCalled()
  })
})

describe('what leaves', () => {
  test('is five characters of a hash, and nothing else of the password or of whose it is', async () => {
    const library = asking('hit')
    await check({ password: BREACHED_PASSWORD, username: 'ada.lovelace', email: 'ada@analytical.test' }, library)
    const sha1 = (await sha1Of(BREACHED_PASSWORD)).toUpperCase()
    const seen = await library.seen()
    expect(seen).toEqual([
      { method: 'GET', url: `/${library.run}/hit/range/${sha1.slice(0, 5)}`, headers: expect.anything(), body: '' },
    ])
    // The runtime adds the name of the Worker's zone; the rest is ours.
    const { host: _, 'cf-worker': __, ...ours } = seen[0]?.headers ?? {}
    expect(ours).toEqual({ 'add-padding': 'true', 'user-agent': 'Lectern' })
    expect(JSON.stringify(seen)).not.toContain(sha1.slice(0, 6))
  })

  test('is nothing when the input is refused already', async () => {
    const library = asking('hit')
    await register('short', library)
    await library.ask('PUT', '/v1/users/me/password', { body: { currentPassword: 'x', newPassword: NEW_PASSWORD } })
    expect(await library.seen()).toEqual([])
  })
})

describe('whoever registers is not held up', () => {
  test.each([
    ['hang', 'TimeoutError'],
    ['hang-midway', 'TimeoutError'],
    ['error-500', 'Status'],
    ['redirect', 'Status'],
    ['garbage', 'Malformed'],
    ['garbage-after-hit', 'Malformed'],
    ['empty', 'Malformed'],
    ['huge', 'TooLarge'],
  ] as const)('when the answer is: %s', async (behaviour, error) => {
    const library = asking(behaviour)
    const before = Date.now()
    const answer = await register(BREACHED_PASSWORD, library)
    expect(answer.status, answer.text).toBe(201)
    expect(Date.now() - before).toBeLessThan(REQUEST_MS_MAX)
    expect(away()).toEqual([error])
    expect(await library.seen()).toHaveLength(1)
  })

  test('nor is whoever changes a password', async () => {
    const library = asking('hang')
    const [{ token }, before] = [await aPatron(), Date.now()]
    const body = { currentPassword: PASSWORD, newPassword: BREACHED_PASSWORD }
    expect((await library.ask('PUT', '/v1/users/me/password', { token, body })).status).toBe(204)
    expect(Date.now() - before).toBeLessThan(REQUEST_MS_MAX)
    expect(away()).toEqual(['TimeoutError'])
  })

  test('when nobody listens', async () => {
    const environment = withEnvironment({ BREACHED_PASSWORDS: 'http://127.0.0.1:9/range/' })
    const library = libraryOf({ env, fetch: (request) => app.fetch(request, environment, createExecutionContext()) })
    expect((await register(BREACHED_PASSWORD, library)).status).toBe(201)
    expect(away()).toHaveLength(1)
    expect(JSON.stringify(logged)).not.toMatch(/copper|lanterns|127\.0\.0\.1/)
  })
})
