import { sql } from 'drizzle-orm'
import type { Owner } from '../../access.ts'
import type { Actor, Db } from '../../db/client.ts'
import { isProblemName, problem, problems } from '../../problem.ts'
import type { Eligibility, EligibilityQuery } from './schema.ts'

type Named = {
  problem: string
  found: number | null
  allowed: number | null
  until: string | null
  overridable: boolean
}
type Decision = { allowed: boolean; obstacles: Named[] }
type Found = { userId: string; bookId: string; borrow: Decision; renew: Decision; placeHold: Decision }

/** What check_out, renew and place_hold would say now, from the functions that they ask. Throws 'forbidden' for a patron
 *  who names another, 'user-not-found', 'book-not-found', and 'book-merged' for one that is part of
 *  another now. */
export async function getEligibility(
  db: Db,
  { bookId, format, userId, actor, owner }: EligibilityQuery & { bookId: string; actor: Actor; owner: Owner },
): Promise<Eligibility> {
  if (userId !== undefined && owner !== null) throw problem('forbidden')
  const { borrow, renew, placeHold, ...of } = await db.one<Found>(
    sql`select eligibility(${userId ?? actor.userId}, ${bookId}, ${format ?? null}) as body`,
  )
  return { ...of, borrow: explain(borrow), renew: explain(renew), placeHold: explain(placeHold) }
}

const explain = ({ allowed, obstacles }: Decision) => ({
  allowed,
  obstacles: obstacles.map((obstacle) => {
    if (!isProblemName(obstacle.problem)) throw new Error('an obstacle is not in the catalogue of problems')
    const [, title, detail] = problems[obstacle.problem]
    return { ...obstacle, title, detail }
  }),
})
