import type { Copy as CopyAnswer } from '../../src/features/copies/schema.ts'
import type { Hold as HoldAnswer } from '../../src/features/holds/schema.ts'
import type { Loan } from '../../src/features/loans/schema.ts'
import { type Deed, isSuccess } from './crowd.ts'
import type { Scene } from './scene.ts'

/** The queue of each book, told again from its events. Whoever changes a queue has the row of the book, so the ids of those
 *  events are in the order in which they were committed; and so are those of a copy, whose row is locked as well. */

type Event = {
  id: number
  kind: string
  day: string
  subjectId: string
  copyId: string | null
  details: Record<string, unknown>
}
type Format = CopyAnswer['format']
type Copy = { id: string; format: Format; state: string }
type Hold = { id: string; copyId: string | null; suspendedUntil: string | null }
type Queued = Hold & { userId: string; format: Format | null; place: number }
/** Whose a loan or a hold was, from the answers: the events have forgotten. */
type Told = { loans: Map<string, string>; holds: Map<string, Pick<Queued, 'userId' | 'format'>> }

export async function unfairQueues({ database, copies, books }: Scene, deeds: Deed[]): Promise<string[]> {
  const told = whatWasTold(deeds)
  const [events = [], holds = [], states = []] = await database.transaction([
    database`
      select book_id, json_build_object(
        'id', id, 'kind', kind, 'day', occurred_at::date, 'subjectId', subject_id, 'copyId', copy_id,
        'details', coalesce(details, '{}')
      ) as event
      from events where book_id is not null order by id`,
    database`
      select book_id, json_build_object('id', id, 'copyId', copy_id, 'suspendedUntil', suspended_until) as hold
      from holds order by place`,
    database`select id, state from copies`,
  ])
  return [
    ...untimely(
      events.map(({ event }) => event as Event),
      deeds,
    ),
    ...books.flatMap((book) => {
      const shelf = copies
        .filter(({ bookId }) => bookId === book)
        .map(({ id, format }) => ({ id, format, state: 'available' }))
      const ofBook = <T>(rows: Record<string, unknown>[], column: string) =>
        rows.filter(({ book_id }) => book_id === book).map((row) => row[column] as T)
      const { faults, queue } = retell(ofBook<Event>(events, 'event'), shelf, told)
      const line = (holds: Hold[]) => holds.map(({ id, copyId, suspendedUntil }) => `${id} ${copyId} ${suspendedUntil}`)
      return [
        ...faults,
        ...unlike(`the queue of book ${book}`, line(queue), line(ofBook<Hold>(holds, 'hold'))),
        ...shelf.flatMap(({ id, state }) =>
          unlike(`copy ${id}`, [state], [String(states.find((copy) => copy['id'] === id)?.['state'])]),
        ),
      ]
    }),
  ]
}

const unlike = (what: string, told: string[], found: string[]) =>
  told.join() === found.join() ? [] : [`${what}: by the events ${told.join()}, found ${found.join()}`]

function whatWasTold(deeds: Deed[]): Told {
  const told: Told = { loans: new Map(), holds: new Map() }
  for (const { verb, replies } of deeds) {
    for (const { body } of replies.filter(isSuccess)) {
      if (verb === 'borrow' || verb === 'lend') told.loans.set((body as Loan).id, (body as Loan).userId ?? '')
      if (verb === 'queue' || verb === 'enqueue') told.holds.set((body as HoldAnswer).id, body as HoldAnswer)
    }
  }
  return told
}

/** Whoever had an answer before another asked is before them. */
function untimely(events: Event[], deeds: Deed[]): string[] {
  const spans = new Map<string, { asked: number; answered: number }>()
  for (const { verb, replies } of deeds) {
    if (verb !== 'queue' && verb !== 'enqueue') continue
    const successes = replies.filter(isSuccess)
    const { id } = (successes[0]?.body ?? { id: '' }) as HoldAnswer
    const asked = Math.min(...replies.map(({ startedAt }) => startedAt))
    spans.set(id, { asked, answered: Math.min(...successes.map(({ endedAt }) => endedAt)) })
  }
  let latestAsked = 0
  return events.flatMap(({ kind, subjectId }) => {
    const span = kind === 'hold.placed' ? spans.get(subjectId) : undefined
    if (span === undefined) return []
    const isLate = span.answered < latestAsked
    latestAsked = Math.max(latestAsked, span.asked)
    return isLate ? [`hold ${subjectId} stands behind one that was asked for after it had been answered`] : []
  })
}

