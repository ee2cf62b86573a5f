import { createWriteStream, type WriteStream } from 'node:fs'
import { once } from 'node:events'
import { stringify } from 'csv-stringify/sync'
import type { ImportRecord } from '../../src/features/imports/schema.ts'

/** What became of each record, as it becomes known: in JSON for programs, in CSV for spreadsheets. */

export type Line = ImportRecord & { offset: number; title: string }

const columns = ['position', 'offset', 'verdict', 'matchedBy', 'bookId', 'title', 'reason', 'notes'] as const

/** A cell that begins like a formula would be run by a spreadsheet: it gets an apostrophe before it. */
export const csvOf = (rows: unknown[][]) => stringify(rows, { escape_formulas: true })

export class Report {
  readonly #json: WriteStream
  readonly #csv: WriteStream
  #lines = 0

  constructor(name: string) {
    this.#json = createWriteStream(`${name}.json`)
    this.#csv = createWriteStream(`${name}.csv`)
    this.#json.write('{"records":[')
    this.#csv.write(csvOf([[...columns]]))
  }

  async add(lines: Line[]) {
    const json = lines.map((line) => `${this.#lines++ === 0 ? '' : ','}\n${JSON.stringify(line)}`).join('')
    const rows = lines.map((line) =>
      columns.map((column) => (column === 'notes' ? line.notes.join('; ') : line[column])),
    )
    await write(this.#json, json)
    await write(this.#csv, csvOf(rows))
  }

  /** `about`: the import, with its totals. */
  async end(about: object) {
    await write(this.#json, `\n],"import":${JSON.stringify(about)}}\n`)
    await Promise.all([this.#json, this.#csv].map((stream) => new Promise((resolve) => stream.end(resolve))))
  }
}

async function write(stream: WriteStream, text: string) {
  if (!stream.write(text)) await once(stream, 'drain')
}
