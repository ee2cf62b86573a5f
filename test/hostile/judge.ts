import { createExecutionContext } from 'cloudflare:test'
import { app, routes } from '../../src/app.ts'
import type { InputError } from '../../src/problem.ts'
import type { Route } from '../../src/route-facts.ts'
import { type Answer, ORIGIN, problemOf, read } from '../support/library.ts'
import type { Scene } from './scene.ts'
import { type Field, type Json, textsIn, valueAt } from './shape.ts'

type Init = { headers?: Record<string, string>; body?: string | Uint8Array }

/** What is asked of one route, and what is wrong with its answers. */
/** A part of an address: each request comes from another. */
const hex = () => crypto.getRandomValues(new Uint16Array(1))[0]?.toString(16) ?? '0'

export type Trial = ReturnType<typeof trialOf>

/** How many requests were judged. */
export const count = { requests: 0, kept: 0 }

/** Ids of requests in which the Worker logged a fault, and what it was. */
export const logged = new Map<string, string>()

/** Takes the place of console.log. Every refusal by the database that is not foreseen ends in a `fault`, with its SQLSTATE. */
export function readLine(line: unknown) {
  const record = JSON.parse(String(line)) as { event: string; requestId?: string }
  if (record.event === 'fault') logged.set(record.requestId ?? '', String(line))
}

type Expected = { where: string; text: string }

/** Texts that were accepted and that no answer shows at once: the log of events does, later. */
export const shownLater: Expected[] = []

/** Which fields of text have been seen to keep what they were given. */
export const keepers = new Set<string>()

/** Many long values at once may be more than a request holds. */
const TOO_LONG = new Set([413, 414])

const SECRETS = new Set(['password', 'currentPassword', 'newPassword'])

export const nameOf = ({ method, path }: Route) => `${method} ${path}`

export const schemasOf = ({ facts }: Route, target: string) =>
  facts.inputs.filter((input) => input.target === target).map(({ schema }) => schema)

const bodyHeaders = { 'content-type': 'application/json' }

export function trialOf(scene: Scene, route: Route, samples: Record<string, string>) {
  const faults: string[] = []
  const { env } = scene.library
  const path = route.path.replace(/:([a-z]+)/g, (_, name: string) => encodeURIComponent(samples[name] ?? ''))
  const sound: Record<string, string> = {
    ...(!route.facts.roles.includes('anyone') && { authorization: `Bearer ${scene.tokenFor(route)}` }),
    ...(route.facts.problems.includes('precondition-required') && { 'if-match': '*' }),
  }

  const say = (label: string, fault: string) => faults.push(`${label.slice(0, 300)}: ${fault}`)

  /** Sends it, and says what no answer may be. Null if the answer could not even be read. */
  async function send(label: string, { headers, body }: Init = {}, at = path): Promise<Answer | null> {
    count.requests++
    const request = new Request(ORIGIN + at, {
      method: route.method,
      headers: {
        'cf-connecting-ip': `2001:db8:${hex()}:${hex()}::1`,
        ...sound,
        ...(body !== undefined && bodyHeaders),
        ...headers,
      },
      ...(body !== undefined && { body }),
    })
    const response = await untilNotBusy(() => app.fetch(request.clone(), env, createExecutionContext()))
    const line = logged.get(response.headers.get('x-request-id') ?? '')
    if (line !== undefined) say(label, `logs ${line}`)
    if (response.status >= 500) say(label, `is a ${response.status}`)
    for (const [header, value] of response.headers) {
      if (!/^[\x20-\x7e]*$/.test(value)) say(label, `answers ${header}: ${JSON.stringify(value)}`)
    }
    try {
      const answer = await read(request, response)
      if (response.status >= 400 && (problemOf(answer) === null || !isProblem(answer)))
        say(label, `is no problem: ${answer.text}`)
      return answer
    } catch (error) {
      say(label, error instanceof Error ? error.message.slice(0, 500) : 'is not an answer')
      return null
    }
  }

  const isProblem = ({ headers, status, body }: Answer) =>
    headers.get('content-type') === 'application/problem+json' && (body as { status: number }).status === status

  /** What its schema refuses is answered with 422, and points at nothing but what was made bad. */
  async function expectRefused(label: string, places: Place[], how: Sending, target: 'body' | 'query') {
    const answer = await send(label, how.init, how.at)
    if (answer === null || TOO_LONG.has(answer.status)) return
    const { errors = [] } = answer.body as { errors?: InputError[] }
    if (problemOf(answer) !== 'invalid-input' || errors.length === 0) say(label, `is a ${answer.status}`)
    const astray = errors.filter((error) => error.in !== target || !places.some(({ field }) => isAbout(error, field)))
    if (astray.length > 0) say(label, `points at ${JSON.stringify(astray)}`)
  }

  /** What its schema takes is no invalid input, and is kept as it was. */
  async function expectTaken(label: string, places: Place[], how: Sending) {
    const answer = await send(label, how.init, how.at)
    if (answer === null || TOO_LONG.has(answer.status)) return
    if (isRefused(answer)) say(label, `is refused: ${answer.text}`)
    if (answer.status < 300) await expectKept(answer, places)
  }

  async function expectKept(answer: Answer, places: Place[]) {
    if (route.method === 'GET') return
    const shown: { field: Field; text: string }[] = []
    for (const { field, json } of places) {
      const sent = JSON.parse(json) as Json
      if (typeof sent === 'number') {
        const kept = valueAt(answer.body, field.path)
        // Past the end of a queue is its end.
        if (typeof kept === 'number' && kept !== sent && field.pointer !== '/position')
          say(field.pointer, `${sent} became ${kept}`)
      }
      if (typeof sent !== 'string' || !field.isText || SECRETS.has(field.path.at(-1) ?? '')) continue
      shown.push({ field, text: sent.normalize('NFC') })
    }
    const shownAt = upFrom(answer.headers.get('location') ?? path)[0]
    if (shown.length === 0 || shownAt === undefined) return
    const expected = shown.map(({ field, text }) => ({ where: `${nameOf(route)} ${field.pointer}`, text }))
    // A list shows all that was made, so it is read when all has been made.
    if (isList(shownAt) && route.method === 'POST') {
      lists.set(shownAt, [...(lists.get(shownAt) ?? []), ...expected])
      return
    }
    // Who logs in sees where they are logged in.
    const { accessToken: token = scene.token } = answer.body as { accessToken?: string }
    if (isList(shownAt)) return compare(expected, await textsListed(scene, shownAt))
    const { body } = await scene.library.ask('GET', shownAt, { token })
    return compare(expected, new Set(textsIn(body)))
  }

  const lists = new Map<string, Expected[]>()

  async function expectListed() {
    for (const [place, expected] of lists) compare(expected, await textsListed(scene, place))
  }

  return { faults, path, send, expectRefused, expectTaken, expectListed }
}

