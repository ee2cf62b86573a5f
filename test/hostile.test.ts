import { base64urlnopad } from '@scure/base'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { routes } from '../src/app.ts'
import type { Route } from '../src/route-facts.ts'
import {
  count,
  nameOf,
  type Place,
  readLine,
  schemasOf,
  isRefused,
  keepers,
  shownLater,
  textsListed,
  trialOf,
} from './hostile/judge.ts'
import { aScene, type Scene } from './hostile/scene.ts'
import {
  anyOf,
  type Field,
  type Json,
  leavesOf,
  samplesOf,
  type Schema,
  schemaOf,
  textWith,
  topsOf,
  verdictsOf,
} from './hostile/shape.ts'
import {
  blunt,
  bodies,
  brokenCursors,
  cursorContents,
  cursorPairs,
  headers,
  type Hostile,
  queriesOf,
  sharp,
  stiff,
  segments,
  strangers,
  wholes,
} from './hostile/values.ts'
import { factor, seed } from './support/effort.ts'
import { problemOf } from './support/library.ts'

/** Nothing that is sent makes the Worker fail: not one answer is a 5xx, and the database is given nothing that it chokes on.
 *  The routes, their fields and their limits are the app's own, so what is new is tried as well. */

let scene: Scene
beforeAll(async () => {
  vi.spyOn(console, 'log').mockImplementation(readLine)
  scene = await aScene()
}, 60_000)
afterAll(async () => {
  vi.restoreAllMocks()
  // oxlint-disable-next-line no-console -- how much was tried
  console.info(`${count.requests} hostile requests; ${count.kept} texts were kept as they were; VITE_SEED=${seed}`)
  await scene.library.drop()
})

const withA = (target: string) =>
  routes
    .filter((route) => schemasOf(route, target).length > 0)
    .map((route) => [nameOf(route), route, schemaOf(schemasOf(route, target)[0] ?? z.never())] as const)

/** Fresh values for the parameters of the path. */
const parametersOf = (route: Route): Record<string, string> => {
  const [type] = schemasOf(route, 'param')
  if (type === undefined) return {}
  const [sample] = samplesOf(schemaOf(type), { ...scene.knownTo(route), id: () => scene.idOf(route) })
  return sample as Record<string, string>
}

const soundBodies = (route: Route, schema: Schema): Json[] =>
  scene.bodiesFor(route) ?? samplesOf(schema, scene.knownTo(route))

const soundInit = (route: Route) => {
  const [type] = schemasOf(route, 'json')
  return type === undefined ? {} : { body: JSON.stringify(soundBodies(route, schemaOf(type))[0]) }
}

const trialOn = (route: Route) => trialOf(scene, route, parametersOf(route))

/** A query as Hono would read it, in text. */
const queryTextOf = ({ json }: Place) => {
  const value: unknown = JSON.parse(json)
  return typeof value === 'string' ? value.toWellFormed() : json
}

const asQuery = (places: Place[]) =>
  places.map((place) => `${place.field.path[0]}=${encodeURIComponent(queryTextOf(place))}`).join('&')

const CREDENTIALS = new Set(['/username', '/password', '/currentPassword'])

/** Tests of one route change the same thing, so they wait for each other. */
const turns = new Map<Route, Promise<void>>()
const alone =
  <A extends readonly [string, Route, Schema]>(run: (...given: A) => Promise<void>) =>
  (...given: A): Promise<void> => {
    const begin = () => run(...given)
    const turn = (turns.get(given[1]) ?? Promise.resolve()).then(begin, begin)
    turns.set(given[1], turn)
    return turn
  }

const some = <T>(items: T[]) => items.slice(0, 25)

/** Of what only the frame looks at, each route takes a part, in turn; all with VITE_PROVE. */
const partFor = <T>(route: Route, items: T[], parts: number) =>
  factor > 1 ? items : items.filter((_, i) => i % parts === (routes.indexOf(route) + seed) % parts)

const valuesFor = (route: Route) => [...sharp, ...partFor(route, blunt, 18)]

/** For each field the values that are taken there, and those that are refused. */
function sortedOut(type: z.ZodType, fields: Field[], values: Hostile[], parsedWith: (places: Place[]) => unknown) {
  const taken = new Map<Field, Hostile[]>()
  const refused = new Map<Field, Hostile[]>()
  for (const value of [...values, ...stiff]) {
    const open = stiff.includes(value) ? fields.filter(({ isText }) => !isText) : fields
    const verdicts = verdictsOf(type, open, parsedWith, value.json)
    for (const field of verdicts.taken) taken.set(field, [...(taken.get(field) ?? []), value])
    for (const field of verdicts.refused) refused.set(field, [...(refused.get(field) ?? []), value])
  }
  return { taken: inTurn(taken), refused: inTurn(refused) }
}

