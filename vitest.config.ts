import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const key = () => randomBytes(32).toString('base64url')

/** The same for every file: they share a database. */
const secrets = {
  ACCESS_TOKEN_KEYS: `now:${key()},before:${key()}`,
  PERSONAL_DATA_KEYS: `now:${key()},before:${key()}`,
  LOOKUP_KEY: key(),
  MAIL_HTTP_KEY: key(),
}

/** In the runtime of one file others may follow. These have one of their own: they crowd it, count what it does, or look at
 *  what it remembers of the database. */
const apart = [
  ...['attempts', 'breaker', 'concurrency', 'crash', 'faults', 'mail', 'password-work', 'passwords', 'sessions'],
].map((name) => `test/${name}.test.ts`)

/** In turn: the longest first, so that others fill the time beside it; beside it what stands still as often as it computes; then
 *  the other one that crowds the machine; then the rest, as Vitest would have them. */
const turns = [/\/concurrency\.test\.ts$/, /\/local\//, /\/crash\.test\.ts$/, /./]

class InTurn extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not an array's
    const sorted = await super.sort(files)
    const turnOf = ({ moduleId }: TestSpecification) => turns.findIndex((turn) => turn.test(moduleId))
    return sorted.toSorted((a, b) => turnOf(a) - turnOf(b))
  }
}

/** They take minutes each: `npm run prove` runs them, and sets this. */
const long = ['test/hostile.test.ts', 'test/session-races.test.ts']
const leftOut = process.env['VITE_PROVE'] === undefined ? long : []

/** The Worker, in workerd, through the real driver, on a real PostgreSQL. */
const workerProject = (
  name: string,
  { isolate, ...files }: { isolate: boolean; include: string[]; exclude: string[] },
) => ({
  plugins: [
    cloudflareTest(({ inject }) => ({
      wrangler: { configPath: './wrangler.toml' },
      miniflare: {
        bindings: {
          ENVIRONMENT: 'test',
          PUBLIC_URL: 'http://library.test',
          CORS_ORIGINS: 'https://app.library.test',
          DATABASE_URL: inject('databaseUrl'),
          OWNER_DATABASE_URL: inject('ownerDatabaseUrl'),
          DATABASE_ENDPOINT: inject('databaseEndpoint'),
          LABORATORY: inject('laboratory'),
          ...secrets,
          MAILER: 'http',
          MAIL_FROM: 'library@library.test',
          MAIL_HTTP_URL: inject('mailbox'),
          PASSWORD_SCRYPT_LN: '4',
          SECURITY_CONTACT: 'mailto:security@library.test',
          SECURITY_EXPIRES: '2099-01-01T00:00:00Z',
          BREACHED_PASSWORDS: '',
          // Off but where it is what is tested: tests change the time, and the database itself.
          EDGE_CACHE: 'off',
          RANGE_API: inject('rangeApi'),
        },
      },
    })),
  ],
  test: {
    name,
    isolate,
    ...files,
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/quiet.ts'],
    testTimeout: 30_000,
  },
})

export default defineConfig({
  test: {
    // Much of a test is waiting, so two files at a time even on two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: InTurn },
    projects: [
      workerProject('worker', { isolate: false, include: ['test/*.test.ts'], exclude: [...apart, ...long] }),
      workerProject('worker apart', { isolate: true, include: [...apart, ...long], exclude: leftOut }),
      {
        // What stands in for Neon on a developer's machine, in Node.
        test: { name: 'local', include: ['test/local/*.test.ts'], testTimeout: 30_000, hookTimeout: 60_000 },
      },
    ],
  },
})
