import type { Tokens } from '../../src/features/sessions/schema.ts'
import type { Fee } from '../../src/features/fees/schema.ts'
import type { Block } from '../../src/features/blocks/schema.ts'
import { type Answer, type Ask, PASSWORD } from '../support/library.ts'
import { codeOf } from '../support/second-factor.ts'
import type { Scene } from './scene.ts'

export type Call = {
  by?: { token: string }
  method: string
  path: string
  body?: object
  headers?: Record<string, string>
}

export type Verb = {
  /** Whether it takes an Idempotency-Key. */
  keyed?: true
  /** Of success, and where there is no key, of a repetition of what was done. */
  status: number
  repeated?: number
  /** Keeps all else in its library waiting while it is under way. */
  alone?: true
  /** Changes what every scene of its library sees. */
  everywhere?: true
  /** Its round trips; one unless said. */
  trips?: 2
  /** A repetition is the same only within ten seconds. */
  prompt?: true
  /** A repetition does it once more. */
  adds?: true
  /** What somebody asks who may not, where that is nobody with a token. */
  intruder?: (call: Call) => Call
  /** Makes the situation, and says what to ask. */
  given: (scene: Scene) => Promise<Call>
}

const asRead = { 'if-match': '"1"' }

export const verbs: Record<string, Verb> = {
  'borrow a book': {
    keyed: true,
    status: 201,
    given: async (s) => post(s.patron, '/v1/loans', { bookId: (await s.book()).id }),
  },
  'collect what waits': {
    keyed: true,
    status: 201,
    given: async (s) => {
      const { book } = await aReadyHold(s)
      return post(s.patron, '/v1/loans', { bookId: book.id })
    },
  },
  'lend at the desk': {
    keyed: true,
    status: 201,
    given: async (s) => {
      await s.book()
      await must(s, post(s.staff, '/v1/blocks', { userId: s.patron.id, reason: 'a test' }))
      const override = { reason: 'a test' }
      return post(s.staff, '/v1/loans', { barcode: `${s.name}-1`, userId: s.patron.id, override })
    },
  },
  'return a book that is late and that somebody waits for': {
    status: 200,
    given: async (s) => {
      const { loan } = await aLateLoan(s)
      return { by: s.patron, method: 'PUT', path: `/v1/loans/${loan.id}/return` }
    },
  },
  'renew a loan that is late': {
    keyed: true,
    status: 201,
    given: async (s) => {
      const loan = await s.aLoan(s.patron, await s.book())
      await s.age(loan, 60)
      return post(s.patron, `/v1/loans/${loan.id}/renewals`)
    },
  },
  'claim to have returned a book': {
    status: 200,
    given: async (s) => {
      const loan = await s.aLoan(s.patron, await s.book())
      return { by: s.staff, method: 'PUT', path: `/v1/loans/${loan.id}/claimed-return` }
    },
  },
  'take the claim back': {
    status: 200,
    given: async (s) => {
      const { id } = await s.aLoan(s.patron, await s.book())
      await must(s, { by: s.staff, method: 'PUT', path: `/v1/loans/${id}/claimed-return` })
      return { by: s.staff, method: 'DELETE', path: `/v1/loans/${id}/claimed-return` }
    },
  },
  'check in a loan': {
    keyed: true,
    status: 201,
    given: async (s) => {
      await aLateLoan(s)
      return post(s.staff, '/v1/check-ins', { barcode: `${s.name}-1` })
    },
  },
  'count a use in the library': {
    keyed: true,
    status: 201,
    given: async (s) => {
      await s.book()
      return post(s.staff, '/v1/check-ins', { barcode: `${s.name}-1` })
    },
  },
  'place a hold': {
    keyed: true,
    status: 201,
    given: async (s) => {
      const book = await s.book()
      await s.aLoan(s.second, book)
      return post(s.patron, '/v1/holds', { bookId: book.id })
    },
  },
  'cancel a hold': {
    status: 204,
    repeated: 404,
    given: async (s) => {
      const { hold } = await aReadyHold(s)
      return { by: s.patron, method: 'DELETE', path: `/v1/holds/${hold.id}` }
    },
  },
  'suspend a hold': {
    status: 200,
    given: async (s) => {
      const { hold } = await aReadyHold(s)
      return { by: s.patron, method: 'PUT', path: `/v1/holds/${hold.id}/suspension`, body: { until: inAMonth() } }
    },
  },
  'resume a hold': {
    status: 200,
    given: async (s) => {
      const book = await s.book()
      const loan = await s.aLoan(s.second, book)
      const path = `/v1/holds/${(await s.aHold(s.patron, book)).id}/suspension`
      await must(s, { by: s.patron, method: 'PUT', path, body: { until: inAMonth() } })
      await s.giveBack(s.second, loan)
      return { by: s.patron, method: 'DELETE', path }
    },
  },
  'move a hold': {
    status: 200,
    given: async (s) => {
      const book = await s.book()
      await s.aLoan(s.second, book)
      await s.aHold(s.patron, book)
      const { id } = await s.aHold(s.third, book)
      return {
        by: s.staff,
        method: 'PUT',
        path: `/v1/holds/${id}/position`,
        body: { position: 1, reason: 'a test' },
      }
    },
  },
  'lose a copy': {
    status: 200,
    given: async (s) => {
      const { loan } = await aLateLoan(s)
      return { by: s.staff, method: 'PUT', path: `/v1/copies/${loan.copyId}/loss` }
    },
  },
  'find a copy': {
    status: 200,
    given: async (s) => {
      const loan = await s.aLoan(s.patron, await s.book())
      const path = `/v1/copies/${loan.copyId}/loss`
      await must(s, { by: s.staff, method: 'PUT', path })
      return { by: s.staff, method: 'DELETE', path }
    },
  },
  'charge a fee': {
    keyed: true,
    status: 201,
    given: async (s) => post(s.staff, '/v1/fees', { userId: s.patron.id, amount: 200, note: 'a test' }),
  },
  'pay a part of a fee': {
    keyed: true,
    status: 201,
    given: async (s) => post(s.staff, `/v1/fees/${(await aFee(s)).id}/payments`, { amount: 50 }),
  },
  'waive a fee': {
    keyed: true,
    status: 201,
    given: async (s) => post(s.staff, `/v1/fees/${(await aFee(s)).id}/waivers`, { amount: 200, reason: 'a test' }),
  },
  'block a patron': {
    keyed: true,
    status: 201,
    given: async (s) => post(s.staff, '/v1/blocks', { userId: s.patron.id, reason: 'a test' }),
  },
  'lift a block': {
    status: 204,
    repeated: 404,
    given: async (s) => {
      const block = await must<Block>(s, post(s.staff, '/v1/blocks', { userId: s.patron.id, reason: 'a test' }))
      return { by: s.staff, method: 'DELETE', path: `/v1/blocks/${block.id}` }
    },
  },
  'catalogue a book': {
    keyed: true,
    status: 201,
    given: async (s) => post(s.staff, '/v1/books', { title: `${s.name} by a test`, isbns: [] }),
  },
  'add a copy that somebody waits for': {
    keyed: true,
    status: 201,
    given: async (s) => {
      const book = await s.book()
      await s.aLoan(s.second, book)
      await s.aHold(s.patron, book)
      return post(s.staff, `/v1/books/${book.id}/copies`, { format: 'physical', barcode: `${s.name}-new` })
    },
  },
  'change a copy': {
    status: 200,
    repeated: 412,
    given: async (s) => {
      const path = `/v1/copies/${(await s.book()).copyIds[0]}`
      return { by: s.staff, method: 'PATCH', path, body: { callNumber: 'by a test' }, headers: asRead }
    },
  },
  'remove a copy': {
    status: 204,
    repeated: 404,
    given: async (s) => {
      const path = `/v1/copies/${(await s.book()).copyIds[0]}`
      return { by: s.staff, method: 'DELETE', path, headers: asRead }
    },
  },
  'set a policy': {
    keyed: true,
    status: 201,
    given: async (s) => post(s.staff, '/v1/policies', { category: await aCategory(s), loanDays: 9 }),
  },
  'change a policy': {
    status: 200,
    repeated: 412,
    given: async (s) => {
      const path = `/v1/policies/${(await aPolicy(s)).id}`
      return { by: s.staff, method: 'PATCH', path, body: { loanDays: 11 }, headers: asRead }
    },
  },
  'remove a policy': {
    status: 204,
    repeated: 404,
    given: async (s) => {
      const path = `/v1/policies/${(await aPolicy(s)).id}`
      return { by: s.staff, method: 'DELETE', path, headers: asRead }
    },
  },
  register: {
    keyed: true,
    status: 201,
    given: async ({ name }) => {
      const body = { username: `${name}new`, email: `${name}@mail.test`, password: PASSWORD }
      return { method: 'POST', path: '/v1/users', body }
    },
  },
  'log in': {
    trips: 2,
    status: 201,
    adds: true,
    intruder: (call) => ({ ...call, body: { ...call.body, password: 'not the password' } }),
    given: async (s) => logIn(s),
  },
  refresh: {
    status: 200,
    prompt: true,
    intruder: (call) => ({ ...call, body: { refreshToken: `lrt_${'A'.repeat(43)}` } }),
    given: async (s) => {
      const { refreshToken } = await must<Tokens>(s, logIn(s))
      return { method: 'POST', path: '/v1/sessions/refresh', body: { refreshToken } }
    },
  },
  'log out': {
    status: 204,
    repeated: 401,
    given: async (s) => ({ by: s.patron, method: 'DELETE', path: '/v1/sessions/current' }),
  },
  'end a session': {
    status: 204,
    repeated: 404,
    given: async (s) => ({ by: s.patron, method: 'DELETE', path: `/v1/sessions/${await aSession(s)}` }),
  },
  'change a password': {
    trips: 2,
    status: 204,
    repeated: 403,
    given: async (s) => {
      await aSession(s)
      const body = { currentPassword: PASSWORD, newPassword: 'eight loud herons fly' }
      return { by: s.patron, method: 'PUT', path: '/v1/users/me/password', body }
    },
  },
  'change an email address': {
    status: 200,
    given: async (s) => emailChange(s),
  },
  'ask once more for the confirmation of an address': {
    status: 202,
    adds: true,
    given: async (s) => {
      await must(s, emailChange(s))
      return post(s.patron, '/v1/users/me/email-confirmations')
    },
  },
  'confirm an email address': {
    status: 204,
    repeated: 403,
    intruder: (call) => ({ ...call, body: { token: `lce_${'A'.repeat(43)}` } }),
    given: async (s) => {
      await must(s, emailChange(s))
      return { method: 'POST', path: '/v1/auth/email-confirmations', body: { token: await mailed(s, 'confirm-email') } }
    },
  },
  'ask for a new password': {
    status: 202,
    adds: true,
    given: async (s) => {
      await must(s, emailChange(s))
      await s.database`update users set email = pending_email, email_hash = pending_email_hash where id = ${s.patron.id}`
      const path = '/v1/auth/password-reset-requests'
      return { method: 'POST', path, body: { email: `${s.name}@mail.test` } }
    },
  },
  'set a new password': {
    trips: 2,
    status: 204,
    repeated: 403,
    intruder: (call) => ({ ...call, body: { ...call.body, token: `lpr_${'A'.repeat(43)}` } }),
    given: async (s) => {
      const body = { token: await mailed(s, 'reset-password'), newPassword: 'eight loud herons fly' }
      return { method: 'POST', path: '/v1/auth/password-resets', body }
    },
  },
  'begin a second factor': {
    status: 201,
    given: async (s) => post(s.patron, '/v1/users/me/second-factor'),
  },
  'confirm a second factor': {
    trips: 2,
    status: 200,
    repeated: 409,
    given: async (s) => confirmation(s),
  },
  'replace recovery codes': {
    status: 201,
    given: async (s) => {
      await must(s, await confirmation(s))
      await s.database`delete from recovery_codes where user_id = ${s.patron.id}`
      return post(s.patron, '/v1/users/me/second-factor/recovery-codes')
    },
  },
  'remove a second factor': {
    status: 204,
    repeated: 409,
    given: async (s) => {
      await must(s, await confirmation(s))
      return { by: s.patron, method: 'DELETE', path: '/v1/users/me/second-factor' }
    },
  },
  'make a key': {
    status: 201,
    adds: true,
    given: async (s) => post(s.patron, '/v1/users/me/keys', { name: s.name, scopes: ['read'] }),
  },
  'revoke a key': {
    status: 204,
    repeated: 404,
    given: async (s) => {
      const key = await must<{ id: string }>(s, post(s.patron, '/v1/users/me/keys', { name: s.name, scopes: ['read'] }))
      return { by: s.patron, method: 'DELETE', path: `/v1/users/me/keys/${key.id}` }
    },
  },
  'erase an account': {
    status: 200,
    repeated: 401,
    given: async (s) => ({ by: s.patron, method: 'DELETE', path: '/v1/users/me' }),
  },
  "change a user's role": {
    status: 200,
    given: async (s) => ({ by: s.staff, method: 'PATCH', path: `/v1/users/${s.patron.id}`, body: { role: 'staff' } }),
  },
  'reinstate a user': {
    status: 200,
    given: async (s) => {
      const path = `/v1/users/${s.patron.id}/suspension`
      await must(s, { by: s.staff, method: 'PUT', path, body: { reason: 'a test' } })
      return { by: s.staff, method: 'DELETE', path }
    },
  },
  'change a book': {
    status: 200,
    repeated: 412,
    given: async (s) => {
      const path = `/v1/books/${(await s.book()).id}`
      return { by: s.staff, method: 'PATCH', path, body: { subtitle: 'by a test' }, headers: asRead }
    },
  },
  'remove a book': {
    status: 204,
    repeated: 404,
    given: async (s) => {
      const path = `/v1/books/${(await s.book()).id}`
      return { by: s.staff, method: 'DELETE', path, headers: asRead }
    },
  },
  'begin an import': {
    keyed: true,
    status: 201,
    given: async (s) => anImport(s),
  },
  'import records': {
    alone: true,
    status: 200,
    given: async (s) => {
      const { id } = await must<{ id: string }>(s, anImport(s))
      await s.book()
      return someRecords(s, id)
    },
  },
  'undo an import': {
    alone: true,
    status: 200,
    given: async (s) => {
      const { id } = await must<{ id: string }>(s, anImport(s))
      await s.book()
      await must(s, someRecords(s, id))
      return { by: s.staff, method: 'PUT', path: `/v1/imports/${id}/undo` }
    },
  },
  'take a book back': {
    keyed: true,
    status: 201,
    given: async (s) => {
      const path = `/v1/books/${(await s.book()).id}`
      await must(s, { by: s.staff, method: 'PATCH', path, body: { subtitle: 'by a test' }, headers: asRead })
      return { ...post(s.staff, `${path}/reversions`, { version: 1 }), headers: { 'if-match': '"2"' } }
    },
  },
  'merge two books': {
    keyed: true,
    status: 201,
    given: async (s) => {
      const book = await s.book()
      await s.aLoan(s.second, book)
      await s.aHold(s.patron, book)
      const stays = await must<{ id: string }>(s, post(s.staff, '/v1/books', { title: `${s.name} stays` }))
      const merge = post(s.staff, `/v1/books/${stays.id}/merges`, { bookId: book.id, version: 1 })
      return { ...merge, headers: asRead }
    },
  },
  'tell two books apart': {
    keyed: true,
    status: 201,
    given: async (s) => {
      const other = await must<{ id: string }>(s, post(s.staff, '/v1/books', { title: `${s.name} other` }))
      return post(s.staff, '/v1/books/distinctions', { bookIds: [(await s.book()).id, other.id] })
    },
  },
  'change many books': {
    keyed: true,
    status: 200,
    given: async (s) => {
      const other = await must<{ id: string }>(s, post(s.staff, '/v1/books', { title: `${s.name} other` }))
      const change = { id: (await s.book()).id, version: 1, change: { subtitle: 'by a test' } }
      const books = [change, { id: other.id, version: 1, remove: true }]
      return post(s.staff, '/v1/books/changes', { mode: 'all-or-nothing', books })
    },
  },
  'make a category': {
    status: 200,
    given: async (s) => ({ by: s.staff, method: 'PUT', path: `/v1/categories/${s.name}` }),
  },
  'remove a category': {
    status: 204,
    repeated: 404,
    given: async (s) => ({ by: s.staff, method: 'DELETE', path: `/v1/categories/${await aCategory(s)}` }),
  },
  'move the library': {
    status: 200,
    alone: true,
    everywhere: true,
    given: async (s) => {
      const move = (timeZone: string): Call => ({
        by: s.staff,
        method: 'PATCH',
        path: '/v1/library',
        body: { timeZone },
      })
      await must(s, move('Europe/Paris'))
      return move('Asia/Tokyo')
    },
  },
  'keep a history': {
    status: 200,
    given: async (s) => keepHistory(s, true),
  },
  'forget a history': {
    status: 200,
    given: async (s) => {
      await must(s, keepHistory(s, true))
      await s.giveBack(s.patron, await s.aLoan(s.patron, await s.book()))
      return keepHistory(s, false)
    },
  },
  'suspend a user': {
    status: 200,
    given: async (s) => {
      const path = `/v1/users/${s.patron.id}/suspension`
      return { by: s.staff, method: 'PUT', path, body: { reason: 'a test' } }
    },
  },
  'close a day on which a loan is due': {
    status: 200,
    alone: true,
    given: async (s) => {
      const loan = await s.aLoan(s.patron, await s.book())
      await s.database`update loans set due_at = end_of_day(${s.day}) where id = ${loan.id}`
      return aClosedDay(s)
    },
  },
  'let a day be as usual again': {
    status: 204,
    repeated: 404,
    alone: true,
    given: async (s) => {
      await must(s, aClosedDay(s))
      return { by: s.staff, method: 'DELETE', path: `/v1/library/days/${s.day}` }
    },
  },
}

