-- After this migration patrons queue for books: a hold waits its turn, and a returned copy goes to the first one.
--
-- Where holds are touched the book's row is locked first (for no key update, which lets loans refer to it): there is one
-- queue a book, and one thing happens to it at a time. Rows are locked in one order: user, book, copy, loan, hold.

alter table policies
  add column hold_limit integer not null default 5,
  add column collect_days integer not null default 7,
  add constraint policies_hold_limit_bounded check (hold_limit between 0 and 1000),
  add constraint policies_collect_days_bounded check (collect_days between 1 and 60);

-- A hold waits while it has no copy; with one it is ready, and the copy waits for the patron until collect_by. One that
-- has been collected, cancelled or has run out is deleted: nobody needs to know who once wanted what.
create table holds (
  id uuid not null default uuidv7(),
  user_id uuid not null,
  book_id uuid not null,
  format text,
  place bigint not null generated always as identity,
  placed_at timestamptz not null default now(),
  copy_id uuid,
  ready_at timestamptz,
  collect_by timestamptz,
  constraint holds_pkey primary key (id),
  constraint holds_user_fkey foreign key (user_id) references users (id),
  constraint holds_book_fkey foreign key (book_id) references books (id),
  constraint holds_copy_fkey foreign key (copy_id) references copies (id),
  constraint holds_format_known check (format in ('physical', 'digital')),
  constraint holds_ready_has_copy_and_time check (
    (copy_id is null) = (ready_at is null) and (copy_id is null) = (collect_by is null)
  )
);
create unique index holds_one_per_user_and_book on holds (user_id, book_id);
create unique index holds_one_per_copy on holds (copy_id);
create index holds_by_queue on holds (book_id, place);
create index holds_by_collection on holds (collect_by) where copy_id is not null;

alter table copies
  drop constraint copies_state_known,
  drop constraint copies_removed_not_on_loan,
  add constraint copies_state_known check (state in ('available', 'on_loan', 'on_hold')),
  add constraint copies_removed_only_when_available check (removed_at is null or state = 'available');

-- The queue -----------------------------------------------------------------------------------------------

-- Takes the queue of a book for the transaction.
create function lock_queue(p_book_id uuid) returns void
language plpgsql as $$
begin
  perform from books where id = p_book_id for no key update;
end
$$;

-- Gives a copy that has become free to the first hold that waits for it, else to the shelf. The caller has the queue.
create function offer_copy(p_copy_id uuid) returns void
language plpgsql as $$
declare
  free copies;
  first_hold holds;
begin
  update copies set state = 'available' where id = p_copy_id returning * into free;
  if not circulates(free) then
    return;
  end if;
  select * into first_hold from holds
  where book_id = free.book_id and copy_id is null and (format is null or format = free.format)
  order by place
  limit 1 for update;
  if not found then
    return;
  end if;
  update copies set state = 'on_hold' where id = p_copy_id;
  update holds
  set copy_id = p_copy_id, ready_at = now(),
    collect_by = now() + (select make_interval(days => collect_days) from policies)
  where id = first_hold.id;
end
$$;

-- Removes a hold and passes on its copy. The caller has the queue.
create function close_hold(p_hold holds) returns void
language plpgsql as $$
begin
  delete from holds where id = p_hold.id;
  perform forget_answers(p_hold.id);
  if p_hold.copy_id is not null then
    perform offer_copy(p_hold.copy_id);
  end if;
end
$$;

-- 1 for the first of those who wait; null for a hold that is ready. Volatile, so that it counts those who came while
-- the statement waited for the queue.
create function hold_position(h holds) returns integer
language plpgsql as $$
begin
  if h.copy_id is not null then
    return null;
  end if;
  return (select 1 + count(*) from holds where book_id = h.book_id and copy_id is null and place < h.place);
end
$$;

-- Verbs ---------------------------------------------------------------------------------------------------

-- The patron's counter is locked, so one patron's checkouts and holds come one after the other, and a count after that
-- lock is a count of the present.
create function place_hold(p_user_id uuid, p_book_id uuid, p_format text) returns holds
language plpgsql as $$
declare
  account users;
  terms policies;
  made holds;
begin
  select * into account from users where id = p_user_id for share;
  if not found then
    perform refuse('user-not-found');
  end if;
  if account.suspended_at is not null then
    perform refuse('patron-suspended');
  end if;
  select * into strict terms from policies;
  perform from loan_counters where user_id = p_user_id for update;
  perform lock_queue(p_book_id);
  if not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse('book-not-found');
  end if;
  if exists (select from holds where user_id = p_user_id and book_id = p_book_id) then
    perform refuse('already-on-hold');
  end if;
  if exists (select from loans where user_id = p_user_id and book_id = p_book_id and returned_at is null) then
    perform refuse('already-on-loan');
  end if;
  if (select count(*) from holds where user_id = p_user_id) >= terms.hold_limit then
    perform refuse('hold-limit-reached');
  end if;
  if exists (
    select from copies c where c.book_id = p_book_id and (p_format is null or c.format = p_format) and can_be_lent(c)
  ) then
    perform refuse('copy-available');
  end if;
  if not exists (
    select from copies c where c.book_id = p_book_id and (p_format is null or c.format = p_format) and circulates(c)
  ) then
    perform refuse('no-copy-in-circulation');
  end if;
  insert into holds (user_id, book_id, format) values (p_user_id, p_book_id, p_format) returning * into made;
  return made;
