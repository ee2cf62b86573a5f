import type { Context, MiddlewareHandler } from 'hono'
import type { Actor, Claim } from './db/client.ts'
import type { AppEnv } from './factory.ts'
import { keyedHash } from './keyed-hash.ts'
import { problem } from './problem.ts'
import { stateFacts } from './route-facts.ts'
import { z } from 'zod'

/** 1 to 255 visible ASCII characters. A UUID does. */
const KEY = /^[\x21-\x7e]{1,255}$/

const Header = z.object({
  'idempotency-key': z.string().regex(KEY).optional().meta({
    description:
      'Makes it safe to send the request again when its answer got lost: for 24 hours the same key gets the first answer.',
    example: '3f0c7a52-6a0e-4f6e-9a39-0d5f1c7be6a1',
  }),
})

type Env = AppEnv & { Variables: { claim: Claim | null; actor?: Actor } }

/** Reads Idempotency-Key. Stands after valid('json'), since the request's fingerprint is of the valid body; `secrets`
 *  are fields that may not be kept, not even as a hash. */
export const idempotent = ({ secrets = [] }: { secrets?: string[] } = {}) => {
  const handler: MiddlewareHandler<Env> = async (c, next) => {
    const key = c.req.header('idempotency-key')
    if (key !== undefined && !KEY.test(key)) {
      const detail = 'is not 1 to 255 visible ASCII characters'
      throw problem('invalid-input', { errors: [{ in: 'header', pointer: '/idempotency-key', detail }] })
    }
    c.set('claim', key === undefined ? null : await claimOf(c, key, secrets))
    await next()
  }
  return stateFacts(handler, {
    inputs: [{ target: 'header', schema: Header }],
    problems: ['idempotency-key-reused', 'idempotency-key-spent', 'busy', 'invalid-input'],
  })
}

async function claimOf(c: Context<Env>, key: string, secrets: string[]): Promise<Claim> {
  const body = await c.req.text()
  const withoutSecrets =
    secrets.length === 0
      ? body
      : JSON.stringify(JSON.parse(body), (name, value: unknown) => (secrets.includes(name) ? undefined : value))
  return {
    keyHash: await keyedHash(c.var.config, 'idempotency-key', c.get('actor')?.userId ?? 'anyone', key),
    fingerprint: await keyedHash(c.var.config, 'idempotent-request', c.req.method, c.req.path, withoutSecrets),
  }
}
