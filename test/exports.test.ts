import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { app } from '../src/app.ts'
import type { Book } from '../src/features/books/schema.ts'
import { aBook, type Answer, ask, database, ORIGIN, problemOf, theStaff } from './support/library.ts'

/** The catalogue as files. What stands in them is read by others' parsers in test/local/exports.test.ts. */

const formats: [format: string, contentType: string, extension: string, one: (book: Book) => string | RegExp][] = [
  ['mrc', 'application/marc', 'mrc', ({ title }) => `\u001fa${title}\u001e`],
  ['xml', 'application/marcxml+xml', 'xml', ({ title }) => `<subfield code="a">${title}</subfield>`],
  ['csv', 'text/csv; charset=utf-8', 'csv', ({ id, title }) => `${id},${title},`],
  ['jsonl', 'application/x-ndjson', 'jsonl', ({ id }) => new RegExp(`^{"id":"${id}",.*}\n$`)],
  ['bib', 'application/x-bibtex; charset=utf-8', 'bib', ({ id, title }) => `@book{book-${id},\n  title = {{${title}}}`],
  ['ris', 'application/x-research-info-systems; charset=utf-8', 'ris', ({ title }) => `\r\nTI  - ${title}\r\n`],
  ['csl.json', 'application/vnd.citationstyles.csl+json', 'json', ({ title }) => `"title":"${title}"`],
  ['jsonld', 'application/ld+json', 'jsonld', ({ title }) => `"name":"${title}"`],
]
const formatNames = formats.map(([format]) => format)

const accepting = (accept: string) => ({ headers: { accept } })

/** Books that nobody else has, to be found by their subject. */
async function someBooks(count: number) {
  const subject = `S${crypto.randomUUID()}`
  await database`
    insert into books (title, subjects)
    select 'Book ' || lpad(n::text, 4, '0'), array[${subject}] from generate_series(1, ${count}) as n`
  return subject
}

const titlesIn = (text: string) => [...text.matchAll(/"title":"(Book \d{4})"/g)].map(([, title]) => title)

const titles = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `Book ${String(from + i).padStart(4, '0')}`)

afterEach(() => void vi.restoreAllMocks())

describe.each(formats)('a book as %s', (format, contentType, extension, expected) => {
  const check = ({ status, headers, text }: Answer, book: Book) => {
    expect([status, headers.get('content-type')]).toEqual([200, contentType])
    expect(headers.get('content-disposition')).toBe(`attachment; filename="book-${book.id}.${extension}"`)
    expect(text).toMatch(expected(book))
  }

  test('by its path, and by Accept', async () => {
    const book = await aBook({ copies: 0 })
    const byPath = await ask('GET', `/v1/books/${book.id}/exports/${format}`)
    check(byPath, book)
    const byAccept = await ask('GET', `/v1/books/${book.id}`, accepting(contentType.split(';')[0] ?? ''))
    check(byAccept, book)
    expect(byAccept.headers.get('vary')).toMatch(/\bAccept\b/)
    expect(byAccept.text).toBe(byPath.text)
    const absent = await ask('GET', `/v1/books/${crypto.randomUUID()}/exports/${format}`)
    expect(problemOf(absent)).toBe('book-not-found')
  })
})

