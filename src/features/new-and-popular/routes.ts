import { base64urlnopad } from '@scure/base'
import type { Context } from 'hono'
import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage, pageOf } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { sha256 } from '../../sha256.ts'
import { isNotModified } from '../../versions.ts'
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

/** As for the list of books. */
const REVALIDATE = 'public, no-cache'

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

type ToFeed = { title: string; publicUrl: string; books: Book[] }

async function answerFeed(c: Context, { title, publicUrl, books }: ToFeed) {
  const { pathname, search } = new URL(c.req.url)
  const atom = atomOf({ title, path: pathname + search, publicUrl, books })
  const etag = `"${base64urlnopad.encode((await sha256(atom)).slice(0, 16))}"`
  const headers = { etag, 'cache-control': REVALIDATE }
  if (isNotModified(c.req.header('if-none-match'), etag)) return c.body(null, 304, headers)
  return c.body(atom, 200, { ...headers, 'content-type': 'application/atom+xml' })
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
      const page = await listNewest(c.var.db, c.req.valid('query'))
      c.header('cache-control', REVALIDATE)
      return answerPage<Book>(c, page)
    },
  )
  .get(
    '/newest.atom',
    describeRoute({ tag, summary: 'What is new, as a feed', responses: feed }),
    allow('GET /v1/books/newest.atom'),
    valid('query', NewestFeedFilter),
    async (c) => {
      const books = itemsOf<Book>(await listNewest(c.var.db, { limit: FEED_LENGTH }))
      return answerFeed(c, { title: 'New books', publicUrl: c.var.config.publicUrl, books })
    },
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
      const page = await listPopular(c.var.db, c.req.valid('query'))
      c.header('cache-control', REVALIDATE)
      return answerPage<PopularBook>(c, page)
    },
  )
  .get(
    '/popular.atom',
    describeRoute({ tag, summary: 'What is borrowed most, as a feed', responses: feed }),
    allow('GET /v1/books/popular.atom'),
    valid('query', PopularFeedFilter),
    async (c) => {
      const popular = await listPopular(c.var.db, { ...c.req.valid('query'), limit: FEED_LENGTH })
      const books = itemsOf<PopularBook>(popular).map(({ book }) => book)
      return answerFeed(c, { title: 'Popular books', publicUrl: c.var.config.publicUrl, books })
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
      const related = await listRelated(c.var.db, { ...c.req.valid('param'), ...c.req.valid('query') })
      return c.json(related, 200, { 'cache-control': REVALIDATE })
    },
  )
