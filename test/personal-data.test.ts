import { base64, base64urlnopad } from '@scure/base'
import { TOTP } from 'otpauth'
import { describe, expect, test, vi } from 'vitest'
import { configOf } from '../src/config.ts'
import { openDb } from '../src/db/client.ts'
import { emailHash } from '../src/keyed-hash.ts'
import { isSealed, personalColumns, seal, unseal } from '../src/personal-data.ts'
import { reEncrypt } from '../src/re-encrypt.ts'
import { runTasks } from '../src/scheduled.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Library, libraryWith, PASSWORD } from './support/library.ts'
import { mailTo, tokenIn } from './support/mail.ts'
import { env } from 'cloudflare:workers'

const aKey = () => base64urlnopad.encode(crypto.getRandomValues(new Uint8Array(32)))
const withRing = (library: { env: Cloudflare.Env }, ...ring: string[]) =>
  libraryWith({ ...library.env, PERSONAL_DATA_KEYS: ring.join(',') })

const SOME = '01a20c1c-656d-7ba8-a44c-4c09da1c0b1d'
const OTHER = '01a20c1c-656d-7ba8-a44c-4c09da1c0b1e'
const place = { column: 'users.name', row: SOME } as const

const opens = (...given: Parameters<typeof unseal>) =>
  unseal(...given).then(
    () => true,
    () => false,
  )

describe('an encrypted value', () => {
  const config = configOf(env)

  test('is read where it was written and nowhere else', async () => {
    for (const text of ['Ada', '', '\u{1f4da} Ünïcode\n', 'x'.repeat(500)]) {
      const sealed = await seal(config, place, text)
      expect(await unseal(config, place, sealed)).toBe(text)
      expect(await opens(config, { ...place, row: OTHER }, sealed)).toBe(false)
      for (const column of new Set(personalColumns.map((c) => c.place))) {
        if (column !== place.column) expect(await opens(config, { ...place, column }, sealed)).toBe(false)
      }
    }
  })

  test('that was changed by one bit, cut, or lengthened is refused', async () => {
    const sealed = await seal(config, place, 'Ada Lovelace')
    const [kid = '', body = ''] = sealed.split('.')
    const bytes = base64urlnopad.decode(body)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const bent = Uint8Array.from(bytes)
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(await opens(config, place, `${kid}.${base64urlnopad.encode(bent)}`)).toBe(false)
    }
    for (const other of [sealed.slice(0, -4), `${sealed}AAAA`, body, `${kid}.`, `before.${body}`]) {
      expect(await opens(config, place, other)).toBe(false)
    }
  })

  test('differs each time, so that equal texts do not look equal', async () => {
    const sealed = await Promise.all(Array.from({ length: 200 }, () => seal(config, place, 'Ada')))
    expect(new Set(sealed).size).toBe(200)
  })

  test('of an unknown key, or moved to another row, ends in 500 that tells nothing', async () => {
    const library = await aLibraryApart()
    const { ask, aNewcomer, database } = library
    const [patron, other] = [await aNewcomer(), await aNewcomer()]
    for (const { token } of [patron, other]) {
      expect((await ask('PATCH', '/v1/users/me', { token, body: { name: 'Canary Nightjar' } })).status).toBe(200)
    }
    const [row] = await database`select name from users where id = ${other.id}`
    const moved = String(row?.['name'])
    const unknown = moved.replace(/^[^.]+/, 'gone')
    const logged = vi.spyOn(console, 'log')
    for (const name of [moved, unknown]) {
      await database`update users set name = ${name} where id = ${patron.id}`
      const answer = await ask('GET', '/v1/users/me', { token: patron.token })
      expect(answer.status).toBe(500)
      for (const text of [answer.text, ...logged.mock.calls.map((call) => call.join(' '))]) {
        for (const secret of [name, 'Canary', 'gone']) expect(text).not.toContain(secret)
      }
    }
    logged.mockRestore()
    await library.drop()
  })

  test('has a form that the database knows, too', async () => {
    const sealed = await seal(config, place, '')
    const texts = [
      sealed,
      'ada@example.org',
      '',
      'a.b',
      `${'k'.repeat(33)}.${'A'.repeat(38)}`,
      `k.${'A'.repeat(37)}`,
      `k.${'A'.repeat(38)}`,
      `k.${'A'.repeat(38)}\n`,
      `\nk.${'A'.repeat(38)}`,
      `k.${'A'.repeat(37)}=`,
      `é.${'A'.repeat(38)}`,
    ]
    const library = await aLibraryApart()
    for (const text of texts) {
      const [row] = await library.database`select key_of(${text}) as key`
      expect({ text, isSealed: row?.['key'] !== '' }).toEqual({ text, isSealed: isSealed(text) })
    }
    await library.drop()
  })
})

