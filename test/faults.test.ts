import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { routes } from '../src/app.ts'
import { type Read, readsIn } from './faults/reads.ts'
import { type Apart, aScene, type Scene, TERMS } from './faults/scene.ts'
import { type Again, type Effect, effectOf, intrusion, isKeptOut, isOutage, trial } from './faults/trial.ts'
import { atMost } from './faults/turns.ts'
import { type Call, send, type Verb, verbs } from './faults/verbs.ts'
import { type FaultName, faultNames } from './support/commands.ts'
import { factor, seed } from './support/effort.ts'
import { inconsistencies } from './support/consistent.ts'
import { aLibraryApart } from './support/laboratory.ts'
import type { Answer } from './support/library.ts'

/** Every route meets what can go wrong between the Worker and the database, at each of its round trips. Nothing
 *  is done by half, nothing is done twice for one key, who was told nothing hears the truth by asking again, who may not
 *  may not then either, and neither the answer nor the log says what was sent or where. */

/** Fewer than a database has connections: a fault may keep one. */
const AT_A_TIME = 16
const PATIENCE_MS = 120_000

const statements = [TERMS]
/** Whoever repeats a refresh is honest, however long the test takes, and nobody has to wait for having tried often. */
const edits = [
  { function: 'refresh_session', replace: "interval '10 seconds'", by: "interval '1 hour'" },
  { function: 'begin_login', replace: '{5,10,30}', by: '{500,500,500}' },
  { function: 'begin_password_change', replace: '{5}', by: '{500}' },
]

/** They ask nothing of the database, and nothing outside the Worker: they are answered while it is away. Whatever a route
 *  fetches from elsewhere meets the faults of that place in the test of its feature, and is named here with it. */
const without: Call[] = [
  ...[
    ...['/', '/healthz', '/version', '/problems', '/problems/forbidden', '/openapi.json', '/docs', '/docs/start.js'],
    ...['/.well-known/security.txt', '/v1/security/guidance'],
  ].map((path) => ({ method: 'GET', path })),
  { method: 'POST', path: '/v1/auth/password-check', body: { password: 'seven quiet herons wade' } },
]

const READY = { method: 'GET', path: '/readyz' }

/** Nothing is run, and that is heard at once: these are met one after the other. */
const refusals = [
  ...['refuse', 'reset', 'empty', 'garbage', 'other-json', 'other-type'],
  ...['bad-gateway', 'redirect', 'error-500', 'html', 'too-many'],
] as const satisfies FaultName[]
const isRefusal = (name: FaultName) => refusals.some((refusal) => refusal === name)
const others = faultNames.filter((name) => !isRefusal(name))

type Named = [name: string, verb: Verb]
type Encounter = { faults: readonly FaultName[]; again: Again }
/** A library, and what is done in it, so much at a time. */
type Branch = { library: Apart; verbs: Named[]; inTurn: ReturnType<typeof atMost> }

let branches: Branch[]
let effects: Map<Verb, Effect>
let reading: { library: Apart; scene: Scene; reads: Read[] }
let calls: Call[]
const lines: string[] = []

beforeAll(async () => {
  vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(String(line)))
  const all = Object.entries(verbs)
  const crowd = all.filter(([, { alone }]) => !alone)
  const lone = all.filter(([, { alone }]) => alone)
  const shares = [0, 1, 2].map((share) => crowd.filter((_, place) => place % 3 === share))
  branches = await Promise.all([
    ...shares.map((verbs) => aBranch(verbs, AT_A_TIME)),
    ...lone.map((one) => aBranch([one], 1)),
  ])
  // Few at a time: a password's hash does not wait long for its turn.
  const calmly = atMost(4)
  const found = branches.flatMap(({ library, verbs }) =>
    verbs.map(async ([, verb]) => [verb, await calmly(() => effectOf(library, verb))] as const),
  )
  const known = await Promise.all(found)
  effects = new Map(known)
  const library = await aLibraryApart({ edits, statements })
  const scene = await aScene(library)
  reading = { library, scene, reads: await readsIn(scene) }
  calls = [...known.map(([, { call }]) => call), ...reading.reads.map(({ call }) => call)]
}, PATIENCE_MS)

afterAll(() => vi.restoreAllMocks())

test('every route is here', () => {
  const named = new Set([...calls, READY, ...without].map(routeOf))
  expect(routes.map(nameOf).filter((name) => !named.has(name))).toEqual([])
})

test('what needs no database is answered without it', async () => {
  const away = reading.library.faulty('refuse', { times: 100 })
  for (const call of without) expect((await send(away, call)).status, call.path).toBe(200)
})

