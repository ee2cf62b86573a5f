import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

const key = () => randomBytes(32).toString('base64url')

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
                ACCESS_TOKEN_KEYS: `now:${key()},before:${key()}`,
                PASSWORD_SCRYPT_LN: '4',
              },
            },
          })),
        ],
        test: {
          name: 'worker',
          include: ['test/*.test.ts'],
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
