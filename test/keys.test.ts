import { describe, expect, test } from 'vitest'
import type { Key, MadeKey } from '../src/features/keys/schema.ts'
import { waiting } from './support/gate.ts'
import {
  aBook,
  aMemberOfStaff,
  aPatron,
  type Answer,
  ask,
  borrow,
  database,
  logIn,
  PASSWORD,
  problemOf,
  theStaff,
} from './support/library.ts'

/** API keys, which are also the passwords of reader apps. What each opens: access.test.ts. */

type Scope = Key['scopes'][number]
type Asker = { token: string }

const make = ({ token }: Asker, body: object = {}) =>
  ask<MadeKey>('POST', '/v1/users/me/keys', { token, body: { name: 'a test', scopes: ['read', 'lend'], ...body } })

async function aKey(person: Asker, scopes: Scope[] = ['read', 'lend']): Promise<MadeKey> {
  const answer = await make(person, { scopes })
  expect(answer.status, answer.text).toBe(201)
  return answer.body
}

const list = async ({ token }: Asker) => (await ask<{ items: Key[] }>('GET', '/v1/users/me/keys', { token })).body.items

const revoke = ({ token }: Asker, { id }: { id: string }) => ask('DELETE', `/v1/users/me/keys/${id}`, { token })

const me = (authorization: string) => ask('GET', '/v1/users/me', { headers: { authorization } })
const meWith = ({ key }: { key: string }) => me(`Bearer ${key}`)
const basic = (text: string) => `Basic ${btoa(text)}`

const said = (answer: Answer) => [answer.status, problemOf(answer)]

const isKept = async ({ id }: { id: string }) => (await database`select from api_keys where id = ${id}`).length === 1

describe('making a key', () => {
  test('shows it once, and what it is for', async () => {
    const patron = await aPatron()
    const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
    const { body } = await make(patron, { name: 'Reader on the tablet', scopes: ['read'], expiresAt })
    expect(body).toMatchObject({ name: 'Reader on the tablet', scopes: ['read'], lastUsedAt: null })
    expect(Date.parse(body.expiresAt ?? '')).toBe(Date.parse(expiresAt))
    expect(body.key).toMatch(/^lak_p[A-Za-z0-9_-]{64}$/)
    const { key: _, ...shown } = body
    expect(await list(patron)).toEqual([shown])
    expect(JSON.stringify(await list(patron))).not.toContain('lak_')
    expect(await meWith(body)).toMatchObject({ status: 200, body: { id: patron.id } })
  })

  test('needs a fresh login; revoking does not', async () => {
    const patron = await aPatron()
    const key = await aKey(patron)
    await database`update sessions set created_at = now() - interval '11 minutes' where id = ${patron.sessionId}`
    expect(said(await make(patron))).toEqual([403, 'fresh-login-required'])
    expect((await revoke(patron, key)).status).toBe(204)
  })

  test('is refused with a scope that is not for patrons, is unknown, stands twice, or is none', async () => {
    const patron = await aPatron()
    expect(said(await make(patron, { scopes: ['read', 'desk'] }))).toEqual([403, 'forbidden'])
    for (const scopes of [['admin'], ['read', 'read'], [], 'read']) {
      expect(said(await make(patron, { scopes }))).toEqual([422, 'invalid-input'])
    }
    expect(await list(patron)).toEqual([])
    expect((await make(await theStaff(), { scopes: ['desk'] })).body.key).toMatch(/^lak_d/)
  })

  test('takes no day that is past, or more than a year ahead', async () => {
    const patron = await aPatron()
    for (const days of [-1, 0, 367]) {
      const expiresAt = new Date(Date.now() + days * 86_400_000).toISOString()
      expect(said(await make(patron, { expiresAt }))).toEqual([409, 'date-out-of-range'])
    }
  })

  test('thirty who ask at once make twenty; one that has expired makes room', async () => {
    const patron = await aPatron()
    const answers = await Promise.all(Array.from({ length: 30 }, () => make(patron)))
    const refused = answers.filter(({ status }) => status !== 201)
    expect(refused.map(said)).toEqual(Array(10).fill([409, 'key-limit-reached']))
    const [first] = await list(patron)
    await database`update api_keys set expires_at = now() where id = ${first?.id}`
    expect(await list(patron)).toHaveLength(19)
    expect((await make(patron)).status).toBe(201)
    expect(said(await make(patron))).toEqual([409, 'key-limit-reached'])
  })

  test('is not done twice under one Idempotency-Key, since its answer is not kept', async () => {
    const { token } = await aPatron()
    const how = {
      token,
      body: { name: 'a test', scopes: ['read'] },
      headers: { 'idempotency-key': crypto.randomUUID() },
    }
    const [first, second] = [
      await ask<MadeKey>('POST', '/v1/users/me/keys', how),
      await ask<MadeKey>('POST', '/v1/users/me/keys', how),
    ]
    expect(first.body.key).not.toBe(second.body.key)
    expect(await database`select from idempotency_keys where answer::text like '%lak_%'`).toEqual([])
  })

  test('leaves no key in the database, in any spelling; only its SHA-256', async () => {
    const { key } = await aKey(await aPatron())
    const tables = await database`
      select format('select coalesce(string_agg(t::text, chr(10)), $$$$) as everything from %I t', table_name) as query
      from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`
    const texts = await Promise.all(
      tables.map(async ({ query }) => (await database.query(String(query)))[0]?.['everything']),
    )
    const everything = texts.join('\n').toLowerCase()
    const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
    const random = key.slice('lak_p'.length).replaceAll('-', '+').replaceAll('_', '/')
    const bytes = Uint8Array.from(atob(random), (letter) => letter.charCodeAt(0))
    for (const spelling of [key, random, hex(bytes.subarray(16))])
      expect(everything).not.toContain(spelling.toLowerCase())
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key)))
    expect(everything).toContain(hex(hash))
  })
})

