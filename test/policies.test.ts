import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Copy } from '../src/features/copies/schema.ts'
import type { Hold } from '../src/features/holds/schema.ts'
import type { Loan } from '../src/features/loans/schema.ts'
import type { Category, Policy } from '../src/features/policies/schema.ts'
import type { InputError } from '../src/problem.ts'
import type { Page } from '../src/page.ts'
import { aLibraryApart } from './support/laboratory.ts'
import * as shared from './support/library.ts'
import { aPatron, type Answer, ask, type Library, problemOf, theStaff } from './support/library.ts'

/** What a library can do that has the bundle of functions: the shared one, or one apart. */
type Place = Pick<
  Library,
  'ask' | 'theStaff' | 'aPatron' | 'aBook' | 'aLoan' | 'borrow' | 'queue' | 'giveBack' | 'database'
>
type Format = 'physical' | 'digital'

const anyVersion = { 'if-match': '*' }
const ABSENT = '01900000-0000-7000-8000-000000000000'

async function must<T>(status: number, answering: Promise<Answer<T>>): Promise<T> {
  const answer = await answering
  expect(answer.status, answer.text).toBe(status)
  return answer.body
}

const asStaff = async ({ theStaff }: Place = shared) => ({ token: (await theStaff()).token })

async function aCategory(place: Place = shared) {
  const name = `c${crypto.randomUUID().slice(0, 13)}`
  return (await must(200, place.ask<Category>('PUT', `/v1/categories/${name}`, await asStaff(place)))).name
}

const postPolicy = async (body: object, place: Place = shared, headers = {}) =>
  place.ask<Policy>('POST', '/v1/policies', { ...(await asStaff(place)), body, headers })

const aPolicy = (body: object, place: Place = shared) => must(201, postPolicy(body, place))

const change = async ({ id }: { id: string }, body: object, headers: Record<string, string> = anyVersion) =>
  ask<Policy>('PATCH', `/v1/policies/${id}`, { ...(await asStaff()), body, headers })

const remove = async ({ id }: { id: string }, headers: Record<string, string> = anyVersion) =>
  ask('DELETE', `/v1/policies/${id}`, { ...(await asStaff()), headers })

const move = async ({ id }: { id: string }, category: string, place: Place = shared) =>
  place.ask('PATCH', `/v1/users/${id}`, { ...(await asStaff(place)), body: { category } })

async function aPatronIn(category: string, place: Place = shared) {
  const patron = await place.aPatron()
  await must(200, move(patron, category, place))
  return patron
}

/** A patron under terms of their own. */
async function aPatronUnder(terms: object) {
  const category = await aCategory()
  const policy = await aPolicy({ category, ...terms })
  return { policy, category, patron: await aPatronIn(category) }
}

const aBookIn = (format: Format, place: Place = shared) =>
  place.aBook(format === 'physical' ? {} : { copies: 0, licences: 1 })

const dayOf = (moment: string | null) => Date.parse(new Date(moment ?? '').toISOString().slice(0, 10)) / 86_400_000

/** From the day on which it was made. */
const daysOf = ({ checkedOutAt, dueAt }: Loan) => dayOf(dueAt) - dayOf(checkedOutAt)

const renew = ({ token }: { token: string }, { id }: Loan, body?: object, place: Place = shared) =>
  place.ask<Loan>('POST', `/v1/loans/${id}/renewals`, { token, body })

/** As if the loan had been made so many days ago. */
const age = (loan: Loan, days: number, place: Place = shared) => place.database`
  update loans
  set checked_out_at = checked_out_at - make_interval(days => ${days}), due_at = due_at - make_interval(days => ${days})
  where id = ${loan.id}`

const allTerms = {
  loanDays: 366,
  renewalLimit: 100,
  loanLimit: 1000,
  holdLimit: 0,
  collectDays: 60,
  graceDays: 60,
  feePerDay: 1_000_000,
  feeMax: 100_000_000,
  lostFee: 0,
  feeLimit: null,
  overdueLimit: 1,
  dueDates: ['2027-02-12', '2028-02-29'],
  overridable: ['loan-limit-reached', 'patron-blocked'],
}

