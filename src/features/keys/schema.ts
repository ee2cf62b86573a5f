import { z } from 'zod'
import { Scope } from '../../access.ts'
import { line, moment } from '../../input.ts'
import { timestamp } from '../../timestamp.ts'

const Scopes = z.array(Scope).min(1).max(3)

export const NewKey = z
  .strictObject({
    name: line(80).meta({ example: 'Reader on the tablet', description: 'Shown in my keys' }),
    scopes: Scopes.refine((scopes) => new Set(scopes).size === scopes.length, 'names a scope twice'),
    expiresAt: moment.optional().meta({ description: 'Within a year; without it the key does not expire' }),
  })
  .meta({ id: 'NewKey' })
export type NewKey = z.infer<typeof NewKey>

export const Key = z
  .object({
    id: z.uuid(),
    name: z.string(),
    scopes: Scopes,
    createdAt: timestamp,
    expiresAt: timestamp.nullable(),
    lastUsedAt: timestamp.nullable().meta({ description: 'To the minute; null: never' }),
  })
  .meta({ id: 'Key' })
export type Key = z.infer<typeof Key>

export const MadeKey = Key.extend({
  key: z.string().meta({ description: 'The key itself, which is not shown again', example: `lak_p${'A'.repeat(64)}` }),
}).meta({ id: 'MadeKey' })
export type MadeKey = z.infer<typeof MadeKey>

/** At most twenty. */
export const KeyList = z.object({ items: z.array(Key) })
