import { type Piece, PIECE_BYTES_MAX } from './piece.ts'

/** The lines of a stream with their ends; one without an end is cut off where it is longer than a record can be. */
export async function* splitLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  for await (const chunk of stream) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    let start = 0
    for (;;) {
      const found = rest.indexOf(0x0a, start)
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

export const isBlank = ({ bytes }: Piece) => bytes.every((byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d))

const BOM = Buffer.from([0xef, 0xbb, 0xbf])

/** Without the mark that some programs put at the beginning of a file. */
export const withoutBom = (piece: Piece): Piece =>
  piece.offset === 0 && piece.bytes.subarray(0, 3).equals(BOM) ? { offset: 3, bytes: piece.bytes.subarray(3) } : piece
