import { env } from 'cloudflare:workers'
import { bytesToHex } from '@noble/hashes/utils.js'
import { expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { keyedHash } from '../src/keyed-hash.ts'
import { hashPassword, verifyPassword } from '../src/features/users/password.ts'
import type { Tokens } from '../src/features/sessions/schema.ts'
import type { User } from '../src/features/users/schema.ts'
import {
  type Answer,
  aMemberOfStaff,
  aNewcomer,
  ask,
  database,
  logIn,
  PASSWORD,
  type Person,
  problemOf,
  theStaff,
} from './support/library.ts'
import { confirm } from './support/mail.ts'

type Page = { items: User[]; next: string | null }

const NEW_PASSWORD = 'eleven otters cross the weir'

const aName = () => `u${crypto.randomUUID().slice(0, 13).replace('-', '')}`

function aRegistration(change: Record<string, unknown> = {}) {
  const username = aName()
  return { username, email: `${username}@mail.test`, password: PASSWORD, ...change }
}

const register = (body: object, headers: Record<string, string> = {}) =>
  ask<User>('POST', '/v1/users', { body, headers })

const tryToLogIn = (username: string, password = PASSWORD) =>
  ask<Tokens>('POST', '/v1/sessions', { body: { username, password } })

const me = ({ token }: { token: string }) => ask<User>('GET', '/v1/users/me', { token })

const refresh = ({ refreshToken }: { refreshToken: string }) =>
  ask<Tokens>('POST', '/v1/sessions/refresh', { body: { refreshToken } })

const errorsOf = (answer: Answer) =>
  (answer.body as { errors?: { in: string; pointer: string; detail: string }[] }).errors

async function storedHash({ id }: { id: string }): Promise<string> {
  const [row] = await database`select password_hash from users where id = ${id}`
  return String(row?.['password_hash'])
}

const storeHash = ({ id }: { id: string }, hash: string) =>
  database`update users set password_hash = ${hash} where id = ${id}`

// Registering

test('whoever registers is a patron without loans who can log in', async () => {
  const body = aRegistration()
  const answer = await register(body)
  expect(answer.status, answer.text).toBe(201)
  expect(answer.body).toMatchObject({
    username: body.username,
    email: null,
    pendingEmail: body.email,
    role: 'patron',
    openLoans: 0,
    suspension: null,
  })
  expect(answer.text).not.toContain(PASSWORD)
  expect(answer.text).not.toContain('scrypt')
  expect((await tryToLogIn(body.username)).body.user).toEqual({ id: answer.body.id, role: 'patron' })
})

test.each(['role', 'id', 'suspension', 'passwordHash', 'constructor'])(
  'the field %s is refused at registration, by its pointer',
  async (field) => {
    const body = aRegistration({ [field]: 'staff' })
    const answer = await register(body)
    expect([answer.status, problemOf(answer)]).toEqual([422, 'invalid-input'])
    expect(errorsOf(answer)).toEqual([{ in: 'body', pointer: `/${field}`, detail: 'is not known here' }])
    expect((await tryToLogIn(body.username)).status).toBe(401)
  },
)

test('a username is taken when another differs from it only in case', async () => {
  const { body: first } = await register(aRegistration())
  const answer = await register(aRegistration({ username: first.username.toUpperCase() }))
  expect([answer.status, problemOf(answer)]).toEqual([409, 'username-taken'])
})

test.each([
  ['0', 'o'],
  ['1', 'l'],
  ['i', 'l'],
  ['rn', 'm'],
  ['vv', 'w'],
  ['.', '_'],
  ['-', '.'],
])('a username is taken when another looks like it: %s and %s', async (one, other) => {
  const name = aName()
  expect((await register(aRegistration({ username: `${name}${one}x` }))).status).toBe(201)
  const answer = await register(aRegistration({ username: `${name}${other}x` }))
  expect([answer.status, problemOf(answer)]).toEqual([409, 'username-taken'])
  expect((await tryToLogIn(`${name}${other}x`)).status).toBe(401)
  expect((await tryToLogIn(`${name}${one}x`)).status).toBe(201)
})

test.each(['admin', 'Library', 'no-reply'])('nobody can pass for the library as %s', async (username) => {
  const answer = await register(aRegistration({ username }))
  expect(errorsOf(answer)).toEqual([{ in: 'body', pointer: '/username', detail: 'is kept for the library itself' }])
})

test('a username goes to exactly one of ten who ask for it at once', async () => {
  const username = aName()
  const answers = await Promise.all(Array.from({ length: 10 }, () => register(aRegistration({ username }))))
  expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(409)])
})

