import type { Block } from '../../src/features/blocks/schema.ts'
import type { Fee } from '../../src/features/fees/schema.ts'
import type { Scene } from './scene.ts'
import { type Call, must, post, send } from './verbs.ts'

/** `first`: what is answered where the database refuses the first round trip before it comes to the fault. */
export type Read = { name: string; trips?: number; call: Call; first?: string }

/** Every question, in one scene; and a request that is repeated, which reads its first answer in a round trip of its
 *  own. */
export async function readsIn(s: Scene): Promise<Read[]> {
  const { patron, staff } = s
  const book = await s.book(2)
  await must(s, { by: staff, method: 'PATCH', path: `/v1/books/${book.id}`, body: isbns, headers: { 'if-match': '*' } })
  const loan = await s.aLoan(patron, book)
  await s.aLoan(s.second, book)
  const hold = await s.aHold(s.third, book)
  const fee = await must<Fee>(s, post(staff, '/v1/fees', { userId: patron.id, amount: 200, note: 'a test' }))
  await must<Block>(s, post(staff, '/v1/blocks', { userId: patron.id, reason: 'a test' }))
  await must(s, { by: staff, method: 'PUT', path: `/v1/categories/${s.name}` })
  const policy = await must<{ id: string }>(s, post(staff, '/v1/policies', { category: s.name }))
  const repeated = {
    ...post(staff, '/v1/fees', { userId: s.third.id, amount: 100, note: 'a test' }),
    headers: { 'idempotency-key': s.name },
  }
  const first = await send(s, repeated)

  const imported = await must<{ id: string }>(s, post(staff, '/v1/imports', { source: s.name, format: 'csv' }))
  const records = [{ position: 1, record: { title: `${s.name} imported` } }]
  await must(s, post(staff, `/v1/imports/${imported.id}/records`, { records }))

  const by = (by: { token: string }, ...paths: string[]) => paths.map((path) => ({ by, method: 'GET', path }))
  const calls: Call[] = [
    ...['/v1/books?q=scene', '/v1/books/suggest?q=sc', `/v1/books/${book.id}`, `/v1/books/isbn/${ISBN}`].map(asked),
    ...['/v1/books/exports/csv?q=scene', `/v1/books/${book.id}/exports/ris`].map(asked),
    ...['/v1/library', '/v1/library/days'].map(asked),
    ...['newest', 'newest.atom', 'popular', 'popular.atom', `${book.id}/related`].map((of) => asked(`/v1/books/${of}`)),
    ...by(patron, '/v1/users/me', '/v1/sessions', '/v1/loans', `/v1/loans/${loan.id}`, '/v1/holds'),
    ...by(s.third, `/v1/holds/${hold.id}`),
    ...by(
      patron,
      '/v1/users/me/second-factor',
      '/v1/users/me/security-events',
      '/v1/users/me/keys',
      '/v1/users/me/export',
    ),
    ...by(patron, '/v1/fees', `/v1/fees/${fee.id}`, '/v1/blocks', '/v1/policies', `/v1/policies/${policy.id}`),
    ...by(patron, `/v1/books/${book.id}/eligibility`),
    ...by(staff, '/v1/users', `/v1/users/${patron.id}`, `/v1/books/${book.id}/copies`),
    ...by(staff, '/v1/books/duplicates', `/v1/books/${book.id}/revisions`),
    ...by(staff, `/v1/copies/${loan.copyId}`, '/v1/events', '/v1/categories'),
    ...['', `/${imported.id}`, `/${imported.id}/records`, `/${imported.id}/records/1`].flatMap((path) =>
      by(staff, `/v1/imports${path}`),
    ),
    ...by(staff, '/v1/figures/loans', '/v1/figures/demand', '/v1/figures/collection'),
  ]
  return [
    ...calls.map((call) => ({ name: `${call.method} ${call.path}`, call })),
    { name: 'a repeated request', trips: 2, call: repeated, first: first.text },
  ]
}

/** A book of a test; of the range that stands for no country (979-10 is France's: any ISBN does). */
const ISBN = '9791090636071'
const isbns = { isbns: [ISBN] }

const asked = (path: string): Call => ({ method: 'GET', path })
