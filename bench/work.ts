import { neonConfig } from '@neondatabase/serverless'
import type { Request } from 'autocannon'
import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { scriptSettings } from '../scripts/local/secrets.ts'
import { readConfig } from '../src/config.ts'
import { type Db, openDb, requireActor } from '../src/db/client.ts'
import { getBook } from '../src/features/books/queries.ts'
import { listBooks } from '../src/features/books/search.ts'
import { BookQuery } from '../src/features/books/schema.ts'
import { checkIn } from '../src/features/loans/check-in.ts'
import { checkOut } from '../src/features/loans/check-out.ts'
import { type Library, type Patron, tokenOf, type Variables } from './library.ts'

/** A kind of work, as a client of the API does it. */
export type Served = {
  name: string
  /** Of each request, in turn: the status that it must get. */
  statuses: number[]
  requests: (patron: Patron) => Promise<Request[]>
}

/** The same, and what it sends to PostgreSQL. */
export type Work = Served & { trips: (patron: Patron) => Promise<Trip[]> }

const statement = z.object({ query: z.string(), params: z.array(z.unknown()) })

/** What went to the database in one round trip, several as a transaction. `loanId` is the parameter to be replaced by
 *  the loan that was made just before. */
export type Trip = { statements: z.infer<typeof statement>[]; loanId: string | null }

export function reads({ variables, library }: { variables: Variables; library: Library }): Work[] {
  const { bookId, word } = library
  const read = (name: string, path: string, query: (db: Db) => Promise<unknown>): Work => ({
    name,
    statuses: [200],
    requests: () => Promise.resolve([{ method: 'GET', path }]),
    trips: () => recorded(variables, (db) => query(db)),
  })
  return [
    read('one book', `/v1/books/${bookId}`, (db) => getBook(db, { id: bookId })),
    read(`search "${word}"`, `/v1/books?q=${word}`, (db) => listBooks(db, BookQuery.parse({ q: word }))),
  ]
}

export const lending = (variables: Variables): Work => ({
  name: 'checkout and return',
  statuses: [201, 200],
  requests: (patron) => lendingRequests(variables, patron),
  trips: (patron) => lendingTrips(variables, patron),
})

const made = z.object({ id: z.uuid() })

async function lendingRequests(variables: Variables, patron: Patron): Promise<Request[]> {
  const authorization = `Bearer ${await tokenOf(variables, patron)}`
  let loanId = ''
  return [
    {
      method: 'POST',
      path: '/v1/loans',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ bookId: patron.bookId }),
      onResponse: (status, body) => {
        loanId = status === 201 ? made.parse(JSON.parse(body)).id : ''
      },
    },
    {
      method: 'PUT',
      headers: { authorization },
      setupRequest: (request) => ({ ...request, path: `/v1/loans/${loanId}/return` }),
    },
  ]
}

async function lendingTrips(variables: Variables, { userId, sessionId, bookId }: Patron): Promise<Trip[]> {
  const actor = { userId, sessionId, role: 'patron' as const }
  let loanId = ''
  const trips = await recorded(variables, async (db) => {
    const authorized = db.after(requireActor(actor, { mayLackFactor: false }))
    const loan = await checkOut(authorized, { bookId, actor, owner: userId }, null)
    loanId = loan.id
    await checkIn(authorized, { id: loan.id, owner: userId })
  })
  return trips.map(({ statements }, place) => ({ statements, loanId: place === 0 ? null : loanId }))
}

const payload = z.union([statement, z.object({ queries: z.array(statement) })])

/** Does the work once, with the API's own functions, and answers what they sent to the database. One call at a
 *  time: the driver has one fetch for all. */
export async function recorded(variables: Variables, act: (db: Db) => Promise<unknown>): Promise<Trip[]> {
  const trips: Trip[] = []
  const send: unknown = neonConfig.fetchFunction
  if (typeof send !== 'function') throw new Error('src/db/client.ts no longer sets a fetchFunction.')
  const db = openDb({ config: readConfig({ ...scriptSettings, ...variables }), onRoundTrip: () => undefined })
  // What a client asks once, of its role, is no part of the work.
  await db.row(sql`select 1`)
  neonConfig.fetchFunction = (url: string, init: { body: string }): unknown => {
    const sent = payload.parse(JSON.parse(init.body))
    trips.push({ statements: 'queries' in sent ? sent.queries : [sent], loanId: null })
    return send(url, init)
  }
  try {
    await act(db)
    return trips
  } finally {
    neonConfig.fetchFunction = send
  }
}
