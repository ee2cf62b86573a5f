import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { many } from './concurrency/scene.ts'
import { control, crowd, deeds, rivals, seeds } from './concurrency/sizes.ts'
import { aTrial } from './concurrency/trial.ts'
import type { Edit } from './support/commands.ts'
import { factor, seed } from './support/effort.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { problemOf } from './support/library.ts'

/** Many clients at once, on few books. What they were told, what the library recorded and what it holds must agree; and
 *  the same checks must notice when a function has been broken on purpose. */

beforeAll(() => {
  // Each request to the database has a timer, and workerd room for 10,000, which all tests share. On a busy machine they
  // run out, and requests take longer than they may: what happens then is for other tests.
  vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => new AbortController().signal)
})
afterAll(() => vi.restoreAllMocks())

const timeLimit = 120_000

test.each(seeds)('a crowd finds nothing wrong, VITE_SEED=%i', { timeout: timeLimit }, async (seed) => {
  const trial = await aTrial({ seed, ...crowd })
  const findings = await trial.run(deeds)
  // oxlint-disable-next-line no-console -- what a long run has done is worth knowing
  console.info(`seed ${seed}: ${trial.summary()}`)
  expect(findings).toEqual([])
  await trial.drop()
})

test(
  `of ${rivals.patrons} who want the last copy at once one gets it, ${rivals.rounds} times`,
  { timeout: timeLimit * factor },
  async () => {
    const library = await aLibraryApart()
    const [patrons, book] = await Promise.all([many(library, 'patron', rivals.patrons), library.aBook()])
    for (let round = 0; round < rivals.rounds; round++) {
      const answers = await Promise.all(patrons.map((patron) => library.borrow(patron, book)))
      const lent = answers.filter(({ status }) => status === 201)
      const refusals = answers.filter((answer) => answer.status === 409 && problemOf(answer) === 'no-copy-available')
      expect([lent.length, refusals.length]).toEqual([1, rivals.patrons - 1])
      const winner = patrons.find(({ id }) => id === lent[0]?.body.userId)
      await library.giveBack(winner ?? { token: '' }, lent[0]?.body ?? { id: '' })
    }
    const [counts] = await library.database`
      select
        (select count(*)::integer from events where kind = 'loan.made') as made,
        (select count(*)::integer from events where kind = 'loan.returned') as returned`
    expect(counts).toEqual({ made: rivals.rounds, returned: rivals.rounds })
    await library.drop()
  },
)

/** `people`: who meet most often where that is broken; `seen`: what is to be found then. */
type Broken = {
  that: string
  edits: Edit[]
  statements?: string[]
  people?: { patrons: number; staff: number }
  seen: RegExp
}

describe('the checks notice', () => {
  const ledgerTriggers = ['drop trigger fees_balance on fees', 'drop trigger fee_entries_balance on fee_entries']

  test.each<Broken>([
    {
      that: 'a patron is not locked',
      edits: [{ function: 'lock_patron', replace: 'for update', by: '' }],
      statements: ['update policies set loan_limit = 1, hold_limit = 1'],
      people: { patrons: 2, staff: 6 },
      seen: /a patron has more (loans|holds) than the policy allows/,
    },
    {
      that: 'a copy is chosen without a lock',
      edits: [
        { function: 'choose_copy', replace: 'for update skip locked', by: '' },
        { function: 'choose_copy', replace: 'for update', by: '' },
      ],
      statements: ['drop index loans_one_open_per_copy'],
      seen: /a copy is on loan twice/,
    },
    {
      that: 'the queue is not locked',
      edits: [
        { function: 'lock_queue', replace: 'perform from books where id = p_book_id for no key update;', by: '' },
      ],
      seen: /a copy lies free although a hold waits|it was the turn of|others were waiting|it was elsewhere/,
    },
    {
      that: 'locks are taken in another order',
      edits: [
        {
          function: 'check_in',
          replace: 'perform lock_patron(loan.user_id);',
          by: 'perform lock_queue(loan.book_id); perform lock_patron(loan.user_id);',
        },
      ],
      people: { patrons: 5, staff: 12 },
      seen: /database-unavailable|deadlocks/,
    },
    {
      that: 'the last in the queue is served first',
      edits: [{ function: 'offer_copy', replace: 'order by h.place', by: 'order by h.place desc' }],
      seen: /it was the turn of/,
    },
    {
      that: 'what waits for one is lent to another',
      edits: [{ function: 'obstacles_to_loan', replace: 'chosen.id is distinct from p_own.copy_id', by: 'false' }],
      people: { patrons: 5, staff: 12 },
      seen: /it waited for somebody else/,
    },
    {
      that: 'an event is written twice',
      edits: [
        {
          function: 'cancel_hold',
          replace: 'begin',
          by: "begin perform record_event('hold.cancelled', p_hold_id, (select book_id from holds where id = p_hold_id), null, null, null);",
        },
      ],
      seen: /hold.cancelled \S+: acknowledged 1 times, recorded 2 times/,
    },
    {
      that: 'an event is not written',
      edits: [{ function: 'renew', replace: "'loan.renewed'", by: "'loan.forgotten'" }],
      seen: /loan.renewed \S+: acknowledged 1 times, recorded 0 times/,
    },
    {
      that: 'a payment does not see another',
      edits: [
        { function: 'reduce_fee', replace: 'for update', by: '' },
        {
          function: 'post_entry',
          replace: 'set balance = balance',
          by: 'set balance = (select f.balance from fees f where f.id = p_fee_id)',
        },
      ],
      statements: ledgerTriggers,
      people: { patrons: 2, staff: 16 },
      seen: /the ledger of a fee does not balance/,
    },
    {
      that: 'a key is good for many effects',
      edits: [
        {
          function: 'claim_idempotency_key',
          replace: 'on conflict (key_hash) do nothing',
          by: 'on conflict (key_hash) do update set fingerprint = p_fingerprint',
        },
      ],
      seen: /two answers to one key|acknowledged 1 times, recorded 2 times/,
    },
  ])('that $that', { timeout: timeLimit }, async ({ edits, statements, people = crowd, seen }) => {
    const trial = await aTrial({ seed, ...people, edits, statements })
    let findings: string[] = []
    for (let round = 0; round < control.rounds && !seen.test(findings.join('\n')); round++) {
      findings = await trial.run(control.deeds)
    }
    expect(findings.join('\n')).toMatch(seen)
    await trial.drop()
  })
})
