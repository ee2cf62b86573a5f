import { parse } from 'csv-parse/browser/esm/sync'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { CollectionPart, DemandFigures, LoanFigures } from '../src/features/figures/schema.ts'
import type { Page } from '../src/page.ts'
import { aLibraryWithClock } from './support/clock.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { type Library, problemOf } from './support/library.ts'

/** Until all that is over has been counted: what another transaction may still be before is counted later. */
async function count({ database }: Library) {
  await vi.waitFor(
    async () => {
      await database`select gather_figures(1000)`
      const rest = await database`
        select from events e, figures_progress p where (e.transaction_id, e.id) > (p.transaction_id, p.event_id)`
      expect(rest).toEqual([])
    },
    { timeout: 20_000, interval: 20 },
  )
}

async function figures<T>(library: Library, path: string): Promise<T> {
  const { token } = await library.theStaff()
  const answer = await library.ask<T>('GET', `/v1/figures/${path}`, { token })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

async function must(library: Library, method: string, path: string, by: { token: string }) {
  const answer = await library.ask(method, path, { token: by.token })
  expect(answer.status, answer.text).toBeLessThan(300)
}

async function table(library: Library, path: string) {
  const { token } = await library.theStaff()
  const answer = await library.ask('GET', `/v1/figures/${path}`, { token, headers: { accept: 'text/csv' } })
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8'])
  return answer
}

/** What events and counts say of each book, in one snapshot. */
const differences = ({ database }: Library) =>
  database`
    with told as (
      select book_id, day_of(occurred_at) as day, count(*) filter (where kind = 'loan.made') as loans,
        count(*) filter (where kind = 'loan.returned') as returns, count(*) filter (where kind = 'hold.placed') as holds
      from events where kind in ('loan.made', 'loan.returned', 'hold.placed') group by 1, 2
    )
    select * from told t
    full join book_days d on d.book_id = t.book_id and d.day = t.day
    where (t.loans, t.returns, t.holds) is distinct from (d.loans::bigint, d.returns::bigint, d.holds::bigint)`

describe('counting', () => {
  test('counts each event once, while books are lent and several count at once', async () => {
    const library = await aLibraryApart()
    const { aBook, aPatron, borrow, database, giveBack, queue } = library
    const patrons = await Promise.all(Array.from({ length: 6 }, () => aPatron()))
    const books = await Promise.all(Array.from({ length: 3 }, () => aBook({ copies: 2 })))
    const lending = new AbortController()
    const counting = Array.from({ length: 3 }, async () => {
      while (!lending.signal.aborted)
        await Promise.all([database`select gather_figures(3)`, database`select gather_pairs(3)`])
    })
    await Promise.all(
      patrons.map(async (patron) => {
        for (let round = 0; round < 3; round++) {
          for (const book of books) {
            const { status, body } = await borrow(patron, book)
            if (status === 409) await queue(patron, book)
            if (status === 201 && round % 2 === 1) await giveBack(patron, body)
          }
        }
      }),
    )
    lending.abort()
    await Promise.all(counting)
    await count(library)
    expect(await differences(library)).toEqual([])
    const [told] = await database`
      select count(*) filter (where kind = 'loan.made')::int as loans,
        count(*) filter (where kind = 'loan.returned')::int as returns from events`
    expect(told?.['loans']).toBeGreaterThan(5)
    const { items, countedAt } = await figures<LoanFigures>(library, 'loans?by=format')
    expect(items).toEqual([{ name: 'physical', ...told, renewals: 0 }])
    expect(countedAt).not.toBeNull()
    await library.drop()
  })

  test('waits for a transaction that drew its events before others and commits after them', async () => {
    const library = await aLibraryApart()
    const { aBook, aLoan, aPatron, database } = library
    const [book, patron] = await Promise.all([aBook(), aPatron()])
    const late = database.transaction([
      database`select record_event('hold.placed', uuidv7(), ${book.id}, null, null, null)`,
      database.query(`do $$ begin while not exists (select from categories where name = 'gate') loop
        perform pg_sleep(0.01); end loop; end $$`),
    ])
    await vi.waitFor(
      async () => {
        const rows = await database`
          select from pg_stat_activity
          where datname = current_database() and query like '%gate%' and pid <> pg_backend_pid()`
        expect(rows).toHaveLength(1)
      },
      { timeout: 10_000, interval: 20 },
    )
    await aLoan(patron, book)
    const [counted] = await database`select gather_figures(1000) as count`
    expect(counted).toEqual({ count: 0 })
    await database`insert into categories (name) values ('gate')`
    await late
    await count(library)
    const days = await database`select loans, holds from book_days`
    expect(days).toEqual([{ loans: 1, holds: 1 }])
    await library.drop()
  })

  test('counts nothing that has been counted', async () => {
    const library = await aLibraryApart()
    const { aBook, aLoan, aPatron, database } = library
    await aLoan(await aPatron(), await aBook())
    await count(library)
    const before = await database`select * from book_days`
    const answers = await Promise.all(Array.from({ length: 5 }, () => database`select gather_figures(1000) as count`))
    expect(answers.flat()).toEqual(Array(5).fill({ count: 0 }))
    expect(await database`select * from book_days`).toEqual(before)
    await library.drop()
  })
})

describe('figures', () => {
  let library: Awaited<ReturnType<typeof aLibraryWithClock>>
  beforeAll(async () => {
    library = await aLibraryWithClock('2026-06-01T22:30:00Z', {
      statements: [
        "update library set time_zone = 'Europe/Berlin'",
        "insert into categories (name) values ('pupils')",
        'update policies set loan_limit = 20',
      ],
    })
    const { aBook, aHold, aLoan, aPatron, database, giveBack, pass, theStaff } = library
    const [pupil, other, staff] = [await aPatron(), await aPatron(), await theStaff()]
    await database`update users set category = 'pupils' where id = ${pupil.id}`
    const gothic = await aBook({ title: '=HYPERLINK("x"), or a "Gothic" novel', subjects: ['Gothic fiction', '=1+1'] })
    const satire = await aBook({ subjects: ['Gothic Fiction', 'gothic fiction'], copies: 0, licences: 2 })
    await aBook({ subjects: ['Ballooning'], copies: 2 })
    const first = await aLoan(pupil, gothic)
    await aLoan(other, satire)
    await pass(1)
    await giveBack(pupil, first)
    await aLoan(pupil, satire)
    const renewable = await aLoan(other, gothic)
    await pass(1)
    await must(library, 'POST', `/v1/loans/${renewable.id}/renewals`, other)

    // Two wait for one copy, and one for a book of which the only copy is lost.
    for (const patron of [pupil, await aPatron()]) await aHold(patron, gothic)
    const gone = await aBook({ title: 'Gone' })
    const loan = await aLoan(other, gone)
    await aHold(pupil, gone)
    await must(library, 'PUT', `/v1/copies/${loan.copyId}/loss`, staff)
    await count(library)
  }, 60_000)
  afterAll(() => library.drop())

  const kinds = async (query: string) =>
    (await figures<LoanFigures>(library, `loans?${query}`)).items.map(({ name, loans, renewals, returns }) => [
      name,
      loans,
      renewals,
      returns,
    ])

  test('tell what was borrowed on each day in the zone of the library', async () => {
    expect(await kinds('from=2026-06-01&to=2026-06-04')).toEqual([
      ['2026-06-01', 0, 0, 0],
      ['2026-06-02', 2, 0, 0],
      ['2026-06-03', 2, 0, 1],
      ['2026-06-04', 1, 1, 0],
    ])
    const range = async (query: string) => {
      const { from, to, items } = await figures<LoanFigures>(library, `loans?${query}`)
      return [from, to, items.length]
    }
    expect(await range('')).toEqual(['2026-05-06', '2026-06-04', 30])
    expect(await range('to=2026-06-03')).toEqual(['2026-05-05', '2026-06-03', 30])
    expect(await range('from=2026-06-03')).toEqual(['2026-06-03', '2026-07-02', 30])
    expect(await range('from=2024-01-01&to=2024-12-31')).toEqual(['2024-01-01', '2024-12-31', 366])
  })

  test('tell it by format, category and subject', async () => {
    expect(await kinds('by=format')).toEqual([
      ['physical', 3, 1, 1],
      ['digital', 2, 0, 0],
    ])
    expect(await kinds('by=category')).toEqual([
      ['general', 3, 1, 0],
      ['pupils', 2, 0, 1],
    ])
    expect(await kinds('by=subject')).toEqual([
      ['gothic fiction', 4, 1, 1],
      ['=1+1', 2, 1, 1],
    ])
    expect(await kinds('by=subject&from=2026-01-01&to=2026-04-02')).toEqual([])
    expect(await kinds('by=subject&to=2026-06-02')).toEqual([
      ['gothic fiction', 2, 0, 0],
      ['=1+1', 1, 0, 0],
    ])
  })

  test('refuse days that are none, out of order, or too many', async () => {
    const { token } = await library.theStaff()
    const queries = [
      'from=2026-02-30',
      'from=2026-06-02&to=2026-06-01',
      'from=2024-01-01&to=2025-01-01',
      'to=2200-01-01',
    ]
    for (const query of [...queries, 'by=patron', 'limit=5', 'by=subject&from=2026-01-01&to=2026-04-03']) {
      expect(problemOf(await library.ask('GET', `/v1/figures/loans?${query}`, { token })), query).toBe('invalid-input')
    }
    expect(problemOf(await library.ask('GET', '/v1/figures/demand?limit=0', { token }))).toBe('invalid-input')
    expect(problemOf(await library.ask('GET', '/v1/figures/collection?cursor=W10', { token }))).toBe('invalid-input')
  })

  test('tell what is asked for and not to be had, what there is no copy of first', async () => {
    const { items } = await figures<DemandFigures>(library, 'demand')
    expect(items.map(({ title, holds, copies, holdsPerCopy }) => [title, holds, copies, holdsPerCopy])).toEqual([
      ['Gone', 1, 0, null],
      ['=HYPERLINK("x"), or a "Gothic" novel', 2, 1, 2],
    ])
    expect((await figures<DemandFigures>(library, 'demand?limit=1')).items).toEqual(items.slice(0, 1))
  })

  test('tell what there is and how it is used, page by page', async () => {
    const { database, runScheduled } = library
    await database`update figures_progress set walked_at = null`
    await database`update books set created_at = '2026-01-01T00:00:00Z' where 'Ballooning' = any (subjects)`
    await runScheduled()
    const ofFormats = await figures<Page<CollectionPart>>(library, 'collection?by=format')
    const none = { idle90: 0, idle365: 0, idle1095: 0 }
    expect(ofFormats.items).toEqual([
      { name: 'digital', books: 1, copies: 2, loans: 2, turnover: 1, ...none },
      { name: 'physical', books: 2, copies: 3, loans: 2, turnover: 0.67, ...none, idle90: 1 },
    ])
    const ofSubjects = [
      { name: '=1+1', books: 1, copies: 1, loans: 2, turnover: 2, ...none },
      { name: 'ballooning', books: 1, copies: 2, loans: 0, turnover: 0, ...none, idle90: 1 },
      { name: 'gothic fiction', books: 2, copies: 3, loans: 4, turnover: 1.33, ...none },
    ]
    expect(await figures(library, 'collection')).toEqual({ items: ofSubjects, next: null })
    const first = await figures<Page<CollectionPart>>(library, 'collection?limit=2')
    expect(first.items).toEqual(ofSubjects.slice(0, 2))
    const { token } = await library.theStaff()
    const second = await library.ask<Page<CollectionPart>>('GET', first.next ?? '', { token })
    expect(second.body).toEqual({ items: ofSubjects.slice(2), next: null })
  })

  test('of the collection are the same when it is walked in several batches, and stay until the next walk is over', async () => {
    const { database } = library
    const before = await figures(library, 'collection')
    await database`update figures_progress set walked_at = null`
    const steps: unknown[] = []
    for (let step = 0; step < 5; step++) {
      expect(await figures(library, 'collection')).toEqual(before)
      const [walked] = await database`select walk_collection(2) as count`
      steps.push(walked?.['count'])
    }
    expect(steps).toEqual([2, 2, 0, 0, 0])
    expect(await figures(library, 'collection')).toEqual(before)
    const walks = await database`select distinct walk from collection_counts`
    expect(walks).toHaveLength(1)
  })

  test('are tables too, in which nothing is taken for a formula', async () => {
    const demand = await table(library, 'demand')
    expect(demand.headers.get('content-disposition')).toBe('attachment; filename="demand.csv"')
    const lines = demand.text.split('\r\n')
    expect(lines[0]).toBe('bookId,title,holds,copies,holdsPerCopy')
    expect(lines[1]).toMatch(/^[0-9a-f-]{36},Gone,1,0,$/)
    expect(lines[2]).toMatch(/^[0-9a-f-]{36},"'=HYPERLINK\(""x""\), or a ""Gothic"" novel",2,1,2$/)
    expect(lines.slice(3)).toEqual([''])
    const rows: string[][] = parse((await table(library, 'loans?by=subject')).text)
    expect(rows).toEqual([
      ['name', 'loans', 'renewals', 'returns'],
      ['gothic fiction', '4', '1', '1'],
      ["'=1+1", '2', '1', '1'],
    ])
    const page = await table(library, 'collection?limit=1')
    expect(page.text).toBe("name,books,copies,loans,turnover,idle90,idle365,idle1095\r\n'=1+1,1,1,2,2,0,0,0\r\n")
    expect(page.headers.get('link')).toMatch(/^<\/v1\/figures\/collection\?limit=1&cursor=.*>; rel="next"$/)
    expect((await table(library, 'loans?by=category&to=2020-01-01')).text).toBe('name,loans,renewals,returns\r\n')
  })

  test('disarm every beginning of a formula', async () => {
    const { aBook, aLoan, aPatron, database, queue } = library
    const titles = ['=a', '+a', '-a', '@a', '\ta', '\ra', 'a=b']
    for (const title of titles) {
      const book = await aBook()
      await aLoan(await aPatron(), book)
      await queue(await aPatron(), book)
      await database`update books set title = ${title}, version = version + 1 where id = ${book.id}`
    }
    const rows: string[][] = parse((await table(library, 'demand')).text)
    const written = new Set(rows.map(([, title]) => title))
    expect(titles.map((title) => [title, written.has(title), written.has(`'${title}`)])).toEqual(
      titles.map((title) => [title, title === 'a=b', title !== 'a=b']),
    )
  })
})
