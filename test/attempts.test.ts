import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import type { Tokens } from '../src/features/sessions/schema.ts'
import { keyedHash } from '../src/keyed-hash.ts'
import { hashPassword } from '../src/features/users/password.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Answer, type Library, PASSWORD, problemOf } from './support/library.ts'

/** Guessing passwords: what is counted, exactly, and what the owner of an account that is attacked notices of it. */

/** A library in which no time passes for attempts but what a test lets pass: fifty at once may take longer than the first
 *  wait, which is a second. */
const { aNewcomer, ask, database } = await aLibraryApart({
  edits: [
    {
      function: 'take_attempt',
      replace: 'moment := clock_timestamp()',
      by: `moment := '2100-01-01 00:00Z'::timestamptz`,
    },
  ],
})

const HOME = '192.0.2.7'
let next = 0
/** Of a network that has more of them than anybody can count. */
const anywhere = () => `2001:db8:${(next++).toString(16)}:${Math.floor(Math.random() * 65_536).toString(16)}::9`

const logIn = (username: string, { from = anywhere(), password = PASSWORD } = {}) =>
  ask<Tokens>('POST', '/v1/sessions', { body: { username, password }, headers: { 'cf-connecting-ip': from } })

const guess = (username: string, from = anywhere()) => logIn(username, { from, password: 'not the password' })

const statusOf = ({ status }: Answer) => status
const countOf = (answers: Answer[], wanted: number) => answers.filter(({ status }) => status === wanted).length
const waitOf = ({ headers }: Answer) => Number(headers.get('retry-after'))

const config = readConfig(env)

/** Accounts with the usual password, which is hashed once for all of them. */
async function accounts(count: number, { database: at }: Pick<Library, 'database'> = { database }) {
  const passwordHash = await hashPassword(config, PASSWORD)
  const names = Array.from({ length: count }, () => `g${crypto.randomUUID().slice(0, 18)}`)
  await at`select create_user(uuidv7(), n, ${passwordHash}, 'patron', null, null) from unnest(${names}::text[]) as n`
  return names.map((username) => ({ username }))
}

type Key = [purpose: string, ...texts: string[]]

/** As if so many seconds had passed for whatever counts these. */
const letPass = async (seconds: number, [purpose, ...texts]: Key) => {
  const hash = await keyedHash(config, purpose, ...texts)
  const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return database`
    update attempts
    set wait_until = wait_until - make_interval(secs => ${seconds}), last_at = last_at - make_interval(secs => ${seconds})
    where key_hash = decode(${hex}, 'hex')`
}

describe('guesses from one address at one account', () => {
  test('of fifty at once exactly five are compared, and the others are told to wait', async () => {
    const { username } = await aNewcomer()
    const answers = await Promise.all(Array.from({ length: 50 }, () => guess(username, '198.51.100.1')))
    expect([countOf(answers, 401), countOf(answers, 429)]).toEqual([5, 45])
    const refused = answers.find(({ status }) => status === 429)
    expect(refused && problemOf(refused)).toBe('too-many-attempts')
    expect(
      await database`select id from security_events where kind = 'login-failed' and user_id =
      (select id from users where username = ${username})`,
    ).toHaveLength(5)
  })

  test('wait twice as long each time, up to a quarter of an hour, and a day later begin anew', async () => {
    const { username } = await aNewcomer()
    const from = '198.51.100.2'
    for (let n = 0; n < 4; n++) expect(statusOf(await guess(username, from))).toBe(401)
    const waits: number[] = []
    for (let n = 0; n < 13; n++) {
      expect(statusOf(await guess(username, from))).toBe(401)
      const refused = await guess(username, from)
      expect(statusOf(refused)).toBe(429)
      waits.push(waitOf(refused))
      for (const key of [
        ['login', username, from],
        ['login-account', username],
        ['login-address', from],
      ] satisfies Key[]) {
        await letPass(3_600, key)
      }
    }
    expect(waits.map((wait, n) => Math.abs(wait - Math.min(2 ** n, 900)) <= 1)).toEqual(Array(13).fill(true))
    await letPass(86_400, ['login', username, from])
    await letPass(86_400, ['login-account', username])
    await letPass(86_400, ['login-address', from])
    for (let n = 0; n < 5; n++) expect(statusOf(await guess(username, from))).toBe(401)
  })

  test('are forgotten when the right password comes', async () => {
    const { username } = await aNewcomer()
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 4; n++) expect(statusOf(await guess(username, HOME))).toBe(401)
      expect(statusOf(await logIn(username, { from: HOME }))).toBe(201)
    }
  })

  test('do not find the right password while they have to wait', async () => {
    const { username } = await aNewcomer()
    const from = '198.51.100.3'
    for (let n = 0; n < 5; n++) await guess(username, from)
    const answer = await logIn(username, { from })
    expect([answer.status, problemOf(answer)]).toEqual([429, 'too-many-attempts'])
  })
})

