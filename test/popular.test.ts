import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Book } from '../src/features/books/schema.ts'
import type { PopularBook, RelatedBooks } from '../src/features/new-and-popular/schema.ts'
import type { Page } from '../src/page.ts'
import { aLibraryWithClock } from './support/clock.ts'
import { type Library, type Person, problemOf } from './support/library.ts'

type Named = { id: string; title: string }

/** Until all that is over has been counted. */
async function count({ database }: Library) {
  await vi.waitFor(
    async () => {
      await database`select gather_figures(1000), gather_pairs(1000)`
      const rest = await database`
        select from events e, figures_progress p where (e.transaction_id, e.id) > (p.transaction_id, p.event_id)`
      expect(rest).toEqual([])
    },
    { timeout: 20_000, interval: 20 },
  )
}

let library: Awaited<ReturnType<typeof aLibraryWithClock>>
beforeAll(async () => {
  library = await aLibraryWithClock('2026-06-01T10:00:00Z', {
    statements: ['update policies set loan_limit = 100, overdue_limit = 1000, fee_limit = null'],
  })
})
afterAll(() => library.drop())

async function get<T>(path: string): Promise<T> {
  const answer = await library.ask<T>('GET', path)
  expect(answer.status, answer.text).toBe(200)
  expect(answer.headers.get('cache-control')).toMatch(/^public, max-age=0, s-maxage=/)
  return answer.body
}

/** A list to its end, two at a time. */
async function whole<T>(path: string): Promise<T[]> {
  const items: T[] = []
  for (let next: string | null = path; next !== null;) {
    const page: Page<T> = await get<Page<T>>(next)
    expect(page.items.length).toBeLessThanOrEqual(2)
    items.push(...page.items)
    next = page.next
  }
  return items
}

const word = () => `w${crypto.randomUUID().replaceAll('-', '').slice(0, 14)}`

