import { z } from 'zod'
import { Barcode, Copy } from '../copies/schema.ts'
import { Loan } from '../loans/schema.ts'

export const NewCheckIn = z.strictObject({ barcode: Barcode }).meta({ id: 'NewCheckIn' })
export type NewCheckIn = z.infer<typeof NewCheckIn>

export const CheckIn = z
  .object({
    copy: Copy.meta({ description: 'The copy as it is now' }),
    loan: Loan.nullable().meta({ description: 'The loan that this ended; null: it was not on loan' }),
    next: z
      .enum(['shelf', 'hold'])
      .meta({ description: 'Where the copy goes: to the shelf, or to the holds to collect' }),
    holdId: z.uuid().nullable().meta({ description: 'For whom it waits now' }),
    feeCharged: z.int().meta({ description: 'For being overdue, in minor units of the currency' }),
    usedInLibrary: z.boolean().meta({ description: 'It stood on the shelf, so this counts as a use in the library' }),
  })
  .meta({ id: 'CheckIn' })
export type CheckIn = z.infer<typeof CheckIn>