end
$$;

-- p_owner_id: whose hold it must be; null for anyone's.
create function cancel_hold(p_hold_id uuid, p_owner_id uuid) returns void
language plpgsql as $$
declare
  hold holds;
begin
  select * into hold from holds where id = p_hold_id;
  if not found or p_owner_id <> hold.user_id then
    perform refuse('hold-not-found');
  end if;
  perform lock_queue(hold.book_id);
  select * into hold from holds where id = p_hold_id for update;
  if not found then
    perform refuse('hold-not-found');
  end if;
  perform close_hold(hold);
end
$$;

-- As before, and: who has a hold for the book gets the copy that waits for them, and nobody else does.
create or replace function check_out(p_user_id uuid, p_book_id uuid, p_format text, p_barcode text) returns loans
language plpgsql as $$
declare
  account users;
  terms policies;
  hold holds;
  chosen copies;
  made loans;
begin
  select * into account from users where id = p_user_id for share;
  if not found then
    perform refuse('user-not-found');
  end if;
  if account.suspended_at is not null then
    perform refuse('patron-suspended');
  end if;
  select * into strict terms from policies;

  update loan_counters set open_loans = open_loans + 1
  where user_id = p_user_id and open_loans < terms.loan_limit;
  if not found then
    perform refuse('loan-limit-reached');
  end if;

  if p_barcode is not null then
    select book_id into p_book_id from copies where barcode = p_barcode and removed_at is null;
    if not found then
      perform refuse('copy-not-found');
    end if;
  elsif not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse('book-not-found');
  end if;

  if exists (select from loans where user_id = p_user_id and book_id = p_book_id and returned_at is null) then
    perform refuse('already-on-loan');
  end if;

  -- Only whoever has a hold takes the queue: nobody else's checkout waits for it.
  if exists (select from holds where user_id = p_user_id and book_id = p_book_id) then
    perform lock_queue(p_book_id);
    select * into hold from holds where user_id = p_user_id and book_id = p_book_id for update;
  end if;

  if p_barcode is not null then
    select * into chosen from copies where barcode = p_barcode and removed_at is null for update;
    if chosen.state = 'on_hold' and chosen.id is distinct from hold.copy_id then
      perform refuse('copy-waits-for-another');
    end if;
  elsif hold.copy_id is not null then
    select * into chosen from copies
    where id = hold.copy_id and (p_format is null or format = p_format) for update;
  end if;

  if p_barcode is null and chosen.id is null then
    -- First a copy that nobody is taking; else wait for those who are, who may yet be refused. A licence that
    -- ends soonest, or has the fewest loans left, goes first.
    select * into chosen from copies c
    where c.book_id = p_book_id and (p_format is null or c.format = p_format) and can_be_lent(c)
    order by c.format = 'physical' desc, c.licence_ends_at, c.loans_left, c.id
    limit 1 for update skip locked;
    if not found then
      select * into chosen from copies c
      where c.book_id = p_book_id and (p_format is null or c.format = p_format) and can_be_lent(c)
      order by c.id
      limit 1 for update;
    end if;
    if chosen.id is null then
      perform refuse('no-copy-available');
    end if;
  end if;
  if chosen.id is null or chosen.state = 'on_loan' or not circulates(chosen) then
    perform refuse('copy-not-available');
  end if;

  update copies set state = 'on_loan', loans_left = loans_left - 1 where id = chosen.id;
  if hold.id is not null then
    -- Its copy is on loan now, unless another was lent: then that one is passed on.
    if hold.copy_id = chosen.id then
      hold.copy_id := null;
    end if;
    perform close_hold(hold);
  end if;
  insert into loans (user_id, copy_id, book_id, format, due_at)
  values (
    p_user_id, chosen.id, chosen.book_id, chosen.format,
    least(now() + make_interval(days => terms.loan_days), chosen.licence_ends_at)
  )
  returning * into made;
  return made;
end
$$;

-- As before, and: the copy goes to the first hold in the same statement.
create or replace function check_in(p_loan_id uuid, p_owner_id uuid) returns loans
language plpgsql as $$
declare
  loan loans;
begin
  select * into loan from loans where id = p_loan_id;
  if not found then
    perform refuse('loan-not-found');
  end if;
  if loan.user_id is not null then
    perform from loan_counters where user_id = loan.user_id for update;
    perform lock_queue(loan.book_id);
    perform from copies where id = loan.copy_id for update;
    select * into loan from loans where id = p_loan_id for update;
  end if;
  if loan.returned_at is not null then
    return loan;
  end if;
  if p_owner_id <> loan.user_id then
    perform refuse('loan-not-found');
  end if;
  update loan_counters set open_loans = open_loans - 1 where user_id = loan.user_id;
  perform forget_answers(p_loan_id);
  update loans set returned_at = now(), user_id = null where id = p_loan_id returning * into loan;
  perform offer_copy(loan.copy_id);
  return loan;
