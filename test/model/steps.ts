import { copyAnswer, eligibilityAnswer, feeAnswer, holdAnswer, loanAnswer, userAnswer } from './answers.ts'
import { DAY, endOfDay, HOUR, nameOfDay } from './days.ts'
import {
  balanceOf,
  type Copy,
  type Fee,
  type Format,
  type Hold,
  isOpenLoan,
  type Library,
  type Loan,
  openLoanOfBook,
  type Patron,
  refuse,
  today,
} from './library.ts'
import type { Move } from './moves.ts'
import { barcodeOf, BOOKS, endOfLicence, type Licence, STAFF } from './setting.ts'
import * as verbs from './verbs.ts'

/** What a move comes to in a library as it stands: requests, and what the model does and says to each. */

export type Call = {
  by: string
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** In names. */
  path: string
  body?: object
  isKeyed?: boolean
  /** Whether the role of whoever asks is known to be wrong before anything is looked up. */
  isForbidden?: boolean
  status: number
  meet: () => object | null
  /** The decision of the call before, which has to be right. */
  foretold?: 'borrow' | 'renew' | 'placeHold'
}

export type Step =
  | { kind: 'call'; call: Call }
  | { kind: 'log in'; patron: Patron }
  | { kind: 'pass'; to: number }
  | { kind: 'run tasks' }
  | { kind: 'repeat'; nth: number; isChanged: boolean }

type Of<Verb extends Move['verb']> = Extract<Move, { verb: Verb }>
type Steps = { [Verb in Move['verb']]: (library: Library, move: Of<Verb>) => Step[] }

const REASON = 'It is wanted so'

/** Nothing, where there is nothing of the kind that the move is about. */
export const stepsOf = (library: Library, move: Move): Step[] =>
  // Each verb has its own fields, which the index cannot know.
  (steps[move.verb] as (library: Library, move: Move) => Step[])(library, move)

const call = (call: Call): Step => ({ kind: 'call', call })

const pick = <T>(things: T[], nth: number): T | undefined => things[nth % things.length]

const patronAt = ({ patrons }: Library, index: number): Patron => {
  const patron = patrons[index]
  if (patron === undefined) throw new Error('there is no such patron')
  return patron
}

const bookAt = (index: number) => BOOKS[index] ?? ''

const formatOf = (format: Format | null) => (format === null ? {} : { format })

const overriding = (overrides: boolean) => (overrides ? { override: { reason: REASON } } : {})

// Who asks ------------------------------------------------------------------------------------------------

type By = 'owner' | 'staff' | 'stranger'

/** Whose things an asker may touch: their own; for staff anyone's. */
function asker({ patrons }: Library, by: By, owner: Patron | null): { by: string; owner: verbs.Owner } {
  if (by === 'staff') return { by: STAFF, owner: null }
  const others = patrons.filter((patron) => patron !== owner)
  const patron = (by === 'owner' ? owner : others[0]) ?? others[0] ?? null
  return { by: patron?.name ?? STAFF, owner: patron }
}

// Things --------------------------------------------------------------------------------------------------

const loanAt = ({ loans }: Library, { nth, isOver = false }: { nth: number; isOver?: boolean }): Loan | undefined =>
  pick(
    loans.filter((loan) => isOpenLoan(loan) !== isOver),
    nth,
  )

const holdAt = (library: Library, { nth, isOver = false }: { nth: number; isOver?: boolean }): Hold | undefined =>
  pick(isOver ? library.gone.holds : library.holds, nth)

/** Those that are still owed come first. */
const feeAt = ({ fees }: Library, nth: number): Fee | undefined =>
  pick(
    fees.some(({ settledAt }) => settledAt === null) && nth < 7
      ? fees.filter(({ settledAt }) => settledAt === null)
      : fees,
    nth,
  )

const physicalAt = ({ copies }: Library, nth: number): Copy | undefined =>
  pick(
    copies.filter(({ format }) => format === 'physical'),
    nth,
  )

const about = <T>(thing: T | undefined, tell: (thing: T) => Step[]): Step[] => (thing === undefined ? [] : tell(thing))

const iso = (moment: number | null) => (moment === null ? null : new Date(moment).toISOString())

// Eligibility ---------------------------------------------------------------------------------------------

type Question = { by: string; patron: Patron; book: string; format: Format | null }

function question(library: Library, { by, patron, book, format }: Question): Step {
  const query = new URLSearchParams({ ...formatOf(format), ...(by === STAFF && { userId: patron.name }) })
  return call({
    by,
    method: 'GET',
    path: `/v1/books/${book}/eligibility${query.size === 0 ? '' : `?${query.toString()}`}`,
    status: 200,
    meet: () => eligibilityAnswer(library, { patron, book, format }),
  })
}

