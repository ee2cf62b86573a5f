import { setTimeout as delay } from 'node:timers/promises'
import type { Faults } from '../scripts/local/neon-endpoint.ts'

/** `faults` is for the Neon endpoint. */
export type Distance = { set: (ms: number) => void; faults: Faults }

/** Holds every answer back as long as it would have been under way, there and back. The connection to PostgreSQL is free
 *  meanwhile, as it is when the distance is between the Worker and Neon. */
export function makeDistance(): Distance {
  let roundTripMs = 0
  return {
    set: (ms) => {
      roundTripMs = ms
    },
    faults: {
      meet: (_request, { run }) => {
        if (roundTripMs === 0) return undefined
        return run().then((answer) => delay(roundTripMs, answer))
      },
    },
  }
}