const badFields: [field: string, value: unknown][] = [
  ...[
    '',
    'ab',
    'a'.repeat(33),
    '.ada',
    'ada.',
    'a..da',
    'a._da',
    'ada lovelace',
    'ädäm',
    'ada@home',
    'ada\n',
    7,
    null,
  ].map((value): [string, unknown] => ['username', value]),
  ...[
    '',
    'ada',
    'ada@',
    '@mail.test',
    'ada@localhost',
    'ada lovelace@mail.test',
    'ada@-mail.test',
    'ada@mail-.test',
    'ada@mail..test',
    'ada@mail.test\n',
    'ädä@mail.test',
    `${'a'.repeat(65)}@mail.test`,
    `ada@${'a.'.repeat(130)}test`,
    7,
  ].map((value): [string, unknown] => ['email', value]),
  ...['', 'eleven char', `${'qu7xk'.repeat(26)}`, 'seven quiet herons \ud800', 'seven quiet \0 herons', 7, null].map(
    (value): [string, unknown] => ['password', value],
  ),
]

test.each(badFields.map(([field, value]) => ({ field, value, shown: JSON.stringify(value).slice(0, 40) })))(
  'nobody registers with the $field $shown',
  async ({ field, value }) => {
    const answer = await register(aRegistration({ [field]: value }))
    expect([answer.status, problemOf(answer)]).toEqual([422, 'invalid-input'])
    expect(new Set(errorsOf(answer)?.map(({ pointer }) => pointer))).toEqual(new Set([`/${field}`]))
  },
)

test('the shortest and the longest of everything are good enough', async () => {
  const shortest = await register(
    aRegistration({ username: crypto.randomUUID().slice(0, 3), password: 'qu7xk9mz3vbt' }),
  )
  // Three characters may be somebody's already; what they are not is bad input.
  expect(shortest.status).not.toBe(422)
  const username = crypto.randomUUID().replaceAll('-', '')
  const email = `${username}${'a'.repeat(32)}@${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(56)}.test`
  expect(email.length).toBe(254)
  const longest = await register({ username, email, password: `${PASSWORD} ${'x'.repeat(104)}` })
  expect(longest.status, longest.text).toBe(201)
})

test.each([
  ['Password1234', ['is on the list of common passwords']],
  ['horsehorsehorse', ['repeats one short word']],
  ['poiuytrewqlkjhgfdsa', ['is a run of neighbouring characters']],
  ['aaaaaaaaaaaaaaaa', ['repeats too few characters', 'repeats one short word']],
])('the guessable password %s is refused: it %j', async (password, details) => {
  const answer = await register(aRegistration({ password }))
  expect(answer.status).toBe(422)
  expect(errorsOf(answer)).toEqual(details.map((detail) => ({ in: 'body', pointer: '/password', detail })))
})

test('a password that is little more than the own name or address is refused', async () => {
  const detail = 'is little more than the username or the email address'
  const body = aRegistration({ email: `harbour.pilot.${aName()}@mail.test` })
  for (const password of [`${body.username}1!`, `X9${body.username.toUpperCase()}`, body.email, `${body.email}2026`]) {
    const answer = await register({ ...body, password })
    expect(answer.status, password).toBe(422)
    expect(errorsOf(answer)).toEqual([{ in: 'body', pointer: '/password', detail }])
  }
})

test('a registration repeated with the same Idempotency-Key answers the same user, and makes no other', async () => {
  const key = crypto.randomUUID()
  const body = aRegistration()
  const answers = await Promise.all(Array.from({ length: 5 }, () => register(body, { 'idempotency-key': key })))
  answers.push(await register(body, { 'idempotency-key': key }))
  expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(201))
  expect(new Set(answers.map(({ body: { id } }) => id)).size).toBe(1)
  expect(await database`select id from users where username = ${body.username}`).toHaveLength(1)
})