/** Each field's values one after another, those of all fields at a time. */
function inTurn(values: Map<Field, Hostile[]>): { label: string; places: Place[] }[] {
  const length = Math.max(0, ...[...values.values()].map((list) => list.length))
  return Array.from({ length }, (_, turn) => {
    const chosen = [...values].flatMap(([field, list]) => {
      const value = list[turn]
      return value === undefined ? [] : [{ field, value }]
    })
    return {
      label: chosen.map(({ field, value }) => `${field.pointer} ${value.name}`).join(),
      places: chosen.map(({ field, value }) => ({ field, json: value.json(field.max) })),
    }
  })
}

describe.concurrent('hostile', { timeout: 120_000 }, () => {
  test.each(withA('json'))(
    'fields of the body of %s',
    alone(async (_, route, schema) => {
      const trial = trialOn(route)
      const [type = z.never()] = schemasOf(route, 'json')
      for (const [form, sound] of soundBodies(route, schema).entries()) {
        expect(type.safeParse(sound).error?.issues, 'the scene has no sound body for it').toBe(undefined)
        const textOf = (places: Place[]) => textWith(soundBodies(route, schema)[form] ?? null, places)
        const parsed = (places: Place[]) => JSON.parse(textOf(places)) as unknown
        const leaves = sortedOut(type, leavesOf(sound, schema), valuesFor(route), parsed)
        const tops = sortedOut(type, topsOf(sound), wholes, parsed)
        for (const { label, places } of [...partFor(route, leaves.refused, 24), ...tops.refused]) {
          await trial.expectRefused(label, places, { init: { body: textOf(places) } }, 'body')
        }
        // Whoever logs in wrongly is asked nothing more, so the rest is tried with what is right as well.
        const loggedIn = leaves.taken.map(({ label, places }) => ({
          label,
          places: places.filter(({ field }) => !CREDENTIALS.has(field.pointer)),
        }))
        const others = loggedIn.filter(({ places }, i) => ![0, leaves.taken[i]?.places.length].includes(places.length))
        for (const { label, places } of [...leaves.taken, ...others, ...tops.taken]) {
          // Two that are good by themselves may not go together.
          if (type.safeParse(parsed(places)).success) {
            await trial.expectTaken(label, places, { init: { body: textOf(places) } })
          }
        }
      }
      await trial.expectListed()
      expect(some(trial.faults)).toEqual([])
    }),
  )

  test.each(withA('json'))('bodies of %s', async (_, route, schema) => {
    const trial = trialOn(route)
    for (const { name, body } of partFor(route, bodies(JSON.stringify(soundBodies(route, schema)[0])), 12)) {
      const answer = await trial.send(name, { body })
      if (answer !== null && ![400, 413, 422].includes(answer.status))
        trial.faults.push(`${name} is a ${answer.status}`)
    }
    expect(some(trial.faults)).toEqual([])
  })

  test.each(withA('query'))('parameters of the query of %s', async (_, route, schema) => {
    const trial = trialOn(route)
    const [type = z.never()] = schemasOf(route, 'query')
    // Cursors are made, not written: they have a test of their own.
    const properties = Object.entries(schema.properties ?? {}).filter(([name]) => name !== 'cursor')
    const fields = properties.map(([name, { maxLength = 60 }]): Field => {
      return { path: [name], pointer: `/${name}`, max: maxLength, isText: false }
    })
    const parsed = (places: Place[]) =>
      Object.fromEntries(places.map((place) => [place.field.path[0], queryTextOf(place)]))
    const { taken, refused } = sortedOut(type, fields, valuesFor(route), parsed)
    for (const { label, places } of partFor(route, refused, 24)) {
      await trial.expectRefused(label, places, { at: `${trial.path}?${asQuery(places)}` }, 'query')
    }
    for (const { label, places } of taken) {
      await trial.expectTaken(label, places, { at: `${trial.path}?${asQuery(places)}` })
    }
    for (const [query, acceptable] of queriesOf(fields[0]?.path[0] ?? '')) {
      const answer = await trial.send(query, {}, `${trial.path}?${query}`)
      if (answer?.status === 200 && !acceptable) trial.faults.push(`${query} is accepted`)
    }
    expect(some(trial.faults)).toEqual([])
  })

  test.each(withA('query').filter(([, , schema]) => schema.properties?.['cursor'] !== undefined))(
    'cursors of %s',
    async (_, route, schema) => {
      const trial = trialOn(route)
      const { q, sort } = schema.properties ?? {}
      const orders = [...(q ? ['&q=a'] : []), ...(sort?.enum ?? []).map((value) => `&sort=${value as string}`)]
      const forged = (contents: string[]) =>
        contents.map((content) => base64urlnopad.encode(new TextEncoder().encode(content)))
      const queries = [
        ...[...forged(cursorContents), ...brokenCursors].map((cursor) => `cursor=${encodeURIComponent(cursor)}`),
        ...orders.flatMap((order) => forged(cursorPairs).map((cursor) => `cursor=${cursor}${order}`)),
      ]
      for (const query of queries) {
        const answer = await trial.send(query, {}, `${trial.path}?${query}`)
        if (answer !== null && ![200, 414, 422].includes(answer.status))
          trial.faults.push(`${query} is a ${answer.status}`)
      }
      expect(some(trial.faults)).toEqual([])
    },
  )

  test.each(withA('param'))('segments of the path of %s', async (_, route) => {
    const trial = trialOn(route)
    const init = soundInit(route)
    for (const segment of partFor(route, segments, 8)) {
      await trial.send(segment, init, route.path.replace(/:[a-z]+/g, segment))
    }
    expect(some(trial.faults)).toEqual([])
  })

  test.each(routes.map((route) => [nameOf(route), route] as const))('headers of %s', async (_, route) => {
    const trial = trialOn(route)
    const init = soundInit(route)
    // Not on the things of the scene, which others need.
    const at = route.path.replace(/:[a-z]+/g, crypto.randomUUID())
    const declared = new Set(schemasOf(route, 'header').flatMap((type) => Object.keys(schemaOf(type).properties ?? {})))
    for (const [name, values] of Object.entries(headers)) {
      for (const value of declared.has(name) ? values : partFor(route, values, 30)) {
        await trial.send(`${name}: ${value}`, { ...init, headers: { [name]: value } }, at)
      }
    }
    await trial.send('headers of others', { ...init, headers: strangers }, at)
    expect(some(trial.faults)).toEqual([])
  })
})

