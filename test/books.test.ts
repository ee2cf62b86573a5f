import { describe, expect, test } from 'vitest'
import type { Book } from '../src/features/books/schema.ts'
import type { Page } from '../src/page.ts'
import { aBook, aLoan, aPatron, type Answer, ask, giveBack, problemOf, theStaff } from './support/library.ts'

const word = () => `w${crypto.randomUUID().replaceAll('-', '').slice(0, 14)}`

const find = async (query: Record<string, string>) => {
  const answer = await ask<Page<Book>>('GET', `/v1/books?${new URLSearchParams(query).toString()}`)
  expect(answer.status, answer.text).toBe(200)
  return answer.body.items
}

const titles = async (query: Record<string, string>) => (await find(query)).map(({ title }) => title)

const pointersOf = ({ body }: Answer) =>
  (body as { errors?: { pointer: string }[] }).errors?.map(({ pointer }) => pointer) ?? []

describe('cataloguing', () => {
  test('a book comes back as it was given', async () => {
    const { token } = await theStaff()
    const record = {
      title: 'Northanger Abbey',
      subtitle: 'A novel',
      contributors: [
        { name: 'Jane Austen', role: 'author' },
        { name: 'Marilyn Butler', role: 'editor' },
      ],
      publisher: 'Penguin',
      publishedYear: 1817,
      language: 'en',
      subjects: ['Gothic fiction', 'Satire'],
      description: 'Catherine goes to Bath.\nThen to an abbey; “not” a <script>alert(1)</script> in sight.',
      edition: '2nd edition',
      series: [{ name: 'Penguin Classics', number: '12' }],
      originalScript: { title: '北怒莊園', contributors: ['簡·奧斯汀'] },
      links: [{ url: 'https://books.test/northanger', label: 'Read online' }],
      isbns: [],
      identifiers: [{ scheme: 'oclc', value: '1234' }],
    }
    const made = await ask<Book>('POST', '/v1/books', { token, body: record })
    expect(made.status, made.text).toBe(201)
    expect(made.body).toMatchObject(record)
    const read = await ask<Book>('GET', made.headers.get('location') ?? '')
    expect(read.body).toEqual(made.body)
    expect(read.headers.get('etag')).toBe(made.headers.get('etag'))
  })

  test('text is kept in NFC, whatever form it came in', async () => {
    const book = await aBook({ title: 'Cafe\u0301 noir' })
    expect(book.title).toBe('Café noir')
  })

  test.each([
    ['title', ''],
    ['title', '   '],
    ['title', 'a\u0000b'],
    ['title', 'a\ud800b'],
    ['title', 'x'.repeat(501)],
    ['publishedYear', 99_999],
    ['publishedYear', 1.5],
    ['language', 'English'],
    ['subjects', ['']],
    ['isbns', ['9780141439519']],
    ['isbns', ['12345']],
    ['contributors', [{ name: 'A', role: 'king' }]],
    ['series', [{ name: 'x', volume: 3 }]],
    ['links', [{ url: 'javascript:alert(1)' }]],
    ['links', [{ url: 'https://me:secret@books.test/' }]],
    ['originalScript', { title: 'x', publisher: 'y' }],
    ['version', 7],
    ['id', crypto.randomUUID()],
  ])('a book whose %s is %j is refused, with a pointer', async (field, value) => {
    const { token } = await theStaff()
    const answer = await ask('POST', '/v1/books', { token, body: { title: 'A title', [field]: value } })
    expect(answer.status, answer.text).toBe(422)
    expect(pointersOf(answer)[0]).toMatch(new RegExp(`^/${field}`))
  })

  test('a change without If-Match is 428, with a stale one 412, with the current one 200', async () => {
    const [{ token }, book] = await Promise.all([theStaff(), aBook()])
    const change = (headers: Record<string, string>) =>
      ask<Book>('PATCH', `/v1/books/${book.id}`, { token, body: { publisher: 'Virago' }, headers })
    const etag = (await ask('GET', `/v1/books/${book.id}`)).headers.get('etag') ?? ''
    expect(problemOf(await change({}))).toBe('precondition-required')
    expect(problemOf(await change({ 'if-match': '"99"' }))).toBe('precondition-failed')
    expect(problemOf(await change({ 'if-match': `W/${etag}` }))).toBe('precondition-failed')
    expect(problemOf(await change({ 'if-match': 'nonsense' }))).toBe('precondition-failed')
    const changed = await change({ 'if-match': etag })
    expect(changed.body).toMatchObject({ title: book.title, publisher: 'Virago', version: 2 })
    expect(problemOf(await change({ 'if-match': etag }))).toBe('precondition-failed')
    expect((await change({ 'if-match': '*' })).body.version).toBe(3)
  })

  test('of ten changes at once to one version exactly one is made', async () => {
    const [{ token }, book] = await Promise.all([theStaff(), aBook()])
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        ask('PATCH', `/v1/books/${book.id}`, { token, body: { publisher: `P${i}` }, headers: { 'if-match': '"1"' } }),
      ),
    )
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array.from({ length: 9 }, () => 412)])
  })

  test('a loan in between is no conflict for who corrects a title, but a new ETag for who reads', async () => {
    const [{ token }, patron, book] = await Promise.all([theStaff(), aPatron(), aBook()])
    const before = (await ask('GET', `/v1/books/${book.id}`)).headers.get('etag') ?? ''
    await aLoan(patron, book)
    expect((await ask('GET', `/v1/books/${book.id}`)).headers.get('etag')).not.toBe(before)
    const headers = { 'if-match': before }
    expect((await ask('PATCH', `/v1/books/${book.id}`, { token, body: { title: 'T' }, headers })).status).toBe(200)
  })

  test('an empty change, an unknown book and an unknown field are refused', async () => {
    const [{ token }, book] = await Promise.all([theStaff(), aBook()])
    const headers = { 'if-match': '*' }
    const change = (id: string, body: object) => ask('PATCH', `/v1/books/${id}`, { token, body, headers })
    expect((await change(book.id, {})).status).toBe(422)
    expect(pointersOf(await change(book.id, { titel: 'x' }))).toEqual(['/titel'])
    expect(problemOf(await change(crypto.randomUUID(), { title: 'x' }))).toBe('book-not-found')
    expect(problemOf(await change('not-a-uuid', { title: 'x' }))).toBe('not-found')
  })

  test('a removed book is gone with its copies; one with an open loan stays', async () => {
    const [{ token }, patron, book] = await Promise.all([theStaff(), aPatron(), aBook()])
    const loan = await aLoan(patron, book)
    const remove = (headers: Record<string, string>) => ask('DELETE', `/v1/books/${book.id}`, { token, headers })
    expect(problemOf(await remove({}))).toBe('precondition-required')
    expect(problemOf(await remove({ 'if-match': '"7"' }))).toBe('precondition-failed')
    expect(problemOf(await remove({ 'if-match': '"1"' }))).toBe('book-on-loan')
    await giveBack(patron, loan)
    expect((await remove({ 'if-match': '"1"' })).status).toBe(204)
    expect(problemOf(await ask('GET', `/v1/books/${book.id}`))).toBe('book-not-found')
    expect(problemOf(await ask('GET', `/v1/books/${book.id}/copies`, { token }))).toBe('book-not-found')
    expect(problemOf(await remove({ 'if-match': '*' }))).toBe('book-not-found')
  })

  test('a book is never both removed and lent, when both are asked at once', async () => {
    for (let round = 0; round < 10; round++) {
      const [{ token }, patron, book] = await Promise.all([theStaff(), aPatron(), aBook()])
      const [removed, lent] = await Promise.all([
        ask('DELETE', `/v1/books/${book.id}`, { token, headers: { 'if-match': '*' } }),
        ask('POST', '/v1/loans', { token: patron.token, body: { bookId: book.id } }),
      ])
      expect([removed.status === 204, lent.status === 201].filter(Boolean)).toHaveLength(1)
    }
  })

  test('a book catalogued twice with one Idempotency-Key is one book', async () => {
    const { token } = await theStaff()
    const how = { token, body: { title: word() }, headers: { 'idempotency-key': crypto.randomUUID() } }
    const [first, second] = await Promise.all([
      ask<Book>('POST', '/v1/books', how),
      ask<Book>('POST', '/v1/books', how),
    ])
    expect(second.body).toEqual(first.body)
    expect(await titles({ q: how.body.title })).toHaveLength(1)
  })
})

