import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Loan } from '../src/features/loans/schema.ts'
import type { Tokens } from '../src/features/sessions/schema.ts'
import type { Edit } from './support/commands.ts'
import { inconsistencies } from './support/consistent.ts'
import { factor, seed } from './support/effort.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Answer, PASSWORD, type Person, problemOf } from './support/library.ts'
import { people, type Someone } from './support/people.ts'

/** What ends a session, or changes what it may do, against whatever is under way in that session. Nothing that starts
 *  after the answer succeeds, nothing is done by half, and no token outlives it. */

const CLIENTS = 40
const NEW_PASSWORD = 'eight loud herons fly'
const PATIENCE_MS = 120_000
/** Long enough for others to come in between, and under the second after which PostgreSQL looks for deadlocks. */
const linger = 'perform pg_sleep(0.4);'

type Apart = Awaited<ReturnType<typeof aLibraryApart>>
type Scene = { library: Apart; books: string[]; staff: Someone; victim: Person; other: { token: string } }

type Act = {
  /** Makes it possible, in the scene; answers whatever it needs. */
  given?: (scene: Scene) => Promise<unknown>
  does: (scene: Scene) => Promise<Answer>
  status: number
  /** The session goes on, in this role. */
  role?: 'staff' | 'patron'
}

const acts: Record<string, Act> = {
  'a spent refresh token is used again': {
    given: async (scene) => {
      const { body } = await refresh(scene, scene.victim)
      await scene.library.database`
        update refresh_tokens set spent_at = now() - interval '1 day'
        where session_id = ${scene.victim.sessionId} and spent_at is not null`
      scene.other = { token: scene.victim.refreshToken }
      scene.victim.refreshToken = body.refreshToken
    },
    does: (scene) => refresh(scene, { refreshToken: scene.other.token }),
    status: 401,
  },
  'logging out': {
    does: ({ library, victim }) => library.ask('DELETE', '/v1/sessions/current', { token: victim.token }),
    status: 204,
  },
  'ending the session from elsewhere': {
    does: ({ library, victim, other }) => library.ask('DELETE', `/v1/sessions/${victim.sessionId}`, other),
    status: 204,
  },
  'a suspension': {
    does: ({ library, victim, staff }) =>
      library.ask('PUT', `/v1/users/${victim.id}/suspension`, { token: staff.token, body: { reason: 'a test' } }),
    status: 200,
  },
  'a change of password elsewhere': {
    does: ({ library, other: { token } }) =>
      library.ask('PUT', '/v1/users/me/password', {
        token,
        body: { currentPassword: PASSWORD, newPassword: NEW_PASSWORD },
      }),
    status: 204,
  },
  'the login above twenty': {
    given: ({ library, victim }) => library.database`
      with others as (
        update sessions set last_used_at = now() + interval '1 day'
        where user_id = ${victim.id} and id <> ${victim.sessionId}
      )
      insert into sessions (user_id, last_used_at, expires_at)
      select ${victim.id}, now() + interval '1 day', now() + interval '2 days' from generate_series(1, 18)`,
    does: ({ library, victim }) =>
      library.ask('POST', '/v1/sessions', { body: { username: victim.username, password: PASSWORD } }),
    status: 201,
  },
  'a promotion': { does: (scene) => changeRole(scene, 'staff'), status: 200, role: 'staff' },
  'a demotion': {
    given: async ({ library, victim }) => {
      await library.database`update users set role = 'staff' where id = ${victim.id}`
      Object.assign(victim, await library.logIn(victim.username))
    },
    does: (scene) => changeRole(scene, 'patron'),
    status: 200,
    role: 'patron',
  },
}
type Named = [name: string, act: Act]
const all: Named[] = Object.entries(acts)

let library: Apart

beforeAll(async () => {
  library = await aLibrary()
}, PATIENCE_MS)

describe(`${CLIENTS} clients of the session are at it`, () => {
  /** One round, heard early or late by chance; with VITE_PROVE both, as often. */
  const rounds =
    factor > 1 ? [0, 45].flatMap((heard) => Array.from({ length: factor }, () => heard)) : [seed % 2 === 0 ? 0 : 45]

  test.each(all)('when %s comes', { timeout: PATIENCE_MS }, async (_, act) => {
    for (const heard of rounds) expect(await storm(library, act, heard)).toEqual([])
    expect(await inconsistencies(library.database)).toEqual([])
  })
})

