import { z } from 'zod'
import { line } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { Day } from '../library/schema.ts'
import { timestamp } from '../../timestamp.ts'
import { Format } from '../copies/schema.ts'
import { Override } from '../loans/schema.ts'

const HoldState = z
  .enum(['waiting', 'suspended', 'ready'])
  .meta({ description: 'ready: a copy waits to be collected; suspended: passed over until a day' })

/** docs/circulation.md says how it is made. */
const Forecast = z
  .object({
    days: z.int().meta({ description: 'Likely' }),
    from: z.int().meta({ description: 'At best' }),
    to: z.int().meta({ description: 'At worst' }),
  })
  .meta({ id: 'Forecast', description: 'Days from now' })

export const Hold = z
  .object({
    id: z.uuid(),
    bookId: z.uuid(),
    bookTitle: z.string(),
    userId: z.uuid(),
    format: Format.nullable().meta({ description: 'null: either' }),
    state: HoldState,
    position: z
      .int()
      .nullable()
      .meta({ description: 'Place in the queue for the book, counting those who are suspended; null when ready' }),
    forecast: Forecast.nullable().meta({
      description: 'How long it may still wait; null when it is ready, or when no copy is left that could serve it',
    }),
    suspendedUntil: z.iso.date().nullable().meta({ description: 'Passed over until this day, in its place' }),
    placedAt: timestamp,
    copyId: z.uuid().nullable(),
    readyAt: timestamp.nullable(),
    collectBy: timestamp.nullable().meta({ description: 'After this the copy goes to the next' }),
  })
  .meta({ id: 'Hold' })
export type Hold = z.infer<typeof Hold>

export const NewHold = z
  .strictObject({
    bookId: z.uuid(),
    format: Format.optional().meta({ description: 'A copy of this format only; else of either' }),
    userId: z.uuid().optional().meta({ description: 'For staff: for this patron' }),
    override: Override,
  })
  .meta({ id: 'NewHold' })
export type NewHold = z.infer<typeof NewHold>

export const HoldSuspension = z
  .strictObject({
    until: Day.meta({
      example: '2027-01-10',
      description: "The day, in the library's time zone, from which it waits again",
    }),
  })
  .meta({ id: 'HoldSuspension' })

export const HoldMove = z
  .strictObject({
    position: z.int().min(1).max(100_000).meta({ description: 'Past the end is the end' }),
    reason: line(500).meta({ example: 'The course begins on Monday' }),
  })
  .meta({ id: 'HoldMove' })
export type HoldMove = z.infer<typeof HoldMove>

export const HoldFilter = z.strictObject({
  state: HoldState.optional(),
  userId: z.uuid().optional().meta({ description: "Staff only: this patron's" }),
  bookId: z.uuid().optional(),
  ...PageQuery,
})
export type HoldFilter = z.infer<typeof HoldFilter>

export const HoldPage = pageOf(Hold)
