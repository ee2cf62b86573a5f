import { allow } from '../../actor.ts'
import { brake } from '../../brake.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { deliverSoon } from '../../mail/deliver.ts'
import { describeRoute } from '../../route-facts.ts'
import { confirmEmail } from '../users/confirm-email.ts'
import { askToReset, resetPassword } from './reset-password.ts'
import { EmailConfirmation, PasswordReset, PasswordResetRequest } from './schema.ts'

const tag = 'Sessions'

/** What is done with a token that came by mail. */
export const mailedTokens = factory
  .createApp()
  .post(
    '/email-confirmations',
    describeRoute({
      tag,
      summary: 'Confirm an email address',
      description: 'With the code of the message that was sent there. It is good once, for 24 hours.',
      responses: { 204: { description: 'The address is in force' } },
      problems: ['mailed-token-invalid', 'email-taken'],
    }),
    allow('POST /v1/auth/email-confirmations'),
    valid('json', EmailConfirmation),
    brake(),
    async (c) => {
      await confirmEmail(c.var.db, c.req.valid('json'))
      deliverSoon(c)
      return c.body(null, 204)
    },
  )
  .post(
    '/password-reset-requests',
    describeRoute({
      tag,
      summary: 'Ask for a message with which to set a new password',
      description: 'Sent if an account has confirmed the address. The answer is the same if none has.',
      responses: { 202: { description: 'Sent, if there is such an account' } },
    }),
    allow('POST /v1/auth/password-reset-requests'),
    valid('json', PasswordResetRequest),
    brake(),
    async (c) => {
      await askToReset(c.var.db, c.var.config, c.req.valid('json'))
      deliverSoon(c)
      return c.body(null, 202)
    },
  )
  .post(
    '/password-resets',
    describeRoute({
      tag,
      summary: 'Set a new password',
      description:
        'With the code of the message. It is good once, for 30 minutes. Ends all sessions; a second factor stays.',
      responses: { 204: { description: 'The password is set' } },
      problems: ['mailed-token-invalid', 'busy'],
    }),
    allow('POST /v1/auth/password-resets'),
    valid('json', PasswordReset),
    brake(),
    async (c) => {
      await resetPassword(c.var.db, c.var.config, c.req.valid('json'))
      deliverSoon(c)
      return c.body(null, 204)
    },
  )
