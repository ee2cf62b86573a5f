import { z } from 'zod'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'
import { Book, BookChange } from '../books/schema.ts'

const Version = z.int().min(1).max(2_147_483_647)
const BookId = z.uuid().toLowerCase()

const Fields = Book.omit({ id: true, availability: true, version: true, createdAt: true, updatedAt: true })
  .partial()
  .meta({ id: 'BookFields' })

export const Revision = z
  .object({
    version: z.int(),
    kind: z.enum(['found', 'catalogued', 'imported', 'changed', 'reverted', 'merged', 'merged-away', 'removed']).meta({
      description:
        'found: as it was when revisions began to be kept; merged: it took in another book; merged-away: it became part of another',
    }),
    changedAt: timestamp,
    actorId: z
      .uuid()
      .nullable()
      .meta({ description: 'The member of staff; null: the library itself, or erased since' }),
    before: Fields.meta({ description: 'The fields that changed, as they were; of a first version none' }),
    after: Fields.meta({ description: 'The same as they became; of a first version all that are filled' }),
  })
  .meta({ id: 'Revision' })
export type Revision = z.infer<typeof Revision>

export const RevisionFilter = z.strictObject(PageQuery)
export type RevisionFilter = z.infer<typeof RevisionFilter>

export const RevisionPage = pageOf(Revision)

export const NewReversion = z
  .strictObject({ version: Version.meta({ description: 'Whose record the book gets', example: 1 }) })
  .meta({ id: 'NewReversion' })

export const NewMerge = z
  .strictObject({
    bookId: BookId.meta({ description: 'The book that becomes part of this one' }),
    version: Version.meta({ description: 'Of that book, as it was read' }),
  })
  .meta({ id: 'NewMerge' })
export type NewMerge = z.infer<typeof NewMerge>

export const Merge = z
  .object({
    bookId: z.uuid(),
    mergedBookId: z.uuid().meta({ description: 'Leads to bookId from now on' }),
    version: z.int().meta({ description: 'Of bookId now' }),
    copies: z.int().meta({ description: 'That moved' }),
    loans: z.int().meta({ description: 'Open ones that moved' }),
    holds: z.int().meta({ description: 'That moved' }),
  })
  .meta({ id: 'Merge' })
export type Merge = z.infer<typeof Merge>

/** What tells books apart, without what makes a record long. */
const Candidate = Book.pick({
  id: true,
  title: true,
  subtitle: true,
  contributors: true,
  publisher: true,
  publishedYear: true,
  language: true,
  edition: true,
  isbns: true,
  identifiers: true,
  version: true,
}).meta({ id: 'DuplicateCandidate' })

export const Duplicates = z
  .object({
    reason: z.enum(['title', 'doi', 'oclc', 'lccn']).meta({
      description:
        'What they share. title: the title and the first contributor, without accents, case, punctuation and articles, and the year or the edition, unless a year is not known',
    }),
    books: z.array(Candidate).min(2).max(20),
  })
  .meta({ id: 'Duplicates' })
export type Duplicates = z.infer<typeof Duplicates>

export const DuplicatesFilter = z.strictObject(PageQuery)
export type DuplicatesFilter = z.infer<typeof DuplicatesFilter>

export const DuplicatesPage = pageOf(Duplicates)

const eachOnce = [(ids: string[]) => new Set(ids).size === ids.length, 'names a book twice'] as const

export const NewDistinction = z
  .strictObject({
    bookIds: z
      .array(BookId)
      .min(2)
      .max(20)
      .refine(...eachOnce),
  })
  .meta({ id: 'NewDistinction' })
export type NewDistinction = z.infer<typeof NewDistinction>

export const Distinction = z.object({ bookIds: z.array(z.uuid()) }).meta({ id: 'Distinction' })
export type Distinction = z.infer<typeof Distinction>

const Edit = z
  .strictObject({
    id: BookId,
    version: Version.meta({ description: 'As it was read: the edit is refused when there is a newer one' }),
    change: BookChange.optional(),
    remove: z.literal(true).optional(),
  })
  .refine(({ change, remove }) => (change === undefined) !== (remove === undefined), 'needs either change or remove')
  .meta({ id: 'BookEdit' })

export const Edits = z
  .strictObject({
    mode: z.enum(['all-or-nothing', 'each']).meta({
      description:
        'all-or-nothing: when one is refused nothing is changed, and errors points at each that was; each: what can be done is done, and each has its own result',
    }),
    books: z
      .array(Edit)
      .min(1)
      .max(100)
      .refine((edits) => eachOnce[0](edits.map(({ id }) => id)), eachOnce[1]),
  })
  .meta({ id: 'BookEdits' })
export type Edits = z.infer<typeof Edits>

export const EditResults = z
  .object({
    results: z.array(
      z.object({
        id: z.uuid(),
        outcome: z.enum(['changed', 'removed', 'refused']),
        version: z.int().nullable().meta({ description: 'Of a book that was changed' }),
        problem: z
          .object({ type: z.string(), title: z.string(), status: z.int(), detail: z.string() })
          .nullable()
          .meta({ description: 'Of one that was refused' }),
      }),
    ),
  })
  .meta({ id: 'BookEditResults', description: 'In the order of the request' })
export type EditResults = z.infer<typeof EditResults>
