import { setTimeout as delay } from 'node:timers/promises'
import autocannon from 'autocannon'
import type pg from 'pg'
import type { NeonEndpoint } from '../scripts/local/neon-endpoint.ts'
import type { Reader } from './history.ts'
import type { Patron } from './library.ts'
import { median } from './table.ts'
import type { Served } from './work.ts'

/** How many pieces of work were done, a second, and the median time of one HTTP request where there was HTTP. */
export type Measured = { done: number; perSecond: number; medianMs: number }

/** One connection a patron, each with one request under way. `amount` is in requests, `duration` in seconds.
 *  Throws when a status is not the expected one. */
export async function loadWorker({
  url,
  work,
  patrons,
  extent,
}: {
  url: string
  work: Served
  patrons: Patron[]
  extent: { duration: number } | { amount: number }
}): Promise<Measured> {
  const sequences = await Promise.all(patrons.map((patron) => work.requests(patron)))
  const waiting = sequences.values()
  const unexpected: number[] = []
  const times: number[] = []
  const spans: Span[] = []
  const result = await autocannon({
    url,
    connections: patrons.length,
    ...extent,
    setupClient: (client) => {
      const requests = waiting.next().value
      if (requests === undefined) throw new Error('There are more connections than patrons.')
      client.setRequests(requests)
      const span: Span = { startedAt: performance.now(), endedAt: 0, answers: 0 }
      spans.push(span)
      client.on('response', (status, _bytes, responseTime) => {
        if (status !== work.statuses[span.answers % work.statuses.length]) unexpected.push(status)
        span.answers += 1
        span.endedAt = performance.now()
        times.push(responseTime)
      })
    },
  })
  if (unexpected.length > 0 || result.errors > 0 || result.timeouts > 0) {
    const statuses = [...new Set(unexpected)].join(', ') || 'none'
    throw new Error(
      `${work.name}: unexpected statuses ${statuses}, ${result.errors} errors, ${result.timeouts} timeouts`,
    )
  }
  const done = times.length / work.statuses.length
  return { done, perSecond: perSecondOf(spans) / work.statuses.length, medianMs: median(times) }
}

type Span = { startedAt: number; endedAt: number; answers: number }

/** Each connection's up to its last answer: what was under way at the end would count for nothing, and with a great
 *  distance that is a good part of it. */
function perSecondOf(spans: Span[]): number {
  return spans
    .filter(({ answers }) => answers > 0)
    .reduce((sum, { startedAt, endedAt, answers }) => sum + (1000 * answers) / (endedAt - startedAt), 0)
}

/** How often to count, of each kind of work. */
const COUNTED = 20

/** Round trips to the database that a request makes, counted at the endpoint. */
export async function tripsOf({
  endpoint,
  url,
  work,
  patron,
}: {
  endpoint: NeonEndpoint
  url: string
  work: Served
  patron: Patron
}): Promise<number> {
  const amount = COUNTED * work.statuses.length
  const before = endpoint.requests()
  await loadWorker({ url, work, patrons: [patron], extent: { amount } })
  return (endpoint.requests() - before) / amount
}

/** The load ends in the middle of things: what was lent and not returned would be in the way next time. */
export async function returnAll(client: pg.Client, readers: Reader[]): Promise<void> {
  await delay(300)
  await client.query('select count(check_in(id, null)) from loans where returned_at is null and user_id = any ($1)', [
    readers.map(({ userId }) => userId),
  ])
}
