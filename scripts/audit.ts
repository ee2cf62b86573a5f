import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

/** Every check that this project can make of itself, and a report of what ran and what came of it in .lectern/audit.md.
 *  Fails when a step failed. A step that cannot run here says why, and fails nothing. */

const RESULTS = '.lectern/test-results.json'
const REPORT = '.lectern/audit.md'
const SBOM = '.lectern/sbom.json'

type Outcome = 'passed' | 'failed' | 'could not run'
type Step = { name: string; command: string; outcome: Outcome; seconds: number; note: string; output: string }

type Run = { status: number | null; output: string }

function run(command: string, minutes = 5): Run {
  const { status, stdout, stderr } = spawnSync(command, {
    shell: true,
    encoding: 'utf8',
    timeout: minutes * 60_000,
    maxBuffer: 256 * 1024 * 1024,
  })
  // oxlint-disable-next-line no-control-regex -- colours
  return { status, output: `${stdout}${stderr}`.replace(/\u001b\[[0-9;]*m/g, '') }
}

const lastLine = ({ output }: Run) => output.trimEnd().split('\n').at(-1) ?? ''

const byStatus = (done: Run): { outcome: Outcome; note: string } => ({
  outcome: done.status === 0 ? 'passed' : 'failed',
  note: lastLine(done).slice(0, 200),
})

const steps: Step[] = []

function step(name: string, command: string, judge: (done: Run) => { outcome: Outcome; note: string } = byStatus) {
  const startedAt = Date.now()
  const done = run(command, 30)
  const { outcome, note } = judge(done)
  const seconds = Math.round((Date.now() - startedAt) / 1000)
  steps.push({ name, command, outcome, note, seconds, output: done.output })
  console.log(`${outcome.padEnd(14)}${name} (${seconds} s): ${note}`)
}

function skip(name: string, command: string, note: string) {
  steps.push({ name, command, outcome: 'could not run', note, seconds: 0, output: '' })
  console.log(`could not run ${name}: ${note}`)
}

const Results = z.object({
  numTotalTests: z.number(),
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
})

function judgeTests(done: Run): { outcome: Outcome; note: string } {
  if (!existsSync(RESULTS)) return { outcome: 'failed', note: 'left no results behind' }
  const { numTotalTests, numPassedTests, numFailedTests, numPendingTests, numTodoTests } = Results.parse(
    JSON.parse(readFileSync(RESULTS, 'utf8')),
  )
  const left = numPendingTests + numTodoTests
  return {
    outcome: done.status === 0 && numPassedTests > 0 ? 'passed' : 'failed',
    note: `${numTotalTests} tests: ${numPassedTests} passed, ${numFailedTests} failed, ${left} did not run`,
  }
}

const Advisories = z.object({ metadata: z.object({ vulnerabilities: z.record(z.string(), z.number()) }) })

/** Fails on an advisory of a dependency that is deployed. A registry that does not answer this is not a fault of ours. */
function judgeAdvisories({ output }: Run): { outcome: Outcome; note: string } {
  const json = output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)
  try {
    const { vulnerabilities } = Advisories.parse(JSON.parse(json)).metadata
    const { total = 0 } = vulnerabilities
    return { outcome: total === 0 ? 'passed' : 'failed', note: `${total} advisories for what is deployed` }
  } catch {
    const reason = /\b(40[0-9]|5[0-9][0-9]) [A-Z][^-\n"]*|E[A-Z]{4,}/.exec(output)?.[0]?.trim() ?? 'no answer'
    return { outcome: 'could not run', note: `the registry does not answer questions about advisories: ${reason}` }
  }
}

mkdirSync('.lectern', { recursive: true })
rmSync(RESULTS, { force: true })

const reporters = `--reporter=default --reporter=json --outputFile=${RESULTS}`
step('tests', `npm test -- --silent=true ${reporters}`, judgeTests)
step('format, lint, types, migrations, OpenAPI, versions, secrets, bundle', 'npm run --silent check')
if (existsSync(RESULTS)) {
  step('requirements and threats', `npm run --silent check:security -- --results ${RESULTS}`)
} else {
  step('requirements and threats, by their names alone', 'npm run --silent check:security')
}
if (run('git rev-parse --is-shallow-repository').output.trim() === 'false') {
  step('secrets in the history', 'node scripts/find-secrets.ts --history')
} else skip('secrets in the history', 'node scripts/find-secrets.ts --history', 'there is no whole history here')
step('advisories', 'npm audit --omit=dev --json', judgeAdvisories)
step('bill of materials', `npm sbom --sbom-format=cyclonedx --omit=dev > ${SBOM}`, (done) => ({
  outcome: done.status === 0 ? 'passed' : 'failed',
  note: done.status === 0 ? SBOM : lastLine(done),
}))
const securityTxt = 'scripts/check-security-txt.ts'
if (existsSync(securityTxt)) step('expiry of security.txt', `node ${securityTxt}`)
else skip('expiry of security.txt', `node ${securityTxt}`, 'this library publishes no security.txt')

// The report

const version = (name: string) =>
  z.object({ version: z.string() }).parse(JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'))).version

const named = ['hono', 'zod', 'drizzle-orm', '@neondatabase/serverless', '@noble/hashes', 'wrangler', 'vitest']
const commit = run('git rev-parse HEAD').output.trim()
const isClean = run('git status --porcelain').output.trim() === ''
const failed = steps.filter(({ outcome }) => outcome === 'failed')
const count = (outcome: Outcome) => steps.filter((each) => each.outcome === outcome).length

const cell = (text: string) => text.replaceAll('|', '\\|')
const report = `# Audit of ${new Date().toISOString()}

Commit ${commit}${isClean ? '' : ', with changes that are not committed'}. ${count('passed')} steps passed, ${count('failed')} failed, ${count('could not run')} could not run.

| step | command | outcome | seconds | |
| --- | --- | --- | --- | --- |
${steps.map(({ name, command, outcome, seconds, note }) => `| ${name} | \`${cell(command)}\` | ${outcome} | ${seconds} | ${cell(note)} |`).join('\n')}

Node ${process.version}, ${named.map((name) => `${name} ${version(name)}`).join(', ')}.

## What the requirements came to

\`\`\`
${steps.find(({ name }) => name.startsWith('requirements'))?.output.trim()}
\`\`\`
${failed
  .map(
    ({ name, output }) =>
      `\n## Failed: ${name}\n\n\`\`\`\n${output.trim().split('\n').slice(-200).join('\n')}\n\`\`\`\n`,
  )
  .join('')}`
writeFileSync(REPORT, report)
console.log(`${count('passed')} passed, ${count('failed')} failed, ${count('could not run')} could not run: ${REPORT}`)
process.exitCode = failed.length === 0 ? 0 : 1