test('an Idempotency-Key used for another registration is refused', async () => {
  const key = crypto.randomUUID()
  await register(aRegistration(), { 'idempotency-key': key })
  const body = aRegistration()
  const answer = await register(body, { 'idempotency-key': key })
  expect([answer.status, problemOf(answer)]).toEqual([422, 'idempotency-key-reused'])
  expect((await tryToLogIn(body.username)).status).toBe(401)
})

test('what is kept for an Idempotency-Key knows nothing of the password, not even as a hash, nor of the address', async () => {
  const key = crypto.randomUUID()
  const { password, ...rest } = aRegistration()
  const { body: user } = await register({ ...rest, password }, { 'idempotency-key': key })
  const rows = await database`
    select answer::text as answer, encode(fingerprint, 'hex') as fingerprint
    from idempotency_keys
    where answer ->> 'id' = ${user.id}`
  const hash = await keyedHash(config, 'idempotent-request', 'POST', '/v1/users', JSON.stringify(rest))
  expect(rows).toMatchObject([{ fingerprint: bytesToHex(hash) }])
  expect(JSON.parse(String(rows[0]?.['answer']))).toMatchObject({ id: user.id })
  expect(String(rows[0]?.['answer'])).not.toMatch(/password|scrypt|herons|mail\.test/)
})

// The own account

test('everybody sees their own account', async () => {
  const patron = await aNewcomer()
  const answer = await me(patron)
  expect(answer.status).toBe(200)
  expect(answer.body).toMatchObject({
    id: patron.id,
    username: patron.username,
    pendingEmail: patron.email,
    role: 'patron',
  })
})

test('a changed username counts at once, and only it can log in', async () => {
  const patron = await aNewcomer()
  const { username } = aRegistration()
  const answer = await ask<User>('PATCH', '/v1/users/me', { token: patron.token, body: { username } })
  expect(answer.status, answer.text).toBe(200)
  expect(answer.body).toMatchObject({ id: patron.id, username })
  expect((await me(patron)).body).toEqual(answer.body)
  expect((await tryToLogIn(username)).status).toBe(201)
  expect((await tryToLogIn(patron.username)).status).toBe(401)
})

const reach = { name: 'Ada  King', phone: '+44 (20) 7946-0018', address: '12 St James Square\nLondon' }

test('everybody says how they are reached, sees it again as it was, and takes it back', async () => {
  const [patron, { token }] = await Promise.all([aNewcomer(), theStaff()])
  const change = (body: object) => ask<User>('PATCH', '/v1/users/me', { token: patron.token, body })
  expect((await change(reach)).body).toMatchObject(reach)
  expect((await ask('GET', `/v1/users/${patron.id}`, { token })).body).toMatchObject(reach)
  expect((await ask<Page>('GET', `/v1/users?q=${patron.username}`, { token })).body.items).toMatchObject([reach])
  expect((await change({ phone: null })).body).toMatchObject({ ...reach, phone: null })
})

test('staff say how a user is reached', async () => {
  const [patron, { token }] = await Promise.all([aNewcomer(), theStaff()])
  const answer = await ask('PATCH', `/v1/users/${patron.id}`, { token, body: reach })
  expect(answer.body).toMatchObject(reach)
  expect((await me(patron)).body).toMatchObject(reach)
})

test.each(['call me', '12', '+44 20 7946 0018 ext. nine', '0'.repeat(40)])('%s is no phone number', async (phone) => {
  const { token } = await aNewcomer()
  const answer = await ask('PATCH', '/v1/users/me', { token, body: { phone } })
  expect([answer.status, errorsOf(answer)?.[0]?.pointer]).toEqual([422, '/phone'])
})

test('what a change of the own account leaves out stays as it is', async () => {
  const patron = await aNewcomer()
  const answer = await ask<User>('PATCH', '/v1/users/me', { token: patron.token, body: { name: 'Ada King' } })
  expect(answer.body).toMatchObject({ username: patron.username, pendingEmail: patron.email, name: 'Ada King' })
})

test('the own username may change its case, which is no conflict with oneself', async () => {
  const patron = await aNewcomer()
  const username = patron.username.toUpperCase()
  const answer = await ask<User>('PATCH', '/v1/users/me', { token: patron.token, body: { username } })
  expect([answer.status, answer.body.username]).toEqual([200, username])
})

