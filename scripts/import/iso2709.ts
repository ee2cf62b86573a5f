import marc8 from 'marc8'
import { recordOf } from './marc.ts'
import type { DataField, MarcField, MarcRecord } from './marc-record.ts'
import { decodeUtf8, messageOf, type Piece, PIECE_BYTES_MAX, type Read } from './piece.ts'

/** MARC 21 in ISO 2709, read from its bytes: the libraries there are take a string, and answer something for any damage. Here a
 *  record is read only when its directory, its fields and its terminators agree. */

const RECORD_END = 0x1d
const FIELD_END = 0x1e
const SUBFIELD = 0x1f
const LEADER_LENGTH = 24
const ENTRY_LENGTH = 12

export type Encoding = 'utf-8' | 'marc-8'

/** What cannot be read, and why. */
class Damage extends Error {}

/** Every record of a stream, and every piece between that is none. `encoding`: of all of them, whatever their leaders say. */
export async function* readIso2709(
  stream: AsyncIterable<Uint8Array>,
  { encoding }: { encoding?: Encoding | undefined } = {},
): AsyncGenerator<Read> {
  for await (const piece of splitRecords(stream)) yield* readPiece(piece, encoding)
}

/** The pieces that end in a record terminator, which may be many records when terminators are damaged. */
async function* splitRecords(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  for await (const chunk of stream) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    let start = 0
    for (;;) {
      const found = rest.indexOf(RECORD_END, start)
      const end = found !== -1 ? found + 1 : rest.length - start > PIECE_BYTES_MAX ? start + PIECE_BYTES_MAX : null
      if (end === null) break
      yield { offset: offset + start, bytes: Buffer.from(rest.subarray(start, end)) }
      start = end
    }
    offset += start
    rest = rest.subarray(start)
  }
  if (rest.length > 0) yield { offset, bytes: rest }
}

/** What stands between records in files that went through an editor or another system: line ends, NUL, ^Z. */
const isPadding = (byte: number | undefined) =>
  byte === 0x0a || byte === 0x0d || byte === 0x20 || byte === 0x00 || byte === 0x1a

function* readPiece(piece: Piece, encoding: Encoding | undefined): Generator<Read> {
  let padding = 0
  while (isPadding(piece.bytes[padding])) padding++
  const bytes = piece.bytes.subarray(padding)
  const offset = piece.offset + padding
  if (bytes.length === 0) return
  try {
    yield { offset, bytes, ...readRecord(bytes, encoding) }
  } catch (error) {
    const next = nextRecord(bytes, encoding)
    if (next === null) {
      yield { offset, bytes, reason: reasonOf(error) }
      return
    }
    yield { offset, bytes: bytes.subarray(0, next.at), reason: reasonOf(error) }
    yield { offset: offset + next.at, bytes: bytes.subarray(next.at), ...next.read }
  }
}

const reasonOf = (error: unknown) =>
  error instanceof Damage ? error.message : `the record cannot be read: ${messageOf(error)}`

/** A whole record behind one whose own terminator is lost: where a leader gives the length of what is left. */
function nextRecord(bytes: Buffer, encoding: Encoding | undefined) {
  for (let at = 1; at <= bytes.length - LEADER_LENGTH; at++) {
    if (numberAt(bytes, at, 5) !== bytes.length - at) continue
    try {
      return { at, read: readRecord(bytes.subarray(at), encoding) }
    } catch {
      continue
    }
  }
  return null
}

function readRecord(bytes: Buffer, encoding: Encoding | undefined) {
  const { marc, notes } = readMarc(bytes, encoding)
  return { marc, ...recordOf(marc, notes) }
}

/** Digits at a place, or null. */
function numberAt(bytes: Buffer, at: number, length: number): number | null {
  let value = 0
  for (let i = at; i < at + length; i++) {
    const digit = (bytes[i] ?? 0) - 0x30
    if (digit < 0 || digit > 9) return null
    value = value * 10 + digit
  }
  return value
}

