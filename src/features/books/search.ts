import { type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../../db/client.ts'
import { books } from '../../db/schema.ts'
import { makeCursor, readCursor } from '../../page.ts'
import { readIsbn } from './isbn.ts'
import { bookJson } from './queries.ts'
import type { BookFilter, BookQuery, SuggestQuery } from './schema.ts'

/** Searches of the catalogue. How they are quick and in which order they answer: drizzle/0010_search.sql. */

/** As many are counted; of more, the facets are those of so many. */
const COUNTED = 1000

/** Where a page of matches ended: way, tier, score and id; of another order, the key and the id. */
const Match = z.tuple([z.int().min(1).max(6), z.int().min(0).max(5), z.number(), z.uuid()])

const Smallint = z.int().min(-32_768).max(32_767)
const keys = {
  title: z.string(),
  '-title': z.string(),
  year: Smallint,
  '-year': Smallint,
  newest: z.uuid(),
  popular: z.number().min(-1e30).max(0),
} satisfies Record<Exclude<NonNullable<BookFilter['sort']>, 'relevance'>, z.ZodType<string | number>>

type Row = { items: string; last: unknown; did_you_mean: string | null } & Record<
  'total' | 'facets' | 'highlights',
  string | null
>

export type Listed = { items: string; nextCursor: string | null; beside: Record<string, string> }

export async function listBooks(db: Db, filter: BookQuery): Promise<Listed> {
  const { q, limit, facets = false, highlights = false } = filter
  const isFirst = filter.cursor === undefined
  const row = await db.row<Row>(sql`
    with ${foundBy(filter)},
    spelt as materialized (
      select did_you_mean((select (r).line from asked), f.book_id) as q
      from found f
      where f.way = 6 and ${isFirst}
      order by f.place
      limit 1
    )
    select
      (
        select coalesce(json_agg(${bookJson} order by f.place), '[]')::text
        from found f
        join ${books} b on b.id = f.book_id
        where f.place <= ${limit}
      ) as items,
      (select f.key from found f where f.place = ${limit} and exists (select from found where place > ${limit})) as last,
      (select q from spelt) as did_you_mean,
      ${facets ? sql`counted.total` : sql`null`} as total,
      ${facets ? sql`counted.facets::text` : sql`null`} as facets,
      ${highlights && q !== undefined ? highlightsOf(q, limit) : sql`null`} as highlights
    from asked
    ${facets ? sql`cross join lateral count_books(asked.r, ${COUNTED}) as counted` : sql``}`)
  return {
    items: row.items,
    nextCursor: row.last === null ? null : makeCursor(row.last),
    beside: besideOf(row),
  }
}

function besideOf({ did_you_mean: didYouMean, total, facets, highlights }: Row): Record<string, string> {
  const counted = Number(total)
  const isExact = counted <= COUNTED
  return {
    didYouMean: JSON.stringify(didYouMean),
    ...(total !== null && { total: JSON.stringify({ count: Math.min(counted, COUNTED), isExact }) }),
    ...(facets !== null && { facets: JSON.stringify({ isExact, ...JSON.parse(facets) }) }),
    ...(highlights !== null && { highlights }),
  }
}

/** What a statement begins with: `asked`, and `found` with the books after the cursor, one more than the limit if there are so
 *  many: book_id, way, the key to go on from and the place. */
export function foundBy(filter: BookFilter): SQL {
  const sort = filter.sort ?? (filter.q === undefined ? 'newest' : 'relevance')
  const isByRelevance = sort === 'relevance' && filter.q !== undefined
  return sql`
    asked as materialized (select ${requestOf(filter)} as r),
    found as materialized (${isByRelevance ? foundByRelevance(filter) : foundInOrder(filter, sort)})`
}

function requestOf({
  q,
  exact,
  language,
  subject,
  author,
  series,
  yearFrom,
  yearTo,
  format,
  available,
}: BookFilter): SQL {
  const isbn = q === undefined ? null : readIsbn(q)
  const facets = [
    ...(language === undefined ? [] : [sql`'language:' || ${language}`]),
    ...(subject === undefined ? [] : [sql`'subject:' || fold(${subject})`]),
    ...(series === undefined ? [] : [sql`'series:' || fold(${series})`]),
  ]
  return sql`search_request(
    ${q ?? null}, ${isbn}, ${language ?? null}, array[${sql.join(facets, sql`, `)}]::text[], ${author ?? null},
    ${yearFrom ?? null}::smallint, ${yearTo ?? null}::smallint, ${format ?? null}, ${available === true}, ${exact !== true}
  )`
}

function foundByRelevance({ cursor, limit }: BookFilter): SQL {
  const after = readCursor(Match, cursor)
  const match = after === null ? sql`null` : sql`row(${after[0]}, ${after[1]}, ${after[2]}, ${after[3]})::book_match`
  return sql`
    select m.book_id, m.way, json_build_array(m.way, m.tier, m.score, m.book_id) as key, m.place
    from asked, find_books(asked.r, ${match}, ${limit + 1})
      with ordinality as m (way, tier, score, book_id, place)`
}

function foundInOrder({ cursor, limit }: BookFilter, sort: NonNullable<BookFilter['sort']>): SQL {
  const order = sort === 'relevance' ? 'popular' : sort
  const after = readCursor(z.tuple([keys[order], z.uuid()]), cursor)
  const key = order === 'year' || order === '-year' || order === 'popular' ? sql`m.key::float8` : sql`m.key`
  return sql`
    select m.book_id, 0 as way, json_build_array(${key}, m.book_id) as key, m.place
    from asked, sort_books(asked.r, ${order}, ${after === null ? null : String(after[0])}, ${after?.[1] ?? null}, ${limit + 1})
      with ordinality as m (key, book_id, place)`
}

/** Of what was typed, or of how it is spelt where that is what was found. */
const highlightsOf = (q: string, limit: number) => sql`(
  select coalesce(json_object_agg(b.id, json_build_object(
    'title', highlight(b.title, w.words, 'HighlightAll=true'),
    'description', case when b.description is not null then
      highlight(b.description, w.words, 'MaxFragments=1, MinWords=15, MaxWords=35')
    end
  )), '{}')::text
  from found f
  join ${books} b on b.id = f.book_id
  cross join (select query_of(coalesce((select q from spelt), ${q}), null) as words) as w
  where f.place <= ${limit}
)`

/** As JSON. */
export async function suggest(db: Db, { q, limit }: SuggestQuery): Promise<string> {
  const { body } = await db.row<{ body: string }>(sql`
    select json_build_object(
      'titles', (
        select coalesce(json_agg(json_build_object(
          'id', b.id, 'title', b.title,
          'contributors', (select coalesce(json_agg(c -> 'name'), '[]') from jsonb_array_elements(b.contributors) as c)
        ) order by t.place), '[]')
        from unnest(suggest_titles(typed.line, ${limit})) with ordinality as t (id, place)
        join ${books} b on b.id = t.id
      ),
      'authors', suggest_headings('author', typed.key, ${limit}),
      'subjects', suggest_headings('subject', typed.key, ${limit}),
      'series', suggest_headings('series', typed.key, ${limit})
    )::text as body
    from (select title_line(${q}) as line, fold(${q}) as key) as typed`)
  return body
}