describe('ISBN', () => {
  /** A valid ISBN of the range 978-1-4 that no other test uses. */
  const anIsbn = () => {
    const digits = `9781${String(400_00000 + Math.floor(Math.random() * 99_99999)).padStart(8, '0')}`
    const sum = Array.from(digits).reduce((total, digit, i) => total + Number(digit) * (i % 2 === 0 ? 1 : 3), 0)
    return digits + String((10 - (sum % 10)) % 10)
  }
  const asIsbn10 = (isbn: string) => {
    const nine = isbn.slice(3, 12)
    const sum = Array.from(nine).reduce((total, digit, i) => total + Number(digit) * (10 - i), 0)
    const check = (11 - (sum % 11)) % 11
    return nine + (check === 10 ? 'X' : String(check))
  }

  test('a book is found by either form of its ISBN, in any spelling, however it was catalogued', async () => {
    const isbn = anIsbn()
    const ten = asIsbn10(isbn)
    const book = await aBook({ isbns: [ten] })
    expect(book).toMatchObject({ isbns: [isbn] })
    const hyphens = `${isbn.slice(0, 3)}-${isbn.slice(3, 4)}-${isbn.slice(4, 12)}-${isbn.slice(12)}`
    for (const spelling of [isbn, ten, hyphens, ten.toLowerCase(), `ISBN ${isbn}`, `urn:isbn:${isbn}`]) {
      const answer = await ask<Book>('GET', `/v1/books/isbn/${encodeURIComponent(spelling)}`)
      expect(answer.body.id, spelling).toBe(book.id)
    }
    expect((await ask('GET', `/v1/books/isbn/${anIsbn()}`)).status).toBe(404)
    expect((await ask('GET', '/v1/books/isbn/nonsense')).status).toBe(404)
  })

  test('one ISBN is one book’s, also when two are catalogued at once, until that book lets it go', async () => {
    const { token } = await theStaff()
    const isbns = [anIsbn()]
    const make = () => ask<Book>('POST', '/v1/books', { token, body: { title: 'Twin', isbns } })
    const answers = await Promise.all([make(), make()])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409])
    expect(problemOf(await make())).toBe('isbn-taken')
    const owner = answers.find(({ status }) => status === 201)?.body.id ?? ''
    await ask('PATCH', `/v1/books/${owner}`, { token, body: { isbns: [] }, headers: { 'if-match': '*' } })
    const next = await make()
    expect(next.status).toBe(201)
    await ask('DELETE', `/v1/books/${next.body.id}`, { token, headers: { 'if-match': '*' } })
    expect((await make()).status).toBe(201)
  })
})