describe('policies', () => {
  test('a policy comes back as it was given, and patrons may read it', async () => {
    const category = await aCategory()
    const given = { category, format: 'digital', ...allTerms }
    const answer = await postPolicy({ ...given, dueDates: given.dueDates.toReversed() })
    const { id } = answer.body
    expect([answer.status, answer.body]).toEqual([201, { id, ...given, version: 1 }])
    expect([answer.headers.get('location'), answer.headers.get('etag')]).toEqual([`/v1/policies/${id}`, '"1"'])
    const { token } = await aPatron()
    const read = await ask<Policy>('GET', `/v1/policies/${id}`, { token })
    expect([read.status, read.body, read.headers.get('etag')]).toEqual([200, answer.body, '"1"'])
  })

  test('policies are listed page by page, each once, the default policy first', async () => {
    const category = await aCategory()
    const made = [await aPolicy({ category }), await aPolicy({ category, format: 'physical' })]
    const { token } = await aPatron()
    const found: Policy[] = []
    for (let path: string | null = '/v1/policies?limit=1'; path !== null;) {
      const page: Page<Policy> = await must(200, ask<Page<Policy>>('GET', path, { token }))
      found.push(...page.items)
      path = page.next
    }
    expect(found[0]).toMatchObject({ category: null, format: null })
    expect(found.filter((policy) => policy.category === category)).toEqual(made)
    expect(new Set(found.map(({ id }) => id)).size).toBe(found.length)
  })

  test('terms that are left out are those of the default policy at that time', async () => {
    const library = await aLibraryApart()
    onTestFinished(async () => void (await library.drop()))
    const staff = await asStaff(library)
    const [standard] = (await must(200, library.ask<Page<Policy>>('GET', '/v1/policies', staff))).items
    await must(
      200,
      library.ask('PATCH', `/v1/policies/${standard?.id}`, { ...staff, body: allTerms, headers: anyVersion }),
    )
    const made = await aPolicy({ format: 'physical' }, library)
    expect(made).toEqual({ id: made.id, category: null, format: 'physical', ...allTerms, version: 1 })
    const own = { feeLimit: 5, overdueLimit: null, dueDates: [], overridable: [], loanDays: 7 }
    const other = await aPolicy({ format: 'digital', ...own }, library)
    expect(other).toEqual({ id: other.id, category: null, format: 'digital', ...allTerms, ...own, version: 1 })
  })

  const outOfBounds: [string, unknown][] = [
    ['loanDays', 0],
    ['loanDays', 367],
    ['loanDays', 1.5],
    ['loanDays', '21'],
    ['loanDays', null],
    ['renewalLimit', -1],
    ['renewalLimit', 101],
    ['loanLimit', -1],
    ['loanLimit', 1001],
    ['holdLimit', -1],
    ['holdLimit', 1001],
    ['collectDays', 0],
    ['collectDays', 61],
    ['graceDays', -1],
    ['graceDays', 61],
    ['feePerDay', -1],
    ['feePerDay', 1_000_001],
    ['feeMax', -1],
    ['feeMax', 100_000_001],
    ['lostFee', -1],
    ['lostFee', 100_000_001],
    ['feeLimit', 0],
    ['feeLimit', 100_000_001],
    ['overdueLimit', 0],
    ['overdueLimit', 1001],
    ['dueDates', null],
    ['dueDates/0', ['2027-02-29']],
    ['dueDates/0', ['0000-01-01']],
    ['dueDates/0', ['1899-12-31']],
    ['dueDates/0', ['2027-02-12T00:00:00Z']],
    ['dueDates', ['2027-02-12', '2027-02-12']],
    ['dueDates', Array.from({ length: 21 }, (_, i) => `2027-01-${String(i + 1).padStart(2, '0')}`)],
    ['overridable/0', ['already-on-loan']],
    ['overridable', ['patron-blocked', 'patron-blocked']],
    ['version', 3],
    ['id', ABSENT],
  ]
  test.each(outOfBounds)('%s cannot be %j, in a new policy or in one that is there', async (pointer, value) => {
    const body = { [pointer.split('/')[0] ?? '']: value }
    const { token } = await theStaff()
    const answers = [
      await ask<{ errors: InputError[] }>('POST', '/v1/policies', { token, body: { format: 'digital', ...body } }),
      await ask<{ errors: InputError[] }>('PATCH', `/v1/policies/${ABSENT}`, { token, body, headers: anyVersion }),
    ]
    expect(answers.map(({ status, body }) => [status, body.errors.map((error) => error.pointer)])).toEqual([
      [422, [`/${pointer}`]],
      [422, [`/${pointer}`]],
    ])
  })

  test.each([{ category: 'With Space' }, { category: '' }, { category: 7 }, { format: 'vinyl' }, { format: [] }])(
    '%j is nothing to set terms for',
    async (body) => {
      expect((await postPolicy(body)).status).toBe(422)
    },
  )

  test('what holds in the schema holds in the table: its bounds are no wider', async () => {
    const category = await aCategory()
    const [low, high] = [
      {
        ...allTerms,
        loanDays: 1,
        renewalLimit: 0,
        loanLimit: 0,
        collectDays: 1,
        graceDays: 0,
        feePerDay: 0,
        feeMax: 0,
      },
      { ...allTerms, holdLimit: 1000, lostFee: 100_000_000, feeLimit: 100_000_000, overdueLimit: 1000 },
    ]
    expect(await aPolicy({ category, ...low, feeLimit: 1 })).toMatchObject({ ...low, feeLimit: 1 })
    const twenty = Array.from({ length: 20 }, (_, i) => `2027-01-${String(i + 1).padStart(2, '0')}`)
    const dueDates = ['1900-01-01', ...twenty.slice(1, -1), '9999-12-31']
    const policy = await aPolicy({ category, format: 'physical', ...high, dueDates })
    expect(policy).toMatchObject({ ...high, dueDates })
  })

  test('there is one policy for a category and a format, however many are asked for at once', async () => {
    const category = await aCategory()
    for (const body of [{ category }, { category, format: 'digital' }]) {
      const answers = await Promise.all(Array.from({ length: 5 }, () => postPolicy(body)))
      expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409])
      expect(answers.map(problemOf).filter((name) => name !== null)).toEqual(Array(4).fill('policy-exists'))
    }
    expect(problemOf(await postPolicy({}))).toBe('policy-exists')
    expect(problemOf(await postPolicy({ category: null, format: null }))).toBe('policy-exists')
  })

  test('a category is made before its policies', async () => {
    const answer = await postPolicy({ category: `c${crypto.randomUUID().slice(0, 13)}` })
    expect([answer.status, problemOf(answer)]).toEqual([404, 'category-not-found'])
  })

  test('a request repeated with its Idempotency-Key sets one policy', async () => {
    const body = { category: await aCategory(), loanDays: 3 }
    const headers = { 'idempotency-key': crypto.randomUUID() }
    const first = await postPolicy(body, shared, headers)
    const second = await postPolicy(body, shared, headers)
    expect([first.status, second.status, second.body]).toEqual([201, 201, first.body])
    const other = await postPolicy({ ...body, loanDays: 4 }, shared, headers)
    expect(problemOf(other)).toBe('idempotency-key-reused')
  })

  test('a change needs the current version, and leaves the rest as it is', async () => {
    const policy = await aPolicy({ category: await aCategory(), ...allTerms })
    expect(problemOf(await change(policy, { loanDays: 9 }, {}))).toBe('precondition-required')
    const changed = await change(policy, { loanDays: 9, feeLimit: 50, dueDates: [] }, { 'if-match': '"1"' })
    expect(changed.body).toEqual({ ...policy, loanDays: 9, feeLimit: 50, dueDates: [], version: 2 })
    expect([changed.status, changed.headers.get('etag')]).toEqual([200, '"2"'])
    expect(problemOf(await change(policy, { loanDays: 8 }, { 'if-match': '"1"' }))).toBe('precondition-failed')
    expect((await change(policy, { feeLimit: null, overridable: [] })).body).toEqual({
      ...changed.body,
      feeLimit: null,
      overridable: [],
      version: 3,
    })
    for (const body of [{}, { category: null }, { format: 'digital' }]) {
      expect((await change(policy, body)).status).toBe(422)
    }
  })

  test('of two changes of one version one is made', async () => {
    const policy = await aPolicy({ category: await aCategory() })
    const answers = await Promise.all([7, 8].map((loanDays) => change(policy, { loanDays }, { 'if-match': '"1"' })))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412])
  })

  test('a policy is removed by its version; the default policy stays', async () => {
    const policy = await aPolicy({ category: await aCategory() })
    expect(problemOf(await remove(policy, {}))).toBe('precondition-required')
    expect(problemOf(await remove(policy, { 'if-match': '"2"' }))).toBe('precondition-failed')
    expect((await remove(policy, { 'if-match': '"1"' })).status).toBe(204)
    const { token } = await theStaff()
    for (const answer of [
      await remove(policy),
      await change(policy, { loanDays: 1 }),
      await ask('GET', `/v1/policies/${policy.id}`, { token }),
    ]) {
      expect([answer.status, problemOf(answer)]).toEqual([404, 'policy-not-found'])
    }
    expect(problemOf(await ask('GET', '/v1/policies/x', { token }))).toBe('not-found')
    const [standard] = (await must(200, ask<Page<Policy>>('GET', '/v1/policies', { token }))).items
    expect(problemOf(await remove(standard ?? policy))).toBe('default-policy')
    expect(problemOf(await remove(standard ?? policy, { 'if-match': '"999"' }))).toBe('precondition-failed')
    expect((await ask('GET', `/v1/policies/${standard?.id}`, { token })).status).toBe(200)
  })
})

