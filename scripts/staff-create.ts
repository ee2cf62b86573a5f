import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import { parseArgs, parseEnv } from 'node:util'
import { readConfig } from '../src/config.ts'
import { openDb } from '../src/db/client.ts'
import { findPasswordFault, hashPassword } from '../src/features/users/password.ts'
import { createUser } from '../src/features/users/queries.ts'
import { NewUser } from '../src/features/users/schema.ts'
import { ProblemError, problems } from '../src/problem.ts'

/** Makes a member of staff: the first, since only staff can make others staff. There is no default account. */

const usage = `usage: npm run staff:create -- --username NAME --email ADDRESS [--ask]

  Makes a password and prints it once; with --ask it asks for one instead.
  The database is DATABASE_URL (and DATABASE_ENDPOINT) of the environment, as the Worker has it, or the library of
  \`npm run dev\`, which must be running.`

async function main() {
  const { values } = parseArgs({
    options: { username: { type: 'string' }, email: { type: 'string' }, ask: { type: 'boolean', default: false } },
  })
  const password = values.ask
    ? await ask('Password (12 or more characters; it is shown as you type): ')
    : makePassword()
  const parsed = NewUser.safeParse({ username: values.username, email: values.email, password })
  if (!parsed.success) {
    throw new Error(
      `${parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n')}\n\n${usage}`,
    )
  }
  const { username, email } = parsed.data
  const fault = findPasswordFault(password, [username, email])
  if (fault !== null) throw new Error(`The password ${fault}.`)

  const config = readConfig({
    ENVIRONMENT: 'development',
    PUBLIC_URL: 'http://localhost',
    ACCESS_TOKEN_KEYS: `none:${randomBytes(32).toString('base64url')}`,
    ...(await databaseSettings()),
  })
  const db = openDb({ config, onRoundTrip: () => undefined })
  const passwordHash = await hashPassword(config, password)
  const { id } = await createUser(db, { username, email, passwordHash, role: 'staff' }, null)
  console.log(`${username} is a member of staff (${id}).`)
  if (!values.ask) console.log(`Password, shown this once: ${password}`)
}

async function databaseSettings(): Promise<Record<string, string>> {
  const { DATABASE_URL, DATABASE_ENDPOINT } = process.env
  if (DATABASE_URL !== undefined) {
    return { DATABASE_URL, ...(DATABASE_ENDPOINT !== undefined && { DATABASE_ENDPOINT }) }
  }
  try {
    const settings = parseEnv(await readFile(new URL('../.lectern/dev.vars', import.meta.url), 'utf8'))
    return {
      DATABASE_URL: settings['DATABASE_URL'] ?? '',
      DATABASE_ENDPOINT: settings['DATABASE_ENDPOINT'] ?? '',
    }
  } catch {
    throw new Error(`There is no DATABASE_URL and no local library.\n\n${usage}`)
  }
}

async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return await terminal.question(question)
  } finally {
    terminal.close()
  }
}

/** 120 random bits. */
const makePassword = () => randomBytes(15).toString('base64url')

try {
  await main()
} catch (error) {
  const text = error instanceof ProblemError ? problems[error.problem].slice(1).join('. ') : String(error)
  console.error(text.replace(/^(Config)?Error: /, ''))
  process.exitCode = 1
}
