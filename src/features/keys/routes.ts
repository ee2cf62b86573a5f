import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { IdParam, valid } from '../../input.ts'
import { deliverSoon } from '../../mail/deliver.ts'
import { describeRoute } from '../../route-facts.ts'
import { makeKey } from './make-key.ts'
import { listKeys } from './queries.ts'
import { revokeKey } from './revoke-key.ts'
import { KeyList, MadeKey, NewKey } from './schema.ts'

const tag = 'Keys'

export const keys = factory
  .createApp()
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Make an API key',
      description:
        'For programs, and as the password in reader apps that ask for one. It outlives my password, and ends with its revocation, my suspension or a change of my role. Takes no Idempotency-Key, since its answer is a secret that is not kept.',
      responses: { 201: { description: 'Made. The key is shown this once.', schema: MadeKey } },
      problems: ['forbidden', 'key-limit-reached', 'date-out-of-range'],
    }),
    allow('POST /v1/users/me/keys'),
    valid('json', NewKey),
    async (c) => {
      const key = await makeKey(c.var.db, { ...c.req.valid('json'), actor: c.var.actor })
      deliverSoon(c)
      return c.json(key, 201)
    },
  )
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'My API keys',
      responses: { 200: { description: 'Those in force, the newest first', schema: KeyList } },
    }),
    allow('GET /v1/users/me/keys'),
    async (c) => c.json(await listKeys(c.var.db, { userId: c.var.owner }), 200),
  )
  .delete(
    '/:id',
    describeRoute({
      tag,
      summary: 'Revoke an API key',
      description: 'Waits for requests that are under way with it; after the answer it does nothing more.',
      responses: { 204: { description: 'Revoked' } },
      problems: ['key-not-found'],
    }),
    allow('DELETE /v1/users/me/keys/:id'),
    valid('param', IdParam),
    async (c) => {
      await revokeKey(c.var.db, { userId: c.var.owner, ...c.req.valid('param') })
      return c.body(null, 204)
    },
  )
