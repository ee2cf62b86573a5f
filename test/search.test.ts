import { beforeAll, describe, expect, test } from 'vitest'
import { configOf } from '../src/config.ts'
import type { Suggestions } from '../src/features/books/schema.ts'
import { runTasks } from '../src/scheduled.ts'
import { aLibraryApart } from './support/laboratory.ts'

/** What a catalogue of its own answers to what people type: the book they mean comes first, typing errors are forgiven, and
 *  what is counted is true. */

type Found = {
  items: { id: string; title: string }[]
  next: string | null
  didYouMean: string | null
  total?: { count: number; isExact: boolean }
  facets?: Record<string, { value: string; count: number }[]> & { isExact: boolean; available: number }
  highlights?: Record<string, Record<'title' | 'description', { text: string; isMatch: boolean }[]>>
}

let library: Awaited<ReturnType<typeof aLibraryApart>>
const ids = new Map<string, string>()

const find = async (query: Record<string, string>) => {
  const { status, body, text } = await library.ask<Found>('GET', `/v1/books?${new URLSearchParams(query).toString()}`)
  expect(status, text).toBe(200)
  return body
}
const titles = async (q: string, more: Record<string, string> = {}) =>
  (await find({ q, ...more })).items.map(({ title }) => title)
const suggest = async (q: string) =>
  (await library.ask<Suggestions>('GET', `/v1/books/suggest?${new URLSearchParams({ q }).toString()}`)).body

const by = (...names: string[]) => names.map((name) => ({ name, role: 'author' }))
const shelf: ({ title: string } & Record<string, unknown>)[] = [
  {
    title: 'Pride and Prejudice',
    contributors: by('Jane Austen'),
    language: 'en',
    publishedYear: 1813,
    isbns: ['9780141439518'],
    copies: 1,
  },
  {
    title: 'Pride and Prejudice and Zombies',
    contributors: by('Jane Austen', 'Seth Grahame-Smith'),
    language: 'en',
    publishedYear: 2009,
  },
  { title: 'The Annotated Pride and Prejudice', contributors: by('Jane Austen'), language: 'en', publishedYear: 2004 },
  {
    title: 'Emma',
    contributors: by('Jane Austen'),
    language: 'en',
    publishedYear: 1815,
    series: [{ name: 'Penguin Classics', number: '3' }],
    licences: 1,
  },
  { title: 'Emma Brown', contributors: by('Clare Boylan'), language: 'en', publishedYear: 2003 },
  { title: 'The Art of War', contributors: by('Sun Tzu'), language: 'en', description: 'How Emma would fight.' },
  { title: 'Artemis', contributors: by('Andy Weir'), language: 'en', subjects: ['Moon -- Fiction'] },
  { title: 'Fahrenheit 451', contributors: by('Ray Bradbury'), language: 'en' },
  {
    title: 'Les Misérables',
    contributors: by('Victor Hugo'),
    language: 'fr',
    description: 'Des chevaux et des nationalités.',
  },
  { title: 'Die Häuser', contributors: by('Anna Müller'), language: 'de' },
  {
    title: 'The Housekeeper and the Professor',
    contributors: by('Yōko Ogawa'),
    originalScript: { title: '博士の愛した数式', contributors: ['小川洋子'] },
  },
]

beforeAll(async () => {
  library = await aLibraryApart()
  for (const { copies = 0, licences = 0, ...record } of shelf) {
    const book = await library.aBook({ ...record, copies: Number(copies), licences: Number(licences) })
    ids.set(record.title, book.id)
  }
  await runTasks(configOf(library.env))
}, 60_000)