describe('a refresh that is under way', { timeout: PATIENCE_MS }, () => {
  let slow: Apart
  beforeAll(async () => {
    slow = await aLibrary({ edits: [refreshLingers] })
  }, PATIENCE_MS)

  test.each(all)('when %s comes leaves nothing behind', async (_, act) => {
    expect(await duringRefresh(slow, act)).toEqual([])
  })
})

describe('a refresh, a read and a write that come', { timeout: PATIENCE_MS }, () => {
  let slow: Apart
  beforeAll(async () => {
    slow = await aLibrary({ statements: actsLinger })
  }, PATIENCE_MS)

  test.each(all)('while %s is under way leave nothing behind', async (_, act) => {
    expect(await duringAct(slow, act)).toEqual([])
  })
})

describe('a login with the old password, or of the suspended, that is under way', { timeout: PATIENCE_MS }, () => {
  const both = all.filter(([name]) => /suspension|password/.test(name))

  test.each(both)('opens nothing when %s comes before it has the account', async (_, act) => {
    const slow = await aLibrary({ edits: [loginLingersFirst] })
    expect(await duringLogin(slow, act)).toEqual([])
    await slow.drop()
  })

  test.each(both)('keeps nothing when %s comes after it', async (_, act) => {
    const slow = await aLibrary({ edits: [loginLingersLast] })
    expect(await duringLogin(slow, act)).toEqual([])
    await slow.drop()
  })
})

describe('a change of password between its two round trips', { timeout: PATIENCE_MS }, () => {
  test.each(all)('is not made when %s comes', async (_, act) => {
    expect(await betweenTrips(library, act)).toEqual([])
  })
})

test('two devices that log out of one session at once: it is ended, and no one hears of a fault', async () => {
  const slow = await aLibrary({ statements: actsLinger })
  const scene = await aScene(slow)
  const path = '/v1/sessions/current'
  const first = slow.ask('DELETE', path, { token: scene.victim.token })
  await someoneSleeps(slow)
  const second = await slow.ask('DELETE', path, { token: scene.victim.token })
  expect([(await first).status, second.status, problemOf(second)]).toEqual([204, 401, 'session-ended'])
  await slow.drop()
})

test(
  'a suspension waits for the checkout that is under way, and not for those that wait for it',
  async () => {
    const slow = await aLibrary({ statements: loansLinger })
    expect(await suspensionAmongLoans(slow)).toContain(409)
    await slow.drop()
  },
  PATIENCE_MS,
)

describe('this test notices', { timeout: PATIENCE_MS }, () => {
  const broken = async (edit: Edit, statements: string[] = [], more: Edit[] = []) =>
    aLibrary({ edits: [...more, edit], statements })
  const act = (name: string) => {
    const found = acts[name]
    if (found === undefined) throw new Error(`no act: ${name}`)
    return found
  }

  test('a session that is not asked for', async () => {
    const replace = "perform refuse('session-ended')"
    const by = 'select u.role, u.suspended_at into found_user from users u where u.id = p_user_id'
    const open = await broken({ function: 'require_actor', replace, by })
    expect((await storm(open, act('logging out'), 0)).join()).toMatch(/started after it, and is answered 20[01]/)
    expect((await betweenTrips(open, act('logging out'))).join()).toMatch(/is answered 204/)
  })

  test('a role that is not asked for', async () => {
    const open = await broken({ function: 'require_actor', replace: 'found_user.role <> p_role', by: 'false' })
    expect((await storm(open, act('a demotion'), 0)).join()).toMatch(/started after it, and is answered 20[01]/)
  })

  test('a suspension that leaves the sessions', async () => {
    const replace = 'delete from sessions where user_id = p_user_id;'
    const open = await broken({ function: 'suspend_user', replace, by: '' })
    expect((await duringRefresh(open, act('a suspension'))).join()).toMatch(/its session lives/)
  })

  test('a change of password that leaves the sessions', async () => {
    const replace = 'delete from sessions where user_id = p_user_id and id <> p_session_id;'
    const open = await broken({ function: 'change_password', replace, by: '' }, [], [loginLingersLast])
    expect((await duringLogin(open, act('a change of password elsewhere'))).join()).toMatch(/its session lives/)
  })

  test('a login that does not look at the password again', async () => {
    const replace = 'or account.password_hash <> p_seen_hash'
    const open = await broken({ function: 'log_in', replace, by: '' }, [], [loginLingersFirst])
    expect((await duringLogin(open, act('a change of password elsewhere'))).join()).toMatch(/its session lives/)
  })

  test('checkouts that all hold the account while they wait for each other', async () => {
    const replace = 'perform from loan_counters'
    const by = `perform from users where id = p_user_id for share; ${replace}`
    const open = await broken({ function: 'lock_patron', replace, by }, loansLinger)
    expect(await suspensionAmongLoans(open)).toEqual(Array(5).fill(201))
  })

  test('a refresh that locks the token before the session', async () => {
    const replace = 'select * into session from sessions'
    const by = `perform from refresh_tokens where token_hash = p_token_hash for update; ${replace}`
    const open = await broken({ function: 'refresh_session', replace, by }, actsLinger)
    expect((await duringAct(open, act('logging out'))).join()).toMatch(/is answered 503/)
  })
})

