import { z } from 'zod'
import { changesSomething, line, lines, moment } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'
import { CategoryName } from '../policies/schema.ts'
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, passwordFaults } from './password-faults.ts'

/** Names under which somebody could pass for the library (after RFC 2142). */
const RESERVED = new Set(
  'abuse admin administrator help hostmaster info library lectern moderator noreply no-reply postmaster root security staff support system webmaster'.split(
    ' ',
  ),
)

/** 3 to 32 letters, digits, dots, hyphens and underscores of ASCII: no two names look alike, and none needs escaping. */
export const Username = z
  .string()
  .max(32)
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9]|[._-](?=[A-Za-z0-9])){2,31}$/,
    'is not 3 to 32 letters and digits, with single dots, hyphens or underscores between them',
  )
  .refine((value) => !RESERVED.has(value.toLowerCase()), 'is kept for the library itself')
  .meta({
    example: 'ada.lovelace',
    description: 'Names that look alike count as one: case, 0 and o, 1 and l and i, rn and m, vv and w, separators',
  })

/** RFC 5321 allows 254 characters in a path. */
export const Email = z
  .string()
  .max(254)
  .regex(
    /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$/,
    'is not an email address',
  )
  .meta({ example: 'ada@example.org', description: 'Without regard to case' })

const Name = line(200).meta({ example: 'Ada Lovelace', description: 'How the library addresses them' })

/** E.164 allows 15 digits; people write them with spaces, brackets and dashes, and an extension. */
const Phone = line(32)
  .refine((value) => /^\+?[0-9(][0-9 ()./x-]{3,30}$/.test(value), 'is not a telephone number')
  .meta({ example: '+44 20 7946 0018' })

const Address = lines(500).meta({ example: '12 St James Square\nLondon' })

/** What else speaks against one is found when all of the account is known: password-faults.ts. */
export const NewPassword = z
  .string()
  .min(PASSWORD_LENGTH_MIN, passwordFaults['too-short'])
  .max(PASSWORD_LENGTH_MAX, passwordFaults['too-long'])
  .refine((value) => value.isWellFormed() && !value.includes('\0'), 'holds broken text')
  .meta({
    description: `${PASSWORD_LENGTH_MIN} or more characters; no rules of composition`,
    example: 'seven quiet herons wade',
  })

/** A password to compare: whatever it was, bounded. */
export const Password = z
  .string()
  .min(1)
  .max(PASSWORD_LENGTH_MAX)
  .refine((value) => value.isWellFormed(), 'holds broken text')
  .meta({ example: 'seven quiet herons wade' })

export const Role = z.enum(['staff', 'patron']).meta({ id: 'Role' })

export const User = z
  .object({
    id: z.uuid(),
    username: z.string(),
    email: z.string().nullable().meta({ description: 'Confirmed; null until one is' }),
    pendingEmail: z.string().nullable().meta({ description: 'Waits to be confirmed' }),
    name: z.string().nullable(),
    phone: z.string().nullable(),
    address: z.string().nullable(),
    role: Role,
    category: z.string().meta({ description: 'Decides which policies are theirs' }),
    expiresAt: timestamp.nullable().meta({ description: 'After this they cannot borrow; null: never' }),
    openLoans: z.int().meta({ description: 'Loans not yet returned' }),
    owed: z.int().meta({ description: 'Fees charged and accrued, in minor units of the currency' }),
    keepHistory: z.boolean().meta({ description: 'Whether the loans they return stay in their history' }),
    suspension: z.object({ since: timestamp, reason: z.string() }).nullable(),
    createdAt: timestamp,
  })
  .meta({ id: 'User' })
export type User = z.infer<typeof User>

export const NewUser = z
  .strictObject({ username: Username, email: Email, password: NewPassword })
  .meta({ id: 'NewUser' })
export type NewUser = z.infer<typeof NewUser>

/** null removes it. */
const personal = {
  name: Name.nullable().optional(),
  phone: Phone.nullable().optional(),
  address: Address.nullable().optional(),
}

export const OwnChange = z
  .strictObject({
    username: Username.optional(),
    ...personal,
    keepHistory: z
      .boolean()
      .optional()
      .meta({ description: 'Keep my loans when I return them. false, as it is at first, forgets them at once.' }),
  })
  .refine(...changesSomething)
  .meta({ id: 'OwnChange' })
export type OwnChange = z.infer<typeof OwnChange>

export const EmailChange = z.strictObject({ email: Email }).meta({ id: 'EmailChange' })

export const PasswordChange = z
  .strictObject({ currentPassword: Password, newPassword: NewPassword })
  .meta({ id: 'PasswordChange' })

export const UserChange = z
  .strictObject({
    role: Role.optional(),
    category: CategoryName.optional(),
    ...personal,
    expiresAt: moment.nullable().optional().meta({ description: 'null: the account does not expire' }),
  })
  .refine(...changesSomething)
  .meta({ id: 'UserChange' })
export type UserChange = z.infer<typeof UserChange>

export const Suspension = z
  .strictObject({ reason: line(500).meta({ example: 'Three letters about overdue books came back' }) })
  .meta({ id: 'Suspension' })

export const UserFilter = z.strictObject({
  q: line(254).optional().meta({ description: 'The beginning of a username, or a whole email address' }),
  role: Role.optional(),
  suspended: z.stringbool({ truthy: ['true'], falsy: ['false'] }).optional(),
  ...PageQuery,
})
export type UserFilter = z.infer<typeof UserFilter>

export const UserPage = pageOf(User)