const RUNS = 4 * factor

describe.concurrent('what the document allows', { timeout: 120_000 }, () => {
  test.each(withA('json'))(
    'in the body of %s is taken, or refused with a problem that it names',
    alone(async (_, route, schema) => {
      const trial = trialOn(route)
      const [type = z.never()] = schemasOf(route, 'json')
      const body = anyOf(schema, scene.knownTo(route))
      await fc.assert(
        fc.asyncProperty(body, async (value) => {
          const answer = await trial.send(JSON.stringify(value), { body: JSON.stringify(value) })
          expect(trial.faults).toEqual([])
          // Some rules are of two fields at once, or of what a text says.
          if (type.safeParse(value).success) expect(answer && isRefused(answer)).toBe(false)
          else expect(answer && problemOf(answer)).toBe('invalid-input')
        }),
        { numRuns: RUNS, seed },
      )
    }),
  )

  test.each(withA('json'))(
    'in the body of %s may hold one hostile value',
    alone(async (_, route, schema) => {
      const trial = trialOn(route)
      const [type = z.never()] = schemasOf(route, 'json')
      const hostile = fc.record({
        body: anyOf(schema, scene.knownTo(route)),
        value: fc.constantFrom(...sharp, ...blunt, ...stiff),
        place: fc.nat(),
      })
      await fc.assert(
        fc.asyncProperty(hostile, async ({ body, value, place }) => {
          const leaves = leavesOf(body, schema)
          const field = leaves[place % leaves.length]
          if (field === undefined || field.pointer === '' || !type.safeParse(body).success) return
          const places = [{ field, json: value.json(field.max) }]
          const text = textWith(body, places)
          const isTaken = type.safeParse(JSON.parse(text)).success
          if (isTaken) await trial.expectTaken(value.name, places, { init: { body: text } })
          else await trial.send(value.name, { body: text })
          expect(trial.faults).toEqual([])
        }),
        { numRuns: RUNS, seed },
      )
      await trial.expectListed()
    }),
  )
})

/** Text that answers do not show, and why. */
const SILENT = new Set([
  'POST /v1/sessions /username',
  'POST /v1/sessions /password',
  'POST /v1/users /password',
  'PUT /v1/users/me/password /currentPassword',
  'PUT /v1/users/me/password /newPassword',
  'POST /v1/auth/password-check /password',
  'POST /v1/auth/password-resets /newPassword',
  // Nothing that is hostile is a telephone number.
  'PATCH /v1/users/me /phone',
  'PATCH /v1/users/:id /phone',
  // Kept where something was set aside, or moved: here nothing was.
  'POST /v1/loans /override/reason',
  'POST /v1/loans/:id/renewals /override/reason',
  'POST /v1/holds /override/reason',
  'PUT /v1/holds/:id/position /reason',
])

