import type { Writer } from './formats.ts'
import { asField, dataField } from './marc.ts'
import { exportedMarc } from './marc-export.ts'
import type { MarcField, MarcRecord } from './schema.ts'

const SUBFIELD = '\u001f'
const FIELD = '\u001e'
const RECORD = '\u001d'

/** Lengths have five digits in the leader and four in the directory. */
const RECORD_BYTES_MAX = 99_999
const FIELD_BYTES_MAX = 9_999

const LEADER_BYTES = 24
const ENTRY_BYTES = 12

const bytesIn = (text: string) => new TextEncoder().encode(text).length

type Part = { tag: string; text: string; bytes: number }

function partOf(field: MarcField): Part[] {
  return Object.entries(field).map(([tag, content]) => {
    const text = `${typeof content === 'string' ? cleared(content) : dataOf(content)}${FIELD}`
    return { tag, text, bytes: bytesIn(text) }
  })
}

/** Blanks are data in a fixed field, and in a shelf mark: they stay. */
const cleared = (text: string) => text.toWellFormed().replaceAll(/[\p{Cc}]/gu, ' ')

/** One byte a character: what else stands there cannot be told from the start of a subfield. */
const ascii = (character: string) => (/^[\u0020-\u007e]$/.test(character) ? character : ' ')

const dataOf = ({ ind1, ind2, subfields }: Exclude<MarcField[string], string>) =>
  `${ascii(ind1)}${ascii(ind2)}${subfields
    .flatMap((subfield) => Object.entries(subfield))
    .map(([code, text]) => `${SUBFIELD}${ascii(code)}${cleared(text)}`)
    .join('')}`

const entryBytes = ({ bytes }: Part) => bytes + ENTRY_BYTES

/** What is given up first where a record does not fit: the last of these, and what is in none of them before all. */
const order = ['00', '245', '020', '100', '110', '111', '264', '260', '7', '880', '0', '2', '4', '65', '856', '520']

function rankOf({ tag }: Part) {
  const rank = order.findIndex((beginning) => tag.startsWith(beginning))
  return rank < 0 ? order.length : rank
}

/** What fits into ISO 2709, in the record's order, and how many fields do not. */
function fitting(parts: Part[], room: number): { kept: Part[]; left: number } {
  const kept = new Set<Part>()
  let bytes = 0
  for (const part of parts.toSorted((a, b) => rankOf(a) - rankOf(b))) {
    if (part.bytes > FIELD_BYTES_MAX || bytes + entryBytes(part) > room) continue
    kept.add(part)
    bytes += entryBytes(part)
  }
  return { kept: parts.filter((part) => kept.has(part)), left: parts.length - kept.size }
}

/** A record that ISO 2709 cannot hold goes out without what does not fit, and says so and where the whole of it is. */
function iso2709Of({ leader, fields }: MarcRecord, whole: string): string {
  const all = fields.flatMap(partOf)
  const room = RECORD_BYTES_MAX - LEADER_BYTES - 2
  const { kept, left } = fitting(all, room)
  return left === 0 ? assembled(leader, kept) : assembled(leader, withNote(all, { room, whole }))
}

function withNote(all: Part[], { room, whole }: { room: number; whole: string }): Part[] {
  const noteOf = (left: number) =>
    partOf(
      asField(
        dataField('500', '  ', ['a', `Fields that ISO 2709 has no room for: ${left}. The whole record: ${whole}`]),
      ),
    )
  const reserved = noteOf(all.length).reduce((bytes, part) => bytes + entryBytes(part), 0)
  const { kept, left } = fitting(all, room - reserved)
  const at = kept.findIndex(({ tag }) => tag > '500')
  return kept.toSpliced(at < 0 ? kept.length : at, 0, ...noteOf(left))
}

function assembled(leader: string, parts: Part[]): string {
  let start = 0
  const directory = parts.map(({ tag, bytes }) => {
    const entry = `${tag}${String(bytes).padStart(4, '0')}${String(start).padStart(5, '0')}`
    start += bytes
    return entry
  })
  const base = LEADER_BYTES + directory.length * ENTRY_BYTES + 1
  const length = base + start + 1
  const own = cleared(leader)
    .padEnd(LEADER_BYTES)
    .replaceAll(/[^\u0020-\u007e]/g, ' ')
  const head = `${String(length).padStart(5, '0')}${own.slice(5, 9)}a22${String(base).padStart(5, '0')}${own.slice(17, 20)}4500`
  return [head, ...directory, FIELD, ...parts.map(({ text }) => text), RECORD].join('')
}

export const iso2709: Writer = {
  write: (item, place) => iso2709Of(exportedMarc(item, place), `${place.addressOf(item.book)}/exports/xml`),
}
