import type { Book } from '../books/schema.ts'
import { bibtex } from './bibtex.ts'
import { csl } from './csl.ts'
import { csv } from './csv.ts'
import { iso2709 } from './iso2709.ts'
import { jsonl } from './jsonl.ts'
import { jsonld } from './jsonld.ts'
import { marcxml } from './marcxml.ts'
import { ris } from './ris.ts'
import { type ExportFormat, type MarcRecord, mediaTypes } from './schema.ts'

/** A book, and the MARC record that it came in. */
export type Item = { book: Book; marc: MarcRecord | null }

/** The library whose books they are. */
export type Origin = { publicUrl: string; addressOf: (book: Book) => string }

/** Books as text in UTF-8: `head`, one `write` after the other with `between` between them, `tail`. `one` is a file of a single
 *  book, where that is another. */
export type Writer = {
  head?: string
  write: (item: Item, origin: Origin) => string
  between?: string
  tail?: string
  one?: (item: Item, origin: Origin) => string
}

type Format = { extension: string; writer: Writer; isUtf8Text?: true; hasMarc?: true }

export const formats: Record<ExportFormat, Format> = {
  mrc: { extension: 'mrc', writer: iso2709, hasMarc: true },
  xml: { extension: 'xml', writer: marcxml, hasMarc: true },
  csv: { extension: 'csv', writer: csv, isUtf8Text: true },
  jsonl: { extension: 'jsonl', writer: jsonl },
  bib: { extension: 'bib', writer: bibtex, isUtf8Text: true },
  ris: { extension: 'ris', writer: ris, isUtf8Text: true },
  'csl.json': { extension: 'json', writer: csl },
  jsonld: { extension: 'jsonld', writer: jsonld },
}

/** Where the media type does not say that it is UTF-8, the charset does. */
export const contentTypeOf = (format: ExportFormat) =>
  `${mediaTypes[format]}${formats[format].isUtf8Text ? '; charset=utf-8' : ''}`

export const originOf = (publicUrl: string): Origin => ({
  publicUrl,
  addressOf: ({ id }) => `${publicUrl}/v1/books/${id}`,
})

/** The file of a single book. */
export const fileOfOne = (format: ExportFormat, item: Item, origin: Origin) => {
  const { writer } = formats[format]
  return writer.one?.(item, origin) ?? fileOf(format, [item], origin)
}

/** A file that is held whole. */
export const fileOf = (format: ExportFormat, items: Item[], origin: Origin) => {
  const { head = '', write, between = '', tail = '' } = formats[format].writer
  return `${head}${items.map((item) => write(item, origin)).join(between)}${tail}`
}