/** Throws Damage. */
export function readMarc(bytes: Buffer, encoding?: Encoding): { marc: MarcRecord; notes: string[] } {
  const notes: string[] = []
  if (bytes.at(-1) !== RECORD_END) throw new Damage('the record is cut off: it has no terminator')
  const base = numberAt(bytes, 12, 5)
  if (bytes.length <= LEADER_LENGTH || base === null) throw new Damage('the leader is broken')
  const leader = bytes.toString('latin1', 0, LEADER_LENGTH)
  if (!/^[\x20-\x7e]*$/.test(leader)) throw new Damage('the leader is broken')
  if (numberAt(bytes, 0, 5) !== bytes.length) notes.push('leader: the length that it gives is wrong')
  const isWhole = base > LEADER_LENGTH && base < bytes.length && (base - LEADER_LENGTH - 1) % ENTRY_LENGTH === 0
  if (!isWhole || bytes[base - 1] !== FIELD_END) throw new Damage('the leader or the directory is broken')

  const decode = decoderOf(encoding ?? (leader[9] === 'a' ? 'utf-8' : 'marc-8'))
  const fields: MarcField[] = []
  let covered = 0
  for (let entry = LEADER_LENGTH; entry < base - 1; entry += ENTRY_LENGTH) {
    const tag = bytes.toString('latin1', entry, entry + 3)
    const length = numberAt(bytes, entry + 3, 4)
    const start = numberAt(bytes, entry + 7, 5)
    if (!/^[0-9A-Za-z]{3}$/.test(tag) || length === null || length === 0 || start === null) {
      throw new Damage('the directory is broken')
    }
    const from = base + start
    const to = from + length
    if (to > bytes.length - 1 || bytes[to - 1] !== FIELD_END) {
      throw new Damage(`field ${tag} does not end where the directory says`)
    }
    covered += length
    fields.push(readField(tag, bytes.subarray(from, to - 1), { decode, notes }))
  }
  if (covered !== bytes.length - 1 - base) throw new Damage('the directory does not name all of the record')
  return { marc: { leader, fields }, notes }
}

type Decode = (bytes: Buffer) => string

/** Throws what has no meaning in the encoding. */
function decoderOf(encoding: Encoding): Decode {
  if (encoding === 'utf-8') {
    return (bytes) => {
      try {
        return decodeUtf8(bytes)
      } catch {
        throw new Damage('holds what is not UTF-8')
      }
    }
  }
  return (bytes) => (isAscii(bytes) ? bytes.toString('latin1') : decodeMarc8(bytes))
}

const isAscii = (bytes: Buffer) => bytes.every((byte) => byte < 0x80 && byte !== 0x1b)

/** marc8 knows the tables of the Library of Congress. It throws texts. */
function decodeMarc8(bytes: Buffer): string {
  let text
  try {
    text = marc8(bytes, { expandNCR: false })
  } catch {
    throw new Damage('holds what is not MARC-8')
  }
  return text.normalize('NFC')
}

/** How MARC-8 writes what it has no code for. */
const expandReferences = (text: string) =>
  text.replace(/&#x([0-9a-f]{4,6});/gi, (whole, hex: string) => {
    const point = Number.parseInt(hex, 16)
    return point > 0x10_ffff || (point >= 0xd800 && point <= 0xdfff) ? whole : String.fromCodePoint(point)
  })

function readField(tag: string, bytes: Buffer, { decode, notes }: { decode: Decode; notes: string[] }): MarcField {
  const text = (part: Buffer) => {
    try {
      return expandReferences(decode(part))
    } catch (error) {
      throw error instanceof Damage ? new Damage(`field ${tag} ${error.message}`) : error
    }
  }
  if (bytes.includes(FIELD_END)) throw new Damage(`field ${tag} ends before the directory says`)
  if (tag.startsWith('00')) return { tag, value: text(bytes) }
  const [indicators = Buffer.alloc(0), ...parts] = splitAt(bytes, SUBFIELD)
  if (indicators.length !== 2) throw new Damage(`field ${tag} does not have two indicators`)
  if (!isAscii(indicators)) throw new Damage(`field ${tag} has broken indicators`)
  const [ind1 = ' ', ind2 = ' '] = indicators.toString('latin1')
  const field: DataField = { tag, ind1, ind2, subfields: [] }
  for (const part of parts) {
    if (part.length === 0) {
      notes.push(`${tag}: an empty subfield is left out`)
      continue
    }
    const code = part.toString('latin1', 0, 1)
    if (!/^[\x21-\x7e]$/.test(code)) throw new Damage(`field ${tag} has a subfield without a code`)
    field.subfields.push({ code, value: text(part.subarray(1)) })
  }
  return field
}

function splitAt(bytes: Buffer, separator: number): Buffer[] {
  const parts: Buffer[] = []
  let start = 0
  for (let at = bytes.indexOf(separator); at !== -1; at = bytes.indexOf(separator, start)) {
    parts.push(bytes.subarray(start, at))
    start = at + 1
  }
  return [...parts, bytes.subarray(start)]
}
