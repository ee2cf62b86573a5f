import { describe, expect, test } from 'vitest'
import { columnClasses } from '../src/db/column-classes.ts'
import type { Erasure, Export } from '../src/features/own-data/schema.ts'
import type { Hold } from '../src/features/holds/schema.ts'
import { expectConsistent } from './support/consistent.ts'
import { factor } from './support/effort.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Library, PASSWORD, type Person, problemOf } from './support/library.ts'
import { awaitMail, tokenIn } from './support/mail.ts'

/** What people may ask for of their own: all that is held about them, and to have it erased. */

const erase = ({ ask }: Library, { token }: { token: string }) => ask<Erasure>('DELETE', '/v1/users/me', { token })
const takeAlong = ({ ask }: Library, { token }: { token: string }) =>
  ask<Export>('GET', '/v1/users/me/export', { token })

const hex = (text: string) =>
  Array.from(new TextEncoder().encode(text), (b) => b.toString(16).padStart(2, '0')).join('')

/** The tables in which one of the texts stands, plainly or in bytes. */
async function tablesWith({ database }: Library, texts: string[]): Promise<string[]> {
  const needles = texts.flatMap((text) => [
    text.toLowerCase(),
    hex(text),
    hex(text.toLowerCase()),
    text.replaceAll('-', '').toLowerCase(),
  ])
  const tables = await database`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'm') order by relname`
  const scans = tables.map(
    ({ name }) => `
      select '${name}' as "table" where exists (
        select from "${name}" as t, unnest($1::text[]) as needle where position(needle in lower((t.*)::text)) > 0
      )`,
  )
  return (await database.query(scans.join(' union all '), [needles])).map((row) => String(row['table']))
}

/** Everything of an account by which it could be found again. */
async function marksOf({ database }: Library, { id, username, email }: Person): Promise<string[]> {
  const rows = await database`
    select array_remove(array[u.password_hash, encode(u.email_hash, 'hex'), encode(u.pending_email_hash, 'hex'), u.email]
      || array(select encode(a.address_hash, 'hex') from known_addresses a where a.user_id = u.id)
      || array(select encode(t.token_hash, 'hex') from refresh_tokens t join sessions s on s.id = t.session_id where s.user_id = u.id)
      || array(select encode(t.token_hash, 'hex') from mailed_tokens t where t.user_id = u.id)
      || array(select encode(c.code_hash, 'hex') from recovery_codes c where c.user_id = u.id)
      || array(select s.id::text from sessions s where s.user_id = u.id), null) as marks
    from users u where u.id = ${id}`
  return [id, username, email, ...((rows[0]?.['marks'] ?? []) as string[])]
}

/** A patron about whom the library holds one of everything that does not speak against erasing. */
async function aLife(library: Library) {
  const { aBook, aHold, aLoan, aNewcomer, ask, database, giveBack, logIn, theStaff } = library
  const [first, staff, holder] = [await aNewcomer(), await theStaff(), await aNewcomer()]
  const code = { token: tokenIn(await awaitMail(first.email, /^Confirm/)) }
  expect((await ask('POST', '/v1/auth/email-confirmations', { body: code })).status).toBe(204)
  const patron = { ...first, ...(await logIn(first.username)) }
  const { token } = patron
  const changes = {
    name: 'Canary Nightjar',
    phone: '+44 20 7946 0999',
    address: '9 Canary Row\nWharf',
    keepHistory: true,
  }
  expect((await ask('PATCH', '/v1/users/me', { token, body: changes })).status).toBe(200)
  const device = { username: patron.username, password: PASSWORD, deviceName: 'Canary tablet' }
  expect((await ask('POST', '/v1/sessions', { body: device })).status).toBe(201)
  expect((await ask('PUT', '/v1/users/me/email', { token, body: { email: `canary-${patron.email}` } })).status).toBe(
    200,
  )
  const key = { name: 'Canary reader', scopes: ['read'] }
  expect((await ask('POST', '/v1/users/me/keys', { token, body: key })).status).toBe(201)
  await giveBack(patron, await aLoan(patron, await aBook()))
  const wanted = await aBook()
  const theirs = await aLoan(holder, wanted)
  const hold = await aHold(patron, wanted)
  const next = await aNewcomer()
  const second = await aHold(next, wanted)
  await giveBack(holder, theirs)
  const reason = 'Canary letters came back'
  const block = { userId: patron.id, reason }
  expect((await ask('POST', '/v1/blocks', { token: staff.token, body: block })).status).toBe(201)
  await database`insert into second_factors (user_id, secret, confirmed_at) values (${patron.id}, 'k.x', now())`
  await database`insert into recovery_codes (user_id, code_hash) values (${patron.id}, sha256('a code'))`
  return {
    patron,
    staff,
    next,
    hold,
    second,
    canaries: [...Object.values(changes).map(String), device.deviceName, reason],
  }
}

