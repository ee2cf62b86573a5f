import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { patronProblems } from '../../problem.ts'
import { describeRoute } from '../../route-facts.ts'
import { cancelHold } from './cancel-hold.ts'
import { moveHold } from './move-hold.ts'
import { placeHold } from './place-hold.ts'
import { getHold, listHolds } from './queries.ts'
import { resumeHold } from './resume-hold.ts'
import { Hold, HoldFilter, HoldMove, HoldPage, HoldSuspension, NewHold } from './schema.ts'
import { suspendHold } from './suspend-hold.ts'

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
        ...patronProblems,
        'already-on-hold',
        'already-on-loan',
        'hold-limit-reached',
        'copy-available',
        'no-copy-in-circulation',
      ],
    }),
    allow('POST /v1/holds'),
    valid('json', NewHold),
    idempotent(),
    async (c) => {
      const hold = await placeHold(
        c.var.db,
        { ...c.req.valid('json'), actor: c.var.actor, owner: c.var.owner },
        c.var.claim,
      )
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
    allow('GET /v1/holds'),
    valid('query', HoldFilter),
    async (c) => answerPage<Hold>(c, await listHolds(c.var.db, { filter: c.req.valid('query'), owner: c.var.owner })),
  )
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'A hold, with its position',
      responses: { 200: { description: 'The hold', schema: Hold } },
      problems: ['hold-not-found'],
    }),
    allow('GET /v1/holds/:id'),
    valid('param', IdParam),
    async (c) => c.json(await getHold(c.var.db, { ...c.req.valid('param'), owner: c.var.owner }), 200),
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
    allow('DELETE /v1/holds/:id'),
    valid('param', IdParam),
    async (c) => {
      await cancelHold(c.var.db, { ...c.req.valid('param'), owner: c.var.owner })
      return c.body(null, 204)
    },
  )
  .put(
    '/:id/suspension',
    describeRoute({
      tag,
      summary: 'Suspend a hold until a day',
      description: 'It keeps its place and is passed over. A copy that waits for it goes to the next.',
      responses: { 200: { description: 'The hold, suspended', schema: Hold } },
      problems: ['hold-not-found', 'date-out-of-range'],
    }),
    allow('PUT /v1/holds/:id/suspension'),
    valid('param', IdParam),
    valid('json', HoldSuspension),
    async (c) =>
      c.json(await suspendHold(c.var.db, { ...c.req.valid('param'), ...c.req.valid('json'), owner: c.var.owner }), 200),
  )
  .delete(
    '/:id/suspension',
    describeRoute({
      tag,
      summary: 'Let a suspended hold wait again',
      responses: { 200: { description: 'The hold', schema: Hold } },
      problems: ['hold-not-found'],
    }),
    allow('DELETE /v1/holds/:id/suspension'),
    valid('param', IdParam),
    async (c) => c.json(await resumeHold(c.var.db, { ...c.req.valid('param'), owner: c.var.owner }), 200),
  )
  .put(
    '/:id/position',
    describeRoute({
      tag,
      summary: 'Move a hold in its queue',
      description: 'Those between move by one. The reason is kept in the events.',
      responses: { 200: { description: 'The hold in its new position', schema: Hold } },
      problems: ['hold-not-found', 'hold-ready'],
    }),
    allow('PUT /v1/holds/:id/position'),
    valid('param', IdParam),
    valid('json', HoldMove),
    async (c) => c.json(await moveHold(c.var.db, { ...c.req.valid('param'), ...c.req.valid('json') }), 200),
  )
