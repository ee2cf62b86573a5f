import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { z } from 'zod'

/** Runs the checks that choose by chance at many times the size that `npm test` has. Those of faults and of hostile input try
 *  everything then, where `npm test` tries another part of it each time. */

const checks = ['model', 'concurrency', 'faults', 'hostile', 'session-races', 'own-data'] as const

const usage = `usage: npm run prove -- [CHECK] [--times N] [--seed N]

  CHECK is one of ${checks.join(', ')}; all, if none is named. --times: so many times the usual size, 1 to 1000; 10 if nothing is said. The usual size of the
  model is about 2,600 steps: --times 400 makes a million of them, in some hours. --seed: begins where a run that failed
  began.`

const Options = z.object({
  check: z.enum(checks).optional(),
  times: z.coerce.number().int().min(1).max(1000).default(10),
  seed: z.coerce.number().int().min(0).optional(),
})

function optionsOf() {
  try {
    const { values, positionals } = parseArgs({
      options: { times: { type: 'string' }, seed: { type: 'string' } },
      allowPositionals: true,
    })
    if (positionals.length > 1) return null
    return Options.safeParse({ check: positionals[0], ...values }).data ?? null
  } catch {
    return null
  }
}

const options = optionsOf()
if (options === null) {
  console.error(usage)
  process.exitCode = 2
} else {
  const { check, times, seed } = options
  const files = (check === undefined ? checks : [check]).map((name) => `test/${name}.test.ts`)
  const env = { ...process.env, VITE_PROVE: String(times), ...(seed !== undefined && { VITE_SEED: String(seed) }) }
  // One file after the other: each has the machine for itself.
  const { status } = spawnSync('vitest', ['run', '--no-file-parallelism', ...files], { env, stdio: 'inherit' })
  process.exitCode = status ?? 1
}
