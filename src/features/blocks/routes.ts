import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { liftBlock } from './lift-block.ts'
import { listBlocks } from './queries.ts'
import { Block, BlockFilter, BlockPage, NewBlock } from './schema.ts'
import { setBlock } from './set-block.ts'

const tag = 'Blocks'

export const blocks = factory
  .createApp()
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Block a patron',
      description: 'They can return, but neither borrow, renew nor queue, until it ends or is lifted.',
      responses: { 201: { description: 'Blocked', schema: Block, headers: { Location: 'The address of the block' } } },
      problems: ['user-not-found', 'date-out-of-range'],
    }),
    allow('POST /v1/blocks'),
    valid('json', NewBlock),
    idempotent(),
    async (c) => {
      const block = await setBlock(c.var.db, c.req.valid('json'), c.var.claim)
      return c.json(block, 201, { location: `/v1/blocks/${block.id}` })
    },
  )
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'List blocks',
      description: "Those in force: a patron's own; for staff anyone's.",
      responses: { 200: { description: 'A page of blocks, the newest first', schema: BlockPage } },
      problems: ['forbidden'],
    }),
    allow('GET /v1/blocks'),
    valid('query', BlockFilter),
    async (c) => answerPage<Block>(c, await listBlocks(c.var.db, { filter: c.req.valid('query'), owner: c.var.owner })),
  )
  .delete(
    '/:id',
    describeRoute({
      tag,
      summary: 'Lift a block',
      responses: { 204: { description: 'Lifted' } },
      problems: ['block-not-found'],
    }),
    allow('DELETE /v1/blocks/:id'),
    valid('param', IdParam),
    async (c) => {
      await liftBlock(c.var.db, c.req.valid('param'))
      return c.body(null, 204)
    },
  )
