import { allowAnyone } from '../../actor.ts'
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
  allowAnyone(),
  valid('json', PasswordCandidate),
  async (c) => c.json(await checkPassword(c.var.config, c.req.valid('json')), 200),
)

export const security = factory.createApp().get(
  '/guidance',
  describeRoute({
    tag,
    summary: 'How to keep an account, for the people whose it is',
    responses: { 200: { description: 'Short texts by topic', schema: Guidance } },
  }),
  allowAnyone(),
  (c) => c.json({ topics: guidance }, 200, { 'cache-control': 'public, max-age=3600' }),
)
