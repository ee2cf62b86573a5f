import { sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { jsonb } from '../../db/parameters.ts'
import { isProblemName, problems, problemType } from '../../problem.ts'
import type { EditResults, Edits } from './schema.ts'

type Made = { results: (Omit<EditResults['results'][number], 'problem'> & { problem: string | null })[] }

/** Changes and removes many books in one transaction. Where all or nothing is asked for, throws the problem of the first that
 *  was refused, with a pointer to each. */
export async function editBooks(db: Db, { mode, books }: Edits, claim: Claim | null): Promise<EditResults> {
  const edits = books.map(({ change, ...edit }) => ({
    ...edit,
    ...(change !== undefined && { change: { ...change, ...(change.isbns && { isbns: [...new Set(change.isbns)] }) } }),
  }))
  const { results } = await db.make<Made>(sql`select edit_books(${jsonb(edits)}, ${mode === 'each'}) as body`, claim)
  return {
    results: results.map(({ id, outcome, version, problem }) => ({ id, outcome, version, problem: explain(problem) })),
  }
}

function explain(name: string | null) {
  if (name === null) return null
  if (!isProblemName(name)) throw new Error('a refusal is not in the catalogue of problems')
  const [status, title, detail] = problems[name]
  return { type: problemType(name), title, status, detail }
}
