import type { Client } from 'pg'
import { random } from './typos.ts'

/** Fills an empty catalogue quickly: what searches is made afterwards, for all books at once. */
export async function load(client: Client, records: Iterable<object>, note: (what: string) => void) {
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(`
    select indexname as name, indexdef as definition from pg_indexes
    where tablename = 'book_search' and indexname <> 'book_search_pkey' or indexname = 'books_by_subject'`)
  for (const { name } of indexes) await client.query(`drop index ${name}`)
  await client.query('alter table books disable trigger all; alter table copies disable trigger all')
  let batch: object[] = []
  let count = 0
  const write = async () => {
    await client.query(
      `with made as (
         select (insert_book(r.value)).id from jsonb_array_elements($1::jsonb) as r (value)
       )
       insert into copies (book_id, format) select id, 'digital' from made`,
      [JSON.stringify(batch)],
    )
    count += batch.length
    batch = []
    if (count % 50_000 === 0) note(`${count} books`)
  }
  for (const record of records) {
    batch.push(record)
    if (batch.length === 1000) await write()
  }
  if (batch.length > 0) await write()
  await client.query('alter table books enable trigger all; alter table copies enable trigger all')

  for (let from = 0; from < count; from += 50_000) {
    await client.query(
      `insert into book_search (book_id, title_key, published_year, names, words, facets)
       select b.id, title_line(b.title), b.published_year, n.names, n.names || words_of(b.description, b.language, 'D'), f.facets
       from (select * from books order by id offset $1 limit 50000) as b
       cross join lateral (select facets_of(b.*::books) || array['format:digital'] as facets) as f
       cross join lateral (
         select words_of(concat_ws(' ', b.title, b.subtitle), b.language, 'A')
           || words_of(texts_of(b.contributors, 'name'), b.language, 'B')
           || words_of(texts_of(b.series, 'name'), b.language, 'C')
           || words_of(join_texts(b.subjects), b.language, 'D') || filed_under(f.facets) as names
       ) as n`,
      [from],
    )
    note(`${from + 50_000} made searchable`)
  }
  const next = random(5)
  await client.query('select setseed($1)', [next()])
  // A fifth has been borrowed, few of them often.
  await client.query(
    `
    update book_search s set popularity = p.popularity, tier = tier_at(p.place)
    from (
      select book_id, place, case when place < $1 / 5 then 5000.0 / place else 0 end as popularity
      from (select book_id, row_number() over (order by random()) as place from book_search) as r
    ) as p
    where s.book_id = p.book_id`,
    [count],
  )
  await client.query('insert into unlearned_books select book_id from book_search')
  note('tiers')
  await client.query('vacuum full book_search')
  await client.query("set maintenance_work_mem = '512MB'")
  for (const { name, definition } of indexes) {
    await client.query(definition)
    note(name)
  }
  for (;;) {
    const { rows } = await client.query<{ count: number }>('select learn_books(20000) as count')
    if (rows[0]?.count === 0) break
    note(`learned ${rows[0]?.count}`)
  }
  await client.query('vacuum analyze')
}
