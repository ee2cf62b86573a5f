import { allow } from '../../actor.ts'
import { brake } from '../../brake.ts'
import { clientAddress } from '../../client-address.ts'
import { factory } from '../../factory.ts'
import { IdParam, valid } from '../../input.ts'
import { deliverSoon } from '../../mail/deliver.ts'
import { describeRoute } from '../../route-facts.ts'
import { logIn } from './log-in.ts'
import { endSession, listSessions } from './queries.ts'
import { refresh } from './refresh.ts'
import { NewSession, Refresh, SessionList, Tokens } from './schema.ts'

const tag = 'Sessions'

export const sessions = factory
  .createApp()
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Log in',
      description:
        'Takes no Idempotency-Key, since its answer holds secrets that are not kept: a repeated login opens another session.',
      responses: { 201: { description: 'Logged in', schema: Tokens } },
      problems: [
        'wrong-credentials',
        'second-factor-required',
        'wrong-code',
        'too-many-attempts',
        'account-suspended',
        'busy',
      ],
    }),
    allow('POST /v1/sessions'),
    valid('json', NewSession),
    brake(),
    async (c) => {
      const address = clientAddress(c)
      const { tokens, hasMessage } = await logIn(c.var.db, c.var.config, c.req.valid('json'), { address })
      if (hasMessage) deliverSoon(c)
      return c.json(tokens, 201)
    },
  )
  .post(
    '/refresh',
    describeRoute({
      tag,
      summary: 'Exchange a refresh token for a new pair',
      description:
        'A token is good once. The same request within ten seconds gets the same pair again; later it ends the session.',
      responses: { 200: { description: 'The new pair', schema: Tokens } },
      problems: ['refresh-token-invalid', 'refresh-token-reused', 'account-suspended'],
    }),
    allow('POST /v1/sessions/refresh'),
    valid('json', Refresh),
    async (c) => c.json(await refresh(c.var.db, c.var.config, c.req.valid('json')), 200),
  )
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'Where I am logged in',
      responses: { 200: { description: 'My sessions, the last used first', schema: SessionList } },
    }),
    allow('GET /v1/sessions'),
    async (c) =>
      c.json(
        await listSessions(c.var.db, c.var.config, { userId: c.var.owner, sessionId: c.var.actor.sessionId }),
        200,
      ),
  )
  .delete(
    '/current',
    describeRoute({ tag, summary: 'Log out', responses: { 204: { description: 'Logged out' } } }),
    allow('DELETE /v1/sessions/current'),
    async (c) => {
      await endSession(c.var.db, c.var.actor, { id: c.var.actor.sessionId })
      return c.body(null, 204)
    },
  )
  .delete(
    '/:id',
    describeRoute({
      tag,
      summary: 'End one of my sessions',
      responses: { 204: { description: 'Ended' } },
      problems: ['session-not-found'],
    }),
    allow('DELETE /v1/sessions/:id'),
    valid('param', IdParam),
    async (c) => {
      await endSession(c.var.db, c.var.actor, c.req.valid('param'))
      return c.body(null, 204)
    },
  )
