import { env } from 'cloudflare:workers'
import { bytesToHex } from '@noble/hashes/utils.js'
import { base64urlnopad } from '@scure/base'
import { expect, test, vi } from 'vitest'
import { configOf } from '../src/config.ts'
import type { Session, Tokens } from '../src/features/sessions/schema.ts'
import { runTasks } from '../src/scheduled.ts'
import { aNewcomer, ask, database, logIn, PASSWORD, problemOf } from './support/library.ts'
import { confirm } from './support/mail.ts'

const tryToLogIn = (username: string, password = PASSWORD, more: object = {}, headers: Record<string, string> = {}) =>
  ask<Tokens>('POST', '/v1/sessions', { body: { username, password, ...more }, headers })

const refresh = ({ refreshToken }: { refreshToken: string }) =>
  ask<Tokens>('POST', '/v1/sessions/refresh', { body: { refreshToken } })

const me = (token: string) => ask('GET', '/v1/users/me', { token })

const list = async ({ token }: { token: string }) =>
  (await ask<{ items: Session[] }>('GET', '/v1/sessions', { token })).body.items

/** As if the session's spent refresh tokens had been spent so many seconds ago. */
const ageSpentTokens = ({ sessionId }: { sessionId: string }, seconds: number) =>
  database`
    update refresh_tokens set spent_at = now() - make_interval(secs => ${seconds})
    where session_id = ${sessionId} and spent_at is not null`

// Logging in

test('whoever logs in by username or email address in any case gets a pair for their account', async () => {
  const patron = await aNewcomer()
  await confirm(patron.email)
  const names = [patron.username, patron.username.toUpperCase(), patron.email, patron.email.toUpperCase()]
  for (const name of names) {
    const answer = await tryToLogIn(name)
    expect(answer.status, name).toBe(201)
    expect(answer.body.user).toEqual({ id: patron.id, role: 'patron' })
    expect((await me(answer.body.accessToken)).body).toMatchObject({ id: patron.id })
  }
})

test('an access token is good for ten minutes, and a session for ninety days', async () => {
  const before = Date.now()
  const patron = await aNewcomer()
  const { body } = await tryToLogIn(patron.username)
  const seconds = (Date.parse(body.expiresAt) - before) / 1000
  expect(seconds).toBeGreaterThan(590)
  expect(seconds).toBeLessThan(630)
  const [current] = (await list({ token: body.accessToken })).filter(({ isCurrent }) => isCurrent)
  const days = (Date.parse(current?.expiresAt ?? '') - before) / 86_400_000
  expect(Math.round(days)).toBe(90)
})

test('an answer with tokens is not to be stored', async () => {
  const patron = await aNewcomer()
  expect((await tryToLogIn(patron.username)).headers.get('cache-control')).toBe('no-store')
  expect((await refresh(patron)).headers.get('cache-control')).toBe('no-store')
})

test('an unknown account and a wrong password are answered alike to the byte, for the same work', async () => {
  const patron = await aNewcomer()
  const lines = vi.spyOn(console, 'log')
  const known = await tryToLogIn(patron.username, 'a wrong password')
  const unknown = await tryToLogIn('nobody.of.that.name', 'a wrong password')
  const byEmail = await tryToLogIn('nobody@mail.test', 'a wrong password')
  const logged = lines.mock.calls
    .map(([line]) => JSON.parse(String(line)) as Record<string, unknown>)
    .filter(({ event }) => event === 'request')
  lines.mockRestore()

  const anonymous = ({ status, headers, text, body }: typeof known) => {
    const { instance } = body as unknown as { instance: string }
    expect(headers.get('x-request-id')).toBe(instance)
    return {
      status,
      text: text.replaceAll(instance, 'instance'),
      headers: [...headers].filter(([name]) => !['x-request-id', 'date'].includes(name)),
    }
  }
  expect(problemOf(known)).toBe('wrong-credentials')
  expect(anonymous(known).status).toBe(401)
  expect(anonymous(unknown)).toEqual(anonymous(known))
  expect(anonymous(byEmail)).toEqual(anonymous(known))
  expect(logged.map(({ roundTrips, problem }) => [roundTrips, problem])).toEqual(
    Array(3).fill([1, 'wrong-credentials']),
  )
})

