import fc from 'fast-check'
import type { Terms } from '../../src/features/policies/schema.ts'
import { BOOKS, hours, PATRONS, type Licence, licences, terms, weeks, zones } from './setting.ts'
import type { Format } from './library.ts'

/** What may happen next. A move names things by number, as in 'the third of those there are', so that it keeps a meaning
 *  when a failing history is made shorter. */

const of = fc.constantFrom
const often = <T>(usual: T, rare: T, times = 4) =>
  fc.oneof({ weight: times, arbitrary: of(usual) }, { weight: 1, arbitrary: of(rare) })

const patron = fc.nat({ max: PATRONS.length - 1 })
const book = fc.nat({ max: BOOKS.length - 1 })
const nth = fc.nat({ max: 7 })
const format = fc.oneof(
  { weight: 8, arbitrary: of(null) },
  { weight: 1, arbitrary: of<Format[]>('physical', 'digital') },
)
const isKeyed = often(false, true)
const overrides = often(false, true)
/** Whether it is asked first if it can be. */
const asksFirst = of(false, true)
const by = fc.oneof(
  { weight: 6, arbitrary: of('owner' as const) },
  { weight: 3, arbitrary: of('staff' as const) },
  { weight: 1, arbitrary: of('stranger' as const) },
)
const amount = of(1, 20, 150, 300, 1000)
const daysAhead = fc.nat({ max: 14 })

const changeOfTerms: fc.Arbitrary<Partial<Terms>> = fc.oneof(
  ...Object.entries(terms).map(([term, value]) =>
    (value as fc.Arbitrary<unknown>).map((value): Partial<Terms> => ({ [term]: value })),
  ),
)

/** A licence's end, or how many loans are left, or both. */
const changeOfLicence = fc.oneof(
  licences.map((licence): Partial<Licence> => licence),
  licences.map(({ loansLeft }): Partial<Licence> => ({ loansLeft })),
  licences.map(({ days }): Partial<Licence> => ({ days })),
)

const move = <Verb extends string, Fields extends Record<string, unknown>>(
  verb: Verb,
  weight: number,
  fields: { [Field in keyof Fields]: fc.Arbitrary<Fields[Field]> },
) => ({ weight, arbitrary: fc.record({ verb: fc.constant(verb), ...fields }) as fc.Arbitrary<{ verb: Verb } & Fields> })

export const moves = fc.oneof(
  move('pass', 12, { hours: of(1, 1, 5, 24, 25, 2 * 24, 4 * 24, 9 * 24, 23 * 24) }),
  move('pass to', 6, { nth, seconds: of(0, -1, 1) }),
  move('run tasks', 6, {}),
  move('borrow', 22, { patron, book, format, isKeyed, overrides: often(false, true, 20), asksFirst }),
  move('lend', 6, { patron, nth, isKeyed, overrides }),
  move('give back', 8, { by, nth, isOver: often(false, true, 8) }),
  move('check in', 9, { nth, isKeyed }),
  move('renew', 12, { by, nth, isOver: often(false, true, 12), isKeyed, overrides, asksFirst }),
  move('queue', 30, {
    patron,
    book,
    format,
    isKeyed,
    isAtDesk: often(false, true),
    overrides: often(false, true, 20),
    asksFirst,
  }),
  move('cancel hold', 4, { by, nth, isOver: often(false, true, 6) }),
  move('suspend hold', 6, { by, nth, days: fc.oneof(daysAhead, of(366, 367)) }),
  move('resume hold', 4, { by, nth }),
  move('move hold', 5, { nth, position: fc.integer({ min: 1, max: 4 }) }),
  move('lose', 2, { nth }),
  move('find', 4, { nth, isLost: often(true, false) }),
  move('claim', 3, { nth, isClaimed: often(true, false, 2), isOver: often(false, true, 10) }),
  move('add copy', 1, { book, isKeyed, licence: fc.option(licences, { freq: 2 }) }),
  move('change copy', 3, { nth, change: changeOfLicence, isPhysical: often(false, true, 8) }),
  move('remove copy', 1, { nth }),
  move('charge', 1, { patron, amount, isKeyed }),
  move('reduce fee', 9, {
    nth,
    kind: of('payment' as const, 'waiver' as const),
    amount,
    isAll: of(true, false),
    isKeyed,
  }),
  move('block', 1, { patron, hours: of(null, 5, 72, 0), isKeyed }),
  move('lift block', 3, { nth }),
  move('suspend user', 1, { patron }),
  move('reinstate user', 4, { patron }),
  move('change category', 2, { patron, category: of('student', 'general', 'nobility') }),
  move('change expiry', 2, { patron, hours: of(null, null, 48, 0, 200) }),
  move('keep history', 1, { patron, keeps: often(true, false) }),
  move('change policy', 3, { nth, change: changeOfTerms }),
  move('set day', 3, { days: daysAhead, hours: fc.option(hours, { freq: 2 }) }),
  move('forget day', 2, { nth }),
  move('change library', 1, { zone: fc.option(zones), week: fc.option(weeks) }),
  move('repeat', 6, { nth: fc.nat({ max: 3 }), isChanged: often(false, true, 6) }),
  move('look', 6, { at: of('loan', 'hold', 'fee', 'copy', 'user'), by, nth }),
  move('ask', 3, { patron, book, format, isAtDesk: fc.boolean() }),
)

export type Move = typeof moves extends fc.Arbitrary<infer T> ? T : never
