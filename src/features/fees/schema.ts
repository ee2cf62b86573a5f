import { z } from 'zod'
import { line } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'
import { timestamp } from '../../timestamp.ts'

/** The ledger's limit for one entry: fee_entries_amount_bounded. */
const Amount = z
  .int()
  .min(1)
  .max(100_000_000)
  .meta({ description: 'In minor units of the currency of the library', example: 350 })

const FeeEntry = z
  .object({
    id: z.uuid(),
    kind: z.enum(['charge', 'payment', 'waiver']),
    amount: z.int().meta({ description: 'A charge adds it to the balance, the others take it off' }),
    reason: z.string().nullable(),
    createdAt: timestamp,
  })
  .meta({ id: 'FeeEntry' })

export const Fee = z
  .object({
    id: z.uuid(),
    userId: z.uuid().nullable().meta({ description: 'null once settled: the fee has forgotten whose it was' }),
    kind: z.enum(['overdue', 'lost', 'other']),
    note: z.string().nullable(),
    loanId: z.uuid().nullable().meta({ description: 'What it is for; null once settled' }),
    bookTitle: z.string().nullable().meta({ description: 'The book of that loan' }),
    currency: z.string().meta({ description: 'ISO 4217', example: 'EUR' }),
    balance: z.int().meta({ description: 'What is still owed, in minor units of the currency' }),
    createdAt: timestamp,
    settledAt: timestamp.nullable(),
    entries: z.array(FeeEntry).meta({ description: 'The ledger, the oldest first. Nothing in it ever changes.' }),
  })
  .meta({ id: 'Fee' })
export type Fee = z.infer<typeof Fee>

export const NewFee = z
  .strictObject({
    userId: z.uuid(),
    amount: Amount,
    note: line(500).meta({ example: 'A new library card', description: 'What it is for. Stays when it is settled.' }),
  })
  .meta({ id: 'NewFee' })
export type NewFee = z.infer<typeof NewFee>

export const Payment = z
  .strictObject({
    amount: Amount,
    reference: line(200).optional().meta({
      description: 'Where it is in the books of the till. Stays in the ledger for good, so it should name nobody.',
      example: 'Till 2, receipt 48113',
    }),
  })
  .meta({ id: 'Payment' })

export const Waiver = z
  .strictObject({
    amount: Amount,
    reason: line(500).meta({ description: 'Stays in the ledger for good, so it should name nobody.' }),
  })
  .meta({ id: 'Waiver' })

export const FeeFilter = z.strictObject({
  state: z.enum(['open', 'settled']).default('open'),
  userId: z.uuid().optional().meta({ description: "Staff only: this patron's" }),
  ...PageQuery,
})
export type FeeFilter = z.infer<typeof FeeFilter>

export const FeePage = pageOf(Fee)