describe('the book that is meant', () => {
  test.each([
    ['pride and prejudice', 'Pride and Prejudice'],
    ['PRIDE AND PREJUDICE', 'Pride and Prejudice'],
    ['prejudice austen', 'Pride and Prejudice'],
    ['emma', 'Emma'],
    ['art of war', 'The Art of War'],
    ['fahrenheit-451', 'Fahrenheit 451'],
    ['muller häuser', 'Die Häuser'],
    ['haus', 'Die Häuser'],
    ['cheval misérable', 'Les Misérables'],
    ['博士', 'The Housekeeper and the Professor'],
    ['小川', 'The Housekeeper and the Professor'],
    ['978-0-14-143951-8', 'Pride and Prejudice'],
    ['0141439513', 'Pride and Prejudice'],
    ['penguin classics', 'Emma'],
    ['moon fiction', 'Artemis'],
  ])('%s', async (q, title) => {
    const language = q.startsWith('haus') ? { language: 'de' } : q.startsWith('cheval') ? { language: 'fr' } : {}
    expect((await titles(q, { exact: 'true', ...language }))[0]).toBe(title)
  })

  test('the title itself, what begins with it, what has its words, and what tells of it come in that order', async () => {
    expect(await titles('pride and prejudice')).toEqual([
      'Pride and Prejudice',
      'Pride and Prejudice and Zombies',
      'The Annotated Pride and Prejudice',
    ])
    expect(await titles('emma')).toEqual(['Emma', 'Emma Brown', 'The Art of War'])
  })

  test('an ISBN that no book has finds nothing, and filters count beside one', async () => {
    expect(await titles('9780306406157')).toEqual([])
    expect(await titles('9780141439518', { language: 'fr' })).toEqual([])
    expect(await titles('9780141439518', { yearTo: '1813' })).toEqual(['Pride and Prejudice'])
  })
})

describe('typing', () => {
  test.each([
    ['prid and prejudce', 'Pride and Prejudice', 'pride and prejudice'],
    ['jnae austen zombeis', 'Pride and Prejudice and Zombies', 'jane austen zombies'],
    ['farenheit 451', 'Fahrenheit 451', 'fahrenheit 451'],
    ['houskeeper profesor', 'The Housekeeper and the Professor', 'housekeeper professor'],
    ['miserables hugoo', 'Les Misérables', 'miserables hugo'],
  ])('%s finds what was meant, and says so', async (q, title, didYouMean) => {
    const found = await find({ q })
    expect([found.items[0]?.title, found.didYouMean]).toEqual([title, didYouMean])
    expect(await find({ q, exact: 'true' })).toEqual({ items: [], next: null, didYouMean: null })
    const again = await find({ q: didYouMean })
    expect([again.items[0]?.title, again.didYouMean]).toEqual([title, null])
  })

  test('what a book is filed under is no word of it', async () => {
    for (const q of ['emma form', 'emma langu', 'emma decad', 'emma year', 'emma auth']) {
      expect((await suggest(q)).titles, q).toEqual([])
    }
  })

  test('a last word that goes on is found', async () => {
    expect(await titles('fahren')).toEqual(['Fahrenheit 451'])
    expect(await titles('jane austen zom')).toContain('Pride and Prejudice and Zombies')
  })

  test.each([
    'qqqqq wwwww',
    'a',
    '-',
    '"',
    'or or or',
    'the',
    `${'x'.repeat(60)} ${'y'.repeat(60)}`,
    'é',
    '1',
    'ab cd ef gh ij kl',
  ])('%s is answered', async (q) => {
    const found = await find({ q, facets: 'true', highlights: 'true' })
    expect(found.items.length).toBeLessThan(12)
  })
})

test('what was found in a text is shown in pieces that make the text', async () => {
  const { highlights } = await find({ q: 'emma', highlights: 'true' })
  const of = (title: string) => highlights?.[ids.get(title) ?? '']
  expect(of('Emma Brown')?.title).toEqual([
    { text: 'Emma', isMatch: true },
    { text: ' Brown', isMatch: false },
  ])
  expect(of('The Art of War')?.description.filter(({ isMatch }) => isMatch)).toEqual([{ text: 'Emma', isMatch: true }])
  expect(
    of('The Art of War')
      ?.description.map(({ text }) => text)
      .join(''),
  ).toBe('Emma would fight')
  const spelt = await find({ q: 'misarables', highlights: 'true' })
  expect(spelt.highlights?.[ids.get('Les Misérables') ?? '']?.title).toContainEqual({
    text: 'Misérables',
    isMatch: true,
  })
})

test('facets count what was found, and each is a filter that finds as many', async () => {
  const { total, facets } = await find({ q: 'austen', facets: 'true' })
  expect(total).toEqual({ count: 4, isExact: true })
  expect(facets).toMatchObject({
    isExact: true,
    available: 2,
    authors: [
      { value: 'Jane Austen', count: 4 },
      { value: 'Seth Grahame-Smith', count: 1 },
    ],
    languages: [{ value: 'en', count: 4 }],
    series: [{ value: 'Penguin Classics', count: 1 }],
    formats: [
      { value: 'digital', count: 1 },
      { value: 'physical', count: 1 },
    ],
  })
  expect(facets?.['years']).toHaveLength(4)
  expect(await titles('austen', { available: 'true' })).toHaveLength(2)
  expect(await titles('austen', { format: 'digital' })).toEqual(['Emma'])
  expect(await titles('austen', { series: 'penguin CLASSICS' })).toEqual(['Emma'])
  const all = await find({ facets: 'true', subject: 'moon -- fiction' })
  expect([all.total, all.items.map(({ title }) => title)]).toEqual([{ count: 1, isExact: true }, ['Artemis']])
})