test('an address is found without regard to case, by its hash, which only whoever has the key can make', async () => {
  const config = configOf(env)
  const another = configOf({ ...env, LOOKUP_KEY: aKey() })
  expect(await emailHash(config, 'Ada@Example.ORG')).toEqual(await emailHash(config, 'ada@example.org'))
  expect(await emailHash(config, 'ada@example.org')).not.toEqual(await emailHash(config, 'ada@example.com'))
  expect(await emailHash(config, 'ada@example.org')).not.toEqual(await emailHash(another, 'ada@example.org'))
})

/** Every row of every table as text. */
async function dumpOf({ database }: Library): Promise<string> {
  const tables = await database`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'm') order by relname`
  const dumps = tables.map(
    ({ name }) => `select coalesce(string_agg((t.*)::text, e'\\n'), '') as rows from "${name}" as t`,
  )
  const rows = await database.query(dumps.join(' union all '))
  return rows
    .map((row) => String(row['rows']))
    .join('\n')
    .toLowerCase()
}

const hexOf = (bytes: Iterable<number>) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')

/** A text in the ways in which a dump may hold it, in lower case. */
function formsOf(text: string): string[] {
  const utf8 = new TextEncoder().encode(text)
  const utf16 = Array.from(text, (c) => c.charCodeAt(0))
  return [
    text,
    JSON.stringify(text).slice(1, -1),
    hexOf(utf8),
    base64.encode(utf8).replaceAll('=', ''),
    base64urlnopad.encode(utf8),
    hexOf(utf16.flatMap((unit) => [unit & 255, unit >> 8])),
    hexOf(utf16.flatMap((unit) => [unit >> 8, unit & 255])),
  ].map((form) => form.toLowerCase())
}

const foundIn = (dump: string, texts: string[]) =>
  texts.filter((text) => formsOf(text).some((form) => dump.includes(form)))

/** Somebody with one of everything, and all of it in plain. */
async function aPersonInPlain({ ask }: Library, n: number): Promise<string[]> {
  const made = `canary${n}x${crypto.randomUUID().slice(0, 8)}`
  const [email, pending, password] = [`${made}@mail.test`, `new-${made}@mail.test`, `${made} wades at dusk`]
  const body = { username: `u${crypto.randomUUID().slice(0, 12)}`, email, password }
  expect((await ask('POST', '/v1/users', { body })).status).toBe(201)
  const device = `Tablet of ${made}`
  const logIn = { username: body.username, password, deviceName: device }
  const first = await ask<{ accessToken: string; refreshToken: string }>('POST', '/v1/sessions', { body: logIn })
  const { accessToken: token, refreshToken } = first.body
  const personal = { name: `Ada ${made}`, phone: `+4420${String(70_000_000 + n)}99`, address: `${made} Row\nWharf` }
  expect((await ask('PATCH', '/v1/users/me', { token, body: personal })).status).toBe(200)
  const factor = await ask<{ secret: string }>('POST', '/v1/users/me/second-factor', { token })
  const code = new TOTP({ secret: factor.body.secret }).generate()
  const confirmed = await ask<{ recoveryCodes: string[] }>('PUT', '/v1/users/me/second-factor/confirmation', {
    token,
    body: { code },
  })
  expect(confirmed.status, confirmed.text).toBe(200)
  const codes = confirmed.body.recoveryCodes.flatMap((c) => [c, c.replaceAll(/[- ]/g, '')])
  const pair = await ask<{ accessToken: string; refreshToken: string }>('POST', '/v1/sessions/refresh', {
    body: { refreshToken },
  })
  expect((await ask('PUT', '/v1/users/me/email', { token, body: { email: pending } })).status).toBe(200)
  const mailed: string[] = []
  await expect
    .poll(async () => mailed.push(...(await mailTo(pending)).map(tokenIn)), { timeout: 20_000 })
    .toBeGreaterThan(0)
  return [
    email,
    pending,
    password,
    device,
    ...Object.values(personal),
    factor.body.secret,
    ...new Set(codes),
    token,
    refreshToken,
    pair.body.accessToken,
    pair.body.refreshToken,
    ...mailed,
  ]
}

test('a dump holds none of a thousand things that people told us or were told by us', async () => {
  const library = await aLibraryApart()
  const texts: string[] = []
  for (let n = 0; n < 40; n += 4) {
    texts.push(...(await Promise.all([0, 1, 2, 3].map((k) => aPersonInPlain(library, n + k)))).flat())
  }
  expect(texts.length).toBeGreaterThan(1000)
  expect(texts.every((text) => text.length >= 10)).toBe(true)
  expect(foundIn(await dumpOf(library), texts)).toEqual([])

  const [first = '', second = '', third = ''] = texts
  await library.database`insert into books (title) values (${first.toUpperCase()})`
  await library.database`insert into recovery_codes (user_id, code_hash) select user_id, rpad(${second}, 32)::bytea from second_factors limit 1`
  await library.database`insert into books (title) values (encode(convert_to(${third}, 'UTF8'), 'base64'))`
  expect(foundIn(await dumpOf(library), texts)).toEqual([first, second, third])
  await library.drop()
}, 120_000)