export const send = (
  { ask }: Pick<Scene, 'ask'>,
  { by, method, path, body, headers }: Call,
  more: Ask['headers'] = {},
): Promise<Answer> => ask(method, path, { token: by?.token, body, headers: { ...headers, ...more } })

export const post = (by: { token: string }, path: string, body?: object): Call => ({
  by,
  method: 'POST',
  path,
  ...(body && { body }),
})

export async function must<T>(scene: Scene, call: Call): Promise<T> {
  const { status, body, text } = await send(scene, call)
  if (status >= 300) throw new Error(`${call.method} ${call.path}: ${status} ${text}`)
  return body as T
}

const logIn = ({ name }: Scene): Call => ({
  method: 'POST',
  path: '/v1/sessions',
  body: { username: `${name}patron1`, password: PASSWORD },
})

const emailChange = ({ name, patron }: Scene): Call => ({
  by: patron,
  method: 'PUT',
  path: '/v1/users/me/email',
  body: { email: `${name}@mail.test` },
})

/** A token as if it had come by mail. */
async function mailed({ database, name, patron }: Scene, purpose: 'confirm-email' | 'reset-password') {
  const token = `${purpose === 'confirm-email' ? 'lce_' : 'lpr_'}${name.padEnd(43, 'x')}`
  await database`
    insert into mailed_tokens (token_hash, user_id, purpose, expires_at)
    values (sha256(${token}::text::bytea), ${patron.id}, ${purpose}, now() + interval '1 hour')`
  return token
}

