import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { cancelHold } from './cancel-hold.ts'
import { placeHold } from './place-hold.ts'
import { getHold, listHolds } from './queries.ts'
import { Hold, HoldFilter, HoldPage, NewHold } from './schema.ts'

const tag = 'Holds'

export const holds = factory
  .createApp()
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Queue for a book',
      description: 'First come, first served. Possible while no copy can be borrowed.',
      responses: { 201: { description: 'Placed', schema: Hold, headers: { Location: 'The address of the hold' } } },
      problems: [
        'forbidden',
        'user-not-found',
        'book-not-found',
        'patron-suspended',
        'already-on-hold',
        'already-on-loan',
        'hold-limit-reached',
        'copy-available',
        'no-copy-in-circulation',
      ],
    }),
    allow('patron', 'staff'),
    valid('json', NewHold),
    idempotent(),
    async (c) => {
      const hold = await placeHold(c.var.db, { ...c.req.valid('json'), actor: c.var.actor }, c.var.claim)
      return c.json(hold, 201, { location: `/v1/holds/${hold.id}` })
    },
  )
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'List holds',
      description: "A patron's own; for staff anyone's.",
      responses: { 200: { description: 'A page of holds, the oldest first', schema: HoldPage } },
      problems: ['forbidden'],
    }),
    allow('patron', 'staff'),
    valid('query', HoldFilter),
    async (c) => answerPage<Hold>(c, await listHolds(c.var.db, { filter: c.req.valid('query'), actor: c.var.actor })),
  )
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'A hold, with its position',
      responses: { 200: { description: 'The hold', schema: Hold } },
      problems: ['hold-not-found'],
    }),
    allow('patron', 'staff'),
    valid('param', IdParam),
    async (c) => c.json(await getHold(c.var.db, { ...c.req.valid('param'), actor: c.var.actor }), 200),
  )
  .delete(
    '/:id',
    describeRoute({
      tag,
      summary: 'Cancel a hold',
      description: 'A copy that waited for it goes to the next.',
      responses: { 204: { description: 'Cancelled' } },
      problems: ['hold-not-found'],
    }),
    allow('patron', 'staff'),
    valid('param', IdParam),
    async (c) => {
      await cancelHold(c.var.db, { ...c.req.valid('param'), actor: c.var.actor })
      return c.body(null, 204)
    },
  )
