import type { Copy } from '../../src/features/copies/schema.ts'
import type { Edit } from '../support/commands.ts'
import { aLibraryApart } from '../support/laboratory.ts'
import { people, type Someone } from '../support/people.ts'

export type SceneCopy = Pick<Copy, 'id' | 'bookId' | 'format' | 'barcode' | 'loansLeft'>
export type Scene = Awaited<ReturnType<typeof aScene>>

/** Two days a second: within a run loans fall due and run up fees, holds are not collected, suspensions and blocks end. A
 *  transaction is at one moment, as always. */
const DAYS_A_SECOND = 2

/** Few copies and low limits, so that everybody is in everybody's way. */
const TERMS = [
  `update policies
  set loan_days = 2, loan_limit = 2, renewal_limit = 3, hold_limit = 2, collect_days = 1, fee_per_day = 5, fee_max = 40,
    lost_fee = 300, fee_limit = 700, overdue_limit = null`,
  "insert into categories values ('student')",
  `insert into policies (
    category, format, loan_days, loan_limit, renewal_limit, hold_limit, collect_days, fee_per_day, fee_max, lost_fee,
    fee_limit, overdue_limit
  )
  values (null, 'digital', 1, 1, 5, 1, 1, 0, 0, 0, 900, 2), ('student', null, 3, 3, 2, 3, 2, 10, 50, 200, 600, 3)`,
]

/** Whoever does something keeps its locks for a while, up to 20 ms, so that others meet it. */
const LINGER = [
  `create function linger() returns trigger language plpgsql as $$
  begin
    perform pg_sleep(random() * 0.02);
    return new;
  end $$`,
  'create trigger events_linger before insert on events for each row execute function linger()',
]

/** Staff renew the licence with twelve loans; the others run out. */
const SHELF = [
  "insert into books (title) select 'Book ' || n from generate_series(1, 4) as n",
  `insert into copies (book_id, format, barcode)
  select b.id, 'physical', title || '-' || n
  from (values ('Book 1', 1), ('Book 2', 1), ('Book 3', 2), ('Book 4', 3)) as shelf (title, size)
  join books b using (title)
  cross join generate_series(1, size) as n`,
  `insert into copies (book_id, format, loans_left, licence_ends_at)
  select b.id, 'digital', loans_left, clock() + make_interval(days => days)
  from (values ('Book 2', null, null), ('Book 2', 12, null), ('Book 3', 40, null), ('Book 3', null, 7))
    as shelf (title, loans_left, days)
  join books b using (title)`,
]
export const isRenewed = ({ loansLeft }: { loansLeft: number | null }) => loansLeft === 12

/** A library apart where time runs fast, with four books and this many people, who are logged in. */
export async function aScene({
  patrons,
  staff,
  edits = [],
  statements = [],
}: {
  patrons: number
  staff: number
  edits?: Edit[] | undefined
  statements?: string[] | undefined
}) {
  const start = Date.now()
  const startsAt = `timestamptz '${new Date(start).toISOString()}'`
  const fastClock = `
    create or replace function clock() returns timestamptz language sql stable parallel safe
    return ${startsAt} + (now() - ${startsAt}) * ${DAYS_A_SECOND * 86_400}`
  const library = await aLibraryApart({ edits, statements: [fastClock, ...LINGER, ...TERMS, ...SHELF, ...statements] })
  const copies = await copiesIn(library.database)
  /** By the library's clock. */
  const inDays = (days: number) =>
    new Date(start + (Date.now() - start) * DAYS_A_SECOND * 86_400 + days * 86_400_000).toISOString()
  return {
    ...library,
    inDays,
    patrons: await many(library, 'patron', patrons),
    staff: await many(library, 'staff', staff),
    books: [...new Set(copies.map(({ bookId }) => bookId))],
    copies,
  }
}

type Apart = Awaited<ReturnType<typeof aLibraryApart>>

/** Every third is a student where there are any, every other keeps a history. */
export async function many(library: Apart, role: 'patron' | 'staff', count: number): Promise<Someone[]> {
  const made = await people(
    library,
    Array.from({ length: count }, (_, place) => ({ username: `${role}${place + 1}`, role })),
  )
  await library.database`
    update users u
    set keep_history = r.place % 2 = 0,
      category = case when r.place % 3 = 0 then (select max(name) from categories) else 'general' end
    from unnest(${made.map(({ id }) => id)}::uuid[]) with ordinality as r (id, place)
    where u.id = r.id`
  return made
}

async function copiesIn(database: Apart['database']): Promise<SceneCopy[]> {
  const rows = await database`
    select json_build_object(
      'id', id, 'bookId', book_id, 'format', format, 'barcode', barcode, 'loansLeft', loans_left
    ) as copy
    from copies order by id`
  return rows.map(({ copy }) => copy as SceneCopy)
}
