import { Client } from 'pg'
import { table } from '../table.ts'
import { knownItems } from './known-items.ts'
import { random, withTypos } from './typos.ts'

/** How many of what people type finds the book that they mean, and among how many. */

const WITHIN = [1, 3, 10, 20]
const TYPOS = 300

export async function findKnownItems(url: string): Promise<string> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('set client_min_messages = warning')
  const search = async (typed: string) => {
    const { rows } = await client.query<{ title: string; title_key: string }>(
      `select b.title, s.title_key
       from find_books(search_request($1, null, null, '{}', null, null, null, null, false, true), null, 20)
         with ordinality as m (way, tier, score, book_id, place)
       join books b on b.id = m.book_id
       join book_search s on s.book_id = m.book_id
       order by m.place`,
      [typed],
    )
    return rows
  }

  const known = await Promise.all(
    knownItems.map(async ([typed, title]) => {
      const rows = await search(typed)
      return { typed, title, place: rows.findIndex((row) => row.title.startsWith(title)) }
    }),
  )
  const next = random(7)
  const { rows: titles } = await client.query<{ title_key: string }>(
    `select title_key from book_search where title_key ~ '^[a-z0-9 ]+$' order by book_id`,
  )
  const misspelt: { typed: string; title: string; place: number }[] = []
  for (let n = 0; n < TYPOS; n++) {
    const title = titles[Math.floor(next() * titles.length)]?.title_key ?? ''
    const typed = withTypos(title, next)
    const rows = await search(typed)
    misspelt.push({ typed, title, place: rows.findIndex((row) => row.title_key === title) })
  }
  await client.end()

  const rates = (found: { place: number }[]) =>
    WITHIN.map((within) => {
      const hits = found.filter(({ place }) => place >= 0 && place < within).length
      return `${Math.round((100 * hits) / found.length)} %`
    })
  const misses = [...known, ...misspelt].filter(({ place }) => place < 0 || place >= 10)
  return [
    '\n## Known books among 10,000\n',
    table(
      ['found among the first', ...WITHIN.map(String)],
      [
        [`${known.length} searches as people type them`, ...rates(known)],
        [`${misspelt.length} titles with a typing error in every word`, ...rates(misspelt)],
      ],
    ),
    'Not among the first ten:\n',
    ...misses.map(({ typed, title }) => `- ${typed} (${title})`),
  ].join('\n')
}
