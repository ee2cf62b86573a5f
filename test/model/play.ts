import { problems } from '../../src/problem.ts'
import { type Answer, problemOf } from '../support/library.ts'
import { difference, Names } from './compare.ts'
import { type Met, once } from './keys.ts'
import { type Library, Refusal, refuse } from './library.ts'
import type { Move } from './moves.ts'
import type { Real } from './real.ts'
import { libraryIn, type Setting, STAFF } from './setting.ts'
import { snapshotOf } from './snapshot.ts'
import { type Call, type Step, stepsOf } from './steps.ts'
import { runTasks } from './verbs.ts'

/** Plays a history in the model and in the real library, and compares what they say and what they have come to. */

export type History = { setting: Setting; moves: Move[] }

/** After so many steps all that the libraries know is compared, and at the end. */
const STEPS_BETWEEN_LOOKS = 8

type Game = {
  real: Real
  library: Library
  names: Names
  /** Requests that had an Idempotency-Key. */
  keyed: { call: Call; key: string; text: string | null }[]
  lastAnswer: Answer | null
  transcript: string[]
  tally: Tally
}

/** How often which answer was met. */
export type Tally = Map<string, number>

/** Answers how many steps it took. Throws where the two disagree, with the history until there. */
export async function play(real: Real, { setting, moves }: History, tally: Tally = new Map()): Promise<number> {
  const library = libraryIn(setting)
  const names = new Names(await real.begin(library))
  const game: Game = { real, library, names, keyed: [], lastAnswer: null, transcript: [], tally }
  let count = 0
  for (const move of moves) {
    for (const step of stepsOf(library, move)) {
      await take(game, step)
      if (++count % STEPS_BETWEEN_LOOKS === 0) await look(game)
    }
  }
  await look(game)
  return count
}

function disagree({ transcript, library }: Game, what: string): never {
  const terms = library.policies.map((policy) => `  ${JSON.stringify(policy)}`)
  throw new Error([what, 'after', ...transcript, `in ${library.calendar.zone} under`, ...terms].join('\n'))
}

async function look(game: Game) {
  const found = difference(game.names, snapshotOf(game.library), await game.real.look(), { isWhole: true })
  if (found !== null) disagree(game, `What there is: ${found}`)
}

async function take(game: Game, step: Step) {
  const { real, library, transcript } = game
  if (step.kind === 'call') return ask(game, step.call)
  if (step.kind === 'repeat') return repeat(game, step)
  if (step.kind === 'log in') {
    step.patron.isLoggedIn = true
    return real.logIn(step.patron.name)
  }
  library.actor = { role: 'library', name: null }
  if (step.kind === 'run tasks') {
    transcript.push('  Tasks run')
    runTasks(library)
    return real.runTasks()
  }
  library.now = step.to
  transcript.push(`  It is ${new Date(step.to).toISOString()}`)
  return real.setClock(step.to)
}

/** One of the last requests that had a key, once more; or, under its key, one that is written differently. */
async function repeat(game: Game, { nth, isChanged }: { nth: number; isChanged: boolean }) {
  const known = game.keyed.at(-1 - (nth % Math.max(game.keyed.length, 1)))
  if (known === undefined) return
  const { body, ...call } = known.call
  const rewritten = body === undefined ? {} : Object.fromEntries(Object.entries(body).toReversed())
  const changed = isChanged ? { ...call, body: rewritten } : known.call
  const { answer, met } = await send(game, changed, known.key)
  const isFirstAnswer = known.text === null || answer.text === known.text
  if (met instanceof Refusal || JSON.stringify(changed.body) !== JSON.stringify(body)) return
  if (!isFirstAnswer) disagree(game, `The answer was at first ${known.text}, and then ${answer.text}`)
  known.text = answer.text
}

async function ask(game: Game, call: Call) {
  const { lastAnswer } = game
  if (!call.isKeyed) {
    const { answer } = await send(game, call, null)
    if (call.foretold !== undefined && lastAnswer !== null) checkForetold(game, call.foretold, lastAnswer, answer)
    return
  }
  const key = `key-${game.keyed.length + 1}`
  const { answer, met } = await send(game, call, key)
  game.keyed.push({ call, key, text: met instanceof Refusal ? null : answer.text })
}

async function send(game: Game, call: Call, key: string | null) {
  const { real, names, transcript } = game
  const { by, method, path, body } = call
  // What came of something else, like a fee for a late return, gets its name when it is seen.
  if (path.split('/').some((part) => part.startsWith('fee-') && !names.isKnown(part))) await look(game)
  const met = meet(game, call, key)
  const answer = await real.ask(method, names.toIds(path), {
    token: await real.tokenOf(by),
    ...(body !== undefined && { body: names.toIds(body) }),
    headers: {
      ...(key !== null && { 'idempotency-key': key }),
      ...(method === 'PATCH' || method === 'DELETE' ? { 'if-match': '*' } : {}),
    },
  })
  const said = problemOf(answer) ?? answer.status
  const kind = `${method} ${path.replaceAll(/[A-Za-z]+-[0-9A-Z-]+|[0-9]{4}-[0-9-]+/g, '_').replace(/\?.*/, '')} ${said}`
  game.tally.set(kind, (game.tally.get(kind) ?? 0) + 1)
  transcript.push(
    `  ${by}: ${method} ${path}${body === undefined ? '' : ` ${JSON.stringify(body)}`}${key === null ? '' : ` (${key})`} -> ${said}`,
  )
  const found = met instanceof Refusal ? refusalDiffers(met, answer) : answerDiffers(names, met, answer)
  if (found !== null) disagree(game, found)
  game.lastAnswer = answer
  return { answer, met }
}

/** What the model says to a request, or why it refuses. */
function meet({ library }: Game, { by, method, path, body, isForbidden = false, ...call }: Call, key: string | null) {
  const patron = library.patrons.find(({ name }) => name === by)
  library.actor = { role: by === STAFF ? 'staff' : 'patron', name: by }
  try {
    if (isForbidden) refuse('forbidden')
    if (patron !== undefined && !patron.isLoggedIn) refuse('session-ended')
    const answer = (): Met => ({ status: call.status, body: call.meet() })
    const request = `${method} ${path} ${JSON.stringify(body)}`
    // What is kept is what was said then.
    return key === null ? answer() : once(library, { key: `${by} ${key}`, request }, () => structuredClone(answer()))
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
}

function refusalDiffers({ problem }: Refusal, answer: Answer) {
  if (problemOf(answer) !== problem) return `The answer is ${answer.status} ${answer.text}, not ${problem}`
  return answer.status === problems[problem][0] ? null : `The status of ${problem} is ${answer.status}`
}

function answerDiffers(names: Names, { status, body }: Met, answer: Answer) {
  if (answer.status !== status)
    return `The answer is ${answer.status} ${answer.text}, not ${status} ${JSON.stringify(body)}`
  return difference(names, body, answer.body, { isWhole: false })
}

type Decision = { allowed: boolean; obstacles: { problem: string }[] }

/** What somebody was told that they could do, or why not, is what then happens. */
function checkForetold(game: Game, verb: 'borrow' | 'renew' | 'placeHold', foretold: Answer, answer: Answer) {
  if (foretold.status !== 200) return
  const { allowed, obstacles } = (foretold.body as Record<typeof verb, Decision>)[verb]
  const told = allowed ? null : (obstacles[0]?.problem ?? 'nothing')
  if (told !== problemOf(answer)) disagree(game, `Foretold was ${told}, and it is ${problemOf(answer)}`)
}
