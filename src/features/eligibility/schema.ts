import { z } from 'zod'
import { Format } from '../copies/schema.ts'
import { timestamp } from '../../timestamp.ts'

const Obstacle = z
  .object({
    problem: z.string().meta({ description: 'The name of the problem that the request would meet' }),
    title: z.string(),
    detail: z.string().meta({ description: 'What would change it' }),
    found: z.int().nullable().meta({ description: 'What meets a limit: a count, or an amount in minor units' }),
    allowed: z.int().nullable().meta({ description: 'That limit' }),
    until: timestamp.nullable().meta({ description: 'When it ends by itself, as far as is known' }),
    overridable: z.boolean().meta({ description: 'Whether the policy lets staff set it aside' }),
  })
  .meta({ id: 'Obstacle' })

const Decision = z
  .object({
    allowed: z.boolean(),
    obstacles: z
      .array(Obstacle)
      .meta({ description: 'All that speaks against it; the first is what a request is told' }),
  })
  .meta({ id: 'Decision' })

export const Eligibility = z
  .object({ userId: z.uuid(), bookId: z.uuid(), borrow: Decision, renew: Decision, placeHold: Decision })
  .meta({ id: 'Eligibility' })
export type Eligibility = z.infer<typeof Eligibility>

export const EligibilityQuery = z.strictObject({
  format: Format.optional().meta({ description: 'For a copy of this format only' }),
  userId: z.uuid().toLowerCase().optional().meta({ description: 'Staff only: this patron' }),
})
export type EligibilityQuery = z.infer<typeof EligibilityQuery>