describe('the newest books', () => {
  test('come first, each once, and without what was removed', async () => {
    const { aBook, ask, theStaff } = library
    const books = [await aBook(), await aBook(), await aBook(), await aBook()]
    const { token } = await theStaff()
    await ask('DELETE', `/v1/books/${books[1]?.id}`, { token, headers: { 'if-match': '*' } })
    const ids = (await whole<Book>('/v1/books/newest?limit=2')).map(({ id }) => id)
    expect(ids.slice(0, 3)).toEqual([books[3], books[2], books[0]].map((book) => book?.id))
    expect(ids).not.toContain(books[1]?.id)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('are what the list of books has by the same order', async () => {
    const { items } = await get<Page<Book>>('/v1/books/newest?limit=3')
    expect(items).toEqual((await get<Page<Book>>('/v1/books?sort=newest&limit=3')).items)
  })
})

describe('the most borrowed books', () => {
  const popular = async (query: string) =>
    (await whole<PopularBook>(`/v1/books/popular?limit=2&${query}`)).map(({ loans, book }) => [book.title, loans])

  test('are those of the days asked for, of a subject, a language and a format', async () => {
    const { aBook, aLoan, aPatron, database, giveBack, pass, queue } = library
    const subject = word()
    const lend = async (book: Book, times: number) => {
      for (let n = 0; n < times; n++) {
        const patron = await aPatron()
        await giveBack(patron, await aLoan(patron, book))
      }
    }
    const [once, often, digital, never] = [
      await aBook({ title: 'Once', subjects: [subject], language: 'en' }),
      await aBook({ title: 'Often', subjects: [subject.toUpperCase()], language: 'de' }),
      await aBook({ title: 'Digital', subjects: [subject], copies: 0, licences: 1 }),
      await aBook({ title: 'Never', subjects: [subject] }),
    ]
    await lend(often, 3)
    await pass(40)
    await lend(digital, 2)
    await lend(once, 1)
    await pass(10)
    await lend(once, 1)
    expect((await queue(await aPatron(), never)).status).toBe(409)
    await count(library)
    const of = `subject=${subject}`
    expect(await popular(`${of}&days=7`)).toEqual([['Once', 1]])
    expect(await popular(of)).toEqual([
      ['Digital', 2],
      ['Once', 2],
    ])
    expect(await popular(`${of}&days=90`)).toEqual([
      ['Often', 3],
      ['Digital', 2],
      ['Once', 2],
    ])
    expect(await popular(`${of}&days=90&language=de`)).toEqual([['Often', 3]])
    expect(await popular(`${of}&days=90&format=digital`)).toEqual([['Digital', 2]])

    // A loan of 50 days ago counts less than a third of one of today; a twentieth more or less is left as it was.
    const recent = async (book: Book) => {
      const [row] = await database`select popularity from book_search where book_id = ${book.id}`
      return Number(row?.['popularity'])
    }
    const expectRecent = async (book: Book, popularity: number) =>
      expect(Math.abs((await recent(book)) / popularity - 1)).toBeLessThan(0.06)
    await expectRecent(often, 3 * 2 ** (-50 / 30))
    await expectRecent(once, 1 + 2 ** (-10 / 30))
    await pass(39)
    await expectRecent(often, 3 * 2 ** (-89 / 30))
    expect(await popular(`${of}&days=7`)).toEqual([])
    await pass(1)
    expect(await recent(often)).toBe(0)
    expect(await popular(`${of}&days=90`)).toEqual([
      ['Digital', 2],
      ['Once', 2],
    ])
    await pass(60)
    expect(await popular(`${of}&days=90`)).toEqual([])
    expect(
      await database`
      select from lately_borrowed union all select from book_search where popularity > 0`,
    ).toEqual([])
  })

  test('refuse other days, an unknown field and a foreign cursor', async () => {
    for (const query of ['days=31', 'days=30&q=x', 'cursor=W10', 'limit=0']) {
      expect(problemOf(await library.ask('GET', `/v1/books/popular?${query}`)), query).toBe('invalid-input')
    }
  })
})

describe('a feed', () => {
  type Entry = {
    id: string
    title: string
    updated: string
    author?: { name: string }[]
    contributor?: { name: string }[]
    category?: { '@_term': string }[]
    link: { '@_rel': string; '@_href': string }[]
    summary?: string
  }
  type Atom = {
    feed: {
      '@_xmlns': string
      id: string
      title: string
      updated: string
      author: { name: string }[]
      link: { '@_rel': string; '@_href': string; '@_type': string }[]
      entry?: Entry[]
    }
  }
  const lists = new Set(['entry', 'link', 'author', 'contributor', 'category'])
  const parser = new XMLParser({
    ignoreAttributes: false,
    parseTagValue: false,
    trimValues: false,
    isArray: (name) => lists.has(name),
  })

  async function feed(path: string) {
    const answer = await library.ask('GET', path)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/atom+xml'])
    expect(answer.headers.get('cache-control')).toMatch(/^public, max-age=0, s-maxage=/)
    expect(XMLValidator.validate(answer.text)).toBe(true)
    const { feed: atom } = parser.parse(answer.text) as Atom
    return { etag: answer.headers.get('etag') ?? '', atom, text: answer.text }
  }

  test('of new books says all that RFC 4287 asks for, escaped', async () => {
    const title = `Tom & "Jerry" <b>'s</b> ]]> ${word()} 𝒜`
    const book = await library.aBook({
      title,
      subtitle: 'A <tale>',
      contributors: [
        { name: 'A. & B. <Smith>', role: 'author' },
        { name: 'Ed', role: 'editor' },
      ],
      subjects: ['Cats & "mice"'],
      description: 'One line\nand <another>',
    })
    const { atom, text } = await feed('/v1/books/newest.atom')
    expect(text.startsWith('<?xml version="1.0" encoding="utf-8"?>\n')).toBe(true)
    expect(atom).toMatchObject({
      '@_xmlns': 'http://www.w3.org/2005/Atom',
      id: 'tag:library.test,2026:/v1/books/newest.atom',
      title: 'New books',
      updated: book.updatedAt,
      author: [{ name: 'library.test' }],
      link: [
        { '@_rel': 'self', '@_type': 'application/atom+xml', '@_href': 'http://library.test/v1/books/newest.atom' },
      ],
    })
    expect(atom.entry?.[0]).toMatchObject({
      id: `urn:uuid:${book.id}`,
      title: `${title}: A <tale>`,
      author: [{ name: 'A. & B. <Smith>' }],
      contributor: [{ name: 'Ed' }],
      updated: book.updatedAt,
      published: book.createdAt,
      category: [{ '@_term': 'Cats & "mice"' }],
      link: [{ '@_rel': 'alternate', '@_href': `http://library.test/v1/books/${book.id}` }],
      summary: 'One line\nand <another>',
    })
    const ids = atom.entry?.map(({ id }) => id) ?? []
    expect(new Set(ids).size).toBe(ids.length)
    for (const moment of [atom.updated, ...(atom.entry ?? []).map(({ updated }) => updated)]) {
      expect(moment).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.]\d+)?(Z|[+-]\d\d:\d\d)$/)
    }
  })

  test('is the same until its books are others, whatever is lent', async () => {
    const { aLoan, aPatron, ask, aBook } = library
    const book = await aBook()
    const { etag } = await feed('/v1/books/newest.atom')
    const again = await ask('GET', '/v1/books/newest.atom', { headers: { 'if-none-match': etag } })
    expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', etag])
    expect(again.headers.get('cache-control')).toMatch(/^public, max-age=0, s-maxage=/)
    await aLoan(await aPatron(), book)
    expect((await feed('/v1/books/newest.atom')).etag).toBe(etag)
    await aBook()
    expect((await feed('/v1/books/newest.atom')).etag).not.toBe(etag)
  })

  test('of popular books is of what is asked for, in that order, and valid without any', async () => {
    const { aBook, aLoan, aPatron } = library
    const subject = `${word()} & more`
    const books = [await aBook({ subjects: [subject] }), await aBook({ subjects: [subject], copies: 2 })] as const
    for (const book of [...books, books[1]]) await aLoan(await aPatron(), book)
    await count(library)
    const query = new URLSearchParams({ days: '7', subject }).toString()
    const { atom } = await feed(`/v1/books/popular.atom?${query}`)
    expect(atom.entry?.map(({ id }) => id)).toEqual([books[1], books[0]].map(({ id }) => `urn:uuid:${id}`))
    expect(atom.id).toBe(`tag:library.test,2026:/v1/books/popular.atom?${query}`)
    expect(atom.link[0]?.['@_href']).toBe(`http://library.test/v1/books/popular.atom?${query}`)
    const { atom: empty } = await feed(`/v1/books/popular.atom?subject=${word()}`)
    expect([empty.entry, empty.updated, empty.author[0]?.name]).toEqual([
      undefined,
      '1970-01-01T00:00:00Z',
      'library.test',
    ])
    expect(problemOf(await library.ask('GET', '/v1/books/popular.atom?cursor=W10'))).toBe('invalid-input')
    expect(problemOf(await library.ask('GET', '/v1/books/newest.atom?limit=1'))).toBe('invalid-input')
  })

  test('leaves out what XML has no place for', async () => {
    const book = await library.aBook()
    await library.database`update books set title = ${'a\u0001b\u001fc\ufffed'}, version = version + 1 where id = ${book.id}`
    const { atom } = await feed('/v1/books/newest.atom')
    expect(atom.entry?.[0]?.title).toBe('abcd')
  })
})