describe('everything that is held about me', () => {
  test('comes as one document to keep, with every canary of mine and nothing of others', async () => {
    const library = await aLibraryApart()
    const { patron, staff, next, hold, canaries } = await aLife(library)
    const { ask, aBook, aCopy } = library
    const byStaff = async (path: string, body: object) => {
      const made = await ask<{ id: string }>('POST', path, { token: staff.token, body })
      expect(made.status, made.text).toBe(201)
      return made.body
    }
    const fee = await byStaff('/v1/fees', { userId: patron.id, amount: 90, note: 'Canary card' })
    await byStaff(`/v1/fees/${fee.id}/payments`, { amount: 40, reference: 'Canary till' })
    const { barcode } = await aCopy(await aBook({ copies: 0 }))
    await byStaff('/v1/loans', { barcode, userId: patron.id, override: { reason: 'Canary override' } })
    const answer = await takeAlong(library, patron)
    expect(answer.status, answer.text).toBe(200)
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="lectern-export.json"')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const [name, phone, address, , device, reason] = canaries
    const canaryIn: Record<string, string | undefined> = {
      'users.username': patron.username,
      'users.email': `"${patron.email}"`,
      'users.pendingEmail': `canary-${patron.email}`,
      'users.name': name,
      'users.phone': phone,
      'users.address': address,
      'sessions.deviceName': device,
      'apiKeys.name': 'Canary reader',
      'blocks.reason': reason,
      'fees.note': 'Canary card',
      'feeEntries.reason': 'Canary till',
      'events.details': 'Canary override',
      // The same address as the account's.
      'messages.recipient': `"${patron.email}"`,
    }
    // Whoever is suspended exports nothing; and what an answer said stands in the things that it told of.
    const elsewhere = ['users.suspensionReason', 'idempotencyKeys.answer']
    const personal = Object.entries(columnClasses).flatMap(([table, classes]) =>
      Object.entries(classes)
        .filter(([, given]) => given === 'personal' || given === 'personal (written)')
        .map(([column]) => `${table}.${column}`),
    )
    expect([...Object.keys(canaryIn), ...elsewhere].toSorted()).toEqual(personal.toSorted())
    for (const [column, canary = column] of Object.entries(canaryIn)) {
      expect(answer.text, column).toContain(canary.replace('\n', '\\n'))
    }
    for (const { id, username, email } of [staff, next]) {
      for (const name of [id, username, email]) expect(answer.text).not.toContain(name)
    }
    const { body } = answer
    expect(body.sessions.length).toBe(3)
    expect(body.history.length).toBe(1)
    expect(body.holds.map(({ id }) => id)).toEqual([hold.id])
    expect(body.blocks.length).toBe(1)
    expect(body.secondFactor.recoveryCodesLeft).toBe(1)
    expect(body.knownAddresses).toBeGreaterThan(0)
    expect(body.events.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['hold.placed', 'hold.ready', 'block.set']),
    )
    expect(body.securityEvents.map(({ kind }) => kind)).toContain('login')
    expect(body.acts).toEqual([])
    const acts = (await takeAlong(library, staff)).body.acts
    expect(acts.find(({ kind }) => kind === 'block.set')?.count).toBe(1)
    await library.drop()
  })
})

