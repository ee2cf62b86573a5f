import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Book } from '../src/features/books/schema.ts'
import type { Page } from '../src/page.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Ask, isolateAtTheEdge, libraryAtTheEdge, problemOf } from './support/library.ts'

/** What anyone may read of the catalogue costs nothing the second time, and says nothing that a write of this data centre
 *  has overtaken. */

let trips: number
/** What the database answered, as text. */
let heard: string[]
let isAway: boolean
let shiftMs: number
/** What the answers of the database wait for. */
let gate: Promise<void>

beforeEach(() => {
  trips = 0
  heard = []
  isAway = false
  shiftMs = 0
  gate = Promise.resolve()
  const { fetch } = globalThis
  const now = Date.now.bind(Date)
  vi.spyOn(Date, 'now').mockImplementation(() => now() + shiftMs)
  vi.spyOn(console, 'log').mockImplementation(() => undefined)
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const url = input instanceof Request ? input.url : input.toString()
    if (!url.startsWith(env.DATABASE_ENDPOINT)) return fetch(input, init)
    const waitsFor = gate
    trips += 1
    if (isAway) throw new TypeError('Network connection lost.')
    const response = await fetch(input, init)
    heard.push(await response.clone().text())
    await waitsFor
    return response
  })
})
afterEach(() => vi.restoreAllMocks())

type Edge = ReturnType<typeof libraryAtTheEdge>

/** Reads; what is heard, and what it cost. */
async function look<T = Book>({ ask }: Edge, path: string, how?: Ask) {
  const before = trips
  const { status, headers, body, text } = await ask<T>('GET', path, how)
  return { status, headers, body, text, age: headers.get('age'), trips: trips - before }
}

const word = () => `w${crypto.randomUUID().replaceAll('-', '').slice(0, 14)}`

/** A valid ISBN of the range 978-1-5 that no other test uses. */
function anIsbn() {
  const digits = `9781${String(500_00000 + Math.floor(Math.random() * 49_99999)).padStart(8, '0')}`
  const sum = Array.from(digits).reduce((total, digit, i) => total + Number(digit) * (i % 2 === 0 ? 1 : 3), 0)
  return digits + String((10 - (sum % 10)) % 10)
}

async function aBookAt(edge: Edge) {
  const [isbn, title] = [anIsbn(), word()]
  const { id } = await edge.aBook({ title, isbns: [isbn] })
  const paths = { book: `/v1/books/${id}`, isbn: `/v1/books/isbn/${isbn}`, list: `/v1/books?q=${title}` }
  const staff = await edge.theStaff()
  const rename = (title: string) =>
    edge.ask('PATCH', paths.book, { token: staff.token, body: { title }, headers: { 'if-match': '*' } })
  return { id, isbn, title, paths, rename }
}

const setTitle = (edge: Edge, id: string, title: string) =>
  edge.database`update books set title = ${title}, version = version + 1 where id = ${id}`