async function confirmation(s: Scene): Promise<Call> {
  const { secret } = await must<{ secret: string }>(s, post(s.patron, '/v1/users/me/second-factor'))
  const path = '/v1/users/me/second-factor/confirmation'
  return { by: s.patron, method: 'PUT', path, body: { code: codeOf(secret) } }
}

/** Another session of the patron's. */
async function aSession({ database, patron }: Scene) {
  const rows = await database`
    insert into sessions (user_id, expires_at) values (${patron.id}, now() + interval '1 day') returning id`
  return String(rows[0]?.['id'])
}

/** The patron's hold has the copy, and somebody else waits behind it. */
async function aReadyHold(s: Scene) {
  const book = await s.book()
  const loan = await s.aLoan(s.second, book)
  const hold = await s.aHold(s.patron, book)
  await s.aHold(s.third, book)
  await s.giveBack(s.second, loan)
  return { book, hold }
}

/** It has run up a fee, the patron keeps a history, and somebody else waits. */
async function aLateLoan(s: Scene) {
  await must(s, keepHistory(s, true))
  const book = await s.book()
  const loan = await s.aLoan(s.patron, book)
  await s.age(loan, 60)
  await s.aHold(s.second, book)
  return { book, loan }
}

const aFee = (s: Scene) => must<Fee>(s, post(s.staff, '/v1/fees', { userId: s.patron.id, amount: 200, note: 'a test' }))

async function aCategory(s: Scene) {
  await must(s, { by: s.staff, method: 'PUT', path: `/v1/categories/${s.name}` })
  return s.name
}

const aPolicy = async (s: Scene) =>
  must<{ id: string }>(s, post(s.staff, '/v1/policies', { category: await aCategory(s) }))

const keepHistory = ({ patron }: Scene, keep: boolean): Call => ({
  by: patron,
  method: 'PATCH',
  path: '/v1/users/me',
  body: { keepHistory: keep },
})

const anImport = ({ staff, name }: Scene): Call => post(staff, '/v1/imports', { source: name, format: 'marc' })

/** One that is made, and one that is refused. */
function someRecords({ staff, name }: Scene, id: string): Call {
  const marc = { leader: ' '.repeat(24), fields: [{ '001': name }] }
  const records = [
    { position: 1, record: { title: `${name} imported` }, marc },
    { position: 2, reason: 'a test', raw: '' },
  ]
  return post(staff, `/v1/imports/${id}/records`, { records })
}

const aClosedDay = ({ staff, day, name }: Scene): Call => ({
  by: staff,
  method: 'PUT',
  path: `/v1/library/days/${day}`,
  body: { opens: null, closes: null, note: name },
})

const inAMonth = () => new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10)
