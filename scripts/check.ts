import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Every check but the tests. Runs them all, and fails when one did. */

const outdir = await mkdtemp(join(tmpdir(), 'lectern-bundle-'))

const checks: [name: string, command: string, ...args: string[]][] = [
  ['format', 'oxfmt', '--check'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['types of the Worker', 'tsc', '-p', 'tsconfig.json'],
  ['types of the scripts', 'tsc', '-p', 'tsconfig.node.json'],
  ['bindings', 'wrangler', 'types', '--check'],
  ['migrations', 'node', 'scripts/check-migrations.ts'],
  ['OpenAPI', 'node', 'scripts/check-openapi.ts'],
  ['security.txt', 'node', 'scripts/check-security-txt.ts'],
  ['guidance', 'node', 'scripts/write-guidance.ts', '--check'],
  ['versions', 'node', 'scripts/check-versions.ts'],
  ['secrets', 'node', 'scripts/find-secrets.ts'],
  ['bundle', 'wrangler', 'deploy', '--dry-run', '--outdir', outdir],
]

type Result = { name: string; isGood: boolean; output: string }

const run = ([name, command, ...args]: (typeof checks)[number]) =>
  new Promise<Result>((resolve) => {
    execFile(command, args, { timeout: 540_000, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      resolve({ name, isGood: error === null, output: `${stdout}${stderr}` }),
    )
  })

/** Two at a time: most of them use one core. */
const results: Result[] = []
const waiting = checks.entries()
async function takeTheNext(): Promise<void> {
  for (const [place, check] of waiting) results[place] = await run(check)
}
await Promise.all([takeTheNext(), takeTheNext()])

for (const { name, isGood, output } of results) {
  console.log(`${isGood ? 'ok    ' : 'FAILED'} ${name}`)
  if (!isGood) console.log(output)
}

await rm(outdir, { recursive: true, force: true })
process.exitCode = results.every(({ isGood }) => isGood) ? 0 : 1