// Before any good answer, which counts for five seconds.
test('whether the database answers is not known while it does not', { timeout: PATIENCE_MS }, async () => {
  const asked = faultNames.map((fault) => send(reading.library.faulty(fault), READY))
  expect((await Promise.all(asked)).map(isOutage)).toEqual(faultNames.map(() => true))
  expect((await send(reading.library, READY)).status).toBe(200)
})

describe.concurrent('every question is answered by an outage, and changes nothing', () => {
  test.each(faultNames)('%s', { timeout: PATIENCE_MS }, async (fault) => {
    expect(await everyRead(fault)).toEqual([])
  })
})

describe.concurrent('every verb is done or is not, and asking again settles which', () => {
  test.each([[...refusals], ...others.map((name) => [name])])('%s', { timeout: PATIENCE_MS }, async (...faults) => {
    expect(await everyVerb({ faults, again: 'later' })).toEqual([])
  })
})

describe.concurrent('every verb is done once, although it is repeated while the first request may still be done', () => {
  test.each(['run-late', 'stuck'] as const)('%s', { timeout: PATIENCE_MS }, async (fault) => {
    expect(await everyVerb({ faults: [fault], again: 'at once' })).toEqual([])
  })
})

describe.concurrent('this test notices', { timeout: PATIENCE_MS }, () => {
  const chargeWith = async (library: Apart) =>
    wrongWith(library, named('charge a fee'), { faults: ['drop-answer'], again: 'later' })

  test.each([
    { faults: ['drop-answer'], again: 'later' },
    { faults: ['run-late'], again: 'at once' },
  ] as const)('a key that keeps nothing from being done twice ($faults)', async (encounter) => {
    const replace = "perform refuse('idempotency-key-replayed')"
    const library = await aLibraryApart({
      edits: [{ function: 'claim_idempotency_key', replace, by: 'return' }],
      statements,
    })
    const doubled = ['charge a fee', 'pay a part of a fee', 'block a patron', 'count a use in the library']
    const wrong = await Promise.all(doubled.map((name) => wrongWith(library, named(name), encounter)))
    for (const [place, name] of doubled.entries()) {
      expect(wrong[place]).toContain(`${name}: after the second request its effect is not there once`)
    }
  })

  test('a role that is not asked for', async () => {
    const ignored = { function: 'require_actor', replace: 'found_user.role <> p_role', by: 'false' }
    const library = await aLibraryApart({ edits: [ignored], statements })
    const encounter = { faults: ['refuse', 'error-500-after'], again: 'later' } as const
    expect(await wrongWith(library, named('charge a fee'), encounter)).toContain('charge a fee: half of it was done')
  })

  test('a log that says too much', () => {
    expect(leaks(['{"event":"request","route":"/v1/users"}'])).toEqual([])
    for (const word of ['scene000001', 'a test', 'lrt_AAAA', 'eyJhbGci', '127.0.0.1', 'select x', 'fault.stack']) {
      expect(leaks([`{"error":"${word}"}`])).toHaveLength(1)
    }
  })

  test('half an effect', async () => {
    const library = await aLibraryApart({ statements })
    const halving = withAnswers(library, async (answer) => {
      await library.database`delete from events`
      return answer
    })
    expect(await chargeWith(halving)).toContain('charge a fee: half of it was done')
  })

  test('an answer that says too much', async () => {
    const talkative = withAnswers(await aLibraryApart({ statements }), async (answer) => ({
      ...answer,
      body: { ...Object(answer.body), hint: 'connection to 127.0.0.1 lost' },
    }))
    expect(await chargeWith(talkative)).toEqual([expect.stringContaining('charge a fee: the answer is 503')])
  })

  test('an answer that takes too long', async () => {
    const slow = withAnswers(await aLibraryApart({ statements }), async (answer) => {
      await scheduler.wait(10_000)
      return answer
    })
    expect(await chargeWith(slow)).toEqual([
      expect.stringMatching(/^charge a fee: the answer 503 came after 1\d{4} ms$/),
    ])
  })
})

async function aBranch(verbs: Named[], count: number): Promise<Branch> {
  return { library: await aLibraryApart({ edits, statements }), verbs, inTurn: atMost(count) }
}

