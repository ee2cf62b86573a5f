import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { moves } from './model/moves.ts'
import { play, type Tally } from './model/play.ts'
import { aRealLibrary, type Real } from './model/real.ts'
import { settings } from './model/setting.ts'
import type { Edit } from './support/commands.ts'
import { factor, seed as chosen } from './support/effort.ts'

/** Random histories, in the library and in a plain sequential model of it: every answer, and all that is kept, must agree;
 *  and a library that is broken on purpose must be caught. */

const MOVES_MAX = 150
const HISTORIES = 40 * factor
/** A library that is broken has so many histories to show it. */
const HISTORIES_OF_BROKEN = 400

const histories = fc.record({
  setting: settings,
  moves: fc.array(moves, { minLength: 1, maxLength: MOVES_MAX, size: 'max' }),
})

/** What is found is what the shortest history that shows it says. `isQuick`: the first that shows it will do. */
async function compare(real: Real, numRuns: number, { isQuick = false, seed = chosen } = {}) {
  const tally: Tally = new Map()
  let steps = 0
  const agree = fc.asyncProperty(histories, async (history) => {
    steps += await play(real, history, tally)
  })
  const { failed, errorInstance, counterexamplePath } = await fc.check(agree, { seed, numRuns, endOnFailure: isQuick })
  const found = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  return { steps, tally, found: failed ? `${found}\n(seed ${seed}, path ${counterexamplePath})` : null }
}

test(`the library does what its model does (VITE_SEED=${chosen})`, { timeout: 120_000 * factor }, async () => {
  const real = await aRealLibrary()
  const { steps, tally, found } = await compare(real, HISTORIES)
  // oxlint-disable-next-line no-console -- what a long run has done is worth knowing
  console.info(`seed ${chosen}: ${steps} steps in ${HISTORIES} histories, ${tally.size} kinds of answers`)
  expect(found).toBeNull()
  // Histories in which next to nothing can be done would agree, too.
  expect(tally.size).toBeGreaterThan(100)
  await real.drop()
})

describe('the model notices', () => {
  // The seed of each is one whose histories show it soon.
  test.each<{ that: string; seed: number; edit: Edit }>([
    {
      that: 'the last in the queue is served first',
      seed: 2,
      edit: { function: 'offer_copy', replace: 'order by h.place', by: 'order by h.place desc' },
    },
    {
      that: 'a loan may fall due on a closed day',
      seed: 2,
      edit: { function: 'due_moment', replace: `p_format = 'physical'`, by: 'false' },
    },
    {
      that: 'closed days cost',
      seed: 1,
      edit: {
        function: 'accrued_fee',
        replace: 'open_days_between(day_of(l.due_at), least(today(), day_of(l.claimed_returned_at)))',
        by: 'least(today(), day_of(l.claimed_returned_at)) - day_of(l.due_at)',
      },
    },
    {
      that: 'a fee has no cap',
      seed: 3,
      edit: {
        function: 'accrued_fee',
        replace: 'least(late_days::bigint * l.fee_per_day, l.fee_max)',
        by: 'late_days::bigint * l.fee_per_day',
      },
    },
    {
      that: 'a loan is renewed although others wait',
      seed: 2,
      edit: { function: 'obstacles_to_renewal', replace: 'waits(h)', by: 'false' },
    },
    {
      that: 'one loan more than the limit is made',
      seed: 1,
      edit: { function: 'obstacles_to_loan', replace: 'taken >= terms.loan_limit', by: 'taken > terms.loan_limit' },
    },
    {
      that: 'a history is kept unasked',
      seed: 2,
      edit: { function: 'end_loan', replace: 'and u.keep_history', by: '' },
    },
    {
      that: 'a suspended hold loses its place',
      seed: 1,
      edit: {
        function: 'suspend_hold',
        replace: 'set suspended_until = p_until',
        by: 'set suspended_until = p_until, place = place + 1000',
      },
    },
    {
      that: 'the return of a loan leaves no event',
      seed: 3,
      edit: { function: 'end_loan', replace: `else 'loan.returned' end`, by: `else 'loan.renewed' end` },
    },
  ])('that $that', { timeout: 120_000 }, async ({ edit, seed }) => {
    const real = await aRealLibrary({ edits: [edit] })
    const { found } = await compare(real, HISTORIES_OF_BROKEN, { isQuick: true, seed })
    expect(found).toMatch(/ is | was /)
    await real.drop()
  })
})
