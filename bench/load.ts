import autocannon from 'autocannon'
import type pg from 'pg'
import { z } from 'zod'
import type { Patron } from './library.ts'
import type { Trip, Work } from './work.ts'

/** How many pieces of work were done, a second, and the median time of one HTTP request where there was HTTP. */
export type Measured = { done: number; perSecond: number; medianMs: number | null }

type Load = { work: Work; patrons: Patron[] }

/** One connection a patron, each with one request under way. `amount` is in requests, `duration` in seconds.
 *  Throws when a status is not the expected one. */
export async function loadWorker({
  url,
  work,
  patrons,
  extent,
}: Load & { url: string; extent: { duration: number } | { amount: number } }): Promise<Measured> {
  const sequences = await Promise.all(patrons.map((patron) => work.requests(patron)))
  const waiting = sequences.values()
  const tally = new Map<number, number>()
  const startedAt = performance.now()
  const result = await autocannon({
    url,
    connections: patrons.length,
    ...extent,
    setupClient: (client) => {
      const requests = waiting.next().value
      if (requests === undefined) throw new Error('There are more connections than patrons.')
      client.setRequests(requests)
      let place = 0
      client.on('response', (status) => {
        const expected = work.statuses[place % work.statuses.length]
        tally.set(status, (tally.get(status) ?? 0) + 1)
        if (status !== expected) tally.set(-status, (tally.get(-status) ?? 0) + 1)
        place += 1
      })
    },
  })
  const elapsed = (performance.now() - startedAt) / 1000
  const unexpected = [...tally].filter(([status]) => status < 0).map(([status, count]) => `${count} times ${-status}`)
  if (unexpected.length > 0 || result.errors > 0 || result.timeouts > 0) {
    throw new Error(`${work.name}: ${unexpected.join(', ')}, ${result.errors} errors, ${result.timeouts} timeouts`)
  }
  const done = [...tally.values()].reduce((sum, count) => sum + count, 0) / work.statuses.length
  return { done, perSecond: done / elapsed, medianMs: result.latency.p50 }
}

/** The statements of the same work, each time parsed and planned anew as Neon does, and a transaction's sent in one go.
 *  One connection a patron, as above. */
export async function loadPostgres({
  clients,
  work,
  patrons,
  seconds,
}: Load & { clients: pg.Client[]; seconds: number }): Promise<Measured> {
  const plans: Trip[][] = []
  for (const patron of patrons) plans.push(await work.trips(patron))
  const startedAt = performance.now()
  const deadline = startedAt + seconds * 1000
  const counts = await Promise.all(
    plans.map(async (trips, place) => {
      const client = clients.at(place)
      if (client === undefined) throw new Error('There are more patrons than connections.')
      let done = 0
      while (performance.now() < deadline) {
        await perform(client, trips)
        done += 1
      }
      return done
    }),
  )
  const done = counts.reduce((sum, count) => sum + count, 0)
  return { done, perSecond: done / ((performance.now() - startedAt) / 1000), medianMs: null }
}

const made = z.object({ id: z.uuid() })

async function perform(client: pg.Client, trips: Trip[]): Promise<void> {
  let loanId: string | null = null
  for (const trip of trips) {
    const answer = await send(client, trip, loanId)
    if (trip !== trips.at(-1)) loanId = made.parse(JSON.parse(answer)).id
  }
}

/** Answers the first column of the last statement's row, as text: JSON passes through unread, as in the Worker. */
async function send(client: pg.Client, { statements, loanId }: Trip, actualId: string | null): Promise<string> {
  const isBatch = statements.length > 1
  const begun = isBatch ? client.query('begin') : undefined
  const answers = statements.map(({ query, params }) =>
    client.query<string[]>({
      text: query,
      values: loanId === null ? params : params.map((param) => (param === loanId ? actualId : param)),
      rowMode: 'array',
      types: { getTypeParser: () => (value: string) => value },
    }),
  )
  const committed = isBatch ? client.query('commit') : undefined
  const [results] = await Promise.all([Promise.all(answers), begun, committed])
  const value = results.at(-1)?.rows[0]?.[0]
  if (value === undefined) throw new Error('PostgreSQL answered no row.')
  return value
}
