import { z } from 'zod'
import { timestamp } from '../../timestamp.ts'

export const Code = z
  .string()
  .max(40)
  .regex(/^[A-Za-z0-9 -]{6,40}$/, 'is neither six digits nor a recovery code')
  .meta({ example: '123456', description: 'Six digits from the app, or a recovery code' })

export const AppCode = z
  .strictObject({
    code: z
      .string()
      .regex(/^[0-9]{6}$/, 'is not six digits')
      .meta({ example: '123456' }),
  })
  .meta({ id: 'AppCode' })

export const NewSecondFactor = z
  .object({
    secret: z.string().meta({ description: 'In base32, to type into the app' }),
    uri: z.string().meta({ description: 'otpauth: URI, to show as a QR code' }),
  })
  .meta({ id: 'NewSecondFactor' })

export const SecondFactor = z
  .object({
    confirmedAt: timestamp.nullable().meta({ description: 'null: there is none' }),
    recoveryCodesLeft: z.int(),
  })
  .meta({ id: 'SecondFactor' })
export type SecondFactor = z.infer<typeof SecondFactor>

export const RecoveryCodes = z
  .object({ recoveryCodes: z.array(z.string()).meta({ description: 'Each good once. They are shown this once.' }) })
  .meta({ id: 'RecoveryCodes' })
