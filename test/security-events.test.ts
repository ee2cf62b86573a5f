import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'
import { configOf } from '../src/config.ts'
import type { SecurityEvent } from '../src/features/security-events/schema.ts'
import type { Tokens } from '../src/features/sessions/schema.ts'
import { runTasks } from '../src/scheduled.ts'
import { aMemberOfStaff, aNewcomer, ask, database, logIn, PASSWORD, type Person, problemOf } from './support/library.ts'
import { awaitMail, confirm, tokenIn } from './support/mail.ts'
import { codeOf } from './support/second-factor.ts'

/** What people can read of their account: everything that could tell them of somebody else in it. */

const PATH = '/v1/users/me/security-events'
type Page = { items: SecurityEvent[]; next: string | null }

const list = async ({ token }: { token: string }, query = '') => {
  const answer = await ask<Page>('GET', PATH + query, { token })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}
const kindsOf = async (person: { token: string }) => (await list(person)).items.map(({ kind }) => kind)

const NEW_PASSWORD = 'eight loud herons fly'

test('logins stand there with their sessions, newest first, and failed ones too', async () => {
  const patron = await aNewcomer()
  const from = { headers: { 'cf-connecting-ip': '192.0.2.60' } }
  await ask('POST', '/v1/sessions', { body: { username: patron.username, password: 'a wrong password' }, ...from })
  const body = { username: patron.username, password: PASSWORD }
  const away = await ask<Tokens>('POST', '/v1/sessions', { body, ...from })
  const again = await ask<Tokens>('POST', '/v1/sessions', { body, ...from })
  const { items, next } = await list(patron)
  expect(items.map(({ kind, sessionId }) => [kind, sessionId])).toEqual([
    ['login', again.body.sessionId],
    ['login-from-new-address', away.body.sessionId],
    ['login-failed', null],
    ['login', patron.sessionId],
  ])
  expect(next).toBeNull()
  for (const { at } of items) expect(Math.abs(Date.parse(at) - Date.now())).toBeLessThan(60_000)
})

test('what is refused for having been tried too often adds nothing', async () => {
  const patron = await aNewcomer()
  const answers = await Promise.all(
    Array.from({ length: 60 }, () =>
      ask('POST', '/v1/sessions', { body: { username: patron.username, password: 'a wrong password' } }),
    ),
  )
  const compared = answers.filter(({ status }) => status === 401).length
  expect(answers.filter((answer) => problemOf(answer) === 'too-many-attempts')).toHaveLength(60 - compared)
  expect((await list(patron, '?limit=100')).items.filter(({ kind }) => kind === 'login-failed')).toHaveLength(compared)
})

test('what ends a session stands there, but not that one logged out', async () => {
  const patron = await aNewcomer()
  const [ended, left, stolen] = [
    await logIn(patron.username),
    await logIn(patron.username),
    await logIn(patron.username),
  ]
  await ask('DELETE', `/v1/sessions/${ended.sessionId}`, { token: patron.token })
  await ask('DELETE', '/v1/sessions/current', { token: left.token })
  await ask('POST', '/v1/sessions/refresh', { body: { refreshToken: stolen.refreshToken } })
  await database`
    update refresh_tokens set spent_at = now() - interval '1 minute'
    where session_id = ${stolen.sessionId} and spent_at is not null`
  const reused = await ask('POST', '/v1/sessions/refresh', { body: { refreshToken: stolen.refreshToken } })
  expect(problemOf(reused)).toBe('refresh-token-reused')
  const { items } = await list(patron)
  expect(items.slice(0, 3).map(({ kind, sessionId }) => [kind, sessionId])).toEqual([
    ['refresh-token-reused', stolen.sessionId],
    ['session-ended', ended.sessionId],
    ['login-from-new-address', stolen.sessionId],
  ])
})