/** When something ends, all of which are moments at which the library may err by one. */
const turningPoints = ({ now, calendar, ...library }: Library) =>
  [
    endOfDay(calendar, Math.floor(now / DAY)) + 1000,
    ...library.loans.filter(isOpenLoan).map(({ dueAt }) => dueAt),
    ...library.holds.map(({ ready }) => ready?.collectBy ?? null),
    ...library.holds.map(({ suspendedUntil }) =>
      suspendedUntil === null ? null : endOfDay(calendar, suspendedUntil - 1) + 1000,
    ),
    ...library.copies.map(({ licenceEndsAt }) => licenceEndsAt),
    ...library.blocks.map(({ endsAt }) => endsAt),
    ...library.patrons.map(({ expiresAt }) => expiresAt),
  ]
    .filter((moment) => moment !== null)
    .filter((moment) => moment > now)
    .toSorted((a, b) => a - b)

// Moves ---------------------------------------------------------------------------------------------------

const steps: Steps = {
  pass: ({ now }, { hours }) => [{ kind: 'pass', to: now + hours * HOUR }],

  'pass to': (library, { nth, seconds }) =>
    about(pick(turningPoints(library), nth), (moment) => [
      { kind: 'pass', to: Math.max(library.now, moment + seconds * 1000) },
    ]),

  'run tasks': () => [{ kind: 'run tasks' }],

  borrow: (library, { patron: index, book: number, format, isKeyed, overrides, asksFirst }) => {
    const patron = patronAt(library, index)
    const book = bookAt(number)
    return [
      ...(asksFirst ? [question(library, { by: patron.name, patron, book, format })] : []),
      call({
        by: patron.name,
        method: 'POST',
        path: '/v1/loans',
        body: { bookId: book, ...formatOf(format), ...overriding(overrides) },
        isKeyed,
        isForbidden: overrides,
        status: 201,
        meet: () => verbs.checkOut(library, { patron, book, format, barcode: null, override: null }),
        ...(asksFirst && !overrides && { foretold: 'borrow' }),
      }),
    ]
  },

  lend: (library, { patron: index, nth, isKeyed, overrides }) =>
    about(physicalAt(library, nth), (copy) => {
      const patron = patronAt(library, index)
      const { barcode, book } = copy
      return [
        call({
          by: STAFF,
          method: 'POST',
          path: '/v1/loans',
          body: { barcode, userId: patron.name, ...overriding(overrides) },
          isKeyed,
          status: 201,
          meet: () => {
            if (copy.isRemoved) refuse('copy-not-found')
            return verbs.checkOut(library, { patron, book, format: null, barcode, override: overrides ? REASON : null })
          },
        }),
      ]
    }),

  'give back': (library, { by, nth, isOver }) =>
    about(loanAt(library, { nth, isOver }), (loan) => {
      const who = asker(library, by, loan.patron)
      return [
        call({
          by: who.by,
          method: 'PUT',
          path: `/v1/loans/${loan.name}/return`,
          status: 200,
          meet: () => verbs.giveBack(library, loan, who.owner),
        }),
      ]
    }),

  'check in': (library, { nth, isKeyed }) =>
    about(physicalAt(library, nth), ({ barcode }) => [
      call({
        by: STAFF,
        method: 'POST',
        path: '/v1/check-ins',
        body: { barcode },
        isKeyed,
        status: 201,
        meet: () => verbs.checkIn(library, barcode ?? ''),
      }),
    ]),

  renew: (library, { by, nth, isOver, isKeyed, overrides, asksFirst }) =>
    about(loanAt(library, { nth, isOver }), (loan) => {
      const who = asker(library, by, loan.patron)
      const { patron, copy } = loan
      const isOwn = patron !== null && by !== 'stranger'
      const asks = asksFirst && isOwn && openLoanOfBook(library, patron, copy.book) === loan
      const isForbidden = overrides && who.by !== STAFF
      return [
        ...(asks ? [question(library, { by: who.by, patron, book: copy.book, format: null })] : []),
        call({
          by: who.by,
          method: 'POST',
          path: `/v1/loans/${loan.name}/renewals`,
          ...(overrides && { body: overriding(true) }),
          isKeyed,
          isForbidden,
          status: 201,
          meet: () => verbs.renew(library, loan, { owner: who.owner, override: overrides ? REASON : null }),
          ...(asks && !overrides && { foretold: 'renew' }),
        }),
      ]
    }),

  queue: (library, { patron: index, book: number, format, isKeyed, isAtDesk, overrides, asksFirst }) => {
    const patron = patronAt(library, index)
    const book = bookAt(number)
    const by = isAtDesk ? STAFF : patron.name
    return [
      ...(asksFirst ? [question(library, { by, patron, book, format })] : []),
      call({
        by,
        method: 'POST',
        path: '/v1/holds',
        body: { bookId: book, ...formatOf(format), ...(isAtDesk && { userId: patron.name }), ...overriding(overrides) },
        isKeyed,
        isForbidden: overrides && !isAtDesk,
        status: 201,
        meet: () => verbs.placeHold(library, { patron, book, format, override: overrides ? REASON : null }),
        ...(asksFirst && !overrides && { foretold: 'placeHold' }),
      }),
    ]
  },

  'cancel hold': (library, { by, nth, isOver }) =>
    about(holdAt(library, { nth, isOver }), (hold) => {
      const who = asker(library, by, hold.patron)
      return [
        call({
          by: who.by,
          method: 'DELETE',
          path: `/v1/holds/${hold.name}`,
          status: 204,
          meet: () => verbs.cancelHold(library, hold, who.owner),
        }),
      ]
    }),

  'suspend hold': (library, { by, nth, days }) =>
    about(holdAt(library, { nth }), (hold) => {
      const who = asker(library, by, hold.patron)
      const until = today(library) + days
      return [
        call({
          by: who.by,
          method: 'PUT',
          path: `/v1/holds/${hold.name}/suspension`,
          body: { until: nameOfDay(until) },
          status: 200,
          meet: () => verbs.suspendHold(library, hold, { owner: who.owner, until }),
        }),
      ]
    }),

  'resume hold': (library, { by, nth }) =>
    about(holdAt(library, { nth }), (hold) => {
      const who = asker(library, by, hold.patron)
      return [
        call({
          by: who.by,
          method: 'DELETE',
          path: `/v1/holds/${hold.name}/suspension`,
          status: 200,
          meet: () => verbs.resumeHold(library, hold, who.owner),
        }),
      ]
    }),

  'move hold': (library, { nth, position }) =>
    about(holdAt(library, { nth }), (hold) => [
      call({
        by: STAFF,
        method: 'PUT',
        path: `/v1/holds/${hold.name}/position`,
        body: { position, reason: REASON },
        status: 200,
        meet: () => verbs.moveHold(library, hold, { position, reason: REASON }),
      }),
    ]),

  lose: (library, { nth }) =>
    about(pick(library.copies, nth), (copy) => [
      call({
        by: STAFF,
        method: 'PUT',
        path: `/v1/copies/${copy.name}/loss`,
        status: 200,
        meet: () => verbs.lose(library, copy),
      }),
    ]),

  find: (library, { nth, isLost }) =>
    about(pick(isLost ? library.copies.filter(({ state }) => state === 'lost') : library.copies, nth), (copy) => [
      call({
        by: STAFF,
        method: 'DELETE',
        path: `/v1/copies/${copy.name}/loss`,
        status: 200,
        meet: () => verbs.findAgain(library, copy),
      }),
    ]),

  claim: (library, { nth, isClaimed, isOver }) =>
    about(loanAt(library, { nth, isOver }), (loan) => [
      call({
        by: STAFF,
        method: isClaimed ? 'PUT' : 'DELETE',
        path: `/v1/loans/${loan.name}/claimed-return`,
        status: 200,
        meet: () => verbs.claimReturned(library, loan, isClaimed),
      }),
    ]),

  'add copy': (library, { book: number, isKeyed, licence }) => {
    const book = bookAt(number)
    const barcode = barcodeOf(`copy-${library.copies.length + 1}`)
    const licenceEndsAt = endOfLicence(library.now, licence)
    return [
      call({
        by: STAFF,
        method: 'POST',
        path: `/v1/books/${book}/copies`,
        body:
          licence === null
            ? { format: 'physical', barcode }
            : { format: 'digital', licenceEndsAt: iso(licenceEndsAt), loansLeft: licence.loansLeft },
        isKeyed,
        status: 201,
        meet: () =>
          verbs.addCopy(library, {
            book,
            format: licence === null ? 'physical' : 'digital',
            barcode: licence === null ? barcode : null,
            licenceEndsAt,
            loansLeft: licence?.loansLeft ?? null,
          }),
      }),
    ]
  },

  'change copy': (library, { nth, change, isPhysical }) => {
    const format = isPhysical ? 'physical' : 'digital'
    const copies = library.copies.filter((copy) => copy.format === format)
    const body = licenceFields(library, change)
    return about(pick(copies, nth), (copy) => [
      call({
        by: STAFF,
        method: 'PATCH',
        path: `/v1/copies/${copy.name}`,
        body: { ...body, ...('licenceEndsAt' in body && { licenceEndsAt: iso(body.licenceEndsAt ?? null) }) },
        status: 200,
        meet: () => verbs.changeCopy(library, copy, body),
      }),
    ])
  },

  'remove copy': (library, { nth }) =>
    about(pick(library.copies, nth), (copy) => [
      call({
        by: STAFF,
        method: 'DELETE',
        path: `/v1/copies/${copy.name}`,
        status: 204,
        meet: () => verbs.removeCopy(copy),
      }),
    ]),

  charge: (library, { patron: index, amount, isKeyed }) => {
    const patron = patronAt(library, index)
    return [
      call({
        by: STAFF,
        method: 'POST',
        path: '/v1/fees',
        body: { userId: patron.name, amount, note: REASON },
        isKeyed,
        status: 201,
        meet: () => verbs.chargeFee(library, { patron, amount, note: REASON }),
      }),
    ]
  },

  'reduce fee': (library, { nth, kind, amount: some, isAll, isKeyed }) =>
    about(feeAt(library, nth), (fee) => {
      const amount = isAll && balanceOf(fee) > 0 ? balanceOf(fee) : some
      const isPaid = kind === 'payment'
      return [
        call({
          by: STAFF,
          method: 'POST',
          path: `/v1/fees/${fee.name}/${kind}s`,
          body: { amount, [isPaid ? 'reference' : 'reason']: REASON },
          isKeyed,
          status: 201,
          meet: () => verbs.reduceFee(library, fee, { kind, amount, reason: REASON }),
        }),
      ]
    }),

  block: (library, { patron: index, hours, isKeyed }) => {
    const patron = patronAt(library, index)
    const endsAt = hours === null ? null : library.now + hours * HOUR
    return [
      call({
        by: STAFF,
        method: 'POST',
        path: '/v1/blocks',
        body: { userId: patron.name, reason: REASON, ...(endsAt !== null && { endsAt: iso(endsAt) }) },
        isKeyed,
        status: 201,
        meet: () => verbs.setBlock(library, patron, { reason: REASON, endsAt }),
      }),
    ]
  },

  'lift block': (library, { nth }) =>
    about(pick([...library.blocks, ...library.gone.blocks], nth), (block) => [
      call({
        by: STAFF,
        method: 'DELETE',
        path: `/v1/blocks/${block.name}`,
        status: 204,
        meet: () => verbs.liftBlock(library, block),
      }),
    ]),

  'suspend user': (library, { patron: index }) => {
    const patron = patronAt(library, index)
    return [
      call({
        by: STAFF,
        method: 'PUT',
        path: `/v1/users/${patron.name}/suspension`,
        body: { reason: REASON },
        status: 200,
        meet: () => verbs.suspendUser(library, patron),
      }),
    ]
  },

  'reinstate user': (library, { patron: index }) => {
    const patron = library.patrons.find(({ isSuspended }) => isSuspended) ?? patronAt(library, index)
    return [
      call({
        by: STAFF,
        method: 'DELETE',
        path: `/v1/users/${patron.name}/suspension`,
        status: 200,
        meet: () => verbs.reinstateUser(library, patron),
      }),
      ...(patron.isLoggedIn ? [] : [{ kind: 'log in', patron } as const]),
    ]
  },

  'change category': (library, { patron: index, category }) => {
    const patron = patronAt(library, index)
    return [
      call({
        by: STAFF,
        method: 'PATCH',
        path: `/v1/users/${patron.name}`,
        body: { category },
        status: 200,
        meet: () => {
          if (category === 'nobility') refuse('category-not-found')
          return verbs.changeUser(library, patron, { category })
        },
      }),
    ]
  },

  'change expiry': (library, { patron: index, hours }) => {
    const patron = patronAt(library, index)
    const expiresAt = hours === null ? null : library.now + hours * HOUR
    return [
      call({
        by: STAFF,
        method: 'PATCH',
        path: `/v1/users/${patron.name}`,
        body: { expiresAt: iso(expiresAt) },
        status: 200,
        meet: () => verbs.changeUser(library, patron, { expiresAt }),
      }),
    ]
  },

  'keep history': (library, { patron: index, keeps }) => {
    const patron = patronAt(library, index)
    return [
      call({
        by: patron.name,
        method: 'PATCH',
        path: '/v1/users/me',
        body: { keepHistory: keeps },
        status: 200,
        meet: () => verbs.keepHistory(library, patron, keeps),
      }),
    ]
  },

  'change policy': ({ policies }, { nth, change }) =>
    about(pick(policies, nth), (policy) => [
      call({
        by: STAFF,
        method: 'PATCH',
        path: `/v1/policies/${policy.name}`,
        body: change,
        status: 200,
        meet: () => verbs.changePolicy(policy, change),
      }),
    ]),

  'set day': (library, { days, hours }) => {
    const day = today(library) + days
    return [
      call({
        by: STAFF,
        method: 'PUT',
        path: `/v1/library/days/${nameOfDay(day)}`,
        body: { opens: null, closes: null, ...hours },
        status: 200,
        meet: () => verbs.setDay(library, day, hours),
      }),
    ]
  },

  'forget day': (library, { nth }) => {
    const day = pick([...library.calendar.days.keys()], nth) ?? today(library)
    return [
      call({
        by: STAFF,
        method: 'DELETE',
        path: `/v1/library/days/${nameOfDay(day)}`,
        status: 204,
        meet: () => verbs.forgetDay(library, day),
      }),
    ]
  },

  'change library': (library, { zone, week }) => {
    const openingHours = week?.map((hours, index) => ({ weekday: index + 1, opens: null, closes: null, ...hours }))
    if (zone === null && week === null) return []
    return [
      call({
        by: STAFF,
        method: 'PATCH',
        path: '/v1/library',
        body: { ...(zone !== null && { timeZone: zone }), ...(openingHours && { openingHours }) },
        status: 200,
        meet: () => verbs.changeLibrary(library, { zone, week }),
      }),
    ]
  },

  repeat: (_library, { nth, isChanged }) => [{ kind: 'repeat', nth, isChanged }],

  look: (library, { at, by, nth }) => looks[at](library, by, nth),

  ask: (library, { patron: index, book, format, isAtDesk }) => {
    const patron = patronAt(library, index)
    return [question(library, { by: isAtDesk ? STAFF : patron.name, patron, book: bookAt(book), format })]
  },
}

