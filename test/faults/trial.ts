import { problems, problemType } from '../../src/problem.ts'
import { type Answer, problemOf } from '../support/library.ts'
import { type Apart, aScene, type Scene } from './scene.ts'
import { atMost } from './turns.ts'
import { type Call, send, type Verb } from './verbs.ts'

/** How long a client has to wait for any answer. */
const LIMIT_MS = 10_000

/** Many wait out a fault at once, but few work: who is late should not be so because of the test. */
const atWork = atMost(6)

/** The state before a verb, and with its whole effect. */
export type Effect = { before: string; whole: string; call: Call }

/** What the verb does where nothing goes wrong. */
export async function effectOf(library: Apart, verb: Verb): Promise<Effect> {
  const scene = await aScene(library)
  const call = await verb.given(scene)
  const before = await scene.state()
  const { status, text } = await sendUntilNotBusy(scene, call)
  if (status !== verb.status) throw new Error(`${call.method} ${call.path}: ${status} ${text}`)
  const whole = await scene.state()
  if (whole === before) throw new Error(`${call.method} ${call.path} has no effect that could be seen`)
  return { before, whole, call }
}

export type Again = 'at once' | 'later'

/** A way to the library on which something goes wrong; `over` waits until nothing can come of that any more. `mayBeHeard`:
 *  some of what is asked is answered all the same. */
export type Way = Pick<Apart, 'ask'> & {
  over: () => Promise<unknown>
  mayBeHeard?: true
  intruders?: Pick<Apart, 'ask'>
}

type Trial = { library: Apart; verb: Verb; effect: Effect; again: Again; meet: () => Promise<Way[]> }

/** One verb meets a fault, or some in a row, and its client asks again: at once, or when nothing can come of the first
 *  requests any more. Beside it somebody who may not asks for the same. Answers what is wrong with what comes of it. */
export async function trial({ library, verb, effect, again, meet }: Trial): Promise<string[]> {
  const wrong: string[] = []
  const check = (isRight: boolean, what: string) => {
    if (!isRight) wrong.push(what)
  }
  const scene = await atWork(() => aScene(library))
  const call = await atWork(() => verb.given(scene))
  const ask = async (where: Pick<Apart, 'ask'>) => {
    const startedAt = Date.now()
    const answer = await sendUntilNotBusy(where, call, verb.keyed ? { 'idempotency-key': scene.name } : {})
    const ms = Date.now() - startedAt
    check(ms < LIMIT_MS, `the answer ${answer.status} came after ${ms} ms`)
    return answer
  }

  const intrude = async ({ intruders }: Way, place: number) => {
    const intruding = verb.intruder?.(call) ?? intrusion(scene, call, place)
    if (intruders === undefined || intruding === undefined) return
    const answer = await send(intruders, intruding)
    check(isKeptOut(answer), `somebody who may not is answered ${answer.status} ${answer.text}`)
  }

  let isHeard = false
  const ways = await meet()
  for (const [place, way] of ways.entries()) {
    const [first] = await Promise.all([ask(way), intrude(way, place)])
    isHeard = way.mayBeHeard === true && first.status === verb.status
    check(isHeard || isOutage(first), `the answer is ${first.status} ${first.text}`)
  }
  const over = () => Promise.all(ways.map((way) => way.over()))

  if (again === 'later') await over()
  await atWork(async () => {
    const repeated = verb.repeated ?? verb.status
    let expected = [verb.status, repeated]
    let isReplay = false
    if (again === 'later') {
      const state = await scene.state()
      check(state === effect.before || state === effect.whole, 'half of it was done')
      check(!isHeard || state === effect.whole, 'what was acknowledged is lost')
      isReplay = state === effect.whole
      expected = [isReplay ? repeated : verb.status]
    }
    const second = await ask(library)
    check(expected.includes(second.status), `the second answer is ${second.status} ${second.text}`)
    if (again === 'at once') await over()
    check(
      verb.adds === true || (await scene.state()) === effect.whole,
      'after the second request its effect is not there once',
    )

    // A second answer that was the first one's replay needs no third.
    if (!verb.keyed || isReplay) return
    check((await ask(library)).text === second.text, 'the third answer is another than the second')
    check((await scene.state()) === effect.whole, 'after the third request its effect is not there once')
  })
  return wrong
}

/** Under so much at once a password's hash may not get its turn, before anything is written: then it is asked again. */
async function sendUntilNotBusy(...given: Parameters<typeof send>): Promise<Answer> {
  const answer = await send(...given)
  return problemOf(answer) === 'busy' ? sendUntilNotBusy(...given) : answer
}

/** The same, by somebody who may not. */
export function intrusion({ intruders }: Pick<Scene, 'intruders'>, call: Call, place: number): Call | undefined {
  const token = intruders[place % intruders.length]
  return call.by && token !== undefined ? { ...call, by: { token } } : undefined
}

/** What keeps out whoever may not, in words; anything but an outage and this is a way in. */
export const isKeptOut = ({ status }: Answer) => [401, 403, 503].includes(status)

/** Says that it may have been done and can be asked again, and nothing else: no fault of ours leaves more to be said. */
export function isOutage({ status, headers, body }: Answer): boolean {
  const name = 'database-unavailable'
  const [expected, title, detail] = problems[name]
  const instance = headers.get('x-request-id')
  return (
    status === expected &&
    headers.get('retry-after') !== null &&
    JSON.stringify(body) === JSON.stringify({ type: problemType(name), title, status, detail, instance })
  )
}
