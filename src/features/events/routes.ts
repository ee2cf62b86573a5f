import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { listEvents } from './queries.ts'
import { type Event, EventFilter, EventPage } from './schema.ts'

export const events = factory.createApp().get(
  '/',
  describeRoute({
    tag: 'Events',
    summary: 'What has happened in circulation',
    description:
      'One event an effect. They are listed a moment after they happened, and never behind one that you have read: to follow them, go to `next` while there is one, and later on with `after`, the id of the last.',
    responses: { 200: { description: 'A page of events, the newest last', schema: EventPage } },
  }),
  allow('GET /v1/events'),
  valid('query', EventFilter),
  async (c) => answerPage<Event>(c, await listEvents(c.var.db, c.req.valid('query'))),
)
