import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

const key = () => randomBytes(32).toString('base64url')

/** The same for every file: they share a database. */
const secrets = {
  ACCESS_TOKEN_KEYS: `now:${key()},before:${key()}`,
  PERSONAL_DATA_KEYS: `now:${key()},before:${key()}`,
  LOOKUP_KEY: key(),
  MAIL_HTTP_KEY: key(),
}

export default defineConfig({
  test: {
    // Much of a test is waiting, so two files at a time even on two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        // The Worker, in workerd, through the real driver, on a real PostgreSQL.
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
                RANGE_API: inject('rangeApi'),
              },
            },
          })),
        ],
        test: {
          name: 'worker',
          include: ['test/*.test.ts'],
          // They take minutes each: `npm run prove` runs them, and sets this.
          exclude:
            process.env['VITE_PROVE'] === undefined ? ['test/hostile.test.ts', 'test/session-races.test.ts'] : [],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 30_000,
        },
      },
      {
        // What stands in for Neon on a developer's machine, in Node.
        test: { name: 'local', include: ['test/local/*.test.ts'], testTimeout: 30_000, hookTimeout: 60_000 },
      },
    ],
  },
})
