import { cpuSoFar, peakMemoryMiB } from '../processes.ts'
import { table } from '../table.ts'
import { type Bench, importFile, type Library } from './library.ts'

/** How fast a file of records is imported into an empty library, and again, and what memory and CPU time it takes. */
export async function measureRate(
  bench: Bench,
  { files, say }: { files: { size: number; file: string }[]; say: (text: string) => void },
) {
  const rows: string[][] = []
  for (const { size, file } of files) {
    const library = await bench.makeLibrary(`rate${size}`)
    const processes = { workerPids: [library.workerPid], postmasterPid: library.postmasterPid }
    for (const run of ['new', 'again']) {
      const before = await cpuSoFar(processes)
      const { output, peakMiB } = await importFile(library, [file, '--report', `${file}-report`])
      const after = await cpuSoFar(processes)
      const cpu = (name: 'worker' | 'node' | 'postgres') =>
        before === null || after === null ? 'no /proc' : ((after[name] - before[name]) / size).toFixed(2)
      rows.push([
        `${size.toLocaleString('en')} ${run}`,
        /\((\d+) a second\)/.exec(output)?.[1] ?? '',
        ...['postgres' as const, 'worker' as const, 'node' as const].map(cpu),
        peakMiB?.toFixed(0) ?? '',
        (await peakMemoryMiB(library.workerPid))?.toFixed(0) ?? '',
        (await backendPeakMiB(library)).toFixed(0),
      ])
    }
    await library.close()
  }
  say(
    table(
      [
        ...['Records', 'a second', 'PostgreSQL, ms a record', 'workerd, ms', 'endpoint, ms'],
        ...['peak of the script, MiB', 'of workerd', 'of a PostgreSQL backend'],
      ],
      rows,
    ),
  )
}

/** Of those that are there now, with what they have touched of the shared buffers. */
async function backendPeakMiB({ client }: Library): Promise<number> {
  const { rows } = await client.query<{ pid: number }>(
    'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  const peaks = await Promise.all(rows.map(({ pid }) => peakMemoryMiB(pid).catch(() => null)))
  return Math.max(0, ...peaks.map((peak) => peak ?? 0))
}