/** Leaves the copies in the state in which the events leave them. */
function retell(events: Event[], copies: Copy[], told: Told): { faults: string[]; queue: Queued[] } {
  const faults: string[] = []
  let queue: Queued[] = []
  const line = () => queue.filter(({ copyId }) => copyId === null).toSorted((a, b) => a.place - b.place)
  const isAwaited =
    ({ day }: Event, format: Format) =>
    (hold: Queued) =>
      (hold.suspendedUntil === null || hold.suspendedUntil <= day) && (hold.format === null || hold.format === format)

  for (const event of events) {
    const { id, kind, subjectId, details } = event
    const blame = (what: string) => faults.push(`event ${id}, ${kind}: ${what}`)
    const hold = queue.find((hold) => hold.id === subjectId)
    const copy = copies.find((copy) => copy.id === event.copyId)

    /** What happens to a copy happens to one that was in such a state. */
    const put = (state: string, from: string[]) => {
      if (copy === undefined || !from.includes(copy.state)) blame(`the copy was ${copy?.state ?? 'not there'}`)
      if (copy !== undefined) copy.state = state
    }

    const leave = () => {
      queue = queue.filter((other) => other !== hold)
      if (event.copyId !== null) put('available', ['on_hold'])
    }

    const happenings: Record<string, () => void> = {
      'loan.made': () => {
        const keptFor = queue.find(({ copyId }) => copyId === event.copyId)
        if (keptFor !== undefined && keptFor.userId !== told.loans.get(subjectId)) blame('it waited for somebody else')
        put('on_loan', ['available', 'on_hold'])
      },
      'loan.returned': () => put('available', ['on_loan']),
      'loan.lost': () => put('available', ['on_loan']),
      'loan.renewed': () => {
        if (copy !== undefined && line().some(isAwaited(event, copy.format))) blame('others were waiting')
      },
      'copy.used': () => put('available', ['available']),
      'copy.lost': () => put('lost', ['available']),
      'copy.found': () => put('available', ['lost']),
      'copy.expired': () => put('expired', ['available']),
      'copy.reinstated': () => put('available', ['expired']),
      'hold.placed': () => {
        const { userId = '', format = null } = told.holds.get(subjectId) ?? {}
        if (queue.some((other) => other.userId === userId)) blame('the patron was in the queue')
        queue.push({ id: subjectId, userId, format, place: id, copyId: null, suspendedUntil: null })
      },
      'hold.ready': () => {
        const first = copy && line().find(isAwaited(event, copy.format))
        if (first !== hold) blame(`it was the turn of ${first?.id ?? 'nobody'}, not of ${subjectId}`)
        put('on_hold', ['available'])
        if (hold !== undefined) Object.assign(hold, { copyId: event.copyId, suspendedUntil: null })
      },
      'hold.released': () => {
        put('available', ['on_hold'])
        if (hold !== undefined) hold.copyId = null
      },
      'hold.suspended': () => {
        if (hold !== undefined) hold.suspendedUntil = String(details['until'])
      },
      'hold.resumed': () => {
        if (hold !== undefined) hold.suspendedUntil = null
      },
      'hold.moved': () => {
        const before = line()
        if (hold === undefined || before[Number(details['from']) - 1] !== hold) {
          blame('it was elsewhere')
          return
        }
        const after = before.filter((other) => other !== hold).toSpliced(Number(details['to']) - 1, 0, hold)
        const places = before.map(({ place }) => place)
        for (const [index, moved] of after.entries()) moved.place = places[index] ?? NaN
      },
      'hold.cancelled': leave,
      'hold.expired': leave,
      // Names a copy if another was lent than the one that waited, which is free then.
      'hold.collected': leave,
    }

    if (kind.startsWith('hold.') && kind !== 'hold.placed' && hold === undefined) blame('no such hold')
    happenings[kind]?.()
  }
  return { faults, queue: queue.toSorted((a, b) => a.place - b.place) }
}
