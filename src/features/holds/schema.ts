import { z } from 'zod'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'
import { Format } from '../copies/schema.ts'

export const Hold = z
  .object({
    id: z.uuid(),
    bookId: z.uuid(),
    bookTitle: z.string(),
    userId: z.uuid(),
    format: Format.nullable().meta({ description: 'null: either' }),
    state: z.enum(['waiting', 'ready']).meta({ description: 'ready: a copy waits to be collected' }),
    position: z.int().nullable().meta({ description: 'Place among those who wait for the book; null when ready' }),
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
  })
  .meta({ id: 'NewHold' })
export type NewHold = z.infer<typeof NewHold>

export const HoldFilter = z.strictObject({
  state: z.enum(['waiting', 'ready']).optional(),
  userId: z.uuid().optional().meta({ description: "Staff only: this patron's" }),
  bookId: z.uuid().optional(),
  ...PageQuery,
})
export type HoldFilter = z.infer<typeof HoldFilter>

export const HoldPage = pageOf(Hold)
