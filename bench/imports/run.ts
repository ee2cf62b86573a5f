import { once } from 'node:events'
import { createWriteStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { generate, readSeeds } from '../catalogue/generate.ts'
import { makeLifetime } from '../lifetime.ts'
import { measureBeside } from './beside.ts'
import { tryFiles } from './files.ts'
import { startBench } from './library.ts'
import { measureRate } from './rate.ts'

/** What `npm run import` does with many records, beside readers, and with real files. */

const usage = `usage: node bench/imports/run.ts [--books-7k FILE.csv] [--sizes 1000,10000] [--beside 20000] [FILE ...]

  --books-7k  real books to make others like: columns title, authors (by semicolons), categories, description
  --sizes     how fast so many are imported; with --books-7k
  --beside    so many are imported while eight readers read and two patrons borrow; 0 for none; with --books-7k
  FILE        .mrc, .xml, .csv or .jsonl: imported, exported, imported again, and damaged`

const { values: options, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    'books-7k': { type: 'string' },
    sizes: { type: 'string', default: '1000,10000' },
    beside: { type: 'string', default: '20000' },
  },
})
/** Books that are there before. */
const THERE = 2_000
const SECONDS_ALONE = 15

const say = (text: string) => console.log(text)
const note = (text: string) => console.error(text)

async function main() {
  const seedsFile = options['books-7k']
  if ((seedsFile === undefined && files.length === 0) || (seedsFile !== undefined && !existsSync(seedsFile))) {
    note(usage)
    process.exitCode = 2
    return
  }
  const life = makeLifetime(note)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void life.end().then(() => process.exit(1)))
  }
  try {
    const bench = await startBench(life)
    let isGood = true
    if (seedsFile !== undefined) {
      const seeds = readSeeds(seedsFile)
      const make = async (size: number, seed: number) => {
        const file = join(bench.directory, `${size}-${seed}.jsonl`)
        const stream = createWriteStream(file)
        for (const record of generate({ seeds, seed, count: size })) {
          if (!stream.write(`${JSON.stringify(record)}\n`)) await once(stream, 'drain')
        }
        await new Promise((done) => stream.end(done))
        return file
      }
      const made: { size: number; file: string }[] = []
      for (const size of options.sizes.split(',').map(Number).filter(Boolean)) {
        made.push({ size, file: await make(size, 1) })
      }
      if (made.length > 0) await measureRate(bench, { files: made, say })
      const beside = Number(options.beside)
      if (beside > 0) {
        const library = await bench.makeLibrary('beside')
        const both = { first: await make(THERE, 2), beside: await make(beside, 3) }
        isGood = await measureBeside(library, { files: both, seconds: SECONDS_ALONE, say })
        await library.close()
      }
    }
    if (files.length > 0) isGood = (await tryFiles(bench, files, say)) && isGood
    process.exitCode = isGood ? 0 : 1
  } finally {
    await life.end()
  }
}

await main()
