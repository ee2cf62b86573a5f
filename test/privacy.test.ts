import { describe, expect, test } from 'vitest'
import { configOf } from '../src/config.ts'
import type { Block } from '../src/features/blocks/schema.ts'
import type { Fee } from '../src/features/fees/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import type { Page } from '../src/page.ts'
import { runTasks } from '../src/scheduled.ts'
import type { Edit } from './support/commands.ts'
import { aLibraryApart } from './support/laboratory.ts'
import type { Library, Person } from './support/library.ts'

/** What the database still says of a patron, read as somebody would who has stolen a dump of it. */

type Found = { table: string; row: string }

const hexOf = (text: string) =>
  Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, '0')).join('')

/** Every row of every table that names the person by id, username or email address, plainly or in bytes. */
async function whereNamed({ database }: Library, { id, username, email }: Person): Promise<Found[]> {
  const names = [id, username, email].map((name) => name.toLowerCase())
  const needles = [...names, id.replaceAll('-', ''), ...names.map(hexOf), ...[id, username, email].map(hexOf)]
  const tables = await database`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'm')
    order by relname`
  expect(tables.length).toBeGreaterThan(15)
  const scans = tables.map(
    ({ name }) => `
      select '${name}' as "table", (scanned.*)::text as row from "${name}" as scanned
      where exists (select from unnest($1::text[]) as needle where position(needle in lower((scanned.*)::text)) > 0)`,
  )
  return (await database.query(scans.join(' union all '), [needles])) as Found[]
}

/** The account itself, where it is logged in and from where, what happened to it, and messages to its owner. */
const ACCOUNT = new Set([
  'known_addresses',
  'loan_counters',
  'mailed_tokens',
  'messages',
  'refresh_tokens',
  'security_events',
  'sessions',
  'users',
])
const beyondTheAccount = (found: Found[]) => found.filter(({ table }) => !ACCOUNT.has(table))

type Matter = { table: 'loans' | 'holds' | 'fees' | 'blocks'; id: string }

/** Named where the account is, and where an open matter is: its row, its events and the answers about it. */
async function expectOnlyOf(library: Library, patron: Person, matters: Matter[]) {
  const found = await whereNamed(library, patron)
  const elsewhere = beyondTheAccount(found).filter(
    ({ table, row }) =>
      !matters.some(
        (matter) => row.includes(matter.id) && [matter.table, 'events', 'idempotency_keys'].includes(table),
      ),
  )
  expect(elsewhere).toEqual([])
  const tables = new Set(found.map(({ table }) => table))
  expect([...tables]).toEqual(
    expect.arrayContaining(['loan_counters', 'sessions', 'users', ...matters.map(({ table }) => table)]),
  )
}

const TERMS = ['update policies set fee_per_day = 25, fee_max = 500, lost_fee = 900, grace_days = 0, fee_limit = 5000']