describe('an erased account', () => {
  test('leaves nothing that names it, passes on its copies, and a receipt that names nobody', async () => {
    const library = await aLibraryApart()
    const { patron, next, second } = await aLife(library)
    const marks = await marksOf(library, patron)
    expect(marks.length).toBeGreaterThan(9)
    expect(await tablesWith(library, marks)).toEqual(
      expect.arrayContaining(['users', 'sessions', 'refresh_tokens', 'events']),
    )
    const answer = await erase(library, patron)
    expect(answer.status, answer.text).toBe(200)
    expect(answer.body.counts).toMatchObject({ holds: 1, blocks: 1, history: 1, sessions: 3 })
    expect(await tablesWith(library, marks)).toEqual([])
    const passedOn = await library.ask<Hold>('GET', `/v1/holds/${second.id}`, { token: next.token })
    expect(passedOn.body.state).toBe('ready')
    expect(problemOf(await library.ask('GET', '/v1/users/me', { token: patron.token }))).toBe('session-ended')
    const kept = await library.database`select id, counts from erasures`
    expect(kept).toEqual([{ id: answer.body.id, counts: answer.body.counts }])
    await awaitMail(patron.email, /erased/)
    await expectConsistent(library.database)
    await library.drop()
  })

  test('of staff is forgotten by the log and the ledger, which stay as they were', async () => {
    const library = await aLibraryApart()
    const { aNewcomer, ask, database, logIn, theStaff } = library
    await theStaff()
    const [made, patron] = [await aNewcomer(), await aNewcomer()]
    await database`update users set role = 'staff' where id = ${made.id}`
    const leaver = { ...made, ...(await logIn(made.username)) }
    const fee = await ask('POST', '/v1/fees', {
      token: leaver.token,
      body: { userId: patron.id, amount: 90, note: 'A card' },
    })
    expect(fee.status).toBe(201)
    const ledger = () => database`select id, fee_id, kind, amount, created_at from fee_entries order by id`
    const before = await ledger()
    const marks = await marksOf(library, leaver)
    expect(await tablesWith(library, marks)).toEqual(expect.arrayContaining(['events', 'fee_entries']))
    expect((await erase(library, leaver)).body.counts).toMatchObject({ events: 1, feeEntries: 1 })
    expect(await tablesWith(library, marks)).toEqual([])
    expect(await ledger()).toEqual(before)
    await expect(database`update events set actor_id = ${patron.id} where actor_role = 'staff'`).rejects.toThrow(
      'names nobody else',
    )
    await expect(database`update fee_entries set actor_id = ${patron.id}`).rejects.toThrow('append-only')
    await library.drop()
  })

  test('whose registration is kept for an Idempotency-Key is forgotten there, too', async () => {
    const library = await aLibraryApart()
    const [username, headers] = ['canary.lark', { 'idempotency-key': 'a-key' }]
    const body = { username, email: `${username}@mail.test`, password: PASSWORD }
    const made = await library.ask<{ id: string }>('POST', '/v1/users', { body, headers })
    const patron = { ...made.body, username, email: body.email, ...(await library.logIn(username)) }
    expect(await tablesWith(library, [made.body.id])).toContain('idempotency_keys')
    expect((await erase(library, patron)).status).toBe(200)
    expect(await tablesWith(library, [made.body.id, username])).toEqual([])
    await library.drop()
  })

  test('stays while something is lent or owed, or nobody else is staff', async () => {
    const library = await aLibraryApart()
    const { aBook, aLoan, aMemberOfStaff, aNewcomer, ask, giveBack, theStaff } = library
    const [staff, patron] = [await theStaff(), await aNewcomer()]
    expect(problemOf(await erase(library, staff))).toBe('last-member-of-staff')
    const loan = await aLoan(patron, await aBook())
    expect(problemOf(await erase(library, patron))).toBe('loans-open')
    const body = { userId: patron.id, amount: 100, note: 'A card' }
    const fee = await ask<{ id: string }>('POST', '/v1/fees', { token: staff.token, body })
    await giveBack(patron, loan)
    expect(problemOf(await erase(library, patron))).toBe('fees-owed')
    await ask('POST', `/v1/fees/${fee.body.id}/payments`, { token: staff.token, body: { amount: 100 } })
    expect((await erase(library, patron)).status).toBe(200)
    const other = await aMemberOfStaff()
    const left = await Promise.all([erase(library, staff), erase(library, other)])
    expect(left.map((answer) => problemOf(answer) ?? answer.status).toSorted()).toEqual([200, 'last-member-of-staff'])
    await library.drop()
  })
})

describe('erasing at the same moment as', () => {
  type Race = (library: Library, patron: Person) => Promise<() => Promise<{ status: number }>>
  const races: Record<string, Race> = {
    'a checkout': async ({ aBook, borrow }, patron) => {
      const book = await aBook()
      return () => borrow(patron, book)
    },
    'a hold that becomes ready': async ({ aBook, aHold, aLoan, aNewcomer, giveBack }, patron) => {
      const [book, holder] = [await aBook(), await aNewcomer()]
      const loan = await aLoan(holder, book)
      await aHold(patron, book)
      return () => giveBack(holder, loan)
    },
    'a fee': async ({ ask, theStaff }, { id: userId }) => {
      const { token } = await theStaff()
      return () => ask('POST', '/v1/fees', { token, body: { userId, amount: 5, note: 'A card' } })
    },
    'a return': async ({ aBook, aLoan, giveBack }, patron) => {
      const loan = await aLoan(patron, await aBook())
      return () => giveBack(patron, loan)
    },
    'a renewal': async ({ aBook, aLoan, ask }, patron) => {
      const loan = await aLoan(patron, await aBook())
      return () => ask('POST', `/v1/loans/${loan.id}/renewals`, { token: patron.token })
    },
    itself: async (library, patron) => () => erase(library, patron),
    'a login':
      async ({ ask }, { username }) =>
      () =>
        ask('POST', '/v1/sessions', { body: { username, password: PASSWORD } }),
    'a refresh':
      async ({ ask }, { refreshToken }) =>
      () =>
        ask('POST', '/v1/sessions/refresh', { body: { refreshToken } }),
  }

  test.each(Object.entries(races))('%s does either, and never half', async (_, race) => {
    const library = await aLibraryApart()
    await library.theStaff()
    for (let round = 0; round < 5 * factor; round++) {
      const patron = await library.aNewcomer()
      const other = await race(library, patron)
      const marks = await marksOf(library, patron)
      const [erased, done] = await Promise.all([erase(library, patron), other()])
      expect([200, 401, 409, 503]).toContain(erased.status)
      expect(done.status).not.toBe(500)
      const isThere = (await library.database`select id from users where id = ${patron.id}`).length > 0
      if (isThere) expect(erased.status).not.toBe(200)
      else expect(await tablesWith(library, marks)).toEqual([])
      await expectConsistent(library.database)
    }
    await library.drop()
  })
})
