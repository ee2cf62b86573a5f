import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { seed } from '../scripts/demo/seed.ts'
import type { NeonEndpoint } from '../scripts/local/neon-endpoint.ts'
import { signAccessToken } from '../src/access-token.ts'
import { freePort } from '../scripts/local/postgres.ts'
import { scriptSettings, secretsFrom } from '../scripts/local/secrets.ts'
import { admitWorker } from '../scripts/local/worker-role.ts'
import { readConfig } from '../src/config.ts'
import { openDb } from '../src/db/client.ts'
import { hashPassword } from '../src/features/users/password.ts'
import { createUser } from '../src/features/users/queries.ts'
import { type History, makeHistory, type Reader } from './history.ts'
import type { Processes } from './processes.ts'

/** The environment of the Worker, which is also what the tokens are signed with. */
export type Variables = {
  ENVIRONMENT: 'development'
  PUBLIC_URL: string
  DATABASE_URL: string
  DATABASE_ENDPOINT: string
  ACCESS_TOKEN_KEYS: string
  PERSONAL_DATA_KEYS: string
  LOOKUP_KEY: string
  MAILER: string
  MAIL_FROM: string
  CORS_ORIGINS: string
}

/** For a Worker of this database, whose role is let in for it. */
export async function variablesFor({
  ownerUrl,
  endpoint,
}: {
  ownerUrl: string
  endpoint: NeonEndpoint
}): Promise<Variables> {
  return {
    ENVIRONMENT: 'development',
    PUBLIC_URL: `http://127.0.0.1:${await freePort()}`,
    DATABASE_URL: (await admitWorker(ownerUrl))(ownerUrl),
    DATABASE_ENDPOINT: endpoint.url,
    ...secretsFrom(),
    MAILER: 'log',
    MAIL_FROM: 'library@localhost.test',
    CORS_ORIGINS: '',
  }
}

/** A reader with a book that nobody else borrows meanwhile. */
export type Patron = Reader & { bookId: string }

export type Library = {
  bookCount: number
  bookId: string
  word: string
  patrons: Patron[]
  history: History
  account: { username: string; password: string }
}

/** What every comparison needs. */
export type Bench = {
  variables: Variables
  endpoint: NeonEndpoint
  library: Library
  client: pg.Client
  processes: Processes
  seconds: number
  note: (text: string) => void
}

const BOOKS = 10_000
const COPIES = 2
/** In one title of eight: as common as a word gets in a catalogue, apart from those that carry no meaning. */
const COMMON_WORD = 'river'
const SEARCHED_EVERY = 8

const adjectives = 'silent golden broken hidden northern last burning early hollow distant patient bitter'.split(' ')
const nouns = 'garden winter harbour mirror orchard letter bridge island machine lantern kingdom summer'.split(' ')
const places = 'Lisbon Bergen Kyoto Lagos Quito Tartu Galway Trieste Hanoi Oaxaca Aleppo Tromso'.split(' ')
const people = 'Amara Bruno Chidi Dagny Elif Farid Greta Hanna Ivo Jaya Kofi Lena'.split(' ')
const families = 'Abara Berg Costa Dahl Eriksen Fofana Gruber Haddad Ito Jansen Kaya Lindqvist'.split(' ')
const subjects = 'History,Poetry,Travel,Gardening,Philosophy,Fiction,Biography,Science'.split(',')

/** The demonstration library, thousands of made-up books with two copies each, patrons who are logged in, and what years
 *  of lending leave behind. The same every time, but for ids and secrets. */
export async function makeLibrary({
  variables,
  ownerUrl,
  patrons,
}: {
  variables: Variables
  ownerUrl: string
  patrons: number
}): Promise<Library> {
  const accounts = await seed({
    databaseUrl: variables.DATABASE_URL,
    ownerUrl,
    databaseEndpoint: variables.DATABASE_ENDPOINT,
    secrets: variables,
  })
  const account = accounts.find(({ username }) => username === 'ada')
  if (account === undefined) throw new Error('The demonstration data has no account to log in with.')
  return connected(ownerUrl, async (client) => {
    const bookIds = await shelve(client, 0)
    const bookId = bookIds.at(0)
    if (bookId === undefined) throw new Error('No book was made.')
    const admitted = await admit(client, { variables, bookIds: bookIds.slice(1, 1 + patrons) })
    const history = await makeHistory(client, bookIds)
    return { bookCount: await finish(client), bookId, word: COMMON_WORD, patrons: admitted, history, account }
  })
}

