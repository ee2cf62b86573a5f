import { access } from './access.ts'
import { auth, security } from './features/auth/routes.ts'
import { blocks } from './features/blocks/routes.ts'
import { books } from './features/books/routes.ts'
import { checkIns } from './features/check-ins/routes.ts'
import { copies, copiesOfBook } from './features/copies/routes.ts'
import { editing } from './features/editing/routes.ts'
import { eligibilityForBook } from './features/eligibility/routes.ts'
import { events } from './features/events/routes.ts'
import { exports } from './features/exports/routes.ts'
import { fees } from './features/fees/routes.ts'
import { figures } from './features/figures/routes.ts'
import { holds } from './features/holds/routes.ts'
import { imports } from './features/imports/routes.ts'
import { keys } from './features/keys/routes.ts'
import { library } from './features/library/routes.ts'
import { loans } from './features/loans/routes.ts'
import { mailedTokens } from './features/mailed-tokens/routes.ts'
import { newAndPopular } from './features/new-and-popular/routes.ts'
import { ownData } from './features/own-data/routes.ts'
import { categories, policies } from './features/policies/routes.ts'
import { secondFactor } from './features/second-factor/routes.ts'
import { securityEvents } from './features/security-events/routes.ts'
import { service } from './features/service/routes.ts'
import { sessions } from './features/sessions/routes.ts'
import { users } from './features/users/routes.ts'
import { announceChanges } from './edge-cache.ts'
import { factory } from './factory.ts'
import { allowListedOrigins, boundedBody, boundedUri, configured, headers, onlyHttps, record } from './frame.ts'
import { describeApi } from './openapi.ts'
import { notFound, onError } from './problem.ts'
import { readRoutes, type Route } from './route-facts.ts'
import { tagged } from './versions.ts'

/** Made when it is first asked for: it takes longer than a Worker should need to start. */
let document: object | undefined

const app = factory.createApp()

app.use(record, headers, configured, onlyHttps, allowListedOrigins, boundedUri, boundedBody, announceChanges, tagged)
app.onError(onError)

const routed = app
  .route('/v1/users/me/second-factor', secondFactor)
  .route('/v1/users/me/security-events', securityEvents)
  .route('/v1/users/me', ownData)
  .route('/v1/users', users)
  .route('/v1/auth', mailedTokens)
  .route('/v1/users/me/keys', keys)
  .route('/v1/sessions', sessions)
  .route('/v1/auth', auth)
  .route('/v1/security', security)
  .route('/v1/books', newAndPopular)
  .route('/v1/books', exports)
  .route('/v1/books', editing)
  .route('/v1/books', books)
  .route('/v1/books', copiesOfBook)
  .route('/v1/books', eligibilityForBook)
  .route('/v1/copies', copies)
  .route('/v1/loans', loans)
  .route('/v1/holds', holds)
  .route('/v1/fees', fees)
  .route('/v1/blocks', blocks)
  .route('/v1/events', events)
  .route('/v1/imports', imports)
  .route('/v1/figures', figures)
  .route('/v1/check-ins', checkIns)
  .route('/v1/policies', policies)
  .route('/v1/categories', categories)
  .route('/v1/library', library)
  .route(
    '/',
    service(() => (document ??= describeApi(routes))),
  )

/** For `hc<AppType>()`, Hono's typed client. */
export type AppType = typeof routed

/** Throws, and the Worker does not start, when a route lacks its description or its rule of access. */
export const routes: Route[] = readRoutes(app, access)

app.notFound(notFound((path) => methodsOf(path)))

function methodsOf(path: string): string[] {
  const methods = [...new Set(routes.map((route) => route.method))].filter((method) => {
    const [matches] = app.router.match(method, path)
    return matches.some(([[, route]]) => route.method === method)
  })
  return methods.includes('GET') ? [...methods, 'HEAD'] : methods
}

export { app }