test("nobody changes to another's username in any case", async () => {
  const [patron, other] = await Promise.all([aNewcomer(), aNewcomer()])
  const change = (body: object) => ask('PATCH', '/v1/users/me', { token: patron.token, body })
  expect(problemOf(await change({ username: other.username.toUpperCase() }))).toBe('username-taken')
  expect((await me(patron)).body).toMatchObject({ username: patron.username })
})

test.each([
  [{}, ''],
  [{ role: 'staff' }, '/role'],
  [{ password: NEW_PASSWORD }, '/password'],
  [{ suspension: null }, '/suspension'],
  [{ username: 'a' }, '/username'],
  [{ email: 'a@mail.test' }, '/email'],
])('a change of the own account to %j is refused', async (body, pointer) => {
  const patron = await aNewcomer()
  const answer = await ask('PATCH', '/v1/users/me', { token: patron.token, body })
  expect([answer.status, problemOf(answer)]).toEqual([422, 'invalid-input'])
  expect(errorsOf(answer)?.map((error) => error.pointer)).toEqual([pointer])
  expect((await me(patron)).body).toMatchObject({ role: 'patron', username: patron.username })
})

// Changing the password

const changePassword = ({ token }: { token: string }, newPassword = NEW_PASSWORD, currentPassword = PASSWORD) =>
  ask('PUT', '/v1/users/me/password', { token, body: { currentPassword, newPassword } })

test('a changed password logs in, and the old one does not', async () => {
  const patron = await aNewcomer()
  const answer = await changePassword(patron)
  expect(answer.status, answer.text).toBe(204)
  expect(problemOf(await tryToLogIn(patron.username))).toBe('wrong-credentials')
  expect((await tryToLogIn(patron.username, NEW_PASSWORD)).status).toBe(201)
})

test('a changed password ends the other sessions and keeps the own one, its refresh token too', async () => {
  const patron = await aNewcomer()
  const other = await logIn(patron.username)
  expect((await changePassword(patron)).status).toBe(204)
  expect(problemOf(await me(other))).toBe('session-ended')
  expect(problemOf(await refresh(other))).toBe('refresh-token-invalid')
  expect((await me(patron)).status).toBe(200)
  const renewed = await refresh(patron)
  expect(renewed.status).toBe(200)
  expect((await me({ token: renewed.body.accessToken })).status).toBe(200)
})

test('whoever does not know the current password changes nothing', async () => {
  const patron = await aNewcomer()
  const other = await logIn(patron.username)
  const answer = await changePassword(patron, NEW_PASSWORD, `${PASSWORD}s`)
  expect([answer.status, problemOf(answer)]).toEqual([403, 'wrong-password'])
  expect((await tryToLogIn(patron.username)).status).toBe(201)
  expect((await me(other)).status).toBe(200)
})

test('one of two changes from the same password at once succeeds', async () => {
  const patron = await aNewcomer()
  const passwords = [NEW_PASSWORD, 'twelve newts under the bridge']
  const answers = await Promise.all(passwords.map((password) => changePassword(patron, password)))
  expect(answers.map(({ status }) => status).toSorted()).toEqual([204, 403])
  const logins = await Promise.all(passwords.map((password) => tryToLogIn(patron.username, password)))
  expect(logins.map(({ status }) => status === 201)).toEqual(answers.map(({ status }) => status === 204))
})

test.each(['eleven char', 'password1234', 'seven quiet \0 herons'])('a password is not changed to %j', async (bad) => {
  const patron = await aNewcomer()
  const answer = await changePassword(patron, bad)
  expect([answer.status, problemOf(answer)]).toEqual([422, 'invalid-input'])
  expect(errorsOf(answer)?.map(({ pointer }) => pointer)).toEqual(['/newPassword'])
  expect((await tryToLogIn(patron.username)).status).toBe(201)
})

test('a password is not changed to the own name', async () => {
  const patron = await aNewcomer()
  const answer = await changePassword(patron, `${patron.username}!`)
  expect(errorsOf(answer)?.map(({ pointer }) => pointer)).toEqual(['/newPassword'])
})

// Staff: finding users

