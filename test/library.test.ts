import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Hold } from '../src/features/holds/schema.ts'
import type { CalendarDay, Library as Settings } from '../src/features/library/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import type { Policy } from '../src/features/policies/schema.ts'
import type { InputError } from '../src/problem.ts'
import type { Page } from '../src/page.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { ask as askTheLibrary, type Library, problemOf, theStaff } from './support/library.ts'

const clockAt = (moment: string) =>
  `create or replace function clock() returns timestamptz language sql stable return timestamptz '${moment}'`

/** A library of the test's own, whose settings, calendar and default policy it may change, and whose time stands still. */
async function aLibrary({ at, terms, settings }: { at?: string; terms?: object; settings?: object } = {}) {
  const library = await aLibraryApart({ statements: at === undefined ? [] : [clockAt(at)] })
  onTestFinished(async () => void (await library.drop()))
  if (settings !== undefined) await change(library, settings)
  if (terms !== undefined) await setTerms(library, terms)
  return library
}

const asStaff = async ({ theStaff }: Library) => ({ token: (await theStaff()).token })

async function change(library: Library, body: object) {
  const answer = await library.ask<Settings>('PATCH', '/v1/library', { ...(await asStaff(library)), body })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

/** The default policy, which is the only one here. */
async function setTerms(library: Library, body: object) {
  const staff = await asStaff(library)
  const { body: policies } = await library.ask<Page<Policy>>('GET', '/v1/policies', staff)
  const path = `/v1/policies/${policies.items[0]?.id}`
  expect((await library.ask('PATCH', path, { ...staff, body, headers: { 'if-match': '*' } })).status).toBe(200)
}

const putDay = async (library: Library, day: string, body: object) =>
  library.ask<CalendarDay>('PUT', `/v1/library/days/${day}`, { ...(await asStaff(library)), body })

async function close(library: Library, ...days: string[]) {
  for (const day of days) expect((await putDay(library, day, { opens: null, closes: null })).status).toBe(200)
}

async function open(library: Library, day: string, hours = { opens: '10:00', closes: '12:00' }) {
  expect((await putDay(library, day, hours)).status).toBe(200)
}

const removeDay = async (library: Library, day: string) =>
  library.ask('DELETE', `/v1/library/days/${day}`, await asStaff(library))

/** Usual hours, but for these. */
const week = (exceptions: Record<number, object> = {}) =>
  [1, 2, 3, 4, 5, 6, 7].map((weekday) =>
    Object.assign({ weekday, opens: '00:00', closes: '24:00' }, exceptions[weekday]),
  )
const shut = { opens: null, closes: null }

const inUtc = (moment: string | null) => (moment === null ? null : new Date(moment).toISOString())

const dueOf = ({ dueAt }: Loan) => inUtc(dueAt)

/** The end of a day in UTC. */
const endOf = (day: string) => `${day}T23:59:59.000Z`

async function aNewLoan(library: Library, { format = 'physical' }: { format?: 'physical' | 'digital' } = {}) {
  const book = format === 'physical' ? library.aBook() : library.aBook({ copies: 0, licences: 1 })
  return library.aLoan(await library.aPatron(), await book)
}

const read = async (library: Library, { id }: Loan) =>
  (await library.ask<Loan>('GET', `/v1/loans/${id}`, await asStaff(library))).body

/** A hold whose copy waits to be collected. */
async function aReadyHold(library: Library, { format = 'physical' }: { format?: 'physical' | 'digital' } = {}) {
  const book = await (format === 'physical' ? library.aBook() : library.aBook({ copies: 0, licences: 1 }))
  const [holder, patron] = await Promise.all([library.aPatron(), library.aPatron()])
  const loan = await library.aLoan(holder, book)
  const hold = await library.aHold(patron, book)
  await library.giveBack(holder, loan)
  return readHold(library, hold)
}

async function readHold(library: Library, { id }: Hold) {
  const { body } = await library.ask<Hold>('GET', `/v1/holds/${id}`, await asStaff(library))
  expect(body.state).toBe('ready')
  return body
}

describe('the settings', () => {
  test('a new library is open all week, and anyone may know', async () => {
    const { ask } = await aLibrary()
    const { status, body } = await ask<Settings>('GET', '/v1/library')
    expect([status, body]).toEqual([
      200,
      { timeZone: 'UTC', currency: 'EUR', staffSecondFactor: false, openingHours: week() },
    ])
  })

  test('a change is answered, is kept, and leaves the rest', async () => {
    const library = await aLibrary()
    const openingHours = week({ 1: shut, 6: { opens: '09:30', closes: '13:00' }, 7: shut })
    const changed = await change(library, { openingHours: openingHours.toReversed() })
    expect(changed).toEqual({ timeZone: 'UTC', currency: 'EUR', staffSecondFactor: false, openingHours })
    expect(await change(library, { timeZone: 'America/Argentina/Ushuaia' })).toEqual({
      ...changed,
      timeZone: 'America/Argentina/Ushuaia',
    })
    const last = await change(library, { currency: 'NZD', timeZone: 'UTC' })
    expect(last).toEqual({ ...changed, currency: 'NZD' })
    expect((await library.ask('GET', '/v1/library')).body).toEqual(last)
  })

  test.each([
    [{}, ''],
    [{ name: 'x' }, '/name'],
    [{ timeZone: 'Europe/Atlantis' }, '/timeZone'],
    [{ timeZone: '+05:00' }, '/timeZone'],
    [{ timeZone: 'CET' }, '/timeZone'],
    [{ timeZone: '' }, '/timeZone'],
    [{ timeZone: null }, '/timeZone'],
    [{ timeZone: "Europe/London'" }, '/timeZone'],
    [{ timeZone: `Europe/${'x'.repeat(60)}` }, '/timeZone'],
    [{ currency: 'eur' }, '/currency'],
    [{ currency: 'EURO' }, '/currency'],
    [{ currency: null }, '/currency'],
    [{ openingHours: [] }, '/openingHours'],
    [{ openingHours: week().slice(1) }, '/openingHours'],
    [{ openingHours: [...week(), { weekday: 7, opens: '00:00', closes: '24:00' }] }, '/openingHours'],
    [{ openingHours: week({ 7: { weekday: 1 } }) }, '/openingHours'],
    [{ openingHours: week({ 1: { weekday: 0 } }) }, '/openingHours/0/weekday'],
    [{ openingHours: week({ 7: { weekday: 8 } }) }, '/openingHours/6/weekday'],
    [{ openingHours: week({ 2: { opens: null } }) }, '/openingHours/1/closes'],
    [{ openingHours: week({ 2: { closes: null } }) }, '/openingHours/1/closes'],
    [{ openingHours: week({ 2: { opens: '18:00', closes: '09:00' } }) }, '/openingHours/1/closes'],
    [{ openingHours: week({ 2: { opens: '09:00', closes: '09:00' } }) }, '/openingHours/1/closes'],
    [{ openingHours: week({ 2: { opens: '9:00' } }) }, '/openingHours/1/opens'],
    [{ openingHours: week({ 2: { closes: '24:01' } }) }, '/openingHours/1/closes'],
    [{ openingHours: week({ 2: { closes: '18:60' } }) }, '/openingHours/1/closes'],
    [{ openingHours: week({ 2: { closes: 18 } }) }, '/openingHours/1/closes'],
    [{ openingHours: week({ 2: { note: 'x' } }) }, '/openingHours/1/note'],
  ])('%j is refused at %s', async (body, pointer) => {
    const { token } = await theStaff()
    const answer = await askTheLibrary<{ errors: InputError[] }>('PATCH', '/v1/library', { token, body })
    expect([answer.status, answer.body.errors.map((error) => error.pointer)], answer.text).toEqual([422, [pointer]])
  })

  test('a zone that this Worker knows and its database does not is refused', async () => {
    const library = await aLibraryApart({
      edits: [
        { function: 'change_library', replace: 'at time zone p_time_zone', by: "at time zone 'Europe/Atlantis'" },
      ],
    })
    onTestFinished(async () => void (await library.drop()))
    const body = { timeZone: 'Europe/London', currency: 'GBP' }
    const answer = await library.ask('PATCH', '/v1/library', { ...(await asStaff(library)), body })
    expect([answer.status, problemOf(answer)]).toEqual([409, 'time-zone-unknown'])
    expect((await library.ask('GET', '/v1/library')).body).toMatchObject({ timeZone: 'UTC', currency: 'EUR' })
  })

  test('the currency stays once a fee has been charged in it', async () => {
    const library = await aLibrary()
    const patron = await library.aPatron()
    await change(library, { currency: 'GBP' })
    await library.database`select charge_fee(${patron.id}, 100, 'a torn page')`
    const body = { currency: 'EUR', timeZone: 'Europe/Paris' }
    const answer = await library.ask('PATCH', '/v1/library', { ...(await asStaff(library)), body })
    expect([answer.status, problemOf(answer)]).toEqual([409, 'currency-in-use'])
    expect(await change(library, { currency: 'GBP', openingHours: week() })).toMatchObject({
      currency: 'GBP',
      timeZone: 'UTC',
    })
  })
})

describe('the calendar', () => {
  test('days are set, changed, listed for anyone, and let go', async () => {
    const library = await aLibrary()
    const closed = { day: '2026-12-25', opens: null, closes: null, note: 'Christmas' }
    const short = { day: '2026-12-24', opens: '09:00', closes: '12:00', note: null }
    for (const { day, ...body } of [closed, short, short]) {
      const answer = await putDay(library, day, body)
      expect([answer.status, answer.body]).toEqual([200, { day, ...body }])
    }
    const list = async () => (await library.ask<Page<CalendarDay>>('GET', '/v1/library/days')).body.items
    expect(await list()).toEqual([short, closed])
    expect((await putDay(library, short.day, { opens: '09:00', closes: '24:00' })).body).toEqual({
      ...short,
      closes: '24:00',
    })
    expect((await removeDay(library, short.day)).status).toBe(204)
    expect(problemOf(await removeDay(library, short.day))).toBe('calendar-day-not-found')
    expect(await list()).toEqual([closed])
  })

  test('days are listed from one to another, page by page', async () => {
    const library = await aLibrary()
    const days = ['2026-12-31', '2027-01-01', '2027-01-02', '2027-01-03', '2027-01-04', '2027-01-05']
    await close(library, ...days.toReversed())
    const list = async (path: string) => (await library.ask<Page<CalendarDay>>('GET', path)).body
    const first = await list('/v1/library/days?from=2027-01-01&to=2027-01-04&limit=3')
    const second = await list(first.next ?? '')
    expect([first, second].map(({ items }) => items.map(({ day }) => day))).toEqual([
      days.slice(1, 4),
      days.slice(4, 5),
    ])
    expect(second.next).toBeNull()
    expect((await list('/v1/library/days?from=2027-01-04')).items).toHaveLength(2)
    expect((await list('/v1/library/days?to=2027-01-01')).items).toHaveLength(2)
    expect((await list('/v1/library/days?from=2027-01-04&to=2027-01-01')).items).toEqual([])
  })

  test.each([
    {},
    { opens: '09:00' },
    { opens: '09:00', closes: null },
    { opens: null, closes: '18:00' },
    { opens: '18:00', closes: '09:00' },
    { opens: '25:00', closes: '26:00' },
    { opens: null, closes: null, note: '' },
    { opens: null, closes: null, note: 'x'.repeat(201) },
    { opens: null, closes: null, note: 'a\u0000b' },
    { opens: null, closes: null, day: '2026-12-24' },
  ])('%j is no day', async (body) => {
    const { token } = await theStaff()
    expect((await askTheLibrary('PUT', '/v1/library/days/1999-02-01', { token, body })).status).toBe(422)
  })

  test.each(['from=tomorrow', 'to=2026-02-30', 'from=0000-01-01', 'limit=101', 'cursor=x', 'day=2026-01-01'])(
    'a list with %s is refused',
    async (query) => {
      expect((await askTheLibrary('GET', `/v1/library/days?${query}`)).status).toBe(422)
    },
  )

  test.each(['2026-02-30', '2025-02-29', '0000-01-01', '1899-12-31', '2026-1-1', '10000-01-01', 'tomorrow'])(
    'there is no day %s',
    async (day) => {
      const { token } = await theStaff()
      const body = { opens: '00:00', closes: '24:00' }
      const answers = [
        await askTheLibrary('PUT', `/v1/library/days/${day}`, { token, body }),
        await askTheLibrary('DELETE', `/v1/library/days/${day}`, { token }),
      ]
      expect(answers.map(problemOf)).toEqual(['not-found', 'not-found'])
    },
  )
})

describe('a due date', () => {
  /** Moves from zone to zone. */
  let elsewhere: Awaited<ReturnType<typeof aLibraryApart>>
  beforeAll(async () => {
    elsewhere = await aLibraryApart()
    await setTerms(elsewhere, { loanDays: 1 })
  })
  afterAll(() => elsewhere.drop())

  test.each([
    // In summer time, and in the night in which it ends: a day of 25 hours.
    ['Pacific/Auckland', '2026-04-04T10:59:59Z', '2026-04-05T11:59:59.000Z'],
    ['Pacific/Auckland', '2026-04-04T11:00:00Z', '2026-04-06T11:59:59.000Z'],
    // The minute before midnight, and after it, when a day of 23 hours begins.
    ['America/New_York', '2026-03-08T04:59:59Z', '2026-03-09T03:59:59.000Z'],
    ['America/New_York', '2026-03-08T05:00:00Z', '2026-03-10T03:59:59.000Z'],
    ['America/New_York', '2026-03-07T04:59:59Z', '2026-03-08T04:59:59.000Z'],
    ['Europe/London', '2026-03-28T12:00:00Z', '2026-03-29T22:59:59.000Z'],
    // The clock goes back at midnight: 23:59:59 comes twice, and the later one is the end.
    ['America/Santiago', '2026-04-03T12:00:00Z', '2026-04-05T03:59:59.000Z'],
    ['Asia/Kathmandu', '2026-06-01T18:14:59Z', '2026-06-02T18:14:59.000Z'],
    ['UTC', '2026-12-31T23:59:59Z', '2027-01-01T23:59:59.000Z'],
  ])('in %s, of a loan for a day made at %s, is %s', async (timeZone, at, due) => {
    const library = elsewhere
    await library.database.query(clockAt(at))
    await change(library, { timeZone })
    for (const format of ['physical', 'digital'] as const) {
      const loan = await aNewLoan(library, { format })
      expect(dueOf(loan)).toBe(due)
      const local = Intl.DateTimeFormat('en', { timeZone, timeStyle: 'medium', hourCycle: 'h23' })
      expect(local.format(Date.parse(loan.dueAt))).toBe('23:59:59')
    }
  })

  test('a copy waits until the library closes on the last of the days, by the library’s clock', async () => {
    const library = await aLibrary({
      at: '2026-10-24T12:00:00Z',
      settings: { timeZone: 'Europe/London', openingHours: week({ 7: { opens: '10:00', closes: '17:30' } }) },
      terms: { collectDays: 1 },
    })
    const [hold, digital] = [await aReadyHold(library), await aReadyHold(library, { format: 'digital' })]
    expect([hold, digital].map(({ collectBy }) => inUtc(collectBy))).toEqual([
      '2026-10-25T17:30:00.000Z',
      '2026-10-25T23:59:59.000Z',
    ])
  })

  test('is the end of a term where that comes first, and one that is past counts no more', async () => {
    const at = '2026-06-03T12:00:00Z'
    const library = await aLibrary({ at, terms: { loanDays: 14 } })
    const dueWith = async (dueDates: string[]) => {
      await setTerms(library, { dueDates })
      return dueOf(await aNewLoan(library))
    }
    expect(await dueWith([])).toBe(endOf('2026-06-17'))
    expect(await dueWith(['2026-07-31', '2026-06-10', '2026-06-12'])).toBe(endOf('2026-06-10'))
    expect(await dueWith(['2026-06-04'])).toBe(endOf('2026-06-04'))
    expect(await dueWith(['2026-06-18'])).toBe(endOf('2026-06-17'))
    expect(await dueWith(['2025-06-10', '2026-06-02', '2026-06-03'])).toBe(endOf('2026-06-17'))
  })

  test('a renewal does not go past the end of a term', async () => {
    const library = await aLibrary({ at: '2026-06-03T12:00:00Z', terms: { loanDays: 14, dueDates: ['2026-06-20'] } })
    const loan = await aNewLoan(library)
    const renew = async () =>
      library.ask<Loan>('POST', `/v1/loans/${loan.id}/renewals`, { ...(await asStaff(library)) })
    await library.database.query(clockAt('2026-06-10T12:00:00Z'))
    expect(dueOf((await renew()).body)).toBe(endOf('2026-06-20'))
    expect(problemOf(await renew())).toBe('nothing-to-renew')
  })
})

describe('a closed day', () => {
  // A Wednesday: four days later is Sunday, the 7th.
  const at = '2026-06-03T12:00:00Z'
  const terms = { loanDays: 4, collectDays: 4 }
  const closedOnSundays = { openingHours: week({ 7: shut }) }

  test('takes no loans that fall due, whether it is closed each week, once, or several follow each other', async () => {
    const library = await aLibrary({ at, terms, settings: closedOnSundays })
    const due = async () => dueOf(await aNewLoan(library))
    expect(await due()).toBe(endOf('2026-06-08'))
    await close(library, '2026-06-09', '2026-06-08')
    expect(await due()).toBe(endOf('2026-06-10'))
    await open(library, '2026-06-07')
    expect(await due()).toBe(endOf('2026-06-07'))
    expect((await removeDay(library, '2026-06-07')).status).toBe(204)
    expect(await due()).toBe(endOf('2026-06-10'))
    await close(library, '2026-06-10', '2026-06-11', '2026-06-12', '2026-06-13')
    expect(await due()).toBe(endOf('2026-06-15'))
  })

  test('moves the end of a term that falls on it, and what is renewed', async () => {
    const library = await aLibrary({ at, terms: { loanDays: 14, dueDates: ['2026-06-07'] }, settings: closedOnSundays })
    const loan = await aNewLoan(library)
    expect(dueOf(loan)).toBe(endOf('2026-06-08'))
    await setTerms(library, { loanDays: 11, dueDates: [] })
    const renewed = await library.ask<Loan>('POST', `/v1/loans/${loan.id}/renewals`, await asStaff(library))
    expect(dueOf(renewed.body)).toBe(endOf('2026-06-15'))
  })

  test('is like any other to a digital loan and to a digital copy that waits', async () => {
    const library = await aLibrary({ at, terms, settings: closedOnSundays })
    const [loan, hold] = [
      await aNewLoan(library, { format: 'digital' }),
      await aReadyHold(library, { format: 'digital' }),
    ]
    expect([dueOf(loan), inUtc(hold.collectBy)]).toEqual([endOf('2026-06-07'), endOf('2026-06-07')])
    await close(library, '2026-06-07')
    expect(await read(library, loan)).toEqual(loan)
    expect(await readHold(library, hold)).toEqual(hold)
  })

  test('moves the loans that are due on it to the next open day, and says so, but no others', async () => {
    const library = await aLibrary({ at, terms })
    const onSunday = await aNewLoan(library)
    await setTerms(library, { loanDays: 5 })
    const onMonday = await aNewLoan(library)
    await close(library, '2026-06-07')
    expect((await Promise.all([onSunday, onMonday].map((loan) => read(library, loan)))).map(dueOf)).toEqual([
      endOf('2026-06-08'),
      endOf('2026-06-08'),
    ])
    await close(library, '2026-06-09', '2026-06-08')
    expect((await Promise.all([onSunday, onMonday].map((loan) => read(library, loan)))).map(dueOf)).toEqual([
      endOf('2026-06-10'),
      endOf('2026-06-10'),
    ])
    const told = await library.database`
      select details ->> 'dueAt' as due from events
      where kind = 'loan.extended' and subject_id = ${onSunday.id}
      order by id`
    expect(told.map(({ due }) => inUtc(due))).toEqual([endOf('2026-06-08'), endOf('2026-06-10')])
  })

  test('of the usual week moves them as well', async () => {
    const library = await aLibrary({ at, terms })
    const [loan, hold] = [await aNewLoan(library), await aReadyHold(library)]
    await change(library, { openingHours: week({ 1: { opens: '09:00', closes: '18:00' }, 7: shut }) })
    expect(dueOf(await read(library, loan))).toBe(endOf('2026-06-08'))
    expect(inUtc((await readHold(library, hold)).collectBy)).toBe('2026-06-08T18:00:00.000Z')
  })

  test('that was open for once closes again when that is taken back', async () => {
    const library = await aLibrary({ at, terms, settings: closedOnSundays })
    await open(library, '2026-06-07')
    const [loan, hold] = [await aNewLoan(library), await aReadyHold(library)]
    expect([dueOf(loan), inUtc(hold.collectBy)]).toEqual([endOf('2026-06-07'), '2026-06-07T12:00:00.000Z'])
    expect((await removeDay(library, '2026-06-07')).status).toBe(204)
    expect(dueOf(await read(library, loan))).toBe(endOf('2026-06-08'))
    expect(inUtc((await readHold(library, hold)).collectBy)).toBe('2026-06-09T00:00:00.000Z')
  })

  test('moves the holds that are to be collected on it', async () => {
    const library = await aLibrary({ at, terms })
    const hold = await aReadyHold(library)
    // The end of Sunday, which is the first moment of Monday.
    expect(inUtc(hold.collectBy)).toBe('2026-06-08T00:00:00.000Z')
    await close(library, '2026-06-08')
    expect(await readHold(library, hold)).toEqual(hold)
    await open(library, '2026-06-09')
    await close(library, '2026-06-07')
    expect(inUtc((await readHold(library, hold)).collectBy)).toBe('2026-06-09T12:00:00.000Z')
    const told =
      await library.database`select kind from events where subject_id = ${hold.id} and kind = 'hold.extended'`
    expect(told).toHaveLength(1)
  })

  test('that opens again, or a day that closes earlier, shortens nothing', async () => {
    const library = await aLibrary({ at, terms, settings: closedOnSundays })
    const [loan, hold] = [await aNewLoan(library), await aReadyHold(library)]
    await open(library, '2026-06-07')
    await open(library, '2026-06-08', { opens: '06:00', closes: '07:00' })
    await change(library, { openingHours: week() })
    expect(await read(library, loan)).toEqual(loan)
    expect(await readHold(library, hold)).toEqual(hold)
  })

  test('leaves what is overdue, and what has been returned, as it is', async () => {
    const library = await aLibrary({ at, terms })
    const overdue = await aNewLoan(library)
    const [patron, book] = await Promise.all([library.aPatron(), library.aBook()])
    const returned = (await library.giveBack(patron, await library.aLoan(patron, book))).body
    await library.database.query(clockAt('2026-06-08T00:00:00Z'))
    await close(library, '2026-06-07')
    expect(dueOf(await read(library, overdue))).toBe(endOf('2026-06-07'))
    expect(dueOf(await read(library, returned))).toBe(endOf('2026-06-07'))
  })

  test('comes with another time zone too', async () => {
    // The end of Saturday in UTC is noon of Sunday in Auckland.
    const library = await aLibrary({ at, terms: { loanDays: 3, collectDays: 3 }, settings: closedOnSundays })
    const [loan, hold] = [await aNewLoan(library), await aReadyHold(library)]
    expect(dueOf(loan)).toBe(endOf('2026-06-06'))
    await change(library, { timeZone: 'Pacific/Auckland' })
    expect(dueOf(await read(library, loan))).toBe('2026-06-08T11:59:59.000Z')
    expect(inUtc((await readHold(library, hold)).collectBy)).toBe('2026-06-08T12:00:00.000Z')
  })

  test('after another, for longer than a year, is no reason not to lend', async () => {
    const library = await aLibrary({ at, terms })
    const before = await aNewLoan(library)
    const openingHours = week(Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((weekday) => [weekday, shut])))
    await change(library, { openingHours })
    expect([dueOf(await aNewLoan(library)), dueOf(await read(library, before))]).toEqual([
      endOf('2026-06-07'),
      endOf('2026-06-07'),
    ])
    expect(inUtc((await aReadyHold(library)).collectBy)).toBe('2026-06-08T00:00:00.000Z')
  })

  test('keeps no loan and no hold, however checkouts, renewals, returns and the closing meet', async () => {
    const library = await aLibrary({ at, terms: { ...terms, loanLimit: 1000, renewalLimit: 100, holdLimit: 1000 } })
    const [first, second, holder, waiting] = await Promise.all(Array.from({ length: 4 }, () => library.aPatron()))
    if (!first || !second || !holder || !waiting) throw new Error('there are four')
    const old = await library.aLoan(first, await library.aBook())
    for (let round = 0; round < 20; round++) {
      const day = new Date(Date.UTC(2026, 5, 7 + round)).toISOString().slice(0, 10)
      const [one, another, wanted] = await Promise.all([library.aBook(), library.aBook(), library.aBook()])
      const held = await library.aLoan(holder, wanted)
      await library.aHold(waiting, wanted)
      await library.database`update loans set due_at = clock() + interval '1 hour' where id = ${old.id}`
      const answers = await Promise.all([
        library.borrow(first, one),
        library.ask('POST', `/v1/loans/${old.id}/renewals`, { token: first.token }),
        putDay(library, day, shut),
        library.giveBack(holder, held),
        library.borrow(second, another),
      ])
      expect(answers.map(({ status }) => status)).toEqual([201, 201, 200, 200, 201])
      const stranded = await library.database`
        select 'loan' as kind, id from loans
        where returned_at is null and (due_at at time zone 'UTC')::date <= ${day}::date
        union all
        select 'hold', id from holds
        where ((collect_by - interval '1 second') at time zone 'UTC')::date <= ${day}::date`
      expect(stranded, `round ${round}`).toEqual([])
    }
  })
})
