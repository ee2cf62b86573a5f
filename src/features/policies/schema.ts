import { z } from 'zod'
import { changesSomething } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { Format } from '../copies/schema.ts'
import { Day } from '../library/schema.ts'

export const CategoryName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'is not 1 to 40 small letters, digits and hyphens')
  .meta({ example: 'student', description: 'A category of patron' })

const distinct = [(values: string[]) => new Set(values).size === values.length, 'names one twice'] as const

const amount = (max: number) => z.int().min(0).max(max)

const DueDates = z
  .array(Day)
  .max(20)
  .refine(...distinct)
  .transform((days) => days.toSorted())
  .pipe(z.array(z.iso.date()).max(20))
  .meta({
    uniqueItems: true,
    example: ['2027-02-12', '2027-07-16'],
    description: 'Loans end on the next of these days at the latest: the ends of terms. In any order; answered sorted',
  })

const Overridable = z
  .array(
    z.enum([
      'account-expired',
      'patron-blocked',
      'fee-limit-reached',
      'overdue-limit-reached',
      'loan-limit-reached',
      'hold-limit-reached',
      'renewal-limit-reached',
    ]),
  )
  .max(7)
  .refine(...distinct)
  .meta({ uniqueItems: true, description: 'The problems that staff may set aside, with a reason' })

/** Each within the constraint of its column. */
export const Terms = z.object({
  loanDays: z.int().min(1).max(366).meta({ description: 'A loan falls due at the end of the last of these days' }),
  renewalLimit: z.int().min(0).max(100).meta({ description: 'Renewals of one loan' }),
  loanLimit: z.int().min(0).max(1000).meta({ description: 'Open loans of one patron under this policy' }),
  holdLimit: z.int().min(0).max(1000).meta({ description: 'Holds of one patron under this policy' }),
  collectDays: z.int().min(1).max(60).meta({ description: 'Days for which a copy waits to be collected' }),
  graceDays: z.int().min(0).max(60).meta({ description: 'Open days late that cost nothing; one more, and all count' }),
  feePerDay: amount(1_000_000).meta({ description: 'For each open day late, in minor units of the currency' }),
  feeMax: amount(100_000_000).meta({ description: 'What one late loan costs at most, in minor units' }),
  lostFee: amount(100_000_000).meta({ description: 'What a lost copy costs, in minor units' }),
  feeLimit: z
    .int()
    .min(1)
    .max(100_000_000)
    .nullable()
    .meta({ description: 'Who owes this much, in minor units, borrows nothing; null: no limit' }),
  overdueLimit: z
    .int()
    .min(1)
    .max(1000)
    .nullable()
    .meta({ description: 'Who has this many loans overdue borrows nothing; null: no limit' }),
  dueDates: DueDates,
  overridable: Overridable,
})
export type Terms = z.infer<typeof Terms>

const Scope = z.object({
  category: CategoryName.nullable().meta({ description: 'For this category of patron; null: for every one' }),
  format: Format.nullable().meta({ description: 'For this format of copy; null: for both' }),
})

export const Policy = z
  .object({ id: z.uuid(), ...Scope.shape, ...Terms.shape, version: z.int() })
  .meta({ id: 'Policy', description: 'The terms of lending. The most specific policy counts; category before format' })
export type Policy = z.infer<typeof Policy>

export const NewPolicy = z
  .strictObject({
    category: Scope.shape.category.default(null),
    format: Scope.shape.format.default(null),
    ...Terms.partial().shape,
  })
  .meta({
    id: 'NewPolicy',
    description: 'Terms that are left out are copied from the default policy, which has neither category nor format',
  })
export type NewPolicy = z.infer<typeof NewPolicy>

export const PolicyChange = z
  .strictObject(Terms.partial().shape)
  .refine(...changesSomething)
  .meta({ id: 'PolicyChange', description: 'Fields that are left out stay as they are; category and format do anyway' })
export type PolicyChange = z.infer<typeof PolicyChange>

export const PolicyPage = pageOf(Policy)

export const PolicyFilter = z.strictObject(PageQuery)
export type PolicyFilter = z.infer<typeof PolicyFilter>

export const Category = z.object({ name: CategoryName }).meta({ id: 'Category' })
export type Category = z.infer<typeof Category>

export const CategoryParam = z.strictObject({ name: CategoryName })

export const CategoryPage = pageOf(Category)

export const CategoryFilter = z.strictObject(PageQuery)
export type CategoryFilter = z.infer<typeof CategoryFilter>
