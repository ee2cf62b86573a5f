import { beforeAll, describe, expect, test } from 'vitest'
import { type Apart, TERMS } from './faults/scene.ts'
import { type Again, type Effect, effectOf, trial } from './faults/trial.ts'
import { atMost } from './faults/turns.ts'
import { type Verb, verbs } from './faults/verbs.ts'
import { type FaultName, faultNames } from './support/commands.ts'
import { inconsistencies } from './support/consistent.ts'
import { aLibraryApart } from './support/laboratory.ts'
import type { Answer } from './support/library.ts'

/** Every verb meets everything that can go wrong between the Worker and the database. Nothing is done by half, nothing is
 *  done twice for one key, and who was told nothing hears the truth by asking again. */

/** Fewer than a database has connections: a fault may keep one. */
const AT_A_TIME = 16
const PATIENCE_MS = 120_000

const statements = [TERMS]

type Named = [name: string, verb: Verb]
type Encounter = { fault: FaultName; again: Again }
/** A library, and what is done in it, so much at a time. */
type Branch = { library: Apart; verbs: Named[]; inTurn: ReturnType<typeof atMost> }

let branches: Branch[]
let effects: Map<Verb, Effect>

beforeAll(async () => {
  const all = Object.entries(verbs)
  const crowd = all.filter(([, { alone }]) => !alone)
  const lone = all.filter(([, { alone }]) => alone)
  const shares = [0, 1, 2].map((share) => crowd.filter((_, place) => place % 3 === share))
  branches = await Promise.all([
    ...shares.map((verbs) => aBranch(verbs, AT_A_TIME)),
    ...lone.map((one) => aBranch([one], 1)),
  ])
  const found = branches.flatMap(({ library, verbs, inTurn }) =>
    verbs.map(async ([, verb]) => [verb, await inTurn(() => effectOf(library, verb))] as const),
  )
  effects = new Map(await Promise.all(found))
}, PATIENCE_MS)

describe.concurrent('every verb is done or is not, and asking again settles which', () => {
  test.each(faultNames)('%s', { timeout: PATIENCE_MS }, async (fault) => {
    expect(await everyVerb({ fault, again: 'later' })).toEqual([])
  })
})

describe.concurrent('every verb is done once, although it is repeated while the first request may still be done', () => {
  test.each(['run-late', 'stuck'] as const)('%s', { timeout: PATIENCE_MS }, async (fault) => {
    expect(await everyVerb({ fault, again: 'at once' })).toEqual([])
  })
})

describe.concurrent('this test notices', { timeout: PATIENCE_MS }, () => {
  const chargeWith = async (library: Apart) =>
    wrongWith(library, named('charge a fee'), { fault: 'drop-answer', again: 'later' })

  test.each([
    { fault: 'drop-answer', again: 'later' },
    { fault: 'run-late', again: 'at once' },
  ] as const)('a key that keeps nothing from being done twice ($fault)', async (encounter) => {
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
  return { library: await aLibraryApart({ statements }), verbs, inTurn: atMost(count) }
}

/** What is wrong after every verb has met the fault. */
async function everyVerb(encounter: Encounter): Promise<string[]> {
  const wrong = branches.flatMap(({ library, verbs, inTurn }) =>
    verbs.map((one) => inTurn(() => wrongWith(library, one, encounter))),
  )
  const found = (await Promise.all(wrong)).flat()
  const strange = await Promise.all(branches.map(({ library }) => inconsistencies(library.database)))
  return [...found, ...strange.flat().map(({ what }) => what)]
}

async function wrongWith(library: Apart, [name, verb]: Named, { fault, again }: Encounter): Promise<string[]> {
  const effect = effects.get(verb)
  if (effect === undefined) throw new Error(`nobody knows what it does to ${name}`)
  const wrong = await trial({ library, verb, effect, again, meet: async () => library.faulty(fault) })
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