export type Place = { field: Field; json: string }

export type Sending = { init?: Init; at?: string }

const isAbout = ({ pointer }: InputError, field: Field) =>
  pointer !== '' &&
  (pointer === field.pointer || pointer.startsWith(`${field.pointer}/`) || field.pointer.startsWith(`${pointer}/`))

const readers = routes
  .filter(({ method }) => method === 'GET')
  .map((route) => ({ route, form: new RegExp(`^${route.path.replace(/:[a-z]+/g, '[^/]+')}$`) }))

const readerOf = (path: string) => readers.find(({ form }) => form.test(path))?.route

/** What can be read there: the path itself, and each that it goes on from. */
const upFrom = (path: string) =>
  path
    .split('/')
    .map((_, end, segments) => segments.slice(0, segments.length - end).join('/'))
    .filter((place) => place.startsWith('/v1/') && readerOf(place) !== undefined)

/** That a password is easy to guess is not in its schema. */
export const isRefused = (answer: Answer) =>
  problemOf(answer) === 'invalid-input' &&
  ((answer.body as { errors?: InputError[] }).errors ?? []).some(({ pointer }) => !SECRETS.has(pointer.slice(1)))

const isList = (path: string) => (readerOf(path)?.facts.inputs ?? []).some((input) => input.target === 'query')

export async function textsListed(scene: Scene, path: string): Promise<Set<string>> {
  const texts = new Set<string>()
  for (let next: string | undefined = `${path}?limit=100`; next !== undefined;) {
    const page: { next?: string | null } = (
      await scene.library.ask<{ next?: string | null }>('GET', next, { token: scene.token })
    ).body
    for (const text of textsIn(page)) texts.add(text)
    next = page.next ?? undefined
  }
  return texts
}

/** What is not shown there may be shown by the log of events. */
function compare(expected: Expected[], texts: Set<string>) {
  for (const { where, text } of expected) {
    if (!texts.has(text)) shownLater.push({ where, text })
    else {
      count.kept++
      keepers.add(where)
    }
  }
}

/** One password is hashed at a time, and who waits too long for a turn is told so: that is no fault. */
async function untilNotBusy(ask: () => Response | Promise<Response>, times = 10): Promise<Response> {
  const response = await ask()
  if (times === 0 || response.status !== 503 || !(await response.clone().text()).includes('/problems/busy'))
    return response
  return untilNotBusy(ask, times - 1)
}
