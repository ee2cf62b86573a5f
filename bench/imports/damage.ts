import { readCsv } from '../../scripts/import/csv.ts'
import { readIso2709 } from '../../scripts/import/iso2709.ts'
import { readJsonLines } from '../../scripts/import/json-lines.ts'
import { readMarcXml } from '../../scripts/import/marcxml.ts'
import type { Read } from '../../scripts/import/piece.ts'

/** Damages a file of records as files get damaged, the same for the same numbers, and says what an import must still read. */

export const formats = ['marc', 'marcxml', 'csv', 'jsonl'] as const
export type Format = (typeof formats)[number]

const readers: Record<Format, (stream: AsyncIterable<Uint8Array>) => AsyncIterable<Read>> = {
  marc: readIso2709,
  marcxml: readMarcXml,
  csv: readCsv,
  jsonl: readJsonLines,
}

/** flipped: bytes are others. cut: the file ends in the middle of a record. lengths: digits of leader and directory are
 *  others. terminators: ends of records and fields are gone. glued: half a file, and behind it the whole of it again. */
export const kinds = ['flipped', 'cut', 'lengths', 'terminators', 'glued'] as const
export type Kind = (typeof kinds)[number]

export async function readAll(format: Format, bytes: Uint8Array, chunk = 65_536): Promise<Read[]> {
  async function* stream() {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk)
  }
  const reads: Read[] = []
  for await (const read of readers[format](stream())) reads.push(read)
  return reads
}

/** What a record says, whatever stands round it. */
export const saidBy = (read: Read) => ('draft' in read ? JSON.stringify([read.draft, read.marc]) : null)

/** The records of the file that the damage has not touched, by their place, once for each time that they are in it. */
export type Damaged = { bytes: Buffer; whole: number[] }

type Span = { offset: number; bytes: Buffer }

/** How many of a hundred records are damaged. */
const SHARE = 5

export function damage({
  format,
  file,
  records,
  kind,
  next,
}: {
  format: Format
  file: Buffer
  records: Span[]
  kind: Kind
  next: () => number
}): Damaged {
  const below = (size: number) => Math.floor(next() * size)
  const all = records.map((_, place) => place)
  if (kind === 'cut' || kind === 'glued') {
    const place = below(records.length)
    const { offset, bytes } = records[place] ?? { offset: 0, bytes: file }
    const head = file.subarray(0, offset + 1 + below(Math.max(1, bytes.length - 2)))
    if (kind === 'cut') return { bytes: head, whole: all.slice(0, place) }
    // The line that the second copy begins with stands behind what is broken.
    return {
      bytes: Buffer.concat([head, file]),
      whole: [...all.slice(0, place), ...all.slice(format === 'jsonl' ? 1 : 0)],
    }
  }
  const touched = new Set<number>()
  const pieces: Buffer[] = [file.subarray(0, records[0]?.offset)]
  for (const [place, { offset, bytes }] of records.entries()) {
    const end = offset + bytes.length
    const isDamaged = below(100) < SHARE || (place === records.length - 1 && touched.size === 0)
    const changed = isDamaged ? damagedRecord(bytes, { kind, below }) : bytes
    pieces.push(changed, file.subarray(end, records[place + 1]?.offset))
    if (!isDamaged) continue
    touched.add(place)
    // A line that does not end has the next one in it.
    const hasEnd = changed.at(-1) === bytes.at(-1)
    if (!hasEnd && (format === 'csv' || format === 'jsonl')) touched.add(place + 1)
  }
  return { bytes: Buffer.concat(pieces), whole: all.filter((place) => !touched.has(place)) }
}

type How = { kind: Kind; below: (size: number) => number }

const ENDS = new Set([0x0a, 0x1d, 0x1e, 0x3e, 0x22])

function damagedRecord(bytes: Buffer, { kind, below }: How): Buffer {
  const copy = Buffer.from(bytes)
  if (kind === 'flipped') {
    for (let times = 0; times < 3; times++) copy[below(copy.length)] = below(256)
    return copy
  }
  if (kind === 'lengths') {
    const places = [...copy.keys()].filter((place) => place < 240 && isDigit(copy[place]))
    for (let times = 0; times < 3; times++) {
      const place = places[below(places.length)]
      if (place !== undefined) copy[place] = 0x30 + below(10)
    }
    return copy
  }
  const ends = [...copy.keys()].filter((place) => ENDS.has(copy[place] ?? 0))
  const gone = new Set([copy.length - 1, ...Array.from({ length: 2 }, () => ends[below(ends.length)])])
  return Buffer.from(copy.filter((_, place) => !gone.has(place)))
}

const isDigit = (byte: number | undefined) => byte !== undefined && byte >= 0x30 && byte <= 0x39

/** What was read of a damaged file against what was whole in it: how many of those have not arrived, and the bytes, but for what
 *  may stand between records, that are in no record that was read or refused. */
export function judge({ damaged, original, reads }: { damaged: Damaged; original: Read[]; reads: Read[] }): {
  lost: number
  unheard: number
  refused: number
} {
  const left = new Map<string, number>()
  for (const said of reads.map(saidBy)) if (said !== null) left.set(said, (left.get(said) ?? 0) + 1)
  let lost = 0
  for (const place of damaged.whole) {
    const read = original[place]
    const said = read === undefined ? null : saidBy(read)
    const there = said === null ? 1 : (left.get(said) ?? 0)
    if (there === 0) lost += 1
    else if (said !== null) left.set(said, there - 1)
  }
  let unheard = 0
  let end = 0
  for (const { offset, bytes } of [...reads, { offset: damaged.bytes.length, bytes: Buffer.alloc(0) }]) {
    unheard += damaged.bytes.subarray(end, offset).filter((byte) => ![0, 10, 13, 26, 32].includes(byte)).length
    end = offset + bytes.length
  }
  return { lost, unheard, refused: reads.filter((read) => 'reason' in read).length }
}
