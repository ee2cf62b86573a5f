import type { NewBook } from '../../src/features/books/schema.ts'
import type { MarcRecord } from './marc-record.ts'

/** A record as far as a file tells it: what does not fit our limits is for fit.ts. */
export type Draft = { [Field in keyof NewBook]?: unknown }

/** A piece of a file: its bytes, and where they begin there. */
export type Piece = { offset: number; bytes: Buffer }

/** What was read of a piece, or why it cannot be read. */
export type Read = Piece & ({ draft: Draft; marc: MarcRecord | null; notes: string[] } | { reason: string })

/** Longer than any record that is one: what goes on for longer without an end is cut off here. */
export const PIECE_BYTES_MAX = 1_048_576

/** Throws a TypeError for what is not UTF-8. */
export const decodeUtf8 = (bytes: Uint8Array) =>
  new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
