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

export const sorts = ['relevance', 'title', '-title', 'year', '-year', 'newest', 'popular'] as const

/** What chooses books of the catalogue: of a list, and of whatever else is made of a search. */
export const BookFilter = z.strictObject({
  q: line(200).optional().meta({
    description:
      'Words; "a phrase"; -without; or. An ISBN in any spelling. Accents and case do not matter. What is found less than three times may be spelt otherwise.',
    example: 'gothic austen',
  }),
  exact: flag.optional().meta({ description: 'true: only what was typed, as it was typed' }),
  language: Language.optional(),
  subject: line(200).optional().meta({ description: 'One subject, whole' }),
  author: line(200).optional().meta({ description: "Words of a contributor's name" }),
  series: line(300).optional().meta({ description: 'The name of a series, whole' }),
  yearFrom: z.coerce.number<string>().pipe(Year).optional(),
  yearTo: z.coerce.number<string>().pipe(Year).optional(),
  format: Format.optional().meta({ description: 'Books with a copy of this format in circulation' }),
  available: flag.optional().meta({ description: 'true: only what can be borrowed now' }),
  sort: z.enum(sorts).optional().meta({
    description:
      'By relevance if there is a q, else the newest first. Relevance: the title itself, what begins with it, then title, contributor, series, subject and description, the most borrowed first.',
  }),
  ...PageQuery,
})
export type BookFilter = z.infer<typeof BookFilter>

/** What a list of books tells beside them. */
export const BookQuery = BookFilter.extend({
  facets: flag.optional().meta({ description: 'true: also how many there are, and what they have in common' }),
  highlights: flag.optional().meta({ description: 'true: also where each book has the words of q' }),
})
export type BookQuery = z.infer<typeof BookQuery>

const Facet = z
  .array(z.object({ value: z.string(), count: z.int() }))
  .meta({ description: 'The ten commonest. A value is good as the filter of that name.' })

const Highlight = z
  .array(z.object({ text: z.string(), isMatch: z.boolean() }))
  .meta({ description: 'The text in pieces' })

export const BookPage = pageOf(Book).extend({
  didYouMean: z
    .string()
    .nullable()
    .meta({ description: 'q as the catalogue spells it, where books that are nearly like it had to be found' }),
  total: z
    .object({ count: z.int(), isExact: z.boolean() })
    .meta({ description: 'With facets: how many there are; counted up to 1,000' })
    .optional(),
  facets: z
    .object({
      isExact: z.boolean().meta({ description: 'false: counted among the first 1,000, the most borrowed' }),
      subjects: Facet,
      authors: Facet,
      series: Facet,
      languages: Facet,
      years: Facet,
      decades: Facet,
      formats: Facet,
      available: z.int().meta({ description: 'How many of them can be borrowed now' }),
    })
    .optional(),
  highlights: z
    .record(z.uuid(), z.object({ title: Highlight, description: Highlight.nullable() }))
    .meta({ description: 'By id' })
    .optional(),
})

export type BookPage = z.infer<typeof BookPage>

export const SuggestQuery = z.strictObject({
  q: line(100).meta({ description: 'What has been typed so far', example: 'northa' }),
  limit: z.coerce.number<string>().int().min(1).max(10).default(5).meta({ description: 'Of each kind', example: 5 }),
})
export type SuggestQuery = z.infer<typeof SuggestQuery>

export const Suggestions = z
  .object({
    titles: z.array(z.object({ id: z.uuid(), title: z.string(), contributors: z.array(z.string()) })),
    authors: z.array(z.string()),
    subjects: z.array(z.string()),
    series: z.array(z.string()),
  })
  .meta({ id: 'Suggestions' })
export type Suggestions = z.infer<typeof Suggestions>

export const IsbnParam = z.object({ isbn: Isbn })
