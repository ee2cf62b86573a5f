import type { Choice } from './choice.ts'
import type { Someone } from '../support/people.ts'
import { isRenewed, type Scene } from './scene.ts'

/** What the people of a scene may want. Some of it cannot be had, which somebody will tell them. */

/** `about`: the id in the path. */
export type Wanted = { method: string; path: string; about?: string; body?: object }

/** A loan, a hold, a fee or a block that is open as far as anybody knows. */
export type Matter = { of: 'loan' | 'hold' | 'fee' | 'block'; id: string; userId: string | null; balance: number }

export type Asking = { scene: Scene; matters: Matter[]; choice: Choice; client: Someone }

/** How often they want it, beside the others, and what it is; undefined: there is nothing to do it to. */
type Idea = [weight: number, want: (asking: Asking) => Wanted | undefined]

const patrons = {
  borrow: [28, ({ scene, choice }) => post('/v1/loans', { bookId: choice.oneOf(scene.books), ...aFormat(choice) })],
  return: [22, (asking) => put('loans', own(asking, 'loan'), 'return')],
  renew: [8, (asking) => postTo('loans', own(asking, 'loan'), 'renewals')],
  queue: [20, ({ scene, choice }) => post('/v1/holds', { bookId: choice.oneOf(scene.books), ...aFormat(choice) })],
  cancel: [5, (asking) => remove('holds', own(asking, 'hold'))],
  suspend: [6, (asking) => put('holds', own(asking, 'hold'), 'suspension', { until: aDay(asking) })],
  resume: [5, (asking) => remove('holds', own(asking, 'hold'), '/suspension')],
} satisfies Record<string, Idea>

const staff = {
  'check-in': [16, ({ scene, choice }) => post('/v1/check-ins', { barcode: choice.oneOf(physical(scene))?.barcode })],
  lend: [
    12,
    ({ scene, choice }) => {
      const barcode = choice.oneOf(physical(scene))?.barcode
      return post('/v1/loans', { barcode, userId: choice.oneOf(scene.patrons)?.id, ...anOverride(choice) })
    },
  ],
  'take back': [4, (asking) => put('loans', any(asking, 'loan'), 'return')],
  prolong: [3, (asking) => postTo('loans', any(asking, 'loan'), 'renewals', anOverride(asking.choice))],
  enqueue: [
    4,
    ({ scene, choice }) => {
      const bookId = choice.oneOf(scene.books)
      return post('/v1/holds', { bookId, userId: choice.oneOf(scene.patrons)?.id, ...aFormat(choice) })
    },
  ],
  remove: [2, (asking) => remove('holds', any(asking, 'hold'))],
  move: [
    10,
    (asking) =>
      put('holds', any(asking, 'hold'), 'position', { position: 1 + asking.choice.below(4), reason: 'a test' }),
  ],
  lose: [4, ({ scene, choice }) => put('copies', choice.oneOf(physical(scene)), 'loss')],
  find: [9, ({ scene, choice }) => remove('copies', choice.oneOf(physical(scene)), '/loss')],
  claim: [4, (asking) => put('loans', any(asking, 'loan'), 'claimed-return')],
  withdraw: [3, (asking) => remove('loans', any(asking, 'loan'), '/claimed-return')],
  charge: [
    5,
    ({ scene, choice }) =>
      post('/v1/fees', { userId: choice.oneOf(scene.patrons)?.id, amount: 1 + choice.below(50), note: 'a test' }),
  ],
  pay: [14, (asking) => aReduction(asking, 'payments')],
  waive: [6, (asking) => aReduction(asking, 'waivers', { reason: 'a test' })],
  block: [
    1,
    ({ scene, choice }) => {
      const userId = choice.oneOf(scene.patrons)?.id
      return post('/v1/blocks', { userId, reason: 'a test', ...(choice.chance(0.7) && { endsAt: scene.inDays(2) }) })
    },
  ],
  lift: [2, (asking) => remove('blocks', any(asking, 'block'))],
  'renew a licence': [
    5,
    ({ scene, choice }) => {
      const id = scene.copies.find(isRenewed)?.id ?? ''
      return { method: 'PATCH', path: `/v1/copies/${id}`, about: id, body: { loansLeft: choice.below(4) } }
    },
  ],
  close: [1, (asking) => ({ ...theDay(asking), method: 'PUT', body: { opens: null, closes: null } })],
  open: [1, (asking) => ({ ...theDay(asking), method: 'DELETE' })],
  'look at fees': [3, () => ({ method: 'GET', path: '/v1/fees?limit=100' })],
} satisfies Record<string, Idea>

export type Verb = keyof typeof patrons | keyof typeof staff

const ideas = { patron: patrons as Record<string, Idea>, staff: staff as Record<string, Idea> }

/** Whoever asks for something with this gets an idea of what to do that can be tried. */
export function anIdea(asking: Asking, role: 'patron' | 'staff'): Wanted & { verb: Verb } {
  const weights = Object.fromEntries(Object.entries(ideas[role]).map(([verb, [weight]]) => [verb, weight]))
  for (;;) {
    const verb = asking.choice.weighed(weights)
    const wanted = ideas[role][verb]?.[1](asking)
    if (wanted !== undefined) return { ...wanted, verb: verb as Verb }
  }
}

type Thing = { id: string } | undefined

const post = (path: string, body: object) => ({ method: 'POST', path, body })

const postTo = (kind: string, thing: Thing, part: string, body: object = {}) =>
  thing && { method: 'POST', path: `/v1/${kind}/${thing.id}/${part}`, about: thing.id, body }

const put = (kind: string, thing: Thing, part: string, body?: object) =>
  thing && { method: 'PUT', path: `/v1/${kind}/${thing.id}/${part}`, about: thing.id, ...(body && { body }) }

const remove = (kind: string, thing: Thing, part = '') =>
  thing && { method: 'DELETE', path: `/v1/${kind}/${thing.id}${part}`, about: thing.id }

const any = ({ matters, choice }: Asking, of: Matter['of']) =>
  choice.oneOf(matters.filter((matter) => matter.of === of))

const own = ({ matters, choice, client }: Asking, of: Matter['of']) =>
  choice.oneOf(matters.filter((matter) => matter.of === of && matter.userId === client.id))

const physical = ({ copies }: Scene) => copies.filter(({ format }) => format === 'physical')

const aDay = ({ scene, choice }: Asking) => scene.inDays(1 + choice.below(5)).slice(0, 10)

const theDay = (asking: Asking) => ({ path: `/v1/library/days/${aDay(asking)}` })

const aFormat = (choice: Choice) => {
  const format = choice.weighed({ any: 6, physical: 2, digital: 2 })
  return format === 'any' ? {} : { format }
}

const anOverride = (choice: Choice) => (choice.chance(0.5) ? { override: { reason: 'a test' } } : {})

/** Of a part of one of the oldest fees, all of it, or more than there is. */
function aReduction({ matters, choice }: Asking, part: string, more: object = {}) {
  const fee = choice.oneOf(matters.filter(({ of }) => of === 'fee').slice(0, 2))
  const { balance } = fee ?? { balance: 0 }
  const amounts = { part: 1 + choice.below(20), all: balance, more: balance + 1 }
  return postTo('fees', fee, part, { amount: amounts[choice.weighed({ part: 4, all: 6, more: 1 })], ...more })
}
