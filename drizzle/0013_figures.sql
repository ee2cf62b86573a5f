-- After this migration a library shows what is new, what is borrowed most and what goes with a book, and its staff see
-- figures. None of the counts behind it names a patron, or the loan that was counted. A checkout changes no count: the
-- scheduled task works them out of the events.

-- How far the counts are -------------------------------------------------------------------------------------

-- One row, which whoever counts has locked. The last event that was counted, in the order of transactions; when that was
-- last looked after; and how far the collection is walked, with the number of the walk.
create table figures_progress (
  only_one boolean not null default true,
  transaction_id xid8 not null default '0',
  event_id bigint not null default 0,
  gathered_at timestamptz,
  walk integer not null default 1,
  walked_to uuid,
  walked_at timestamptz,
  constraint figures_progress_pkey primary key (only_one),
  constraint figures_progress_is_one check (only_one)
);
insert into figures_progress default values;

-- The order in which events are counted, and in which GET /v1/events lists them.
create index events_by_transaction on events (transaction_id, id);

-- Counts -----------------------------------------------------------------------------------------------------

-- A book on a day in the library's zone. Digital loans are among the loans.
create table book_days (
  book_id uuid not null,
  day date not null,
  loans integer not null default 0,
  digital_loans integer not null default 0,
  renewals integer not null default 0,
  returns integer not null default 0,
  holds integer not null default 0,
  constraint book_days_pkey primary key (book_id, day),
  constraint book_days_book_fkey foreign key (book_id) references books (id) on delete cascade
);

-- All books together, by the terms that they were lent on. A loan from before categories has none.
create table lending_days (
  day date not null,
  format text not null,
  category text not null,
  loans integer not null default 0,
  renewals integer not null default 0,
  returns integer not null default 0,
  constraint lending_days_pkey primary key (day, format, category)
);

-- The same by subject, folded, as the book had them when it was counted: a year of them is summed up without a look at any
-- book.
create table subject_days (
  day date not null,
  subject text not null,
  loans integer not null default 0,
  renewals integer not null default 0,
  returns integer not null default 0,
  constraint subject_days_pkey primary key (day, subject)
);

-- Loans of the last 7, 30 and 90 days, today among them; they, and the popularity in book_search, are as of a day. No row: none.
create table lately_borrowed (
  book_id uuid not null,
  loans_7 integer not null default 0,
  loans_30 integer not null default 0,
  loans_90 integer not null default 0,
  as_of date not null,
  constraint lately_borrowed_pkey primary key (book_id),
  constraint lately_borrowed_book_fkey foreign key (book_id) references books (id) on delete cascade
);
create index lately_borrowed_by_loans_7 on lately_borrowed (loans_7, book_id) where loans_7 > 0;
create index lately_borrowed_by_loans_30 on lately_borrowed (loans_30, book_id) where loans_30 > 0;
create index lately_borrowed_by_loans_90 on lately_borrowed (loans_90, book_id) where loans_90 > 0;
create index lately_borrowed_by_age on lately_borrowed (as_of, book_id);

-- Counts these books anew, from their days. The caller has the progress.
create function reckon_use(p_books uuid[]) returns void
language plpgsql as $$
declare
  this_day date := today();
begin
  with lately as (
    select d.book_id,
      sum(d.loans) filter (where d.day > this_day - 7) as loans_7,
      sum(d.loans) filter (where d.day > this_day - 30) as loans_30,
      sum(d.loans) as loans_90
    from book_days d
    where d.book_id = any (p_books) and d.day > this_day - 90 and d.loans + d.holds > 0
    group by d.book_id
  )
  insert into lately_borrowed (book_id, loans_7, loans_30, loans_90, as_of)
  select book_id, coalesce(loans_7, 0), coalesce(loans_30, 0), loans_90, this_day from lately
  on conflict (book_id) do update
  set loans_7 = excluded.loans_7, loans_30 = excluded.loans_30, loans_90 = excluded.loans_90, as_of = excluded.as_of;

  -- How popular a book is: the loans and holds of the last 90 days, of which those of 30 days ago count half. It is in the
  -- indexes of searches, so that what is nearly the same is left.
  update book_search s
  set popularity = p.recent
  from (
    select b.book_id, coalesce(sum((d.loans + d.holds) * power(0.5, greatest(0, this_day - d.day) / 30.0)), 0)::real as recent
    from unnest(p_books) as b (book_id)
    left join book_days d on d.book_id = b.book_id and d.day > this_day - 90 and d.loans + d.holds > 0
    group by b.book_id
  ) as p
  where s.book_id = p.book_id and abs(p.recent - s.popularity) > 0.05 * p.recent;

  delete from lately_borrowed l where l.book_id = any (p_books) and l.as_of < this_day;