test.each([
  [{ username: '', password: PASSWORD }, ['/username']],
  [{ username: 'ada', password: '' }, ['/password']],
  [{ username: 'ada', password: 'x'.repeat(129) }, ['/password']],
  [{ username: 'x'.repeat(255), password: PASSWORD }, ['/username']],
  [{ username: 'a\0da', password: PASSWORD }, ['/username']],
  [{ username: 'ada', password: PASSWORD, role: 'staff' }, ['/role']],
  [{ username: 'ada', password: PASSWORD, deviceName: 'x'.repeat(81) }, ['/deviceName']],
  [{ username: ['ada'], password: { not: '' } }, ['/username', '/password']],
  [{}, ['/username', '/password']],
])('a login with %j is refused', async (body, pointers) => {
  const answer = await ask('POST', '/v1/sessions', { body })
  expect([answer.status, problemOf(answer)]).toEqual([422, 'invalid-input'])
  const { errors } = answer.body as { errors: { pointer: string }[] }
  expect(errors.map(({ pointer }) => pointer)).toEqual(pointers)
})

test('the login above twenty ends the session that was used least lately', async () => {
  const patron = await aNewcomer()
  const others = []
  for (let i = 0; i < 19; i++) others.push(await logIn(patron.username))
  expect((await me(patron.token)).status).toBe(200)
  await refresh(patron)
  const latest = await logIn(patron.username)
  expect((await me(patron.token)).status).toBe(200)
  expect(await Promise.all(others.map(async ({ token }) => problemOf(await me(token))))).toEqual([
    'session-ended',
    ...Array(18).fill(null),
  ])
  expect(await list(latest)).toHaveLength(20)
})

test('twenty-five logins, five at a time, leave twenty sessions', async () => {
  const patron = await aNewcomer()
  const headers = { 'cf-connecting-ip': '192.0.2.25' }
  for (let i = 0; i < 5; i++) {
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => tryToLogIn(patron.username, PASSWORD, {}, headers)),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(201))
  }
  expect(await database`select id from sessions where user_id = ${patron.id}`).toHaveLength(20)
})

// Refreshing

test('a refresh gives a new pair of the same session, and both its tokens work', async () => {
  const patron = await aNewcomer()
  const answer = await refresh(patron)
  expect(answer.status, answer.text).toBe(200)
  expect(answer.body.sessionId).toBe(patron.sessionId)
  expect(answer.body.refreshToken).not.toBe(patron.refreshToken)
  expect(answer.body.accessToken).not.toBe(patron.token)
  expect((await me(answer.body.accessToken)).status).toBe(200)
  const third = await refresh(answer.body)
  expect(third.status).toBe(200)
  expect(third.body.refreshToken).not.toBe(answer.body.refreshToken)
})

test('a refresh repeated within ten seconds gets exactly the same pair', async () => {
  const patron = await aNewcomer()
  const first = await refresh(patron)
  const second = await refresh(patron)
  expect(second.status).toBe(200)
  expect(second.text).toBe(first.text)
})

