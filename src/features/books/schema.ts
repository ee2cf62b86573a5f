import { sha256 } from '@noble/hashes/sha2.js'
import { z } from 'zod'
import { changesSomething, line, lines } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'
import { Format } from '../copies/schema.ts'
import { readIsbn } from './isbn.ts'

/** Accepts any spelling; keeps the 13 digits. */
const Isbn = z
  .string()
  .max(40)
  .transform((value, context) => {
    const isbn = readIsbn(value)
    if (isbn !== null) return isbn
    context.addIssue('is not an ISBN: its digits, check digit or range is wrong')
    return z.NEVER
  })
  .meta({ example: '978-0-14-143951-8' })

/** The commonest of MARC's relators. */
const ContributorRole = z.enum([
  'author',
  'editor',
  'translator',
  'illustrator',
  'narrator',
  'composer',
  'photographer',
  'compiler',
  'contributor',
])

/** smallint, and what a library can hold: cuneiform to next year's announcements. */
const Year = z.int().min(-4000).max(2100)

/** BCP 47, as far as catalogues use it: language, script, region. */
const Language = z
  .string()
  .regex(/^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$/, 'is not a language code such as en, pt-BR or zh-Hant')
  .meta({ example: 'en' })

const Contributor = z.strictObject({ name: line(200), role: ContributorRole })

const Identifier = z.strictObject({
  scheme: z.enum(['doi', 'issn', 'lccn', 'oclc', 'ol', 'goodreads', 'other']),
  value: line(200),
})

/** No other scheme than the web's: clients make links of it. */
const webAddress = line(2000).refine((value) => {
  const url = URL.parse(value)
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
}, 'is not a web address that begins with https:// or http://, without a name or password in it')

const Series = z.strictObject({ name: line(300), number: line(40).nullable().default(null) })

/** The title and the names as they are written in their own script, where the record has them in another too. */
const OriginalScript = z.strictObject({
  title: line(500).nullable().default(null),
  contributors: z.array(line(200)).max(100).default([]),
})

/** Where something of the book can be read. */
const Link = z.strictObject({ url: webAddress, label: line(300).nullable().default(null) })

/** What staff catalogue, and what each field may be. */
const record = {
  title: line(500).meta({ example: 'Northanger Abbey' }),
  subtitle: line(500).nullable(),
  contributors: z
    .array(Contributor)
    .max(100)
    .meta({ example: [{ name: 'Jane Austen', role: 'author' }] }),
  publisher: line(300).nullable(),
  publishedYear: Year.nullable().meta({ example: 1817 }),
  language: Language.nullable(),
  subjects: z
    .array(line(200))
    .max(100)
    .meta({ example: ['Gothic fiction', 'Satire'] }),
  description: lines(10_000).nullable(),
  edition: line(200).nullable().meta({ example: '2nd revised edition' }),
  series: z
    .array(Series)
    .max(20)
    .meta({ example: [{ name: 'Penguin Classics', number: '12' }] }),
  originalScript: OriginalScript.nullable(),
  links: z.array(Link).max(50),
  isbns: z.array(Isbn).max(50).meta({ description: 'Any spelling, 10 or 13; answered as 13 digits' }),
  identifiers: z.array(Identifier).max(50),
}

export const NewBook = z
  .strictObject({
    ...record,
    subtitle: record.subtitle.default(null),
    contributors: record.contributors.default([]),
    publisher: record.publisher.default(null),
    publishedYear: record.publishedYear.default(null),
    language: record.language.default(null),
    subjects: record.subjects.default([]),
    description: record.description.default(null),
    edition: record.edition.default(null),
    series: record.series.default([]),
    originalScript: record.originalScript.default(null),
    links: record.links.default([]),
    isbns: record.isbns.default([]),
    identifiers: record.identifiers.default([]),
  })
  .meta({ id: 'NewBook' })
export type NewBook = z.infer<typeof NewBook>

export const BookChange = z
  .strictObject(record)
  .partial()
  .refine(...changesSomething)
  .meta({ id: 'BookChange', description: 'Fields that are left out stay as they are' })
export type BookChange = z.infer<typeof BookChange>

const Holding = z.object({
  copies: z.int().meta({ description: 'In circulation: on loan, waiting for a patron, or to be had' }),
  available: z.int().meta({ description: 'To be had now' }),
})

export const Book = z
  .object({
    id: z.uuid(),
    title: z.string(),
    subtitle: z.string().nullable(),
    contributors: z.array(z.object({ name: z.string(), role: ContributorRole })),
    publisher: z.string().nullable(),
    publishedYear: z.int().nullable(),
    language: z.string().nullable(),
    subjects: z.array(z.string()),
    description: z.string().nullable(),
    edition: z.string().nullable(),
    series: z.array(z.object({ name: z.string(), number: z.string().nullable() })),
    originalScript: z.object({ title: z.string().nullable(), contributors: z.array(z.string()) }).nullable(),
    links: z.array(z.object({ url: z.string(), label: z.string().nullable() })),
    isbns: z.array(z.string().regex(/^97[89][0-9]{10}$/)),
    identifiers: z.array(z.object({ scheme: z.string(), value: z.string() })),
    availability: z
      .object({ physical: Holding, digital: Holding, holds: z.int().meta({ description: 'How many wait' }) })
      .meta({ description: 'At the moment of the answer' }),
    version: z.int(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .meta({ id: 'Book' })
export type Book = z.infer<typeof Book>

/** Another where a book has other fields: nobody goes on with what an earlier version of the Worker told them. */
export const bookForm = new DataView(sha256(new TextEncoder().encode(Object.keys(Book.shape).join())).buffer).getUint16(
  0,
)

const flag = z.stringbool({ truthy: ['true'], falsy: ['false'] })

export const sorts = ['relevance', 'title', '-title', 'year', '-year', 'newest'] as const

export const BookFilter = z.strictObject({
  q: line(200)
    .optional()
    .meta({ description: 'Words; "a phrase"; -without. Accents and case do not matter.', example: 'gothic austen' }),
  language: Language.optional(),
  subject: line(200).optional().meta({ description: 'One subject, whole' }),
  author: line(200).optional().meta({ description: "Words of a contributor's name" }),
  yearFrom: z.coerce.number<string>().pipe(Year).optional(),
  yearTo: z.coerce.number<string>().pipe(Year).optional(),
  format: Format.optional().meta({ description: 'Books with a copy of this format in circulation' }),
  available: flag.optional().meta({ description: 'true: only what can be borrowed now' }),
  sort: z.enum(sorts).optional().meta({ description: 'By relevance if there is a q, else the newest first' }),
  ...PageQuery,
})
export type BookFilter = z.infer<typeof BookFilter>

export const BookPage = pageOf(Book)

export const IsbnParam = z.object({ isbn: Isbn })