test('staff page through the users that a filter finds, each once, the oldest first', async () => {
  const { token } = await theStaff()
  const prefix = aName()
  const made: string[] = []
  for (let i = 0; i < 5; i++) made.push((await register(aRegistration({ username: `${prefix}${i}` }))).body.id)
  const found: string[] = []
  const sizes: number[] = []
  let next: string | null = `/v1/users?q=${prefix}&limit=2`
  while (next !== null) {
    const page: Answer<Page> = await ask<Page>('GET', next, { token })
    expect(page.status, page.text).toBe(200)
    found.push(...page.body.items.map(({ id }) => id))
    sizes.push(page.body.items.length)
    next = page.body.next
    expect(page.headers.get('link')).toBe(next === null ? null : `<${next}>; rel="next"`)
  }
  expect(found).toEqual(made)
  expect(sizes).toEqual([2, 2, 1])
})

test('users are found by the beginning of a username or a whole email address in any case, taken literally', async () => {
  const { token } = await theStaff()
  const name = aName()
  const { body: byName } = await register(aRegistration({ username: `${name}1`, email: `x${name}@mail.test` }))
  const { body: byEmail } = await register(aRegistration({ username: `x${name}`, email: `${name}2@mail.test` }))
  await confirm(`${name}2@mail.test`)
  const find = async (q: string) =>
    (await ask<Page>('GET', `/v1/users?q=${encodeURIComponent(q)}`, { token })).body.items.map(({ id }) => id)
  expect(await find(name.toUpperCase())).toEqual([byName.id])
  expect(await find(`${name}2@MAIL.test`)).toEqual([byEmail.id])
  expect(await find(`${name}2@`)).toEqual([])
  expect(await find(name.slice(1))).toEqual([])
  expect(await find(`${name.slice(0, -1)}_`)).toEqual([])
  expect(await find(`${name}%`)).toEqual([])
})

test('users are found by role and by suspension', async () => {
  const { token } = await theStaff()
  const prefix = aName()
  const add = async (i: number) => (await register(aRegistration({ username: `${prefix}${i}` }))).body
  const [patron, colleague, suspended] = [await add(0), await add(1), await add(2)]
  await ask('PATCH', `/v1/users/${colleague.id}`, { token, body: { role: 'staff' } })
  await ask('PUT', `/v1/users/${suspended.id}/suspension`, { token, body: { reason: 'Overdue' } })
  const find = async (filter: string) =>
    (await ask<Page>('GET', `/v1/users?q=${prefix}&${filter}`, { token })).body.items.map(({ id }) => id)
  expect(await find('role=staff')).toEqual([colleague.id])
  expect(await find('role=patron')).toEqual([patron.id, suspended.id])
  expect(await find('suspended=true')).toEqual([suspended.id])
  expect(await find('suspended=false')).toEqual([patron.id, colleague.id])
  expect(await find('suspended=false&role=patron')).toEqual([patron.id])
})

test.each([
  ['limit=0', '/limit'],
  ['limit=101', '/limit'],
  ['limit=x', '/limit'],
  ['cursor=!', '/cursor'],
  ['cursor=bm90', '/cursor'],
  ['role=admin', '/role'],
  ['suspended=perhaps', '/suspended'],
  ['q=', '/q'],
  ['colour=red', '/colour'],
])('a list of users by %s is refused', async (query, pointer) => {
  const { token } = await theStaff()
  const answer = await ask('GET', `/v1/users?${query}`, { token })
  expect([answer.status, problemOf(answer)]).toEqual([422, 'invalid-input'])
  expect(errorsOf(answer)?.map((error) => [error.in, error.pointer])).toEqual([['query', pointer]])
})

test('staff see any user, as that user does', async () => {
  const [{ token }, patron] = await Promise.all([theStaff(), aNewcomer()])
  const answer = await ask('GET', `/v1/users/${patron.id}`, { token })
  expect(answer.status).toBe(200)
  expect(answer.body).toEqual((await me(patron)).body)
})

// Staff: roles

const setRole = async ({ id }: { id: string }, role: string) => {
  const { token } = await theStaff()
  return ask<User>('PATCH', `/v1/users/${id}`, { token, body: { role } })
}

