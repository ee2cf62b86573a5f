import { isRenewed, type Scene } from './scene.ts'

/** What there is, compared with the events that say how it came about. One statement, so one snapshot: true at any time,
 *  since an effect and its event are of one transaction. */
const EFFECTS = `
  with of_loans as (
    select
      l.*, (policy_for(l.category, l.format)).renewal_limit,
      count(*) filter (where kind = 'loan.made') as made,
      count(*) filter (where kind = 'loan.renewed') as renewed,
      count(*) filter (where kind in ('loan.returned', 'loan.lost')) as ended,
      count(*) filter (where kind = 'loan.lost') as lost,
      count(*) filter (where kind = 'loan.claimed-returned') - count(*) filter (where kind = 'loan.claim-withdrawn') as claims
    from loans l left join events e on e.subject_id = l.id
    group by l.id
  ),
  of_copies as (
    select
      c.*,
      count(*) filter (where kind = 'copy.used') as used,
      count(*) filter (where kind = 'copy.lost') - count(*) filter (where kind = 'copy.found') as lost,
      count(*) filter (where kind = 'copy.expired') - count(*) filter (where kind = 'copy.reinstated') as expired
    from copies c left join events e on e.subject_id = c.id
    group by c.id
  ),
  open_matters as (select id from holds union all select id from blocks),
  of_matters as (
    select
      id, count(*) filter (where kind in ('hold.placed', 'block.set')) as begun,
      count(*) filter (
        where kind in ('hold.collected', 'hold.cancelled', 'hold.expired', 'block.lifted', 'block.ended')
      ) as ended
    from (select subject_id as id, kind from events union all select id, 'open' from open_matters) as e
    where kind ~ '^(hold|block)[.]' or kind = 'open'
    group by id
  ),
  of_fees as (
    select fee_id as id, 'fee.' || case kind when 'charge' then 'charged' when 'payment' then 'paid' else 'waived' end as kind,
      abs(amount) as amount, 1 as entries, 0 as events
    from fee_entries
    union all
    select subject_id, kind, (details ->> 'amount')::bigint, 0, 1 from events where kind like 'fee.%'
  )
  select 'a loan was not made once' as what, id from of_loans where made <> 1
  union all
  select 'a loan did not end once, as it says', id from of_loans
  where ended <> (returned_at is not null)::integer or lost <> (lost_at is not null)::integer
  union all
  select 'a loan was not renewed as often as it says', id from of_loans where renewed <> renewals
  union all
  select 'a loan was renewed more often than the policy allows', id from of_loans where renewals > renewal_limit
  union all
  select 'a claim is not as its events say', id from of_loans
  where returned_at is null and claims <> (claimed_returned_at is not null)::integer
  union all
  select 'an event of a loan that there is not', e.subject_id from events e
  where kind like 'loan.%' and not exists (select from loans l where l.id = e.subject_id)
  union all
  select 'a hold or a block did not begin once and end once', id from of_matters
  where begun <> 1 or ended <> (id not in (select id from open_matters))::integer
  union all
  select 'a copy is not where its events leave it', id from of_copies
  where used <> in_library_uses or lost <> (state = 'lost')::integer or expired <> (state = 'expired')::integer
  union all
  select 'the ledger is not what its events say', id from of_fees
  group by id, kind, amount
  having sum(entries) <> sum(events)
  union all
  select 'a history is kept of somebody who wants none', u.id from users u
  where not u.keep_history and exists (select from past_loans p where p.user_id = u.id)`

export async function unexplainedState({ database }: Scene): Promise<string[]> {
  const rows = await database.query(EFFECTS)
  return rows.map(({ what, id }) => `${String(what)}: ${String(id)}`)
}

/** A licence lends as often as it says, and no more often. */
export async function overdrawnLicences({ database, copies }: Scene): Promise<string[]> {
  const rows = await database`
    select c.id, c.loans_left + (select count(*) from loans l where l.copy_id = c.id) as granted from copies c`
  return copies
    .filter((copy) => copy.loansLeft !== null && !isRenewed(copy))
    .filter(({ id, loansLeft }) => Number(rows.find((row) => row['id'] === id)?.['granted']) !== loansLeft)
    .map(({ id }) => `licence ${id} has not as many loans left as it should`)
}

/** Transactions that waited for each other, of which PostgreSQL ended one. It counts them late; whoever was ended had 503. */
export async function deadlocks({ database }: Scene): Promise<string[]> {
  const [row] = await database`select deadlocks from pg_stat_database where datname = current_database()`
  return Number(row?.['deadlocks']) === 0 ? [] : [`${String(row?.['deadlocks'])} deadlocks`]
}