describe('the second reader', () => {
  test('costs no round trip, and hears the same with an age and an id of its own', async () => {
    const edge = libraryAtTheEdge()
    const { paths } = await aBookAt(edge)
    for (const path of Object.values(paths)) {
      const first = await look(edge, path)
      expect([first.status, first.trips, first.age]).toEqual([200, 1, null])
      const second = await look(edge, path)
      expect([second.status, second.trips, second.age, second.text]).toEqual([200, 0, '0', first.text])
      for (const name of ['etag', 'cache-control', 'content-type', 'link', 'vary']) {
        expect([name, second.headers.get(name)]).toEqual([name, first.headers.get(name)])
      }
      expect(second.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
      const etag = first.headers.get('etag') ?? ''
      for (const tags of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const same = await look(edge, path, { headers: { 'if-none-match': tags } })
        expect([same.status, same.trips, same.text, same.headers.get('etag')]).toEqual([304, 0, '', etag])
      }
      const head = await edge.ask('HEAD', path)
      expect([head.status, head.text, head.headers.get('etag')]).toEqual([200, '', etag])
    }
  })

  test('may spell it otherwise, and be in another isolate', async () => {
    const edge = libraryAtTheEdge()
    const { id, isbn, title } = await aBookAt(edge)
    for (const path of [`/v1/books/${id}`, `/v1/books/isbn/${isbn}`, `/v1/books?q=${title}&sort=title`]) {
      await look(edge, path)
    }
    const hyphens = `${isbn.slice(0, 3)}-${isbn.slice(3)}`
    for (const path of [
      `/v1/books/${id.toUpperCase()}`,
      `/v1/books/isbn/${hyphens}`,
      `/v1/books?sort=title&limit=20&q=%${title.charCodeAt(0).toString(16)}${title.slice(1)}`,
    ]) {
      expect(await look(isolateAtTheEdge(edge.env), path)).toMatchObject({ status: 200, trips: 0 })
    }
  })

  test('of another origin gets the header that lets it read, and no other does', async () => {
    const edge = libraryAtTheEdge()
    const { paths } = await aBookAt(edge)
    const origin = { headers: { origin: 'https://app.library.test' } }
    const heardBy = async (how?: Ask) => (await look(edge, paths.book, how)).headers.get('access-control-allow-origin')
    expect([await heardBy(origin), await heardBy(), await heardBy(origin)]).toEqual([
      'https://app.library.test',
      null,
      'https://app.library.test',
    ])
    expect(await look(edge, paths.book)).toMatchObject({ trips: 0 })
  })
})

describe('what has not changed', () => {
  test('is 304 from the database, which makes no JSON of it', async () => {
    const edge = libraryAtTheEdge({ EDGE_CACHE: 'off' })
    const { paths, title } = await aBookAt(edge)
    for (const path of [paths.book, paths.isbn]) {
      const etag = (await look(edge, path)).headers.get('etag') ?? ''
      expect(heard.at(-1)).toContain(title)
      const same = await look(edge, path, { headers: { 'if-none-match': `"1", W/${etag}` } })
      expect([same.status, same.trips, same.headers.get('etag')]).toEqual([304, 1, etag])
      expect(heard.at(-1)).not.toContain(title)
      expect(await look(edge, path, { headers: { 'if-none-match': '"1"' } })).toMatchObject({ status: 200 })
    }
  })

  test('is kept when something else changes, and its JSON is not made again', async () => {
    const edge = libraryAtTheEdge()
    const [{ paths, title }, other] = [await aBookAt(edge), await aBookAt(edge)]
    await look(edge, paths.book)
    await other.rename(word())
    const again = await look(edge, paths.book)
    expect([again.status, again.trips, again.age, again.body.title]).toEqual([200, 1, null, title])
    expect(heard.at(-1)).not.toContain(title)
    expect(await look(edge, paths.book)).toMatchObject({ status: 200, trips: 0 })
  })
})

describe('after a write', () => {
  test('the next reader sees it: of the book, by its ISBN, and in a list', async () => {
    const edge = libraryAtTheEdge()
    const { id, title, paths, rename } = await aBookAt(edge)
    const patron = await edge.aPatron()
    const { token } = await edge.theStaff()
    const copies = async () => [
      (await look(edge, paths.book)).body,
      (await look(edge, paths.isbn)).body,
      (await look<Page<Book>>(edge, paths.list)).body.items[0],
    ]
    const each = (part: object) => Array(3).fill(expect.objectContaining(part))
    const availability = (copies: number, available: number, holds = 0) =>
      each({ availability: { physical: { copies, available }, digital: { copies: 0, available: 0 }, holds } })

    expect(await copies()).toEqual(availability(1, 1))
    const loan = await edge.aLoan(patron, { id })
    expect(await copies()).toEqual(availability(1, 0))
    const hold = await edge.aHold(await edge.aPatron(), { id })
    expect(await copies()).toEqual(availability(1, 0, 1))
    await edge.ask('DELETE', `/v1/holds/${hold.id}`, { token })
    expect(await copies()).toEqual(availability(1, 0))
    await edge.giveBack(patron, loan)
    expect(await copies()).toEqual(availability(1, 1))
    const copy = await edge.aCopy({ id })
    expect(await copies()).toEqual(availability(2, 2))
    await edge.ask('PUT', `/v1/copies/${copy.id}/loss`, { token })
    expect(await copies()).toEqual(availability(1, 1))
    await rename(`${title} again`)
    expect(await copies()).toEqual(each({ title: `${title} again` }))
    await edge.ask('DELETE', paths.book, { token, headers: { 'if-match': '*' } })
    expect([await look(edge, paths.book), await look(edge, paths.isbn)].map(problemOf)).toEqual(
      Array(2).fill('book-not-found'),
    )
    expect((await look<Page<Book>>(edge, paths.list)).body.items).toEqual([])
  })

  test('no reader brings back what was read before it, however late', async () => {
    const edge = libraryAtTheEdge()
    const { title, paths, rename } = await aBookAt(edge)
    const { promise, resolve } = Promise.withResolvers<void>()
    gate = promise
    const late = look(edge, paths.book)
    await vi.waitFor(() => expect(heard.at(-1)).toContain(title))
    gate = Promise.resolve()
    const changed = word()
    expect((await rename(changed)).status).toBe(200)
    resolve()
    expect((await late).body.title).toBe(title)
    expect(await look(edge, paths.book)).toMatchObject({ trips: 1, body: { title: changed } })
    expect(await look(edge, paths.book)).toMatchObject({ trips: 0, body: { title: changed } })
  })

  test('whose answer was lost, the next reader asks; after one that was refused, and after logging in, nobody does', async () => {
    const edge = libraryAtTheEdge()
    const { paths, rename } = await aBookAt(edge)
    await look(edge, paths.book)
    expect((await edge.ask('POST', '/v1/books', { body: { title: 'x' } })).status).toBe(401)
    await edge.ask('POST', '/v1/sessions', { body: { username: 'nobody.at.all', password: 'x' } })
    expect(await look(edge, paths.book)).toMatchObject({ trips: 0 })
    isAway = true
    expect((await rename(word())).status).toBe(503)
    isAway = false
    expect(await look(edge, paths.book)).toMatchObject({ trips: 1 })
  })
})

describe('whoever shows who they are', () => {
  test('is answered from the database, and leaves nothing behind', async () => {
    const edge = libraryAtTheEdge()
    const { paths } = await aBookAt(edge)
    const { token } = await edge.aPatron()
    for (const how of [{ token }, { token: 'nonsense' }, { headers: { cookie: 'a=b' } }]) {
      const first = await look(edge, paths.book, how)
      expect([first.status, first.trips, first.age]).toEqual([200, 1, null])
      expect(first.headers.get('cache-control')).toMatch(/^private, no-cache/)
    }
    expect(await look(edge, paths.book)).toMatchObject({ trips: 1 })
    expect(await look(edge, paths.book, { token })).toMatchObject({ trips: 1, age: null })
  })

  test('and whoever asks what is available now', async () => {
    const edge = libraryAtTheEdge()
    const { title } = await aBookAt(edge)
    const path = `/v1/books?q=${title}&available=true`
    for (const _ of [1, 2]) {
      const list = await look<Page<Book>>(edge, path)
      expect([list.status, list.trips, list.headers.get('cache-control')]).toEqual([200, 1, 'public, no-cache'])
    }
  })

  test('and a refusal is not kept', async () => {
    const edge = libraryAtTheEdge()
    const isbn = anIsbn()
    const path = `/v1/books/isbn/${isbn}`
    for (const _ of [1, 2]) expect(await look(edge, path)).toMatchObject({ status: 404, trips: 1 })
    for (const _ of [1, 2]) expect(await look(edge, '/v1/books?colour=red')).toMatchObject({ status: 422, trips: 0 })
  })
})

describe('what nobody here has changed', () => {
  test('is answered for five seconds, then for ten more while it is read anew, then read anew', async () => {
    const edge = libraryAtTheEdge()
    const { id, title, paths } = await aBookAt(edge)
    await look(edge, paths.book)
    await setTitle(edge, id, 'changed elsewhere')
    await edge.database`update books set version = version + 1 where id = ${id}`
    shiftMs = 4_000
    expect(await look(edge, paths.book)).toMatchObject({ trips: 0, age: '4', body: { title } })
    shiftMs = 14_000
    const crowd = await Promise.all(Array.from({ length: 20 }, () => edge.ask<Book>('GET', paths.book)))
    expect(crowd.map(({ body }) => body.title)).toContain(title)
    const refreshed = trips
    expect(await look(edge, paths.book)).toMatchObject({ trips: 0, age: '0', body: { title: 'changed elsewhere' } })
    expect(refreshed).toBe(trips)
    shiftMs += 16_000
    expect(await look(edge, paths.book)).toMatchObject({ trips: 1, age: null })
  })

  test('is read anew by one of a crowd', async () => {
    const edge = libraryAtTheEdge()
    const { paths } = await aBookAt(edge)
    await look(edge, paths.book)
    shiftMs = 8_000
    const before = trips
    const { promise, resolve } = Promise.withResolvers<void>()
    gate = promise
    const crowd = Promise.all(Array.from({ length: 20 }, () => edge.ask<Book>('GET', paths.book)))
    await vi.waitFor(() => expect(trips).toBe(before + 1))
    resolve()
    expect((await crowd).map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect(trips).toBe(before + 1)
  })
})

describe('while the database is away', () => {
  test('what was read is answered for ten minutes, with its age, and then refused', async () => {
    const edge = libraryAtTheEdge()
    const [{ paths, title }, other] = [await aBookAt(edge), await aBookAt(edge)]
    for (const path of Object.values(paths)) await look(edge, path)
    await other.rename(word())
    isAway = true
    for (const [seconds, path] of [60, 300, 590].flatMap((s) =>
      Object.values(paths).map((path) => [s, path] as const),
    )) {
      shiftMs = seconds * 1_000
      expect(await look(edge, path)).toMatchObject({ status: 200, age: String(seconds) })
    }
    expect((await look(edge, paths.book)).body.title).toBe(title)
    // The breaker has opened: nobody waits.
    expect(await look(edge, paths.book)).toMatchObject({ status: 200, trips: 0 })
    expect(await look(edge, other.paths.book)).toMatchObject({ status: 503 })
    shiftMs = 601_000
    const late = await look(edge, paths.book)
    expect([late.status, late.headers.get('cache-control')]).toEqual([503, 'no-store'])
  })

  test('a book that has been found to be gone does not come back', async () => {
    const edge = libraryAtTheEdge()
    const { paths } = await aBookAt(edge)
    const { token } = await edge.theStaff()
    await look(edge, paths.book)
    await edge.ask('DELETE', paths.book, { token, headers: { 'if-match': '*' } })
    expect(await look(edge, paths.book)).toMatchObject({ status: 404 })
    isAway = true
    expect(await look(edge, paths.book)).toMatchObject({ status: 503 })
  })
})

describe('the cache', () => {
  test('of one library is not that of another at the same host', async () => {
    const edge = libraryAtTheEdge()
    const apart = await aLibraryApart()
    const { DATABASE_ENDPOINT } = edge.env
    const another = isolateAtTheEdge({ ...apart.env, DATABASE_ENDPOINT, EDGE_CACHE: 'on' })
    const { paths } = await aBookAt(edge)
    await look(edge, paths.book)
    expect(await look(another, paths.book)).toMatchObject({ status: 404, trips: 1 })
    await apart.drop()
  })

  test('can fail, and nothing else does', async () => {
    const edge = libraryAtTheEdge()
    const { paths, rename } = await aBookAt(edge)
    const broken = () => Promise.reject(new Error('no cache'))
    vi.spyOn(caches.default, 'match').mockImplementation(broken)
    vi.spyOn(caches.default, 'put').mockImplementation(broken)
    expect(await look(edge, paths.book)).toMatchObject({ status: 200, trips: 1 })
    expect((await rename(word())).status).toBe(200)
    expect(await look(edge, paths.book)).toMatchObject({ status: 200, trips: 1 })
  })
})

describe('every read of a thing', () => {
  test('has an ETag for If-None-Match, which changes with it', async () => {
    const edge = libraryAtTheEdge()
    const [staff, patron, { id }] = [await edge.theStaff(), await edge.aPatron(), await aBookAt(edge)]
    const copy = await edge.aCopy({ id })
    const loan = await edge.aLoan(patron, { id })
    const { token } = staff
    const paths = [
      `/v1/copies/${copy.id}`,
      `/v1/books/${id}/copies`,
      `/v1/loans/${loan.id}`,
      `/v1/loans?userId=${patron.id}`,
      `/v1/users/${patron.id}`,
      '/v1/library',
    ]
    const tags = async () => {
      const answers = await Promise.all(paths.map((path) => look(edge, path, { token })))
      return answers.map(({ headers }) => headers.get('etag') ?? '')
    }
    const before = await tags()
    for (const [place, path] of paths.entries()) {
      const etag = before[place] ?? ''
      const same = await look(edge, path, { token, headers: { 'if-none-match': etag } })
      expect([path, same.status, same.text, same.headers.get('etag')]).toEqual([path, 304, '', etag])
      const head = await edge.ask('HEAD', path, { token, headers: { 'if-none-match': etag } })
      expect([path, head.status]).toEqual([path, 304])
    }
    await edge.giveBack(patron, loan)
    await edge.ask('POST', '/v1/loans', { token, body: { barcode: copy.barcode, userId: patron.id } })
    const after = await tags()
    expect(after.slice(0, 4).filter((tag, place) => tag === before[place])).toEqual([])
    expect(after.slice(5)).toEqual(before.slice(5))
  })
})