test("a patron made staff must refresh first: the old token is outdated, the new one opens what is staff's", async () => {
  const patron = await aNewcomer()
  const answer = await setRole(patron, 'staff')
  expect([answer.status, answer.body.role]).toEqual([200, 'staff'])
  const outdated = await me(patron)
  expect([outdated.status, problemOf(outdated)]).toEqual([401, 'access-token-outdated'])
  const renewed = await refresh(patron)
  expect(renewed.body.user).toEqual({ id: patron.id, role: 'staff' })
  expect((await ask('GET', '/v1/users?limit=1', { token: renewed.body.accessToken })).status).toBe(200)
})

test('staff made a patron lose what is staff’s with the very next request', async () => {
  const colleague = await aMemberOfStaff()
  expect((await ask('GET', '/v1/users?limit=1', { token: colleague.token })).status).toBe(200)
  expect((await setRole(colleague, 'patron')).status).toBe(200)
  const outdated = await ask('GET', '/v1/users?limit=1', { token: colleague.token })
  expect([outdated.status, problemOf(outdated)]).toEqual([401, 'access-token-outdated'])
  const renewed = await refresh(colleague)
  expect(renewed.body.user.role).toBe('patron')
  const forbidden = await ask('GET', '/v1/users?limit=1', { token: renewed.body.accessToken })
  expect([forbidden.status, problemOf(forbidden)]).toEqual([403, 'forbidden'])
})

test.each([[{ role: 'admin' }], [{}], [{ role: 'staff', username: 'somebody' }], [{ email: 'a@mail.test' }]])(
  'staff cannot change a user to %j',
  async (body) => {
    const [{ token }, patron] = await Promise.all([theStaff(), aNewcomer()])
    const answer = await ask('PATCH', `/v1/users/${patron.id}`, { token, body })
    expect([answer.status, problemOf(answer)]).toEqual([422, 'invalid-input'])
    expect((await me(patron)).body).toMatchObject({ role: 'patron', username: patron.username })
  },
)

// Staff: suspension

const suspend = async ({ id }: { id: string }, reason: unknown = 'Three letters came back') => {
  const { token } = await theStaff()
  return ask<User>('PUT', `/v1/users/${id}/suspension`, { token, body: { reason } })
}

const reinstate = async ({ id }: { id: string }) => {
  const { token } = await theStaff()
  return ask<User>('DELETE', `/v1/users/${id}/suspension`, { token })
}

test('whoever is suspended is out at once: no session is left, and neither token is good', async () => {
  const patron = await aNewcomer()
  const answer = await suspend(patron)
  expect(answer.status, answer.text).toBe(200)
  expect(answer.body.suspension?.reason).toBe('Three letters came back')
  expect(problemOf(await me(patron))).toBe('session-ended')
  expect(problemOf(await refresh(patron))).toBe('refresh-token-invalid')
  expect(await database`select id from sessions where user_id = ${patron.id}`).toEqual([])
})

test('only whoever knows the password learns that an account is suspended', async () => {
  const patron = await aNewcomer()
  await suspend(patron)
  const right = await tryToLogIn(patron.username)
  expect([right.status, problemOf(right)]).toEqual([403, 'account-suspended'])
  const wrong = await tryToLogIn(patron.username, NEW_PASSWORD)
  expect([wrong.status, problemOf(wrong)]).toEqual([401, 'wrong-credentials'])
})

test('a session that outlived a suspension opens nothing', async () => {
  const patron = await aNewcomer()
  await database`update users set suspended_at = now(), suspension_reason = 'By hand' where id = ${patron.id}`
  const answer = await me(patron)
  expect([answer.status, problemOf(answer)]).toEqual([403, 'account-suspended'])
  const renewed = await refresh(patron)
  expect([renewed.status, problemOf(renewed)]).toEqual([403, 'account-suspended'])
})

test('a second suspension changes the reason and not the moment', async () => {
  const patron = await aNewcomer()
  const first = await suspend(patron)
  const second = await suspend(patron, 'Another reason')
  expect(second.body.suspension).toEqual({ since: first.body.suspension?.since, reason: 'Another reason' })
})

test('whoever is reinstated logs in again, and the old tokens stay dead', async () => {
  const patron = await aNewcomer()
  await suspend(patron)
  const answer = await reinstate(patron)
  expect([answer.status, answer.body.suspension]).toEqual([200, null])
  expect((await reinstate(patron)).status).toBe(200)
  expect(problemOf(await me(patron))).toBe('session-ended')
  expect(problemOf(await refresh(patron))).toBe('refresh-token-invalid')
  expect((await me(await logIn(patron.username))).status).toBe(200)
})

