import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Answer, Meeting } from '../../scripts/local/neon-endpoint.ts'
import { type FaultName, faultNames } from '../support/commands.ts'

/** What can go wrong between a Worker and its database, on purpose. */

type Fault = (meeting: Meeting) => Promise<Answer>

/** Longer than any client of ours waits. */
const slowMs = 15_000
/** Time for a client to send its request once more. */
const lateMs = 1_000
const midwayMs = 100

const nothing: Answer = { status: 500, body: '', sent: 'closed' }
const page: Answer = {
  status: 200,
  headers: { 'content-type': 'text/html' },
  body: '<!doctype html><title>Hello</title>',
}
const text = (status: number, body: string, type = 'application/json'): Answer => ({
  status,
  headers: { 'content-type': type },
  body,
})
const failure = (status: number, message: string): Answer => ({ status, body: JSON.stringify({ message, code: '' }) })
const broken = failure(500, 'internal error')

/** Until the client has gone, or would have by any measure. */
const untilGone = (gone: AbortSignal) =>
  gone.aborted ? Promise.resolve() : delay(slowMs, undefined, { signal: gone }).catch(() => {})

const faults: Record<FaultName, Fault> = {
  /** The connection is closed and nothing is run. */
  refuse: async () => nothing,
  /** It waits in some queue, and is forgotten there when its client has gone. */
  'delay-before': async ({ run, gone }) => {
    await untilGone(gone)
    return run()
  },
  /** It waits in some queue, and is run when its client has gone and may have asked again. */
  'run-late': async ({ run, gone }) => {
    await untilGone(gone)
    await delay(lateMs)
    return run({ signal: new AbortController().signal })
  },
  /** Its transaction stays open until its client has gone, and is rolled back then. */
  stuck: async ({ run }) => run({ midway: `select pg_sleep(${slowMs / 1_000})` }),
  /** It is run, and the answer comes too late. */
  'delay-after': async ({ run, gone }) => {
    const answer = await run()
    await untilGone(gone)
    return answer
  },
  'drop-answer': async ({ run }) => ({ ...(await run()), sent: 'closed' }),
  'half-answer': async ({ run }) => ({ ...(await run()), sent: 'half' }),
  'stall-answer': async ({ run }) => ({ ...(await run()), sent: 'stalled' }),
  'error-500': async () => broken,
  'error-500-after': async ({ run }) => {
    await run()
    return broken
  },
  /** A portal, or a proxy with an apology. */
  html: async () => page,
  'html-after': async ({ run }) => {
    await run()
    return page
  },
  'too-many': async () => failure(429, 'Too many requests.'),
  reset: async () => ({ ...nothing, sent: 'reset' }),
  empty: async () => text(200, ''),
  garbage: async () => text(200, '\u0000\u0001{"rows":[['),
  'other-json': async () => text(200, '{"ok":true}'),
  'other-type': async () => text(200, 'OK', 'text/plain'),
  'bad-gateway': async () => text(502, '<html>Bad gateway</html>', 'text/html'),
  /** To where it would be answered. */
  redirect: async () => ({ status: 307, headers: { location: '/sql' }, body: '' }),
  'too-large': async ({ run }) => {
    await run()
    return failure(507, 'response is too large (max is 67108864 bytes)')
  },
  /** PostgreSQL is told to cancel it when all is done but the commit. */
  'cancel-midway': async ({ run }) => run({ midway: `select pg_sleep(${slowMs / 1_000})`, timeLimitMs: midwayMs }),
}

const isFaultName = (name: string): name is FaultName => faultNames.some((known) => known === name)

/** `?fault=<name>&times=<n>&run=<unique>&skip=<n>`: n requests of the run meet the fault, after those that are skipped. */
export function newFaults() {
  const runs = new Map<string, Promise<Answer>[]>()
  const skipped = new Map<string, number>()
  return {
    meet: (request: IncomingMessage, meeting: Meeting): Promise<Answer> | undefined => {
      const {
        fault,
        times,
        run,
        skip = '0',
      } = Object.fromEntries(new URLSearchParams(request.url?.split('?')[1] ?? ''))
      if (fault === undefined || run === undefined) return undefined
      const passed = skipped.get(run) ?? 0
      if (passed < Number(skip)) {
        skipped.set(run, passed + 1)
        return undefined
      }
      const met = runs.get(run) ?? []
      if (met.length >= Number(times)) return undefined
      const reply = isFaultName(fault) ? faults[fault](meeting) : Promise.resolve(failure(400, `no fault: ${fault}`))
      runs.set(run, [...met, reply])
      return reply
    },
    /** Waits until nothing that met the fault of this run can have any effect any more. */
    over: async (run: string) => {
      await Promise.all(runs.get(run) ?? [])
    },
  }
}
