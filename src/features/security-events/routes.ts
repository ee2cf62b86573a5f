import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { listSecurityEvents } from './queries.ts'
import { type SecurityEvent, SecurityEventFilter, SecurityEventPage } from './schema.ts'

export const securityEvents = factory.createApp().get(
  '/',
  describeRoute({
    tag: 'Users',
    summary: 'What happened to my account',
    description: 'Logins and attempts, and changes of what protects the account. Kept for a year.',
    responses: { 200: { description: 'A page of events, the newest first', schema: SecurityEventPage } },
  }),
  allow('GET /v1/users/me/security-events'),
  valid('query', SecurityEventFilter),
  async (c) => {
    const filter = c.req.valid('query')
    return answerPage<SecurityEvent>(c, await listSecurityEvents(c.var.db, { userId: c.var.owner, ...filter }))
  },
)