describe('a key is good', () => {
  test('as a bearer, and as the password of any name in Basic', async () => {
    const patron = await aPatron()
    const { key } = await aKey(patron)
    for (const authorization of [
      `Bearer ${key}`,
      `bearer ${key}`,
      basic(`${patron.username}:${key}`),
      basic(`somebody else:${key}`),
      basic(`:${key}`),
      `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`ключ:${key}`)))}`,
    ]) {
      expect(await me(authorization), authorization).toMatchObject({ status: 200, body: { id: patron.id } })
    }
  })

  test('when the password has changed, and when its session has ended', async () => {
    const patron = await aPatron()
    const key = await aKey(patron)
    const { token } = patron
    const body = { currentPassword: PASSWORD, newPassword: 'eight loud herons fly' }
    expect((await ask('PUT', '/v1/users/me/password', { token, body })).status).toBe(204)
    await ask('DELETE', '/v1/sessions/current', { token })
    expect((await meWith(key)).status).toBe(200)
  })
})

describe('a key is refused', () => {
  const refused = [401, 'key-invalid']

  test('when it is not one, however it is sent; a password too', async () => {
    const patron = await aPatron()
    const { key } = await aKey(patron)
    const swap = (at: number, to: string) => key.slice(0, at) + to + key.slice(at + 1)
    for (const authorization of [
      'Bearer lak_',
      `Bearer ${key}A`,
      `Bearer ${key.slice(0, -1)}`,
      `Bearer ${key.slice(0, -1)}=`,
      // Of another kind, of another user, with other random bits: none of these has the hash of a key.
      `Bearer ${swap(4, 's')}`,
      `Bearer ${swap(4, 'd')}`,
      `Bearer ${swap(10, key[10] === 'A' ? 'B' : 'A')}`,
      `Bearer ${swap(60, key[60] === 'A' ? 'B' : 'A')}`,
      basic(`${patron.username}:${PASSWORD}`),
      basic(`${patron.username}:`),
      basic(`${key}:`),
      basic('no colon'),
      basic(`${patron.username}:${key} `),
      basic('\xff\xfe:\xff'),
      'Basic A',
      'Basic A===',
      `Basic ${btoa(`x:${key}`).replaceAll('=', '')}A`,
      basic(`${'x'.repeat(700)}:${key}`),
    ]) {
      const answer = await me(authorization)
      expect(said(answer), authorization).toEqual(refused)
      expect(answer.headers.get('www-authenticate')).toBe(
        'Bearer error="invalid_token", Basic realm="Lectern", charset="UTF-8"',
      )
    }
  })

  test('once it has been revoked or has expired', async () => {
    const patron = await aPatron()
    const [revoked, expired] = [await aKey(patron), await aKey(patron)]
    expect((await revoke(patron, revoked)).status).toBe(204)
    await database`update api_keys set expires_at = now() where id = ${expired.id}`
    expect(said(await meWith(revoked))).toEqual(refused)
    expect(said(await meWith(expired))).toEqual(refused)
    expect(await list(patron)).toEqual([])
    expect(said(await revoke(patron, revoked))).toEqual([404, 'key-not-found'])
  })

  test('while its user is suspended, and not after', async () => {
    const patron = await aPatron()
    const key = await aKey(patron)
    const { token } = await theStaff()
    const path = `/v1/users/${patron.id}/suspension`
    expect((await ask('PUT', path, { token, body: { reason: 'a test' } })).status).toBe(200)
    expect(said(await meWith(key))).toEqual([403, 'account-suspended'])
    expect((await ask('DELETE', path, { token })).status).toBe(200)
    expect((await meWith(key)).status).toBe(200)
  })

  test('when its user has another role', async () => {
    const [patron, staff] = [await aPatron(), await aMemberOfStaff()]
    const [ofPatron, ofStaff] = [await aKey(patron), await aKey(staff, ['desk'])]
    await database`update users set role = 'staff' where id = ${patron.id}`
    await database`update users set role = 'patron' where id = ${staff.id}`
    expect(said(await meWith(ofPatron))).toEqual(refused)
    const asDesk = await ask('GET', '/v1/users', { token: ofStaff.key })
    expect(said(asDesk)).toEqual(refused)
  })

  test('to revoke or to make keys, and another’s to be revoked', async () => {
    const [patron, other] = [await aPatron(), await aMemberOfStaff()]
    const key = await aKey(patron)
    expect(said(await make({ token: key.key }))).toEqual([403, 'scope-missing'])
    expect(said(await revoke({ token: key.key }, key))).toEqual([403, 'scope-missing'])
    expect(said(await revoke(other, key))).toEqual([404, 'key-not-found'])
    expect(await isKept(key)).toBe(true)
  })
})

