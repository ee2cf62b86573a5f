import type { MiddlewareHandler } from 'hono'
import { verifyAccessToken } from './access-token.ts'
import type { Config } from './config.ts'
import { type Actor, type Db, openDb, requireActor } from './db/client.ts'
import type { AppEnv } from './factory.ts'
import { problem, type ProblemName } from './problem.ts'
import { stateFacts } from './route-facts.ts'

type Env<Variables extends object> = AppEnv & { Variables: Variables }

const dbOf = ({ config, record }: AppEnv['Variables']) =>
  openDb({ config, startedAt: record.startedAt, onRoundTrip: () => record.roundTrips++ })

/** A route for anyone. A token that is sent all the same is not looked at. */
export const allowAnyone = () => {
  const handler: MiddlewareHandler<Env<{ db: Db }>> = async (c, next) => {
    c.set('db', dbOf(c.var))
    await next()
  }
  return stateFacts(handler, { roles: ['anyone'] })
}

const actorProblems: ProblemName[] = [
  'authentication-required',
  'access-token-invalid',
  'access-token-expired',
  'access-token-outdated',
  'session-ended',
  'account-suspended',
]

/** A route for these roles. The token is checked here; that its session lives, its user is not suspended and its role
 *  is still the user's is checked by `db`, in the round trip that does the work. */
export const allow = (...roles: Actor['role'][]) => {
  const handler: MiddlewareHandler<Env<{ db: Db; actor: Actor }>> = async (c, next) => {
    const actor = await readActor(c.var.config, c.req.header('authorization'))
    c.var.record.actorId = actor.userId
    if (!roles.includes(actor.role)) throw problem('forbidden')
    c.set('actor', actor)
    c.set('db', dbOf(c.var).after(requireActor(actor)))
    await next()
  }
  const everyone = roles.includes('staff') && roles.includes('patron')
  return stateFacts(handler, { roles, problems: everyone ? actorProblems : [...actorProblems, 'forbidden'] })
}

/** Whose things an actor may touch: their own; staff anyone's, which is null. */
export const ownerFor = ({ role, userId }: Actor) => (role === 'staff' ? null : userId)

/** Whose things to list: a patron's own; for staff the named user's, or everybody's, which is null. Throws 'forbidden'
 *  when a patron names a user. */
export function ownerToList(actor: Actor, userId: string | undefined): string | null {
  const owner = ownerFor(actor)
  if (owner !== null && userId !== undefined) throw problem('forbidden')
  return owner ?? userId ?? null
}

async function readActor(config: Config, authorization: string | undefined): Promise<Actor> {
  if (authorization === undefined) throw problem('authentication-required')
  const [, token] = /^Bearer ([A-Za-z0-9._-]{1,2048})$/i.exec(authorization) ?? []
  if (token === undefined) throw problem('access-token-invalid')
  const { sub, sid, role } = await verifyAccessToken(config, token)
  return { userId: sub, sessionId: sid, role }
}