describe('an account under attack from everywhere', () => {
  test('has ten guesses compared of sixty at once', async () => {
    const { username } = await aNewcomer()
    // The login of aNewcomer itself came from an address of its own, and counts no more.
    const answers = await Promise.all(Array.from({ length: 60 }, () => guess(username)))
    expect([countOf(answers, 401), countOf(answers, 429)]).toEqual([10, 50])
  })

  test('still opens for its owner from an address where they have logged in before, and from nowhere else', async () => {
    const { username } = await aNewcomer()
    expect(statusOf(await logIn(username, { from: HOME }))).toBe(201)
    await Promise.all(Array.from({ length: 40 }, () => guess(username)))
    expect(statusOf(await logIn(username, { from: HOME }))).toBe(201)
    expect(statusOf(await logIn(username, { from: anywhere() }))).toBe(429)
    // The same network of 64 bits is the same place.
    const [one, other] = ['2001:db8:77:88::1', '2001:db8:77:88:ffff::2']
    const { username: second } = await aNewcomer()
    expect(statusOf(await logIn(second, { from: one }))).toBe(201)
    await Promise.all(Array.from({ length: 40 }, () => guess(second)))
    expect(statusOf(await logIn(second, { from: other }))).toBe(201)
  })

  test('does not keep its owner out with guesses from the owner’s own address beyond their waits', async () => {
    const { username } = await aNewcomer()
    expect(statusOf(await logIn(username, { from: HOME }))).toBe(201)
    for (let n = 0; n < 5; n++) await guess(username, HOME)
    const refused = await logIn(username, { from: HOME })
    expect([refused.status, waitOf(refused)]).toEqual([429, 1])
    await letPass(2, ['login', username, HOME])
    expect(statusOf(await logIn(username, { from: HOME }))).toBe(201)
  })
})

describe('many accounts tried from one place', () => {
  test('are thirty guesses together, however the addresses of the network are varied', async () => {
    const people = await accounts(40)
    const prefix = `2001:db8:99:${Math.floor(Math.random() * 65_536).toString(16)}`
    const answers = await Promise.all(
      people.map(({ username }, n) => guess(username, `${prefix}:${n.toString(16)}::1`)),
    )
    expect([countOf(answers, 401), countOf(answers, 429)]).toEqual([30, 10])
  })

  test('are not reset by logging in to an account of one’s own', async () => {
    const [own, ...people] = await accounts(42)
    const from = anywhere()
    if (own) expect(statusOf(await logIn(own.username, { from }))).toBe(201)
    const statuses: number[] = []
    for (const { username } of people) {
      statuses.push(statusOf(await guess(username, from)))
      // Not every time: sixty requests a minute are what the brake lets through.
      if (own && statuses.length % 3 === 0) expect(statusOf(await logIn(own.username, { from }))).toBe(201)
    }
    // The thirtieth begins the waits, and they grow faster than the time that passes here.
    expect(statuses.slice(0, 30)).toEqual(Array(30).fill(401))
    expect(statuses.slice(30).filter((status) => status === 401).length).toBeLessThan(6)
  }, 60_000)
})