describe('categories', () => {
  const put = async (name: string) => ask<Category>('PUT', `/v1/categories/${name}`, await asStaff())
  const removeCategory = async (name: string) => ask('DELETE', `/v1/categories/${name}`, await asStaff())

  test('a category is made once, however often it is asked for, and goes when nobody has it', async () => {
    const name = await aCategory()
    const answers = await Promise.all([put(name), put(name), put(name)])
    expect(answers.map(({ status, body }) => [status, body])).toEqual(Array(3).fill([200, { name }]))
    expect((await removeCategory(name)).status).toBe(204)
    expect(problemOf(await removeCategory(name))).toBe('category-not-found')
  })

  test('categories are listed by name, page by page', async () => {
    const names = [await aCategory(), await aCategory(), await aCategory()]
    const { token } = await theStaff()
    const found: string[] = []
    for (let path: string | null = '/v1/categories?limit=2'; path !== null;) {
      const page: Page<Category> = await must(200, ask<Page<Category>>('GET', path, { token }))
      found.push(...page.items.map(({ name }) => name))
      path = page.next
    }
    expect(found).toEqual(expect.arrayContaining(['general', ...names]))
    expect(new Set(found).size).toBe(found.length)
    expect((await ask('GET', '/v1/categories?cursor=x', { token })).status).toBe(422)
    expect((await ask('GET', '/v1/categories?limit=0', { token })).status).toBe(422)
  })

  test.each(['Students', '-x', 'a'.repeat(41), 'a_b', '%20'])('%s is no name of one', async (name) => {
    expect([problemOf(await put(name)), problemOf(await removeCategory(name))]).toEqual(['not-found', 'not-found'])
  })

  test('one that a patron or a policy has stays, and so does the one in which patrons begin', async () => {
    const [ofPatron, ofPolicy] = [await aCategory(), await aCategory()]
    const [patron, policy] = [await aPatronIn(ofPatron), await aPolicy({ category: ofPolicy })]
    for (const name of [ofPatron, ofPolicy, 'general']) {
      const answer = await removeCategory(name)
      expect([answer.status, problemOf(answer)]).toEqual([409, 'category-in-use'])
    }
    await must(200, move(patron, 'general'))
    await must(204, remove(policy))
    expect([await removeCategory(ofPatron), await removeCategory(ofPolicy)].map(({ status }) => status)).toEqual([
      204, 204,
    ])
  })

  test('even an empty library keeps the one in which patrons begin', async () => {
    const library = await aLibraryApart()
    onTestFinished(async () => void (await library.drop()))
    const staff = await library.theStaff()
    await must(200, move(staff, await aCategory(library), library))
    const { token } = staff
    expect(problemOf(await library.ask('DELETE', '/v1/categories/general', { token }))).toBe('category-in-use')
    await library.aPatron()
  })

  test('when it is removed and given at once, one of the two is refused by the right name', async () => {
    const patron = await aPatron()
    const outcomes: string[] = []
    for (let round = 0; round < 20; round++) {
      const name = await aCategory()
      const give = () => (round % 2 === 0 ? move(patron, name) : postPolicy({ category: name }))
      const starts = [() => removeCategory(name), give]
      const started = (round % 4 < 2 ? starts : starts.toReversed()).map((start) => start())
      const answers = await Promise.all(round % 4 < 2 ? started : started.toReversed())
      outcomes.push(answers.map((answer) => problemOf(answer) ?? answer.status).join(' '))
    }
    const allowed = new Set(['204 category-not-found', 'category-in-use 200', 'category-in-use 201'])
    expect(outcomes.filter((outcome) => !allowed.has(outcome))).toEqual([])
  })
})

