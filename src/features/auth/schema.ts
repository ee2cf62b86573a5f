import { z } from 'zod'
import { PASSWORD_LENGTH_MAX, passwordFaultReasons } from '../users/password-faults.ts'
import { Email, Username } from '../users/schema.ts'

/** Longer than any that is accepted, so that one that is too long is told so. */
const CANDIDATE_LENGTH_MAX = 8 * PASSWORD_LENGTH_MAX

export const PasswordCandidate = z
  .strictObject({
    password: z
      .string()
      .min(1)
      .max(CANDIDATE_LENGTH_MAX)
      .refine((value) => value.isWellFormed() && !value.includes('\0'), 'holds broken text')
      .meta({ example: 'seven quiet herons wade' }),
    username: Username.optional(),
    email: Email.optional(),
  })
  .meta({ id: 'PasswordCandidate' })
export type PasswordCandidate = z.infer<typeof PasswordCandidate>

export const PasswordVerdict = z
  .object({
    acceptable: z.boolean(),
    faults: z.array(
      z.object({
        reason: z.enum(passwordFaultReasons).meta({ description: 'What speaks against it, for programs' }),
        detail: z.string().meta({ description: 'The same, for people' }),
      }),
    ),
    advice: z.string().meta({ description: 'What would be accepted' }),
  })
  .meta({ id: 'PasswordVerdict' })
export type PasswordVerdict = z.infer<typeof PasswordVerdict>

export const Guidance = z
  .object({
    topics: z.array(z.object({ id: z.string(), title: z.string(), advice: z.array(z.string()) })),
  })
  .meta({ id: 'Guidance' })
