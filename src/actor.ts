import type { HonoRequest, MiddlewareHandler } from 'hono'
import {
  access,
  type ClosedRoute,
  type ClosedRule,
  type KeyRoute,
  type OpenRoute,
  type Owner,
  type OwnerOf,
  reachOfKey,
  type RouteName,
  type Rule,
} from './access.ts'
import { type ApiKey, readApiKey } from './api-key.ts'
import { verifyAccessToken } from './access-token.ts'
import {
  type Actor,
  type Db,
  type LoggedIn,
  openDb,
  requireActor,
  requireFreshSession,
  requireKey,
} from './db/client.ts'
import type { AppEnv } from './factory.ts'
import { problem, type ProblemName } from './problem.ts'
import { stateFacts } from './route-facts.ts'

type Env<Variables extends object> = AppEnv & { Variables: Variables }

/** Who asks, whose things that lets them touch, and the database on their behalf. */
type Asker<Who extends Actor> = { actor: Who; owner: Owner; db: Db }

const dbOf = ({ config, record }: AppEnv['Variables']) =>
  openDb({ config, startedAt: record.startedAt, onRoundTrip: () => record.roundTrips++ })

/** Applies the rule of a route. Where anyone may come, a token that is sent all the same is not looked at. Elsewhere the
 *  token is checked here; that its session lives, its user is not suspended and its role is still the user's is checked
 *  by `db`, in the round trip that does the work, and so is all that a key says. Where a key may come, the actor may have
 *  no session. */
export function allow(name: OpenRoute): MiddlewareHandler<Env<{ db: Db }>>
export function allow<Name extends KeyRoute>(
  name: Name,
): MiddlewareHandler<Env<{ db: Db; actor: Actor; owner: OwnerOf<Name> }>>
export function allow<Name extends Exclude<ClosedRoute, KeyRoute>>(
  name: Name,
): MiddlewareHandler<Env<{ db: Db; actor: LoggedIn; owner: OwnerOf<Name> }>>
export function allow(name: RouteName) {
  const rule: Rule = access[name]
  if (rule === 'anyone') return allowAnyone(name)
  return rule.scope === undefined ? allowSessions(name, rule) : allowSessionsAndKeys(name, rule)
}

function allowAnyone(name: RouteName) {
  const handler: MiddlewareHandler<Env<{ db: Db }>> = async (c, next) => {
    c.set('db', dbOf(c.var))
    await next()
  }
  return stateFacts(handler, { rule: name, roles: ['anyone'] })
}

function allowSessions(name: RouteName, rule: ClosedRule) {
  const handler: MiddlewareHandler<Env<Asker<LoggedIn>>> = async (c, next) => {
    const authorization = requireAuthorization(c.req)
    if ((await readApiKey(authorization)) !== null) throw problem('scope-missing')
    const { actor, owner, db } = await askerOfSession(c.var, { authorization, rule })
    c.set('actor', actor)
    c.set('owner', owner)
    c.set('db', db)
    await next()
  }
  return stateFacts(handler, factsOf(name, rule))
}

function allowSessionsAndKeys(name: RouteName, rule: ClosedRule) {
  const handler: MiddlewareHandler<Env<Asker<Actor>>> = async (c, next) => {
    const authorization = requireAuthorization(c.req)
    const key = await readApiKey(authorization)
    const { actor, owner, db } =
      key === null ? await askerOfSession(c.var, { authorization, rule }) : askerOfKey(c.var, { key, rule })
    c.set('actor', actor)
    c.set('owner', owner)
    c.set('db', db)
    await next()
    // Only now is it known that the key is whose it says.
    if (key !== null && c.res.ok) c.var.record.actorId = key.userId
  }
  return stateFacts(handler, factsOf(name, rule))
}

function requireAuthorization(request: HonoRequest): string {
  const authorization = request.header('authorization')
  if (authorization === undefined) throw problem('authentication-required')
  return authorization
}

async function askerOfSession(
  variables: AppEnv['Variables'],
  { authorization, rule }: { authorization: string; rule: ClosedRule },
): Promise<Asker<LoggedIn>> {
  const [, token] = /^Bearer ([A-Za-z0-9._-]{1,2048})$/i.exec(authorization) ?? []
  if (token === undefined) throw problem('access-token-invalid')
  const { sub, sid, role } = await verifyAccessToken(variables.config, token)
  const actor = { userId: sub, sessionId: sid, role }
  variables.record.actorId = actor.userId
  const whose = rule[role]
  if (whose === undefined) throw problem('forbidden')
  const db = dbOf(variables).after(requireActor(actor, { mayLackFactor: rule.mayLackFactor === true }))
  return {
    actor,
    owner: whose === 'own' ? actor.userId : null,
    db: rule.fresh ? db.after(requireFreshSession(actor)) : db,
  }
}

function askerOfKey(variables: AppEnv['Variables'], { key, rule }: { key: ApiKey; rule: ClosedRule }): Asker<Actor> {
  const { userId, role } = key
  const { whose, scope } = reachOfKey(rule, key)
  return {
    actor: { userId, role },
    owner: whose === 'own' ? userId : null,
    db: dbOf(variables).after(requireKey(key, scope)),
  }
}

function factsOf(name: RouteName, rule: ClosedRule) {
  const roles = (['patron', 'staff'] as const).filter((role) => rule[role] !== undefined)
  const problems: ProblemName[] = [
    'authentication-required',
    'access-token-invalid',
    'access-token-expired',
    'access-token-outdated',
    'session-ended',
    'account-suspended',
    'key-invalid',
    'scope-missing',
    ...(roles.length === 2 ? [] : (['forbidden'] as const)),
    ...(rule.staff === undefined || rule.mayLackFactor ? [] : (['second-factor-needed'] as const)),
    ...(rule.fresh ? (['fresh-login-required'] as const) : []),
  ]
  return { rule: name, roles, scope: rule.scope ?? null, problems }
}
