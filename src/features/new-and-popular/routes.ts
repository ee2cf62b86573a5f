import type { Context } from 'hono'
import { allow } from '../../actor.ts'
import { answerPublic } from '../../edge-cache.ts'
import { factory } from '../../factory.ts'
import { IdParam, valid } from '../../input.ts'
import { type Page, pageOf, type PageText, writePage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { tagOfBody } from '../../versions.ts'
import { Book } from '../books/schema.ts'
import { atomOf } from './feed.ts'
import { listNewest, listPopular, listRelated } from './queries.ts'
import {
  Feed,
  NewestFeedFilter,
  NewestFilter,
  type PopularBook,
  PopularFeedFilter,
  PopularFilter,
  PopularPage,
  RelatedBooks,
  RelatedFilter,
} from './schema.ts'

const tag = 'Books'

const FEED_LENGTH = 50

const feed = {
  200: {
    description: 'The feed',
    schema: Feed,
    mediaType: 'application/atom+xml',
    headers: { ETag: 'Of its content' },
  },
  304: { description: 'It is as it was: If-None-Match named its ETag' },
}

/** A feed at the address that was asked for. */
async function readFeed(c: Context, { title, publicUrl, books }: { title: string; publicUrl: string; books: Book[] }) {
  const { pathname, search } = new URL(c.req.url)
  const body = atomOf({ title, path: pathname + search, publicUrl, books })
  return { body, mediaType: 'application/atom+xml', tag: await tagOfBody(body) }
}

async function readList(c: Context, list: PageText) {
  const page = writePage(c.req.url, list)
  return { ...page, tag: await tagOfBody(page.body) }
}

const itemsOf = <T>({ items }: { items: string }): T[] => JSON.parse(items)

/** They stand before the routes of one book, whose ids are no such words. */
export const newAndPopular = factory
  .createApp()
  .get(
    '/newest',
    describeRoute({
      tag,
      summary: 'What is new in the catalogue',
      responses: { 200: { description: 'A page of books, the newest first', schema: pageOf(Book) } },
    }),
    allow('GET /v1/books/newest'),
    valid('query', NewestFilter),
    async (c) => {
      const filter = c.req.valid('query')
      return answerPublic<Page<Book>>(c, { route: 'GET /v1/books/newest', about: filter }, async () =>
        readList(c, await listNewest(c.var.db, filter)),
      )
    },
  )
  .get(
    '/newest.atom',
    describeRoute({ tag, summary: 'What is new, as a feed', responses: feed }),
    allow('GET /v1/books/newest.atom'),
    valid('query', NewestFeedFilter),
    async (c) =>
      answerPublic<string>(c, { route: 'GET /v1/books/newest.atom', about: {} }, async () => {
        const books = itemsOf<Book>(await listNewest(c.var.db, { limit: FEED_LENGTH }))
        return readFeed(c, { title: 'New books', publicUrl: c.var.config.publicUrl, books })
      }),
  )
  .get(
    '/popular',
    describeRoute({
      tag,
      summary: 'What is borrowed most',
      description:
        'Counted every quarter of an hour. What is asked for is looked for among the ten thousand most borrowed books.',
      responses: { 200: { description: 'A page of books, the most borrowed first', schema: PopularPage } },
    }),
    allow('GET /v1/books/popular'),
    valid('query', PopularFilter),
    async (c) => {
      const filter = c.req.valid('query')
      return answerPublic<Page<PopularBook>>(c, { route: 'GET /v1/books/popular', about: filter }, async () =>
        readList(c, await listPopular(c.var.db, filter)),
      )
    },
  )
  .get(
    '/popular.atom',
    describeRoute({ tag, summary: 'What is borrowed most, as a feed', responses: feed }),
    allow('GET /v1/books/popular.atom'),
    valid('query', PopularFeedFilter),
    async (c) => {
      const filter = c.req.valid('query')
      return answerPublic<string>(c, { route: 'GET /v1/books/popular.atom', about: filter }, async () => {
        const popular = await listPopular(c.var.db, { ...filter, limit: FEED_LENGTH })
        const books = itemsOf<PopularBook>(popular).map(({ book }) => book)
        return readFeed(c, { title: 'Popular books', publicUrl: c.var.config.publicUrl, books })
      })
    },
  )
  .get(
    '/:id/related',
    describeRoute({
      tag,
      summary: 'What goes with a book',
      description:
        'The rest of its series, beginning with what follows; what others borrowed with it; books by the same people; books on the same subjects. Two books count as borrowed together from three days on, so that nobody reads off here what one patron has borrowed.',
      responses: { 200: { description: 'Books, each with the reason', schema: RelatedBooks } },
      problems: ['book-not-found'],
    }),
    allow('GET /v1/books/:id/related'),
    valid('param', IdParam),
    valid('query', RelatedFilter),
    async (c) => {
      const of = { ...c.req.valid('param'), ...c.req.valid('query') }
      return answerPublic<RelatedBooks>(c, { route: 'GET /v1/books/:id/related', about: of }, async () => {
        const body = JSON.stringify(await listRelated(c.var.db, of))
        return { body, tag: await tagOfBody(body) }
      })
    },
  )
