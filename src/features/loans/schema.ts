import { z } from 'zod'
import { line } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'
import { Format } from '../copies/schema.ts'

export const Loan = z
  .object({
    id: z.uuid(),
    bookId: z.uuid(),
    bookTitle: z.string(),
    copyId: z.uuid(),
    format: Format,
    userId: z.uuid().nullable().meta({ description: 'null once returned: the loan has forgotten who it was' }),
    checkedOutAt: timestamp,
    dueAt: timestamp,
    renewals: z.int(),
    returnedAt: timestamp.nullable().meta({ description: 'When the loan ended' }),
    lostAt: timestamp.nullable().meta({ description: 'Not null when it ended since the copy was declared lost' }),
    claimedReturnedAt: timestamp
      .nullable()
      .meta({ description: 'Since when the patron says that it was returned, although it is not there' }),
    accruedFee: z.int().meta({ description: 'What returning it now would cost, in minor units of the currency' }),
  })
  .meta({ id: 'Loan' })
export type Loan = z.infer<typeof Loan>

/** What a policy lets staff set aside, with a reason that is kept. */
export const Override = z
  .strictObject({ reason: line(500).meta({ example: 'The branch was closed by the flood' }) })
  .optional()
  .meta({
    description: 'For staff: sets aside the blocks and limits that the policy lets them, with a reason that is kept',
  })

/** For oneself by book, or at the desk by barcode. */
export const NewLoan = z
  .strictObject({
    bookId: z.uuid().optional().meta({ description: 'Any copy of this book, for myself' }),
    format: Format.optional().meta({ description: 'Of this format; else a physical copy before a digital one' }),
    barcode: z
      .string()
      .min(2)
      .max(48)
      .regex(/^[\x20-\x7e]+$/)
      .optional()
      .meta({
        description: 'At the desk, for staff: this copy',
      }),
    userId: z.uuid().optional().meta({ description: 'At the desk, for staff: for this patron' }),
    override: Override,
  })
  .superRefine(({ bookId, format, barcode, userId }, context) => {
    const refuse = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message })
    if (bookId === undefined && barcode === undefined) refuse('bookId', 'or a barcode with a userId is needed')
    if (bookId !== undefined && barcode !== undefined) refuse('barcode', 'does not go with bookId')
    if (barcode !== undefined && userId === undefined) refuse('userId', 'is needed with a barcode')
    if (bookId !== undefined && userId !== undefined) refuse('userId', 'goes with a barcode only')
    if (barcode !== undefined && format !== undefined) refuse('format', 'goes with bookId only')
  })
  .meta({ id: 'NewLoan' })
export type NewLoan = z.infer<typeof NewLoan>

export const Renewal = z.strictObject({ override: Override }).meta({ id: 'Renewal' })
export type Renewal = z.infer<typeof Renewal>

export const LoanFilter = z.strictObject({
  state: z.enum(['open', 'returned']).default('open'),
  overdue: z
    .stringbool({ truthy: ['true'], falsy: ['false'] })
    .optional()
    .meta({ description: 'true: past due only' }),
  userId: z.uuid().optional().meta({ description: "Staff only: this patron's" }),
  bookId: z.uuid().optional(),
  ...PageQuery,
})
export type LoanFilter = z.infer<typeof LoanFilter>

export const LoanPage = pageOf(Loan)