test('what staff do to an account stands there, once a change', async () => {
  const [staff, patron] = await Promise.all([aMemberOfStaff(), aNewcomer()])
  const to = (method: string, path: string, body?: object) =>
    ask(method, `/v1/users/${patron.id}${path}`, { token: staff.token, ...(body && { body }) })
  await to('PATCH', '', { role: 'staff' })
  await to('PATCH', '', { role: 'staff' })
  await to('PATCH', '', { role: 'patron' })
  await to('PATCH', '', { name: 'Ada' })
  await to('PUT', '/suspension', { reason: 'a test' })
  await to('PUT', '/suspension', { reason: 'another reason' })
  await to('DELETE', '/suspension')
  await to('DELETE', '/suspension')
  const again = await logIn(patron.username)
  expect((await kindsOf(again)).slice(1)).toEqual([
    'account-reinstated',
    'account-suspended',
    'role-changed',
    'role-changed',
    'login',
  ])
})

test('what protects an account, and every change of it, stands there', async () => {
  const patron = await aNewcomer()
  await confirm(patron.email)
  const { token } = patron
  const next = `n${crypto.randomUUID().slice(0, 12)}@mail.test`
  await ask('PUT', '/v1/users/me/email', { token, body: { email: next } })
  await confirm(next)
  const change = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
  expect((await ask('PUT', '/v1/users/me/password', { token, body: change })).status).toBe(204)
  const begun = await ask<{ secret: string }>('POST', '/v1/users/me/second-factor', { token })
  const code = codeOf(begun.body.secret)
  await ask('PUT', '/v1/users/me/second-factor/confirmation', { token, body: { code } })
  await ask('POST', '/v1/users/me/second-factor/recovery-codes', { token })
  await ask('DELETE', '/v1/users/me/second-factor', { token })
  const { items } = await list(patron)
  expect(items.map(({ kind }) => kind)).toEqual([
    'second-factor-removed',
    'recovery-codes-replaced',
    'second-factor-added',
    'password-changed',
    'email-changed',
    'email-change-asked',
    'email-changed',
    'login',
  ])
  expect(items.slice(0, 4).map(({ sessionId }) => sessionId)).toEqual(Array(4).fill(patron.sessionId))

  await ask('POST', '/v1/auth/password-reset-requests', { body: { email: next } })
  const reset = { token: tokenIn(await awaitMail(next, /^Set a new/)), newPassword: 'nine calm herons sleep' }
  expect((await ask('POST', '/v1/auth/password-resets', { body: reset })).status).toBe(204)
  const again = await logIn(patron.username, reset.newPassword)
  expect((await kindsOf(again)).slice(1, 3)).toEqual(['password-reset', 'password-reset-asked'])
})

test('is read in pages, each event once, and only by whom it is about', async () => {
  const [patron, other]: Person[] = await Promise.all([aNewcomer(), aNewcomer()])
  if (patron === undefined || other === undefined) throw new Error('nobody was made')
  await database`
    insert into security_events (user_id, kind) select ${patron.id}, 'login-failed' from generate_series(1, 24)`
  const pages: Page[] = [await list(patron, '?limit=10')]
  for (let next = pages[0]?.next; next; next = pages.at(-1)?.next) {
    pages.push((await ask<Page>('GET', next, { token: patron.token })).body)
  }
  expect(pages.map(({ items }) => items.length)).toEqual([10, 10, 5])
  const ids = pages.flatMap(({ items }) => items.map(({ id }) => id))
  expect(new Set(ids).size).toBe(25)
  expect(ids).toEqual(ids.toSorted().toReversed())
  expect((await list(other)).items.map(({ id }) => id).filter((id) => ids.includes(id))).toEqual([])
  for (const query of ['?limit=0', '?limit=101', '?cursor=x', `?userId=${other.id}`, '?cursor=IngI']) {
    expect((await ask('GET', PATH + query, { token: patron.token })).status, query).toBe(422)
  }
})

test('is kept for a year', async () => {
  const patron = await aNewcomer()
  await database`
    insert into security_events (user_id, kind, occurred_at)
    values (${patron.id}, 'login-failed', now() - interval '366 days'), (${patron.id}, 'login', now() - interval '364 days')`
  await runTasks(configOf(env))
  expect(await kindsOf(patron)).toEqual(['login', 'login'])
})
