import { allow } from '../../actor.ts'
import { answerPublic } from '../../edge-cache.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { writePage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { etagOf, ifMatch, tagOfBody } from '../../versions.ts'
import { orBookAsFile, orPageAsFile } from '../exports/negotiate.ts'
import { files } from '../exports/schema.ts'
import { changeBook, createBook, getBook, getBookByIsbn, removeBook } from './queries.ts'
import {
  Book,
  BookChange,
  bookForm,
  BookPage,
  BookQuery,
  IsbnParam,
  NewBook,
  SuggestQuery,
  Suggestions,
} from './schema.ts'
import { listBooks, suggest } from './search.ts'

const tag = 'Books'

/** As bookTag has it in SQL. */
const etag = ({ version, availability: { physical, digital, holds } }: Book) =>
  etagOf(version, bookForm, physical.copies, physical.available, digital.copies, digital.available, holds)

const oneBook = {
  200: { description: 'The book', schema: Book, headers: { ETag: 'Version and availability' } },
}

export const books = factory
  .createApp()
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'Search the catalogue',
      description: 'Accept also names the formats of `GET /v1/books/exports/{format}`, for the page.',
      responses: { 200: { description: 'A page of books', schema: BookPage, or: files } },
    }),
    allow('GET /v1/books'),
    valid('query', BookQuery),
    orPageAsFile(),
    async (c) => {
      const filter = c.req.valid('query')
      const ofThisMoment = filter.available !== undefined
      return answerPublic<BookPage>(c, { route: 'GET /v1/books', about: filter, ofThisMoment }, async () => {
        const { beside, ...list } = await listBooks(c.var.db, filter)
        const page = writePage(c.req.url, list, beside)
        return { ...page, tag: await tagOfBody(page.body) }
      })
    },
  )
  .get(
    '/suggest',
    describeRoute({
      tag,
      summary: 'What somebody may be typing',
      description: 'Titles, names, subjects and series that begin so, or have a word that does, the most used first.',
      responses: { 200: { description: 'Suggestions', schema: Suggestions } },
    }),
    allow('GET /v1/books/suggest'),
    valid('query', SuggestQuery),
    async (c) => {
      const query = c.req.valid('query')
      return answerPublic<Suggestions>(c, { route: 'GET /v1/books/suggest', about: query }, async () => {
        const body = await suggest(c.var.db, query)
        return { body, tag: await tagOfBody(body) }
      })
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
    async (c) => {
      const { isbn } = c.req.valid('param')
      return answerPublic<Book>(c, { route: 'GET /v1/books/isbn/:isbn', about: { isbn } }, (unless) =>
        getBookByIsbn(c.var.db, { isbn, unless }),
      )
    },
  )
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'A book',
      description: 'Accept also names the formats of `GET /v1/books/{id}/exports/{format}`.',
      responses: { ...oneBook, 200: { ...oneBook[200], or: files } },
      problems: ['book-not-found', 'book-merged'],
    }),
    allow('GET /v1/books/:id'),
    valid('param', IdParam),
    orBookAsFile(),
    async (c) => {
      const { id } = c.req.valid('param')
      return answerPublic<Book>(c, { route: 'GET /v1/books/:id', about: { id } }, (unless) =>
        getBook(c.var.db, { id, unless }),
      )
    },
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
