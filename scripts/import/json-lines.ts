import { isBlank, splitLines, withoutBom } from './lines.ts'
import { decodeUtf8, messageOf, type Read } from './piece.ts'

/** A NewBook a line. */
export async function* readJsonLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Read> {
  for await (const line of splitLines(stream)) {
    const piece = withoutBom(line)
    if (isBlank(piece)) continue
    try {
      const draft: unknown = JSON.parse(decodeUtf8(piece.bytes))
      if (typeof draft !== 'object' || draft === null || Array.isArray(draft)) throw new Error('it is not an object')
      yield { ...piece, draft, marc: null, notes: [] }
    } catch (error) {
      yield { ...piece, reason: `the line cannot be read: ${messageOf(error)}` }
    }
  }
}
