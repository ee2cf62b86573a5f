import { z } from 'zod'
import { line, moment } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'

export const Block = z
  .object({
    id: z.uuid(),
    userId: z.uuid(),
    reason: z.string(),
    createdAt: timestamp,
    endsAt: timestamp.nullable().meta({ description: 'null: until it is lifted' }),
  })
  .meta({ id: 'Block' })
export type Block = z.infer<typeof Block>

export const NewBlock = z
  .strictObject({
    userId: z.uuid(),
    reason: line(500).meta({ example: 'The address is not theirs any more', description: 'The patron reads it' }),
    endsAt: moment.optional().meta({ description: 'It ends by itself then; else when it is lifted' }),
  })
  .meta({ id: 'NewBlock' })
export type NewBlock = z.infer<typeof NewBlock>

export const BlockFilter = z.strictObject({
  userId: z.uuid().optional().meta({ description: "Staff only: this patron's" }),
  ...PageQuery,
})
export type BlockFilter = z.infer<typeof BlockFilter>

export const BlockPage = pageOf(Block)
