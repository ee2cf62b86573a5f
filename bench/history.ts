import type pg from 'pg'

/** A patron who is logged in. */
export type Reader = { userId: string; sessionId: string }

/** `books` have a copy on the shelf; the first loans of `readers` reach no limit. */
export type History = { readers: Reader[]; books: string[] }

const READERS = 5_000
/** Have a session and no loans yet; the others have all that is open. */
const FREE_READERS = 500
const PAST_LOANS = 50_000
/** Places on the shelf: from here on one copy is out, then both are in, then both are out and a queue waits, and the last
 *  have a copy that somebody may collect. */
const LENT_FROM = 100
const FREE_FROM = 4_100
const QUEUED_FROM = 9_000
const READY_FROM = 9_700
const BOOKS_MIN = 10_000
const LICENCES = 1_000

/**
 * What years of lending leave behind, in a library with at least ten thousand books of two copies: readers, loans that
 * ended and loans that are open, queues, fees, blocks, licences, and an event for each. Some of it is due: loans to end
 * by themselves, licences to expire, holds to wake or to pass on. Written with plain inserts, since the API would take
 * half an hour. A library may have several, each with books of its own.
 */
export async function makeHistory(client: pg.Client, bookIds: string[]): Promise<History> {
  if (bookIds.length < BOOKS_MIN) throw new Error('There are not enough books for a history.')
  await client.query('drop table if exists pg_temp.shelf, pg_temp.readers')
  await client.query('create temporary table shelf (place integer primary key, book_id uuid, copies uuid[])')
  await client.query(
    `insert into shelf
     select b.place - 1, b.id, array(select c.id from copies c where c.book_id = b.id and c.removed_at is null order by c.id)
     from unnest($1::uuid[]) with ordinality as b (id, place)`,
    [bookIds],
  )
  for (const statement of statements) await client.query(statement)
  const { rows: readers } = await client.query<Reader>(
    'select user_id as "userId", session_id as "sessionId" from readers where session_id is not null order by place',
  )
  const { rows: books } = await client.query<{ id: string }>(
    'select book_id as id from shelf where place >= $1 and place < $2 order by place',
    [LENT_FROM, QUEUED_FROM],
  )
  return { readers, books: books.map(({ id }) => id) }
}

/** `count` loans that ended, of each reader and book that the query `pairs` finds, with an event for each. The readers
 *  keep a history. */
export async function addPast(client: pg.Client, pairs: string, count: number): Promise<void> {
  await client.query(
    `with made as (
       insert into loans (copy_id, book_id, format, checked_out_at, due_at, returned_at, category)
       select c.id, p.book_id, 'physical', now() - interval '1 year', now() - interval '340 days', now() - interval '350 days',
         'general'
       from (${pairs}) as p (user_id, book_id)
       cross join lateral (
         select id from copies where book_id = p.book_id and removed_at is null order by id limit 1
       ) as c
       cross join generate_series(1, $1) as n
       returning id, book_id, copy_id
     ),
     kept as (
       insert into past_loans (user_id, loan_id)
       select p.user_id, m.id from made m join (${pairs}) as p (user_id, book_id) on p.book_id = m.book_id
     )
     insert into events (kind, subject_id, book_id, copy_id, actor_role)
     select 'loan.returned', id, book_id, copy_id, 'patron' from made`,
    [count],
  )
  await client.query('analyze')
}

const readers = `
  create temporary table readers as
  with made as (
    insert into users (username, email, password_hash, role, keep_history)
    select 'reader' || n, 'reader' || n || '@example.org', 'x', 'patron', n % 10 = 0
    from (select count(*) from users) as before, generate_series(before.count + 1, before.count + ${READERS}) as n
    returning id
  ),
  counted as (insert into loan_counters (user_id) select id from made),
  numbered as (select id as user_id, row_number() over (order by id) - 1 as place from made),
  opened as (
    insert into sessions (user_id, expires_at)
    select user_id, now() + interval '1 day' from numbered where place < ${FREE_READERS}
    returning id, user_id
  )
  select n.place::integer as place, n.user_id, o.id as session_id
  from numbered n
  left join opened o on o.user_id = n.user_id`

/** Among those without a session, the reader for a number. */
const readerOf = (number: string) => `(${FREE_READERS} + (${number}) % ${READERS - FREE_READERS})`

const pastLoans = `
  with made as (
    insert into loans (copy_id, book_id, format, checked_out_at, due_at, returned_at, category)
    select
      s.copies[1 + n / 7 % 2], s.book_id, 'physical', t.began, t.began + interval '21 days',
      t.began + make_interval(days => 1 + n % 30), 'general'
    from generate_series(1, ${PAST_LOANS}) as n
    join shelf s on s.place = n % 9973
    cross join lateral (select now() - make_interval(days => 40 + n % 700) as began) as t
    returning id, book_id, copy_id, checked_out_at, returned_at
  ),
  told as (
    insert into events (occurred_at, kind, subject_id, book_id, copy_id, actor_role)
    select t.at, t.kind, m.id, m.book_id, m.copy_id, 'patron'
    from made m
    cross join lateral (values (m.checked_out_at, 'loan.made'), (m.returned_at, 'loan.returned')) as t (at, kind)
  ),
  answered as (
    insert into idempotency_keys (key_hash, subject_id)
    select sha256(m.id::text::bytea), m.id from made m where m.returned_at > now() - interval '120 days'
  )
  insert into past_loans (user_id, loan_id)
  select r.user_id, m.id
  from (select id, row_number() over () as n from made) as m
  join readers r on r.place = ${readerOf('m.n')}
  where m.n % 10 = 0`