end
$$;

-- Counts the next events, at most p_limit, and says how many. An event is counted once: the mark moves in the same
-- transaction, and nobody else moves it meanwhile. None is missed: a transaction that may still add events is older than
-- xmin or not below it, and the mark stays before those.
create function gather_figures(p_limit integer) returns integer
language plpgsql as $$
declare
  progress figures_progress;
  counted integer;
  books uuid[];
  last_transaction xid8;
  last_event bigint;
begin
  select * into progress from figures_progress for update skip locked;
  if not found then
    return 0;
  end if;
  with batch as materialized (
    select e.transaction_id, e.id, e.kind, e.subject_id, e.book_id, day_of(e.occurred_at) as day
    from events e
    where (e.transaction_id, e.id) > (progress.transaction_id, progress.event_id)
      and e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    order by e.transaction_id, e.id
    limit p_limit
  ),
  effects as materialized (
    select n.book_id, n.day, l.format, coalesce(l.category, '') as category,
      (n.kind = 'loan.made')::integer as loan,
      (n.kind = 'loan.made' and l.format = 'digital')::integer as digital_loan,
      (n.kind = 'loan.renewed')::integer as renewal,
      (n.kind = 'loan.returned')::integer as return,
      (n.kind = 'hold.placed')::integer as hold
    from batch n
    join books b on b.id = n.book_id
    left join loans l on l.id = n.subject_id
    where n.kind in ('loan.made', 'loan.renewed', 'loan.returned', 'hold.placed')
  ),
  by_book as (
    insert into book_days as d (book_id, day, loans, digital_loans, renewals, returns, holds)
    select book_id, day, sum(loan), sum(digital_loan), sum(renewal), sum(return), sum(hold)
    from effects
    group by book_id, day
    on conflict (book_id, day) do update
    set loans = d.loans + excluded.loans, digital_loans = d.digital_loans + excluded.digital_loans,
      renewals = d.renewals + excluded.renewals, returns = d.returns + excluded.returns, holds = d.holds + excluded.holds
  ),
  by_terms as (
    insert into lending_days as d (day, format, category, loans, renewals, returns)
    select day, format, category, sum(loan), sum(renewal), sum(return)
    from effects
    where format is not null
    group by day, format, category
    on conflict (day, format, category) do update
    set loans = d.loans + excluded.loans, renewals = d.renewals + excluded.renewals, returns = d.returns + excluded.returns
  ),
  by_subject as (
    insert into subject_days as d (day, subject, loans, renewals, returns)
    select e.day, s.subject, sum(e.loan), sum(e.renewal), sum(e.return)
    from effects e
    join books b on b.id = e.book_id
    cross join lateral (select distinct unnest(b.subject_keys) as subject) as s
    where e.loan + e.renewal + e.return > 0
    group by e.day, s.subject
    on conflict (day, subject) do update
    set loans = d.loans + excluded.loans, renewals = d.renewals + excluded.renewals, returns = d.returns + excluded.returns
  )
  select
    (select count(*) from batch),
    array(select distinct e.book_id from effects e where e.loan + e.hold > 0),
    (select b.transaction_id from batch b order by b.transaction_id desc, b.id desc limit 1),
    (select b.id from batch b order by b.transaction_id desc, b.id desc limit 1)
  into counted, books, last_transaction, last_event;

  update figures_progress
  set transaction_id = coalesce(last_transaction, transaction_id), event_id = coalesce(last_event, event_id),
    gathered_at = clock();
  perform reckon_use(books);
  return counted;
end
$$;

-- What was counted on an earlier day counts less today: at most p_limit books, and says how many.
create function age_figures(p_limit integer) returns integer
language plpgsql as $$
declare
  books uuid[];