// What happens

/** However long a test takes: its repeated refresh is honest. The acts say what is not. */
const patient: Edit = { function: 'refresh_session', replace: "interval '10 seconds'", by: "interval '1 hour'" }

const refreshLingers: Edit = {
  function: 'refresh_session',
  replace: 'select * into account',
  by: `${linger} select * into account`,
}
const loginLingersFirst: Edit = {
  function: 'log_in',
  replace: 'select * into account',
  by: `${linger} select * into account`,
}
const loginLingersLast: Edit = {
  function: 'log_in',
  replace: 'has_message := is_new',
  by: `${linger} has_message := is_new`,
}

/** Between the end of a session and that of its tokens, whose trigger has a later name; and after a change of role. */
const actsLinger = [
  `create function linger() returns trigger language plpgsql as $$ begin ${linger} return new; end $$`,
  'create trigger "A" after delete on sessions for each row execute function linger()',
  'create trigger "A" after update of role on users for each row execute function linger()',
]

const loansLinger = [
  actsLinger[0] ?? '',
  'create trigger "A" after insert on loans for each row execute function linger()',
]

async function aLibrary({ edits = [], statements = [] }: { edits?: Edit[]; statements?: string[] } = {}) {
  return aLibraryApart({
    edits: [patient, ...edits],
    statements: ['update policies set loan_limit = 1000', ...statements],
  })
}

let scenes = 0

async function aScene(library: Apart): Promise<Scene> {
  const { database } = library
  const place = (scenes += 1)
  const [staff] = await people(library, [{ username: `staff${place}`, role: 'staff' }])
  if (staff === undefined) throw new Error('nobody is there')
  const rows = await database`
    with made as (
      insert into books (title) select 'Book ' || n from generate_series(1, ${CLIENTS}::integer) as n returning id
    ),
    added as (insert into copies (book_id, format) select id, 'digital' from made)
    select id from made`
  const victim = await library.aPatron()
  const other = await library.logIn(victim.username)
  return { library, staff, victim, other, books: rows.map(({ id }) => String(id)) }
}

const refresh = ({ library }: Scene, { refreshToken }: { refreshToken: string }) =>
  library.ask<Tokens>('POST', '/v1/sessions/refresh', { body: { refreshToken } })

const changeRole = ({ library, staff, victim }: Scene, role: 'staff' | 'patron') =>
  library.ask('PATCH', `/v1/users/${victim.id}`, { token: staff.token, body: { role } })