describe('Accept', () => {
  test.each([
    ['*/*', 'application/json'],
    ['application/json, text/csv', 'application/json'],
    ['text/csv, application/json', 'text/csv; charset=utf-8'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'application/json'],
    ['application/json;q=0.2, text/*;q=0.5', 'text/csv; charset=utf-8'],
    ['application/json;q=0, application/marc;q=0.1', 'application/marc'],
    ['', 'application/json'],
  ])('%s gets %s', async (accept, contentType) => {
    const { id } = await aBook({ copies: 0 })
    const answers = await Promise.all(
      [`/v1/books/${id}`, '/v1/books?limit=1'].map((path) => ask('GET', path, accepting(accept))),
    )
    expect(answers.map(({ headers }) => headers.get('content-type'))).toEqual([contentType, contentType])
    expect(answers.every(({ headers }) => /\bAccept\b/.test(headers.get('vary') ?? ''))).toBe(true)
  })

  test('that names nothing there is gets 406 and what there is, and no look at the database', async () => {
    const { id } = await aBook({ copies: 0 })
    const look = vi.spyOn(globalThis, 'fetch')
    for (const accept of ['image/png', 'application/json;q=0', 'text/html']) {
      for (const path of [`/v1/books/${id}`, '/v1/books']) {
        const answer = await ask<{ detail: string }>('GET', path, accepting(accept))
        expect([answer.status, problemOf(answer)]).toEqual([406, 'not-acceptable'])
        expect(answer.body.detail).toContain('application/marc,')
        expect(answer.headers.get('vary')).toMatch(/\bAccept\b/)
      }
    }
    expect(look).not.toHaveBeenCalled()
  })

  test('asks for a page of the list as a file, which goes on by Link', async () => {
    const subject = await someBooks(3)
    const first = await ask('GET', `/v1/books?subject=${subject}&sort=title&limit=2`, accepting('application/x-ndjson'))
    expect(titlesIn(first.text)).toEqual(titles(1, 2))
    const next = /^<(.*)>; rel="next"$/.exec(first.headers.get('link') ?? '')?.[1] ?? ''
    const second = await ask('GET', next, accepting('application/x-ndjson'))
    expect([titlesIn(second.text), second.headers.get('link')]).toEqual([titles(3, 3), null])
    const asJson = await ask<{ items: Book[] }>('GET', next)
    expect(asJson.body.items.map(({ title }) => title)).toEqual(titles(3, 3))
  })
})

describe('a search as a file', () => {
  test.each(formatNames)('has each book once, in the order of the list, as %s', async (format) => {
    const subject = await someBooks(120)
    const { status, headers, text } = await ask('GET', `/v1/books/exports/${format}?subject=${subject}&sort=-title`)
    expect([status, headers.get('content-disposition')]).toEqual([
      200,
      `attachment; filename="books.${format === 'csl.json' ? 'json' : format}"`,
    ])
    const found = text.match(/Book \d{4}/g) ?? []
    expect(found).toEqual(titles(1, 120).toReversed())
    expect(headers.get('link')).toBeNull()
    if (format.includes('csl')) expect(JSON.parse(text)).toHaveLength(120)
  })

  test('goes on where a request ends: by a limit of its own, and by 1,000', async () => {
    const subject = await someBooks(1_003)
    const path = `/v1/books/exports/jsonl?subject=${subject}&sort=title`
    const whole = await ask('GET', path)
    expect(titlesIn(whole.text)).toEqual(titles(1, 1_000))
    const next = /^<(.*)>; rel="next"$/.exec(whole.headers.get('link') ?? '')?.[1] ?? ''
    const rest = await ask('GET', next)
    expect([titlesIn(rest.text), rest.headers.get('link')]).toEqual([titles(1_001, 1_003), null])
    const some = await ask('GET', `${path}&limit=60`)
    expect(titlesIn(some.text)).toEqual(titles(1, 60))
    expect(some.headers.get('link')).toMatch(/rel="next"$/)
  })

  test('takes the filters of the list, and refuses what it refuses', async () => {
    const found = await ask('GET', `/v1/books/exports/csv?q=${crypto.randomUUID()}&available=true`)
    expect([found.status, found.text.split('\r\n').length]).toEqual([200, 2])
    for (const query of ['limit=1001', 'limit=0', 'cursor=x', 'colour=red', 'language=English']) {
      expect(problemOf(await ask('GET', `/v1/books/exports/csv?${query}`)), query).toBe('invalid-input')
    }
    expect((await ask('GET', '/v1/books/exports/docx')).status).toBe(404)
    expect((await ask('GET', `/v1/books/${crypto.randomUUID()}/exports/docx`)).status).toBe(404)
  })

  /** Begins to read, with the database as it is, and hands over what happens to it then. */
  async function begun(count: number) {
    const subject = await someBooks(count)
    const realFetch = globalThis.fetch
    let trips = 0
    let isAway = false
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      trips++
      if (isAway) throw new TypeError('the network is gone')
      return realFetch(input, init)
    })
    const request = new Request(`${ORIGIN}/v1/books/exports/csl.json?subject=${subject}&sort=title`)
    const response = await app.fetch(request, env, createExecutionContext())
    if (response.body === null) throw new Error('there is no body')
    return { response, reader: response.body.getReader(), trips: () => trips, lose: () => void (isAway = true) }
  }

  test('is read from the database no faster than by its client, and no more once that has gone', async () => {
    const { reader, trips } = await begun(300)
    expect(trips()).toBe(1)
    for (let i = 0; i < 50; i++) await reader.read()
    expect(trips()).toBe(1)
    await reader.read()
    expect(trips()).toBe(2)
    await reader.cancel()
    expect(trips()).toBe(2)
  })

  test('breaks off when the database goes away, and is never taken for a whole one', async () => {
    const logged = vi.spyOn(console, 'log')
    const { response, reader, lose } = await begun(120)
    expect(response.status).toBe(200)
    await reader.read()
    lose()
    const rest = (async () => {
      while (!(await reader.read()).done);
    })()
    await expect(rest).rejects.toThrow('database-unavailable')
    const lines = logged.mock.calls.map(([line]) => JSON.parse(String(line)) as Record<string, unknown>)
    expect(lines).toContainEqual(expect.objectContaining({ event: 'export.broken', problem: 'database-unavailable' }))
  })

  test('is a problem when the database is away from the start', async () => {
    vi.spyOn(globalThis, 'fetch').mockRejectedValue(new TypeError('the network is gone'))
    expect(problemOf(await ask('GET', '/v1/books/exports/ris'))).toBe('database-unavailable')
  })

  test('leaves out what was removed while it was read, and repeats nothing that moved', async () => {
    const { reader } = await begun(120)
    const decoder = new TextDecoder()
    let text = decoder.decode((await reader.read()).value)
    await database`update books set removed_at = now(), version = version + 1 where title = 'Book 0119'`
    await database`update books set title = 'Book 0000', version = version + 1 where title = 'Book 0120'`
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += decoder.decode(next.value)
    const found = (JSON.parse(text) as { title: string }[]).map(({ title }) => title)
    expect(found).toEqual([...titles(1, 118), 'Book 0000'])
  })
})