/** What is wrong after every verb has met the fault. */
async function everyVerb(encounter: Encounter): Promise<string[]> {
  const wrong = branches.flatMap(({ library, verbs, inTurn }) =>
    verbs.flatMap((one, place) => {
      const faults = encounter.faults.filter((fault) => isItsTurn(place, fault))
      if (faults.length === 0) return []
      return Array.from({ length: one[1].trips ?? 1 }, (_, skip) =>
        inTurn(() => wrongWith(library, one, { ...encounter, faults, skip })),
      )
    }),
  )
  const found = (await Promise.all(wrong)).flat()
  const strange = await Promise.all(branches.map(({ library }) => inconsistencies(library.database)))
  return [...found, ...strange.flat().map(({ what }) => what), ...leaks(lines)]
}

/** Each route meets each fifth fault, another fifth each time that this runs; with VITE_PROVE every one. */
const isItsTurn = (place: number, fault: FaultName) =>
  factor > 1 || (place + faultNames.indexOf(fault) + seed) % 5 === 0

/** What is wrong after every question has met the fault. */
async function everyRead(fault: FaultName): Promise<string[]> {
  const { library, scene, reads } = reading
  const wrong: string[] = []
  const before = await scene.state()
  const inTurn = atMost(AT_A_TIME)
  const meet = async ({ name, trips = 1, call, first }: Read, place: number) => {
    for (let skip = 0; skip < trips; skip++) {
      const [way, other] = [library.faulty(fault, { skip }), library.faulty(fault, { skip })]
      const startedAt = Date.now()
      const intruding = intrusion(scene, call, place)
      const [answer, theirs] = await Promise.all([send(way, call), intruding && send(other, intruding)])
      if (Date.now() - startedAt > 10_000) wrong.push(`${name}: it took ${Date.now() - startedAt} ms`)
      if (!isOutage(answer) && answer.text !== first)
        wrong.push(`${name}: the answer is ${answer.status} ${answer.text}`)
      if (theirs && !isKeptOut(theirs)) wrong.push(`${name}: somebody who may not is answered ${theirs.status}`)
    }
  }
  const met = reads.map((read, place) => ({ read, place })).filter(({ place }) => isItsTurn(place, fault))
  await Promise.all(met.map(({ read, place }) => inTurn(() => meet(read, place))))
  if ((await scene.state()) !== before) wrong.push('a question changed something')
  return [...wrong, ...leaks(lines)]
}

/** Lines of the log that say what was sent, or where, or that an outage was a fault of ours. */
const leaks = (written: string[]) =>
  written.filter((line) =>
    /scene\d{6}|a test|herons|lrt_|eyJ|postgres|127\.0\.0\.1|\/sql|select |insert |"fault/i.test(line),
  )

const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path.replace(/(.)\/$/, '$1')}`

/** The first route whose path it is: those without parameters come before those with. */
function routeOf({ method, path }: { method: string; path: string }): string {
  const pathname = path.split('?')[0] ?? ''
  const isFixed = (route: { path: string }) => !route.path.includes(':')
  const fits = routes
    .toSorted((a, b) => Number(isFixed(b)) - Number(isFixed(a)))
    .find(
      (route) => route.method === method && new RegExp(`^${route.path.replaceAll(/:\w+/g, '[^/]+')}/?$`).test(pathname),
    )
  if (fits === undefined) throw new Error(`no route: ${method} ${path}`)
  return nameOf(fits)
}

async function wrongWith(
  library: Apart,
  [name, verb]: Named,
  { faults, again, skip = 0 }: Encounter & { skip?: number },
): Promise<string[]> {
  const effect = effects.get(verb)
  if (effect === undefined) throw new Error(`nobody knows what it does to ${name}`)
  const wayTo = (fault: FaultName) => {
    const [way, intruders] = [library.faulty(fault, { skip }), library.faulty(fault, { skip })]
    const over = async () => (isRefusal(fault) ? undefined : Promise.all([way.over(), intruders.over()]))
    return { ...way, intruders, over }
  }
  const wrong = await trial({ library, verb, effect, again, meet: async () => faults.map(wayTo) })
  return wrong.map((what) => `${name}: ${what}`)
}

function named(name: string): Named {
  const verb = verbs[name]
  if (verb === undefined) throw new Error(`the table has no verb to ${name}`)
  return [name, verb]
}

/** A library whose answers under a fault are others. */
function withAnswers(library: Apart, replace: (answer: Answer) => Promise<Answer>): Apart {
  return {
    ...library,
    faulty: (...given) => {
      const faulty = library.faulty(...given)
      // safe because what a verb is answered is not looked into, but compared
      const ask = async <T>(...call: Parameters<Apart['ask']>) =>
        (await replace(await faulty.ask(...call))) as Answer<T>
      return { ...faulty, ask }
    },
  }
}
