import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { app } from '../src/app.ts'
import { configOf } from '../src/config.ts'
import { deliverMail } from '../src/mail/deliver.ts'
import { runTasks } from '../src/scheduled.ts'
import { aLibraryApart } from './support/laboratory.ts'
import {
  type Answer,
  type Ask,
  aNewcomer,
  ask,
  database,
  libraryWith,
  logIn,
  ORIGIN,
  PASSWORD,
  type Person,
  problemOf,
} from './support/library.ts'
import { awaitMail, confirm, mailTo, tokenIn } from './support/mail.ts'

/** What the library writes to people: to whom, when, what it says, and what becomes of a message that is not taken. */

const NEW_PASSWORD = 'eight loud herons fly'
const TOKEN = /l(?:ce|pr|rt)_[A-Za-z0-9_-]{10,}/

const said = (answer: Answer) => [answer.status, problemOf(answer)]
const aName = () => crypto.randomUUID().slice(0, 12)
const subjects = async (email: string) => (await mailTo(email)).map(({ subject }) => subject)

/** A patron whose address is confirmed. */
async function aReader(): Promise<Person> {
  const patron = await aNewcomer()
  await confirm(patron.email)
  return patron
}

/** As `ask`, but answers when all that goes on after the answer has ended too: what has not been sent then is not sent. */
async function askAndWait(method: string, path: string, { token, body, headers }: Ask = {}) {
  const context = createExecutionContext()
  const request = new Request(ORIGIN + path, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      'cf-connecting-ip': `2001:db8:${Math.floor(Math.random() * 65_536).toString(16)}:5::1`,
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const response = await app.fetch(request, env, context)
  await waitOnExecutionContext(context)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

const askToReset = (email: string) => askAndWait('POST', '/v1/auth/password-reset-requests', { body: { email } })
const reset = (token: string, newPassword = NEW_PASSWORD) =>
  ask('POST', '/v1/auth/password-resets', { body: { token, newPassword } })
const confirmWith = (token: string) => ask('POST', '/v1/auth/email-confirmations', { body: { token } })
const changeEmail = ({ token }: { token: string }, email: string) =>
  askAndWait('PUT', '/v1/users/me/email', { token, body: { email } })
const logInFrom = (username: string, from: string, more: object = {}) =>
  askAndWait('POST', '/v1/sessions', {
    body: { username, password: PASSWORD, ...more },
    headers: { 'cf-connecting-ip': from },
  })

describe('letters', () => {
  test('to confirm an address go there when it is given, and to nobody else', async () => {
    const { email } = await aNewcomer()
    const mail = await awaitMail(email, /^Confirm your email address$/)
    expect(mail).toMatchObject({ from: 'library@library.test', to: email })
    expect(tokenIn(mail)).toMatch(/^lce_/)
    expect(mail.text).toContain('24 hours')
    expect(await subjects(email)).toEqual(['Confirm your email address'])
  })

  test('about a login are of an address not seen before, but not of the first, nor of a known one', async () => {
    const username = `m${aName()}`
    const email = `${username}@mail.test`
    const [home, away] = ['192.0.2.10', '192.0.2.99']
    await ask('POST', '/v1/users', { body: { username, email, password: PASSWORD } })
    await confirm(email)
    const told = async () => (await subjects(email)).filter((subject) => subject.includes('new place')).length
    expect((await logInFrom(username, home)).status).toBe(201)
    expect((await logInFrom(username, home)).status).toBe(201)
    expect(await told()).toBe(0)
    expect((await logInFrom(username, away, { password: 'a wrong password' })).status).toBe(401)
    expect(await told()).toBe(0)
    expect((await logInFrom(username, away, { deviceName: 'Tablet in the kitchen' })).status).toBe(201)
    const { text } = await awaitMail(email, /^Somebody logged in from a new place$/)
    expect(text).toContain("on 'Tablet in the kitchen'")
    expect(text).toMatch(/at \d{4}-\d\d-\d\d \d\d:\d\d UTC/)
    expect(text).toContain(`${ORIGIN}/v1/security/guidance`)
    for (const hidden of [TOKEN, away, username]) expect(text).not.toMatch(hidden)
    await logInFrom(username, away)
    await logInFrom(username, home)
    expect(await told()).toBe(1)
  })

  test('to an address that is not confirmed are none but the one that asks for that', async () => {
    const patron = await aNewcomer()
    await awaitMail(patron.email, /^Confirm/)
    await logInFrom(patron.username, '192.0.2.98')
    await logInFrom(patron.username, '192.0.2.97')
    const body = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
    expect((await askAndWait('PUT', '/v1/users/me/password', { token: patron.token, body })).status).toBe(204)
    expect(await subjects(patron.email)).toEqual(['Confirm your email address'])
  })

  test('about a password that was changed hold neither', async () => {
    const reader = await aReader()
    const wrong = { currentPassword: 'a wrong password', newPassword: NEW_PASSWORD }
    await askAndWait('PUT', '/v1/users/me/password', { token: reader.token, body: wrong })
    expect(await subjects(reader.email)).not.toContain('Your password was changed')
    const body = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
    await askAndWait('PUT', '/v1/users/me/password', { token: reader.token, body })
    const { text } = await awaitMail(reader.email, /^Your password was changed$/)
    for (const hidden of [TOKEN, PASSWORD, NEW_PASSWORD]) expect(text).not.toMatch(hidden)
  })

  test('about a new address go to the old one, when it is asked for and when it is confirmed', async () => {
    const reader = await aReader()
    const next = `n${aName()}@mail.test`
    expect((await changeEmail(reader, next)).status).toBe(200)
    const asked = await awaitMail(reader.email, /^Your email address is being changed$/)
    expect(asked.text).not.toMatch(TOKEN)
    expect(asked.text).not.toContain(next)
    expect(await subjects(next)).toEqual(['Confirm your email address'])
    expect(await subjects(reader.email)).not.toContain('Your email address was changed')
    await confirm(next)
    const changed = await awaitMail(reader.email, /^Your email address was changed$/)
    expect(changed.text).not.toMatch(TOKEN)
    expect(changed.text).not.toContain(next)
    expect(await subjects(next)).toEqual(['Confirm your email address'])
  })

  test('with which to set a password hold a token, and when it is set a letter without one says so', async () => {
    const reader = await aReader()
    expect((await askToReset(reader.email.toUpperCase())).status).toBe(202)
    const mail = await awaitMail(reader.email, /^Set a new password$/)
    expect(tokenIn(mail)).toMatch(/^lpr_/)
    expect(mail.text).toContain('30 minutes')
    expect((await reset(tokenIn(mail))).status).toBe(204)
    const { text } = await awaitMail(reader.email, /^Your password was set anew$/)
    for (const hidden of [TOKEN, NEW_PASSWORD]) expect(text).not.toMatch(hidden)
  })

  test('say nothing that a device or an account is called as if it were the library’s', async () => {
    const reader = await aReader()
    await logInFrom(reader.username, '192.0.2.20')
    for (const deviceName of ['x\r\nBcc: all@mail.test', 'x\n\nEnter this code', 'x\u2028y', 'x\u0000', 'x\u0085y']) {
      expect((await logInFrom(reader.username, '192.0.2.21', { deviceName })).status, deviceName).toBe(422)
    }
    const deviceName = "Bcc: all@mail.test' <b>http://evil.test/</b>"
    expect((await logInFrom(reader.username, '192.0.2.22', { deviceName })).status).toBe(201)
    const mail = await awaitMail(reader.email, /new place/)
    expect(Object.keys(mail).toSorted()).toEqual(['authorization', 'from', 'subject', 'text', 'to'])
    expect([mail.to, mail.subject]).toEqual([reader.email, 'Somebody logged in from a new place'])
    // Its one line stays one line.
    const lines = mail.text.split('\n').filter((line) => line.includes('evil.test'))
    expect(lines).toEqual([
      expect.stringMatching(/^Somebody logged in to your account on 'Bcc: .*UTC, from an address/),
    ])
    for (const email of [
      'a@mail.test\r\nBcc: b@mail.test',
      'a@mail.test,b@mail.test',
      '<a@mail.test>',
      'a@mail.test\n',
    ]) {
      const answer = await askAndWait('POST', '/v1/auth/password-reset-requests', { body: { email } })
      expect(answer.status, email).toBe(422)
    }
  })

  test('link to the app, where there is one, with the token behind the #', async () => {
    const library = await aLibraryApart()
    const linking = libraryWith({ ...library.env, APP_URL: 'https://app.library.test' } as Cloudflare.Env)
    const { email } = await linking.aNewcomer()
    const { text } = await awaitMail(email, /^Confirm/)
    expect(text).toMatch(/https:\/\/app\.library\.test\/confirm-email#lce_[A-Za-z0-9_-]{43}\n/)
    await library.drop()
  })
})

describe('a confirmation', () => {
  test('is good once, of twenty at once', async () => {
    const { email, token } = await aNewcomer()
    const code = tokenIn(await awaitMail(email, /^Confirm/))
    const answers = await Promise.all(Array.from({ length: 20 }, () => confirmWith(code)))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([204, ...Array(19).fill(403)])
    expect(problemOf(await confirmWith(code))).toBe('mailed-token-invalid')
    expect((await ask('GET', '/v1/users/me', { token })).body).toMatchObject({ email, pendingEmail: null })
  })

  test('runs out after a day', async () => {
    const { id, email } = await aNewcomer()
    const code = tokenIn(await awaitMail(email, /^Confirm/))
    const [row] = await database`
      select extract(epoch from expires_at - now())::integer as seconds from mailed_tokens where user_id = ${id}`
    expect(Math.abs(Number(row?.['seconds']) - 86_400)).toBeLessThan(60)
    await database`update mailed_tokens set expires_at = now() where user_id = ${id}`
    expect(said(await confirmWith(code))).toEqual([403, 'mailed-token-invalid'])
  })

  test('of an address that has been replaced by another is good no more', async () => {
    const patron = await aNewcomer()
    const first = tokenIn(await awaitMail(patron.email, /^Confirm/))
    const next = `n${aName()}@mail.test`
    await changeEmail(patron, next)
    expect(said(await confirmWith(first))).toEqual([403, 'mailed-token-invalid'])
    await confirm(next)
    expect((await ask('GET', '/v1/users/me', patron)).body).toMatchObject({ email: next })
  })

  test('of an address that is in force again is good no more, and nothing waits', async () => {
    const reader = await aReader()
    const next = `n${aName()}@mail.test`
    await changeEmail(reader, next)
    const code = tokenIn(await awaitMail(next, /^Confirm/))
    await changeEmail(reader, reader.email)
    expect(said(await confirmWith(code))).toEqual([403, 'mailed-token-invalid'])
    const again = await ask('POST', '/v1/users/me/email-confirmations', { token: reader.token })
    expect(said(again)).toEqual([409, 'nothing-to-confirm'])
  })

  test('of an address that two accounts wait for is the first one’s to confirm', async () => {
    const [one, two] = await Promise.all([aReader(), aReader()])
    const wanted = `w${aName()}@mail.test`
    const shapes = [await changeEmail(one, wanted), await changeEmail(two, wanted)]
    expect(shapes.map(({ status }) => status)).toEqual([200, 200])
    await awaitMail(wanted, /^Confirm/, { count: 2 })
    const codes = (await mailTo(wanted)).map(tokenIn)
    const answers = await Promise.all(codes.map(confirmWith))
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([204, 409])
    expect(answers.map(problemOf)).toContain('email-taken')
    const owners = await Promise.all(
      [one, two].map(async ({ token }) => (await ask('GET', '/v1/users/me', { token })).body),
    )
    expect(owners.filter((body) => (body as { email: string }).email === wanted)).toHaveLength(1)
  })

  test.each(['', 'lce_short', `lpr_${'A'.repeat(43)}`, `lce_${'A'.repeat(44)}`, null])(
    '%o is no token',
    async (token) => {
      const answer = await ask('POST', '/v1/auth/email-confirmations', { body: { token } })
      expect(said(answer)).toEqual([422, 'invalid-input'])
    },
  )

  test('is not what sets a password, nor the other way round', async () => {
    const reader = await aReader()
    const next = `n${aName()}@mail.test`
    await changeEmail(reader, next)
    const code = tokenIn(await awaitMail(next, /^Confirm/))
    expect(said(await reset(code.replace('lce_', 'lpr_')))).toEqual([403, 'mailed-token-invalid'])
    await askToReset(reader.email)
    const resetCode = tokenIn(await awaitMail(reader.email, /^Set a new/))
    expect(said(await confirmWith(resetCode.replace('lpr_', 'lce_')))).toEqual([403, 'mailed-token-invalid'])
  })
})

describe('a reset', () => {
  test('is good once, of twenty at once, and ends every session', async () => {
    const reader = await aReader()
    const other = await logIn(reader.username)
    await askToReset(reader.email)
    const token = tokenIn(await awaitMail(reader.email, /^Set a new/))
    const wishes = Array.from({ length: 20 }, (_, n) => `eight loud herons fly ${n}`)
    const answers = await Promise.all(wishes.map((wish) => reset(token, wish)))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([204, ...Array(19).fill(403)])
    const chosen = wishes[answers.findIndex(({ status }) => status === 204)]
    for (const session of [reader, other]) {
      expect(problemOf(await ask('GET', '/v1/users/me', { token: session.token }))).toBe('session-ended')
    }
    await logIn(reader.username, chosen)
    const old = await ask('POST', '/v1/sessions', { body: { username: reader.username, password: PASSWORD } })
    expect(said(old)).toEqual([401, 'wrong-credentials'])
  }, 60_000)

  test('of several that were asked for ends the others', async () => {
    const reader = await aReader()
    await askToReset(reader.email)
    await askToReset(reader.email)
    await awaitMail(reader.email, /^Set a new/, { count: 2 })
    const [first = '', second = ''] = (await mailTo(reader.email))
      .map(tokenIn)
      .filter((token) => token.startsWith('lpr_'))
    expect((await reset(first)).status).toBe(204)
    expect(said(await reset(second))).toEqual([403, 'mailed-token-invalid'])
  })

  test('runs out after half an hour', async () => {
    const reader = await aReader()
    await askToReset(reader.email)
    const token = tokenIn(await awaitMail(reader.email, /^Set a new/))
    const [row] = await database`
      select extract(epoch from expires_at - now())::integer as seconds from mailed_tokens where user_id = ${reader.id}`
    expect(Math.abs(Number(row?.['seconds']) - 1_800)).toBeLessThan(60)
    await database`update mailed_tokens set expires_at = now() where user_id = ${reader.id}`
    expect(said(await reset(token))).toEqual([403, 'mailed-token-invalid'])
  })

  test('to a guessable password is refused, and the token stays good', async () => {
    const reader = await aReader()
    await askToReset(reader.email)
    const token = tokenIn(await awaitMail(reader.email, /^Set a new/))
    expect(said(await reset(token, `${reader.username}1`))).toEqual([422, 'invalid-input'])
    expect((await reset(token)).status).toBe(204)
  })

  test('is answered alike for an address that nobody has, and one that is not confirmed; and nothing is sent', async () => {
    const [reader, unconfirmed] = await Promise.all([aReader(), aNewcomer()])
    await awaitMail(unconfirmed.email, /^Confirm/)
    const nobody = `x${aName()}@mail.test`
    const lines = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    const answers: Awaited<ReturnType<typeof askToReset>>[] = []
    for (const email of [reader.email, unconfirmed.email, nobody]) answers.push(await askToReset(email))
    const trips = lines.mock.calls
      .map(([line]) => JSON.parse(String(line)) as Record<string, unknown>)
      .filter(({ event }) => event === 'request')
      .map(({ roundTrips }) => roundTrips)
    lines.mockRestore()
    const shape = ({ status, text, headers }: (typeof answers)[number]) => [
      status,
      text,
      [...headers].filter(([name]) => name !== 'x-request-id'),
    ]
    expect(answers.map(shape)).toEqual(Array(3).fill(shape(answers[0] as (typeof answers)[number])))
    expect(trips).toEqual([1, 1, 1])
    expect(await subjects(unconfirmed.email)).toEqual(['Confirm your email address'])
    expect(await subjects(nobody)).toEqual([])
    await awaitMail(reader.email, /^Set a new/)
  })

  test('is not for a suspended account', async () => {
    const reader = await aReader()
    await database`update users set suspended_at = now(), suspension_reason = 'a test' where id = ${reader.id}`
    expect((await askToReset(reader.email)).status).toBe(202)
    expect(await subjects(reader.email)).toEqual(['Confirm your email address'])
  })

  test('is not sent when it would be the sixth message to the address in a row, and the answer is the same', async () => {
    const reader = await aReader()
    const answers: Awaited<ReturnType<typeof askToReset>>[] = []
    // The message that confirmed the address was the first.
    for (let n = 0; n < 4; n++) answers.push(await askToReset(reader.email))
    // It may be sent again after a second, and ever later.
    const [waits] = await database`
      select wait_until > now() - interval '5 seconds' as waits from attempts
      where key_hash = (select sha256('mail'::bytea || email_hash) from users where id = ${reader.id}) and failures = 5`
    expect(waits).toEqual({ waits: true })
    await database`
      update attempts set wait_until = now() + interval '1 hour'
      where key_hash = (select sha256('mail'::bytea || email_hash) from users where id = ${reader.id})`
    for (let n = 0; n < 3; n++) answers.push(await askToReset(reader.email))
    expect(answers.map(({ status, text }) => [status, text])).toEqual(Array(7).fill([202, '']))
    expect(await subjects(reader.email)).toEqual(['Confirm your email address', ...Array(4).fill('Set a new password')])
  })
})

describe('a message that the provider does not take', () => {
  let library: Awaited<ReturnType<typeof aLibraryApart>>
  beforeEach(async () => {
    library = await aLibraryApart()
    vi.spyOn(console, 'log').mockImplementation(() => undefined)
    return () => library.drop()
  })
  afterEach(() => void vi.restoreAllMocks())

  const providerAt = (path: string) => configOf({ ...library.env, MAIL_HTTP_URL: `${env.MAIL_HTTP_URL}${path}` })
  const waiting = () => library.database`
    select attempts, round(extract(epoch from next_attempt_at - now()) / 60)::integer as minutes from messages`
  const becomeDue = () => library.database`update messages set next_attempt_at = now()`

  /** Somebody whose message waits: written, and not sent, since nothing runs after the answer. */
  async function aMessage(): Promise<string> {
    const email = `w${aName()}@mail.test`
    const { body } = await libraryWith({ ...library.env, MAIL_HTTP_URL: `${env.MAIL_HTTP_URL}500` }).ask<{
      id: string
    }>('POST', '/v1/users', { body: { username: `w${aName()}`, email, password: PASSWORD } })
    expect(body.id).toBeDefined()
    await expect.poll(waiting).toEqual([{ attempts: 1, minutes: 1 }])
    return email
  }

  test('stays, and is tried again by the scheduled tasks, later each time', async () => {
    const email = await aMessage()
    // It is not due yet.
    await runTasks(configOf(library.env))
    expect(await mailTo(email)).toEqual([])
    const minutes: unknown[] = []
    for (let n = 0; n < 9; n++) {
      await becomeDue()
      await runTasks(providerAt('500'))
      minutes.push((await waiting())[0]?.['minutes'])
    }
    expect(minutes).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 256])
    await becomeDue()
    await runTasks(configOf(library.env))
    expect((await mailTo(email)).map(({ subject }) => subject)).toEqual(['Confirm your email address'])
    expect(await waiting()).toEqual([])
  })

  test('is given up after a day', async () => {
    const email = await aMessage()
    await library.database`
      update messages set created_at = now() - interval '24 hours 1 minute', next_attempt_at = now() + interval '1 hour'`
    await runTasks(configOf(library.env))
    expect(await waiting()).toEqual([])
    expect(await mailTo(email)).toEqual([])
  })

  test.each(['redirect', 'hang'])('because of %s is not sent anywhere, and stays', async (path) => {
    const email = await aMessage()
    await becomeDue()
    const startedAt = Date.now()
    await deliverMail(providerAt(path))
    expect(Date.now() - startedAt).toBeLessThan(8_000)
    expect(await mailTo(email)).toEqual([])
    expect(await waiting()).toHaveLength(1)
  })

  test('is sent twice, and not never, when its sender dies before it is forgotten', async () => {
    const email = await aMessage()
    await becomeDue()
    await library.database`revoke delete on messages from lectern_worker`
    await expect(deliverMail(configOf(library.env))).rejects.toThrow('42501')
    expect(await mailTo(email)).toHaveLength(1)
    await library.database`grant delete on messages to lectern_worker`
    await becomeDue()
    await deliverMail(configOf(library.env))
    expect(await mailTo(email)).toHaveLength(2)
    expect(await waiting()).toEqual([])
  })

  test('is sent once by twenty deliveries at once, and so are those beside it', async () => {
    const { id } = await library.aNewcomer()
    await library.database`delete from messages`
    await library.database`update users set email = pending_email, email_hash = pending_email_hash where id = ${id}`
    await library.database`select note(${id}, 'password-changed', null, true) from generate_series(1, 60)`
    expect(await library.database`select count(*)::integer from messages`).toEqual([{ count: 60 }])
    const me = await library.database`select username from users where id = ${id}`
    const email = `${String(me[0]?.['username'])}@mail.test`
    const before = (await mailTo(email)).length
    const taken = await Promise.all(Array.from({ length: 20 }, () => deliverMail(configOf(library.env))))
    expect(taken.reduce((sum, count) => sum + count, 0)).toBe(60)
    expect(Math.max(...taken)).toBeLessThanOrEqual(10)
    expect((await mailTo(email)).length - before).toBe(60)
    expect(await waiting()).toEqual([])
  })

  test('does not keep others from being sent', async () => {
    const email = await aMessage()
    const { id } = await library.aNewcomer()
    await library.database`
      insert into messages (user_id, kind, recipient) values (${id}, 'of-no-kind', 'not encrypted at all')`
    await becomeDue()
    await deliverMail(configOf(library.env))
    expect(await mailTo(email)).toHaveLength(1)
    expect(await waiting()).toHaveLength(1)
  })
})

describe('a driver', () => {
  test('of http shows the key as a bearer token', async () => {
    const { email } = await aNewcomer()
    const mail = await awaitMail(email, /^Confirm/)
    const { MAIL_HTTP_KEY: key } = env as unknown as { MAIL_HTTP_KEY: string }
    expect(mail.authorization).toBe(`Bearer ${key}`)
  })

  test('of Cloudflare hands the message to the binding, and keeps it when that fails', async () => {
    const library = await aLibraryApart()
    const sent: object[] = []
    let isDown = true
    const send = async (mail: object) => {
      if (isDown) throw new Error('E_RATE_LIMIT_EXCEEDED')
      sent.push(mail)
      return Promise.resolve({ messageId: 'x' })
    }
    const bound = { ...library.env, MAILER: 'cloudflare', EMAIL: { send } } as unknown as Cloudflare.Env
    const { email } = await libraryWith(bound).aNewcomer()
    const left = () => library.database`select attempts from messages`
    await expect.poll(left).toEqual([{ attempts: 1 }])
    isDown = false
    await library.database`update messages set next_attempt_at = now()`
    await deliverMail(configOf(bound))
    expect(sent).toEqual([
      {
        from: 'library@library.test',
        to: email,
        subject: 'Confirm your email address',
        text: expect.stringMatching(TOKEN),
      },
    ])
    expect(await left()).toEqual([])
    await library.drop()
  })

  test('of the terminal writes it there', async () => {
    const library = await aLibraryApart()
    const lines = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    const { email } = await libraryWith({ ...library.env, MAILER: 'log' } as unknown as Cloudflare.Env).aNewcomer()
    await expect.poll(() => library.database`select from messages`).toEqual([])
    const written = lines.mock.calls.map(([line]) => String(line)).filter((line) => line.includes('Mail to'))
    lines.mockRestore()
    expect(written).toEqual([expect.stringContaining(`Mail to ${email}: Confirm your email address`)])
    await library.drop()
  })
})
