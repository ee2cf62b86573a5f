import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { describeRoute } from '../../route-facts.ts'
import { eraseAccount, tellErased } from './erase-account.ts'
import { exportData } from './export-data.ts'
import { Erasure, Export } from './schema.ts'

const tag = 'Users'

export const ownData = factory
  .createApp()
  .get(
    '/export',
    describeRoute({
      tag,
      summary: 'Everything that is held about me',
      description: 'One document, of one moment, to keep or to take elsewhere.',
      responses: {
        200: {
          description: 'My data',
          schema: Export,
          headers: { 'Content-Disposition': 'attachment; filename="lectern-export.json"' },
        },
      },
    }),
    allow('GET /v1/users/me/export'),
    async (c) =>
      c.json(await exportData(c.var.db, c.var.config, { userId: c.var.owner }), 200, {
        'content-disposition': 'attachment; filename="lectern-export.json"',
      }),
  )
  .delete(
    '/',
    describeRoute({
      tag,
      summary: 'Erase my account',
      description:
        'And everything that names me: there is no way back. Holds are cancelled. The receipt is all that stays. When the answer gets lost, a repeated request hears `session-ended`: then it was done.',
      responses: { 200: { description: 'Erased', schema: Erasure } },
      problems: ['loans-open', 'fees-owed', 'last-member-of-staff'],
    }),
    allow('DELETE /v1/users/me'),
    async (c) => {
      const userId = c.var.owner
      const erased = await eraseAccount(c.var.db, { userId })
      c.executionCtx.waitUntil(tellErased(c.var.config, { userId, ...erased }))
      return c.json(erased.receipt, 200)
    },
  )
