import { sql } from 'drizzle-orm'
import type { Claim, Db } from '../../db/client.ts'
import { copyJson } from '../copies/queries.ts'
import { loanJson } from '../loans/queries.ts'
import type { CheckIn, NewCheckIn } from './schema.ts'

/** Takes in whatever comes over the desk. Names no patron, so that its answer can be kept. Throws 'copy-not-found'. */
export function checkInCopy(db: Db, { barcode }: NewCheckIn, claim: Claim | null): Promise<CheckIn> {
  return db.make(
    sql`
      select json_build_object(
        'copy', (select ${copyJson} from (select (d.copy).*) c),
        'loan', (select ${loanJson} from (select (d.loan).*) l where l.id is not null),
        'next', case when d.hold_id is null then 'shelf' else 'hold' end,
        'holdId', d.hold_id,
        'feeCharged', d.fee_charged,
        'usedInLibrary', d.used_in_library
      ) as body
      from check_in_copy(${barcode}) d`,
    claim,
  )
}
