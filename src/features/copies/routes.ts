import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { etagOf, ifMatch } from '../../versions.ts'
import { changeCopy, createCopy, declareFound, declareLost, getCopy, listCopies, removeCopy } from './queries.ts'
import { Copy, CopyChange, CopyFilter, CopyPage, NewCopy } from './schema.ts'

const tag = 'Copies'

/** Beside the version what changes without one, with each loan. */
const etag = ({ version, state, loansLeft, inLibraryUses }: Copy) =>
  etagOf(version, Copy.shape.state.options.indexOf(state), loansLeft ?? 0, inLibraryUses)

export const copiesOfBook = factory
  .createApp()
  .get(
    '/:id/copies',
    describeRoute({
      tag,
      summary: 'The copies of a book',
      responses: { 200: { description: 'A page of copies, the oldest first', schema: CopyPage } },
      problems: ['book-not-found', 'book-merged'],
    }),
    allow('GET /v1/books/:id/copies'),
    valid('param', IdParam),
    valid('query', CopyFilter),
    async (c) =>
      answerPage<Copy>(c, await listCopies(c.var.db, { bookId: c.req.valid('param').id, ...c.req.valid('query') })),
  )
  .post(
    '/:id/copies',
    describeRoute({
      tag,
      summary: 'Add a copy to a book',
      description: 'A physical item with a barcode, or a digital licence that one patron uses at a time.',
      responses: {
        201: {
          description: 'Added',
          schema: Copy,
          headers: { ETag: 'Its version and state', Location: 'Its address' },
        },
      },
      problems: ['book-not-found', 'barcode-taken'],
    }),
    allow('POST /v1/books/:id/copies'),
    valid('param', IdParam),
    valid('json', NewCopy),
    idempotent(),
    async (c) => {
      const copy = await createCopy(
        c.var.db,
        { bookId: c.req.valid('param').id, copy: c.req.valid('json') },
        c.var.claim,
      )
      return c.json(copy, 201, { location: `/v1/copies/${copy.id}`, etag: etag(copy) })
    },
  )

export const copies = factory
  .createApp()
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'A copy',
      responses: { 200: { description: 'The copy', schema: Copy, headers: { ETag: 'Its version and state' } } },
      problems: ['copy-not-found'],
    }),
    allow('GET /v1/copies/:id'),
    valid('param', IdParam),
    async (c) => {
      const copy = await getCopy(c.var.db, c.req.valid('param'))
      return c.json(copy, 200, { etag: etag(copy) })
    },
  )
  .patch(
    '/:id',
    describeRoute({
      tag,
      summary: 'Change a copy',
      responses: {
        200: { description: 'The copy as it is now', schema: Copy, headers: { ETag: 'Its version and state' } },
      },
      problems: ['copy-not-found', 'barcode-taken', 'format-mismatch'],
    }),
    allow('PATCH /v1/copies/:id'),
    valid('param', IdParam),
    ifMatch(),
    valid('json', CopyChange),
    async (c) => {
      const copy = await changeCopy(c.var.db, {
        id: c.req.valid('param').id,
        versions: c.var.versions,
        change: c.req.valid('json'),
      })
      return c.json(copy, 200, { etag: etag(copy) })
    },
  )
  .delete(
    '/:id',
    describeRoute({
      tag,
      summary: 'Remove a copy',
      responses: { 204: { description: 'Removed' } },
      problems: ['copy-not-found', 'copy-on-loan', 'copy-on-hold'],
    }),
    allow('DELETE /v1/copies/:id'),
    valid('param', IdParam),
    ifMatch(),
    async (c) => {
      await removeCopy(c.var.db, { ...c.req.valid('param'), versions: c.var.versions })
      return c.body(null, 204)
    },
  )
  .put(
    '/:id/loss',
    describeRoute({
      tag: 'Desk',
      summary: 'Declare a copy lost',
      description:
        'Idempotent. It leaves circulation; its loan ends, and the patron is charged what the policy says. A hold that it waited for waits again, in its place.',
      responses: { 200: { description: 'The copy, lost', schema: Copy, headers: { ETag: 'Its version and state' } } },
      problems: ['copy-not-found', 'format-mismatch', 'busy'],
    }),
    allow('PUT /v1/copies/:id/loss'),
    valid('param', IdParam),
    async (c) => {
      const copy = await declareLost(c.var.db, c.req.valid('param'))
      return c.json(copy, 200, { etag: etag(copy) })
    },
  )
  .delete(
    '/:id/loss',
    describeRoute({
      tag: 'Desk',
      summary: 'Declare a lost copy found',
      description: 'Idempotent. It goes to the first hold or the shelf. What is still owed for its loss is waived.',
      responses: { 200: { description: 'The copy, found', schema: Copy, headers: { ETag: 'Its version and state' } } },
      problems: ['copy-not-found'],
    }),
    allow('DELETE /v1/copies/:id/loss'),
    valid('param', IdParam),
    async (c) => {
      const copy = await declareFound(c.var.db, c.req.valid('param'))
      return c.json(copy, 200, { etag: etag(copy) })
    },
  )
