import type { Block } from '../../src/features/blocks/schema.ts'
import type { Fee } from '../../src/features/fees/schema.ts'
import type { Policy } from '../../src/features/policies/schema.ts'
import type { Route } from '../../src/route-facts.ts'
import { aLibraryApart } from '../support/laboratory.ts'
import { PASSWORD } from '../support/library.ts'
import { people } from '../support/people.ts'
import type { Json, Known } from './shape.ts'

let counter = 0
const unique = () => `${Date.now().toString(36)}${(counter++).toString(36)}`

/** A library of the test's own with one of each thing, so that a request which is let in finds what it asks for. */
export async function aScene() {
  const library = await aLibraryApart()
  const { ask } = library
  const [{ token, sessionId }, leaver, patron, [other, borrower, debtor]] = await Promise.all([
    library.theStaff(),
    library.aMemberOfStaff(),
    library.aPatron(),
    people(
      library,
      ['other', 'borrower', 'debtor'].map((username) => ({ username, role: 'patron' as const })),
    ),
  ])
  if (other === undefined || borrower === undefined || debtor === undefined)
    throw new Error('three people were asked for')
  const made = async <T>(method: string, path: string, body?: object) => {
    const answer = await ask<T>(method, path, { token, ...(body && { body }) })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.text}`)
    return answer.body
  }
  const [book, taken] = [await library.aBook({ copies: 0 }), await library.aBook({ copies: 1 })]
  const barcode = `B${unique()}`
  const copy = await library.aCopy(book, { format: 'physical', barcode })
  const licence = await library.aCopy(book, { format: 'digital' })
  const loan = await library.aLoan(borrower, taken)
  const hold = await library.aHold(other, taken)
  const fee = await made<Fee>('POST', '/v1/fees', { userId: debtor.id, amount: 100_000_000, note: 'A window' })
  const block = await made<Block>('POST', '/v1/blocks', { userId: debtor.id, reason: 'A window' })
  await made('PUT', '/v1/categories/student')
  const policy = await made<Policy>('POST', '/v1/policies', { category: 'student', format: 'digital' })

  /** What stands behind `:id`, by the collection it is in. */
  const ids: Record<string, string> = {
    users: other.id,
    sessions: sessionId,
    books: book.id,
    copies: copy.id,
    loans: loan.id,
    holds: hold.id,
    fees: fee.id,
    blocks: block.id,
    policies: policy.id,
  }

  const known: Known = {
    userId: () => debtor.id,
    patronId: () => debtor.id,
    bookId: () => book.id,
    username: () => `u${unique()}`,
    email: () => `${unique()}@mail.test`,
    barcode: () => `B${unique()}`,
    amount: () => 1,
    isbns: () => [],
    closes: () => '17:00',
    openingHours: () =>
      Array.from({ length: 7 }, (_, i): Json => ({ weekday: i + 1, opens: '09:00', closes: '17:00' })),
    until: () => new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10),
    day: () => `20${30 + (counter++ % 60)}-0${1 + (counter % 9)}-1${counter % 10}`,
  }
  /** What the known fields are for one route. */
  const knownFor: Record<string, Known> = {
    'POST /v1/sessions': { username: () => patron.username },
    'POST /v1/sessions/refresh': { refreshToken: () => patron.refreshToken },
    'POST /v1/check-ins': { barcode: () => barcode },
  }
  /** Bodies that the schema alone does not give: fields that do not go together. */
  const bodiesFor: Record<string, () => Json[]> = {
    'POST /v1/loans': () => [
      { bookId: book.id, format: 'digital', override: { reason: 'plain words' } },
      { barcode, userId: other.id, override: { reason: 'plain words' } },
    ],
    'PATCH /v1/copies/:id': () => [
      { barcode: `B${unique()}`, callNumber: 'plain words' },
      { licenceEndsAt: null, loansLeft: 3 },
    ],
  }
  const idOf = ({ path }: Route) => ids[path.split('/')[2] ?? ''] ?? crypto.randomUUID()

  return {
    library,
    token,
    /** Whoever logs out is of no use to others. */
    tokenFor: ({ method, path }: Route) =>
      `${method} ${path}` === 'DELETE /v1/sessions/current' ? leaver.token : token,
    password: PASSWORD,
    licence,
    knownTo: (route: Route): Known => ({ ...known, ...knownFor[`${route.method} ${route.path}`] }),
    bodiesFor: (route: Route) => bodiesFor[`${route.method} ${route.path.replace(/(.)\/$/, '$1')}`]?.(),
    idOf,
  }
}

export type Scene = Awaited<ReturnType<typeof aScene>>