/** A copy of each book from LENT_FROM, and both of those that are queued for. One in twelve is overdue. */
const openLoans = `
  with made as (
    insert into loans (user_id, copy_id, book_id, format, checked_out_at, due_at, category, fee_per_day, fee_max)
    select
      r.user_id, s.copies[c], s.book_id, 'physical', now() - make_interval(days => 4 + s.place % 17),
      date_trunc('day', now()) + case when s.place % 12 = 0 then interval '-3 days' else make_interval(days => 20 - s.place % 20) end
        + interval '23:59:59',
      'general', 25, 1000
    from shelf s
    cross join generate_series(1, 2) as c
    join readers r on r.place = ${readerOf(`s.place + (c - 1) * 1000`)}
    where (s.place >= ${LENT_FROM} and s.place < ${FREE_FROM} and c = 2)
      or (s.place >= ${QUEUED_FROM} and s.place < ${READY_FROM})
      or (s.place >= ${READY_FROM} and s.place < ${BOOKS_MIN} and c = 1)
    returning id, user_id, book_id, copy_id, checked_out_at
  ),
  told as (
    insert into events (occurred_at, kind, subject_id, book_id, copy_id, patron_id, actor_role)
    select checked_out_at, 'loan.made', id, book_id, copy_id, user_id, 'patron' from made
  ),
  moved as (update copies c set state = 'on_loan' from made m where c.id = m.copy_id)
  update loan_counters k set open_loans = m.loans
  from (select user_id, count(*) as loans from made group by user_id) as m
  where k.user_id = m.user_id`

/** Three for each book that is out, and one that is ready where a copy has come back. */
const holds = `
  with made as (
    insert into holds (user_id, book_id, placed_at, copy_id, ready_at, collect_by, suspended_until)
    select
      r.user_id, s.book_id, now() - interval '10 days', t.copy_id,
      case when t.copy_id is not null then now() - interval '6 days' end,
      case when t.copy_id is not null then now() + make_interval(days => 1 - s.place % 10 / 9 * 2) end,
      case when t.copy_id is null and s.place % 15 = 0 then current_date + (1 - s.place % 2 * 2) end
    from shelf s
    cross join generate_series(1, 3) as n
    join readers r on r.place = ${readerOf('s.place + 500 + n * 70')}
    cross join lateral (select case when s.place >= ${READY_FROM} and n = 1 then s.copies[2] end as copy_id) as t
    where s.place >= ${QUEUED_FROM} and s.place < ${BOOKS_MIN}
    returning id, user_id, book_id, copy_id
  ),
  told as (
    insert into events (kind, subject_id, book_id, copy_id, patron_id, actor_role)
    select 'hold.placed', id, book_id, copy_id, user_id, 'patron' from made
  )
  update copies c set state = 'on_hold' from made m where c.id = m.copy_id`

/** Of books that lie free, half of them on loan; one in ten has come to its end. */
const licences = `
  with made as (
    insert into copies (book_id, format, licence_ends_at, loans_left, state)
    select
      s.book_id, 'digital', now() + make_interval(days => case when s.place % 10 = 1 then -1 else 90 end), 20,
      case when s.place % 2 = 0 then 'on_loan' else 'available' end
    from shelf s
    where s.place >= ${FREE_FROM} and s.place < ${FREE_FROM + LICENCES}
    returning id, book_id, state
  ),
  lent as (
    insert into loans (user_id, copy_id, book_id, format, checked_out_at, due_at, category)
    select
      r.user_id, m.id, m.book_id, 'digital', now() - interval '21 days',
      now() + make_interval(hours => case when m.n % 5 = 0 then -1 else 100 end), 'general'
    from (select *, row_number() over () as n from made where state = 'on_loan') as m
    join readers r on r.place = ${readerOf('m.n * 3')}
    returning user_id
  )
  update loan_counters k set open_loans = open_loans + 1 from lent l where k.user_id = l.user_id`

/** Most are paid; those that are not stay under the limit. */
const fees = `
  with made as (
    insert into fees (user_id, kind, balance, settled_at)
    select r.user_id, case when n % 3 = 0 then 'other' else 'overdue' end, case when n % 4 = 0 then 300 else 0 end,
      case when n % 4 <> 0 then now() end
    from generate_series(1, 4000) as n
    left join readers r on n % 4 = 0 and r.place = ${readerOf('n / 4')}
    returning id, balance
  ),
  entries as (
    insert into fee_entries (fee_id, kind, amount, reason)
    select m.id, t.kind, t.amount, t.reason
    from made m
    cross join lateral (
      values ('charge', 300::bigint, null), ('payment', case when m.balance = 0 then -300::bigint end, null)
    ) as t (kind, amount, reason)
    where t.amount is not null
  )
  insert into events (kind, subject_id, actor_role) select 'fee.charged', id, 'library' from made`

const blocks = `
  with made as (
    insert into blocks (user_id, reason, ends_at)
    select r.user_id, 'A reason', now() + make_interval(days => case when n % 20 = 0 then -1 else 30 end)
    from generate_series(1, 1200) as n
    join readers r on r.place = ${READERS - 1} - n % 400
    returning id, user_id
  )
  insert into events (kind, subject_id, patron_id, actor_role) select 'block.set', id, user_id, 'staff' from made`

const statements = [
  `update policies set fee_per_day = 25, fee_max = 1000, lost_fee = 2000`,
  readers,
  'create unique index on readers (place)',
  'analyze shelf',
  'analyze readers',
  pastLoans,
  openLoans,
  holds,
  licences,
  fees,
  blocks,
]
