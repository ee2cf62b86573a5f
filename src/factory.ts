import { createFactory } from 'hono/factory'
import type { Config } from './config.ts'
import type { RequestRecord } from './frame.ts'

/** What every route has. What only some have (`db`, `actor`, `claim`) is declared by the middleware that sets
 *  it, so that a route without that middleware does not compile. */
export type AppEnv = {
  Bindings: { ASSETS: { fetch: (url: URL) => Promise<Response> } }
  /** isStreamed: the answer is read while it is made, and has no tag. */
  Variables: { config: Config; record: RequestRecord; isStreamed?: boolean }
}

export const factory = createFactory<AppEnv>()
