import type { MiddlewareHandler } from 'hono'
import {
  access,
  type ClosedRoute,
  type OpenRoute,
  type Owner,
  type OwnerOf,
  type RouteName,
  type Rule,
} from './access.ts'
import { verifyAccessToken } from './access-token.ts'
import type { Config } from './config.ts'
import { type Actor, type Db, openDb, requireActor, requireFreshSession } from './db/client.ts'
import type { AppEnv } from './factory.ts'
import { problem, type ProblemName } from './problem.ts'
import { stateFacts } from './route-facts.ts'

type Env<Variables extends object> = AppEnv & { Variables: Variables }

const dbOf = ({ config, record }: AppEnv['Variables']) =>
  openDb({ config, startedAt: record.startedAt, onRoundTrip: () => record.roundTrips++ })

/** Applies the rule of a route. Where anyone may come, a token that is sent all the same is not looked at. Elsewhere the
 *  token is checked here; that its session lives, its user is not suspended and its role is still the user's is checked
 *  by `db`, in the round trip that does the work. */
export function allow(name: OpenRoute): MiddlewareHandler<Env<{ db: Db }>>
export function allow<Name extends ClosedRoute>(
  name: Name,
): MiddlewareHandler<Env<{ db: Db; actor: Actor; owner: OwnerOf<Name> }>>
export function allow(name: RouteName) {
  const rule: Rule = access[name]
  return rule === 'anyone' ? allowAnyone(name) : allowRoles(name, rule)
}

const allowAnyone = (rule: RouteName) => {
  const handler: MiddlewareHandler<Env<{ db: Db }>> = async (c, next) => {
    c.set('db', dbOf(c.var))
    await next()
  }
  return stateFacts(handler, { rule, roles: ['anyone'] })
}

const actorProblems: ProblemName[] = [
  'authentication-required',
  'access-token-invalid',
  'access-token-expired',
  'access-token-outdated',
  'session-ended',
  'account-suspended',
]

const allowRoles = (name: RouteName, rule: Exclude<Rule, 'anyone'>) => {
  const handler: MiddlewareHandler<Env<{ db: Db; actor: Actor; owner: Owner }>> = async (c, next) => {
    const actor = await readActor(c.var.config, c.req.header('authorization'))
    c.var.record.actorId = actor.userId
    const whose = rule[actor.role]
    if (whose === undefined) throw problem('forbidden')
    c.set('actor', actor)
    c.set('owner', whose === 'own' ? actor.userId : null)
    const db = dbOf(c.var).after(requireActor(actor, { mayLackFactor: rule.mayLackFactor === true }))
    c.set('db', rule.fresh ? db.after(requireFreshSession(actor)) : db)
    await next()
  }
  const roles = (['patron', 'staff'] as const).filter((role) => rule[role] !== undefined)
  const problems: ProblemName[] = [
    ...actorProblems,
    ...(roles.length === 2 ? [] : (['forbidden'] as const)),
    ...(rule.staff === undefined || rule.mayLackFactor ? [] : (['second-factor-needed'] as const)),
    ...(rule.fresh ? (['fresh-login-required'] as const) : []),
  ]
  return stateFacts(handler, { rule: name, roles, problems })
}

async function readActor(config: Config, authorization: string | undefined): Promise<Actor> {
  if (authorization === undefined) throw problem('authentication-required')
  const [, token] = /^Bearer ([A-Za-z0-9._-]{1,2048})$/i.exec(authorization) ?? []
  if (token === undefined) throw problem('access-token-invalid')
  const { sub, sid, role } = await verifyAccessToken(config, token)
  return { userId: sub, sessionId: sid, role }
}
