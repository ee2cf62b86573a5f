import { z } from 'zod'
import { timestamp } from '../../timestamp.ts'
import { Block } from '../blocks/schema.ts'
import { Event } from '../events/schema.ts'
import { Fee } from '../fees/schema.ts'
import { Hold } from '../holds/schema.ts'
import { Key } from '../keys/schema.ts'
import { Loan } from '../loans/schema.ts'
import { SecondFactor } from '../second-factor/schema.ts'
import { Session } from '../sessions/schema.ts'
import { User } from '../users/schema.ts'

/** Of a member of staff who acted, the role: what is exported is of one person. */
const ExportedEvent = Event.omit({ id: true, patronId: true, actor: true }).extend({
  actorRole: Event.shape.actor.shape.role,
})

const Acts = z.object({
  kind: z.string().meta({ example: 'loan.made' }),
  count: z.int(),
  firstAt: timestamp,
  lastAt: timestamp,
})

/** How large it becomes: docs/operations.md. */
export const Export = z
  .object({
    exportedAt: timestamp,
    account: User.extend({ updatedAt: timestamp }),
    secondFactor: SecondFactor,
    sessions: z.array(Session.omit({ isCurrent: true }).extend({ secondFactorAt: timestamp.nullable() })),
    keys: z.array(Key).meta({ description: 'API keys, but for the keys themselves, which nobody knows' }),
    knownAddresses: z
      .int()
      .meta({ description: 'Addresses that I have logged in from; only hashes of them are kept, for half a year' }),
    loans: z.array(Loan).meta({ description: 'Open ones' }),
    history: z.array(Loan).meta({ description: 'Returned ones, if I keep a history' }),
    holds: z.array(Hold),
    fees: z.array(Fee).meta({ description: 'What I owe; what is settled is nobody’s' }),
    blocks: z.array(Block),
    events: z.array(ExportedEvent).meta({ description: 'What the log says of my open matters' }),
    securityEvents: z
      .array(z.object({ kind: z.string(), occurredAt: timestamp, sessionId: z.uuid().nullable() }))
      .meta({ description: 'What happened to my account in the past year' }),
    messages: z
      .array(z.object({ kind: z.string(), createdAt: timestamp, nextAttemptAt: timestamp }))
      .meta({ description: 'On their way to me' }),
    acts: z.array(Acts).meta({
      description:
        'Of staff: how often the log, the ledger and the history of records name me as who did something. What was done is the matter of others, and is not here.',
    }),
  })
  .meta({ id: 'Export' })
export type Export = z.infer<typeof Export>

export const Erasure = z
  .object({
    id: z.uuid().meta({ description: 'Of this receipt. The library keeps the same, and it names nobody.' }),
    erasedAt: timestamp,
    counts: z.record(z.string(), z.int()).meta({
      description: 'What was erased, or forgot me, by kind',
      example: { holds: 1, blocks: 0, history: 12, sessions: 2 },
    }),
  })
  .meta({ id: 'Erasure' })
export type Erasure = z.infer<typeof Erasure>
