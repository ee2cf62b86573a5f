import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { neon } from '@neondatabase/serverless'
import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { type Config, readConfig } from '../../src/config.ts'
import { type Db, openDb } from '../../src/db/client.ts'
import { createBook } from '../../src/features/books/queries.ts'
import { type Book, NewBook } from '../../src/features/books/schema.ts'
import { createCopy } from '../../src/features/copies/queries.ts'
import { placeHold } from '../../src/features/holds/place-hold.ts'
import { changeLibrary, setCalendarDay } from '../../src/features/library/queries.ts'
import { checkIn } from '../../src/features/loans/check-in.ts'
import { checkOut } from '../../src/features/loans/check-out.ts'
import { changePolicy, createPolicy, putCategory } from '../../src/features/policies/queries.ts'
import { tasks } from '../../src/scheduled.ts'
import { type Secrets, scriptSettings } from '../local/secrets.ts'
import { hashPassword } from '../../src/features/users/password.ts'
import { changeUser, createUser, suspendUser } from '../../src/features/users/queries.ts'
import type { User } from '../../src/features/users/schema.ts'

/** The demonstration library: real books, and readers who are made up. It is made with the functions that serve the
 *  API, so it holds nothing that the API would not accept. */

export type Account = { username: string; password: string; role: 'staff' | 'patron'; note: string }

const PARALLEL = 8
const DAY_MS = 86_400_000

const people: Omit<Account, 'password'>[] = [
  { username: 'librarian', role: 'staff', note: 'catalogues, lends at the desk, looks after patrons' },
  { username: 'ada', role: 'patron', note: 'has nothing on loan yet, and a book to collect; is a student' },
  { username: 'ben', role: 'patron', note: 'has books on loan, one overdue, which costs more by the day' },
  { username: 'chen', role: 'patron', note: 'has five books, which is the limit' },
  { username: 'dalia', role: 'patron', note: 'has the only copy of a book that two others wait for' },
  { username: 'emeka', role: 'patron', note: 'is suspended, and cannot log in' },
]

/** Fills an empty library. The passwords are made here and kept nowhere: whoever calls shows them once. `ownerUrl` is for
 *  what the Worker may not do: lend in the past. */
export async function seed(options: {
  databaseUrl: string
  ownerUrl: string
  databaseEndpoint: string
  secrets: Secrets
}): Promise<Account[]> {
  const config = readConfig({
    ...scriptSettings,
    ...options.secrets,
    DATABASE_URL: options.databaseUrl,
    DATABASE_ENDPOINT: options.databaseEndpoint,
  })
  const db = openDb({ config, onRoundTrip: () => undefined })
  const { count } = await db.row<{ count: number }>(sql`select count(*)::integer as count from books`)
  if (count > 0) return []

  await open(db)
  const books = await shelve(db)
  const { accounts, users } = await admit(db, config)
  await lend(db, { books, users })
  const owner = neon(options.ownerUrl, { fetchOptions: { endpoint: options.databaseEndpoint } })
  await owner`
    update loans
    set checked_out_at = now() - interval '31 days', due_at = end_of_day(open_day_from(today() - 10))
    where book_id = ${got(books, 'Middlemarch').id}`
  // What time does has been done once: typing errors are known, and what is borrowed most.
  for (const { statement } of tasks) await db.row(statement)
  return accounts
}

/** A library in London, closed on Sundays and at Christmas, with terms of its own for digital copies and for students. */
async function open(db: Db) {
  await changeLibrary(db, {
    sessionId: null,
    timeZone: 'Europe/London',
    currency: 'GBP',
    openingHours: [1, 2, 3, 4, 5, 6, 7].map((weekday) =>
      weekday === 7 ? { weekday, opens: null, closes: null } : { weekday, opens: '09:00', closes: '18:00' },
    ),
  })
  const year = new Date().getUTCFullYear()
  for (const day of [`${year}-12-25`, `${year}-12-26`, `${year + 1}-01-01`]) {
    await setCalendarDay(db, { day, opens: null, closes: null, note: 'Holidays' })
  }
  const { id } = await db.row<{ id: string }>(sql`select id from policies where category is null and format is null`)
  await changePolicy(db, { id, versions: null, change: { feePerDay: 25, feeMax: 1000, lostFee: 1500, graceDays: 1 } })
  await createPolicy(db, { category: null, format: 'digital', loanDays: 14, loanLimit: 10, collectDays: 3 }, null)
  await putCategory(db, { name: 'student' })
  await createPolicy(db, { category: 'student', format: null, loanDays: 42, feePerDay: 10, feeMax: 500 }, null)
}