describe('encrypting anew', () => {
  const left = async ({ database }: Library) => {
    const rows = await database`
      select distinct key_of(v) as key from users, unnest(array[email, pending_email, name, phone, address]) as v
      where v is not null order by key`
    return rows.map((row) => String(row['key']))
  }

  test('goes on while people change their data: nothing is lost, and the old key can go', async () => {
    const library = await aLibraryApart()
    const [k1, k2] = [`k1:${aKey()}`, `k2:${aKey()}`]
    const old = withRing(library, k1, k2)
    const both = withRing(library, k2, k1)
    const people = await Promise.all(Array.from({ length: 12 }, () => old.aNewcomer()))
    const change = ({ ask }: Library, { token }: { token: string }, name: string) =>
      ask('PATCH', '/v1/users/me', { token, body: { name, phone: '+44 20 7946 0018' } })
    const nameOf = async ({ ask }: Library, { token }: { token: string }) =>
      (await ask<{ name: string }>('GET', '/v1/users/me', { token })).body.name
    for (let round = 0; round < 10; round++) {
      for (const person of people) expect((await change(old, person, `Old ${round}`)).status).toBe(200)
      expect(await nameOf(both, people[0] ?? { token: '' })).toBe(`Old ${round}`)
      const changing = people.slice(0, 6)
      const config = configOf(both.env)
      await Promise.all([
        reEncrypt(config, openDb({ config, onRoundTrip: () => undefined })),
        ...changing.map(async (person) => expect((await change(both, person, `New ${round}`)).status).toBe(200)),
      ])
      const names = await Promise.all(people.map((person) => nameOf(both, person)))
      expect(names).toEqual([...changing.map(() => `New ${round}`), ...people.slice(6).map(() => `Old ${round}`)])
    }
    await runTasks(configOf(both.env))
    expect(await left(library)).toEqual(['k2'])
    const without = withRing(library, k2)
    for (const person of people)
      expect((await without.ask('GET', '/v1/users/me', { token: person.token })).status).toBe(200)
    await library.drop()
  })

  test('takes along what was there before encryption, and leaves what it cannot open', async () => {
    const library = await aLibraryApart()
    const [k1, k2] = [`k1:${aKey()}`, `k2:${aKey()}`]
    const old = withRing(library, k1)
    const both = withRing(library, k2, k1)
    const [plain, broken, sound] = [await old.aNewcomer(), await old.aNewcomer(), await old.aNewcomer()]
    await library.database`
      update users set email = ${`Canary-${plain.email}`}, pending_email = null, pending_email_hash = null, email_hash = null where id = ${plain.id}`
    await library.database`update users set name = ${`k1.${'A'.repeat(60)}`} where id = ${broken.id}`
    const logged = vi.spyOn(console, 'log')
    await runTasks(configOf(both.env))
    const lines = logged.mock.calls.map((call) => String(call[0])).filter((line) => line.includes('re_encrypt.failed'))
    logged.mockRestore()
    expect(lines.length).toBeGreaterThan(0)
    const [row] = await library.database`select name, key_of(pending_email) as key from users where id = ${broken.id}`
    expect(row?.['key']).toBe('k2')
    expect(row?.['name']).toBe(`k1.${'A'.repeat(60)}`)
    const [moved] =
      await library.database`select email, encode(email_hash, 'hex') as hash from users where id = ${plain.id}`
    expect(String(moved?.['email'])).toMatch(/^k2\./)
    expect(moved?.['hash']).toBe(hexOf(await emailHash(configOf(both.env), `canary-${plain.email}`)))
    const me = await both.ask<{ email: string }>('GET', '/v1/users/me', { token: plain.token })
    expect(me.body.email).toBe(`Canary-${plain.email}`)
    expect((await both.ask('GET', '/v1/users/me', { token: sound.token })).status).toBe(200)
    const logIn = { username: `canary-${plain.email}`, password: PASSWORD }
    expect((await both.ask('POST', '/v1/sessions', { body: logIn })).status).toBe(201)
    await library.drop()
  })

  test('reads no table when there is nothing to do', async () => {
    const library = await aLibraryApart()
    const { database } = library
    await database`
      insert into users (username, password_hash, name) select 'patron' || n, '-', 'now.' || repeat('A', 60) from generate_series(1, 20000) as n`
    await database`analyze users`
    const rows = await database`
      explain (analyze, format text) select * from users
      where keys_of(array[email, pending_email, name, phone, address]) && array(select jsonb_array_elements_text('["","before"]'::jsonb))
        and id > '00000000-0000-0000-0000-000000000000'
      order by id limit 100`
    const plan = rows.map((row) => String(row['QUERY PLAN'])).join('\n')
    expect(plan).toContain('users_by_key')
    expect(plan).not.toContain('Rows Removed by Filter')
    await library.drop()
  })
})
