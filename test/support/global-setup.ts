import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../scripts/local/migrate.ts'
import { startNeonEndpoint } from '../../scripts/local/neon-endpoint.ts'
import { freePort, startPostgres } from '../../scripts/local/postgres.ts'
import { admitWorker } from '../../scripts/local/worker-role.ts'
import { newFaults } from '../local/faults.ts'
import { startMailbox } from '../local/mailbox.ts'
import { startLaboratory } from '../local/laboratory.ts'
import { startRangeApi } from '../local/range-api.ts'

declare module 'vitest' {
  interface ProvidedContext {
    databaseUrl: string
    ownerDatabaseUrl: string
    databaseEndpoint: string
    laboratory: string
    mailbox: string
    rangeApi: string
  }
}

/** The database that all others are copies of: nobody connects to it. */
const template = 'migrated'

/** A PostgreSQL, a Neon endpoint and a laboratory of this run's own. */
export default async function setup(project: TestProject) {
  const directory = await mkdtemp(join(tmpdir(), 'lectern-test-'))
  const postgres = await startPostgres({
    directory: join(directory, 'postgres'),
    port: await freePort(),
    durable: false,
  })
  const templateUrl = await postgres.createDatabase(template)
  await migrate(templateUrl)
  const asWorker = await admitWorker(templateUrl)
  const ownerDatabaseUrl = await postgres.createDatabase('lectern', { template })
  const faults = newFaults()
  const endpoint = await startNeonEndpoint({ port: 0, faults })
  const laboratory = await startLaboratory({
    postgres,
    asWorker,
    faults,
    template,
    directory: join(directory, 'servers'),
  })
  project.provide('databaseUrl', asWorker(ownerDatabaseUrl))
  project.provide('ownerDatabaseUrl', ownerDatabaseUrl)
  project.provide('databaseEndpoint', endpoint.url)
  const mailbox = await startMailbox()
  project.provide('laboratory', laboratory.url)
  project.provide('mailbox', mailbox.url)
  const rangeApi = await startRangeApi()
  project.provide('rangeApi', rangeApi.url)
  return async () => {
    await rangeApi.stop()
    await laboratory.stop()
    await mailbox.stop()
    await endpoint.stop()
    await postgres.stop()
    await rm(directory, { recursive: true, force: true })
  }
}
