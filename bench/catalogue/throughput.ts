import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { z } from 'zod'
import { startNeonEndpoint } from '../../scripts/local/neon-endpoint.ts'
import { freePort } from '../../scripts/local/postgres.ts'
import { listBooks } from '../../src/features/books/search.ts'
import { BookQuery } from '../../src/features/books/schema.ts'
import { type Patron, variablesFor } from '../library.ts'
import type { Lifetime } from '../lifetime.ts'
import { loadWorker } from '../load.ts'
import { findPgbench, loadPgbench, plainScript } from '../pgbench.ts'
import { type CpuMs, parentOf } from '../processes.ts'
import { median, table, withSpread } from '../table.ts'
import { medianCpu, ratios, takeTurns, type Turn } from '../turns.ts'
import { bundleWorker, startWorker } from '../worker.ts'
import { recorded, type Served } from '../work.ts'
import type { PeerOptions } from './fastify-peer.ts'

/** Requests a second of the Worker on a bare workerd, of a plain Fastify with the same statements, and of pgbench with them and
 *  nothing before it, in turn. Nobody keeps an answer at the edge. */

const CONNECTIONS = 8

type Asked = { query: string; params: unknown[] }

export async function compareThroughput({
  life,
  url,
  directory,
  seconds,
  note,
}: {
  life: Lifetime
  url: string
  directory: string
  seconds: number
  note: (text: string) => void
}): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await life.add(() => client.end())
  const endpoint = await startNeonEndpoint({ port: 0 })
  await life.add(endpoint.stop)
  const variables = await variablesFor({ ownerUrl: url, endpoint })
  const { rows: words } = await client.query<{ word: string }>(
    'select word from vocabulary where length(word) >= 3 order by books desc limit 40',
  )
  const statementOf = async (query: object): Promise<Asked> => {
    const [trip] = await recorded(variables, (db) => listBooks(db, BookQuery.parse(query)))
    const [statement] = trip?.statements ?? []
    if (statement === undefined) throw new Error('A search has asked nothing.')
    return statement
  }
  const list = await statementOf({})
  const searches: Record<string, Asked> = {}
  for (const { word } of words) searches[word] = await statementOf({ q: word })

  const port = await freePort()
  await startPeer({ databaseUrl: variables.DATABASE_URL, port, connections: CONNECTIONS, list, searches }, life)
  const bundle = await bundleWorker({ directory: join(directory, 'lectern'), signal: AbortSignal.timeout(60_000) })
  const worker = await startWorker({
    bundle,
    port: await freePort(),
    variables: { ...variables, EDGE_CACHE: 'off' },
    cachePort: null,
  })
  await life.add(worker.stop)
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const processes = { workerPids: [worker.pid], postmasterPid: await parentOf(rows[0]?.pid ?? 0) }
  const pgbench = await findPgbench()

  const lines: string[][] = []
  const cpu: string[][] = []
  for (const [name, work, statements] of [
    ['list of 20', servedOf('list', ['/v1/books']), [list]],
    [
      `search, one of the ${words.length} commonest words`,
      servedOf(
        'search',
        words.map(({ word }) => `/v1/books?q=${encodeURIComponent(word)}`),
      ),
      Object.values(searches),
    ],
  ] as const) {
    note(`${name} ...`)
    const scripts = await Promise.all(
      statements.map(async (statement, place) => {
        const script = join(directory, `read-${place}.sql`)
        await writeFile(script, plainScript(statement))
        return script
      }),
    )
    const many = statements.length
    const sides = [
      (duration: number) => loadWorker({ url: worker.url, work, patrons, extent: { duration } }),
      (duration: number) => loadWorker({ url: `http://127.0.0.1:${port}`, work, patrons, extent: { duration } }),
      ...(pgbench === null
        ? []
        : [
            async (seconds: number) => {
              const { done, perSecond } = await loadPgbench({
                pgbench,
                url: variables.DATABASE_URL,
                scripts,
                directory,
                clients: CONNECTIONS,
                seconds,
              })
              return { done: done / many, perSecond: perSecond / many }
            },
          ]),
    ]
    const [ours = [], fastify = [], direct] = await takeTurns({
      sides,
      seconds,
      processes,
      settle: () => Promise.resolve(),
    })
    const rate = ({ perSecond }: Turn) => perSecond * many
    const each = medianCpu(
      ours.map((turn) => ({ ...turn, cpuMs: turn.cpuMs && mapCpu(turn.cpuMs, (ms) => ms / many) })),
    )
    cpu.push([name, each.worker, each.node, each.postgres])
    const rateOf = (turns: Turn[]) => median(turns.map(rate)).toFixed(0)
    lines.push([
      name,
      rateOf(ours),
      rateOf(fastify),
      withSpread(ratios(ours, fastify, rate)),
      ...(direct === undefined ? ['no pgbench', ''] : [rateOf(direct), withSpread(ratios(ours, direct, rate))]),
    ])
  }
  return [
    table(
      [
        'Requests a second',
        'Worker',
        'Fastify with pg',
        'Worker / Fastify',
        pgbench?.name ?? 'pgbench',
        'Worker / pgbench',
      ],
      lines,
    ),
    table(['CPU ms each', 'workerd', 'Node (autocannon, endpoint)', 'PostgreSQL'], cpu),
  ].join('\n')
}

const mapCpu = ({ worker, node, postgres }: CpuMs, map: (ms: number) => number): CpuMs => ({
  worker: map(worker),
  node: map(node),
  postgres: map(postgres),
})

/** Reads ask for nobody: so many connections, that is all. */
const patrons = Array.from({ length: CONNECTIONS }, (): Patron => ({ userId: '', sessionId: '', bookId: '' }))

const servedOf = (name: string, paths: string[]): Served => ({
  name,
  statuses: paths.map(() => 200),
  requests: () => Promise.resolve(paths.map((path) => ({ method: 'GET', path }))),
})

async function startPeer(options: z.input<typeof PeerOptions>, life: Lifetime) {
  const peer = spawn(process.execPath, [join(import.meta.dirname, 'fastify-peer.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await life.add(() => Promise.resolve(void peer.kill()))
  peer.stdin.end(JSON.stringify(options))
  await Promise.race([
    once(peer.stdout, 'data'),
    once(peer, 'exit').then(() => {
      throw new Error('Fastify did not start.')
    }),
  ])
}
