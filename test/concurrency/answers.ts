import type { CheckIn } from '../../src/features/check-ins/schema.ts'
import { type Deed, isSuccess, type Reply } from './crowd.ts'
import type { Scene } from './scene.ts'
import type { Verb } from './verbs.ts'

/** What clients were told, compared with what the library says that it did. */

/** What each success of a verb leaves in the events: one of these, or at most one where it may have been so before. */
const effects: Partial<Record<Verb, { kind: string; orNothing?: true; field?: string }>> = {
  borrow: { kind: 'loan.made' },
  lend: { kind: 'loan.made' },
  renew: { kind: 'loan.renewed' },
  prolong: { kind: 'loan.renewed' },
  return: { kind: 'loan.returned', orNothing: true },
  'take back': { kind: 'loan.returned', orNothing: true },
  claim: { kind: 'loan.claimed-returned', orNothing: true },
  withdraw: { kind: 'loan.claim-withdrawn', orNothing: true },
  queue: { kind: 'hold.placed' },
  enqueue: { kind: 'hold.placed' },
  cancel: { kind: 'hold.cancelled' },
  remove: { kind: 'hold.cancelled' },
  suspend: { kind: 'hold.suspended', orNothing: true, field: 'until' },
  resume: { kind: 'hold.resumed', orNothing: true },
  move: { kind: 'hold.moved', orNothing: true },
  lose: { kind: 'copy.lost', orNothing: true },
  find: { kind: 'copy.found', orNothing: true },
  charge: { kind: 'fee.charged', field: 'amount' },
  pay: { kind: 'fee.paid', field: 'amount' },
  waive: { kind: 'fee.waived', field: 'amount' },
  block: { kind: 'block.set' },
  lift: { kind: 'block.lifted' },
}
const certain = new Set(['copy.used'])
const possible = new Set<string>()
for (const { kind, orNothing } of Object.values(effects)) (orNothing ? possible : certain).add(kind)

/** Every refusal has a name, and is one that a client in a healthy library can meet. */
export function faultyAnswers(deeds: Deed[]): string[] {
  return deeds.flatMap(({ verb, replies }) => replies.filter((reply) => !isExpected(reply)).map(faultOf(verb)))
}

const faultOf =
  (verb: Verb) =>
  ({ status, problem, startedAt, endedAt }: Reply) =>
    `'${verb}' got ${status}, ${problem}, after ${Math.round(endedAt - startedAt)} ms`

const isExpected = (reply: Reply) =>
  isSuccess(reply) ||
  ((reply.status === 404 || reply.status === 409) && reply.problem !== null) ||
  reply.problem === 'busy'

/** All who sent a key got one answer, as long as it was kept. */
export function unlikeAnswers(deeds: Deed[]): string[] {
  return deeds.flatMap(({ verb, key, replies }) => {
    const answers = new Set(replies.filter(isSuccess).map(({ body }) => JSON.stringify(body)))
    return key !== null && answers.size > 1 ? [`two answers to one key: '${verb}' ${[...answers].join()}`] : []
  })
}

/** One event for each effect that was acknowledged, however often it was sent, and none that was not. */
export async function unmatchedEffects({ database }: Scene, deeds: Deed[]): Promise<string[]> {
  const told = counted(deeds.flatMap(effectsOf))
  const recorded = counted((await database.query(RECORDED)).map(({ effect }) => String(effect)))
  return [...new Set([...told.keys(), ...recorded.keys()])].flatMap((effect) => {
    const [kind = ''] = effect.split(' ')
    const [acknowledged, happened] = [told.get(effect) ?? 0, recorded.get(effect) ?? 0]
    const isWrong = (certain.has(kind) && happened !== acknowledged) || (possible.has(kind) && happened > acknowledged)
    return isWrong ? [`${effect}: acknowledged ${acknowledged} times, recorded ${happened} times`] : []
  })
}

/** What somebody asked for: not what the library did by itself, and no fee or waiver that followed from something else. */
const RECORDED = `
  select concat_ws(' ', kind, subject_id, details ->> 'until') as effect
  from events
  where actor_role <> 'library' and kind not like 'fee.%'
  union all
  select concat_ws(
    ' ', case e.kind when 'charge' then 'fee.charged' when 'payment' then 'fee.paid' else 'fee.waived' end,
    e.fee_id, abs(e.amount)
  )
  from fee_entries e
  join fees f on f.id = e.fee_id
  where (e.kind <> 'charge' or f.kind = 'other') and e.reason is distinct from 'The copy was found'`

/** A key is for one effect. Without one each success is for itself. */
function effectsOf({ verb, method, about, body, replies }: Deed): string[] {
  const successes = replies.filter(isSuccess)
  return (method === 'POST' ? successes.slice(0, 1) : successes).flatMap((reply) => {
    if (verb === 'check-in') return [effectOfCheckIn(reply.body as CheckIn)]
    const { kind, field } = effects[verb] ?? {}
    const detail = field === undefined ? '' : ` ${(body as Record<string, string | number>)[field]}`
    return kind === undefined ? [] : [`${kind} ${about ?? (reply.body as { id: string }).id}${detail}`]
  })
}

function effectOfCheckIn({ copy, loan, usedInLibrary }: CheckIn): string {
  if (loan !== null) return `loan.returned ${loan.id}`
  return `${usedInLibrary ? 'copy.used' : 'copy.found'} ${copy.id}`
}

function counted(items: string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1)
  return counts
}

/** What was acknowledged as returned stays returned. */
export async function unreturnedLoans({ database }: Scene, deeds: Deed[]): Promise<string[]> {
  const returned = deeds
    .flatMap(effectsOf)
    .filter((effect) => effect.startsWith('loan.returned '))
    .map((effect) => effect.split(' ')[1])
  const open = await database`select id from loans where returned_at is null and id = any (${returned}::uuid[])`
  return open.map(({ id }) => `loan ${String(id)} was acknowledged as returned, and is open`)
}