test('what was accepted and is not shown beside the thing itself stands in the log of events', async () => {
  const texts = await textsListed(scene, '/v1/events')
  const lost = shownLater.filter(({ where, text }) => !SILENT.has(where) && !texts.has(text))
  expect([...new Set(lost.map(({ where }) => where))]).toEqual([])
})

test('every field of text was seen to keep what it was given', async () => {
  expect((await scene.library.ask('GET', '/v1/users/me', { token: scene.token })).status).toBe(200)
  const fields = withA('json').flatMap(([name, route, schema]) =>
    soundBodies(route, schema).flatMap((sound) =>
      leavesOf(sound, schema)
        .filter(({ isText }) => isText)
        .map(({ pointer }) => `${name} ${pointer}`),
    ),
  )
  expect([...new Set(fields)].filter((field) => !SILENT.has(field) && !keepers.has(field))).toEqual([])
})

test('passwords are any text, and log in as they were given', async () => {
  const passwords = [
    "'; drop table users; --",
    '\u202egnp.exe\u2066 and more',
    'line\r\nbreak\tand more',
    '\u{1f468}\u200d\u{1f469}\u200d\u{1f467} and a dog',
    '%00%0d%0a\\u0000\\',
    'un e\u0301te\u0301 bien chaud',
  ]
  for (const password of passwords) {
    const username = `w${crypto.randomUUID().slice(0, 8)}`
    const account = { username, email: `${username}@mail.test`, password }
    expect((await scene.library.ask('POST', '/v1/users', { body: account })).status, password).toBe(201)
    expect((await scene.library.ask('POST', '/v1/sessions', { body: { username, password } })).status, password).toBe(
      201,
    )
  }
})

const post = async (path: string, body: object) => scene.library.ask('POST', path, { token: scene.token, body })

describe('a line of text', () => {
  test.each(['\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u2066', '\u2067', '\u2068', '\u2069'])(
    'holds nothing that changes the direction of what stands beside it (%j)',
    async (character) => {
      const answer = await post('/v1/books', { title: `gnp${character}exe` })
      expect(answer.status).toBe(422)
      expect(answer.body).toMatchObject({ errors: [{ in: 'body', pointer: '/title' }] })
    },
  )

  test.each([
    '\u05e9\u05dc\u05d5\u05dd \u200ea\u200f',
    '\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645',
    '\u0915\u094d\u200d\u0937',
  ])('holds the marks and joiners that scripts need (%j)', async (title) => {
    const answer = await post('/v1/books', { title })
    expect([answer.status, answer.body]).toEqual([201, expect.objectContaining({ title })])
  })
})

test.each([
  'ada\u200b',
  '\u202eada',
  'a\u0434a',
  '\uff41da',
  'ad\u0430',
  'ada\u0301',
  '\u212ba',
  'ad\u2024a',
  'ada\u00ad',
  'a\u2010a',
])('a username that only looks like another (%j) is refused', async (username) => {
  const answer = await post('/v1/users', { username, email: 'ada@mail.test', password: scene.password })
  expect(answer.status).toBe(422)
  expect(answer.body).toMatchObject({ errors: [{ in: 'body', pointer: '/username' }] })
})

test('a body is read 32 deep, and no deeper', async () => {
  const route = routes.find((each) => nameOf(each) === 'POST /v1/books')
  if (route === undefined) throw new Error('there is no such route')
  const trial = trialOn(route)
  const deep = (levels: number) => `{"title":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
  const answers = [await trial.send('32', { body: deep(32) }), await trial.send('33', { body: deep(33) })]
  expect(answers.map((answer) => answer?.status)).toEqual([422, 400])
  expect(trial.faults).toEqual([])
})

test.each(['title', '-title'])('a list of long titles in the order of %s can be walked to its end', async (sort) => {
  const subject = crypto.randomUUID()
  const titles = ['\u0449', '\u4e2d', '"', '\\\\', '\u{1f9ff}'].map((letter) => letter.repeat(500 / letter.length))
  for (const title of titles) expect((await post('/v1/books', { title, subjects: [subject] })).status).toBe(201)
  const found: string[] = []
  for (let next: string | null = `/v1/books?limit=1&sort=${sort}&subject=${subject}`; next !== null;) {
    const page: { status: number; body: { items: { title: string }[]; next: string | null } } = await scene.library.ask(
      'GET',
      next,
    )
    expect(page.status).toBe(200)
    found.push(...page.body.items.map(({ title }) => title))
    next = page.body.next
  }
  expect(found.toSorted()).toEqual(titles.toSorted())
})