describe('searching', () => {
  test('words of the title, a contributor, a subject or the description find a book', async () => {
    const [inTitle, inName, inSubject, inText] = [word(), word(), word(), word()]
    const book = await aBook({
      title: `The ${inTitle}`,
      contributors: [{ name: `Ana ${inName}`, role: 'author' }],
      subjects: [`History of ${inSubject}`],
      description: `About ${inText}.`,
    })
    for (const q of [inTitle, inName, inSubject, inText, `${inTitle} ${inName}`]) {
      expect((await find({ q })).map(({ id }) => id)).toEqual([book.id])
    }
    expect(await find({ q: `${inTitle} ${word()}`, exact: 'true' })).toEqual([])
  })

  test('accents and case do not matter, and plurals are found', async () => {
    const tag = word()
    await aBook({ title: `Les Misérables ${tag}` })
    await aBook({ title: `Robots dream ${tag}` })
    expect(await titles({ q: `miserables ${tag}` })).toEqual([`Les Misérables ${tag}`])
    expect(await titles({ q: `MISÉRABLES ${tag.toUpperCase()}` })).toEqual([`Les Misérables ${tag}`])
    expect(await titles({ q: `robot ${tag}` })).toEqual([`Robots dream ${tag}`])
  })

  test('a title stands before a contributor, that before a subject, that before a description', async () => {
    const tag = word()
    await aBook({ title: 'Four', description: tag })
    await aBook({ title: 'Three', subjects: [tag] })
    await aBook({ title: 'Two', contributors: [{ name: tag, role: 'author' }] })
    await aBook({ title: `Half a ${tag}` })
    await aBook({ title: tag })
    expect(await titles({ q: tag })).toEqual([tag, `Half a ${tag}`, 'Two', 'Three', 'Four'])
  })

  test('a phrase is a phrase, and a minus leaves out', async () => {
    const tag = word()
    await aBook({ title: `Red house ${tag}` })
    await aBook({ title: `House red ${tag}` })
    expect(await titles({ q: `"red house" ${tag}` })).toEqual([`Red house ${tag}`])
    expect(await titles({ q: `house ${tag} -"red house"` })).toEqual([`House red ${tag}`])
  })

  test.each(['%', "'", '\\', '"', '&', '!', '((', ':*', '<->', 'a & | b', '-', '🦉', '%_\\%'])(
    'a search for %j is answered',
    async (q) => {
      expect((await ask('GET', `/v1/books?q=${encodeURIComponent(q)}`)).status).toBe(200)
    },
  )

  test('filters narrow by language, subject, author, years and format, alone and together', async () => {
    const tag = word()
    const record = { contributors: [{ name: `Zoë ${tag}`, role: 'author' }], subjects: [`Owls ${tag}`] }
    await aBook({ ...record, title: 'One', language: 'fr', publishedYear: 1900 })
    await aBook({ ...record, title: 'Two', language: 'en', publishedYear: 1950, licences: 1 })
    await aBook({ title: `Three ${tag}`, language: 'en', publishedYear: 1950 })
    const sort = 'title'
    expect(await titles({ author: `zoe ${tag}`, sort })).toEqual(['One', 'Two'])
    expect(await titles({ subject: `OWLS ${tag}`, sort })).toEqual(['One', 'Two'])
    expect(await titles({ q: tag, language: 'en', sort })).toEqual([`Three ${tag}`, 'Two'])
    expect(await titles({ q: tag, yearFrom: '1901', yearTo: '1950', sort })).toEqual([`Three ${tag}`, 'Two'])
    expect(await titles({ q: tag, format: 'digital' })).toEqual(['Two'])
    expect(await titles({ author: tag, language: 'en', yearTo: '1940' })).toEqual([])
  })

  test('available=true follows the loans, in both directions', async () => {
    const [tag, patron] = [word(), await aPatron()]
    const book = await aBook({ title: tag })
    const query = { q: tag, available: 'true' }
    expect(await titles(query)).toEqual([tag])
    const loan = await aLoan(patron, book)
    expect(await titles(query)).toEqual([])
    await giveBack(patron, loan)
    expect(await titles(query)).toEqual([tag])
    expect(await titles({ ...query, format: 'digital' })).toEqual([])
  })

  test.each(['relevance', 'title', '-title', 'year', '-year', 'newest', 'popular'])(
    'pages in the order %s hold every book once and none twice',
    async (sort) => {
      const tag = word()
      const books = await Promise.all(
        Array.from({ length: 7 }, (_, i) =>
          aBook({ title: `${tag} ${i % 3}`, publishedYear: i % 2 === 0 ? 2000 + (i % 3) : null, copies: 0 }),
        ),
      )
      const all = await find({ q: tag, sort })
      const seen: string[] = []
      let path: string | null = `/v1/books?q=${tag}&sort=${sort}&limit=2`
      while (path !== null) {
        const { body, headers }: Answer<Page<Book>> = await ask('GET', path)
        seen.push(...body.items.map(({ id }) => id))
        expect(headers.get('link')).toBe(body.next === null ? null : `<${body.next}>; rel="next"`)
        path = body.next
      }
      expect(seen).toEqual(all.map(({ id }) => id))
      expect(seen.toSorted()).toEqual(books.map(({ id }) => id).toSorted())
    },
  )

  test.each([
    'limit=0',
    'limit=101',
    'limit=x',
    'cursor=!',
    'cursor=YWJj',
    'sort=id',
    'colour=red',
    'yearFrom=1e9',
    'q=',
    'q=a&q=b',
  ])('the query %s is refused', async (query) => {
    const answer = await ask('GET', `/v1/books?${query}`)
    expect(answer.status).toBe(422)
    expect(pointersOf(answer)).toHaveLength(1)
  })
})

describe('caching', () => {
  test('a book that has not changed is 304 for who names its ETag', async () => {
    const [book, patron] = await Promise.all([aBook(), aPatron()])
    const first = await ask('GET', `/v1/books/${book.id}`)
    const headers = { 'if-none-match': first.headers.get('etag') ?? '' }
    const again = await ask('GET', `/v1/books/${book.id}`, { headers })
    expect([again.status, again.text]).toEqual([304, ''])
    await aLoan(patron, book)
    expect((await ask('GET', `/v1/books/${book.id}`, { headers })).status).toBe(200)
  })
})