test('its last use is kept to the minute, and not written at each request', async () => {
  const patron = await aPatron()
  const key = await aKey(patron)
  const lastUse = async () => (await database`select last_used_at, xmin from api_keys where id = ${key.id}`)[0]
  expect(await lastUse()).toMatchObject({ last_used_at: null })
  await meWith(key)
  const first = await lastUse()
  expect(first?.['last_used_at']).not.toBeNull()
  await Promise.all(Array.from({ length: 5 }, () => meWith(key)))
  expect(await lastUse()).toEqual(first)
  await database`update api_keys set last_used_at = now() - interval '61 seconds' where id = ${key.id}`
  await meWith(key)
  const [shown] = await list(patron)
  expect(Date.now() - Date.parse(shown?.lastUsedAt ?? '')).toBeLessThan(60_000)
})

describe('once a revocation has answered', () => {
  test('no request that was under way does anything more', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook()])
    const key = await aKey(patron)
    // Its use has been noted, so that the checkout writes nothing to it that a revocation would wait for anyway.
    await meWith(key)
    const waitsForLock = async (verb: string) => {
      const held = await database`
        select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like ${`%${verb}(%`}`
      return held.length > 0
    }
    // Somebody has the patron, so that the checkout is under way all the while.
    const somebody = waiting({ database }, { before: `select from users where id = '${patron.id}' for update` })
    await somebody.atGate()
    const borrowing = borrow({ token: key.key }, book)
    await expect.poll(() => waitsForLock('check_out'), { timeout: 8_000, interval: 20 }).toBe(true)

    let loansAtAnswer: unknown[] | null = null
    const revoking = revoke(patron, key).then(async (answer) => {
      loansAtAnswer = await database`select from loans where user_id = ${patron.id}`
      return answer
    })
    const hasGoneOn = async () => loansAtAnswer !== null || (await waitsForLock('revoke_key'))
    await expect.poll(hasGoneOn, { timeout: 8_000, interval: 20 }).toBe(true)
    await somebody.open()

    const [borrowed, revoked] = await Promise.all([borrowing, revoking])
    expect([borrowed.status, revoked.status], borrowed.text).toEqual([201, 204])
    expect(loansAtAnswer).toHaveLength(1)
  })

  test('of many at once those have been done that say so, and no others', async () => {
    const [patron, ...books] = await Promise.all([aPatron(), aBook(), aBook(), aBook(), aBook()])
    const key = await aKey(patron)
    const asking = books.map((book) => borrow({ token: key.key }, book))
    expect((await revoke(patron, key)).status).toBe(204)
    const [before] = await database`select count(*)::integer as n from loans where user_id = ${patron.id}`
    const statuses = (await Promise.all(asking)).map(({ status }) => status)
    expect(statuses.every((status) => status === 201 || status === 401)).toBe(true)
    expect(before?.['n']).toBe(statuses.filter((status) => status === 201).length)
    expect((await borrow(await logIn(patron.username), await aBook())).status).toBe(201)
  })
})
