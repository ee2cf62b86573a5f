import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { admit, type Patron, tokenOf } from '../library.ts'
import { table } from '../table.ts'
import { importFile, type Library } from './library.ts'

/** What readers and patrons notice of an import: the same requests before it and beside it. */

const READERS = 8
const PATRONS = 2
/** A reader asks, reads what has come, and asks again. */
const PAUSE_MS = 50
const ANSWER_LIMIT_MS = 10_000

type Kind = 'search' | 'list' | 'one book' | 'checkout' | 'return'
const kinds: Kind[] = ['search', 'list', 'one book', 'checkout', 'return']

type Heard = { times: Record<Kind, number[]>; failures: string[] }

/** Prints the table; false when any request failed. `seconds`: of the load without an import. */
export async function measureBeside(
  library: Library,
  { files, seconds, say }: { files: { first: string; beside: string }; seconds: number; say: (text: string) => void },
): Promise<boolean> {
  await importFile(library, [files.first, '--report', `${files.first}-report`])
  const { rows } = await library.client.query<{ id: string; word: string }>(
    `select book_id as id, substring(title_key from '[a-z]{4,}') as word from book_search
     where title_key ~ '[a-z]{4,}' order by book_id limit 400`,
  )
  await library.client.query(`insert into copies (book_id, format) select id, 'digital' from books limit 500`)
  const { rows: lendable } = await library.client.query<{ id: string }>(
    `select book_id as id from copies order by id limit ${PATRONS}`,
  )
  await library.client.query('vacuum analyze')
  const patrons = await admit(library.client, {
    variables: library.variables,
    bookIds: lendable.map(({ id }) => id),
  })

  const alone = await under({ library, books: rows, patrons }, () => delay(seconds * 1_000))
  let told = ''
  const beside = await under({ library, books: rows, patrons }, async () => {
    const { output } = await importFile(library, [files.beside, '--report', `${files.beside}-report`])
    told = output.split('\n').findLast((line) => / records in /.test(line)) ?? ''
  })
  say(`${told}\n`)
  say(
    table(
      ['Milliseconds', 'p50 alone', 'p99 alone', 'p50 beside', 'p99 beside', 'requests beside'],
      kinds.map((kind) => {
        const [before, during] = [alone.times[kind], beside.times[kind]]
        return [kind, at(before, 0.5), at(before, 0.99), at(during, 0.5), at(during, 0.99), String(during.length)]
      }),
    ),
  )
  const failures = [...alone.failures, ...beside.failures]
  say(`${failures.length} requests failed${failures.length === 0 ? '' : `: ${[...new Set(failures)].join(', ')}`}.\n`)
  return failures.length === 0
}

function at(times: number[], share: number): string {
  const sorted = times.toSorted((a, b) => a - b)
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(0)
}

type Scene = { library: Library; books: { id: string; word: string }[]; patrons: Patron[] }

/** The load goes on for as long as the work does. */
async function under({ library, books, patrons }: Scene, work: () => Promise<unknown>): Promise<Heard> {
  const heard: Heard = {
    times: { search: [], list: [], 'one book': [], checkout: [], return: [] },
    failures: [],
  }
  const state = { isOver: false }
  const ask = asker(library, heard)
  const reader = async (number: number) => {
    for (let turn = number; !state.isOver; turn += READERS) {
      const { id, word } = books[turn % books.length] ?? { id: '', word: '' }
      await ask('search', 200, 'GET', `/v1/books?q=${word}&limit=20`)
      await ask('list', 200, 'GET', `/v1/books?limit=20&sort=${turn % 2 === 0 ? 'newest' : 'title'}`)
      await ask('one book', 200, 'GET', `/v1/books/${id}`)
      await delay(PAUSE_MS)
    }
  }
  const patron = async (own: Patron) => {
    while (!state.isOver) {
      const authorization = `Bearer ${await tokenOf(library.variables, own)}`
      const loan = await ask('checkout', 201, 'POST', '/v1/loans', { authorization, body: { bookId: own.bookId } })
      const { id } = z.object({ id: z.string() }).parse(loan ?? { id: '' })
      if (id !== '') await ask('return', 200, 'PUT', `/v1/loans/${id}/return`, { authorization })
      await delay(PAUSE_MS)
    }
  }
  const load = [...Array.from({ length: READERS }, (_, number) => reader(number)), ...patrons.map(patron)]
  try {
    await work()
  } finally {
    state.isOver = true
    await Promise.all(load)
  }
  return heard
}

/** Null where the answer was another than it should be, which is noted. */
const asker =
  ({ url }: Library, { times, failures }: Heard) =>
  async (
    kind: Kind,
    expected: number,
    method: string,
    path: string,
    { authorization, body }: { authorization?: string; body?: object } = {},
  ): Promise<unknown> => {
    const began = performance.now()
    try {
      const response = await fetch(new URL(path, url), {
        method,
        headers: {
          ...(authorization !== undefined && { authorization }),
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
      })
      const answer: unknown = await response.json()
      times[kind].push(performance.now() - began)
      if (response.status === expected) return answer
      failures.push(`${kind} ${response.status}`)
    } catch (error) {
      failures.push(`${kind} ${error instanceof Error ? error.name : 'failed'}`)
    }
    return null
  }
