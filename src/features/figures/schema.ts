import { z } from 'zod'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'
import { Day } from '../library/schema.ts'

/** A day has as many rows as subjects were lent on it: more days would take longer than a request may. */
const SUBJECT_DAYS_MAX = 92
const RANGE_DAYS_MAX = 366
const DAY_MS = 86_400_000

const FigureDay = Day.refine((day) => day < '2200-01-01', 'is after 2199')

type Range = { from?: string | undefined; to?: string | undefined }

const isInOrder = ({ from, to }: Range) => from === undefined || to === undefined || from <= to

const isShorter = ({ from, to }: Range, days: number) =>
  from === undefined || to === undefined || Date.parse(to) - Date.parse(from) < days * DAY_MS

export const LoanFiguresFilter = z
  .strictObject({
    from: FigureDay.optional().meta({
      description: 'Without it the thirty days up to `to`, which is today without it',
    }),
    to: FigureDay.optional().meta({ description: 'At most 366 days with `from`, and 92 by subject' }),
    by: z.enum(['day', 'format', 'category', 'subject']).default('day').meta({ example: 'day' }),
  })
  .refine(isInOrder, { error: 'is before from', path: ['to'] })
  .refine((range) => isShorter(range, RANGE_DAYS_MAX), { error: 'is more than 366 days with from', path: ['to'] })
  .refine((range) => range.by !== 'subject' || isShorter(range, SUBJECT_DAYS_MAX), {
    error: 'is more than 92 days with from, by subject',
    path: ['to'],
  })
export type LoanFiguresFilter = z.infer<typeof LoanFiguresFilter>

export const LoanFigures = z
  .object({
    from: z.iso.date(),
    to: z.iso.date(),
    by: LoanFiguresFilter.shape.by.unwrap(),
    countedAt: timestamp.nullable().meta({ description: 'What happened after that may be missing' }),
    items: z
      .array(
        z.object({
          name: z
            .string()
            .nullable()
            .meta({ description: 'The day, format, category or subject, which is folded; null: before categories' }),
          loans: z.int(),
          renewals: z.int(),
          returns: z.int(),
        }),
      )
      .max(1000)
      .meta({ description: 'Every day; of the others the thousand with the most loans' }),
  })
  .meta({ id: 'LoanFigures', description: 'A loan counts for each subject of its book' })
export type LoanFigures = z.infer<typeof LoanFigures>

export const DemandFilter = z.strictObject({
  limit: z.coerce
    .number<string>()
    .int()
    .min(1)
    .max(1000)
    .default(100)
    .meta({ description: 'At most so many', example: 100 }),
})

export const DemandFigures = z
  .object({
    items: z.array(
      z.object({
        bookId: z.uuid(),
        title: z.string(),
        holds: z.int().meta({ description: 'That wait and are not suspended' }),
        copies: z.int().meta({ description: 'That one of them could get, now or later' }),
        holdsPerCopy: z.number().nullable().meta({ description: 'null: there is no copy' }),
      }),
    ),
  })
  .meta({ id: 'DemandFigures', description: 'First what there is no copy of, then by holds a copy' })
export type DemandFigures = z.infer<typeof DemandFigures>

export const CollectionFilter = z.strictObject({
  by: z.enum(['subject', 'format']).default('subject').meta({ example: 'subject' }),
  ...PageQuery,
})
export type CollectionFilter = z.infer<typeof CollectionFilter>

const idle = (days: number) =>
  z.int().meta({ description: `Of the books, those that nobody has borrowed for ${days} days and that are as old` })

export const CollectionPart = z
  .object({
    name: z.string().meta({ description: 'The subject, folded, or the format' }),
    books: z.int().meta({ description: 'With a copy in circulation' }),
    copies: z.int(),
    loans: z.int().meta({ description: 'Of the last 365 days' }),
    turnover: z.number().meta({ description: 'Loans a copy' }),
    idle90: idle(90),
    idle365: idle(365),
    idle1095: idle(1095),
  })
  .meta({ id: 'CollectionPart' })
export type CollectionPart = z.infer<typeof CollectionPart>

export const CollectionPage = pageOf(CollectionPart)

/** RFC 4180, with a line of names. */
export const Csv = z.string().meta({ description: 'The items as a table' })
