import { z } from 'zod'
import { Email, NewPassword } from '../users/schema.ts'
import { mailedToken } from './mailed-token.ts'

export const EmailConfirmation = z
  .strictObject({ token: mailedToken('confirm-email') })
  .meta({ id: 'EmailConfirmation' })

export const PasswordResetRequest = z.strictObject({ email: Email }).meta({ id: 'PasswordResetRequest' })

export const PasswordReset = z
  .strictObject({ token: mailedToken('reset-password'), newPassword: NewPassword })
  .meta({ id: 'PasswordReset' })
