import { cpuSoFar, type CpuMs, type Processes } from './processes.ts'
import { median } from './table.ts'

const ROUNDS = 3
const WARM_UP_SECONDS = 1

/** What one side did in one round, with CPU time for each piece of work where there is /proc. */
export type Turn = { perSecond: number; medianMs: number; cpuMs: CpuMs | null }

type Side = (seconds: number) => Promise<{ done: number; perSecond: number; medianMs?: number }>

/** All sides in turn, so that what else the machine does falls on each: a warm-up, then rounds of `seconds`. `settle`
 *  comes after each turn, and undoes what it left behind. Answers the turns of each side, in the order of the sides. */
export async function takeTurns({
  sides,
  seconds,
  processes,
  settle,
}: {
  sides: Side[]
  seconds: number
  processes: Processes
  settle: () => Promise<void>
}): Promise<Turn[][]> {
  const turns: Turn[][] = sides.map(() => [])
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [place, side] of sides.entries()) {
      const before = await cpuSoFar(processes)
      const { perSecond, medianMs = 0, done } = await side(round === 0 ? WARM_UP_SECONDS : seconds)
      const after = await cpuSoFar(processes)
      await settle()
      if (round > 0) turns[place]?.push({ perSecond, medianMs, cpuMs: spent({ before, after, done }) })
    }
  }
  return turns
}

function spent({ before, after, done }: { before: CpuMs | null; after: CpuMs | null; done: number }): CpuMs | null {
  if (before === null || after === null) return null
  return {
    worker: (after.worker - before.worker) / done,
    node: (after.node - before.node) / done,
    postgres: (after.postgres - before.postgres) / done,
  }
}

/** Of each round, how many times as much the first side had as the second. */
export function ratios(a: Turn[], b: Turn[], read: (turn: Turn) => number): number[] {
  return a.map((turn, round) => read(turn) / read(b[round] ?? turn))
}

/** For a table. */
export function medianCpu(turns: Turn[]): Record<keyof CpuMs, string> {
  const known = turns.map(({ cpuMs }) => cpuMs).filter((cpuMs) => cpuMs !== null)
  const of = (name: keyof CpuMs) =>
    known.length === 0 ? 'no /proc' : median(known.map((cpuMs) => cpuMs[name])).toFixed(2)
  return { worker: of('worker'), node: of('node'), postgres: of('postgres') }
}