/** All that a patron can do in a library, and have done to them; `look` is called with what is open at each step. */
async function aLifeIn(library: Library, look: (patron: Person, open: Matter[]) => Promise<void> = async () => {}) {
  const { aBook, aCopy, aHold, aLoan, aPatron, ask, borrow, database, giveBack, queue, theStaff } = library
  const [patron, holder, staff] = [await aPatron(), await aPatron(), await theStaff()]
  const keyed = () => ({ headers: { 'idempotency-key': crypto.randomUUID() } })

  async function must<T>(call: ReturnType<typeof ask<T>>): Promise<T> {
    const answer = await call
    expect(answer.status, answer.text).toBeLessThan(300)
    return answer.body
  }
  const byStaff = <T>(method: string, path: string, body?: object) =>
    must(ask<T>(method, path, { token: staff.token, ...(body && { body }), ...keyed() }))
  const byPatron = <T>(method: string, path: string, body?: object) =>
    must(ask<T>(method, path, { token: patron.token, ...(body && { body }), ...keyed() }))
  const makeLate = ({ id }: Loan, days: number) =>
    database`
      update loans
      set checked_out_at = clock() - interval '90 days', due_at = end_of_day(today() - ${days}::integer)
      where id = ${id}`
  const openFee = async () => {
    const [fee] = (await byPatron<Page<Fee>>('GET', '/v1/fees')).items
    return { table: 'fees', id: fee?.id ?? '', balance: fee?.balance } as const
  }
  const loanOf = ({ id }: { id: string }) => ({ table: 'loans', id }) as const
  const holdOf = ({ id }: { id: string }) => ({ table: 'holds', id }) as const
  const blockOf = ({ id }: { id: string }) => ({ table: 'blocks', id }) as const

  const long = await must(borrow(patron, await aBook(), keyed()))
  await look(patron, [loanOf(long)])
  await makeLate(long, 4)
  await byPatron('POST', `/v1/loans/${long.id}/renewals`)
  const renewed = await openFee()
  expect(renewed.balance).toBe(100)
  await look(patron, [loanOf(long), renewed])
  await byStaff('POST', `/v1/fees/${renewed.id}/payments`, { amount: 40, reference: 'Till 2' })
  await look(patron, [loanOf(long), renewed])
  await byStaff('POST', `/v1/fees/${renewed.id}/waivers`, { amount: 60, reason: 'It rained in' })
  await look(patron, [loanOf(long)])

  const popular = await aBook()
  const theirs = await aLoan(holder, popular)
  const hold = await must(queue(patron, popular, keyed()))
  await byPatron('PUT', `/v1/holds/${hold.id}/suspension`, {
    until: new Date(Date.now() + 9 * 86_400_000).toISOString().slice(0, 10),
  })
  await byPatron('DELETE', `/v1/holds/${hold.id}/suspension`)
  await look(patron, [loanOf(long), holdOf(hold)])
  await giveBack(holder, theirs)
  await look(patron, [loanOf(long), holdOf(hold)])
  const collected = await must(borrow(patron, popular, keyed()))
  await look(patron, [loanOf(long), loanOf(collected)])
  const other = await aBook()
  await aLoan(holder, other)
  const given = await aHold(patron, other)
  await byPatron('DELETE', `/v1/holds/${given.id}`)
  await byStaff('PUT', `/v1/loans/${collected.id}/claimed-return`)
  await byStaff('DELETE', `/v1/loans/${collected.id}/claimed-return`)
  await look(patron, [loanOf(long), loanOf(collected)])

  const block = await byStaff<Block>('POST', '/v1/blocks', { userId: patron.id, reason: 'Letters came back' })
  const { barcode } = await aCopy(await aBook({ copies: 0 }))
  const atTheDesk = await byStaff<Loan>('POST', '/v1/loans', {
    barcode,
    userId: patron.id,
    override: { reason: 'They came with a new address' },
  })
  await look(patron, [loanOf(long), loanOf(collected), loanOf(atTheDesk), blockOf(block)])
  await byStaff('DELETE', `/v1/blocks/${block.id}`)
  await byStaff('POST', '/v1/check-ins', { barcode })
  const endsAt = new Date(Date.now() + 86_400_000).toISOString()
  const short = await byStaff<Block>('POST', '/v1/blocks', { userId: patron.id, reason: 'x', endsAt })
  await database`update blocks set ends_at = clock() where id = ${short.id}`
  await runTasks(configOf(library.env))
  await look(patron, [loanOf(long), loanOf(collected)])

  await makeLate(long, 5)
  await giveBack(patron, long)
  const late = await openFee()
  expect(late.balance).toBe(125)
  await look(patron, [loanOf(collected), late])
  await byStaff('POST', `/v1/fees/${late.id}/payments`, { amount: 125 })
  const card = await byStaff<Fee>('POST', '/v1/fees', { userId: patron.id, amount: 10, note: 'A new card' })
  await look(patron, [loanOf(collected), { table: 'fees', id: card.id }])
  await byStaff('POST', `/v1/fees/${card.id}/payments`, { amount: 10 })

  const digital = await must(borrow(patron, await aBook({ copies: 0, licences: 1 }), keyed()))
  await look(patron, [loanOf(collected), loanOf(digital)])
  await database`
    update loans set checked_out_at = clock() - interval '9 days', due_at = clock() where id = ${digital.id}`
  await runTasks(configOf(library.env))
  await look(patron, [loanOf(collected)])
  const gone = await must(borrow(patron, await aBook(), keyed()))
  await byStaff('PUT', `/v1/copies/${gone.copyId}/loss`)
  const lost = await openFee()
  expect(lost.balance).toBe(900)
  await look(patron, [loanOf(collected), lost])
  await byStaff('DELETE', `/v1/copies/${gone.copyId}/loss`)

  await look(patron, [loanOf(collected)])
  await giveBack(patron, collected)
  return patron
}

