import type { Hono, MiddlewareHandler } from 'hono'
import type { z } from 'zod'
import type { ProblemName } from './problem.ts'

/** What a route says of itself, gathered from its middleware: the source of the access rules' check at the start, of
 *  405, and of the OpenAPI document. */
type RouteFacts = {
  description?: RouteDescription
  /** The name of its rule in src/access.ts. */
  rule?: string
  /** What a key needs to come here; null: none may. */
  scope?: string | null
  roles?: readonly ('anyone' | 'staff' | 'patron')[]
  inputs?: { target: 'json' | 'query' | 'param' | 'header'; schema: z.ZodType; optional?: boolean }[]
  problems?: readonly ProblemName[]
}

type RouteDescription = {
  summary: string
  description?: string
  tag: string
  responses: Record<number, ResponseDescription>
  problems?: readonly ProblemName[]
}

type ResponseDescription = {
  description: string
  schema?: z.ZodType
  mediaType?: string
  /** What else it answers, by media type. */
  or?: Record<string, z.ZodType>
  headers?: Record<string, string>
}

export type Route = { method: string; path: string; facts: Required<RouteFacts> }

const factsOf = new WeakMap<object, RouteFacts>()

export function stateFacts<H extends object>(handler: H, facts: RouteFacts): H {
  factsOf.set(handler, facts)
  return handler
}

/** Says in the chain what a route is for and how it can answer; does nothing to the request. */
export const describeRoute = (description: RouteDescription) => {
  const handler: MiddlewareHandler = (_c, next) => next()
  return stateFacts(handler, { description })
}

/** Every route with its facts. Throws when one has no description, when it does not go by the rule of its own name, or when
 *  a rule is left over: the app must not start. */
export function readRoutes(app: Pick<Hono, 'routes'>, rules: object): Route[] {
  const gathered = new Map<string, { method: string; path: string; facts: RouteFacts[] }>()
  for (const { method, path, handler } of app.routes) {
    // Middleware; a route that answers every method is refused below, since it has no facts.
    if (method === 'ALL' && path === '/*') continue
    const key = `${method} ${path}`
    const route = gathered.get(key) ?? { method, path, facts: [] }
    route.facts.push(factsOf.get(handler) ?? {})
    gathered.set(key, route)
  }
  const unused = Object.keys(rules).filter((name) => !gathered.has(name))
  if (unused.length > 0) throw new Error(`there is no route for the rule of ${unused.join(', ')}`)
  return [...gathered].map(([key, { method, path, facts }]) => {
    const description = facts.find((fact) => fact.description)?.description
    const [access, ...others] = facts.filter((fact) => fact.rule !== undefined)
    const { rule, roles, scope = null } = access ?? {}
    if (!description) throw new Error(`${key} does not describe itself`)
    if (!rule || !roles || roles.length === 0) throw new Error(`${key} does not say who may use it`)
    if (rule !== key) throw new Error(`${key} goes by the rule of ${rule}`)
    if (!Object.hasOwn(rules, key)) throw new Error(`${key} has no rule`)
    if (others.length > 0) throw new Error(`${key} has more than one rule`)
    return {
      method,
      path,
      facts: {
        description,
        rule,
        roles,
        scope,
        inputs: facts.flatMap((fact) => fact.inputs ?? []),
        problems: facts.flatMap((fact) => fact.problems ?? []),
      },
    }
  })
}
