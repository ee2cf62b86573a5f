import { z } from 'zod'
import { changesSomething, line, moment } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'

export const Format = z.enum(['physical', 'digital']).meta({ id: 'Format' })

/** What Code 39, Code 128 and the common 14-digit labels of libraries hold. */
export const Barcode = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9 .$/+%_-]{0,46}[A-Za-z0-9]$/, 'is not 2 to 48 letters, digits and . $ / + % - _')
  .meta({ example: '30112045123456' })

const CallNumber = line(80).nullable().meta({ example: '823.7 AUS', description: 'Where it stands' })

const LicenceEnd = moment.nullable().meta({ description: 'After this it is not lent, and loans do not outlast it' })

/** PostgreSQL's integer. */
const LoansLeft = z.int().min(0).max(2_147_483_647).nullable().meta({ description: 'null: any number' })

export const NewCopy = z
  .discriminatedUnion('format', [
    z.strictObject({ format: z.literal('physical'), barcode: Barcode, callNumber: CallNumber.default(null) }),
    z.strictObject({
      format: z.literal('digital'),
      licenceEndsAt: LicenceEnd.default(null),
      loansLeft: LoansLeft.default(null),
    }),
  ])
  .meta({ id: 'NewCopy' })
export type NewCopy = z.infer<typeof NewCopy>

export const CopyChange = z
  .strictObject({
    barcode: Barcode.optional(),
    callNumber: CallNumber.optional(),
    licenceEndsAt: LicenceEnd.optional(),
    loansLeft: LoansLeft.optional(),
  })
  .refine(...changesSomething)
  .meta({ id: 'CopyChange', description: 'Fields that are left out stay as they are' })
export type CopyChange = z.infer<typeof CopyChange>

export const Copy = z
  .object({
    id: z.uuid(),
    bookId: z.uuid(),
    format: Format,
    barcode: z.string().nullable(),
    callNumber: z.string().nullable(),
    licenceEndsAt: timestamp.nullable(),
    loansLeft: z.int().nullable(),
    state: z
      .enum(['available', 'on_loan', 'on_hold', 'lost', 'expired'])
      .meta({ description: 'on_hold: waits for a patron; expired: a licence that has run out' }),
    inLibraryUses: z.int().meta({ description: 'How often it was checked in without having been on loan' }),
    version: z.int(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .meta({ id: 'Copy' })
export type Copy = z.infer<typeof Copy>

export const CopyPage = pageOf(Copy)

export const CopyFilter = z.strictObject(PageQuery)
export type CopyFilter = z.infer<typeof CopyFilter>
