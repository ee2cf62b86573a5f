import type { Bench } from './library.ts'
import { loadWorker, returnAll, tripsOf } from './load.ts'
import { findPgbench, loadPgbench, type Pgbench, writePatrons, writeScript } from './pgbench.ts'
import { median, table, withSpread } from './table.ts'
import { medianCpu, ratios, takeTurns, type Turn } from './turns.ts'
import type { Worker } from './worker.ts'
import { lending, reads, type Work } from './work.ts'

type Here = Bench & { worker: Worker; directory: string }

type Line = { work: Work; connections: number; worker: Turn[]; pgbench: Turn[] }

/** What a request costs beside the same statements from pgbench. */
export async function compareWithPgbench(bench: Here): Promise<string> {
  const pgbench = await findPgbench()
  if (pgbench === null) {
    return 'pgbench 14 or newer is not on the PATH (Debian: postgresql-contrib), so nothing was compared with it.\n'
  }
  await writePatrons(bench.client, bench.library.patrons)
  const lent = lending(bench.variables)
  const lines: Line[] = []
  for (const work of reads(bench)) lines.push(await compare(bench, pgbench, work, 8))
  for (const connections of [1, 8]) lines.push(await compare(bench, pgbench, lent, connections))
  const trips = new Map<string, string>()
  for (const { work } of lines) trips.set(work.name, await describeTrips(bench, work))
  return [rateTable(lines, trips, pgbench), cpuTable(lines)].join('\n')
}

async function compare(bench: Here, pgbench: Pgbench, work: Work, connections: number): Promise<Line> {
  const { variables, library, client, worker, directory, processes, seconds, note } = bench
  note(`${work.name} beside ${pgbench.name}, ${connections} at a time ...`)
  const patrons = library.patrons.slice(0, connections)
  const [patron] = patrons
  if (patron === undefined) throw new Error('There is no patron.')
  const script = await writeScript({ directory, trips: await work.trips(patron), patron })
  const [served = [], direct = []] = await takeTurns({
    sides: [
      (duration) => loadWorker({ url: worker.url, work, patrons, extent: { duration } }),
      (seconds) =>
        loadPgbench({
          pgbench,
          url: variables.DATABASE_URL,
          scripts: [script],
          directory,
          clients: connections,
          seconds,
        }),
    ],
    seconds,
    processes,
    settle: () => returnAll(client, library.patrons),
  })
  return { work, connections, worker: served, pgbench: direct }
}

async function describeTrips({ endpoint, library, worker }: Here, work: Work): Promise<string> {
  const [patron] = library.patrons
  if (patron === undefined) throw new Error('There is no patron.')
  const statements = (await work.trips(patron)).map((trip) => trip.statements.length)
  const trips = await tripsOf({ endpoint, url: worker.url, work, patron })
  return `${trips} of ${Math.max(...statements)}`
}

const rate = ({ perSecond }: Turn) => perSecond

function rateTable(lines: Line[], trips: Map<string, string>, { name }: Pgbench): string {
  return table(
    ['Work', 'Connections', 'Round trips a request, of statements', 'Worker, a second', name, 'Worker / pgbench'],
    lines.map(({ work, connections, worker, pgbench }) => [
      work.name,
      String(connections),
      trips.get(work.name) ?? '',
      median(worker.map(rate)).toFixed(0),
      median(pgbench.map(rate)).toFixed(0),
      withSpread(ratios(worker, pgbench, rate)),
    ]),
  )
}

/** Where the time goes, with the most connections. */
function cpuTable(lines: Line[]): string {
  return table(
    ['CPU ms each', 'workerd', 'Node (autocannon, endpoint)', 'PostgreSQL'],
    lines
      .filter(({ connections }) => connections === 8)
      .map(({ work, worker }) => {
        const cpu = medianCpu(worker)
        return [work.name, cpu.worker, cpu.node, cpu.postgres]
      }),
  )
}
