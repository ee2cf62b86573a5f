import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { guidance } from '../src/features/auth/guidance.ts'

/** Makes docs/guidance.md from what GET /v1/security/guidance answers; with --check it only compares. */

const file = new URL('../docs/guidance.md', import.meta.url)

const topics = guidance.map(({ title, advice }) => `## ${title}\n\n${advice.map((text) => `- ${text}\n`).join('')}`)
const text = `# Keeping your account

For patrons and staff. The library's software answers the same text at \`GET /v1/security/guidance\`, so that apps and
web pages can show it; this page is made from it with \`npm run guidance\`.

${topics.join('\n')}`

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
if (!values.check) {
  await writeFile(file, text)
} else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
  console.error('docs/guidance.md is not what src/features/auth/guidance.ts says: npm run guidance')
  process.exitCode = 1
}