describe('the most specific policy counts', () => {
  /** Each number of a policy is its own, so that an answer tells which policy was used. */
  const termsOf = (own: number) => ({
    loanDays: 10 + own,
    renewalLimit: own,
    loanLimit: own,
    holdLimit: own,
    collectDays: 20 + own,
    overdueLimit: null,
  })
  let library: Awaited<ReturnType<typeof aLibraryApart>>
  let busy: string
  const categories = { none: 'general', plain: '', split: '' }
  beforeAll(async () => {
    library = await aLibraryApart()
    busy = await aCategory(library)
    await aPolicy({ category: busy, loanLimit: 1000 }, library)
    categories.plain = await aCategory(library)
    categories.split = await aCategory(library)
    const staff = await asStaff(library)
    const [standard] = (await must(200, library.ask<Page<Policy>>('GET', '/v1/policies', staff))).items
    await must(
      200,
      library.ask('PATCH', `/v1/policies/${standard?.id}`, { ...staff, body: termsOf(1), headers: anyVersion }),
    )
    await aPolicy({ format: 'digital', ...termsOf(2) }, library)
    await aPolicy({ category: categories.plain, ...termsOf(3) }, library)
    await aPolicy({ category: categories.split, ...termsOf(4) }, library)
    await aPolicy({ category: categories.split, format: 'digital', ...termsOf(5) }, library)
  })
  afterAll(() => library.drop())

  const cases: [keyof typeof categories, Format, number][] = [
    ['none', 'physical', 1],
    ['none', 'digital', 2],
    ['plain', 'physical', 3],
    ['plain', 'digital', 3],
    ['split', 'physical', 4],
    ['split', 'digital', 5],
  ]

  test.each(cases)('for the loan period: category %s, %s', async (category, format, own) => {
    const patron = await aPatronIn(categories[category], library)
    const loan = await library.aLoan(patron, await aBookIn(format, library))
    expect(daysOf(loan)).toBe(10 + own)
  })

  test.each(cases)('for the limit of loans: category %s, %s', async (category, format, own) => {
    const patron = await aPatronIn(categories[category], library)
    for (let i = 0; i < own; i++) await library.aLoan(patron, await aBookIn(format, library))
    const refused = await library.borrow(patron, await aBookIn(format, library))
    expect([refused.status, problemOf(refused)]).toEqual([409, 'loan-limit-reached'])
  })

  test.each(cases)('for renewals: category %s, %s', async (category, format, own) => {
    const patron = await aPatronIn(categories[category], library)
    const loan = await library.aLoan(patron, await aBookIn(format, library))
    for (let renewals = 1; renewals <= own; renewals++) {
      await age(loan, 1, library)
      expect(await must(201, renew(patron, loan, undefined, library))).toMatchObject({ renewals })
    }
    await age(loan, 1, library)
    const refused = await renew(patron, loan, undefined, library)
    expect([refused.status, problemOf(refused)]).toEqual([409, 'renewal-limit-reached'])
  })

  test.each(cases)('for the limit of holds: category %s, %s', async (category, format, own) => {
    const [patron, holder] = await Promise.all([aPatronIn(categories[category], library), aPatronIn(busy, library)])
    const place = async () => {
      const book = await aBookIn(format, library)
      await library.aLoan(holder, book)
      return library.queue(patron, book, { body: { bookId: book.id, format } })
    }
    for (let i = 0; i < own; i++) await must(201, place())
    const refused = await place()
    expect([refused.status, problemOf(refused)]).toEqual([409, 'hold-limit-reached'])
  })

  test.each(cases)('for the days to collect: category %s, %s', async (category, format, own) => {
    const [patron, holder, book] = await Promise.all([
      aPatronIn(categories[category], library),
      aPatronIn(busy, library),
      aBookIn(format, library),
    ])
    const loan = await library.aLoan(holder, book)
    const { id } = await must(201, library.queue(patron, book))
    await must(200, library.giveBack(holder, loan))
    const { readyAt, collectBy } = await must(200, library.ask<Hold>('GET', `/v1/holds/${id}`, patron))
    const lastMoment = new Date(Date.parse(collectBy ?? '') - 1000).toISOString()
    expect(dayOf(lastMoment) - dayOf(readyAt)).toBe(20 + own)
  })

  test('a limit counts the loans under its own policy, and each format may have one', async () => {
    const patron = await aPatronIn(categories.none, library)
    await library.aLoan(patron, await aBookIn('physical', library))
    expect(problemOf(await library.borrow(patron, await aBookIn('physical', library)))).toBe('loan-limit-reached')
    for (let i = 0; i < 2; i++) await library.aLoan(patron, await aBookIn('digital', library))
    expect(problemOf(await library.borrow(patron, await aBookIn('digital', library)))).toBe('loan-limit-reached')
    const together = await aPatronIn(categories.plain, library)
    for (const format of ['physical', 'digital', 'digital'] as const) {
      await library.aLoan(together, await aBookIn(format, library))
    }
    expect(problemOf(await library.borrow(together, await aBookIn('physical', library)))).toBe('loan-limit-reached')
  })

  test('a limit counts the holds under its own policy', async () => {
    const [patron, holder] = await Promise.all([aPatronIn(categories.none, library), aPatronIn(busy, library)])
    const place = async (format: Format) => {
      const book = await aBookIn(format, library)
      await library.aLoan(holder, book)
      return library.queue(patron, book, { body: { bookId: book.id, format } })
    }
    for (const format of ['physical', 'digital', 'digital'] as const) await must(201, place(format))
    expect([await place('physical'), await place('digital')].map(problemOf)).toEqual(
      Array(2).fill('hold-limit-reached'),
    )
  })

  test('the last loan of a limit goes to one of two checkouts at once', async () => {
    const patron = await aPatronIn(categories.none, library)
    const books = await Promise.all([aBookIn('physical', library), aBookIn('physical', library)])
    const answers = await Promise.all(books.map((book) => library.borrow(patron, book)))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409])
  })
})