describe('a book that came as MARC', () => {
  test('goes out as it came, and as it was changed since', async () => {
    const { id } = await aBook({ copies: 0, title: 'Emma', subtitle: 'a novel', subjects: ['Matchmaking'] })
    const record = {
      leader: '00000cam  2200000 i 4500',
      fields: [
        { '001': 'x1' },
        {
          245: {
            ind1: '0',
            ind2: '0',
            subfields: [{ a: 'Emma :' }, { b: 'a novel /' }, { c: 'by the author of Pride.' }],
          },
        },
        { 300: { ind1: ' ', ind2: ' ', subfields: [{ a: '3 v.' }] } },
        { 650: { ind1: ' ', ind2: '0', subfields: [{ a: 'Matchmaking.' }] } },
      ],
    }
    await database`insert into marc_records (book_id, control_number, record) values (${id}, ${id}, ${JSON.stringify(record)})`
    const asXml = async () => (await ask('GET', `/v1/books/${id}/exports/xml`)).text
    const first = await asXml()
    expect(first).toContain(
      '<leader>00000cam a2200000 i 4500</leader>\n<controlfield tag="001">x1</controlfield>\n<datafield tag="245"',
    )
    expect(first).toContain('<subfield code="a">Emma :</subfield>')
    const { token } = await theStaff()
    await ask('PATCH', `/v1/books/${id}`, { token, body: { title: 'Emma Woodhouse' }, headers: { 'if-match': '*' } })
    const second = await asXml()
    expect(second).toContain(
      '<subfield code="a">Emma Woodhouse :</subfield><subfield code="b">a novel /</subfield><subfield code="c">by the author of Pride.</subfield>',
    )
    expect(second).toContain('<subfield code="a">3 v.</subfield>')
    expect(second).toContain('<datafield tag="650" ind1=" " ind2="0"><subfield code="a">Matchmaking.</subfield>')
    const file = await ask('GET', `/v1/books/${id}/exports/mrc`)
    expect(file.text).toContain('\u001faEmma Woodhouse :\u001fb')
  })
})