test.each([[''], ['   '], ['a\u0007b'], ['x'.repeat(501)], [7]])(
  'a suspension for the reason %j is refused',
  async (reason) => {
    const patron = await aNewcomer()
    const answer = await suspend(patron, reason)
    expect(answer.status).toBe(422)
    expect(errorsOf(answer)?.map(({ pointer }) => pointer)).toEqual(['/reason'])
    expect((await me(patron)).status).toBe(200)
  },
)

test('staff neither demote nor suspend themselves', async () => {
  const staff = await aMemberOfStaff()
  const role = await ask('PATCH', `/v1/users/${staff.id}`, { token: staff.token, body: { role: 'patron' } })
  expect([role.status, problemOf(role)]).toEqual([409, 'own-account'])
  const suspension = await ask('PUT', `/v1/users/${staff.id}/suspension`, { token: staff.token, body: { reason: 'x' } })
  expect([suspension.status, problemOf(suspension)]).toEqual([409, 'own-account'])
  expect((await me(staff)).body).toMatchObject({ role: 'staff', suspension: null })
})

test('staff do not get round the rule for themselves by spelling their id in capitals', async () => {
  const staff = await aMemberOfStaff()
  const path = `/v1/users/${staff.id.toUpperCase()}`
  await ask('PATCH', path, { token: staff.token, body: { role: 'patron' } })
  await ask('PUT', `${path}/suspension`, { token: staff.token, body: { reason: 'x' } })
  expect((await me(staff)).body).toMatchObject({ role: 'staff', suspension: null })
})

const onAUser: [method: string, suffix: string, body?: object][] = [
  ['GET', ''],
  ['PATCH', '', { role: 'staff' }],
  ['PUT', '/suspension', { reason: 'Overdue' }],
  ['DELETE', '/suspension'],
]

test.each(onAUser)('%s /v1/users/{id}%s finds no user who is not there', async (method, suffix, body) => {
  const { token } = await theStaff()
  const unknown = await ask(method, `/v1/users/${crypto.randomUUID()}${suffix}`, { token, body })
  expect([unknown.status, problemOf(unknown)]).toEqual([404, 'user-not-found'])
  const malformed = await ask(method, `/v1/users/not-an-id${suffix}`, { token, body })
  expect([malformed.status, problemOf(malformed)]).toEqual([404, 'not-found'])
})

// What is stored

const config = readConfig(env)

/** Made by Node's crypto.scryptSync, which is OpenSSL's: an implementation that is not ours. */
const BY_OPENSSL = {
  ln15: '$scrypt$ln=15,r=8,p=3$n804raaaDXxdzWEFLZEgxQ$hpW6Mxdk34weOodNKx+KQcuLTvFwlGXfJHsZOTszJo4',
  p1: '$scrypt$ln=4,r=8,p=1$n804raaaDXxdzWEFLZEgxQ$DER41FKW2paZo1JsWBeWLwF9in8VZecRKH1ZpezktHU',
}

test('a password is stored as a PHC string of scrypt with its own salt', async () => {
  const [one, two] = await Promise.all([aNewcomer(), aNewcomer()])
  const [first, second] = [await storedHash(one), await storedHash(two)]
  const form = /^\$scrypt\$ln=4,r=8,p=3\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/
  expect(first).toMatch(form)
  expect(second).toMatch(form)
  expect(form.exec(first)?.[1]).not.toBe(form.exec(second)?.[1])
  await changePassword(one)
  expect(await storedHash(one)).toMatch(form)
  expect(await storedHash(one)).not.toBe(first)
})

const outdated: [what: string, make: () => Promise<string>][] = [
  ['a higher cost', () => hashPassword({ ...config, passwordScryptLn: 8 }, PASSWORD)],
  ['another parallelism', () => Promise.resolve(BY_OPENSSL.p1)],
]

