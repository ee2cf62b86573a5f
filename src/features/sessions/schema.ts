import { z } from 'zod'
import { line } from '../../input.ts'
import { timestamp } from '../../timestamp.ts'
import { Code } from '../second-factor/schema.ts'
import { Password, Role } from '../users/schema.ts'

export const NewSession = z
  .strictObject({
    username: line(254).meta({ example: 'ada.lovelace', description: 'Username or email address' }),
    password: Password,
    code: Code.optional().meta({ description: 'Where the account has a second factor' }),
    deviceName: line(80).optional().meta({ example: 'Tablet in the kitchen', description: 'Shown in my sessions' }),
  })
  .meta({ id: 'NewSession' })
export type NewSession = z.infer<typeof NewSession>

/** 256 bits in base64url, after a prefix that scanners for leaked secrets can look for. */
const RefreshToken = z.string().regex(/^lrt_[A-Za-z0-9_-]{43}$/, 'is not a refresh token')

export const Refresh = z
  .strictObject({ refreshToken: RefreshToken.meta({ example: `lrt_${'A'.repeat(43)}` }) })
  .meta({ id: 'Refresh' })

export const Tokens = z
  .object({
    accessToken: z.string().meta({ description: 'For `Authorization: Bearer`, ten minutes' }),
    refreshToken: z.string().meta({ description: 'Good once, within 14 days, for `POST /v1/sessions/refresh`' }),
    expiresAt: timestamp.meta({ description: 'When the access token expires' }),
    sessionId: z.uuid(),
    user: z.object({ id: z.uuid(), role: Role }),
  })
  .meta({ id: 'Tokens' })
export type Tokens = z.infer<typeof Tokens>

export const Session = z
  .object({
    id: z.uuid(),
    deviceName: z.string().nullable(),
    createdAt: timestamp,
    lastUsedAt: timestamp.meta({ description: 'When it was opened or last refreshed' }),
    expiresAt: timestamp.meta({ description: 'After this one has to log in again' }),
    isCurrent: z.boolean().meta({ description: 'The one that asks' }),
  })
  .meta({ id: 'Session' })
export type Session = z.infer<typeof Session>

/** At most twenty: more logins end the oldest. */
export const SessionList = z.object({ items: z.array(Session) })
