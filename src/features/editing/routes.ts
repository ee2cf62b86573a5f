import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { etagOf, ifMatch } from '../../versions.ts'
import { Book } from '../books/schema.ts'
import { distinguishBooks } from './distinguish-books.ts'
import { editBooks } from './edit-books.ts'
import { mergeBooks } from './merge-books.ts'
import { listDuplicates, listRevisions } from './queries.ts'
import { revertBook } from './revert-book.ts'
import {
  Distinction,
  type Duplicates,
  DuplicatesFilter,
  DuplicatesPage,
  EditResults,
  Edits,
  Merge,
  NewDistinction,
  NewMerge,
  NewReversion,
  type Revision,
  RevisionFilter,
  RevisionPage,
} from './schema.ts'

const tag = 'Editing'

/** Stands before the routes of one book, whose id would match these names. */
export const editing = factory
  .createApp()
  .get(
    '/duplicates',
    describeRoute({
      tag,
      summary: 'Books that may be there twice',
      description:
        'By a shared title or identifier. Merge them, or say that they are not the same. No two books have one ISBN, so none is a duplicate by that. A page looks through a part of the catalogue, and may hold few or none although there is a next.',
      responses: { 200: { description: 'A page of groups, in no order that means anything', schema: DuplicatesPage } },
    }),
    allow('GET /v1/books/duplicates'),
    valid('query', DuplicatesFilter),
    async (c) => answerPage<Duplicates>(c, await listDuplicates(c.var.db, c.req.valid('query'))),
  )
  .post(
    '/distinctions',
    describeRoute({
      tag,
      summary: 'Say that books are not the same',
      description: 'They are no duplicates of each other any more. A further book that joins them is looked at again.',
      responses: { 201: { description: 'Kept', schema: Distinction } },
      problems: ['book-not-found'],
    }),
    allow('POST /v1/books/distinctions'),
    valid('json', NewDistinction),
    idempotent(),
    async (c) => c.json(await distinguishBooks(c.var.db, c.req.valid('json'), c.var.claim), 201),
  )
  .post(
    '/changes',
    describeRoute({
      tag,
      summary: 'Change or remove many books',
      description: 'In the order given, each book once.',
      responses: { 200: { description: 'What became of each', schema: EditResults } },
      problems: ['book-not-found', 'precondition-failed', 'isbn-taken', 'book-on-loan', 'book-on-hold'],
    }),
    allow('POST /v1/books/changes'),
    valid('json', Edits),
    idempotent(),
    async (c) => c.json(await editBooks(c.var.db, c.req.valid('json'), c.var.claim), 200),
  )
  .get(
    '/:id/revisions',
    describeRoute({
      tag,
      summary: 'The history of a record',
      description: 'Each version: when, by whom, and what changed. Also of a book that was removed or merged.',
      responses: { 200: { description: 'A page of versions, the newest first', schema: RevisionPage } },
      problems: ['book-not-found'],
    }),
    allow('GET /v1/books/:id/revisions'),
    valid('param', IdParam),
    valid('query', RevisionFilter),
    async (c) =>
      answerPage<Revision>(
        c,
        await listRevisions(c.var.db, { bookId: c.req.valid('param').id, ...c.req.valid('query') }),
      ),
  )
  .post(
    '/:id/reversions',
    describeRoute({
      tag,
      summary: 'Take a record back to an earlier version',
      description: 'As a new version. It is refused when another book has one of its ISBNs by now.',
      responses: { 201: { description: 'The book as it is now', schema: Book, headers: { ETag: 'Its version' } } },
      problems: ['book-not-found', 'revision-not-found', 'isbn-taken'],
    }),
    allow('POST /v1/books/:id/reversions'),
    valid('param', IdParam),
    ifMatch(),
    valid('json', NewReversion),
    idempotent(),
    async (c) => {
      const { id } = c.req.valid('param')
      const { version } = c.req.valid('json')
      const book = await revertBook(c.var.db, { id, versions: c.var.versions, version }, c.var.claim)
      return c.json(book, 201, { etag: etagOf(book.version) })
    },
  )
  .post(
    '/:id/merges',
    describeRoute({
      tag,
      summary: 'Make another book part of this one',
      description:
        'Its copies, loans and holds move here, with its ISBNs and identifiers; what is empty here is filled from it, and nothing is overwritten. Its address leads here from now on. A patron who waits for both keeps the earlier place.',
      responses: { 201: { description: 'Merged', schema: Merge, headers: { ETag: 'The version of this book' } } },
      problems: ['book-not-found', 'same-book', 'both-on-loan', 'busy'],
    }),
    allow('POST /v1/books/:id/merges'),
    valid('param', IdParam),
    ifMatch(),
    valid('json', NewMerge),
    idempotent(),
    async (c) => {
      const { id } = c.req.valid('param')
      const merge = await mergeBooks(
        c.var.db,
        { id, versions: c.var.versions, merge: c.req.valid('json') },
        c.var.claim,
      )
      return c.json(merge, 201, { etag: etagOf(merge.version) })
    },
  )