/** What is heard in the victim's session, and what is wrong with it. */
function listening(scene: Scene, { status, role }: Act) {
  const { library, victim } = scene
  const wrong: string[] = []
  const handedOut: Tokens[] = []
  const lent: string[] = []
  const refusals = new Set([
    ...['session-ended', 'account-suspended', 'access-token-outdated'],
    ...['refresh-token-invalid', 'already-on-loan', 'no-copy-available', 'patron-suspended'],
  ])

  const judge = (what: string, answer: Answer, late: boolean) => {
    const refused = refusals.has(problemOf(answer) ?? '')
    if (answer.status >= 300 && !refused) wrong.push(`${what} is answered ${answer.status} ${answer.text}`)
    const goesOn = what === 'a refresh' && role !== undefined
    if (late && !goesOn && answer.status < 300) wrong.push(`${what} started after it, and is answered ${answer.status}`)
    if (late && goesOn && (answer.body as Tokens).user?.role !== role)
      wrong.push('a refresh does not know the new role')
  }

  const asks = [
    async () => library.ask('GET', '/v1/users/me', victim),
    async (place: number) => {
      const body = { bookId: scene.books[place] }
      const answer = await library.ask<Loan>('POST', '/v1/loans', { token: victim.token, body })
      if (answer.status === 201) lent.push(answer.body.id)
      return answer
    },
    async (place: number) => {
      // Half of them go on with the newest token, the others repeat the first refresh.
      const newest = place % 8 < 4 ? handedOut.at(-1) : undefined
      const answer = await refresh(scene, newest ?? victim)
      if (answer.status === 200) handedOut.push(answer.body)
      return answer
    },
    async () => library.ask('PATCH', '/v1/users/me', { token: victim.token, body: { keepHistory: scenes % 2 === 0 } }),
  ]
  const names = ['a read', 'a loan', 'a refresh', 'a change'] as const

  return {
    ask: async (name: (typeof names)[number], place: number, late: boolean) => {
      const answer = await asks[names.indexOf(name)]?.(place)
      if (answer) judge(name, answer, late)
    },
    nameAt: (turn: number) => names[turn % names.length] ?? 'a read',
    act: async (does: Promise<Answer>) => {
      const answer = await does
      if (answer.status !== status) wrong.push(`the act is answered ${answer.status} ${answer.text}`)
    },
    /** When all has been answered. */
    finish: async (): Promise<string[]> => {
      for (const name of names) await judgeLate(name)
      for (const tokens of handedOut.slice(-5)) await requireDead(tokens)
      if (role === undefined) await requireEnded(scene, victim.sessionId, wrong)
      const [row] = await library.database`
        select array_agg(l.id order by l.id) as ids,
          count(*) filter (where 1 <> (select count(*) from events e where e.subject_id = l.id)) as halves
        from loans l where l.user_id = ${victim.id}`
      if (String(row?.['ids'] ?? '') !== lent.toSorted().join()) wrong.push('the loans are others than were answered')
      if (Number(row?.['halves']) !== 0) wrong.push('half a loan was made')
      return [...new Set(wrong)]
    },
  }

  async function judgeLate(name: (typeof names)[number]) {
    const answer = await asks[names.indexOf(name)]?.(0)
    if (answer) judge(name, answer, true)
  }

  async function requireDead({ accessToken, refreshToken, user }: Tokens) {
    const { status } = await library.ask('GET', '/v1/users/me', { token: accessToken })
    const expected = role !== undefined && user.role === role ? 200 : 401
    if (status !== expected) wrong.push(`an access token that was handed out is answered ${status}`)
    const again = await refresh(scene, { refreshToken })
    if (again.status !== (role === undefined ? 401 : 200)) wrong.push(`a refresh token handed out: ${again.status}`)
  }
}

async function requireEnded({ library }: Scene, sessionId: string, wrong: string[]) {
  const rows = await library.database`
    select id from sessions where id = ${sessionId}
    union all
    select session_id from refresh_tokens where session_id = ${sessionId}`
  if (rows.length > 0) wrong.push(`its session lives, or a token of it: ${rows.length}`)
}

/** Somebody in that library does nothing but linger. */
const someoneSleeps = ({ database }: Apart) =>
  vi.waitFor(
    async () => {
      const rows = await database`
        select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`
      if (rows.length === 0) throw new Error('nobody sleeps')
    },
    { timeout: 5_000, interval: 5 },
  )

/** Everybody asks for something, again and again, until one that began after the act's answer has been answered too; the
 *  act begins when so many have been `heard`. */
async function storm(library: Apart, act: Act, heard: number): Promise<string[]> {
  const scene = await aScene(library)
  await act.given?.(scene)
  const session = listening(scene, act)
  const begin = Promise.withResolvers<void>()
  let left = heard
  let isOver = false
  const client = async (place: number) => {
    for (let turn = place, late = false; !late; turn++) {
      late = isOver
      await session.ask(session.nameAt(turn), place, late)
      left -= 1
      if (left <= 0) begin.resolve()
      // The Worker is in this isolate too, and its timers, on which a hash's turn depends, fire when nothing else is ready.
      await scheduler.wait(1)
    }
  }
  const clients = Array.from({ length: CLIENTS }, (_, place) => client(place))
  if (heard === 0) begin.resolve()
  await begin.promise
  // So much at once that it may hear to come again, as anybody does.
  let answer = await act.does(scene)
  for (let again = 0; answer.status === 503 && again < 5; again++) answer = await act.does(scene)
  await session.act(Promise.resolve(answer))
  isOver = true
  await Promise.all(clients)
  return session.finish()
}

