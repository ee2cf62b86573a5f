import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { valid } from '../../input.ts'
import { describeRoute } from '../../route-facts.ts'
import { checkInCopy } from './check-in-copy.ts'
import { CheckIn, NewCheckIn } from './schema.ts'

export const checkIns = factory.createApp().post(
  '/',
  describeRoute({
    tag: 'Desk',
    summary: 'Check in a copy by its barcode',
    description:
      'Whatever comes over the desk: ends the loan, if there is one; finds a lost copy; counts a use in the library of one that was not on loan. Says where the copy goes next.',
    responses: { 201: { description: 'Checked in', schema: CheckIn } },
    problems: ['copy-not-found', 'busy'],
  }),
  allow('POST /v1/check-ins'),
  valid('json', NewCheckIn),
  idempotent(),
  async (c) => c.json(await checkInCopy(c.var.db, c.req.valid('json'), c.var.claim), 201),
)
