import { allow } from '../../actor.ts'
import { brake } from '../../brake.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { describeRoute } from '../../route-facts.ts'
import { checkPassword } from './check-password.ts'
import { guidance } from './guidance.ts'
import { Guidance, PasswordCandidate, PasswordVerdict } from './schema.ts'

const tag = 'Security'

export const auth = factory.createApp().post(
  '/password-check',
  describeRoute({
    tag,
    summary: 'Whether a password would be accepted, and what speaks against it',
    description:
      'Keeps nothing and looks at no account. With the username and the email address that it is for, it says what registering would say.',
    responses: { 200: { description: 'The verdict', schema: PasswordVerdict } },
  }),
  allow('POST /v1/auth/password-check'),
  valid('json', PasswordCandidate),
  brake(),
  async (c) => c.json(await checkPassword(c.var.config, c.req.valid('json')), 200),
)

export const security = factory.createApp().get(
  '/guidance',
  describeRoute({
    tag,
    summary: 'How to keep an account, for the people whose it is',
    responses: { 200: { description: 'Short texts by topic', schema: Guidance } },
  }),
  allow('GET /v1/security/guidance'),
  (c) => c.json({ topics: guidance }, 200, { 'cache-control': 'public, max-age=3600' }),
)
