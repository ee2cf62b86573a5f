import { z } from 'zod'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'

const Actor = z
  .object({
    role: z.enum(['staff', 'patron', 'library']).meta({ description: 'library: nobody asked, it was time' }),
    id: z.uuid().nullable().meta({ description: 'Of staff only' }),
  })
  .meta({ id: 'EventActor' })

export const Event = z
  .object({
    id: z.int(),
    occurredAt: timestamp,
    kind: z.string().meta({ example: 'loan.made' }),
    subjectId: z.uuid().meta({ description: 'The loan, hold, fee, block, copy or book that the kind speaks of' }),
    bookId: z.uuid().nullable(),
    copyId: z.uuid().nullable(),
    patronId: z.uuid().nullable().meta({ description: 'Whose matter it is, while it is open' }),
    actor: Actor,
    details: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: 'Event' })
export type Event = z.infer<typeof Event>

export const EventFilter = z.strictObject({
  kind: z
    .string()
    .regex(/^[a-z]+[.][a-z-]{1,40}$/, 'is not a kind of event')
    .max(60)
    .optional()
    .meta({ example: 'loan.made' }),
  subjectId: z.uuid().optional(),
  bookId: z.uuid().optional(),
  patronId: z.uuid().optional().meta({ description: 'Of matters of theirs that are open' }),
  after: z.coerce
    .number<string>()
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'Go on behind the event with this id: the last one you have' }),
  ...PageQuery,
})
export type EventFilter = z.infer<typeof EventFilter>

export const EventPage = pageOf(Event)