describe('a change of terms', () => {
  test('changes no loan that has been made; a renewal takes the new terms', async () => {
    const { policy, patron } = await aPatronUnder({ loanDays: 7, feePerDay: 10, feeMax: 100, graceDays: 1 })
    const loan = await shared.aLoan(patron, await aBookIn('physical'))
    await must(200, change(policy, { loanDays: 30, feePerDay: 20, feeMax: 400, graceDays: 2 }))
    const feesOf = () => shared.database`
      select grace_days, fee_per_day, fee_max from loans where id = ${loan.id}`
    expect(await must(200, ask('GET', `/v1/loans/${loan.id}`, patron))).toEqual(loan)
    expect(await feesOf()).toEqual([{ grace_days: 1, fee_per_day: 10, fee_max: 100 }])
    expect(daysOf(await must(201, renew(patron, loan)))).toBe(30)
    expect(await feesOf()).toEqual([{ grace_days: 2, fee_per_day: 20, fee_max: 400 }])
  })

  test('never shortens a loan, not even by a renewal', async () => {
    const { policy, patron } = await aPatronUnder({ loanDays: 30 })
    const loan = await shared.aLoan(patron, await aBookIn('physical'))
    await must(200, change(policy, { loanDays: 7 }))
    const refused = await renew(patron, loan)
    expect([refused.status, problemOf(refused)]).toEqual([409, 'nothing-to-renew'])
    await must(200, change(policy, { loanDays: 30, dueDates: ['9999-12-31'] }))
    expect(problemOf(await renew(patron, loan))).toBe('nothing-to-renew')
    expect(await must(200, ask('GET', `/v1/loans/${loan.id}`, patron))).toEqual(loan)
  })

  test('is also a move to another category, or the removal of a policy', async () => {
    const [short, long] = [await aPatronUnder({ loanDays: 7 }), await aPatronUnder({ loanDays: 40 })]
    const loan = await shared.aLoan(short.patron, await aBookIn('physical'))
    await must(200, move(short.patron, long.category))
    expect(await must(200, ask('GET', `/v1/loans/${loan.id}`, short.patron))).toEqual(loan)
    expect(daysOf(await must(201, renew(short.patron, loan)))).toBe(40)
    await must(204, remove(long.policy))
    expect(daysOf(await shared.aLoan(short.patron, await aBookIn('physical')))).toBe(21)
  })
})

