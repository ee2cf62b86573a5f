import { z } from 'zod'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'

/** What is noted of an account, where it happens: by note() in the database. */
const kinds = [
  'login',
  'login-from-new-address',
  'login-failed',
  'login-without-code',
  'session-ended',
  'refresh-token-reused',
  'account-suspended',
  'account-reinstated',
  'role-changed',
  'password-changed',
  'password-reset-asked',
  'password-reset',
  'email-change-asked',
  'email-changed',
  'second-factor-added',
  'second-factor-removed',
  'recovery-codes-replaced',
  'key-made',
  'key-revoked',
] as const

export const SecurityEvent = z
  .object({
    id: z.uuid(),
    kind: z.enum(kinds).meta({
      description:
        'login-without-code: the password was right, and a code was missing or wrong. refresh-token-reused: two parties held a token of the session, which was ended.',
    }),
    at: timestamp,
    sessionId: z.uuid().nullable().meta({ description: 'Of the session that did it or that it is about' }),
  })
  .meta({ id: 'SecurityEvent' })
export type SecurityEvent = z.infer<typeof SecurityEvent>

export const SecurityEventFilter = z.strictObject({ ...PageQuery })
export type SecurityEventFilter = z.infer<typeof SecurityEventFilter>

export const SecurityEventPage = pageOf(SecurityEvent)
