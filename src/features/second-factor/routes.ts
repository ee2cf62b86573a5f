import { allow } from '../../actor.ts'
import { brake } from '../../brake.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { deliverSoon } from '../../mail/deliver.ts'
import { describeRoute } from '../../route-facts.ts'
import {
  beginSecondFactor,
  confirmSecondFactor,
  getSecondFactor,
  removeSecondFactor,
  replaceRecoveryCodes,
} from './queries.ts'
import { AppCode, NewSecondFactor, RecoveryCodes, SecondFactor } from './schema.ts'

const tag = 'Users'

export const secondFactor = factory
  .createApp()
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'My second factor',
      responses: { 200: { description: 'Whether there is one', schema: SecondFactor } },
    }),
    allow('GET /v1/users/me/second-factor'),
    async (c) => c.json(await getSecondFactor(c.var.db, c.var.actor), 200),
  )
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Begin a second factor',
      description: 'Codes of an app (TOTP, RFC 6238). It counts once a code of it has been shown.',
      responses: { 201: { description: 'What the app needs, shown this once', schema: NewSecondFactor } },
      problems: ['second-factor-active'],
    }),
    allow('POST /v1/users/me/second-factor'),
    async (c) => c.json(await beginSecondFactor(c.var.db, c.var.config, c.var.actor), 201),
  )
  .put(
    '/confirmation',
    describeRoute({
      tag,
      summary: 'Confirm my second factor with a code of the app',
      description: 'From then on a login needs a code. Ends my other sessions.',
      responses: { 200: { description: 'Recovery codes, for when the app is lost', schema: RecoveryCodes } },
      problems: ['second-factor-not-begun', 'wrong-code'],
    }),
    allow('PUT /v1/users/me/second-factor/confirmation'),
    valid('json', AppCode),
    brake(),
    async (c) => {
      const { code } = c.req.valid('json')
      const codes = await confirmSecondFactor(c.var.db, c.var.config, { actor: c.var.actor, code })
      deliverSoon(c)
      return c.json(codes, 200)
    },
  )
  .post(
    '/recovery-codes',
    describeRoute({
      tag,
      summary: 'Make new recovery codes',
      description: 'The old ones are good no more.',
      responses: { 201: { description: 'The new ones, shown this once', schema: RecoveryCodes } },
      problems: ['second-factor-not-begun'],
    }),
    allow('POST /v1/users/me/second-factor/recovery-codes'),
    async (c) => {
      const codes = await replaceRecoveryCodes(c.var.db, c.var.actor)
      deliverSoon(c)
      return c.json(codes, 201)
    },
  )
  .delete(
    '/',
    describeRoute({
      tag,
      summary: 'Remove my second factor',
      responses: { 204: { description: 'Removed' } },
      problems: ['second-factor-not-begun'],
    }),
    allow('DELETE /v1/users/me/second-factor'),
    async (c) => {
      await removeSecondFactor(c.var.db, c.var.actor)
      deliverSoon(c)
      return c.body(null, 204)
    },
  )
