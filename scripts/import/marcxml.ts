import { SaxesParser } from 'saxes'
import { recordOf } from './marc.ts'
import type { DataField, MarcRecord } from './marc-record.ts'
import { messageOf, type Piece, PIECE_BYTES_MAX, type Read } from './piece.ts'

/** MARCXML, each record read by itself: what is broken in one spoils no other. Records may be wrapped, as OAI-PMH does. */

const START = /<(?:[\w.-]+:)?record[\s>]/g
const END = /<\/(?:[\w.-]+:)?record\s*>/g
const HOLDS_MARC = /<(?:[\w.-]+:)?(?:leader|controlfield|datafield)[\s>]/
/** The longest tag that may be cut in two by the end of what has been read. */
const TAG_LENGTH = 64

export async function* readMarcXml(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Read> {
  let encoding: string | undefined
  for await (const piece of splitRecords(stream, (head) => (encoding = encodingIn(head)))) {
    yield readPiece(piece, encoding ?? 'utf-8')
  }
}

const encodingIn = (head: string) => /^\s*<\?xml[^>]*\sencoding=["']([\w.:-]+)["']/.exec(head)?.[1] ?? 'utf-8'

/** The records, and what holds MARC and is none. Searched as Latin-1, in which a place is a byte. */
async function* splitRecords(
  stream: AsyncIterable<Uint8Array>,
  seeHead: (head: string) => void,
): AsyncGenerator<Piece> {
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  let isHead = true
  const cut = (from: number, to: number): Piece => ({
    offset: offset + from,
    bytes: Buffer.from(rest.subarray(from, to)),
  })
  for await (const chunk of stream) {
    rest = Buffer.concat([rest, chunk])
    const text = rest.toString('latin1')
    if (isHead) seeHead(text.slice(text.startsWith('\u00ef\u00bb\u00bf') ? 3 : 0, 200))
    isHead = false
    let done = 0
    END.lastIndex = 0
    for (let end = END.exec(text); end !== null; end = END.exec(text)) {
      const { lost, start } = lastStart(text, done, end.index)
      if (lost !== null) yield cut(lost.from, lost.to)
      if (start !== null) yield cut(start, END.lastIndex)
      done = END.lastIndex
    }
    if (rest.length - done > PIECE_BYTES_MAX) {
      const end = rest.length - TAG_LENGTH
      if (HOLDS_MARC.test(text.slice(done, end))) yield cut(done, end)
      done = end
    }
    offset += done
    rest = rest.subarray(done)
  }
  if (HOLDS_MARC.test(rest.toString('latin1'))) yield cut(0, rest.length)
}

/** Where the record begins that ends here, and what before it is of a record that never ended. */
function lastStart(text: string, from: number, to: number) {
  START.lastIndex = from
  const starts: number[] = []
  for (let match = START.exec(text); match !== null && match.index < to; match = START.exec(text))
    starts.push(match.index)
  const start = starts.at(-1) ?? null
  const lostTo = start ?? to
  const holdsLost = HOLDS_MARC.test(text.slice(from, lostTo))
  return { start, lost: holdsLost ? { from: starts.length > 1 ? (starts[0] ?? from) : from, to: lostTo } : null }
}

function readPiece(piece: Piece, encoding: string): Read {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(piece.bytes)
    const marc = parseRecord(text)
    return { ...piece, marc, ...recordOf(marc, []) }
  } catch (error) {
    return { ...piece, reason: `the record cannot be read: ${messageOf(error).split('\n', 1)[0] ?? ''}` }
  }
}

const withoutPrefix = (name: string) => name.slice(name.indexOf(':') + 1)

/** Throws what is wrong with it. */
export function parseRecord(text: string): MarcRecord {
  const marc: MarcRecord = { leader: '', fields: [] }
  let field: DataField | null = null
  let written = ''
  let attributes: Record<string, string> = {}
  const attribute = (name: string, pattern: RegExp) => {
    const value = attributes[name] ?? ''
    if (!pattern.test(value)) throw new Error(`the attribute ${name} is missing or broken`)
    return value
  }
  const parser = new SaxesParser<{ xmlns?: false }>({})
  parser.on('error', (error) => {
    throw error
  })
  parser.on('opentag', ({ name, attributes: given }) => {
    written = ''
    attributes = given
    if (withoutPrefix(name) !== 'datafield') return
    const tag = attribute('tag', /^[0-9A-Za-z]{3}$/)
    const opened: DataField = { tag, ind1: given['ind1'] || ' ', ind2: given['ind2'] || ' ', subfields: [] }
    if (opened.ind1.length !== 1 || opened.ind2.length !== 1) throw new Error(`field ${tag} has broken indicators`)
    marc.fields.push(opened)
    field = opened
  })
  parser.on('text', (text) => (written += text))
  parser.on('cdata', (text) => (written += text))
  parser.on('closetag', ({ name }) => {
    const element = withoutPrefix(name)
    if (element === 'leader') marc.leader = written
    if (element === 'controlfield') marc.fields.push({ tag: attribute('tag', /^[0-9A-Za-z]{3}$/), value: written })
    if (element === 'subfield') {
      if (field === null) throw new Error('a subfield stands outside a field')
      field.subfields.push({ code: attribute('code', /^[\x21-\x7e]$/), value: written.normalize('NFC') })
    }
    if (element === 'datafield') field = null
    written = ''
  })
  parser.write(text).close()
  if (marc.fields.length === 0) throw new Error('it has no fields')
  if (marc.leader.length > 24) marc.leader = marc.leader.slice(0, 24)
  return marc
}
