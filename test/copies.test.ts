import { describe, expect, test } from 'vitest'
import type { Copy } from '../src/features/copies/schema.ts'
import type { Page } from '../src/page.ts'
import { aBook, aCopy, aLoan, aPatron, ask, problemOf, theStaff } from './support/library.ts'

const aBarcode = () => `T${crypto.randomUUID().slice(0, 13)}`

const change = async (copy: Copy, body: object, headers: Record<string, string> = { 'if-match': '*' }) =>
  ask<Copy>('PATCH', `/v1/copies/${copy.id}`, { token: (await theStaff()).token, body, headers })

const remove = async (copy: Copy, headers: Record<string, string> = { 'if-match': '*' }) =>
  ask('DELETE', `/v1/copies/${copy.id}`, { token: (await theStaff()).token, headers })

describe('copies', () => {
  test('a physical copy and a licence come back as they were given', async () => {
    const [{ token }, book] = await Promise.all([theStaff(), aBook({ copies: 0 })])
    const given = [
      { format: 'physical', barcode: aBarcode(), callNumber: '823.7 AUS' },
      { format: 'digital', licenceEndsAt: '2099-12-31T23:59:59+02:00', loansLeft: 26 },
    ]
    const made = await Promise.all(given.map((copy) => aCopy(book, copy)))
    expect(made[0]).toMatchObject({
      ...given[0],
      bookId: book.id,
      licenceEndsAt: null,
      loansLeft: null,
      state: 'available',
    })
    expect(made[1]).toMatchObject({ format: 'digital', barcode: null, loansLeft: 26 })
    expect(Date.parse(made[1]?.licenceEndsAt ?? '')).toBe(Date.parse('2099-12-31T23:59:59+02:00'))
    const listed = await ask<Page<Copy>>('GET', `/v1/books/${book.id}/copies`, { token })
    expect(listed.body.items.map(({ id }) => id).toSorted()).toEqual(made.map(({ id }) => id).toSorted())
    const read = await ask<Copy>('GET', `/v1/copies/${made[0]?.id}`, { token })
    expect(read.body).toEqual(made[0])
    expect(read.headers.get('etag')).toBe('"1-0.0.0"')
  })

  test.each([
    {},
    { format: 'physical' },
    { format: 'physical', barcode: '' },
    { format: 'physical', barcode: 'ÄÖÜ' },
    { format: 'physical', barcode: 'B-1', loansLeft: 3 },
    { format: 'digital', barcode: 'B-1' },
    { format: 'digital', loansLeft: -1 },
    { format: 'digital', loansLeft: 3_000_000_000 },
    { format: 'digital', licenceEndsAt: '2026-02-30T00:00:00Z' },
    { format: 'digital', licenceEndsAt: '0000-01-01T00:00:00Z' },
    { format: 'digital', licenceEndsAt: 'tomorrow' },
    { format: 'vinyl', barcode: 'B-1' },
  ])('%j is no copy', async (body) => {
    const [{ token }, book] = await Promise.all([theStaff(), aBook({ copies: 0 })])
    expect((await ask('POST', `/v1/books/${book.id}/copies`, { token, body })).status).toBe(422)
  })

  test('an unknown book takes no copies and lists none', async () => {
    const { token } = await theStaff()
    const path = `/v1/books/${crypto.randomUUID()}/copies`
    const body = { format: 'physical', barcode: aBarcode() }
    expect(problemOf(await ask('POST', path, { token, body }))).toBe('book-not-found')
    expect(problemOf(await ask('GET', path, { token }))).toBe('book-not-found')
  })

  test('a barcode is one copy’s, also when two are labelled at once, until that copy is removed', async () => {
    const [{ token }, book] = await Promise.all([theStaff(), aBook({ copies: 0 })])
    const body = { format: 'physical', barcode: aBarcode() }
    const add = () => ask<Copy>('POST', `/v1/books/${book.id}/copies`, { token, body })
    const answers = await Promise.all([add(), add()])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409])
    expect(answers.map(problemOf)).toContain('barcode-taken')
    const owner = answers.find(({ status }) => status === 201)
    expect(owner && (await remove(owner.body)).status).toBe(204)
    expect((await add()).status).toBe(201)
  })

  test('a change needs the current version, and keeps each format to its own fields', async () => {
    const book = await aBook({ copies: 0 })
    const copy = await aCopy(book)
    expect(problemOf(await change(copy, { callNumber: 'A 1' }, {}))).toBe('precondition-required')
    expect((await change(copy, { callNumber: 'A 1' }, { 'if-match': '"1"' })).body).toMatchObject({
      callNumber: 'A 1',
      version: 2,
    })
    expect(problemOf(await change(copy, { callNumber: 'A 2' }, { 'if-match': '"1"' }))).toBe('precondition-failed')
    expect(problemOf(await change(copy, { loansLeft: 3 }))).toBe('format-mismatch')
    expect(problemOf(await change({ ...copy, id: crypto.randomUUID() }, { callNumber: 'x' }))).toBe('copy-not-found')
    const licence = await aCopy(book, { format: 'digital' })
    expect(problemOf(await change(licence, { barcode: aBarcode() }))).toBe('format-mismatch')
    expect(problemOf(await change(licence, { callNumber: 'x' }))).toBe('format-mismatch')
    expect((await change(licence, { loansLeft: 0 })).body.state).toBe('expired')
    const other = await aCopy(book)
    expect(problemOf(await change(other, { barcode: copy.barcode }))).toBe('barcode-taken')
  })

  test('a copy on loan is not removed', async () => {
    const [patron, book] = await Promise.all([aPatron(), aBook({ copies: 0 })])
    const copy = await aCopy(book)
    expect(problemOf(await remove(copy, {}))).toBe('precondition-required')
    expect(problemOf(await remove(copy, { 'if-match': '"9"' }))).toBe('precondition-failed')
    await aLoan(patron, book)
    expect(problemOf(await remove(copy))).toBe('copy-on-loan')
  })

  test('copies are listed page by page, each once', async () => {
    const [{ token }, book] = await Promise.all([theStaff(), aBook({ copies: 5 })])
    const first = await ask<Page<Copy>>('GET', `/v1/books/${book.id}/copies?limit=3`, { token })
    const second = await ask<Page<Copy>>('GET', first.body.next ?? '', { token })
    expect(new Set([...first.body.items, ...second.body.items].map(({ id }) => id)).size).toBe(5)
    expect(second.body.next).toBeNull()
  })
})