begin
  perform from figures_progress for update skip locked;
  if not found then
    return 0;
  end if;
  books := array(
    select l.book_id from lately_borrowed l where l.as_of < today() order by l.as_of, l.book_id limit p_limit
  );
  perform reckon_use(books);
  return cardinality(books);
end
$$;

-- Books that are borrowed together ---------------------------------------------------------------------------

-- A checkout adds a row for each other book that the patron has: of no patron, no loan and no hour. Nothing in it is
-- unique, so no checkout waits for another. The scheduled task takes the rows away.
create table pairs_lent (
  book_a uuid not null,
  book_b uuid not null,
  day date not null
);

create function note_pairs() returns trigger
language plpgsql as $$
begin
  -- The latest twenty: what lies long at home does not go with this.
  insert into pairs_lent (book_a, book_b, day)
  select least(new.book_id, o.book_id), greatest(new.book_id, o.book_id), today()
  from (
    select l.book_id from loans l where l.user_id = new.user_id and l.id <> new.id order by l.id desc limit 20
  ) as o
  where o.book_id <> new.book_id;
  return null;
end
$$;

create trigger loans_note_pairs after insert on loans
for each row when (new.user_id is not null)
execute function note_pairs();

-- On how many days the two were borrowed together, each pair in both directions. Days and not loans, so that a patron who
-- brings a book back and takes it again counts once. Shown from three on: a count of one or two could be what one
-- patron reads, told to whoever knows one of the books. A count that stays below that for half a year is forgotten.
create table books_together (
  book_a uuid not null,
  book_b uuid not null,
  count integer not null,
  last_day date not null,
  constraint books_together_pkey primary key (book_a, book_b),
  constraint books_together_book_a_fkey foreign key (book_a) references books (id) on delete cascade,
  constraint books_together_book_b_fkey foreign key (book_b) references books (id) on delete cascade,
  constraint books_together_are_two check (book_a <> book_b),
  constraint books_together_count_positive check (count > 0)
);
create index books_together_by_book_b on books_together (book_b);
create index books_together_unshown on books_together (last_day) where count < 3;

-- Counts the next pairs, at most p_limit, and says how many. Of a book the top fifty are kept, and beside them the latest
-- 150 that are not shown yet.
create function gather_pairs(p_limit integer) returns integer
language plpgsql as $$
declare
  counted integer;
  touched uuid[];
begin
  perform from figures_progress for update skip locked;
  if not found then
    return 0;
  end if;
  with taken as (
    delete from pairs_lent where ctid = any (array(select p.ctid from pairs_lent p limit p_limit)) returning *
  ),
  pairs as (
    select book_a, book_b, day from taken
    union all
    select book_b, book_a, day from taken
  ),
  days as (
    select p.book_a, p.book_b, count(distinct p.day) as days, max(p.day) as last_day
    from pairs p
    join books a on a.id = p.book_a
    join books b on b.id = p.book_b
    left join books_together t on t.book_a = p.book_a and t.book_b = p.book_b
    where t.last_day is null or p.day > t.last_day
    group by p.book_a, p.book_b
  ),
  kept as (
    insert into books_together as t (book_a, book_b, count, last_day)
    select book_a, book_b, days, last_day from days
    on conflict (book_a, book_b) do update set count = t.count + excluded.count, last_day = excluded.last_day
  )
  select (select count(*) from taken), array(select distinct book_a from days) into counted, touched;

  delete from books_together t
  using (
    select r.book_a, r.book_b, r.count, row_number() over (
      partition by r.book_a, r.count >= 3
      order by case when r.count >= 3 then r.count end desc, r.last_day desc, r.book_b
    ) as place
    from books_together r
    where r.book_a = any (touched)
  ) as ranked
  where t.book_a = ranked.book_a and t.book_b = ranked.book_b
    and ranked.place > case when ranked.count >= 3 then 50 else 150 end;

  delete from books_together
  where ctid = any (array(
    select t.ctid from books_together t where t.count < 3 and t.last_day < today() - 180 order by t.last_day limit p_limit
  ));
  return counted;
end
$$;

-- Names as they are compared, of things with a name: contributors, series.
create function name_keys(things jsonb) returns text[]
language sql immutable strict parallel safe
return array(select fold(thing ->> 'name') from jsonb_array_elements(things) as thing);

