import type { MiddlewareHandler } from 'hono'
import { clientAddress } from './client-address.ts'
import type { AppEnv } from './factory.ts'
import { problem } from './problem.ts'
import { stateFacts } from './route-facts.ts'

/** The period of the binding BRAKE in wrangler.toml. */
const PERIOD_SECONDS = 60

/** Before anything that costs a hash or a message: so many requests a minute from one address, counted by the place of
 *  Cloudflare's that it reaches. It is coarse, costs nothing, and keeps the exact counts in the database out of reach of a
 *  flood. */
export const brake = () => {
  const handler: MiddlewareHandler<AppEnv> = async (c, next) => {
    const { success } = await c.var.config.brake.limit({ key: clientAddress(c) })
    if (!success) throw problem('too-many-requests', { headers: { 'retry-after': String(PERIOD_SECONDS) } })
    await next()
  }
  return stateFacts(handler, { problems: ['too-many-requests'] })
}
