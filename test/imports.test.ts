import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Book } from '../src/features/books/schema.ts'
import type {
  Import,
  ImportRecord,
  ImportVerdicts,
  NewImport,
  WholeImportRecord,
} from '../src/features/imports/schema.ts'
import type { Page } from '../src/page.ts'
import { aBook, aCopy, aLoan, aPatron, ask, giveBack, problemOf, theStaff } from './support/library.ts'

const word = () => `w${crypto.randomUUID().replaceAll('-', '').slice(0, 14)}`

let isbns = 0
/** An ISBN of no other test. */
const anIsbn = () => {
  const digits = `979109${String(Date.now() % 10_000).padStart(4, '0')}${String((isbns += 1)).padStart(2, '0')}`
  const sum = Array.from(digits).reduce((sum, digit, place) => sum + Number(digit) * (place % 2 === 0 ? 1 : 3), 0)
  return `${digits}${(10 - (sum % 10)) % 10}`
}

const jane = [{ name: 'Austen, Jane, 1775-1817', role: 'author' }]

async function begin(how: Partial<NewImport> = {}) {
  const { token } = await theStaff()
  const body = { source: word(), format: 'marc', ...how }
  const answer = await ask<Import>('POST', '/v1/imports', { token, body })
  expect(answer.status, answer.text).toBe(201)
  return answer.body
}

type Given = { record?: object; marc?: object; notes?: string[]; reason?: string; raw?: string; position?: number }

async function send({ id }: { id: string }, given: Given[], rest: object = {}) {
  const { token } = await theStaff()
  const records = given.map((one, place) => ({ position: place + 1, ...one }))
  return ask<ImportVerdicts>('POST', `/v1/imports/${id}/records`, { token, body: { records, ...rest } })
}

async function take(begun: { id: string }, given: Given[], rest: object = {}): Promise<ImportRecord[]> {
  const answer = await send(begun, given, rest)
  expect(answer.status, answer.text).toBe(200)
  return answer.body.items
}

const verdicts = (records: ImportRecord[]) => records.map(({ verdict }) => verdict)

/** The verdicts of an import of its own. */
async function imported(given: Given[], how: Partial<NewImport> = {}) {
  const begun = await begin(how)
  return { ...begun, records: await take(begun, given, { last: true }) }
}