create index books_by_contributor on books using gin (name_keys(contributors)) where removed_at is null;
create index books_by_series on books using gin (name_keys(series)) where removed_at is null;

-- The number of a book in a series, where it begins with one.
create function series_place(series jsonb, name text) returns numeric
language sql immutable strict parallel safe
return (
  select min(substring(thing ->> 'number' from '^\s*([0-9]{1,9}([.][0-9]{1,4})?)')::numeric)
  from jsonb_array_elements(series) as thing
  where fold(thing ->> 'name') = name
);

-- Books that go with a book, the best reason first: the rest of its series, the next one first; what others borrowed
-- with it; its contributors; its subjects, where those that share more and those borrowed more come first. Each step
-- looks at so many books at most, however many there are.
create function related_books(p_book_id uuid, p_limit integer) returns table (book_id uuid, reason text)
language plpgsql stable as $$
declare
  book books;
  own text[];
  found_ids uuid[] := array[p_book_id];
  more uuid[];
begin
  select * into book from books b where b.id = p_book_id and b.removed_at is null;
  if not found then
    perform refuse('book-not-found');
  end if;

  own := name_keys(book.series);
  if own <> '{}' then
    more := array(
      select s.id
      from (
        select b.id, series_place(b.series, own[1]) as place, fold(b.title) as title_key
        from books b
        where name_keys(b.series) && own and b.removed_at is null
        limit 500
      ) as s
      where s.id <> all (found_ids)
      order by s.place < series_place(book.series, own[1]), s.place, s.title_key, s.id
      limit p_limit
    );
    return query select m, 'same-series' from unnest(more) with ordinality as t (m, n) order by n;
    found_ids := found_ids || more;
  end if;

  more := array(
    select b.id
    from books_together t
    join books b on b.id = t.book_b and b.removed_at is null
    where t.book_a = p_book_id and t.count >= 3 and t.book_b <> all (found_ids)
    order by t.count desc, t.last_day desc, b.id
    limit p_limit
  );
  return query select m, 'also-borrowed' from unnest(more) with ordinality as t (m, n) order by n;
  found_ids := found_ids || more;

  own := (name_keys(book.contributors))[1:5];
  if cardinality(found_ids) <= p_limit and own <> '{}' then
    more := array(
      select c.id
      from (
        select b.id from books b where name_keys(b.contributors) && own and b.removed_at is null limit 500
      ) as c
      join book_search p on p.book_id = c.id
      where c.id <> all (found_ids)
      order by p.popularity desc, c.id desc
      limit p_limit
    );
    return query select m, 'same-contributor' from unnest(more) with ordinality as t (m, n) order by n;
    found_ids := found_ids || more;
  end if;

  if cardinality(found_ids) <= p_limit then
    more := array(
      select s.id
      from (
        select shared.id, count(*) as subjects
        from unnest(book.subject_keys[1:5]) as subject
        cross join lateral (
          select b.id from books b where b.subject_keys @> array[subject] and b.removed_at is null limit 200
        ) as shared
        group by shared.id
      ) as s
      join book_search p on p.book_id = s.id
      where s.id <> all (found_ids)
      order by s.subjects desc, p.popularity desc, s.id desc
      limit p_limit
    );
    return query select m, 'same-subject' from unnest(more) with ordinality as t (m, n) order by n;
  end if;
end
$$;

-- The collection ---------------------------------------------------------------------------------------------

-- What there is of a subject or a format, and how it is used: books and copies in circulation, loans of the last year,
-- and books that nobody has borrowed for so many days, and that have been there as long. The walk that is over is shown;
-- the next one is written beside it.
create table collection_counts (
  walk integer not null,
  kind text not null,
  name text not null,
  books integer not null default 0,
  copies integer not null default 0,
  loans integer not null default 0,
  idle_90 integer not null default 0,
  idle_365 integer not null default 0,
  idle_1095 integer not null default 0,
  constraint collection_counts_pkey primary key (walk, kind, name),
  constraint collection_counts_kind_known check (kind in ('subject', 'format'))
);

-- Walks on through the catalogue, at most p_limit books, and says how many are to follow for certain. A walk begins six
-- hours after the last one ended.
create function walk_collection(p_limit integer) returns integer
language plpgsql as $$
declare
  progress figures_progress;
  this_day date := today();
  walked integer;
  last_book uuid;
