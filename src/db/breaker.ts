import { log } from '../log.ts'
import { problem } from '../problem.ts'

/** One lost answer says nothing, five in a row without one that was heard do; a request makes two round trips at most, so
 *  it takes three requests. */
const FAILURES_MAX = 5

/** Long enough to spare a database that is starting (Neon's takes under a second) most of the crowd, and short enough that
 *  nobody who waits as Retry-After says notices much. It doubles while the database stays away, up to half a minute. */
const PAUSE_MS = 5_000
const PAUSE_MS_MAX = 30_000

/** Spares a database that is away the round trips, and their askers the wait. After five in a row that did not reach it,
 *  the next are refused at once for a pause; then one at a time is let through, and what it finds decides. Knows only
 *  moments: a timer would not outlive its request. `trialMs`: how long a trial may last, whose request may never end. */
export function newBreaker({ trialMs }: { trialMs: number }) {
  let failures = 0
  /** Zero while the database is thought to be there. */
  let pauseMs = 0
  let retryAt = 0
  let trial: object | null = null

  const open = (ms: number) => {
    pauseMs = ms
    retryAt = Date.now() + ms
    log({ event: 'database.away', durationMs: ms })
  }

  const close = () => {
    if (pauseMs > 0) log({ event: 'database.back' })
    pauseMs = 0
    failures = 0
  }

  return {
    /** Before a round trip; answers what to call after it. Throws 'database-unavailable'. */
    enter(): (outcome: 'reached' | 'away') => void {
      const mine = {}
      if (pauseMs > 0) {
        const waitMs = retryAt - Date.now()
        const headers = { 'retry-after': String(Math.ceil(waitMs / 1_000)) }
        if (waitMs > 0) throw problem('database-unavailable', { headers })
        retryAt = Date.now() + trialMs
        trial = mine
      }
      return (outcome) => {
        if (outcome === 'reached') return close()
        failures += 1
        if (pauseMs === 0 && failures >= FAILURES_MAX) open(PAUSE_MS)
        // Those that were under way when it opened say nothing new.
        else if (pauseMs > 0 && trial === mine) open(Math.min(pauseMs * 2, PAUSE_MS_MAX))
      }
    },
  }
}
