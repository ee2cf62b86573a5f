import type { Fee } from '../../src/features/fees/schema.ts'
import type { Page } from '../../src/page.ts'
import { problemOf } from '../support/library.ts'
import { type Choice, choicesFrom } from './choice.ts'
import type { Someone } from '../support/people.ts'
import type { Scene } from './scene.ts'
import { anIdea, type Matter, type Verb, type Wanted } from './verbs.ts'

/** Many who ask at once for whatever comes into their heads, and a record of what they were told. */

export type Reply = { status: number; problem: string | null; body: unknown; startedAt: number; endedAt: number }

/** One thing that somebody wanted, however often it was sent. */
export type Deed = Wanted & { verb: Verb; key: string | null; replies: Reply[] }

export const isSuccess = ({ status }: Reply) => status >= 200 && status < 300

/** Each patron asks from so many devices at once, and so runs into their own limits. */
const DEVICES = 4

export function aCrowd(scene: Scene, seed: number) {
  const deeds: Deed[] = []
  const matters = new Map<string, Matter>()

  async function doOne({ client, choice, role }: Device) {
    const wanted = anIdea({ scene, choice, client, matters: [...matters.values()] }, role)
    const key = wanted.method === 'POST' && choice.chance(0.8) ? crypto.randomUUID() : null
    const deed: Deed = { ...wanted, key, replies: [] }
    deeds.push(deed)
    // What has a key or is idempotent may be sent twice at once, and what has a key again when it has been answered.
    const mayRepeat = key !== null || wanted.method !== 'POST'
    const twice = mayRepeat && choice.chance(0.25) ? [client, client] : [client]
    await Promise.all(twice.map((client) => send(scene, client, deed)))
    if (key !== null && choice.chance(0.1)) await send(scene, client, deed)
    for (const reply of deed.replies) take(matters, deed, reply)
  }

  const people = [
    ...Array.from({ length: DEVICES }, () =>
      scene.patrons.map((client) => ({ client, role: 'patron' as const })),
    ).flat(),
    ...scene.staff.map((client) => ({ client, role: 'staff' as const })),
  ]
  const devices = people.map(({ client, role }, index): Device => ({ client, role, choice: choicesFrom(seed + index) }))

  return {
    /** All that they have done so far. */
    deeds,
    /** They do so many things more. */
    async act(count: number) {
      const end = deeds.length + count
      await Promise.all(
        devices.map(async (device) => {
          while (deeds.length < end) await doOne(device)
        }),
      )
    },
  }
}

type Device = { client: Someone; role: 'patron' | 'staff'; choice: Choice }

async function send(scene: Scene, { token }: Someone, { method, path, body, key, replies }: Deed): Promise<void> {
  const startedAt = performance.now()
  const headers = { ...(key !== null && { 'idempotency-key': key }), ...(method === 'PATCH' && { 'if-match': '*' }) }
  const reply = await scene.ask(method, path, { token, body, headers }).then(
    (answer) => ({ status: answer.status, problem: problemOf(answer), body: answer.body }),
    (error: unknown) => ({ status: 0, problem: String(error), body: null }),
  )
  replies.push({ ...reply, startedAt, endedAt: performance.now() })
}

const made: Partial<Record<Verb, Matter['of']>> = {
  borrow: 'loan',
  lend: 'loan',
  queue: 'hold',
  enqueue: 'hold',
  charge: 'fee',
  pay: 'fee',
  waive: 'fee',
  block: 'block',
}

/** Notes what there is to be done things to. */
function take(matters: Map<string, Matter>, { verb, about = '' }: Deed, reply: Reply): void {
  const { status, problem } = reply
  const isOver = status === 404 || status === 204 || problem === 'loan-returned' || problem === 'fee-settled'
  if (isOver || verb === 'return' || verb === 'take back') matters.delete(about)
  if (!isSuccess(reply)) return
  const things =
    verb === 'look at fees' ? (reply.body as Page<Fee>).items : [reply.body as Partial<Fee> & { id: string }]
  const of = verb === 'look at fees' ? 'fee' : made[verb]
  if (of === undefined) return
  for (const { id, userId = null, balance = 0, settledAt = null } of things) {
    if (settledAt === null) matters.set(id, { of, id, userId, balance })
    else matters.delete(id)
  }
}