begin
  select * into progress from figures_progress for update skip locked;
  if not found then
    return 0;
  end if;
  -- What an earlier walk counted is shown no more.
  delete from collection_counts
  where ctid = any (array(select c.ctid from collection_counts c where c.walk < progress.walk - 1 limit 10 * p_limit));
  if progress.walked_to is null and progress.walked_at > clock() - interval '6 hours' then
    return 0;
  end if;
  with batch as materialized (
    select b.id, b.subject_keys, b.created_at
    from books b
    where b.removed_at is null and b.id > coalesce(progress.walked_to, '00000000-0000-0000-0000-000000000000')
    order by b.id
    limit p_limit
  ),
  held as materialized (
    select b.id, c.format, count(*) as copies
    from batch b
    join copies c on c.book_id = b.id and c.removed_at is null and circulates(c)
    group by b.id, c.format
  ),
  used as (
    select h.id, h.format, h.copies, coalesce(u.loans, 0) as loans, coalesce(this_day - u.last_day, 2147483647) as idle
    from held h
    left join lateral (
      select sum(d.loans) filter (where d.day > this_day - 365) as loans, max(d.day) as last_day
      from (
        select e.day, case h.format when 'digital' then e.digital_loans else e.loans - e.digital_loans end as loans
        from book_days e
        where e.book_id = h.id and e.day > this_day - 1095
      ) as d
      where d.loans > 0
    ) as u on true
  ),
  parts as (
    select 'format' as kind, u.format as name, u.copies, u.loans, u.idle, b.created_at
    from used u
    join batch b on b.id = u.id
    union all
    select 'subject', s.subject, o.copies, o.loans, o.idle, b.created_at
    from (
      select id, sum(copies) as copies, sum(loans) as loans, min(idle) as idle from used group by id
    ) as o
    join batch b on b.id = o.id
    cross join lateral (select distinct unnest(b.subject_keys) as subject) as s
  ),
  counted as (
    insert into collection_counts as t (walk, kind, name, books, copies, loans, idle_90, idle_365, idle_1095)
    select progress.walk, kind, name, count(*), sum(copies), sum(loans),
      count(*) filter (where idle >= 90 and created_at < clock() - interval '90 days'),
      count(*) filter (where idle >= 365 and created_at < clock() - interval '365 days'),
      count(*) filter (where idle >= 1095 and created_at < clock() - interval '1095 days')
    from parts
    group by kind, name
    on conflict (walk, kind, name) do update
    set books = t.books + excluded.books, copies = t.copies + excluded.copies, loans = t.loans + excluded.loans,
      idle_90 = t.idle_90 + excluded.idle_90, idle_365 = t.idle_365 + excluded.idle_365,
      idle_1095 = t.idle_1095 + excluded.idle_1095
  )
  select count(*), (select b.id from batch b order by b.id desc limit 1) into walked, last_book from batch;

  if walked < p_limit then
    update figures_progress set walk = walk + 1, walked_to = null, walked_at = clock();
    return 0;
  end if;
  update figures_progress set walked_to = last_book;
  return walked;
end
$$;

-- What of this the Worker may (0004_worker_role.sql). It reads the progress to say how old figures are.
grant select, update (transaction_id, event_id, gathered_at, walk, walked_to, walked_at) on figures_progress to lectern_worker;
grant select, insert, update (loans, digital_loans, renewals, returns, holds) on book_days to lectern_worker;
grant select, insert, update (loans, renewals, returns) on lending_days to lectern_worker;
grant select, insert, update (loans, renewals, returns) on subject_days to lectern_worker;
grant select, insert, delete, update (loans_7, loans_30, loans_90, as_of) on lately_borrowed to lectern_worker;
grant select, insert, delete on pairs_lent to lectern_worker;
grant select, insert, delete, update (count, last_day) on books_together to lectern_worker;
grant select, insert, delete, update (books, copies, loans, idle_90, idle_365, idle_1095)
on collection_counts to lectern_worker;
revoke execute on function
  reckon_use, gather_figures, age_figures, note_pairs, gather_pairs, name_keys, series_place, related_books,
  walk_collection
from public;
grant execute on function
  reckon_use, gather_figures, age_figures, gather_pairs, name_keys, series_place, related_books, walk_collection
to lectern_worker;