async function shelve(db: Db): Promise<Map<string, Book>> {
  const files = ['classics', 'fiction', 'nonfiction']
  const records = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(new URL(`books/${file}.json`, import.meta.url), 'utf8')
      return z.array(NewBook).parse(JSON.parse(text))
    }),
  )
  const books = new Map<string, Book>()
  const work = records.flat().entries()
  const take = async () => {
    for (const [place, record] of work) {
      const book = await createBook(db, record, null)
      books.set(book.title, book)
      for (const copy of copiesFor(place)) await createCopy(db, { bookId: book.id, copy }, null)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, take))
  return books
}

/** One to four items on the shelf; a licence for every third book, in each of the three kinds. */
function copiesFor(place: number) {
  const physical = Array.from({ length: 1 + (place % 4) }, (_, i) => ({
    format: 'physical' as const,
    barcode: `3011${String(place).padStart(5, '0')}${i}`,
    callNumber: `${['A', 'B', 'C', 'D'][place % 4]} ${100 + (place % 900)}`,
  }))
  if (place % 3 !== 0) return physical
  const terms = [
    { licenceEndsAt: null, loansLeft: null },
    { licenceEndsAt: new Date(Date.now() + 365 * DAY_MS).toISOString(), loansLeft: null },
    { licenceEndsAt: null, loansLeft: 26 },
  ]
  return [
    ...physical,
    { format: 'digital' as const, ...(terms[(place / 3) % 3] ?? { licenceEndsAt: null, loansLeft: null }) },
  ]
}

async function admit(db: Db, config: Config) {
  const accounts: Account[] = []
  const users = new Map<string, User>()
  for (const person of people) {
    const { username, role } = person
    const password = newPassword()
    const email = `${username}@example.org`
    const passwordHash = await hashPassword(config, password)
    users.set(username, await createUser(db, config, { username, email, passwordHash, role }))
    accounts.push({ ...person, password })
  }
  await changeUser(db, config, { userId: got(users, 'ada').id, change: { category: 'student' } })
  const { id } = got(users, 'emeka')
  await suspendUser(db, config, { userId: id, reason: 'Three letters about an overdue book came back' })
  return { accounts, users }
}

async function lend(db: Db, { books, users }: { books: Map<string, Book>; users: Map<string, User> }) {
  const borrowed: Record<string, string[]> = {
    ben: ['Dune', 'Silent Spring', 'Middlemarch'],
    chen: ['Dracula', 'Beloved', 'Cosmos', 'Wild Swans', 'Things Fall Apart'],
    dalia: [LAST_COPY],
  }
  const askerOf = (username: string) => {
    const { id: userId, role } = got(users, username)
    return { actor: { userId, role }, owner: userId }
  }
  const borrow = (username: string, title: string) =>
    checkOut(db, { bookId: got(books, title).id, ...askerOf(username) }, null)
  const queue = (username: string, title: string) =>
    placeHold(db, { bookId: got(books, title).id, ...askerOf(username) }, null)

  for (const [username, titles] of Object.entries(borrowed)) {
    for (const title of titles) await borrow(username, title)
  }
  await queue('ben', LAST_COPY)
  await queue('chen', LAST_COPY)

  const loan = await borrow('dalia', WAITING_COPY)
  await queue('ada', WAITING_COPY)
  await checkIn(db, { id: loan.id, owner: got(users, 'dalia').id })
}

/** A book whose only copy waits for somebody. */
const WAITING_COPY = 'Invisible Cities'

/** A book whose only copy is out, and who asks for it now is the third in the queue. */
const LAST_COPY = 'Frankenstein'

function got<T>(things: Map<string, T>, name: string): T {
  const thing = things.get(name)
  if (thing === undefined) throw new Error(`the demonstration data has no '${name}'`)
  return thing
}

/** Four groups of four letters that are not mistaken for one another: 76 bits. */
function newPassword(): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789'
  const group = () => Array.from({ length: 4 }, () => letters[randomInt(letters.length)]).join('')
  return [group(), group(), group(), group()].join('-')
}