describe('a dump of the database', () => {
  test('names a patron in open matters, and after the last one only in their account', async () => {
    const library = await aLibraryApart({ statements: TERMS })
    const patron = await aLifeIn(library, (who, open) => expectOnlyOf(library, who, open))
    const tables = (await whereNamed(library, patron)).map(({ table }) => table)
    expect(tables.filter((table) => !ACCOUNT.has(table))).toEqual([])
    await library.drop()
  })

  test.each<[name: string, edit: Edit, remains: string]>([
    [
      'events',
      { function: 'forget_patron_of', replace: 'patron_id = NULL::uuid', by: 'patron_id = patron_id' },
      'events',
    ],
    [
      'answers',
      { function: 'forget_answers', replace: 'answer = NULL::json', by: 'answer = answer' },
      'idempotency_keys',
    ],
    ['histories', { function: 'end_loan', replace: 'and u.keep_history', by: '' }, 'past_loans'],
  ])('of a library that does not forget its %s is found to name the patron', async (_, edit, remains) => {
    const library = await aLibraryApart({ statements: TERMS, edits: [edit] })
    const patron = await aLifeIn(library)
    const tables = new Set(beyondTheAccount(await whereNamed(library, patron)).map(({ table }) => table))
    expect([...tables]).toEqual([remains])
    await library.drop()
  })

  test('is searched in every way in which a name may be written', async () => {
    const library = await aLibraryApart()
    const { database } = library
    const patron = await library.aPatron()
    expect(beyondTheAccount(await whereNamed(library, patron))).toEqual([])
    const hash = crypto.randomUUID().replaceAll('-', '').repeat(2)
    await database`
      insert into events (kind, subject_id, actor_role, patron_id)
      values ('test.planted', ${crypto.randomUUID()}, 'library', ${patron.id})`
    await database`
      insert into events (kind, subject_id, actor_role, details)
      values ('test.planted', ${crypto.randomUUID()}, 'library', ${{ by: patron.username.toUpperCase() }})`
    await database`
      insert into idempotency_keys (key_hash, answer)
      values (decode(${hash}, 'hex'), json_build_object('email', ${patron.email}::text))`
    await database`
      insert into refresh_tokens (token_hash, session_id, expires_at, spent_at, successor_nonce)
      values (
        decode(${hash}, 'hex'), ${patron.sessionId}, now(), now(), convert_to(${`for ${patron.username}`}::text, 'UTF8')
      )`
    await database`insert into books (title) values (${`The life of ${patron.id.replaceAll('-', '')}`})`
    const found = (await whereNamed(library, patron)).map(({ table }) => table)
    const planted = found.filter((table) => table === 'refresh_tokens' || !ACCOUNT.has(table))
    expect(planted.toSorted()).toEqual([
      'book_revisions',
      'book_search',
      'books',
      'events',
      'events',
      'idempotency_keys',
      'refresh_tokens',
    ])
    await library.drop()
  })
})

describe('a history', () => {
  const keep = (library: Library, { token }: Person, keepHistory: boolean) =>
    library.ask('PATCH', '/v1/users/me', { token, body: { keepHistory } })

  test('is kept for whoever asks for one, nowhere else, and forgotten at once when they do not want it any more', async () => {
    const library = await aLibraryApart({ statements: TERMS })
    const { aBook, aLoan, aPatron, ask, giveBack } = library
    const patron = await aPatron()
    const before = await aLoan(patron, await aBook())
    await giveBack(patron, before)
    expect((await keep(library, patron, true)).status).toBe(200)
    const kept: string[] = []
    for (let n = 0; n < 2; n++) {
      const loan = await aLoan(patron, await aBook())
      kept.unshift(loan.id)
      await giveBack(patron, loan)
    }
    const history = async () =>
      (await ask<Page<Loan>>('GET', '/v1/loans?state=returned', { token: patron.token })).body.items
    expect((await history()).map(({ id }) => id)).toEqual(kept)
    const found = beyondTheAccount(await whereNamed(library, patron))
    expect(found.map(({ table }) => table)).toEqual(['past_loans', 'past_loans'])
    expect(found.every(({ row }) => kept.some((id) => row.includes(id)))).toBe(true)
    expect((await keep(library, patron, false)).status).toBe(200)
    expect(await history()).toEqual([])
    expect(beyondTheAccount(await whereNamed(library, patron))).toEqual([])
    await library.drop()
  })

  test('that is turned off while books come back keeps none of them', async () => {
    const library = await aLibraryApart()
    const { aBook, aLoan, aPatron, database, giveBack } = library
    const [patron, ...books] = await Promise.all([aPatron(), aBook(), aBook(), aBook()])
    for (let round = 0; round < 20; round++) {
      await keep(library, patron, true)
      const loans = await Promise.all(books.map((book) => aLoan(patron, book)))
      const answers = await Promise.all([...loans.map((loan) => giveBack(patron, loan)), keep(library, patron, false)])
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
      expect(await database`select loan_id from past_loans`).toEqual([])
    }
    await library.drop()
  })
})
