import type { Context } from 'hono'
import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { etagOf, ifMatch, isNotModified } from '../../versions.ts'
import { changeBook, createBook, getBook, getBookByIsbn, listBooks, removeBook } from './queries.ts'
import { Book, BookChange, BookFilter, BookPage, IsbnParam, NewBook } from './schema.ts'

const tag = 'Books'

/** What anyone may read may be stored, but availability makes it ask again each time. */
const REVALIDATE = 'public, no-cache'

const etag = ({ version, availability: { physical, digital, holds } }: Book) =>
  etagOf(version, physical.copies, physical.available, digital.copies, digital.available, holds)

const headersOf = (book: Book) => ({ etag: etag(book), 'cache-control': REVALIDATE })

function answerBook(c: Context, book: Book) {
  if (isNotModified(c.req.header('if-none-match'), etag(book))) return c.body(null, 304, headersOf(book))
  return c.json(book, 200, headersOf(book))
}

const oneBook = {
  200: { description: 'The book', schema: Book, headers: { ETag: 'Version and availability' } },
  304: { description: 'It is as it was: If-None-Match named its ETag' },
}

export const books = factory
  .createApp()
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'Search the catalogue',
      responses: { 200: { description: 'A page of books', schema: BookPage } },
    }),
    allow('GET /v1/books'),
    valid('query', BookFilter),
    async (c) => {
      const page = await listBooks(c.var.db, c.req.valid('query'))
      c.header('cache-control', REVALIDATE)
      return answerPage<Book>(c, page)
    },
  )
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Catalogue a book',
      responses: {
        201: { description: 'Catalogued', schema: Book, headers: { ETag: 'Its version', Location: 'Its address' } },
      },
      problems: ['isbn-taken'],
    }),
    allow('POST /v1/books'),
    valid('json', NewBook),
    idempotent(),
    async (c) => {
      const book = await createBook(c.var.db, c.req.valid('json'), c.var.claim)
      return c.json(book, 201, { location: `/v1/books/${book.id}`, etag: etag(book) })
    },
  )
  .get(
    '/isbn/:isbn',
    describeRoute({
      tag,
      summary: 'A book by its ISBN',
      description: 'ISBN-10 or ISBN-13, with or without hyphens; either finds a book that has the other.',
      responses: oneBook,
      problems: ['book-not-found'],
    }),
    allow('GET /v1/books/isbn/:isbn'),
    valid('param', IsbnParam),
    async (c) => answerBook(c, await getBookByIsbn(c.var.db, c.req.valid('param'))),
  )
  .get(
    '/:id',
    describeRoute({ tag, summary: 'A book', responses: oneBook, problems: ['book-not-found', 'book-merged'] }),
    allow('GET /v1/books/:id'),
    valid('param', IdParam),
    async (c) => answerBook(c, await getBook(c.var.db, c.req.valid('param'))),
  )
  .patch(
    '/:id',
    describeRoute({
      tag,
      summary: 'Change a book',
      responses: { 200: { description: 'The book as it is now', schema: Book, headers: { ETag: 'Its version' } } },
      problems: ['book-not-found', 'isbn-taken'],
    }),
    allow('PATCH /v1/books/:id'),
    valid('param', IdParam),
    ifMatch(),
    valid('json', BookChange),
    async (c) => {
      const { id } = c.req.valid('param')
      const book = await changeBook(c.var.db, { id, versions: c.var.versions, change: c.req.valid('json') })
      return c.json(book, 200, { etag: etag(book) })
    },
  )
  .delete(
    '/:id',
    describeRoute({
      tag,
      summary: 'Remove a book and its copies',
      responses: { 204: { description: 'Removed' } },
      problems: ['book-not-found', 'book-on-loan', 'book-on-hold'],
    }),
    allow('DELETE /v1/books/:id'),
    valid('param', IdParam),
    ifMatch(),
    async (c) => {
      await removeBook(c.var.db, { ...c.req.valid('param'), versions: c.var.versions })
      return c.body(null, 204)
    },
  )
