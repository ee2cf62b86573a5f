import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../scripts/local/migrate.ts'
import { startNeonEndpoint } from '../../scripts/local/neon-endpoint.ts'
import { freePort, startPostgres } from '../../scripts/local/postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    databaseUrl: string
    databaseEndpoint: string
  }
}

/** A PostgreSQL and a Neon endpoint of this run's own. */
export default async function setup(project: TestProject) {
  const directory = await mkdtemp(join(tmpdir(), 'lectern-test-'))
  const postgres = await startPostgres({
    directory: join(directory, 'postgres'),
    port: await freePort(),
    durable: false,
  })
  const databaseUrl = await postgres.createDatabase('lectern')
  await migrate(databaseUrl)
  const endpoint = await startNeonEndpoint({ port: 0 })
  project.provide('databaseUrl', databaseUrl)
  project.provide('databaseEndpoint', endpoint.url)
  return async () => {
    await endpoint.stop()
    await postgres.stop()
    await rm(directory, { recursive: true, force: true })
  }
}