test('a hundred refreshes at once of one token give exactly one new pair, which works', async () => {
  const patron = await aNewcomer()
  const answers = await Promise.all(Array.from({ length: 100 }, () => refresh(patron)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
  expect(await database`select from refresh_tokens where session_id = ${patron.sessionId}`).toHaveLength(2)
  const [{ body }] = answers as [(typeof answers)[0]]
  expect((await me(body.accessToken)).status).toBe(200)
  expect((await refresh(body)).status).toBe(200)
})

test('a refresh token used again after ten seconds ends the session with the newest tokens too', async () => {
  const patron = await aNewcomer()
  const { body: newest } = await refresh(patron)
  await ageSpentTokens(patron, 10.1)
  const reused = await refresh(patron)
  expect([reused.status, problemOf(reused)]).toEqual([401, 'refresh-token-reused'])
  expect(problemOf(await me(newest.accessToken))).toBe('session-ended')
  expect(problemOf(await me(patron.token))).toBe('session-ended')
  const dead = await refresh(newest)
  expect([dead.status, problemOf(dead)]).toEqual([401, 'refresh-token-invalid'])
  expect(problemOf(await refresh(patron))).toBe('refresh-token-invalid')
})

test('a refresh token used again just before ten seconds have passed ends nothing', async () => {
  const patron = await aNewcomer()
  const { body: newest } = await refresh(patron)
  await ageSpentTokens(patron, 5)
  const again = await refresh(patron)
  expect([again.status, again.body.refreshToken]).toEqual([200, newest.refreshToken])
  expect((await me(newest.accessToken)).status).toBe(200)
})

test('the reuse of any spent token of a session ends it, however long ago it was spent', async () => {
  const patron = await aNewcomer()
  const { body: second } = await refresh(patron)
  const { body: third } = await refresh(second)
  await ageSpentTokens(patron, 13 * 86_400)
  expect(problemOf(await refresh(patron))).toBe('refresh-token-reused')
  expect(problemOf(await refresh(third))).toBe('refresh-token-invalid')
})

test('a reused token ends its own session and no other of the account', async () => {
  const patron = await aNewcomer()
  const other = await logIn(patron.username)
  await refresh(patron)
  await ageSpentTokens(patron, 11)
  await refresh(patron)
  expect((await me(other.token)).status).toBe(200)
  expect((await refresh(other)).status).toBe(200)
})

test.each([
  ['something else', 'garbage', 422],
  ['nothing', '', 422],
  ['a number', 7, 422],
  ['one too short', `lrt_${'A'.repeat(42)}`, 422],
  ['one too long', `lrt_${'A'.repeat(44)}`, 422],
  ['one that was never given', `lrt_${'A'.repeat(43)}`, 401],
])('a refresh token that is %s is refused', async (_what, refreshToken, status) => {
  const answer = await ask('POST', '/v1/sessions/refresh', { body: { refreshToken } })
  expect([answer.status, problemOf(answer)]).toEqual([
    status,
    status === 401 ? 'refresh-token-invalid' : 'invalid-input',
  ])
})

test('an access token is no refresh token, and a refresh token no access token', async () => {
  const patron = await aNewcomer()
  expect((await refresh({ refreshToken: patron.token })).status).toBe(422)
  expect(problemOf(await me(patron.refreshToken))).toBe('access-token-invalid')
})

test('a refresh token that has run out is refused, spent or not', async () => {
  const patron = await aNewcomer()
  const { body } = await refresh(patron)
  await database`update refresh_tokens set expires_at = now() where session_id = ${patron.sessionId}`
  for (const refreshToken of [patron.refreshToken, body.refreshToken]) {
    const answer = await refresh({ refreshToken })
    expect([answer.status, problemOf(answer)]).toEqual([401, 'refresh-token-invalid'])
  }
})

test('a session that has run out is over: for both tokens, and in the list', async () => {
  const patron = await aNewcomer()
  const other = await logIn(patron.username)
  await database`update sessions set expires_at = now() where id = ${patron.sessionId}`
  expect(problemOf(await me(patron.token))).toBe('session-ended')
  expect(problemOf(await refresh(patron))).toBe('refresh-token-invalid')
  expect((await list(other)).map(({ id }) => id)).toEqual([other.sessionId])
})

test('the database holds no refresh token, spent or not, in any spelling; only its SHA-256', async () => {
  const patron = await aNewcomer()
  const { body } = await refresh(patron)
  const rows = await database`
    select t::text || s::text || u::text as everything
    from refresh_tokens t
    join sessions s on s.id = t.session_id
    join users u on u.id = s.user_id
    where s.id = ${patron.sessionId}`
  expect(rows).toHaveLength(2)
  const everything = rows.map((row) => String(row['everything'])).join('\n')
  for (const token of [patron.refreshToken, body.refreshToken]) {
    const secret = base64urlnopad.decode(token.slice('lrt_'.length))
    const text = new TextEncoder().encode(token)
    expect(everything).not.toContain(token.slice('lrt_'.length))
    expect(everything).not.toContain(bytesToHex(secret))
    expect(everything).not.toContain(bytesToHex(text))
    expect(everything).toContain(bytesToHex(new Uint8Array(await crypto.subtle.digest('SHA-256', text))))
  }
})

// Sessions

test('everybody sees their own sessions, the last used first, and which of them asks', async () => {
  const [patron, stranger] = await Promise.all([aNewcomer(), aNewcomer()])
  const tablet = await tryToLogIn(patron.username, PASSWORD, { deviceName: 'Tablet in the kitchen' })
  await refresh(patron)
  const sessions = await list(patron)
  expect(sessions.map(({ id, deviceName, isCurrent }) => ({ id, deviceName, isCurrent }))).toEqual([
    { id: patron.sessionId, deviceName: null, isCurrent: true },
    { id: tablet.body.sessionId, deviceName: 'Tablet in the kitchen', isCurrent: false },
  ])
  expect((await list({ token: tablet.body.accessToken })).find(({ isCurrent }) => isCurrent)?.id).toBe(
    tablet.body.sessionId,
  )
  expect((await list(stranger)).map(({ id }) => id)).toEqual([stranger.sessionId])
})

test('an ended session is over at once, for both its tokens, and the others go on', async () => {
  const patron = await aNewcomer()
  const other = await logIn(patron.username)
  const answer = await ask('DELETE', `/v1/sessions/${other.sessionId}`, { token: patron.token })
  expect(answer.status, answer.text).toBe(204)
  const refused = await me(other.token)
  expect([refused.status, problemOf(refused)]).toEqual([401, 'session-ended'])
  expect(problemOf(await refresh(other))).toBe('refresh-token-invalid')
  expect((await list(patron)).map(({ id }) => id)).toEqual([patron.sessionId])
  const again = await ask('DELETE', `/v1/sessions/${other.sessionId}`, { token: patron.token })
  expect([again.status, problemOf(again)]).toEqual([404, 'session-not-found'])
})

test("nobody ends another's session, which is to them like one that is not there", async () => {
  const [patron, stranger] = await Promise.all([aNewcomer(), aNewcomer()])
  const theirs = await ask('DELETE', `/v1/sessions/${patron.sessionId}`, { token: stranger.token })
  expect([theirs.status, problemOf(theirs)]).toEqual([404, 'session-not-found'])
  expect((await me(patron.token)).status).toBe(200)
  const nobodys = await ask('DELETE', `/v1/sessions/${crypto.randomUUID()}`, { token: stranger.token })
  expect([nobodys.status, problemOf(nobodys)]).toEqual([404, 'session-not-found'])
  const malformed = await ask('DELETE', '/v1/sessions/not-an-id', { token: stranger.token })
  expect([malformed.status, problemOf(malformed)]).toEqual([404, 'not-found'])
})

test('whoever logs out is out at once, with both tokens, and on that device only', async () => {
  const patron = await aNewcomer()
  const other = await logIn(patron.username)
  const answer = await ask('DELETE', '/v1/sessions/current', { token: patron.token })
  expect(answer.status, answer.text).toBe(204)
  const refused = await me(patron.token)
  expect([refused.status, problemOf(refused)]).toEqual([401, 'session-ended'])
  expect(problemOf(await refresh(patron))).toBe('refresh-token-invalid')
  expect(problemOf(await ask('DELETE', '/v1/sessions/current', { token: patron.token }))).toBe('session-ended')
  expect((await me(other.token)).status).toBe(200)
})

// Clearing away

const aKey = () => bytesToHex(crypto.getRandomValues(new Uint8Array(32)))

const keepKey = (hash: string, age: string) =>
  database`
    insert into idempotency_keys (key_hash, fingerprint, created_at)
    values (decode(${hash}, 'hex'), '', now() - ${age}::interval)`

test('what has run out is cleared away with all that hangs on it, and nothing else', async () => {
  const [gone, kept] = await Promise.all([aNewcomer(), aNewcomer()])
  await Promise.all([refresh(gone), refresh(kept)])
  const [old, young] = [aKey(), aKey()]
  await keepKey(old, '24 hours 1 second')
  await keepKey(young, '23 hours 59 minutes')
  await database`update sessions set expires_at = now() where id = ${gone.sessionId}`
  await database`update sessions set expires_at = now() + interval '1 minute' where id = ${kept.sessionId}`

  await runTasks(configOf(env))

  const ids = [gone.sessionId, kept.sessionId]
  expect(await database`select id from sessions where id = any (${ids})`).toEqual([{ id: kept.sessionId }])
  expect(await database`select from refresh_tokens where session_id = ${gone.sessionId}`).toHaveLength(0)
  expect(await database`select from refresh_tokens where session_id = ${kept.sessionId}`).toHaveLength(2)
  expect(
    await database`
      select encode(key_hash, 'hex') as key from idempotency_keys
      where encode(key_hash, 'hex') = any (${[old, young]})`,
  ).toEqual([{ key: young }])
  expect(await database`select id from users where id = ${gone.id}`).toHaveLength(1)
})

test('two runs at once clear away more than a batch without getting in each other’s way', async () => {
  const patron = await aNewcomer()
  await database`
    insert into sessions (user_id, expires_at)
    select ${patron.id}::uuid, now() - interval '1 second' from generate_series(1, 1500)`
  await database`
    insert into idempotency_keys (key_hash, fingerprint, created_at)
    select sha256(convert_to(${patron.id} || n, 'utf8')), '', now() - interval '2 days' from generate_series(1, 1500) n`
  await Promise.all([runTasks(configOf(env)), runTasks(configOf(env))])
  expect(await database`select id from sessions where user_id = ${patron.id}`).toEqual([{ id: patron.sessionId }])
  expect(
    await database`select count(*)::integer as count from idempotency_keys where created_at < now() - interval '47 hours'`,
  ).toEqual([{ count: 0 }])
})