describe('an override', () => {
  const block = ({ id }: { id: string }) => shared.database`
    insert into blocks (user_id, reason) values (${id}, 'Has to be spoken to')`
  const reason = 'The head librarian has agreed'

  /** At the desk. */
  async function lend({ id }: { id: string }, { override, token }: { override?: object; token?: string } = {}) {
    const staff = await theStaff()
    const book = await shared.aBook()
    const copies = await must(200, ask<Page<Copy>>('GET', `/v1/books/${book.id}/copies`, staff))
    const body = { barcode: copies.items[0]?.barcode, userId: id, ...(override && { override }) }
    return ask<Loan>('POST', '/v1/loans', { token: token ?? staff.token, body })
  }

  const detailsOf = async ({ id }: { id: string }, kind: string) => {
    const [event] = await shared.database`select details from events where subject_id = ${id} and kind = ${kind}`
    return event?.['details'] as { overridden?: string[]; reason?: string } | undefined
  }

  test('lends to a blocked patron where the policy allows it, and its reason is kept', async () => {
    const { patron } = await aPatronUnder({ overridable: ['patron-blocked'] })
    await block(patron)
    expect(problemOf(await lend(patron))).toBe('patron-blocked')
    const loan = await must(201, lend(patron, { override: { reason } }))
    expect(await detailsOf(loan, 'loan.made')).toMatchObject({ overridden: ['patron-blocked'], reason })
  })

  test('does nothing where the policy does not allow it, or not all of it', async () => {
    const strict = await aPatronUnder({ overridable: [] })
    await block(strict.patron)
    const refused = await lend(strict.patron, { override: { reason } })
    expect([refused.status, problemOf(refused)]).toEqual([409, 'patron-blocked'])
    const { patron } = await aPatronUnder({ overridable: ['patron-blocked'], loanLimit: 0 })
    await block(patron)
    expect(problemOf(await lend(patron, { override: { reason } }))).toBe('loan-limit-reached')
    expect(problemOf(await lend(patron))).toBe('patron-blocked')
    expect(await shared.database`select id from loans where user_id in (${patron.id}, ${strict.patron.id})`).toEqual([])
  })

  test('sets aside everything that the policy names, and leaves no trace where nothing is in the way', async () => {
    const { patron } = await aPatronUnder({ overridable: ['loan-limit-reached', 'patron-blocked'], loanLimit: 1 })
    const first = await must(201, lend(patron, { override: { reason } }))
    expect(Object.keys((await detailsOf(first, 'loan.made')) ?? {})).toEqual(['dueAt'])
    await block(patron)
    const second = await must(201, lend(patron, { override: { reason } }))
    expect(await detailsOf(second, 'loan.made')).toMatchObject({
      overridden: ['patron-blocked', 'loan-limit-reached'],
      reason,
    })
  })

  test('is not for patrons, and needs a reason', async () => {
    const { patron } = await aPatronUnder({ overridable: ['patron-blocked'] })
    const { token } = patron
    expect(problemOf(await lend(patron, { override: { reason }, token }))).toBe('forbidden')
    const book = await shared.aBook()
    const body = { bookId: book.id, override: { reason } }
    expect(problemOf(await shared.borrow(patron, book, { body }))).toBe('forbidden')
    for (const override of [{}, { reason: '' }, { reason: ' ' }, { reason: 'x'.repeat(501) }]) {
      expect((await lend(patron, { override })).status).toBe(422)
    }
  })

  test('renews past the limit, and queues past the limit, where the policy allows it', async () => {
    const { policy, patron } = await aPatronUnder({
      renewalLimit: 0,
      holdLimit: 0,
      overridable: ['hold-limit-reached'],
    })
    const loan = await shared.aLoan(patron, await aBookIn('physical'))
    await age(loan, 1)
    const staff = await theStaff()
    expect(problemOf(await renew(staff, loan, { override: { reason } }))).toBe('renewal-limit-reached')
    await must(200, change(policy, { overridable: ['renewal-limit-reached', 'hold-limit-reached'] }))
    await must(201, renew(staff, loan, { override: { reason } }))
    expect(await detailsOf(loan, 'loan.renewed')).toMatchObject({ overridden: ['renewal-limit-reached'], reason })

    const book = await shared.aBook()
    await shared.aLoan(await aPatron(), book)
    const place = (override?: object) =>
      ask<Hold>('POST', '/v1/holds', { token: staff.token, body: { bookId: book.id, userId: patron.id, override } })
    expect(problemOf(await place())).toBe('hold-limit-reached')
    const hold = await must(201, place({ reason }))
    expect(await detailsOf(hold, 'hold.placed')).toEqual({ overridden: ['hold-limit-reached'], reason })
  })

  test('takes no copy twice, and lends no book twice to one patron', async () => {
    const { patron } = await aPatronUnder({ overridable: Object.values(overridables) })
    const book = await shared.aBook({ copies: 2 })
    const staff = await theStaff()
    const { items } = await must(200, ask<Page<Copy>>('GET', `/v1/books/${book.id}/copies`, staff))
    const takes = (copy: Copy | undefined, userId: string) =>
      ask('POST', '/v1/loans', { ...staff, body: { barcode: copy?.barcode, userId, override: { reason } } })
    await must(201, takes(items[0], patron.id))
    expect(problemOf(await takes(items[1], patron.id))).toBe('already-on-loan')
    expect(problemOf(await takes(items[0], (await aPatron()).id))).toBe('copy-not-available')
  })
})

const overridables = [
  'account-expired',
  'patron-blocked',
  'fee-limit-reached',
  'overdue-limit-reached',
  'loan-limit-reached',
  'hold-limit-reached',
  'renewal-limit-reached',
]
