import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { migrate } from '../../scripts/local/migrate.ts'
import { freePort, removePostgres, startPostgres } from '../../scripts/local/postgres.ts'
import { makeLifetime } from '../lifetime.ts'
import { table } from '../table.ts'
import { findKnownItems } from './find-known-items.ts'
import { generate, readSeeds } from './generate.ts'
import { readGoodbooks } from './goodbooks.ts'
import { load } from './load.ts'
import { measure } from './measure.ts'
import { compareThroughput } from './throughput.ts'

/** What searches of catalogues of several sizes cost the database, and which books are found by what people type. */

const usage = `usage: node bench/catalogue/run.ts --books-7k FILE.csv [--goodbooks-10k FILE.csv] [--sizes 10000,100000] [--rounds 200] [--seconds 5]

  --books-7k       real books to make others like: columns title, authors (by semicolons), categories, description
  --goodbooks-10k  the books of goodbooks-10k, to find known ones among
  A million books take about half an hour on two cores.`

const { values: options } = parseArgs({
  options: {
    'books-7k': { type: 'string' },
    'goodbooks-10k': { type: 'string' },
    sizes: { type: 'string', default: '10000,100000' },
    rounds: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '5' },
  },
})
const say = (text: string) => console.log(text)
const note = (text: string) => console.error(text)

async function main() {
  const seedsFile = options['books-7k']
  if (seedsFile === undefined || !existsSync(seedsFile)) {
    note(usage)
    process.exitCode = 2
    return
  }
  const life = makeLifetime(note)
  try {
    const directory = await mkdtemp(join(tmpdir(), 'lectern-bench-'))
    await life.add(() => rm(directory, { recursive: true, force: true }))
    const postgres = await startPostgres({
      directory: join(directory, 'postgres'),
      port: await freePort(),
      durable: true,
      // What a server of 8 GB is given.
      settings: { shared_buffers: '2GB' },
    })
    await life.add(() => removePostgres(join(directory, 'postgres')))
    await life.add(() => postgres.stop())
    const makeCatalogue = async (name: string, records: Iterable<object>) => {
      const url = await postgres.createDatabase(name)
      await migrate(url)
      const client = new Client({ connectionString: url })
      await client.connect()
      await client.query('set client_min_messages = warning')
      await load(client, records, note)
      const { rows } = await client.query<{ name: string; size: string }>(`
        select 'rows of what is searched' as name, pg_size_pretty(pg_table_size('book_search')) as size
        union all
        select 'its indexes', pg_size_pretty(pg_indexes_size('book_search'))
        union all
        select 'the vocabulary', pg_size_pretty(pg_total_relation_size('vocabulary'))`)
      await client.end()
      return { url, sizes: rows }
    }

    for (const size of options.sizes.split(',').map(Number)) {
      const seeds = readSeeds(seedsFile)
      const began = Date.now()
      const { url, sizes } = await makeCatalogue(`books_${size}`, generate({ seeds, seed: 1, count: size }))
      say(`\n## ${size} books, made in ${Math.round((Date.now() - began) / 1000)} s\n`)
      const costs = await measure(url, { rounds: Number(options.rounds), seed: 2 })
      say(
        table(
          ['CPU milliseconds', 'p50', 'p99', 'pages of 8 kB', 'round trips'],
          costs.map(({ kind, p50, p99, pages, trips }) => [
            kind,
            p50.toFixed(2),
            p99.toFixed(2),
            pages.toFixed(0),
            String(trips),
          ]),
        ),
      )
      say(
        table(
          ['size', ''],
          sizes.map(({ name, size: bytes }) => [name, bytes]),
        ),
      )
      say(await compareThroughput({ life, url, directory, seconds: Number(options.seconds), note }))
    }

    const goodbooks = options['goodbooks-10k']
    if (goodbooks !== undefined) {
      const { url } = await makeCatalogue('goodbooks', readGoodbooks(goodbooks))
      say(await findKnownItems(url))
    }
  } finally {
    await life.end()
  }
}

await main()
