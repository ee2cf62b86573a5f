import { z } from 'zod'
import { BookFilter } from '../books/schema.ts'

/** How many books one request takes out; the next link goes on from there. */
export const EXPORT_BOOKS_MAX = 1_000

/** By the extension of the file. */
export const ExportFormat = z.enum(['mrc', 'xml', 'csv', 'jsonl', 'bib', 'ris', 'csl.json', 'jsonld']).meta({
  id: 'ExportFormat',
  description:
    'mrc: MARC 21 (ISO 2709); xml: MARCXML; csv: CSV (RFC 4180); jsonl: JSON lines, each a Book; bib: BibTeX; ris: RIS; csl.json: CSL-JSON; jsonld: JSON-LD in the terms of schema.org',
})
export type ExportFormat = z.infer<typeof ExportFormat>

export const mediaTypes = {
  mrc: 'application/marc',
  xml: 'application/marcxml+xml',
  csv: 'text/csv',
  jsonl: 'application/x-ndjson',
  bib: 'application/x-bibtex',
  ris: 'application/x-research-info-systems',
  'csl.json': 'application/vnd.citationstyles.csl+json',
  jsonld: 'application/ld+json',
} as const satisfies Record<ExportFormat, string>

const { 'csl.json': csl, jsonld, ...ofText } = mediaTypes

/** What stands behind each media type. */
export const files: Record<string, z.ZodType> = {
  ...Object.fromEntries(Object.values(ofText).map((mediaType) => [mediaType, z.string()])),
  [csl]: z.array(z.looseObject({ id: z.string(), type: z.literal('book'), title: z.string() })),
  [jsonld]: z.looseObject({ '@context': z.literal('https://schema.org'), '@type': z.enum(['Book', 'ItemList']) }),
}

export const BookExportParam = z.strictObject({ id: z.uuid().toLowerCase(), format: ExportFormat })

export const ExportParam = z.strictObject({ format: ExportFormat })

export const ExportFilter = BookFilter.extend({
  limit: z.coerce
    .number<string>()
    .int()
    .min(1)
    .max(EXPORT_BOOKS_MAX)
    .default(EXPORT_BOOKS_MAX)
    .meta({ description: 'Books a request; the rest by the `next` link in Link', example: EXPORT_BOOKS_MAX }),
})
export type ExportFilter = z.infer<typeof ExportFilter>

/** A record as MARC-in-JSON: each field is an object of its tag alone, each subfield one of its code alone. */
export type MarcRecord = { leader: string; fields: MarcField[] }
export type MarcField = { [tag: string]: string | MarcDataField }
export type MarcDataField = { ind1: string; ind2: string; subfields: { [code: string]: string }[] }