/** As many books and as much lending as the library was made with, `times` in all. Answers how many books there are. */
export function enlarge(databaseUrl: string, times: number): Promise<number> {
  return connected(databaseUrl, async (client) => {
    for (let more = 1; more < times; more += 1) await makeHistory(client, await shelve(client, more * BOOKS))
    return finish(client)
  })
}

async function connected<T>(databaseUrl: string, act: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    return await act(client)
  } finally {
    await client.end()
  }
}

async function finish(client: pg.Client): Promise<number> {
  await client.query('vacuum analyze')
  const { rows } = await client.query<{ count: number }>('select count(*)::integer as count from books')
  return rows[0]?.count ?? 0
}

/** `from`: how many there are already. */
async function shelve(client: pg.Client, from: number): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `insert into books (title, contributors, publisher, published_year, language, subjects, description)
     select title, contributors, publisher, published_year, 'en', subjects, description
     from jsonb_to_recordset($1) as r (
       title text, contributors jsonb, publisher text, published_year smallint, subjects text[], description text
     )
     returning id`,
    [JSON.stringify(Array.from({ length: BOOKS }, (_, place) => recordOf(from + place)))],
  )
  const ids = rows.map(({ id }) => id)
  await client.query(
    `insert into copies (book_id, format, barcode, call_number)
     select b.id, 'physical', 'bench-' || $2 + b.place || '-' || n, 'B ' || $2 + b.place
     from unnest($1::uuid[]) with ordinality as b (id, place), generate_series(1, ${COPIES}) as n`,
    [ids, from],
  )
  return ids
}

function recordOf(place: number) {
  const pick = (words: string[], step: number) => words[Math.floor(place / step) % words.length] ?? ''
  const noun = place % SEARCHED_EVERY === 0 ? COMMON_WORD : pick(nouns, 12)
  return {
    title: `The ${pick(adjectives, 1)} ${noun} of ${pick(places, 144)}, part ${1 + Math.floor(place / 1_728)}`,
    contributors: [{ name: `${pick(people, 5)} ${pick(families, 7)}`, role: 'author' }],
    publisher: `${pick(families, 11)} Press`,
    published_year: 1900 + (place % 125),
    subjects: [pick(subjects, 3), pick(subjects, 17)],
    description: `A ${pick(adjectives, 29)} ${pick(nouns, 31)} near ${pick(places, 37)}, and who came for it.`,
  }
}

/** Patrons who are logged in, one a book. */
export async function admit(
  client: pg.Client,
  { variables, bookIds }: { variables: Variables; bookIds: string[] },
): Promise<Patron[]> {
  const config = readConfig({ ...scriptSettings, ...variables })
  const db = openDb({ config, onRoundTrip: () => undefined })
  // Nobody logs in as one of these, so the hash may be a cheap one.
  const passwordHash = await hashPassword({ ...config, passwordScryptLn: 4 }, randomUUID())
  const patrons: Patron[] = []
  for (const [place, bookId] of bookIds.entries()) {
    const username = `bench${place}`
    const email = `${username}@example.org`
    const { id: userId } = await createUser(db, config, { username, email, passwordHash, role: 'patron' })
    const { rows } = await client.query<{ id: string }>(
      `insert into sessions (user_id, expires_at) values ($1, now() + interval '1 day') returning id`,
      [userId],
    )
    const session = rows.at(0)
    if (session === undefined) throw new Error('No session was made.')
    patrons.push({ userId, sessionId: session.id, bookId })
  }
  return patrons
}

/** Good for ten minutes. */
export function tokenOf(variables: Variables, { userId, sessionId }: Reader): Promise<string> {
  const iat = Math.floor(Date.now() / 1000)
  return signAccessToken(readConfig({ ...scriptSettings, ...variables }), {
    sub: userId,
    sid: sessionId,
    jti: randomUUID(),
    role: 'patron',
    iat,
  })
}