async function undo({ id }: { id: string }) {
  const answer = await ask<Import>('PUT', `/v1/imports/${id}/undo`, { token: (await theStaff()).token })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

async function staffAsks<T>(path: string) {
  const answer = await ask<T>('GET', path, { token: (await theStaff()).token })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

const readImport = ({ id }: { id: string }) => staffAsks<Import>(`/v1/imports/${id}`)
const readBook = async (id: string | null | undefined) => (await ask<Book>('GET', `/v1/books/${id}`)).body
const change = async (id: string | null | undefined, body: object) => {
  const { token } = await theStaff()
  expect((await ask('PATCH', `/v1/books/${id}`, { token, body, headers: { 'if-match': '*' } })).status).toBe(200)
}

const marc = (number: string, ...fields: object[]) => ({
  leader: '00000nam a2200000 a 4500',
  fields: [{ '001': number }, { '003': 'test' }, ...fields],
})

describe('an import', () => {
  test('gives each record one verdict, and running it again changes nothing', async () => {
    const [number, isbn, plain] = [word(), anIsbn(), word()]
    const there = await aBook({ title: `Persuasion ${plain}`, isbns: [isbn], subjects: ['Naval officers'] })
    const given: Given[] = [
      { record: { title: `Emma ${plain}`, contributors: jane }, marc: marc(number), notes: ['title: cut'] },
      { record: { title: `Persuasion ${plain}`, isbns: [isbn], publisher: 'Murray', subjects: ['Bath'] } },
      { record: { title: '' } },
      { reason: 'the leader is broken', raw: btoa('\u00ff\u0000junk') },
      { record: { title: plain } },
      { record: { title: plain } },
    ]
    const source = word()
    const first = await imported(given, { source })
    expect(first.records.map(({ verdict, matchedBy }) => [verdict, matchedBy])).toEqual([
      ['created', null],
      ['merged', 'isbn'],
      ['refused', null],
      ['refused', null],
      ['created', null],
      ['unchanged', 'earlier-import'],
    ])
    expect(first.records.map(({ notes }) => notes)[0]).toEqual(['title: cut'])
    expect(first.records[2]?.reason).toMatch(/^\/title /)
    expect(await readBook(there.id)).toMatchObject({ publisher: 'Murray', subjects: ['Naval officers'], version: 2 })
    const after = await readImport(first)
    expect(after).toMatchObject({
      totals: { created: 2, updated: 0, merged: 1, unchanged: 1, refused: 2 },
      nextPosition: 7,
    })
    expect(after.endedAt).not.toBeNull()

    const versions = () => Promise.all(first.records.map(async ({ bookId }) => (await readBook(bookId)).version))
    const before = await versions()
    for (const again of [{ source }, { source: word() }, { source, dryRun: true }]) {
      expect(verdicts((await imported(given, again)).records)).toEqual([
        ...['unchanged', 'unchanged', 'refused', 'refused', 'unchanged', 'unchanged'],
      ])
    }
    expect(await versions()).toEqual(before)
  })

  test('keeps what it refuses, byte for byte', async () => {
    const { id } = await imported([
      { reason: 'broken', raw: btoa('\u00ff\u0000junk') },
      { record: { title: 'a\u0000b', colour: 'red\u0000' } },
    ])
    const kept = (position: number) => staffAsks<WholeImportRecord>(`/v1/imports/${id}/records/${position}`)
    expect(await kept(1)).toMatchObject({
      verdict: 'refused',
      reason: 'broken',
      raw: btoa('\u00ff\u0000junk'),
      rawBytes: 6,
    })
    expect(JSON.parse(atob((await kept(2)).raw ?? ''))).toEqual({ title: 'a\u0000b', colour: 'red\u0000' })
  })

  test('answers a batch that comes again with what it answered before', async () => {
    const begun = await begin()
    const given = [{ record: { title: word() } }, { record: { title: word() } }]
    const first = await take(begun, given)
    expect(await take(begun, given)).toEqual(first)
    expect(await take(begun, [...given, { record: { title: word() } }])).toEqual([...first, expect.anything()])
    expect((await readImport(begun)).totals.created).toBe(3)
    const twice = await send(begun, [
      { position: 9, record: { title: 'a' } },
      { position: 9, record: { title: 'b' } },
    ])
    expect(twice.status).toBe(422)
  })

  test('of two batches at once with the same book makes one book', async () => {
    const [isbn, title] = [anIsbn(), word()]
    const both = await Promise.all([1, 2].map(() => imported([{ record: { title, isbns: [isbn] } }])))
    expect(both.flatMap(({ records }) => verdicts(records)).toSorted()).toEqual(['created', 'unchanged'])
  })

  test('takes batches that were sent one behind the other in their order', async () => {
    const begun = await begin()
    const [title, isbn] = [word(), anIsbn()]
    const second = [{ position: 2, record: { title, contributors: jane, isbns: [isbn] } }]
    const early = await send(begun, second, { after: 1 })
    expect([early.status, problemOf(early)]).toEqual([503, 'busy'])
    expect((await readImport(begun)).nextPosition).toBe(1)
    expect(verdicts(await take(begun, [{ record: { title, contributors: jane } }]))).toEqual(['created'])
    expect(verdicts(await take(begun, second, { after: 1 }))).toEqual(['merged'])
  })

  test('gives the same verdicts for a batch as for its records one by one, whatever they share', async () => {
    const numbers = fc.integer({ min: 0, max: 5 })
    const shared = fc.record({
      title: fc.integer({ min: 0, max: 15 }),
      author: fc.option(fc.constantFrom(0, 0, 0, 1), { freq: 9 }),
      isbns: fc.oneof(fc.constant<number[]>([]), fc.constant<number[]>([]), fc.uniqueArray(numbers, { maxLength: 2 })),
      number: fc.option(numbers, { freq: 1 }),
      year: fc.option(fc.constantFrom(1900, 1901), { freq: 4 }),
      publisher: fc.option(fc.constantFrom('Murray', 'Virago')),
    })
    const batches = fc.sample(fc.array(shared, { minLength: 20, maxLength: 20 }), { seed: 15, numRuns: 6 })
    for (const batch of batches) {
      const recordsOf = () => {
        const [own, isbns] = [word(), Array.from({ length: 6 }, anIsbn)]
        return batch.map(({ title, author, number, isbns: places, year, publisher }): Given => {
          const record = {
            title: `Title ${title} ${own}`,
            contributors: author === null ? [] : [{ name: `Author ${'AB'[author]}`, role: 'author' }],
            isbns: places.flatMap((place) => isbns[place] ?? []),
            publisher,
            publishedYear: year,
          }
          return number === null ? { record } : { record, marc: marc(`${number}${own}`) }
        })
      }
      const told = (records: ImportRecord[]) =>
        records.map(({ verdict, matchedBy, notes, bookId }) => ({
          verdict,
          matchedBy,
          notes: notes.length,
          sameAs: records.findIndex((other) => other.bookId === bookId),
        }))
      const given = recordsOf()
      const dry = await imported(given, { dryRun: true })
      const atOnce = await imported(given)
      const begun = await begin()
      const oneByOne = []
      for (const [place, one] of recordsOf().entries()) {
        oneByOne.push(...(await take(begun, [{ position: place + 1, ...one }])))
      }
      expect(told(atOnce.records)).toEqual(told(oneByOne))
      expect(told(dry.records)).toEqual(told(oneByOne))
    }
  })

  test('may send 1 MiB, and not more', async () => {
    const begun = await begin()
    const fill = (length: number) => [
      { reason: 'large', raw: btoa('x'.repeat(90_000)) },
      ...Array.from({ length }, () => ({ reason: 'large', raw: btoa('x'.repeat(90_000)) })),
    ]
    expect((await send(begun, fill(7))).status).toBe(200)
    const answer = await send(begun, fill(9))
    expect([answer.status, problemOf(answer)]).toEqual([413, 'body-too-large'])
  })

  test('that nobody has begun takes no records, answers nothing and is not undone', async () => {
    const nowhere = { id: crypto.randomUUID() }
    const { token } = await theStaff()
    const path = `/v1/imports/${nowhere.id}`
    const answers = [
      await send(nowhere, [{ record: { title: 'a' } }]),
      await ask('GET', path, { token }),
      await ask('GET', `${path}/records`, { token }),
      await ask('GET', `${path}/records/1`, { token }),
      await ask('PUT', `${path}/undo`, { token }),
    ]
    expect(answers.map(problemOf)).toEqual(answers.map(() => 'import-not-found'))
  })

  test('is listed, and so are its records, by verdict and page by page', async () => {
    const { id } = await imported([
      ...Array.from({ length: 3 }, () => ({ record: { title: word() } })),
      { reason: 'broken', raw: '' },
    ])
    expect((await staffAsks<Page<Import>>('/v1/imports?limit=100')).items.map((one) => one.id)).toContain(id)
    const first = await staffAsks<Page<ImportRecord>>(`/v1/imports/${id}/records?limit=2&verdict=created`)
    expect(first.items.map(({ position }) => position)).toEqual([1, 2])
    const second = await staffAsks<Page<ImportRecord>>(first.next ?? '')
    expect([second.items.map(({ position }) => position), second.next]).toEqual([[3], null])
    const refused = await staffAsks<Page<ImportRecord>>(`/v1/imports/${id}/records?verdict=refused`)
    expect(refused.items.map(({ position }) => position)).toEqual([4])
  })
})

describe('a record is of a book that is there', () => {
  test('by its control number, and what its source has changed is written over what it had', async () => {
    const [number, title] = [word(), word()]
    const record = { title, contributors: jane, publisher: 'Murray', subjects: ['Bath'] }
    const first = await imported([{ record, marc: marc(number) }])
    const id = first.records[0]?.bookId
    await change(id, { description: 'By staff' })
    const second = await imported([{ record: { title: `${title} anew`, subjects: ['Lyme'] }, marc: marc(number) }])
    expect(second.records).toMatchObject([{ verdict: 'updated', matchedBy: 'control-number', bookId: id }])
    const now = await readBook(id)
    expect(now).toMatchObject({ title: `${title} anew`, subjects: ['Lyme'], publisher: 'Murray' })
    expect(now.description).toBe('By staff')
  })

  test('and what staff corrected stays, where its source says what it said before', async () => {
    const given = [{ record: { title: word(), contributors: jane }, marc: marc(word()) }]
    const first = await imported(given)
    const id = first.records[0]?.bookId
    await change(id, { title: 'Corrected' })
    expect(verdicts((await imported(given)).records)).toEqual(['unchanged'])
    expect(await readBook(id)).toMatchObject({ title: 'Corrected', version: 2 })
  })

  test('by the MARC record alone, where only what we have no field for has changed', async () => {
    const [number, title] = [word(), word()]
    const shelf = (at: string) => marc(number, { '852': { ind1: ' ', ind2: ' ', subfields: [{ a: at }] } })
    const [made] = (await imported([{ record: { title }, marc: shelf('1') }])).records
    expect(verdicts((await imported([{ record: { title }, marc: shelf('2') }])).records)).toEqual(['updated'])
    expect((await readBook(made?.bookId)).version).toBe(1)
  })

  test('by title and first contributor, whichever way round the name is', async () => {
    const title = word()
    const { id } = await aBook({ title, contributors: [{ name: 'Jane Austen', role: 'author' }], publishedYear: 1817 })
    const { records } = await imported([{ record: { title: title.toUpperCase(), contributors: jane, edition: '2nd' } }])
    expect(records).toMatchObject([{ verdict: 'merged', matchedBy: 'title', bookId: id }])
  })

  test.each([
    ['year', { publishedYear: 1818 }],
    ['edition', { edition: '2nd' }],
    ['language', { language: 'fr' }],
    ['subtitle', { subtitle: 'Abridged' }],
    ['first contributor', { contributors: [{ name: 'Anon', role: 'author' }] }],
    ['ISBN', { isbns: ['9780141439518'] }],
  ])('but not of one with another %s', async (_, other) => {
    const title = word()
    const isbn = anIsbn()
    const record = {
      title,
      contributors: jane,
      publishedYear: 1817,
      edition: '1st',
      language: 'en',
      subtitle: 'A novel',
    }
    const there = await aBook({ ...record, isbns: [isbn] })
    const different = { ...record, ...('isbns' in other ? { isbns: [anIsbn()] } : { isbns: [], ...other }) }
    const { records } = await imported([{ record: different }])
    expect(verdicts(records)).toEqual(['created'])
    expect(records[0]?.bookId).not.toBe(there.id)
  })

  test('and not where its ISBN is of a book with quite another title: that is for somebody to look at', async () => {
    const isbn = anIsbn()
    await aBook({ title: `The Whales of ${word()}`, isbns: [isbn] })
    const { records } = await imported([{ record: { title: 'The Cookery of one', isbns: [isbn] } }])
    expect(records).toMatchObject([{ verdict: 'refused', matchedBy: 'isbn' }])
    expect(records[0]?.reason).toContain('Whales')
    const again = await imported([{ record: { title: 'The Cookery of one', isbns: [isbn] } }])
    expect(again.records).toMatchObject([{ verdict: 'refused', matchedBy: 'isbn' }])
  })

  test('and an ISBN that is of another book is left out, with a note', async () => {
    const [number, title, isbn, taken] = [word(), word(), anIsbn(), anIsbn()]
    await imported([{ record: { title, isbns: [isbn] }, marc: marc(number) }])
    await aBook({ title: 'Another', isbns: [taken] })
    const again = await imported([{ record: { title, isbns: [isbn, taken], edition: '2nd' }, marc: marc(number) }])
    expect(again.records).toMatchObject([
      { verdict: 'updated', notes: [`isbns: ${taken} is of another book, and is left out`] },
    ])
    expect(await readBook(again.records[0]?.bookId)).toMatchObject({ isbns: [isbn], edition: '2nd' })
  })
})

describe('a dry run', () => {
  test('gives the verdicts of the real thing, across batches, and leaves the catalogue as it is', async () => {
    const [isbn, plain, number] = [anIsbn(), word(), word()]
    const there = await aBook({ title: `Persuasion ${plain}`, contributors: jane })
    const batches: Given[][] = [
      [
        { record: { title: `Emma ${plain}`, contributors: jane, isbns: [isbn] }, marc: marc(number) },
        { record: { title: `Persuasion ${plain}`, contributors: jane, publisher: 'Murray' } },
        { record: { title: `Poems ${plain}`, contributors: jane, publishedYear: 1900 } },
      ],
      [
        { position: 4, record: { title: `Emma ${plain}`, isbns: [isbn], subjects: ['Surrey'] } },
        { position: 5, record: { title: `Emma ${plain}` }, marc: marc(number) },
        {
          position: 6,
          record: { title: `Persuasion ${plain}`, contributors: jane, publisher: 'Virago', edition: '2nd' },
        },
        { position: 7, record: { title: `Poems ${plain}`, contributors: jane, publishedYear: 1901 } },
        { position: 8, record: { title: `Poems ${plain}`, contributors: jane } },
        { position: 9, record: { title: `Quite else`, isbns: [isbn] } },
      ],
    ]
    const run = async (how: Partial<NewImport>) => {
      const begun = await begin(how)
      const records = []
      for (const batch of batches) records.push(...(await take(begun, batch)))
      return { ...begun, records }
    }
    const dry = await run({ dryRun: true })
    expect(await readBook(there.id)).toMatchObject({ publisher: null, version: 1 })
    expect((await ask('GET', `/v1/books/isbn/${isbn}`)).status).toBe(404)
    expect((await undo(dry)).undo).toEqual({ removed: 0, restored: 0, kept: 0, left: 0 })
    const real = await run({})
    const told = ({ verdict, matchedBy, reason, notes }: ImportRecord) => ({ verdict, matchedBy, reason, notes })
    expect(dry.records.map(told)).toEqual(real.records.map(told))
    expect(verdicts(real.records)).toEqual([
      ...['created', 'merged', 'created', 'merged', 'unchanged', 'merged', 'created', 'unchanged', 'refused'],
    ])
  })
})

describe('an undo', () => {
  test('removes what was made and takes back what was changed, but not what has a life of its own', async () => {
    const [{ token }, patron] = await Promise.all([theStaff(), aPatron()])
    const [changed, touched] = [word(), word()]
    const there = await aBook({ title: changed, contributors: jane })
    const other = await aBook({ title: touched, contributors: jane })
    const lent = word()
    const run = await imported([
      { record: { title: changed, contributors: jane, publisher: 'Murray' } },
      { record: { title: touched, contributors: jane, publisher: 'Murray' } },
      { record: { title: word() }, marc: marc(word()) },
      { record: { title: lent } },
      { record: { title: word() } },
      { record: { title: '' } },
    ])
    const [, , made, borrowed, withCopy] = run.records.map(({ bookId }) => ({ id: bookId ?? '' }))
    await change(other.id, { edition: 'By staff' })
    const copy = await aCopy(borrowed ?? { id: '' })
    await giveBack({ token }, await aLoan(patron, borrowed ?? { id: '' }))
    const remove = { token, headers: { 'if-match': '*' } }
    expect((await ask('DELETE', `/v1/copies/${copy.id}`, remove)).status).toBe(204)
    await aCopy(withCopy ?? { id: '' })

    const done = await undo(run)
    expect(done.undo).toEqual({ removed: 1, restored: 1, kept: 3, left: 0 })
    expect(done.undoneAt).not.toBeNull()
    const { items } = await staffAsks<Page<ImportRecord>>(`/v1/imports/${run.id}/records`)
    expect(items.map(({ undo, undoReason }) => [undo, undoReason])).toEqual([
      ['restored', null],
      ['kept', 'it has been changed since'],
      ['removed', null],
      ['kept', 'it has been borrowed'],
      ['kept', 'it has copies'],
      [null, null],
    ])
    expect(await readBook(there.id)).toMatchObject({ title: changed, publisher: null })
    expect(await readBook(other.id)).toMatchObject({ publisher: 'Murray', edition: 'By staff' })
    expect((await ask('GET', `/v1/books/${made?.id}`)).status).toBe(404)
    expect((await undo(run)).undo).toEqual(done.undo)
    expect(problemOf(await send(run, [{ position: 99, record: { title: 'a' } }]))).toBe('import-undone')
  })

  test('goes back through every change of one book, and its records can be imported anew', async () => {
    const [number, isbn, title] = [word(), anIsbn(), word()]
    const given = [
      { record: { title, isbns: [isbn] }, marc: marc(number) },
      { record: { title, isbns: [isbn], publisher: 'Murray' } },
    ]
    const run = await imported(given)
    expect(verdicts(run.records)).toEqual(['created', 'merged'])
    expect((await undo(run)).undo).toEqual({ removed: 1, restored: 1, kept: 0, left: 0 })
    const again = await imported(given)
    expect(verdicts(again.records)).toEqual(['created', 'merged'])
    expect(again.records[0]?.bookId).not.toBe(run.records[0]?.bookId)
  })

  test('takes back 200 at a time', async () => {
    const run = await imported(Array.from({ length: 201 }, () => ({ record: { title: word() } })))
    expect((await undo(run)).undo).toEqual({ removed: 200, restored: 0, kept: 0, left: 1 })
    expect((await undo(run)).undo).toEqual({ removed: 201, restored: 0, kept: 0, left: 0 })
  })
})
