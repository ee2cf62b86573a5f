import { expect, describe, test } from 'vitest'
import type { Book } from '../src/features/books/schema.ts'
import type { Copy } from '../src/features/copies/schema.ts'
import type { Distinction, Duplicates, EditResults, Revision } from '../src/features/editing/schema.ts'
import type { Export } from '../src/features/own-data/schema.ts'
import type { Page } from '../src/page.ts'
import { aLibraryApart } from './support/laboratory.ts'
import {
  aBook,
  aLoan,
  aMemberOfStaff,
  aPatron,
  type Answer,
  ask,
  database,
  problemOf,
  theStaff,
} from './support/library.ts'

/** What staff do to records beside cataloguing them: see and take back what was changed, find duplicates, change many. */

const word = () => `w${crypto.randomUUID().replaceAll('-', '').slice(0, 14)}`
const anyVersion = { 'if-match': '*' }

const revisions = async (book: { id: string }, query = '') => {
  const { token } = await theStaff()
  const answer = await ask<Page<Revision>>('GET', `/v1/books/${book.id}/revisions${query}`, { token })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

const change = async (book: { id: string }, body: object, how: { token?: string; match?: string } = {}) => {
  const token = how.token ?? (await theStaff()).token
  return ask<Book>('PATCH', `/v1/books/${book.id}`, { token, body, headers: { 'if-match': how.match ?? '*' } })
}

const revert = async (book: { id: string }, version: number, match = '*') => {
  const { token } = await theStaff()
  return ask<Book>('POST', `/v1/books/${book.id}/reversions`, {
    token,
    body: { version },
    headers: { 'if-match': match },
  })
}

/** An ISBN of the range that stands for no country; each test has its own. */
const isbn = (n: number) => {
  const digits = `979109063${String(n).padStart(3, '0')}`
  const sum = Array.from(digits).reduce((total, digit, i) => total + Number(digit) * (i % 2 ? 3 : 1), 0)
  return digits + String((10 - (sum % 10)) % 10)
}

describe('the history of a record', () => {
  test('says who changed what, when and from what to what, the newest first', async () => {
    const [first, second] = await Promise.all([theStaff(), aMemberOfStaff()])
    const book = await aBook({ title: 'Emma', subjects: ['Satire'] })
    await change(book, { subtitle: 'A novel', subjects: ['Satire', 'Romance'], title: 'Emma' }, second)
    await change(book, { publisher: 'Murray', subtitle: null })
    await ask('DELETE', `/v1/books/${book.id}`, { token: second.token, headers: anyVersion })
    const { items } = await revisions(book)
    expect(items).toMatchObject([
      { version: 4, kind: 'removed', actorId: second.id },
      { version: 3, kind: 'changed', actorId: first.id },
      { version: 2, kind: 'changed', actorId: second.id },
      { version: 1, kind: 'catalogued', actorId: first.id },
    ])
    expect(items.map(({ before, after }) => [before, after])).toEqual([
      [{}, {}],
      [
        { publisher: null, subtitle: 'A novel' },
        { publisher: 'Murray', subtitle: null },
      ],
      [
        { subtitle: null, subjects: ['Satire'] },
        { subtitle: 'A novel', subjects: ['Satire', 'Romance'] },
      ],
      [{}, { title: 'Emma', subjects: ['Satire'] }],
    ])
  })

  test('comes in pages, for staff only, and not of a book that never was', async () => {
    const book = await aBook()
    for (const publisher of ['A', 'B', 'C', 'D']) await change(book, { publisher })
    const seen: number[] = []
    for (let next: string | null = '?limit=2'; next !== null;) {
      const page: Page<Revision> = await revisions(book, next.slice(next.indexOf('?')))
      seen.push(...page.items.map(({ version }) => version))
      next = page.next
    }
    expect(seen).toEqual([5, 4, 3, 2, 1])
    const path = `/v1/books/${crypto.randomUUID()}/revisions`
    expect(problemOf(await ask('GET', path, { token: (await theStaff()).token }))).toBe('book-not-found')
    expect(problemOf(await ask('GET', path, { token: (await aPatron()).token }))).toBe('forbidden')
  })

  test('is kept of changes past the interface too, and a change without a new version is none', async () => {
    const book = await aBook()
    await database`update books set publisher = 'By hand', version = version + 1 where id = ${book.id}`
    expect((await revisions(book)).items[0]).toMatchObject({
      kind: 'changed',
      actorId: null,
      after: { publisher: 'By hand' },
    })
    await expect(database`update books set publisher = 'Unseen' where id = ${book.id}`).rejects.toThrow(
      /another version/,
    )
    await expect(database`update book_revisions set record = '{}' where book_id = ${book.id}`).rejects.toThrow(
      /append-only/,
    )
  })

  test('forgets a member of staff who is erased, and tells them before what they did', async () => {
    const library = await aLibraryApart()
    await library.theStaff()
    const [book, leaving] = [await library.aBook(), await library.aMemberOfStaff()]
    const { token } = leaving
    const how = { token, body: { title: 'Mine' }, headers: anyVersion }
    expect((await library.ask('PATCH', `/v1/books/${book.id}`, how)).status).toBe(200)
    const { acts } = (await library.ask<Export>('GET', '/v1/users/me/export', { token })).body
    expect(acts).toMatchObject([{ kind: 'catalogue.changed', count: 1 }])
    const erased = await library.ask<{ counts: object }>('DELETE', '/v1/users/me', { token })
    expect([erased.status, erased.body.counts]).toMatchObject([200, { revisions: 1 }])
    expect(await library.database`select actor_id, version from book_revisions where version > 1`).toEqual([
      { actor_id: null, version: 2 },
    ])
    await library.drop()
  })

  test('forgets them even where a change is under way while they are erased', async () => {
    const library = await aLibraryApart({
      statements: [
        `create function linger() returns trigger language plpgsql as $$
        begin perform pg_sleep(1); return null; end $$`,
        'create trigger zz_linger after update on books for each row execute function linger()',
      ],
    })
    await library.theStaff()
    const [book, leaving] = [await library.aBook(), await library.aMemberOfStaff()]
    const { token } = leaving
    const [changed, erased] = await Promise.all([
      library.ask('PATCH', `/v1/books/${book.id}`, { token, body: { title: 'Mine' }, headers: anyVersion }),
      scheduler.wait(200).then(() => library.ask('DELETE', '/v1/users/me', { token })),
    ])
    expect([changed.status, erased.status]).toEqual([200, 200])
    expect(await library.database`select from book_revisions where actor_id = ${leaving.id}`).toEqual([])
    await library.drop()
  })
})

describe('a reversion', () => {
  test('is a new version with the old record', async () => {
    const book = await aBook({ title: 'Persuasion', series: [{ name: 'Classics', number: '3' }] })
    await change(book, { title: 'Perversion', series: [], originalScript: { title: 'x', contributors: [] } })
    const reverted = await revert(book, 1, '"2"')
    expect(reverted.status, reverted.text).toBe(201)
    expect(reverted.body).toEqual({
      ...book,
      version: 3,
      availability: reverted.body.availability,
      updatedAt: reverted.body.updatedAt,
    })
    expect(reverted.headers.get('etag')).toBe('"3"')
    expect((await revisions(book)).items[0]).toMatchObject({ version: 3, kind: 'reverted' })
    await change(book, { publisher: 'x' })
    expect((await revisions(book)).items[0]?.kind).toBe('changed')
  })

  test('is refused for a stale version, an unknown one, a removed book, and an ISBN that is another’s by now', async () => {
    const [book, other] = [await aBook({ isbns: [isbn(1)] }), await aBook()]
    await change(book, { isbns: [] })
    await change(other, { isbns: [isbn(1)] })
    expect(problemOf(await revert(book, 1))).toBe('isbn-taken')
    expect(problemOf(await revert(book, 1, '"1"'))).toBe('precondition-failed')
    expect(problemOf(await revert(book, 9))).toBe('revision-not-found')
    expect(problemOf(await revert({ id: crypto.randomUUID() }, 1))).toBe('book-not-found')
    const { token } = await theStaff()
    const path = `/v1/books/${book.id}/reversions`
    expect(problemOf(await ask('POST', path, { token, body: { version: 1 } }))).toBe('precondition-required')
    expect((await ask('POST', path, { token, body: { version: 0 }, headers: anyVersion })).status).toBe(422)
    expect((await revisions(book)).items).toHaveLength(2)
    await change(other, { isbns: [] })
    expect((await revert(book, 1)).body.isbns).toEqual([isbn(1)])
  })
})

/** All the duplicates there are, as far as they are of these books. */
async function duplicatesAmong(books: Book[], limit = 50) {
  const { token } = await theStaff()
  const ids = new Set(books.map(({ id }) => id))
  const found: Duplicates[] = []
  for (let next: string | null = `/v1/books/duplicates?limit=${limit}`; next !== null;) {
    const answer: Answer<Page<Duplicates>> = await ask<Page<Duplicates>>('GET', next, { token })
    expect(answer.status, answer.text).toBe(200)
    found.push(...answer.body.items)
    next = answer.body.next
  }
  return found
    .filter((group) => group.books.some(({ id }) => ids.has(id)))
    .map(({ reason, books: group }) => [
      reason,
      group.map(({ id }) => books.findIndex((book) => book.id === id)).toSorted(),
    ])
    .toSorted((a, b) => String(a).localeCompare(String(b)))
}

const by = (...names: string[]) => names.map((name) => ({ name, role: 'author' }))

describe('likely duplicates', () => {
  test('share title and first contributor, and the year or the edition where both are known', async () => {
    const t = word()
    const written = { contributors: by('Jane Austen'), publishedYear: 1817 }
    const books = [
      await aBook({ copies: 0, title: `The ${t} Abbey`, ...written }),
      await aBook({
        copies: 0,
        title: `${t.toUpperCase()}, Abbéy!`,
        ...written,
        contributors: by('Austen, Jane', 'X Y'),
      }),
      await aBook({ copies: 0, title: `A ${t} abbey`, ...written, publishedYear: 1999 }),
      await aBook({ copies: 0, title: `${t} abbey`, ...written, contributors: by('Emily Brontë') }),
      await aBook({ copies: 0, title: `${t} abbey and more`, ...written }),
    ]
    expect(await duplicatesAmong(books, 1)).toEqual([['title', [0, 1]]])
    const [, , third] = books
    if (third) await change(third, { publishedYear: null })
    expect(await duplicatesAmong(books)).toEqual([['title', [0, 1, 2]]])
    if (third) await change(third, { publishedYear: 1999, edition: 'Second' })
    if (books[0]) await change(books[0], { edition: 'SECOND' })
    expect(await duplicatesAmong(books)).toEqual([['title', [0, 1, 2]]])
  })

  test('share a DOI, a number of OCLC or of the Library of Congress, however it is written', async () => {
    const n = String(Math.floor(Math.random() * 1e9) + 1e9)
    const pair = async (scheme: string, ...values: string[]) =>
      Promise.all(values.map((value) => aBook({ copies: 0, identifiers: [{ scheme, value }] })))
    const books = [
      ...(await pair('doi', `https://doi.org/10.1000/A${n}`, `10.1000/a${n}`)),
      ...(await pair('oclc', `(OCoLC)ocm0${n}`, n)),
      ...(await pair('lccn', `n${n.slice(0, 8)}-4123`, `n ${n.slice(0, 8)}004123`)),
      ...(await pair('goodreads', n, n)),
    ]
    expect(await duplicatesAmong(books)).toEqual([
      ['doi', [0, 1]],
      ['lccn', [4, 5]],
      ['oclc', [2, 3]],
    ])
    const { token } = await theStaff()
    await ask('DELETE', `/v1/books/${books[0]?.id}`, { token, headers: anyVersion })
    expect((await duplicatesAmong(books)).map(([reason]) => reason)).toEqual(['lccn', 'oclc'])
  })

  test('do not come back when staff have told them apart, until another joins them', async () => {
    const { token } = await theStaff()
    const title = word()
    const books = [await aBook({ copies: 0, title }), await aBook({ copies: 0, title })]
    expect(await duplicatesAmong(books)).toEqual([['title', [0, 1]]])
    const body = { bookIds: books.map(({ id }) => id) }
    const apart = () => ask<Distinction>('POST', '/v1/books/distinctions', { token, body })
    expect([(await apart()).status, (await apart()).body]).toEqual([201, body])
    expect(await duplicatesAmong(books)).toEqual([])
    books.push(await aBook({ copies: 0, title }))
    expect(await duplicatesAmong(books)).toEqual([['title', [0, 1, 2]]])
    const tell = (bookIds: unknown[]) => ask('POST', '/v1/books/distinctions', { token, body: { bookIds } })
    expect(problemOf(await tell([books[0]?.id, crypto.randomUUID()]))).toBe('book-not-found')
    expect((await tell([books[0]?.id, books[0]?.id])).status).toBe(422)
    expect((await tell([books[0]?.id])).status).toBe(422)
  })

  test('are looked for in a part of the catalogue at a time, whose end may come before the page is full', async () => {
    const library = await aLibraryApart()
    const { token } = await library.theStaff()
    const book = await library.aBook({ copies: 0, title: 'There twice' })
    await library.aBook({ copies: 0, title: 'There twice' })
    for (let n = 0; n < 50_000; n += 10_000) {
      await library.database`
        insert into book_keys (book_id, key, kind)
        select ${book.id}, md5(n::text)::uuid, 'oclc' from generate_series(${n + 1}::integer, ${n + 10_000}::integer) n`
    }
    const list = (path: string) => library.ask<Page<Duplicates>>('GET', path, { token })
    const first = (await list('/v1/books/duplicates')).body
    expect(first.next).not.toBeNull()
    const second = (await list(first.next ?? '')).body
    expect([[...first.items, ...second.items].map(({ reason }) => reason), second.next]).toEqual([['title'], null])
    await library.drop()
  })

  test('are shown twenty at a time where many share a title', async () => {
    const title = word()
    const books = await Promise.all(Array.from({ length: 25 }, () => aBook({ copies: 0, title })))
    const [[, group] = []] = await duplicatesAmong(books)
    expect(group).toHaveLength(20)
  })
})

describe('many edits at once', () => {
  const edit = async (mode: string, books: unknown, headers: Record<string, string> = {}) => {
    const { token } = await theStaff()
    return ask<EditResults>('POST', '/v1/books/changes', { token, body: { mode, books }, headers })
  }
  const titleOf = async ({ id }: { id: string }) => {
    const { status, body } = await ask<Book>('GET', `/v1/books/${id}`)
    return status === 200 ? body.title : status
  }

  /** Six books, and an edit of each: four of which cannot be made. */
  async function aMixture(n: number) {
    const [good, stale, taken, lent, gone] = await Promise.all([
      aBook({ isbns: [isbn(n)] }),
      aBook(),
      aBook(),
      aBook(),
      aBook(),
    ])
    await aLoan(await aPatron(), lent)
    const absent = crypto.randomUUID()
    const books = [
      { id: good.id, version: 1, change: { title: 'Good', subjects: ['x'] } },
      { id: stale.id, version: 7, change: { title: 'Stale' } },
      { id: taken.id, version: 1, change: { isbns: [isbn(n)] } },
      { id: lent.id, version: 1, remove: true },
      { id: gone.id, version: 1, remove: true },
      { id: absent, version: 1, remove: true },
    ]
    return { good, stale, taken, lent, gone, books }
  }

  test('one by one: what can be done is done, and each answers for itself', async () => {
    const { good, gone, lent, books } = await aMixture(2)
    const key = { 'idempotency-key': word() }
    const answer = await edit('each', books, key)
    expect(answer.status, answer.text).toBe(200)
    const { results } = answer.body
    expect(results.map(({ outcome, version, problem }) => [outcome, version, problem?.type ?? null])).toEqual([
      ['changed', 2, null],
      ['refused', null, '/problems/precondition-failed'],
      ['refused', null, '/problems/isbn-taken'],
      ['refused', null, '/problems/book-on-loan'],
      ['removed', null, null],
      ['refused', null, '/problems/book-not-found'],
    ])
    expect(results.map(({ id }) => id)).toEqual(books.map(({ id }) => id))
    expect([await titleOf(good), await titleOf(gone), await titleOf(lent)]).toEqual(['Good', 404, lent.title])
    expect((await revisions(good)).items.map(({ kind }) => kind)).toEqual(['changed', 'catalogued'])
    expect((await edit('each', books, key)).body).toEqual(answer.body)
    expect((await revisions(good)).items).toHaveLength(2)
  })

  test('all or nothing: one that is refused undoes all, and is pointed at', async () => {
    const { good, gone, books } = await aMixture(3)
    const answer = await edit('all-or-nothing', books)
    expect(problemOf(answer)).toBe('precondition-failed')
    const { errors } = answer.body as unknown as { errors: { pointer: string; detail: string }[] }
    expect(errors.map(({ pointer, detail }) => `${pointer} ${detail.split(':')[0]}`)).toEqual([
      '/books/1 precondition-failed',
      '/books/2 isbn-taken',
      '/books/3 book-on-loan',
      '/books/5 book-not-found',
    ])
    expect([await titleOf(good), await titleOf(gone)]).toEqual([good.title, gone.title])
    expect((await revisions(good)).items).toHaveLength(1)
    const sound = await edit('all-or-nothing', [books[0], books[4]])
    expect(sound.body.results.map(({ outcome }) => outcome)).toEqual(['changed', 'removed'])
  })

  test('are a hundred at most, each of another book, with something to do that is valid', async () => {
    const book = await aBook()
    const title = { id: book.id, version: 1, change: { title: 'x' } }
    const refusals = [
      await edit('each', []),
      await edit(
        'each',
        Array.from({ length: 101 }, () => ({ ...title, id: crypto.randomUUID() })),
      ),
      await edit('each', [title, title]),
      await edit('each', [{ ...title, remove: true }]),
      await edit('each', [{ id: book.id, version: 1 }]),
      await edit('some', [title]),
      await edit('each', [{ ...title, change: { isbns: ['12345'] } }]),
    ]
    expect(refusals.map(({ status }) => status)).toEqual(refusals.map(() => 422))
    const last = refusals.at(-1)?.body as unknown as { errors: { pointer: string }[] }
    expect(last.errors[0]?.pointer).toBe('/books/0/change/isbns/0')
    expect((await revisions(book)).items).toHaveLength(1)
  })

  test('in opposite orders at the same moment neither wait for each other for ever nor mix', async () => {
    const books = await Promise.all(Array.from({ length: 12 }, () => aBook({ copies: 1 })))
    const edits = books.map(({ id }) => ({ id, version: 1, change: { publisher: 'P' } }))
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => edit('all-or-nothing', i % 2 ? edits : edits.toReversed())),
    )
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412, 412, 412, 412, 412])
    const versions = await database`select version from books where id = any (${books.map(({ id }) => id)})`
    expect(new Set(versions.map(({ version }) => version))).toEqual(new Set([2]))
  })

  test('leave copies as a removal does', async () => {
    const { token } = await theStaff()
    const book = await aBook({ copies: 2 })
    const { items } = (await ask<Page<Copy>>('GET', `/v1/books/${book.id}/copies`, { token })).body
    await edit('each', [{ id: book.id, version: 1, remove: true }])
    expect((await ask('GET', `/v1/copies/${items[0]?.id}`, { token })).status).toBe(404)
  })
})
