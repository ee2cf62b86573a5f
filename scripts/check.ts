import { spawnSync } from 'node:child_process'
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

const failed = checks.filter(([name, command, ...args]) => {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 180_000 })
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name}`)
  if (status !== 0) console.log(`${stdout}${stderr}`)
  return status !== 0
})

await rm(outdir, { recursive: true, force: true })
process.exitCode = failed.length === 0 ? 0 : 1