test.each(outdated)('a password hashed with %s logs in, and is hashed anew by that', async (_what, make) => {
  const patron = await aNewcomer()
  await storeHash(patron, await make())
  expect((await tryToLogIn(patron.username, NEW_PASSWORD)).status).toBe(401)
  expect(await storedHash(patron)).not.toMatch(/^\$scrypt\$ln=4,r=8,p=3\$/)
  expect((await tryToLogIn(patron.username)).status).toBe(201)
  const renewed = await storedHash(patron)
  expect(renewed).toMatch(/^\$scrypt\$ln=4,r=8,p=3\$/)
  expect((await tryToLogIn(patron.username)).status).toBe(201)
  expect(await storedHash(patron)).toBe(renewed)
})

test(
  'at the cost of production a hash is verified by us as OpenSSL made it, and a wrong password is not',
  { timeout: 120_000 },
  async () => {
    const production = { ...config, passwordScryptLn: 15 }
    const verify = (password: string, stored: string) => verifyPassword(production, { password, stored })
    // Under the module runner of the tests such a hash takes seconds.
    expect(await verify(PASSWORD, BY_OPENSSL.ln15)).toEqual({ isRight: true, isOutdated: false })
    expect(await verify(NEW_PASSWORD, BY_OPENSSL.ln15)).toEqual({ isRight: false, isOutdated: false })
  },
)

const malformed: [what: string, make: (good: string) => string][] = [
  ['nothing', () => ''],
  ['the password itself', () => PASSWORD],
  ['a hash of bcrypt', () => '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW'],
  ['a cost above what an isolate can bear', (good) => good.replace('ln=4', 'ln=16')],
  ['a cost of nothing', (good) => good.replace('ln=4', 'ln=0')],
  ['another block size', (good) => good.replace('r=8', 'r=1')],
  ['no parallelism', (good) => good.replace('p=3', 'p=0')],
  ['a short hash', (good) => good.slice(0, -1)],
  ['no hash', (good) => good.replace(/[^$]+$/, '')],
  ['no salt', (good) => good.replace(/\$[^$]+(\$[^$]+)$/, '$$$1')],
  ['something behind it', (good) => `${good}\n`],
]

test.each(malformed)('a stored hash that is %s lets nobody in, and is not shown', async (_what, make) => {
  const patron = await aNewcomer()
  const stored = make(await storedHash(patron))
  await storeHash(patron, stored)
  for (const password of [PASSWORD, stored.slice(0, 100) || 'x']) {
    const answer = await tryToLogIn(patron.username, password)
    expect([answer.status, problemOf(answer)]).toEqual([500, 'internal-error'])
    if (stored !== '') expect(answer.text).not.toContain(stored)
    expect(answer.text).not.toMatch(/scrypt|malformed|hash/)
  }
  expect(await storedHash(patron)).toBe(stored)
})

test('a password is the same however its accents are encoded, and nothing else about it is bent', async () => {
  const composed = 'sept hérons calmes pêchent'.normalize('NFC')
  const { body: user } = await register(aRegistration({ password: composed }))
  expect((await tryToLogIn(user.username, composed.normalize('NFD'))).status).toBe(201)
  for (const other of [composed.toUpperCase(), `${composed} `, ` ${composed}`, composed.replace('é', 'e')]) {
    expect((await tryToLogIn(user.username, other)).status, other).toBe(401)
  }
})

test('a password of 128 characters counts to the last of them', async () => {
  const password = `${PASSWORD} `.repeat(6).slice(0, 127)
  const { body: user, status, text } = await register(aRegistration({ password: `${password}a` }))
  expect(status, text).toBe(201)
  expect((await tryToLogIn(user.username, `${password}b`)).status).toBe(401)
  expect((await tryToLogIn(user.username, password)).status).toBe(401)
  expect((await tryToLogIn(user.username, `${password}a`)).status).toBe(201)
})

test('no answer about a user holds the password or its hash', async () => {
  const [{ token }, patron]: [Person, Person] = await Promise.all([theStaff(), aNewcomer()])
  const answers = [
    await me(patron),
    await ask('GET', `/v1/users/${patron.id}`, { token }),
    await ask('GET', `/v1/users?q=${patron.username}`, { token }),
    await suspend(patron),
    await reinstate(patron),
  ]
  for (const answer of answers) {
    expect(answer.status).toBe(200)
    expect(answer.text).toContain(patron.username)
    expect(answer.text).not.toMatch(/scrypt|password/i)
  }
})
