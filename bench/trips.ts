import type { Request } from 'autocannon'
import type { Distance } from './distance.ts'
import { type Bench, tokenOf } from './library.ts'
import { loadWorker, returnAll, tripsOf } from './load.ts'
import { median, table, withSpread } from './table.ts'
import { medianCpu, ratios, takeTurns, type Turn } from './turns.ts'
import type { Worker } from './worker.ts'
import type { Served } from './work.ts'

/** Milliseconds there and back, and how many patrons borrow at a time: eight only where the machine is what limits them. */
const CASES = [{ ms: 0, connections: 8 }, ...[0, 5, 20, 80].map((ms) => ({ ms, connections: 1 }))]

/** The Workers: Lectern's own, and the one that makes five trips of a checkout. */
type Here = Bench & { distance: Distance; oneTrip: Worker; fiveTrips: Worker }

type Line = { ms: number; connections: number; one: Turn[]; five: Turn[] }

/** What a checkout costs beside the same checkout in five round trips. */
export async function compareTrips(bench: Here): Promise<string> {
  const lines: Line[] = []
  for (const { ms, connections } of CASES) lines.push(await compare(bench, ms, connections))
  const [busiest] = lines
  const counted = [await countTrips(bench, bench.oneTrip), await countTrips(bench, bench.fiveTrips)]
  return [timeTable(lines), costTable(counted, busiest?.one ?? [], busiest?.five ?? [])].join('\n')
}

async function compare(bench: Here, ms: number, connections: number): Promise<Line> {
  const { client, library, distance, oneTrip, fiveTrips, processes, seconds, note } = bench
  note(`checkouts at ${ms} ms, ${connections} at a time ...`)
  distance.set(ms)
  const patrons = library.patrons.slice(0, connections)
  const [one = [], five = []] = await takeTurns({
    sides: [oneTrip, fiveTrips].map(({ url }) => async (duration) => {
      const work = await checkouts(bench)
      return loadWorker({ url, work, patrons, extent: { duration } })
    }),
    seconds,
    processes,
    settle: () => returnAll(client, library.history.readers),
  })
  distance.set(0)
  return { ms, connections, one, five }
}

async function countTrips(bench: Here, { url }: Worker): Promise<number> {
  const { endpoint, client, library } = bench
  const [patron] = library.patrons
  if (patron === undefined) throw new Error('There is no patron.')
  const trips = await tripsOf({ endpoint, url, work: await checkouts(bench), patron })
  await returnAll(client, library.history.readers)
  return trips
}

function timeTable(lines: Line[]): string {
  const time = ({ medianMs }: Turn) => medianMs
  const rate = ({ perSecond }: Turn) => perSecond
  return table(
    [
      'Round trip, ms',
      'Connections',
      'one trip: ms',
      'five trips: ms',
      'time, five / one',
      'checkouts a second, one / five',
    ],
    lines.map(({ ms, connections, one, five }) => [
      String(ms),
      String(connections),
      median(one.map(time)).toFixed(1),
      median(five.map(time)).toFixed(1),
      withSpread(ratios(five, one, time)),
      withSpread(ratios(one, five, rate)),
    ]),
  )
}

function costTable([tripsOfOne = 0, tripsOfFive = 0]: number[], one: Turn[], five: Turn[]): string {
  const row = (name: string, trips: number, turns: Turn[]) => {
    const cpu = medianCpu(turns)
    return [name, String(trips), cpu.worker, cpu.node, cpu.postgres]
  }
  return table(
    ['A checkout in', 'Round trips', 'CPU ms: workerd', 'Node (autocannon, endpoint)', 'PostgreSQL'],
    [row('one trip', tripsOfOne, one), row('five trips', tripsOfFive, five)],
  )
}

/** A checkout a request, each of a book that nobody else wants, by the reader who has waited longest: all of them have
 *  returned what they had. Throws when there are no more. */
async function checkouts({ variables, library: { history } }: Here): Promise<Served> {
  const tokens = await Promise.all(history.readers.map((reader) => tokenOf(variables, reader)))
  const next = pairs(history.books, tokens)
  return {
    name: 'checkout',
    statuses: [201],
    requests: () => {
      const request: Request = {
        method: 'POST',
        path: '/v1/loans',
        setupRequest: (request) => {
          const { value } = next.next()
          if (value === undefined) throw new Error('There are no more books to lend: measure for fewer seconds.')
          const headers = { authorization: `Bearer ${value.token}`, 'content-type': 'application/json' }
          return { ...request, headers, body: JSON.stringify({ bookId: value.bookId }) }
        },
      }
      return Promise.resolve([request])
    },
  }
}

function* pairs(books: string[], tokens: string[]): Generator<{ token: string; bookId: string }, undefined> {
  for (const [place, bookId] of books.entries()) {
    const token = tokens[place % tokens.length]
    if (token !== undefined) yield { token, bookId }
  }
}
