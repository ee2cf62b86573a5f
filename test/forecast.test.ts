import { describe, expect, test } from 'vitest'
import type { Edit } from './support/commands.ts'
import { aLibraryApart } from './support/laboratory.ts'

/** The forecast of the wait, against simulated histories: patrons who borrow, bring back, collect or do not, at times drawn
 *  at random, in the real database. What is assumed of them here is told in docs/circulation.md. */

const LOAN_DAYS = 21
const COLLECT_DAYS = 7
const START = Date.parse('2026-03-02T09:00:00Z')
const DAY_MS = 86_400_000

/** Numbers from 0 to 1 that come again with the same seed (Mulberry32). */
function randomNumbers(seed: number) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

type Readers = { loanDays: (random: number) => number; collectDays: (random: number) => number | null }

/** Three in four bring a book back in its period, the rest up to six days late; one in ten never collects. */
const usual: Readers = {
  loanDays: (random) => LOAN_DAYS * (random < 0.75 ? 0.3 + (random / 0.75) * 0.7 : 1 + (random - 0.75) * 1.2),
  collectDays: (random) => (random < 0.1 ? null : (random - 0.1) * COLLECT_DAYS * 0.8),
}

/** Everybody finishes early and comes at once. */
const eager: Readers = {
  loanDays: (random) => LOAN_DAYS * (0.3 + random * 0.5),
  collectDays: (random) => random * 2,
}

type Wait = { days: number; from: number; to: number; real: number }

async function simulate({ readers, seed, edits = [] }: { readers: Readers; seed: number; edits?: Edit[] }) {
  const library = await aLibraryApart({
    edits,
    statements: [
      'create table test_clock (at timestamptz not null)',
      'insert into test_clock values (now())',
      'create or replace function clock() returns timestamptz language sql stable return (select at from test_clock)',
      `update policies set loan_days = ${LOAN_DAYS}, collect_days = ${COLLECT_DAYS}, loan_limit = 1000, hold_limit = 1000`,
    ],
  })
  const { database } = library
  const random = randomNumbers(seed)
  const waits: Wait[] = []
  for (const [copies, holds] of [
    [1, 1],
    [1, 4],
    [2, 6],
    [3, 9],
    [5, 20],
    [8, 8],
  ] as const) {
    for (let again = 0; again < 3; again++) waits.push(...(await history({ copies, holds })))
  }
  await library.drop()
  return waits

  async function history({ copies, holds }: { copies: number; holds: number }): Promise<Wait[]> {
    const setClock = (at: number) => database`update test_clock set at = ${new Date(at).toISOString()}`
    await database`update test_clock set at = ${new Date(START - 60 * DAY_MS).toISOString()}`
    const [book] = await database`insert into books (title) values ('A book') returning id`
    const bookId = String(book?.['id'])
    const user = async () => {
      const name = `u${crypto.randomUUID().slice(0, 13)}`
      const [made] = await database`select (create_user(uuidv7(), ${name}, 'x', 'patron', null, null)).id`
      return String(made?.['id'])
    }
    // What comes next: loans to bring back, holds to collect or to let run out.
    const agenda: { at: number; act: (at: number) => Promise<void> }[] = []
    const placed = new Map<string, { forecast: Omit<Wait, 'real'>; userId: string; ready?: number }>()

    const borrow = async (userId: string, at: number) => {
      await setClock(at)
      // A book that is out when the history begins is one that has not come back yet.
      let back = 0
      while (back <= START) back = at + readers.loanDays(random()) * DAY_MS
      const [loan] = await database`select id from check_out(${userId}, ${bookId}, null, null, null)`
      agenda.push({
        at: back,
        act: async () => {
          await setClock(back)
          await database`select check_in(${String(loan?.['id'])}, null)`
          await notice(back)
        },
      })
    }

    /** Whoever finds a copy ready decides when to collect it. */
    const notice = async (at: number) => {
      const ready = await database`select id, collect_by from holds where book_id = ${bookId} and copy_id is not null`
      for (const { id, collect_by: collectBy } of ready) {
        const hold = placed.get(String(id))
        if (hold === undefined || hold.ready !== undefined) continue
        hold.ready = at
        const days = readers.collectDays(random())
        if (days === null) {
          agenda.push({
            at: Date.parse(String(collectBy)) + 60_000,
            act: async (over) => {
              await setClock(over)
              await database`select settle_holds(100)`
              await notice(over)
            },
          })
        } else agenda.push({ at: at + days * DAY_MS, act: (then) => borrow(hold.userId, then) })
      }
    }

    for (let i = 0; i < copies; i++) {
      await database`insert into copies (book_id, format, barcode) values (${bookId}, 'physical', ${crypto.randomUUID()})`
    }
    for (let i = 0; i < copies; i++) await borrow(await user(), START - random() * 14 * DAY_MS)
    await setClock(START)
    for (let i = 0; i < holds; i++) {
      const userId = await user()
      const [hold] = await database`
        select h.id, hold_forecast(h) as forecast from place_hold(${userId}, ${bookId}, null, null) h`
      placed.set(String(hold?.['id']), { userId, forecast: hold?.['forecast'] as Omit<Wait, 'real'> })
    }
    while (agenda.length > 0 && [...placed.values()].some(({ ready }) => ready === undefined)) {
      agenda.sort((a, b) => a.at - b.at)
      const item = agenda.shift()
      await item?.act(item.at)
    }
    const waited: Wait[] = []
    for (const { forecast, ready = Number.NaN } of placed.values()) {
      waited.push({ ...forecast, real: (ready - START) / DAY_MS })
    }
    return waited
  }
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN

/** How often the real wait was between the two ends, how far off the likely one was, and how wide the range. */
function judge(waits: Wait[]) {
  const covered = waits.filter(({ from, to, real }) => from <= real && real <= to).length / waits.length
  const error = median(waits.map(({ days, real }) => Math.abs(days - real) / Math.max(real, 7)))
  const bias =
    waits.reduce((sum, { days, real }) => sum + days - real, 0) / waits.reduce((sum, { real }) => sum + real, 0)
  const width = median(waits.map(({ from, to, days }) => (to - from) / Math.max(days, 7)))
  return { covered, error, bias, width }
}

describe('the forecast of a wait', { timeout: 120_000 }, () => {
  test.for([1, 2])('holds for patrons as they usually are (seed %i)', async (seed) => {
    const judged = judge(await simulate({ readers: usual, seed }))
    expect(judged.covered).toBeGreaterThan(0.85)
    expect(judged.error).toBeLessThan(0.3)
    expect(Math.abs(judged.bias)).toBeLessThan(0.2)
    expect(judged.width).toBeLessThan(1.4)
  })

  test('still holds when everybody is eager', async () => {
    const judged = judge(await simulate({ readers: eager, seed: 3 }))
    expect(judged.covered).toBeGreaterThan(0.6)
  })

  test('is found to be wrong when it counts no turns', async () => {
    const edits = [{ function: 'hold_forecast', replace: 'turns := ahead.holds / lending', by: 'turns := 0' }]
    const judged = judge(await simulate({ readers: usual, seed: 1, edits }))
    expect(judged.covered).toBeLessThan(0.6)
  })
})