async function duringRefresh(library: Apart, act: Act): Promise<string[]> {
  const scene = await aScene(library)
  await act.given?.(scene)
  const session = listening(scene, act)
  const refreshed = session.ask('a refresh', 7, false)
  await someoneSleeps(library).catch(() => {})
  await session.act(act.does(scene))
  await refreshed
  return session.finish()
}

async function duringAct(library: Apart, act: Act): Promise<string[]> {
  const scene = await aScene(library)
  await act.given?.(scene)
  const session = listening(scene, act)
  const done = session.act(act.does(scene))
  await someoneSleeps(library)
  await Promise.all((['a refresh', 'a read', 'a loan'] as const).map((name, place) => session.ask(name, place, false)))
  await done
  return session.finish()
}

async function duringLogin(library: Apart, act: Act): Promise<string[]> {
  const scene = await aScene(library)
  await act.given?.(scene)
  const session = listening(scene, act)
  const body = { username: scene.victim.username, password: PASSWORD }
  const login = library.ask<Tokens>('POST', '/v1/sessions', { body })
  await someoneSleeps(library)
  await session.act(act.does(scene))
  const { status, body: tokens, text } = await login
  const wrong = status < 500 ? [] : [`the login is answered ${text}`]
  if (status === 201) {
    await requireEnded(scene, tokens.sessionId, wrong)
    const late = await library.ask('GET', '/v1/users/me', { token: tokens.accessToken })
    if (late.status !== 401) wrong.push(`its session lives: ${late.status}`)
  }
  return [...wrong, ...(await session.finish())]
}

/** Five checkouts of one patron at once, each of which takes a while, and a suspension after the first has begun; how the
 *  checkouts are answered. */
async function suspensionAmongLoans(library: Apart): Promise<number[]> {
  const scene = await aScene(library)
  const { token, id } = scene.victim
  const loans = scene.books.slice(0, 5).map((bookId) => library.ask('POST', '/v1/loans', { token, body: { bookId } }))
  await someoneSleeps(library)
  const how = { token: scene.staff.token, body: { reason: 'a test' } }
  expect((await library.ask('PUT', `/v1/users/${id}/suspension`, how)).status).toBe(200)
  return (await Promise.all(loans)).map(({ status }) => status)
}

/** Its second round trip waits until the act has been answered. */
async function betweenTrips(library: Apart, act: Act): Promise<string[]> {
  const scene = await aScene(library)
  await act.given?.(scene)
  const { database } = library
  const hash = async () => (await database`select password_hash from users where id = ${scene.victim.id}`)[0]
  const mark = `?held=${crypto.randomUUID()}`
  const isolate = library.isolate({ DATABASE_ENDPOINT: `${library.env.DATABASE_ENDPOINT}${mark}` })
  const held = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  gates.set(mark, { trips: 0, reached: reached.resolve, open: held.promise })
  const change = isolate.ask('PUT', '/v1/users/me/password', {
    token: scene.victim.token,
    body: { currentPassword: PASSWORD, newPassword: 'nine calm herons sleep' },
  })
  await reached.promise
  const answer = await act.does(scene)
  const before = await hash()
  held.resolve()
  const { status, text } = await change
  const wrong = answer.status === act.status ? [] : [`the act is answered ${answer.status} ${answer.text}`]
  if (status !== 401) wrong.push(`the change is answered ${status} ${text}`)
  if ((await hash())?.['password_hash'] !== before?.['password_hash']) wrong.push('the password was changed')
  return wrong
}

/** Where the second round trip of a request waits. */
const gates = new Map<string, { trips: number; reached: () => void; open: Promise<void> }>()

beforeAll(() => {
  const { fetch } = globalThis
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const gate = gates.get(/\?held=.*/.exec(input instanceof Request ? input.url : input.toString())?.[0] ?? '')
    if (gate !== undefined) gate.trips += 1
    if (gate?.trips === 2) {
      gate.reached()
      await gate.open
    }
    return fetch(input, init)
  })
})
afterAll(() => vi.restoreAllMocks())
