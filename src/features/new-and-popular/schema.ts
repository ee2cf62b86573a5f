import { z } from 'zod'
import { line } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { Book, BookFilter } from '../books/schema.ts'

export const NewestFilter = z.strictObject(PageQuery)
export type NewestFilter = z.infer<typeof NewestFilter>

/** Nothing is asked for, so that everybody's feed is the same. */
export const NewestFeedFilter = z.strictObject({})

const Popularity = {
  days: z
    .enum(['7', '30', '90'])
    .default('30')
    .meta({ description: 'Loans of so many days, today among them', example: '30' }),
  subject: line(200).optional().meta({ description: 'One subject, whole' }),
  language: BookFilter.shape.language,
  format: BookFilter.shape.format,
}

export const PopularFilter = z.strictObject({ ...Popularity, ...PageQuery })
export type PopularFilter = z.infer<typeof PopularFilter>

export const PopularFeedFilter = z.strictObject(Popularity)

export const PopularBook = z
  .object({ loans: z.int().meta({ description: 'In the days asked for' }), book: Book })
  .meta({ id: 'PopularBook' })
export type PopularBook = z.infer<typeof PopularBook>

export const PopularPage = pageOf(PopularBook)

export const RelatedFilter = z.strictObject({
  limit: z.coerce
    .number<string>()
    .int()
    .min(1)
    .max(50)
    .default(20)
    .meta({ description: 'At most so many', example: 20 }),
})

export const RelatedBooks = z
  .object({
    items: z.array(
      z.object({
        reason: z.enum(['same-series', 'also-borrowed', 'same-contributor', 'same-subject']).meta({
          description: 'also-borrowed: it was borrowed together with this one on three days or more',
        }),
        book: Book,
      }),
    ),
  })
  .meta({ id: 'RelatedBooks' })
export type RelatedBooks = z.infer<typeof RelatedBooks>

/** RFC 4287. */
export const Feed = z.string().meta({ description: 'An Atom feed of fifty books at most' })