describe('stuffing', () => {
  test('a list of stolen pairs opens no more than chance, from one place or from many', async () => {
    const library = await aLibraryApart()
    const victims = await accounts(15, library)
    const pairs = victims.flatMap(({ username }) => Array.from({ length: 20 }, (_, n) => ({ username, n })))
    const tried: Answer[] = []
    for (let n = 0; n < 20; n++) {
      const round = pairs.filter((pair) => pair.n === n)
      const answers = round.map(({ username }) =>
        library.ask('POST', '/v1/sessions', {
          body: { username, password: `stolen password ${n}` },
          headers: { 'cf-connecting-ip': `203.0.113.${n}` },
        }),
      )
      tried.push(...(await Promise.all(answers)))
    }
    // Of 300 guesses from 20 places ten an account are compared, and what little the waits of a second let through.
    expect(countOf(tried, 201)).toBe(0)
    expect(countOf(tried, 401)).toBeGreaterThanOrEqual(150)
    expect(countOf(tried, 401)).toBeLessThan(220)
    expect(countOf(tried, 401) + countOf(tried, 429)).toBe(300)
    await library.drop()
  }, 60_000)
})

describe('nobody learns whether an account exists', () => {
  test('from what is counted: an unknown name is told to wait after as many guesses, by the same words', async () => {
    const { username } = await aNewcomer()
    const unknown = `nobody${crypto.randomUUID().slice(0, 8)}`
    const [ofOne, ofNone] = await Promise.all(
      [username, unknown].map(async (name) => {
        const answers: Answer[] = []
        const from = anywhere()
        for (let n = 0; n < 8; n++) answers.push(await guess(name, from))
        return answers.map((answer) => [answer.status, problemOf(answer), [...answer.headers.keys()].toSorted()])
      }),
    )
    expect(ofNone).toEqual(ofOne)
  })

  test('from registering with its address, or asking for a new password', async () => {
    const known = await aNewcomer()
    await database`update users set email = pending_email, email_hash = pending_email_hash where id = ${known.id}`
    const shapes = await Promise.all(
      [known.email, `${crypto.randomUUID()}@mail.test`].map(async (email) => {
        const username = `r${crypto.randomUUID().slice(0, 12)}`
        const registered = await ask('POST', '/v1/users', { body: { username, email, password: PASSWORD } })
        const reset = await ask('POST', '/v1/auth/password-reset-requests', { body: { email } })
        const keys = Object.keys(registered.body as object)
        return [registered.status, keys, reset.status, reset.text, [...reset.headers.keys()].toSorted()]
      }),
    )
    expect(shapes[0]).toEqual(shapes[1])
    expect(shapes[0]?.[0]).toBe(201)
  })
})

describe('a stolen session', () => {
  test('is no way to guess the password: of twenty changes at once five are compared', async () => {
    const patron = await aNewcomer()
    const change = (currentPassword: string) =>
      ask('PUT', '/v1/users/me/password', {
        token: patron.token,
        body: { currentPassword, newPassword: 'eleven otters cross the weir' },
      })
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => change(`a wrong one ${n}`)))
    expect([countOf(answers, 403), countOf(answers, 429)]).toEqual([5, 15])
    expect(statusOf(await change(PASSWORD))).toBe(429)
    await letPass(3_600, ['password-change', patron.id])
    expect(statusOf(await change(PASSWORD))).toBe(204)
  })
})

describe('the brake', () => {
  test('stops a flood from one address before a hash is computed, and the next address comes through', async () => {
    const from = anywhere()
    const body = { email: 'nobody@mail.test' }
    const flood = await Promise.all(
      Array.from({ length: 90 }, () =>
        ask('POST', '/v1/auth/password-reset-requests', { body, headers: { 'cf-connecting-ip': from } }),
      ),
    )
    expect(countOf(flood, 429)).toBeGreaterThan(0)
    const refused = flood.find(({ status }) => status === 429)
    expect(refused && [problemOf(refused), waitOf(refused)]).toEqual(['too-many-requests', 60])
    const other = await ask('POST', '/v1/auth/password-reset-requests', { body })
    expect(statusOf(other)).toBe(202)
  })

  test('goes by the address that the platform names, whatever else a client says of itself', async () => {
    const from = anywhere()
    const flood = await Promise.all(
      Array.from({ length: 90 }, (_, n) =>
        ask('POST', '/v1/auth/password-check', {
          body: { password: 'x' },
          headers: {
            'cf-connecting-ip': from,
            'x-forwarded-for': `203.0.113.${n}`,
            'x-real-ip': `203.0.113.${n}`,
            forwarded: `for=203.0.113.${n}`,
            'true-client-ip': `203.0.113.${n}`,
          },
        }),
      ),
    )
    expect(countOf(flood, 429)).toBeGreaterThan(0)
  })
})
