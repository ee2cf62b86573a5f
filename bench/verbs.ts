import { PgDialect } from 'drizzle-orm/pg-core'
import { tasks } from '../src/scheduled.ts'

/** A verb: the function that does it and the query for whom or what to call it with. */
export type Verb = { name: string; call: string; subjects: string }

/** How many subjects a verb has. Of each verb there are so many calls, on one connection: after five a function's
 *  statements may get a plan for any parameters, and keep it. */
export const CALLS = 8

const readersAndBooks = (state: string) => `
  select r.id, b.id
  from (
    select u.id, row_number() over (order by u.id) as n
    from users u
    join sessions s on s.user_id = u.id and u.username like 'reader%'
  ) as r
  join (
    select b.id, row_number() over (order by b.id) as n
    from books b
    where b.title ~ ', part' and ${state}
  ) as b on b.n = r.n
  where r.n <= ${CALLS}`

const isFree = `exists (select from copies c where c.book_id = b.id and can_be_lent(c))
  and not exists (select from copies c where c.book_id = b.id and c.format = 'digital')`
const isQueued = `exists (select from holds h where h.book_id = b.id and waits(h))
  and not exists (select from copies c where c.book_id = b.id and can_be_lent(c))`

const openLoans = (state: string, columns = 'l.id') => `
  select ${columns}
  from loans l
  join copies c on c.id = l.copy_id
  where l.returned_at is null and ${state}
    and not exists (select from blocks k where k.user_id = l.user_id)
    and not exists (select from loans o where o.user_id = l.user_id and o.returned_at is null and o.due_at < now())
    and not exists (select from fees f where f.user_id = l.user_id)
  order by l.id limit ${CALLS}`
const isPlain = `l.format = 'physical' and l.due_at > now() and l.checked_out_at < now() - interval '1 day'
  and not exists (select from holds h where h.book_id = l.book_id)`
const isAwaited = `l.format = 'physical' and exists (select from holds h where h.book_id = l.book_id)`
const holds = (state: string, columns = 'h.id') =>
  `select ${columns} from holds h where ${state} order by h.id limit ${CALLS}`
const isWaiting = 'h.copy_id is null and h.suspended_until is null'
const copies = (state: string, columns = 'c.id') =>
  `select ${columns} from copies c where c.removed_at is null and ${state} order by c.id limit ${CALLS}`
const readers = (columns: string) =>
  `select ${columns} from users u where u.username like 'reader%' order by u.id limit ${CALLS}`
const once = 'select'

