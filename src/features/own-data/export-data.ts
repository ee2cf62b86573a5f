import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Db } from '../../db/client.ts'
import {
  apiKeys,
  blocks,
  bookRevisions,
  events,
  feeEntries,
  fees,
  holds,
  knownAddresses,
  loans,
  messages,
  pastLoans,
  recoveryCodes,
  secondFactors,
  securityEvents,
  sessions,
  users,
} from '../../db/schema.ts'
import { unsealOptional } from '../../personal-data.ts'
import { blockJson } from '../blocks/queries.ts'
import { feeJson } from '../fees/queries.ts'
import { holdJson } from '../holds/queries.ts'
import { keyJson } from '../keys/queries.ts'
import { loanJson } from '../loans/queries.ts'
import { reveal, userJson } from '../users/queries.ts'
import type { Export } from './schema.ts'

/** The JSON of each row, in an array. */
const every = (json: SQL, rows: SQL, order: SQL) =>
  sql`(select coalesce(json_agg(${json} order by ${order}), '[]') from ${rows})`

/** All that is held about a user, in one statement and so of one moment. Of secrets (hashes of passwords, tokens and
 *  addresses, the secret of the second factor) it says that they are there. */
export async function exportData(db: Db, config: Config, { userId }: { userId: string }): Promise<Export> {
  const mine = sql`where user_id = ${userId}`
  const sealed = await db.one<Export>(sql`
    select json_build_object(
      'exportedAt', now(),
      'account', (
        select (${userJson})::jsonb || jsonb_build_object('updatedAt', u.updated_at)
        from ${users} u where u.id = ${userId}
      ),
      'secondFactor', json_build_object(
        'confirmedAt', (select confirmed_at from ${secondFactors} ${mine}),
        'recoveryCodesLeft', (select count(*)::integer from ${recoveryCodes} ${mine})
      ),
      'sessions', ${every(sessionJson, sql`${sessions} s ${mine}`, sql`s.id`)},
      'keys', ${every(keyJson, sql`${apiKeys} k ${mine}`, sql`k.id`)},
      'knownAddresses', (select count(*)::integer from ${knownAddresses} ${mine}),
      'loans', ${every(loanJson, sql`${loans} l ${mine}`, sql`l.id`)},
      'history', ${every(
        loanJson,
        sql`${pastLoans} p join ${loans} l on l.id = p.loan_id where p.user_id = ${userId}`,
        sql`l.id`,
      )},
      'holds', ${every(holdJson, sql`${holds} h ${mine}`, sql`h.id`)},
      'fees', ${every(feeJson, sql`${fees} f ${mine}`, sql`f.id`)},
      'blocks', ${every(blockJson, sql`${blocks} b ${mine}`, sql`b.id`)},
      'events', ${every(eventJson, sql`${events} e where e.patron_id = ${userId}`, sql`e.id`)},
      'securityEvents', ${every(
        sql`json_build_object('kind', n.kind, 'occurredAt', n.occurred_at, 'sessionId', n.session_id)`,
        sql`${securityEvents} n ${mine}`,
        sql`n.id`,
      )},
      'messages', ${every(
        sql`json_build_object('kind', m.kind, 'createdAt', m.created_at, 'nextAttemptAt', m.next_attempt_at)`,
        sql`${messages} m ${mine}`,
        sql`m.created_at, m.id`,
      )},
      'acts', ${every(actsJson, sql`(${actsOf(userId)}) a`, sql`a.kind`)}
    ) as body`)
  const [account, opened] = await Promise.all([
    reveal(config, sealed.account),
    Promise.all(sealed.sessions.map((session) => revealDevice(config, session))),
  ])
  return { ...sealed, account: { ...sealed.account, ...account }, sessions: opened }
}

const sessionJson = sql`json_build_object(
  'id', s.id,
  'deviceName', s.device_name,
  'createdAt', s.created_at,
  'lastUsedAt', s.last_used_at,
  'expiresAt', s.expires_at,
  'secondFactorAt', s.second_factor_at
)`

const eventJson = sql`json_build_object(
  'occurredAt', e.occurred_at,
  'kind', e.kind,
  'subjectId', e.subject_id,
  'bookId', e.book_id,
  'copyId', e.copy_id,
  'actorRole', e.actor_role,
  'details', e.details
)`

const actsJson = sql`json_build_object('kind', a.kind, 'count', a.count, 'firstAt', a.first_at, 'lastAt', a.last_at)`

const actsOf = (userId: string) => sql`
  select kind, count(*)::integer as count, min(occurred_at) as first_at, max(occurred_at) as last_at
  from ${events} where actor_id = ${userId} group by kind
  union all
  select 'ledger.' || kind, count(*)::integer, min(created_at), max(created_at)
  from ${feeEntries} where actor_id = ${userId} group by kind
  union all
  select 'catalogue.' || kind, count(*)::integer, min(changed_at), max(changed_at)
  from ${bookRevisions} where actor_id = ${userId} group by kind`

async function revealDevice(config: Config, sealed: Export['sessions'][number]) {
  const place = { column: 'sessions.device_name', row: sealed.id } as const
  return { ...sealed, deviceName: await unsealOptional(config, place, sealed.deviceName) }
}