function licenceFields({ now }: Library, { loansLeft, days }: Partial<Licence>) {
  const fields: { loansLeft?: number | null; licenceEndsAt?: number | null } = {}
  if (loansLeft !== undefined) fields.loansLeft = loansLeft
  if (days !== undefined) fields.licenceEndsAt = endOfLicence(now, { loansLeft: null, days })
  return fields
}

const read = (by: string, path: string, meet: Call['meet']): Step[] => [
  call({ by, method: 'GET', path, status: 200, meet }),
]

const looks: Record<Of<'look'>['at'], (library: Library, by: By, nth: number) => Step[]> = {
  loan: (library, by, nth) =>
    about(pick(library.loans, nth), (loan) => {
      const who = asker(library, by, loan.patron ?? patronAt(library, nth % library.patrons.length))
      return read(who.by, `/v1/loans/${loan.name}`, () => {
        const isTheirs = who.owner === null || loan.patron === who.owner || who.owner.history.includes(loan.name)
        return isTheirs ? loanAnswer(library, loan) : refuse('loan-not-found')
      })
    }),
  hold: (library, by, nth) =>
    about(pick([...library.holds, ...library.gone.holds], nth), (hold) => {
      const who = asker(library, by, hold.patron)
      return read(who.by, `/v1/holds/${hold.name}`, () => {
        const isTheirs = who.owner === null || hold.patron === who.owner
        return isTheirs && library.holds.includes(hold) ? holdAnswer(library, hold) : refuse('hold-not-found')
      })
    }),
  fee: (library, by, nth) =>
    about(pick(library.fees, nth), (fee) => {
      const who = asker(library, by, fee.patron)
      return read(who.by, `/v1/fees/${fee.name}`, () =>
        who.owner === null || fee.patron === who.owner ? feeAnswer(fee) : refuse('fee-not-found'),
      )
    }),
  copy: (library, _by, nth) =>
    about(pick(library.copies, nth), (copy) =>
      read(STAFF, `/v1/copies/${copy.name}`, () =>
        copy.isRemoved ? refuse('copy-not-found') : copyAnswer(library, copy),
      ),
    ),
  user: (library, by, nth) => {
    const patron = patronAt(library, nth % library.patrons.length)
    return by === 'owner'
      ? read(patron.name, '/v1/users/me', () => userAnswer(library, patron))
      : read(STAFF, `/v1/users/${patron.name}`, () => userAnswer(library, patron))
  },
}
