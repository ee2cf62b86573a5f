import { beforeEach, describe, expect, test } from 'vitest'
import type { Library as LibraryResource } from '../src/features/library/schema.ts'
import type { Tokens } from '../src/features/sessions/schema.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Answer, PASSWORD, type Person, problemOf } from './support/library.ts'
import { codeOf } from './support/second-factor.ts'

/** A library that asks a second factor of all its staff. What it means for each route: access.test.ts. */

let library: Awaited<ReturnType<typeof aLibraryApart>>
beforeEach(async () => {
  library = await aLibraryApart()
  return () => library.drop()
})

const PATH = '/v1/users/me/second-factor'
const said = (answer: Answer) => [answer.status, problemOf(answer)]

type Asking = { token: string }
const change = ({ token }: Asking, staffSecondFactor: unknown, more: object = {}) =>
  library.ask<LibraryResource>('PATCH', '/v1/library', { token, body: { staffSecondFactor, ...more } })
const isAsked = async () => (await library.ask<LibraryResource>('GET', '/v1/library')).body.staffSecondFactor
const users = ({ token }: Asking) => library.ask('GET', '/v1/users', { token })

async function enrol({ token }: Asking): Promise<string> {
  const { body } = await library.ask<{ secret: string }>('POST', PATH, { token })
  const answer = await library.ask('PUT', `${PATH}/confirmation`, { token, body: { code: codeOf(body.secret) } })
  expect(answer.status, answer.text).toBe(200)
  return body.secret
}

async function strict(): Promise<Person> {
  const staff = await library.aMemberOfStaff()
  await enrol(staff)
  expect((await change(staff, true)).status).toBe(200)
  return staff
}

describe('asking it', () => {
  test('is off at first, and everybody can see whether it is on', async () => {
    expect(await isAsked()).toBe(false)
    const staff = await library.aMemberOfStaff()
    await enrol(staff)
    expect((await change(staff, true)).body).toMatchObject({ staffSecondFactor: true, currency: 'EUR' })
    expect(await isAsked()).toBe(true)
    expect((await change(staff, false)).body.staffSecondFactor).toBe(false)
    expect(await isAsked()).toBe(false)
  })

  test('is for whoever has shown their own in this session, and changes nothing otherwise', async () => {
    const staff = await library.aMemberOfStaff()
    expect(said(await change(staff, true, { timeZone: 'Europe/London' }))).toEqual([409, 'second-factor-not-shown'])
    const { body } = await library.ask<LibraryResource>('GET', '/v1/library')
    expect(body).toMatchObject({ staffSecondFactor: false, timeZone: 'UTC' })
    // One that was only begun is not shown.
    await library.ask('POST', PATH, { token: staff.token })
    expect(said(await change(staff, true))).toEqual([409, 'second-factor-not-shown'])
    // Nor is one that has been removed.
    await enrol(staff)
    await library.ask('DELETE', PATH, { token: staff.token })
    expect(said(await change(staff, true))).toEqual([409, 'second-factor-not-shown'])
    expect((await change(staff, false)).status).toBe(200)
    await enrol(staff)
    expect((await change(staff, true)).status).toBe(200)
  })

  test('needs a fresh login, on and off', async () => {
    const staff = await strict()
    const age = () => library.database`update sessions set created_at = now() - interval '11 minutes'`
    await age()
    expect(said(await change(staff, false))).toEqual([403, 'fresh-login-required'])
    expect(said(await change(staff, true))).toEqual([403, 'fresh-login-required'])
    expect(await isAsked()).toBe(true)
  })

  test.each([null, 'true', 1])('%o is neither true nor false', async (value) => {
    const staff = await library.aMemberOfStaff()
    expect(said(await change(staff, value))).toEqual([422, 'invalid-input'])
  })

  test('leaves what is not named as it is', async () => {
    const staff = await strict()
    const { token } = staff
    await library.ask('PATCH', '/v1/library', { token, body: { currency: 'GBP' } })
    expect(await isAsked()).toBe(true)
    expect((await change(staff, false)).body.currency).toBe('GBP')
  })
})

describe('where it is asked', () => {
  test('others may add one with the session they have, and work on', async () => {
    const other = await library.aMemberOfStaff()
    await strict()
    expect(said(await users(other))).toEqual([403, 'second-factor-needed'])
    const patrons = await library.aNewcomer()
    expect((await library.ask('GET', '/v1/loans', patrons)).status).toBe(200)
    expect((await library.ask('GET', '/v1/users/me', other)).status).toBe(200)
    expect((await library.ask('GET', '/v1/sessions', other)).status).toBe(200)
    const secret = await enrol(other)
    expect((await users(other)).status).toBe(200)

    const code = codeOf(secret, 1)
    const again = await library.ask<Tokens>('POST', '/v1/sessions', {
      body: { username: other.username, password: PASSWORD, code },
    })
    expect((await users({ token: again.body.accessToken })).status).toBe(200)
    const pair = await library.ask<Tokens>('POST', '/v1/sessions/refresh', {
      body: { refreshToken: again.body.refreshToken },
    })
    expect((await users({ token: pair.body.accessToken })).status).toBe(200)
  })

  test('whoever removes theirs may only add another', async () => {
    const staff = await strict()
    expect((await library.ask('DELETE', PATH, { token: staff.token })).status).toBe(204)
    expect(said(await users(staff))).toEqual([403, 'second-factor-needed'])
    expect(said(await change(staff, false))).toEqual([403, 'second-factor-needed'])
    await enrol(staff)
    expect((await users(staff)).status).toBe(200)
  })

  test('a patron who becomes staff needs one, and a member of staff who becomes a patron does not', async () => {
    const staff = await strict()
    const person = await library.aNewcomer()
    const setRole = (role: string) =>
      library.ask('PATCH', `/v1/users/${person.id}`, { token: staff.token, body: { role } })
    await setRole('staff')
    const promoted = await library.logIn(person.username)
    expect(said(await users(promoted))).toEqual([403, 'second-factor-needed'])
    await setRole('patron')
    const demoted = await library.logIn(person.username)
    expect((await library.ask('GET', '/v1/loans', demoted)).status).toBe(200)
  })

  test('nothing is done by whoever is refused', async () => {
    const other = await library.aMemberOfStaff()
    await strict()
    const made = await library.ask('POST', '/v1/books', { token: other.token, body: { title: 'Not made' } })
    expect(said(made)).toEqual([403, 'second-factor-needed'])
    expect(await library.database`select from books`).toEqual([])
  })
})