describe('related books', () => {
  const related = async ({ id }: Named, query = '') =>
    (await get<RelatedBooks>(`/v1/books/${id}/related${query}`)).items.map(({ reason, book }) => [book.title, reason])

  /** Borrows the books together, and brings them back. */
  async function together(patron: Person, ...books: Named[]) {
    for (const book of books) {
      const loan = await library.aLoan(patron, book)
      loans.push([patron, loan.id])
    }
    for (const [by, id] of loans.splice(0)) await library.giveBack(by, { id })
  }
  const loans: [Person, string][] = []

  test('begin with the rest of the series, the next one first, then what others borrowed, who made it, what it is on', async () => {
    const { aBook, aPatron, pass } = library
    const [series, subject, rare, name] = [word(), word(), word(), word()]
    const volume = (number: string | null, more: object = {}) =>
      aBook({ title: `Volume ${number}`, series: [{ name: series, number }], ...more })
    const second = await volume('2', {
      subjects: [subject, rare],
      contributors: [{ name: `${name} Péter`, role: 'author' }],
    })
    for (const number of ['10', '1', '3', '2.5', null]) await volume(number)
    await aBook({ title: 'By the same', contributors: [{ name: `${name} PETER`, role: 'editor' }] })
    await aBook({ title: 'On one subject', subjects: [subject] })
    await aBook({ title: 'On both subjects', subjects: [rare.toUpperCase(), subject] })
    const companion = await aBook({ title: 'Companion', subjects: [subject] })
    for (let day = 0; day < 3; day++) {
      await together(await aPatron(), second, companion)
      await pass(1)
    }
    await count(library)
    const all = [
      ['Volume 2.5', 'same-series'],
      ['Volume 3', 'same-series'],
      ['Volume 10', 'same-series'],
      ['Volume 1', 'same-series'],
      ['Volume null', 'same-series'],
      ['Companion', 'also-borrowed'],
      ['By the same', 'same-contributor'],
      ['On both subjects', 'same-subject'],
      ['On one subject', 'same-subject'],
    ]
    expect(await related(second)).toEqual(all)
    expect(await related(second, '?limit=2')).toEqual(all.slice(0, 2))
    expect(await related(companion)).toContainEqual(['Volume 2', 'also-borrowed'])
  })

  test('are not told by what one patron borrows on a day, nor by two days', async () => {
    const { aBook, aPatron, database, pass } = library
    const [book, other] = [await aBook(), await aBook({ title: 'Other' })]
    const counts = () => database`select count from books_together where book_a = ${book.id} and book_b = ${other.id}`
    const patron = await aPatron()
    for (let n = 0; n < 4; n++) {
      await together(patron, book, other)
      await count(library)
    }
    expect(await counts()).toEqual([{ count: 1 }])
    await pass(1)
    await together(await aPatron(), other, book)
    await count(library)
    expect(await counts()).toEqual([{ count: 2 }])
    expect(await related(book)).toEqual([])
    await pass(1)
    await together(await aPatron(), book, other)
    await count(library)
    expect(await related(book)).toEqual([['Other', 'also-borrowed']])
    expect((await related(other))[0]?.[1]).toBe('also-borrowed')
  })

  test('are counted from rows that name no patron and no loan, and that go when they are counted', async () => {
    const { aBook, aLoan, aPatron, database } = library
    const [patron, book, other] = [await aPatron(), await aBook(), await aBook()]
    await count(library)
    await aLoan(patron, book)
    expect(await database`select * from pairs_lent`).toEqual([])
    await aLoan(patron, other)
    const [a, b] = [book.id, other.id].toSorted()
    expect(await database`select book_a, book_b, day::text from pairs_lent`).toEqual([
      { book_a: a, book_b: b, day: expect.stringMatching(/^2026-/) },
    ])
    expect(Object.keys((await database`select * from pairs_lent`)[0] ?? {})).toEqual(['book_a', 'book_b', 'day'])
    const answers = await Promise.all(Array.from({ length: 5 }, () => database`select gather_pairs(10) as count`))
    expect(answers.flat().reduce((sum, row) => sum + Number(row['count']), 0)).toBe(1)
    expect(await database`select * from pairs_lent`).toEqual([])
    expect(await database`select count from books_together where book_a = ${a} and book_b = ${b}`).toEqual([
      { count: 1 },
    ])
  })

  test('are the top fifty of a book, and a pair that stays below three is forgotten after half a year', async () => {
    const { aBook, database, pass } = library
    const [book, fresh] = [await aBook({ copies: 0 }), await aBook({ copies: 0 })]
    await database`
      with made as (
        insert into books (title) select 'Pair ' || n from generate_series(1, 60) as n returning id
      ),
      numbered as (select id, row_number() over (order by id) as n from made)
      insert into books_together (book_a, book_b, count, last_day)
      select ${book.id}, id, case when n <= 55 then n + 2 else 2 end, today() from numbered`
    await database`insert into pairs_lent (book_a, book_b, day) values (${book.id}, ${fresh.id}, today())`
    await count(library)
    const ofBook = () => database`
      select count(*) filter (where count >= 3)::int as shown, min(count) filter (where count >= 3) as least,
        count(*) filter (where count < 3)::int as unshown
      from books_together where book_a = ${book.id}`
    expect(await ofBook()).toEqual([{ shown: 50, least: 8, unshown: 6 }])
    expect(await related(book, '?limit=50')).toHaveLength(50)
    await pass(181)
    expect(await ofBook()).toEqual([{ shown: 50, least: 8, unshown: 0 }])
  })

  test('of an unknown or removed book are refused', async () => {
    const { aBook, ask, theStaff } = library
    const book = await aBook({ copies: 0 })
    expect(await related(book)).toEqual([])
    await ask('DELETE', `/v1/books/${book.id}`, { token: (await theStaff()).token, headers: { 'if-match': '*' } })
    expect(problemOf(await ask('GET', `/v1/books/${book.id}/related`))).toBe('book-not-found')
    expect(problemOf(await ask('GET', `/v1/books/${crypto.randomUUID()}/related`))).toBe('book-not-found')
    expect(problemOf(await ask('GET', `/v1/books/${book.id}/related?limit=51`))).toBe('invalid-input')
  })
})