/** What somebody waits for. */
export const verbs: Verb[] = [
  { name: 'checkout', call: 'check_out($1, $2, null, null, null)', subjects: readersAndBooks(isFree) },
  {
    name: 'checkout of a format',
    call: `check_out($1, $2, 'physical', null, null)`,
    subjects: readersAndBooks(isFree),
  },
  {
    name: 'checkout by barcode',
    call: 'check_out($1, null, null, (select min(barcode) from copies where book_id = $2 and removed_at is null), null)',
    subjects: readersAndBooks(
      `${isFree} and not exists (select from loans l where l.book_id = b.id and l.returned_at is null)`,
    ),
  },
  {
    name: 'checkout of a hold that is ready',
    call: 'check_out($1, $2, null, null, null)',
    subjects: holds(
      'h.copy_id is not null and not exists (select from loans l where l.user_id = h.user_id and l.due_at < now() and l.returned_at is null)',
      'h.user_id, h.book_id',
    ),
  },
  { name: 'return', call: 'check_in($1, null)', subjects: openLoans(isPlain) },
  {
    name: 'return of an overdue loan',
    call: 'check_in($1, null)',
    subjects: `select l.id from loans l where l.returned_at is null and l.format = 'physical' and l.due_at < now() order by l.id limit ${CALLS}`,
  },
  { name: 'return to a queue', call: 'check_in($1, null)', subjects: openLoans(isAwaited) },
  { name: 'return by barcode', call: 'check_in_copy($1)', subjects: openLoans(isPlain, 'c.barcode') },
  {
    name: 'return by barcode, not on loan',
    call: 'check_in_copy($1)',
    subjects: copies(`c.state = 'available' and c.format = 'physical'`, 'c.barcode'),
  },
  { name: 'renewal', call: 'renew($1, null, null)', subjects: openLoans(isPlain) },
  { name: 'hold', call: 'place_hold($1, $2, null, null)', subjects: readersAndBooks(isQueued) },
  { name: 'hold: cancelled', call: 'cancel_hold($1, null)', subjects: holds(isWaiting) },
  { name: 'hold: cancelled when ready', call: 'cancel_hold($1, null)', subjects: holds('h.copy_id is not null') },
  { name: 'hold: suspended', call: 'suspend_hold($1, null, current_date + 30)', subjects: holds(isWaiting) },
  {
    name: 'hold: suspended when ready',
    call: 'suspend_hold($1, null, current_date + 30)',
    subjects: holds('h.copy_id is not null'),
  },
  { name: 'hold: resumed', call: 'resume_hold($1, null)', subjects: holds('h.suspended_until > current_date') },
  { name: 'hold: moved', call: `move_hold($1, 1, 'A reason')`, subjects: holds(isWaiting) },
  {
    name: 'hold: position and forecast',
    call: 'hold_position(h), hold_forecast(h) from holds h where h.id = $1',
    subjects: holds(isWaiting),
  },
  { name: 'eligibility', call: 'eligibility($1, $2, null)', subjects: readersAndBooks(isFree) },
  { name: 'eligibility, in a queue', call: 'eligibility($1, $2, null)', subjects: readersAndBooks(isQueued) },
  {
    name: 'eligibility, on loan',
    call: 'eligibility($1, $2, null)',
    subjects: openLoans(isPlain, 'l.user_id, l.book_id'),
  },
  { name: 'what is owed', call: 'amount_owed($1)', subjects: readers('u.id') },
  { name: 'claimed to be returned', call: 'claim_returned($1, true)', subjects: openLoans(isPlain) },
  { name: 'copy lost on loan', call: 'lose_copy($1)', subjects: openLoans(isPlain, 'c.id') },
  { name: 'copy lost and found', call: 'lose_copy($1), find_copy($1)', subjects: openLoans(isPlain, 'c.id') },
  {
    name: 'copy changed',
    call: `change_copy($1, '{1}', '{"callNumber": "A 1"}')`,
    subjects: copies(`c.format = 'physical'`),
  },
  { name: 'copy removed', call: `remove_copy($1, '{1}')`, subjects: copies(`c.state = 'available'`) },
  {
    name: 'book removed',
    call: `remove_book($1, '{1}')`,
    subjects: `select b.id from books b where ${isFree} and not exists (select from loans l where l.book_id = b.id and l.returned_at is null) and b.title ~ ', part' order by b.id limit ${CALLS}`,
  },
  { name: 'fee charged', call: `charge_fee($1, 100, 'A note')`, subjects: readers('u.id') },
  {
    name: 'fee paid',
    call: `reduce_fee($1, 'payment', 300, null)`,
    subjects: `select f.id from fees f where f.balance = 300 order by f.id limit ${CALLS}`,
  },
  { name: 'block', call: `set_block($1, 'A reason', null)`, subjects: readers('u.id') },
  { name: 'block lifted', call: 'lift_block($1)', subjects: `select k.id from blocks k order by k.id limit ${CALLS}` },
  { name: 'history forgotten', call: 'set_history($1, false)', subjects: readers('u.id') },
  { name: 'patron suspended', call: `suspend_user($1, 'A reason')`, subjects: readers('u.id') },
  { name: 'a day is closed', call: `set_calendar_day(current_date + 5, null, null, null)`, subjects: once },
]

const dialect = new PgDialect()

/** What time does, as src/scheduled.ts asks for it. */
export const scheduled: Verb[] = tasks.map(({ event, statement }) => ({
  name: event,
  call: dialect.sqlToQuery(statement).sql.replace(/^\s*select /, ''),
  subjects: once,
}))

/** What a long past could slow: `subjects` are the readers and books that get one. */
export const remembering: Verb[] = [
  { name: 'checkout', call: 'check_out($1, $2, null, null, null)', subjects: readersAndBooks(isFree) },
  {
    name: 'checkout and return',
    call: 'check_in((check_out($1, $2, null, null, null)).id, null)',
    subjects: readersAndBooks(isFree),
  },
  { name: 'eligibility', call: 'eligibility($1, $2, null)', subjects: readersAndBooks(isFree) },
]
