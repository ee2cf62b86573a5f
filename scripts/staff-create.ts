import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { readConfig } from '../src/config.ts'
import { openDb } from '../src/db/client.ts'
import { hashPassword } from '../src/features/users/password.ts'
import { listPasswordFaults, PASSWORD_ADVICE, PASSWORD_LENGTH_MIN } from '../src/features/users/password-faults.ts'
import { createUser } from '../src/features/users/queries.ts'
import { NewUser } from '../src/features/users/schema.ts'
import { librarySettings } from './local/library-settings.ts'
import { scriptSettings, secretsFrom } from './local/secrets.ts'
import { ProblemError, problems } from '../src/problem.ts'

/** Makes a member of staff: the first, since only staff can make others staff. There is no default account. */

const usage = `usage: npm run staff:create -- --username NAME --email ADDRESS [--ask]

  Makes a password and prints it once; with --ask it asks for one instead.
  The library is that of DATABASE_URL, PERSONAL_DATA_KEYS and LOOKUP_KEY (and DATABASE_ENDPOINT) of the environment, as the
  Worker has them, or that of \`npm run dev\`, which must be running.`

async function main() {
  const { values } = parseArgs({
    options: { username: { type: 'string' }, email: { type: 'string' }, ask: { type: 'boolean', default: false } },
  })
  const password = values.ask
    ? await ask(`Password (${PASSWORD_LENGTH_MIN} or more characters; it is shown as you type): `)
    : makePassword()
  const parsed = NewUser.safeParse({ username: values.username, email: values.email, password })
  if (!parsed.success) {
    throw new Error(
      `${parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n')}\n\n${usage}`,
    )
  }
  const { username, email } = parsed.data
  const faults = listPasswordFaults({ password, username, email, isBreached: false })
  if (faults.length > 0) {
    throw new Error(`The password ${faults.map(({ detail }) => detail).join(' and ')}. ${PASSWORD_ADVICE}`)
  }

  const config = readConfig({
    ...scriptSettings,
    ...secretsFrom(),
    ...(await librarySettings(usage)),
  })
  const db = openDb({ config, onRoundTrip: () => undefined })
  const passwordHash = await hashPassword(config, password)
  const { id } = await createUser(db, config, { username, email, passwordHash, role: 'staff' })
  console.log(`${username} is a member of staff (${id}).`)
  if (!values.ask) console.log(`Password, shown this once: ${password}`)
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