describe('suggestions', () => {
  test('titles, names, subjects and series that begin so, or have such a word', async () => {
    expect((await suggest('pri')).titles.map(({ title }) => title)).toEqual([
      'Pride and Prejudice',
      'Pride and Prejudice and Zombies',
      'The Annotated Pride and Prejudice',
    ])
    expect((await suggest('the art')).titles[0]?.title).toBe('The Art of War')
    expect(await suggest('aus')).toMatchObject({ authors: ['Jane Austen'] })
    expect(await suggest('jane a')).toMatchObject({ authors: ['Jane Austen'] })
    expect(await suggest('moo')).toMatchObject({ subjects: ['Moon -- Fiction'] })
    expect(await suggest('cla')).toMatchObject({ authors: ['Clare Boylan'], series: ['Penguin Classics'] })
    expect((await suggest('misé')).titles[0]?.title).toBe('Les Misérables')
  })

  test.each(['%', '_', "'", '\\', ':', '🦉', '-', 'a'])('%s is answered', async (q) => {
    expect(Object.keys(await suggest(q))).toEqual(['titles', 'authors', 'subjects', 'series'])
  })

  test('nobody is suggested of whom there is no book any more', async () => {
    const { id } = await library.aBook({ title: 'Gone', contributors: by('Zadok Vanished') })
    await runTasks(configOf(library.env))
    expect((await suggest('zado')).authors).toEqual(['Zadok Vanished'])
    const headers = { 'if-match': '*' }
    await library.ask('DELETE', `/v1/books/${id}`, { token: (await library.theStaff()).token, headers })
    expect(await suggest('zado')).toEqual({ titles: [], authors: [], subjects: [], series: [] })
    expect(await titles('gone')).toEqual([])
  })
})

describe('a catalogue of many', () => {
  const COUNT = 1_400
  let many: typeof library
  beforeAll(async () => {
    many = await aLibraryApart()
    // Every seventh is by somebody whose name the others have only in their description, in its title too or not.
    await many.database`
      insert into books (title, contributors, description, published_year, language)
      select
        case when n % 5 = 0 then 'Winter ' else 'Tale ' end || n,
        case when n % 7 = 0 then '[{"name": "Ana Winter", "role": "author"}]'::jsonb else '[]' end,
        'A winter of ' || n, 1900 + n % 100, 'en'
      from generate_series(1, ${COUNT}::integer) as n`
    await many.database`update book_search set popularity = (abs(hashtext(book_id::text)) % 1000) / 10.0`
    await runTasks(configOf(many.env))
  }, 60_000)

  const walk = async (query: string) => {
    const seen: string[] = []
    let path: string | null = `/v1/books?${query}&limit=100`
    while (path !== null) {
      const { body }: { body: Found } = await many.ask<Found>('GET', path)
      seen.push(...body.items.map(({ id }) => id))
      path = body.next
    }
    return seen
  }

  test('the most borrowed are asked first', async () => {
    const rows =
      await many.database`select tier, count(*)::integer as books from book_search group by tier order by tier`
    expect(rows).toEqual([
      { tier: 0, books: 512 },
      { tier: 1, books: COUNT - 512 },
    ])
  })

  test.each(['relevance', 'title', '-title', 'year', '-year', 'newest', 'popular'])(
    'its pages by %s hold every book once',
    async (sort) => {
      const seen = await walk(`q=winter&sort=${sort}`)
      expect([seen.length, new Set(seen).size]).toEqual([COUNT, COUNT])
    },
  )

  test('its pages without words do too, alone and filtered', async () => {
    expect(new Set(await walk('sort=popular')).size).toBe(COUNT)
    const some = await walk('sort=popular&yearFrom=1910&yearTo=1919')
    expect([some.length, new Set(some).size]).toEqual([140, 140])
  })

  test('more than a thousand are counted as that, and the facets say that they are not all', async () => {
    const { body } = await many.ask<Found>('GET', '/v1/books?q=winter&facets=true&limit=1')
    expect(body.total).toEqual({ count: 1000, isExact: false })
    expect(body.facets?.isExact).toBe(false)
    expect(body.facets?.['languages']).toEqual([{ value: 'en', count: 1000 }])
  })
})
