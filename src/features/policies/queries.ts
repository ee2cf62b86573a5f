import { sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Claim, Db } from '../../db/client.ts'
import { categories, policies } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import { isOneOf, type Versions } from '../../versions.ts'
import {
  type Category,
  type CategoryFilter,
  CategoryName,
  type NewPolicy,
  type Policy,
  type PolicyChange,
  type PolicyFilter,
  Terms,
} from './schema.ts'

/** What a row of policies is on the wire. */
const policyJson = sql`json_build_object(
  'id', p.id,
  'category', p.category,
  'format', p.format,
  'loanDays', p.loan_days,
  'renewalLimit', p.renewal_limit,
  'loanLimit', p.loan_limit,
  'holdLimit', p.hold_limit,
  'collectDays', p.collect_days,
  'graceDays', p.grace_days,
  'feePerDay', p.fee_per_day,
  'feeMax', p.fee_max,
  'lostFee', p.lost_fee,
  'feeLimit', p.fee_limit,
  'overdueLimit', p.overdue_limit,
  'dueDates', p.due_dates,
  'overridable', p.overridable,
  'version', p.version
)`

const terms = Terms.keyof().options
const columnOf = (term: keyof Terms) => sql.identifier(policies[term].name)
const valueOf = (term: keyof Terms, given: PolicyChange) => sql.param(given[term], policies[term])

/** Terms that are left out are those of the default policy. Throws 'policy-exists', 'category-not-found'. */
export function createPolicy(db: Db, { category, format, ...given }: NewPolicy, claim: Claim | null): Promise<Policy> {
  const columns = terms.map(columnOf)
  const values = terms.map((term) =>
    given[term] === undefined ? sql`standard.${columnOf(term)}` : valueOf(term, given),
  )
  return db.make(
    sql`
      insert into ${policies} as p (category, format, ${sql.join(columns, sql`, `)})
      select ${category}, ${format}, ${sql.join(values, sql`, `)}
      from ${policies} standard
      where standard.category is null and standard.format is null
      returning ${policyJson} as body`,
    claim,
  )
}

/** Throws 'policy-not-found'. */
export function getPolicy(db: Db, { id }: { id: string }): Promise<Policy> {
  return db.one(sql`
    select coalesce(
      (select ${policyJson} from ${policies} p where p.id = ${id}),
      refuse_json('policy-not-found')
    ) as body`)
}

export function listPolicies(db: Db, { limit, cursor }: PolicyFilter) {
  const after = readCursor(z.uuid(), cursor)
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${policyJson} as body, to_json(p.id) as key
        from ${policies} p
        ${after === null ? sql`` : sql`where p.id > ${after}`}
        order by p.id`,
    }),
  )
}

/** Changes no loan that has been made. Throws 'policy-not-found', 'precondition-failed'. */
export function changePolicy(
  db: Db,
  { id, versions, change }: { id: string; versions: Versions; change: PolicyChange },
): Promise<Policy> {
  const assignments = terms
    .filter((term) => change[term] !== undefined)
    .map((term) => sql`${columnOf(term)} = ${valueOf(term, change)}`)
  return db.one(sql`
    with changed as (
      update ${policies} as p
      set version = version + 1, ${sql.join(assignments, sql`, `)}
      where id = ${id} and ${isOneOf(versions)}
      returning ${policyJson} as body
    )
    select coalesce((select body from changed), ${refusal(id)}) as body`)
}

/** Throws 'policy-not-found', 'precondition-failed', 'default-policy'. */
export async function removePolicy(db: Db, { id, versions }: { id: string; versions: Versions }): Promise<void> {
  await db.row(sql`
    with removed as (
      delete from ${policies}
      where id = ${id} and ${isOneOf(versions)}
      returning id
    )
    select coalesce((select to_json(id) from removed), ${refusal(id)})`)
}

/** Why a policy was neither changed nor removed. */
const refusal = (id: string) => sql`refuse_json(
  case when exists (select from ${policies} where id = ${id}) then 'precondition-failed' else 'policy-not-found' end
)`

export function listCategories(db: Db, { limit, cursor }: CategoryFilter) {
  const after = readCursor(CategoryName, cursor)
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select json_build_object('name', c.name) as body, to_json(c.name) as key
        from ${categories} c
        ${after === null ? sql`` : sql`where c.name > ${after}`}
        order by c.name`,
    }),
  )
}

export function putCategory(db: Db, { name }: Category): Promise<Category> {
  return db.one(sql`
    with made as (
      insert into ${categories} (name) values (${name})
      on conflict do nothing
    )
    select json_build_object('name', ${name}::text) as body`)
}

/** Throws 'category-not-found', 'category-in-use'. */
export async function removeCategory(db: Db, { name }: Category): Promise<void> {
  await db.row(sql`select remove_category(${name})`)
}