end
$$;

-- As before, and: not while somebody waits for it.
create or replace function renew(p_loan_id uuid, p_owner_id uuid) returns loans
language plpgsql as $$
declare
  loan loans;
  terms policies;
  licence_end timestamptz;
  extended timestamptz;
begin
  select * into loan from loans where id = p_loan_id;
  if not found or (p_owner_id is not null and loan.user_id is distinct from p_owner_id) then
    perform refuse('loan-not-found');
  end if;
  perform lock_queue(loan.book_id);
  select * into loan from loans where id = p_loan_id for update;
  if loan.returned_at is not null then
    perform refuse('loan-returned');
  end if;
  if exists (select from users where id = loan.user_id and suspended_at is not null) then
    perform refuse('patron-suspended');
  end if;
  if exists (
    select from holds where book_id = loan.book_id and copy_id is null and (format is null or format = loan.format)
  ) then
    perform refuse('others-are-waiting');
  end if;
  select * into strict terms from policies;
  if loan.renewals >= terms.renewal_limit then
    perform refuse('renewal-limit-reached');
  end if;
  select licence_ends_at into licence_end from copies where id = loan.copy_id;
  extended := least(now() + make_interval(days => terms.loan_days), licence_end);
  if extended <= loan.due_at then
    perform refuse('nothing-to-renew');
  end if;
  update loans set renewals = renewals + 1, due_at = extended where id = p_loan_id returning * into loan;
  return loan;
end
$$;

-- As before, and: a new copy goes to the first hold.
create or replace function add_copy(
  p_book_id uuid, p_format text, p_barcode text, p_call_number text, p_licence_ends_at timestamptz,
  p_loans_left integer
) returns copies
language plpgsql as $$
declare
  made copies;
begin
  perform lock_queue(p_book_id);
  if not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse('book-not-found');
  end if;
  insert into copies (book_id, format, barcode, call_number, licence_ends_at, loans_left)
  values (p_book_id, p_format, p_barcode, p_call_number, p_licence_ends_at, p_loans_left)
  returning * into made;
  perform offer_copy(made.id);
  select * into made from copies where id = made.id;
  return made;
end
$$;

-- As before, and: not while somebody has a hold on it.
create or replace function remove_book(p_book_id uuid, p_versions integer[]) returns void
language plpgsql as $$
declare
  book books;
begin
  select * into book from books where id = p_book_id and removed_at is null for no key update;
  if not found then
    perform refuse('book-not-found');
  end if;
  if book.version <> all (p_versions) then
    perform refuse('precondition-failed');
  end if;
  perform from copies where book_id = p_book_id and removed_at is null order by id for update;
  if exists (select from loans where book_id = p_book_id and returned_at is null) then
    perform refuse('book-on-loan');
  end if;
  if exists (select from holds where book_id = p_book_id) then
    perform refuse('book-on-hold');
  end if;
  update copies set removed_at = now(), version = version + 1 where book_id = p_book_id and removed_at is null;
  update books set removed_at = now(), version = version + 1 where id = p_book_id;
end
$$;

create or replace function remove_copy(p_copy_id uuid, p_versions integer[]) returns void
language plpgsql as $$
declare
  copy copies;
begin
  select * into copy from copies where id = p_copy_id and removed_at is null for update;
  if not found then
    perform refuse('copy-not-found');
  end if;
  if copy.version <> all (p_versions) then
    perform refuse('precondition-failed');
  end if;
  if copy.state = 'on_loan' then
    perform refuse('copy-on-loan');
  elsif copy.state = 'on_hold' then
    perform refuse('copy-on-hold');
  end if;
  update copies set removed_at = now(), version = version + 1 where id = p_copy_id;
end
$$;

-- Time ----------------------------------------------------------------------------------------------------

-- Ends holds that were not collected in time, and offers what lies free although somebody waits for it: a licence that
-- was renewed, say. At most p_limit books; books whose queue is taken are left for the next run.
create function settle_holds(p_limit integer) returns integer
language plpgsql as $$
declare
  queue uuid;
  overdue holds;
  free uuid;
  settled integer := 0;
begin
  for queue in
    select b.id from books b
    where b.id in (select book_id from holds where collect_by <= now())
      or exists (
        select from holds h
        join copies c on c.book_id = h.book_id
        where h.book_id = b.id and h.copy_id is null and (h.format is null or h.format = c.format) and can_be_lent(c)
      )
    order by b.id
    limit p_limit for no key update skip locked
  loop
    for overdue in select * from holds where book_id = queue and collect_by <= now() order by place for update loop
      perform close_hold(overdue);
      settled := settled + 1;
    end loop;
    for free in
      select c.id from copies c
      where c.book_id = queue and can_be_lent(c)
        and exists (
          select from holds h where h.book_id = queue and h.copy_id is null and (h.format is null or h.format = c.format)
        )
      order by c.id for update
    loop
      perform offer_copy(free);
      settled := settled + 1;
    end loop;
  end loop;
  return settled;
end
$$;
