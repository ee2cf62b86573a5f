-- After this migration a library lends by its own terms: policies by category of patron and format of copy, a calendar
-- in its own time zone, blocks, fees in a ledger, holds that can be suspended and moved, desk work by barcode, a history
-- for those who want one, and a log of every event. docs/circulation.md tells the rules to a librarian.
--
-- Rows are locked in one order: user, book (its queue), copy, loan, hold, fee.

-- Time ----------------------------------------------------------------------------------------------------

-- What time it is for lending. The tests replace it to let time pass; nothing else does.
create function clock() returns timestamptz
language sql stable parallel safe
return now();

-- The settings of the library, one row.
create table library (
  only_one boolean not null default true,
  time_zone text not null default 'UTC',
  currency text not null default 'EUR',
  constraint library_pkey primary key (only_one),
  constraint library_is_one check (only_one),
  constraint library_time_zone_bounded check (length(time_zone) between 1 and 64),
  constraint library_currency_is_a_code check (currency ~ '^[A-Z]{3}$')
);
insert into library default values;

-- When the library is open in a usual week; weekday 1 is Monday (ISO 8601). No hours: closed.
create table opening_hours (
  weekday smallint not null,
  opens time,
  closes time,
  constraint opening_hours_pkey primary key (weekday),
  constraint opening_hours_weekday_known check (weekday between 1 and 7),
  constraint opening_hours_both_or_neither check ((opens is null) = (closes is null)),
  constraint opening_hours_in_order check (opens < closes)
);
insert into opening_hours select d, '00:00', '24:00' from generate_series(1, 7) as d;

-- Days that differ from the usual week.
create table calendar_days (
  day date not null,
  opens time,
  closes time,
  note text,
  constraint calendar_days_pkey primary key (day),
  constraint calendar_days_both_or_neither check ((opens is null) = (closes is null)),
  constraint calendar_days_in_order check (opens < closes),
  constraint calendar_days_note_bounded check (length(note) <= 200)
);

create function time_zone() returns text
language sql stable
return (select l.time_zone from library l);

create function day_of(moment timestamptz) returns date
language sql stable
return (moment at time zone time_zone())::date;

create function today() returns date
language sql stable
return day_of(clock());

-- The last second of a day in the library's zone.
create function end_of_day(p_day date) returns timestamptz
language sql stable
return ((p_day + 1)::timestamp - interval '1 second') at time zone time_zone();

-- When the library closes on a day; null: it does not open.
create function closing_time(p_day date) returns time
language sql stable
return case
  when exists (select from calendar_days c where c.day = p_day) then
    (select c.closes from calendar_days c where c.day = p_day)
  else (select h.closes from opening_hours h where h.weekday = extract(isodow from p_day))
end;

-- The first open day from this one on. A library that is closed for more than a year has no calendar: the day itself.
create function open_day_from(p_day date) returns date
language plpgsql stable as $$
begin
  for ahead in 0..366 loop
    if closing_time(p_day + ahead) is not null then
      return p_day + ahead;
    end if;
  end loop;
  return p_day;
end
$$;

-- Open days after p_from up to and with p_to.
create function open_days_between(p_from date, p_to date) returns integer
language sql stable
return (
  select count(*)::integer
  from generate_series(1, least(p_to - p_from, 3660)) as n
  where closing_time(p_from + n) is not null
);

-- Due dates are made while nobody changes the calendar: verbs share this lock, and take it before any row; a change
-- takes it alone.
create function hold_calendar() returns void
language sql
begin atomic
  select pg_advisory_xact_lock_shared(7236142001);
end;

create function take_calendar() returns void
language sql
begin atomic
  select pg_advisory_xact_lock(7236142001);
end;

-- Events --------------------------------------------------------------------------------------------------

-- What happened in circulation, one row an effect, written with it. An event names the patron while its matter (a loan,
-- a hold, a fee, a block) is open; what ends the matter takes the name off all of them. The actor's id is kept for staff
-- only. transaction_id lets a reader wait for those who began before and have not committed yet.
create table events (
  id bigint not null generated always as identity,
  transaction_id xid8 not null default pg_current_xact_id(),
  occurred_at timestamptz not null default clock(),
  kind text not null,
  subject_id uuid not null,
  book_id uuid,
  copy_id uuid,
  patron_id uuid,
  actor_role text not null,
  actor_id uuid,
  details jsonb,
  constraint events_pkey primary key (id),
  constraint events_kind_bounded check (kind ~ '^[a-z]+[.][a-z-]{1,40}$'),
  constraint events_actor_known check (actor_role in ('staff', 'patron', 'library')),
  constraint events_actor_id_is_of_staff check (actor_id is null or actor_role = 'staff')
);
create index events_by_subject on events (subject_id);
create index events_by_patron on events (patron_id, id) where patron_id is not null;

-- As before, and: says to the rest of the transaction who acts.
create or replace function require_actor(p_session_id uuid, p_user_id uuid, p_role text) returns void
language plpgsql as $$
declare
  found_user record;
begin
  select u.role, u.suspended_at into found_user
  from sessions s
  join users u on u.id = s.user_id
  where s.id = p_session_id and s.user_id = p_user_id and s.expires_at > now();
  if not found then
    perform refuse('session-ended');
  end if;
  if found_user.suspended_at is not null then
    perform refuse('account-suspended');
  end if;
  if found_user.role <> p_role then
    perform refuse('access-token-outdated');
  end if;
  perform set_config('lectern.actor', p_role || ' ' || p_user_id, true);
end
$$;

-- The member of staff on whose behalf the transaction runs; null: a patron, or the library itself.
create function acting_staff() returns uuid
language sql stable
return case
  when starts_with(current_setting('lectern.actor', true), 'staff ') then
    substr(current_setting('lectern.actor', true), 7)::uuid
end;

create function record_event(
  p_kind text, p_subject_id uuid, p_book_id uuid, p_copy_id uuid, p_patron_id uuid, p_details jsonb
) returns void
language sql
begin atomic
  insert into events (kind, subject_id, book_id, copy_id, patron_id, actor_role, actor_id, details)
  values (
    p_kind, p_subject_id, p_book_id, p_copy_id, p_patron_id,
    coalesce(nullif(split_part(current_setting('lectern.actor', true), ' ', 1), ''), 'library'),
    acting_staff(), p_details
  );
end;

-- Takes the patron off everything that was kept about a matter that is over: its events, and the answers about it.
create function forget_patron_of(p_subject_id uuid) returns void
language sql
begin atomic
  update events set patron_id = null where subject_id = p_subject_id and patron_id is not null;
  select forget_answers(p_subject_id);
end;

-- Patrons -------------------------------------------------------------------------------------------------

create table categories (
  name text not null,
  constraint categories_pkey primary key (name),
  constraint categories_name_is_plain check (name ~ '^[a-z0-9][a-z0-9-]{0,39}$')
);
insert into categories (name) values ('general');

alter table users
  add column category text not null default 'general',
  add column expires_at timestamptz,
  add column keep_history boolean not null default false,
  add constraint users_category_fkey foreign key (category) references categories (name);
create index users_by_category on users (category);

-- A reason, given by staff, for which a patron may not borrow; until ends_at, or until it is lifted.
create table blocks (
  id uuid not null default uuidv7(),
  user_id uuid not null,
  reason text not null,
  created_at timestamptz not null default clock(),
  ends_at timestamptz,
  constraint blocks_pkey primary key (id),
  constraint blocks_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint blocks_reason_bounded check (length(reason) between 1 and 500)
);
create index blocks_by_user on blocks (user_id, id);
create index blocks_by_end on blocks (ends_at) where ends_at is not null;

-- Policies ------------------------------------------------------------------------------------------------

-- The terms of lending. Without a category a policy is for every category, without a format for both. Fees are in minor
-- units of the library's currency. due_dates: days on which loans end at the latest, the ends of terms.
alter table policies
  add column category text,
  add column format text,
  add column grace_days integer not null default 0,
  add column fee_per_day integer not null default 0,
  add column fee_max integer not null default 0,
  add column lost_fee integer not null default 0,
  add column fee_limit integer default 1000,
  add column overdue_limit integer default 3,
  add column due_dates date[] not null default '{}',
  add column overridable text[] not null
    default '{account-expired,patron-blocked,fee-limit-reached,overdue-limit-reached}',
  add column version integer not null default 1,
  add constraint policies_category_fkey foreign key (category) references categories (name),
  add constraint policies_format_known check (format in ('physical', 'digital')),
  add constraint policies_grace_days_bounded check (grace_days between 0 and 60),
  add constraint policies_fee_per_day_bounded check (fee_per_day between 0 and 1000000),
  add constraint policies_fee_max_bounded check (fee_max between 0 and 100000000),
  add constraint policies_lost_fee_bounded check (lost_fee between 0 and 100000000),
  add constraint policies_fee_limit_bounded check (fee_limit between 1 and 100000000),
  add constraint policies_overdue_limit_bounded check (overdue_limit between 1 and 1000),
  add constraint policies_due_dates_bounded check (cardinality(due_dates) <= 20),
  add constraint policies_overridable_known check (
    overridable <@ '{account-expired,patron-blocked,fee-limit-reached,overdue-limit-reached,loan-limit-reached,hold-limit-reached,renewal-limit-reached}'::text[]
  );
alter table policies
  add constraint policies_one_per_category_and_format unique nulls not distinct (category, format);

-- The most specific one: a category weighs more than a format.
create function policy_for(p_category text, p_format text) returns policies
language sql stable
return (
  select p from policies p
  where (p.category is null or p.category = p_category) and (p.format is null or p.format = p_format)
  order by p.category is null, p.format is null
  limit 1
);

-- The policy for everybody and everything stays: there is always one.
create function keep_default_policy() returns trigger
language plpgsql as $$
begin
  if old.category is null and old.format is null then
    perform refuse('default-policy');
  end if;
  return old;
end
$$;

create trigger policies_keep_default before delete on policies
for each row execute function keep_default_policy();

-- When a loan made now falls due: the end of a day in the library's zone, no later than the next end of a term, moved on
-- to an open day unless the copy is digital, and never past the end of a licence. The caller shares the calendar.
create function due_moment(terms policies, p_format text, p_licence_ends_at timestamptz) returns timestamptz
language plpgsql stable as $$
declare
  day date;
begin
  day := least(
    today() + terms.loan_days,
    (select min(d) from unnest(terms.due_dates) as d where d > today())
  );
  if p_format = 'physical' then
    day := open_day_from(day);
  end if;
  return least(end_of_day(day), p_licence_ends_at);
end
$$;

-- Until when a copy that is ready now waits: closing time of an open day; for a digital one the end of a day.
create function collect_moment(terms policies, p_format text, p_licence_ends_at timestamptz) returns timestamptz
language plpgsql stable as $$
declare
  day date;
begin
  day := today() + terms.collect_days;
  if p_format = 'digital' then
    return least(end_of_day(day), p_licence_ends_at);
  end if;
  day := open_day_from(day);
  return (day + coalesce(closing_time(day), '24:00')) at time zone time_zone();
end
$$;

-- Not while patrons or policies have it, whoever gives it to one at this moment; nor the one in which patrons begin.
create function remove_category(p_name text) returns void
language plpgsql as $$
begin
  if p_name = 'general' then
    perform refuse('category-in-use');
  end if;
  delete from categories where name = p_name;
  if not found then
    perform refuse('category-not-found');
  end if;
exception when foreign_key_violation then
  perform refuse('category-in-use');
end
$$;

-- Loans and copies ----------------------------------------------------------------------------------------

-- A loan keeps the fees it was made with, until it is renewed; and the category, for statistics.
alter table loans
  add column category text,
  add column grace_days integer not null default 0,
  add column fee_per_day integer not null default 0,
  add column fee_max integer not null default 0,
  add column claimed_returned_at timestamptz,
  add column lost_at timestamptz,
  add constraint loans_lost_has_ended check (lost_at is null or lost_at = returned_at),
  add constraint loans_claim_is_of_an_open_one check (claimed_returned_at is null or returned_at is null);
create index loans_digital_by_due on loans (due_at) where format = 'digital' and returned_at is null;

alter table copies
  add column in_library_uses integer not null default 0,
  drop constraint copies_state_known,
  drop constraint copies_removed_only_when_available,
  add constraint copies_state_known check (state in ('available', 'on_loan', 'on_hold', 'lost', 'expired')),
  add constraint copies_removed_only_when_idle check (removed_at is null or state not in ('on_loan', 'on_hold')),
  add constraint copies_lost_is_physical check (state <> 'lost' or format = 'physical'),
  add constraint copies_expired_is_digital check (state <> 'expired' or format = 'digital');
create index copies_by_licence_end on copies (licence_ends_at)
where removed_at is null and state in ('available', 'on_hold');

-- The loans of patrons who keep a history.
create table past_loans (
  user_id uuid not null,
  loan_id uuid not null,
  constraint past_loans_pkey primary key (user_id, loan_id),
  constraint past_loans_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint past_loans_loan_fkey foreign key (loan_id) references loans (id)
);

update copies set state = 'expired'
where state = 'available' and removed_at is null and (licence_ends_at <= now() or loans_left = 0);

-- In circulation: neither removed nor lost, nor a licence that has run out of time or loans.
create or replace function circulates(c copies) returns boolean
language sql stable parallel safe
return c.removed_at is null
  and (c.state = 'on_loan'
    or (c.state in ('available', 'on_hold')
      and (c.licence_ends_at is null or c.licence_ends_at > clock())
      and (c.loans_left is null or c.loans_left > 0)));

-- Will, sooner or later, be lent again.
create function serves_queue(c copies) returns boolean
language sql stable parallel safe
return circulates(c)
  and (c.licence_ends_at is null or c.licence_ends_at > clock())
  and (c.loans_left is null or c.loans_left > 0);

-- Holds ---------------------------------------------------------------------------------------------------

-- Passed over until this day. Staff may move a hold, so a place is no longer always generated.
alter table holds
  add column suspended_until date,
  alter column place set generated by default,
  add constraint holds_ready_is_not_suspended check (copy_id is null or suspended_until is null);
create index holds_by_suspension on holds (suspended_until) where suspended_until is not null;

-- Whether a hold waits for a copy now.
create function waits(h holds) returns boolean
language sql stable
return h.copy_id is null and (h.suspended_until is null or h.suspended_until <= today());

-- Fees ----------------------------------------------------------------------------------------------------

-- What a patron owes for one matter. A settled fee is nobody's: its entries keep the books, not the patron.
create table fees (
  id uuid not null default uuidv7(),
  user_id uuid,
  loan_id uuid,
  kind text not null,
  note text,
  balance bigint not null default 0,
  created_at timestamptz not null default clock(),
  settled_at timestamptz,
  constraint fees_pkey primary key (id),
  constraint fees_user_fkey foreign key (user_id) references users (id),
  constraint fees_loan_fkey foreign key (loan_id) references loans (id),
  constraint fees_kind_known check (kind in ('overdue', 'lost', 'other')),
  constraint fees_note_bounded check (length(note) <= 500),
  constraint fees_balance_never_negative check (balance >= 0),
  constraint fees_settled_is_nobodys check (
    (settled_at is null) = (user_id is not null) and (settled_at is null or (loan_id is null and balance = 0))
  )
);
create index fees_by_user on fees (user_id, id) where user_id is not null;
create index fees_by_loan on fees (loan_id) where loan_id is not null;

-- The ledger: a charge is positive, a payment or a waiver negative. Nothing in it is ever changed.
create table fee_entries (
  id uuid not null default uuidv7(),
  fee_id uuid not null,
  kind text not null,
  amount bigint not null,
  reason text,
  actor_id uuid,
  created_at timestamptz not null default clock(),
  constraint fee_entries_pkey primary key (id),
  constraint fee_entries_fee_fkey foreign key (fee_id) references fees (id),
  constraint fee_entries_kind_known check (kind in ('charge', 'payment', 'waiver')),
  constraint fee_entries_amount_bounded check (amount between -100000000 and 100000000),
  constraint fee_entries_sign_is_of_kind check (case when kind = 'charge' then amount > 0 else amount < 0 end),
  constraint fee_entries_waiver_has_reason check (kind <> 'waiver' or reason is not null),
  constraint fee_entries_reason_bounded check (length(reason) between 1 and 500)
);
create index fee_entries_by_fee on fee_entries (fee_id, id);

create function refuse_change() returns trigger
language plpgsql as $$
begin
  raise exception 'the ledger is append-only';
end
$$;

create trigger fee_entries_append_only before update or delete on fee_entries
for each row execute function refuse_change();
create trigger fee_entries_never_emptied before truncate on fee_entries
for each statement execute function refuse_change();

-- At the end of every transaction a fee's balance is the sum of its entries.
create function require_balance() returns trigger
language plpgsql as $$
declare
  fee uuid := case when tg_table_name = 'fees' then (to_jsonb(new) ->> 'id') else (to_jsonb(new) ->> 'fee_id') end;
begin
  if (select balance from fees where id = fee)
    <> (select coalesce(sum(amount), 0) from fee_entries where fee_id = fee)
  then
    raise exception 'the ledger does not balance' using errcode = 'check_violation', constraint = 'fees_balance';
  end if;
  return null;
end
$$;

create constraint trigger fees_balance after insert or update of balance on fees
deferrable initially deferred for each row execute function require_balance();
create constraint trigger fee_entries_balance after insert on fee_entries
deferrable initially deferred for each row execute function require_balance();

-- Fees that an open loan has run up: for each open day since it fell due, once those are more than the days of grace, up
-- to the maximum. Nothing after the patron has claimed to have returned it.
create function accrued_fee(l loans) returns bigint
language plpgsql stable as $$
declare
  late_days integer;
begin
  if l.returned_at is not null or l.format = 'digital' or l.fee_per_day = 0 or l.due_at >= clock() then
    return 0;
  end if;
  late_days := open_days_between(day_of(l.due_at), least(today(), day_of(l.claimed_returned_at)));
  if late_days <= l.grace_days then
    return 0;
  end if;
  return least(late_days::bigint * l.fee_per_day, l.fee_max);
end
$$;

-- Charged and accrued.
create function amount_owed(p_user_id uuid) returns bigint
language sql stable
return (select coalesce(sum(f.balance), 0) from fees f where f.user_id = p_user_id)
  + (
    select coalesce(sum(accrued_fee(l)), 0)
    from loans l
    where l.user_id = p_user_id and l.returned_at is null and l.due_at < clock()
  );

-- The ledger of a fee, the oldest entry first. Volatile, like hold_position: the statement that posts an entry answers
-- it, too.
create function entries_of(f fees) returns json
language plpgsql as $$
begin
  return (
    select json_agg(
      json_build_object('id', e.id, 'kind', e.kind, 'amount', abs(e.amount), 'reason', e.reason, 'createdAt', e.created_at)
      order by e.id
    )
    from fee_entries e
    where e.fee_id = f.id
  );
end
$$;

-- One entry in the ledger; a fee that comes to nothing forgets whose it was. The caller has the fee.
create function post_entry(p_fee_id uuid, p_kind text, p_amount bigint, p_reason text) returns fees
language plpgsql as $$
declare
  fee fees;
begin
  update fees set balance = balance + p_amount where id = p_fee_id returning * into fee;
  insert into fee_entries (fee_id, kind, amount, reason, actor_id)
  values (p_fee_id, p_kind, p_amount, p_reason, acting_staff());
  perform record_event(
    case p_kind when 'charge' then 'fee.charged' when 'payment' then 'fee.paid' else 'fee.waived' end,
    p_fee_id, null, null, fee.user_id, jsonb_build_object('amount', abs(p_amount), 'balance', fee.balance)
  );
  if fee.balance = 0 then
    update fees set user_id = null, loan_id = null, settled_at = clock() where id = p_fee_id returning * into fee;
    perform forget_patron_of(p_fee_id);
  end if;
  return fee;
end
$$;

-- The caller has the patron.
create function charge(p_user_id uuid, p_loan_id uuid, p_kind text, p_amount bigint, p_note text) returns fees
language plpgsql as $$
declare
  fee fees;
begin
  insert into fees (user_id, loan_id, kind, note) values (p_user_id, p_loan_id, p_kind, p_note) returning * into fee;
  return post_entry(fee.id, 'charge', p_amount, null);
end
$$;

-- Rules ---------------------------------------------------------------------------------------------------
-- One function a verb lists everything that speaks against it, in the order in which it is told. The verb refuses with
-- the first; eligibility() shows them all.

-- found and allowed: the count, or the amount, that meets a limit. until: when it ends by itself.
create type obstacle as (problem text, found bigint, allowed bigint, until timestamptz);

create function against(
  p_problem text, p_found bigint default null, p_allowed bigint default null, p_until timestamptz default null
) returns obstacle
language sql immutable
return row(p_problem, p_found, p_allowed, p_until)::obstacle;


-- What speaks against a patron, whatever they ask for.
create function obstacles_of_patron(account users, terms policies) returns setof obstacle
language plpgsql stable as $$
declare
  owed bigint := amount_owed(account.id);
  late bigint;
begin
  if account.suspended_at is not null then
    return next against('patron-suspended');
  end if;
  if account.expires_at <= clock() then
    return next against('account-expired');
  end if;
  return query
    select (against('patron-blocked', p_until => case when bool_and(b.ends_at is not null) then max(b.ends_at) end)).*
    from blocks b
    where b.user_id = account.id and (b.ends_at is null or b.ends_at > clock())
    having count(*) > 0;
  if owed >= terms.fee_limit then
    return next against('fee-limit-reached', owed, terms.fee_limit);
  end if;
  select count(*) into late
  from loans l
  where l.user_id = account.id and l.returned_at is null and l.format = 'physical' and l.due_at < clock()
    and l.claimed_returned_at is null;
  if late >= terms.overdue_limit then
    return next against('overdue-limit-reached', late, terms.overdue_limit);
  end if;
end
$$;

-- p_own: the patron's hold on the book; chosen: the copy, if there is one; p_by_barcode: it was asked for by name. A limit
-- counts the loans that fall under the same policy.
create function obstacles_to_loan(
  account users, terms policies, p_book_id uuid, p_format text, p_own holds, chosen copies, p_by_barcode boolean
) returns setof obstacle
language plpgsql stable as $$
declare
  taken bigint;
begin
  return query select * from obstacles_of_patron(account, terms);
  select count(*) into taken
  from loans l
  where l.user_id = account.id and l.returned_at is null and (policy_for(account.category, l.format)).id = terms.id;
  if taken >= terms.loan_limit then
    return next against('loan-limit-reached', taken, terms.loan_limit);
  end if;
  if exists (select from loans l where l.user_id = account.id and l.book_id = p_book_id and l.returned_at is null) then
    return next against('already-on-loan');
  end if;
  if p_by_barcode then
    if chosen.id is null then
      return next against('copy-not-available');
    elsif chosen.state = 'on_hold' and chosen.id is distinct from p_own.copy_id then
      return next against('copy-waits-for-another');
    elsif chosen.state not in ('available', 'on_hold') or not circulates(chosen) then
      return next against('copy-not-available');
    end if;
  elsif chosen.id is null then
    return next against('no-copy-available', p_until => (
      select min(l.due_at) from loans l
      where l.book_id = p_book_id and (p_format is null or l.format = p_format)
        and l.returned_at is null and l.due_at > clock()
    ));
  end if;
end
$$;

create function obstacles_to_renewal(account users, terms policies, l loans, p_extended timestamptz)
returns setof obstacle
language plpgsql stable as $$
begin
  return query select * from obstacles_of_patron(account, terms);
  if l.claimed_returned_at is not null then
    return next against('loan-claimed-returned');
  end if;
  if exists (
    select from holds h where h.book_id = l.book_id and waits(h) and (h.format is null or h.format = l.format)
  ) then
    return next against('others-are-waiting');
  end if;
  if l.renewals >= terms.renewal_limit then
    return next against('renewal-limit-reached', l.renewals, terms.renewal_limit);
  end if;
  if p_extended <= l.due_at then
    return next against('nothing-to-renew');
  end if;
end
$$;

create function obstacles_to_hold(account users, terms policies, p_book_id uuid, p_format text) returns setof obstacle
language plpgsql stable as $$
declare
  placed bigint;
begin
  return query select * from obstacles_of_patron(account, terms);
  if exists (select from holds h where h.user_id = account.id and h.book_id = p_book_id) then
    return next against('already-on-hold');
  end if;
  if exists (select from loans l where l.user_id = account.id and l.book_id = p_book_id and l.returned_at is null) then
    return next against('already-on-loan');
  end if;
  select count(*) into placed
  from holds h
  where h.user_id = account.id and (policy_for(account.category, h.format)).id = terms.id;
  if placed >= terms.hold_limit then
    return next against('hold-limit-reached', placed, terms.hold_limit);
  end if;
  if exists (
    select from copies c where c.book_id = p_book_id and (p_format is null or c.format = p_format) and can_be_lent(c)
  ) then
    return next against('copy-available');
  end if;
  if not exists (
    select from copies c where c.book_id = p_book_id and (p_format is null or c.format = p_format) and serves_queue(c)
  ) then
    return next against('no-copy-in-circulation');
  end if;
end
$$;

-- Refuses with the first obstacle, unless staff give a reason and the policy lets them set it aside. Answers what was
-- set aside.
create function overcome(p_obstacles obstacle[], terms policies, p_override_reason text) returns text[]
language plpgsql as $$
declare
  first_standing text;
begin
  select o.problem into first_standing
  from unnest(p_obstacles) with ordinality as o (problem, found, allowed, until, place)
  where p_override_reason is null or o.problem <> all (terms.overridable)
  order by o.place
  limit 1;
  if first_standing is not null then
    perform refuse(first_standing);
  end if;
  return array(select o.problem from unnest(p_obstacles) as o);
end
$$;

-- What an override leaves in the event of what it made possible.
create function override_details(p_overridden text[], p_reason text) returns jsonb
language sql immutable
return case
  when cardinality(p_overridden) > 0 then jsonb_build_object('overridden', to_jsonb(p_overridden), 'reason', p_reason)
  else '{}'
end;

-- The queue -----------------------------------------------------------------------------------------------

-- As before, and: shares the calendar.
create or replace function lock_queue(p_book_id uuid) returns void
language plpgsql as $$
begin
  perform hold_calendar();
  perform from books where id = p_book_id for no key update;
end
$$;

-- Gives a copy that has become free to the first hold that waits for it, else to the shelf; a licence that has run out
-- leaves circulation. The caller has the queue.
create or replace function offer_copy(p_copy_id uuid) returns void
language plpgsql as $$
declare
  before copies;
  free copies;
  first_hold holds;
  terms policies;
begin
  select * into before from copies where id = p_copy_id for update;
  update copies set state = 'available' where id = p_copy_id returning * into free;
  if not circulates(free) then
    update copies set state = 'expired' where id = p_copy_id;
    if before.state <> 'expired' then
      perform record_event('copy.expired', free.id, free.book_id, free.id, null, null);
    end if;
    return;
  end if;
  if before.state = 'expired' then
    perform record_event('copy.reinstated', free.id, free.book_id, free.id, null, null);
  end if;
  select * into first_hold from holds h
  where h.book_id = free.book_id and waits(h) and (h.format is null or h.format = free.format)
  order by h.place
  limit 1 for update;
  if not found then
    return;
  end if;
  terms := policy_for((select category from users where id = first_hold.user_id), free.format);
  update copies set state = 'on_hold' where id = p_copy_id;
  update holds
  set copy_id = p_copy_id, ready_at = clock(), suspended_until = null,
    collect_by = collect_moment(terms, free.format, free.licence_ends_at)
  where id = first_hold.id
  returning * into first_hold;
  perform record_event(
    'hold.ready', first_hold.id, free.book_id, free.id, first_hold.user_id,
    jsonb_build_object('collectBy', first_hold.collect_by)
  );
end
$$;

-- Every copy that lies free although somebody waits for it. The caller has the queue. Answers how many there were.
create function serve_queue(p_book_id uuid) returns integer
language plpgsql as $$
declare
  free uuid;
  served integer := 0;
begin
  for free in
    select c.id from copies c where c.book_id = p_book_id and can_be_lent(c) order by c.id for update
  loop
    if exists (
      select from holds h
      join copies c on c.id = free
      where h.book_id = p_book_id and waits(h) and (h.format is null or h.format = c.format)
    ) then
      perform offer_copy(free);
      served := served + 1;
    end if;
  end loop;
  return served;
end
$$;

-- Removes a hold and passes on its copy. p_kind: the event that ends it. The caller has the queue.
drop function close_hold(holds);
create function close_hold(p_hold holds, p_kind text) returns void
language plpgsql as $$
begin
  delete from holds where id = p_hold.id;
  perform record_event(p_kind, p_hold.id, p_hold.book_id, p_hold.copy_id, null, null);
  perform forget_patron_of(p_hold.id);
  if p_hold.copy_id is not null then
    perform offer_copy(p_hold.copy_id);
  end if;
end
$$;

-- Takes the copy from a hold, which waits again in its old place. The caller has the queue, and sees to the copy.
create function release_hold(p_hold holds, p_reason text) returns void
language plpgsql as $$
begin
  update holds set copy_id = null, ready_at = null, collect_by = null where id = p_hold.id;
  perform record_event(
    'hold.released', p_hold.id, p_hold.book_id, p_hold.copy_id, p_hold.user_id, jsonb_build_object('because', p_reason)
  );
end
$$;

-- How long a waiting hold may still wait, in days: likely, at best, at worst; null when no copy is left that may serve
-- it. The k-th in a queue served by n copies gets the ((k-1) mod n + 1)-th of them to come free, after (k-1) div n
-- further patrons have collected it and had it on loan. docs/circulation.md gives the assumptions, and what simulated
-- histories made of them. Volatile, like hold_position.
create function hold_forecast(h holds) returns json
language plpgsql as $$
declare
  ahead record;
  lending integer;
  place_in_turn integer;
  turns integer;
  freed record;
begin
  if h.copy_id is not null then
    return null;
  end if;
  select count(*) as holds, avg(p.loan_days) as loan_days, avg(p.collect_days) as collect_days into ahead
  from holds o
  join users u on u.id = o.user_id
  cross join policy_for(u.category, coalesce(o.format, h.format, 'physical')) as p
  where o.book_id = h.book_id and waits(o) and o.place < h.place
    and (o.format is null or h.format is null or o.format = h.format);
  select count(*) into lending
  from copies c
  where c.book_id = h.book_id and serves_queue(c) and (h.format is null or c.format = h.format);
  if lending = 0 then
    return null;
  end if;
  turns := ahead.holds / lending;
  place_in_turn := ahead.holds % lending + 1;
  with serving as (
    select
      p.loan_days, o.id is not null as held, coalesce(l.due_at < clock(), false) as late,
      greatest(extract(epoch from coalesce(l.due_at, o.collect_by, clock()) - clock()) / 86400, 0) as days_left
    from copies c
    left join loans l on l.copy_id = c.id and l.returned_at is null
    left join holds o on o.copy_id = c.id
    join users u on u.id = coalesce(l.user_id, o.user_id, h.user_id)
    cross join policy_for(u.category, c.format) as p
    where c.book_id = h.book_id and serves_queue(c) and (h.format is null or c.format = h.format)
  ),
  guessed as (
    select
      case when held then days_left * 0.4 + loan_days * 0.7 when late then 3 else days_left * 0.75 end as likely,
      case when held then loan_days * 0.35 else days_left * 0.3 end as best,
      case when held then days_left + loan_days * 1.15 else days_left + loan_days * 0.25 end as worst
    from serving
  )
  select
    array_agg(likely order by likely) as likely, array_agg(best order by best) as best,
    array_agg(worst order by worst) as worst
  into freed
  from guessed;
  return json_build_object(
    'days', round(
      freed.likely[place_in_turn] + coalesce(turns * (ahead.loan_days * 0.7 + ahead.collect_days * 0.35), 0)
    ),
    'from', floor(
      freed.best[place_in_turn] + coalesce(turns * (ahead.loan_days * 0.5 + ahead.collect_days * 0.1), 0)
    ),
    'to', ceil(
      freed.worst[place_in_turn] + coalesce(turns * (ahead.loan_days * 1.05 + ahead.collect_days * 0.9), 0)
    )
  );
end
$$;

-- Verbs ---------------------------------------------------------------------------------------------------

-- A patron's things happen one after the other: whoever has this lock counts what is there now.
create function lock_patron(p_user_id uuid) returns users
language plpgsql as $$
declare
  account users;
begin
  perform hold_calendar();
  select * into account from users where id = p_user_id for share;
  if not found then
    perform refuse('user-not-found');
  end if;
  perform from loan_counters where user_id = p_user_id for update;
  return account;
end
$$;

-- The copy that would be lent: the one that waits for the patron's own hold, else any. A physical one before a digital
-- one; a licence that ends soonest, or has the fewest loans left, goes first. p_lock: takes it, first one that nobody is
-- taking, else it waits for those who are, who may yet be refused.
create function choose_copy(p_book_id uuid, p_format text, p_own holds, p_lock boolean) returns copies
language plpgsql as $$
declare
  chosen copies;
  candidate uuid;
begin
  select * into chosen from copies c
  where c.id = p_own.copy_id and (p_format is null or c.format = p_format) and circulates(c);
  if found then
    if p_lock then
      select * into chosen from copies c where c.id = chosen.id for update;
    end if;
    return chosen;
  end if;
  if p_lock then
    -- A row that was locked and then found to be lent stays locked; whoever waits for another copy must not keep it.
    begin
      select * into chosen from copies c
      where c.book_id = p_book_id and (p_format is null or c.format = p_format) and can_be_lent(c)
      order by c.format = 'physical' desc, c.licence_ends_at, c.loans_left, c.id
      limit 1 for update skip locked;
      if not found then
        raise exception using errcode = 'LN002';
      end if;
      return chosen;
    exception when sqlstate 'LN002' then null;
    end;
    for candidate in
      select c.id from copies c
      where c.book_id = p_book_id and (p_format is null or c.format = p_format) and can_be_lent(c)
      order by c.id
    loop
      begin
        select * into chosen from copies c where c.id = candidate and can_be_lent(c) for update;
        if not found then
          raise exception using errcode = 'LN002';
        end if;
        return chosen;
      exception when sqlstate 'LN002' then null;
      end;
    end loop;
  else
    select * into chosen from copies c
    where c.book_id = p_book_id and (p_format is null or c.format = p_format) and can_be_lent(c)
    order by c.format = 'physical' desc, c.licence_ends_at, c.loans_left, c.id
    limit 1;
  end if;
  return chosen;
end
$$;

-- Lends a copy: any copy of a book, or the one with this barcode. p_override_reason: see overcome.
drop function check_out(uuid, uuid, text, text);
create function check_out(
  p_user_id uuid, p_book_id uuid, p_format text, p_barcode text, p_override_reason text
) returns loans
language plpgsql as $$
declare
  account users := lock_patron(p_user_id);
  own holds;
  chosen copies;
  terms policies;
  overridden text[];
  made loans;
begin
  if p_barcode is not null then
    select book_id into p_book_id from copies where barcode = p_barcode and removed_at is null;
    if not found then
      perform refuse('copy-not-found');
    end if;
  elsif not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse('book-not-found');
  end if;

  -- Only whoever has a hold takes the queue: nobody else's checkout waits for it.
  if exists (select from holds where user_id = p_user_id and book_id = p_book_id) then
    perform lock_queue(p_book_id);
    select * into own from holds where user_id = p_user_id and book_id = p_book_id for update;
  end if;

  if p_barcode is not null then
    select * into chosen from copies where barcode = p_barcode and removed_at is null for update;
  else
    chosen := choose_copy(p_book_id, p_format, own, true);
  end if;
  terms := policy_for(account.category, coalesce(chosen.format, p_format));
  overridden := overcome(
    array(select o from obstacles_to_loan(account, terms, p_book_id, p_format, own, chosen, p_barcode is not null) as o),
    terms, p_override_reason
  );

  update loan_counters set open_loans = open_loans + 1 where user_id = p_user_id;
  update copies set state = 'on_loan', loans_left = loans_left - 1 where id = chosen.id;
  insert into loans (user_id, copy_id, book_id, format, checked_out_at, due_at, category, grace_days, fee_per_day, fee_max)
  values (
    p_user_id, chosen.id, chosen.book_id, chosen.format, clock(),
    due_moment(terms, chosen.format, chosen.licence_ends_at),
    account.category, terms.grace_days, terms.fee_per_day, terms.fee_max
  )
  returning * into made;
  perform record_event(
    'loan.made', made.id, made.book_id, made.copy_id, p_user_id,
    jsonb_build_object('dueAt', made.due_at) || override_details(overridden, p_override_reason)
  );
  if own.id is not null then
    -- Its copy is on loan now, unless another was lent: then that one is passed on.
    if own.copy_id = chosen.id then
      own.copy_id := null;
    end if;
    perform close_hold(own, 'hold.collected');
  end if;
  return made;
end
$$;

-- Ends an open loan: charges what it has run up, remembers it for a patron who keeps a history, and forgets who had it.
-- The caller has the patron, the queue, the copy and the loan, and sees to the copy.
create function end_loan(l loans, p_lost boolean) returns loans
language plpgsql as $$
declare
  ended loans;
  accrued bigint := accrued_fee(l);
begin
  update loan_counters set open_loans = open_loans - 1 where user_id = l.user_id;
  insert into past_loans (user_id, loan_id)
  select u.id, l.id from users u where u.id = l.user_id and u.keep_history;
  update loans
  set returned_at = clock(), lost_at = case when p_lost then clock() end, user_id = null, claimed_returned_at = null
  where id = l.id
  returning * into ended;
  perform record_event(
    case when p_lost then 'loan.lost' else 'loan.returned' end, l.id, l.book_id, l.copy_id, null, null
  );
  perform forget_patron_of(l.id);
  if accrued > 0 then
    perform charge(l.user_id, l.id, 'overdue', accrued, null);
  end if;
  return ended;
end
$$;

-- Takes a copy back. p_owner_id: whose loan it must be; null for anyone's. A second return changes nothing. A returned
-- loan is nobody's, so whoever knows its id may see that it is.
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
    perform lock_patron(loan.user_id);
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
  loan := end_loan(loan, false);
  perform offer_copy(loan.copy_id);
  return loan;
end
$$;

-- At the desk: whatever comes in, by its barcode, and what to do with it next. A copy that was not on loan has been used
-- in the library; a lost one is found.
create function check_in_copy(
  p_barcode text, out loan loans, out copy copies, out hold_id uuid, out fee_charged bigint, out used_in_library boolean
)
language plpgsql as $$
declare
  open_loan uuid;
  borrower uuid;
  earlier uuid[];
begin
  used_in_library := false;
  fee_charged := 0;
  select * into copy from copies where barcode = p_barcode and removed_at is null;
  if not found then
    perform refuse('copy-not-found');
  end if;
  select l.id, l.user_id into open_loan, borrower from loans l where l.copy_id = copy.id and l.returned_at is null;
  if found then
    perform lock_patron(borrower);
    earlier := array(select f.id from fees f where f.loan_id = open_loan);
    loan := check_in(open_loan, null);
    select coalesce(sum(f.balance), 0) into fee_charged
    from fees f where f.loan_id = open_loan and f.id <> all (earlier);
  else
    perform lock_queue(copy.book_id);
    select * into copy from copies c where c.id = copy.id for update;
    if copy.removed_at is not null then
      perform refuse('copy-not-found');
    elsif copy.state = 'on_loan' then
      perform refuse('busy');
    elsif copy.state = 'lost' then
      perform find_copy(copy.id);
    elsif copy.state = 'available' then
      used_in_library := true;
      update copies c set in_library_uses = c.in_library_uses + 1 where c.id = copy.id;
      perform record_event('copy.used', copy.id, copy.book_id, copy.id, null, null);
    end if;
  end if;
  select * into copy from copies c where c.id = copy.id;
  select h.id into hold_id from holds h where h.copy_id = copy.id;
end
$$;

-- Extends a loan to the day on which one made now would fall due. p_owner_id: see check_in; p_override_reason: overcome.
drop function renew(uuid, uuid);
create function renew(p_loan_id uuid, p_owner_id uuid, p_override_reason text) returns loans
language plpgsql as $$
declare
  loan loans;
  account users;
  terms policies;
  extended timestamptz;
  accrued bigint;
  overridden text[];
begin
  select * into loan from loans where id = p_loan_id;
  if not found or (p_owner_id is not null and loan.user_id is distinct from p_owner_id) then
    perform refuse('loan-not-found');
  end if;
  if loan.user_id is not null then
    account := lock_patron(loan.user_id);
    perform lock_queue(loan.book_id);
    select * into loan from loans where id = p_loan_id for update;
  end if;
  if loan.returned_at is not null then
    perform refuse('loan-returned');
  end if;
  terms := policy_for(account.category, loan.format);
  extended := due_moment(terms, loan.format, (select licence_ends_at from copies where id = loan.copy_id));
  overridden := overcome(
    array(select o from obstacles_to_renewal(account, terms, loan, extended) as o), terms, p_override_reason
  );
  accrued := accrued_fee(loan);
  if accrued > 0 then
    perform charge(loan.user_id, loan.id, 'overdue', accrued, null);
  end if;
  update loans
  set renewals = renewals + 1, due_at = extended,
    grace_days = terms.grace_days, fee_per_day = terms.fee_per_day, fee_max = terms.fee_max
  where id = p_loan_id
  returning * into loan;
  perform record_event(
    'loan.renewed', loan.id, loan.book_id, loan.copy_id, loan.user_id,
    jsonb_build_object('dueAt', loan.due_at) || override_details(overridden, p_override_reason)
  );
  return loan;
end
$$;

-- The patron says that it was returned, and it is not there: nothing more accrues until it is found or declared lost.
-- p_claimed false takes the claim back. Neither, twice, does anything more.
create function claim_returned(p_loan_id uuid, p_claimed boolean) returns loans
language plpgsql as $$
declare
  loan loans;
begin
  select * into loan from loans where id = p_loan_id for update;
  if not found then
    perform refuse('loan-not-found');
  end if;
  if loan.returned_at is not null then
    perform refuse('loan-returned');
  end if;
  if loan.format = 'digital' then
    perform refuse('format-mismatch');
  end if;
  if (loan.claimed_returned_at is not null) <> p_claimed then
    update loans set claimed_returned_at = case when p_claimed then clock() end
    where id = p_loan_id
    returning * into loan;
    perform record_event(
      case when p_claimed then 'loan.claimed-returned' else 'loan.claim-withdrawn' end,
      loan.id, loan.book_id, loan.copy_id, loan.user_id, null
    );
  end if;
  return loan;
end
$$;

-- A lost copy leaves circulation. Its loan ends, and the patron is charged what the policy says; a hold that it waited
-- for waits again.
create function lose_copy(p_copy_id uuid) returns copies
language plpgsql as $$
declare
  copy copies;
  loan loans;
  held holds;
  lost_fee integer;
  borrower users;
begin
  select * into copy from copies where id = p_copy_id and removed_at is null;
  if not found then
    perform refuse('copy-not-found');
  end if;
  if copy.format = 'digital' then
    perform refuse('format-mismatch');
  end if;
  select * into loan from loans where copy_id = p_copy_id and returned_at is null;
  if found then
    borrower := lock_patron(loan.user_id);
  end if;
  perform lock_queue(copy.book_id);
  select * into copy from copies where id = p_copy_id for update;
  if copy.removed_at is not null then
    perform refuse('copy-not-found');
  end if;
  if (select l.id from loans l where l.copy_id = p_copy_id and l.returned_at is null) is distinct from loan.id then
    perform refuse('busy');
  end if;
  if copy.state = 'lost' then
    return copy;
  end if;
  if loan.id is not null then
    select * into loan from loans where id = loan.id for update;
    perform end_loan(loan, true);
    lost_fee := (policy_for(borrower.category, 'physical')).lost_fee;
    if lost_fee > 0 then
      perform charge(borrower.id, loan.id, 'lost', lost_fee, null);
    end if;
  end if;
  select * into held from holds where copy_id = p_copy_id for update;
  if found then
    perform release_hold(held, 'copy-lost');
  end if;
  update copies set state = 'lost', version = version + 1, updated_at = clock() where id = p_copy_id returning * into copy;
  perform record_event('copy.lost', copy.id, copy.book_id, copy.id, null, null);
  perform serve_queue(copy.book_id);
  return copy;
end
$$;

-- A lost copy is there again: to the first hold, or the shelf. What is still owed for its loss is waived.
create function find_copy(p_copy_id uuid) returns copies
language plpgsql as $$
declare
  copy copies;
  owed fees;
begin
  select * into copy from copies where id = p_copy_id and removed_at is null;
  if not found then
    perform refuse('copy-not-found');
  end if;
  perform lock_queue(copy.book_id);
  select * into copy from copies where id = p_copy_id for update;
  if copy.removed_at is not null then
    perform refuse('copy-not-found');
  end if;
  if copy.state <> 'lost' then
    return copy;
  end if;
  perform record_event('copy.found', copy.id, copy.book_id, copy.id, null, null);
  update copies set version = version + 1, updated_at = clock() where id = p_copy_id;
  perform offer_copy(p_copy_id);
  for owed in
    select f.* from fees f
    join loans l on l.id = f.loan_id
    where l.copy_id = p_copy_id and f.kind = 'lost' and f.balance > 0
    order by f.id for update of f
  loop
    perform post_entry(owed.id, 'waiver', -owed.balance, 'The copy was found');
  end loop;
  select * into copy from copies where id = p_copy_id;
  return copy;
end
$$;

drop function place_hold(uuid, uuid, text);
create function place_hold(p_user_id uuid, p_book_id uuid, p_format text, p_override_reason text) returns holds
language plpgsql as $$
declare
  account users := lock_patron(p_user_id);
  terms policies := policy_for(account.category, p_format);
  overridden text[];
  made holds;
begin
  perform lock_queue(p_book_id);
  if not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse('book-not-found');
  end if;
  overridden := overcome(
    array(select o from obstacles_to_hold(account, terms, p_book_id, p_format) as o), terms, p_override_reason
  );
  insert into holds (user_id, book_id, format, placed_at) values (p_user_id, p_book_id, p_format, clock())
  returning * into made;
  perform record_event(
    'hold.placed', made.id, p_book_id, null, p_user_id, override_details(overridden, p_override_reason)
  );
  return made;
end
$$;

-- Takes the queue and the hold. p_owner_id: whose hold it must be; null for anyone's.
create function lock_hold(p_hold_id uuid, p_owner_id uuid) returns holds
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
  return hold;
end
$$;

create or replace function cancel_hold(p_hold_id uuid, p_owner_id uuid) returns void
language plpgsql as $$
begin
  perform close_hold(lock_hold(p_hold_id, p_owner_id), 'hold.cancelled');
end
$$;

-- The hold keeps its place and is passed over until the day; a copy that waits for it goes to the next.
create function suspend_hold(p_hold_id uuid, p_owner_id uuid, p_until date) returns holds
language plpgsql as $$
declare
  hold holds := lock_hold(p_hold_id, p_owner_id);
  copy uuid := hold.copy_id;
begin
  if p_until <= today() or p_until > today() + 366 then
    perform refuse('date-out-of-range');
  end if;
  if hold.suspended_until = p_until then
    return hold;
  end if;
  if copy is not null then
    perform release_hold(hold, 'suspended');
  end if;
  update holds set suspended_until = p_until where id = p_hold_id returning * into hold;
  perform record_event(
    'hold.suspended', hold.id, hold.book_id, null, hold.user_id, jsonb_build_object('until', p_until)
  );
  if copy is not null then
    perform offer_copy(copy);
  end if;
  return hold;
end
$$;

create function resume_hold(p_hold_id uuid, p_owner_id uuid) returns holds
language plpgsql as $$
declare
  hold holds := lock_hold(p_hold_id, p_owner_id);
begin
  if hold.suspended_until is not null then
    update holds set suspended_until = null where id = p_hold_id;
    perform record_event('hold.resumed', hold.id, hold.book_id, null, hold.user_id, null);
    perform serve_queue(hold.book_id);
    select * into hold from holds where id = p_hold_id;
  end if;
  return hold;
end
$$;

-- Puts a waiting hold in another position of its queue: those between move by one. Past the end is the end.
create function move_hold(p_hold_id uuid, p_position integer, p_reason text) returns holds
language plpgsql as $$
declare
  hold holds := lock_hold(p_hold_id, null);
  was integer;
  line uuid[];
  places bigint[];
begin
  if hold.copy_id is not null then
    perform refuse('hold-ready');
  end if;
  was := hold_position(hold);
  perform from holds where book_id = hold.book_id and copy_id is null order by place for update;
  select array_agg(h.id order by h.place) filter (where h.id <> p_hold_id), array_agg(h.place order by h.place)
  into line, places
  from holds h
  where h.book_id = hold.book_id and h.copy_id is null;
  line := coalesce(line[1:p_position - 1], '{}') || p_hold_id || coalesce(line[p_position:], '{}');
  update holds h set place = t.place
  from unnest(line, places) as t (id, place)
  where h.id = t.id and h.place <> t.place;
  select * into hold from holds where id = p_hold_id;
  if hold_position(hold) <> was then
    perform record_event(
      'hold.moved', hold.id, hold.book_id, null, hold.user_id,
      jsonb_build_object('from', was, 'to', hold_position(hold), 'reason', p_reason)
    );
  end if;
  return hold;
end
$$;

-- A licence that lends again goes to the first hold; one that ends leaves circulation, and its hold waits again.
create function change_copy(p_copy_id uuid, p_versions integer[], p_change jsonb) returns copies
language plpgsql as $$
declare
  copy copies;
  held holds;
begin
  select * into copy from copies where id = p_copy_id and removed_at is null;
  if not found then
    perform refuse('copy-not-found');
  end if;
  perform lock_queue(copy.book_id);
  select * into copy from copies where id = p_copy_id for update;
  if copy.removed_at is not null then
    perform refuse('copy-not-found');
  end if;
  if copy.version <> all (p_versions) then
    perform refuse('precondition-failed');
  end if;
  update copies
  set version = version + 1,
    updated_at = clock(),
    barcode = case when p_change ? 'barcode' then p_change ->> 'barcode' else barcode end,
    call_number = case when p_change ? 'callNumber' then p_change ->> 'callNumber' else call_number end,
    licence_ends_at = case
      when p_change ? 'licenceEndsAt' then (p_change ->> 'licenceEndsAt')::timestamptz
      else licence_ends_at
    end,
    loans_left = case when p_change ? 'loansLeft' then (p_change ->> 'loansLeft')::integer else loans_left end
  where id = p_copy_id
  returning * into copy;
  if copy.state = 'on_hold' and not circulates(copy) then
    select * into held from holds where copy_id = p_copy_id for update;
    perform release_hold(held, 'licence-ended');
    perform offer_copy(p_copy_id);
    perform serve_queue(copy.book_id);
  elsif copy.state in ('available', 'expired') then
    perform offer_copy(p_copy_id);
  end if;
  select * into copy from copies where id = p_copy_id;
  return copy;
end
$$;

-- A history is kept from now on, or is forgotten at once, before a return that is under way can add to it.
create function set_history(p_user_id uuid, p_keep boolean) returns void
language plpgsql as $$
begin
  update users set keep_history = p_keep, updated_at = clock() where id = p_user_id and keep_history <> p_keep;
  if not p_keep then
    delete from past_loans where user_id = p_user_id;
  end if;
end
$$;

-- Blocks and fees -----------------------------------------------------------------------------------------

create function set_block(p_user_id uuid, p_reason text, p_ends_at timestamptz) returns blocks
language plpgsql as $$
declare
  made blocks;
begin
  perform lock_patron(p_user_id);
  if p_ends_at <= clock() then
    perform refuse('date-out-of-range');
  end if;
  insert into blocks (user_id, reason, ends_at) values (p_user_id, p_reason, p_ends_at) returning * into made;
  perform record_event('block.set', made.id, null, null, p_user_id, null);
  return made;
end
$$;

create function lift_block(p_block_id uuid) returns void
language plpgsql as $$
begin
  delete from blocks where id = p_block_id;
  if not found then
    perform refuse('block-not-found');
  end if;
  perform record_event('block.lifted', p_block_id, null, null, null, null);
  perform forget_patron_of(p_block_id);
end
$$;

create function charge_fee(p_user_id uuid, p_amount bigint, p_note text) returns fees
language plpgsql as $$
begin
  perform lock_patron(p_user_id);
  return charge(p_user_id, null, 'other', p_amount, p_note);
end
$$;

-- A payment or a waiver, in whole or in part. More than is owed is refused by fees_balance_never_negative.
create function reduce_fee(p_fee_id uuid, p_kind text, p_amount bigint, p_reason text) returns fees
language plpgsql as $$
declare
  fee fees;
begin
  select * into fee from fees where id = p_fee_id for update;
  if not found then
    perform refuse('fee-not-found');
  end if;
  if fee.settled_at is not null then
    perform refuse('fee-settled');
  end if;
  return post_entry(p_fee_id, p_kind, -p_amount, p_reason);
end
$$;

-- The calendar --------------------------------------------------------------------------------------------

-- Moves what falls on a day that has been closed to the next open one; nothing becomes shorter. The caller has the
-- calendar.
create function leave_closed_days() returns void
language plpgsql as $$
declare
  moved loans;
  kept holds;
  day date;
begin
  for moved in
    select * from loans l
    where l.returned_at is null and l.format = 'physical' and l.due_at >= clock() and closing_time(day_of(l.due_at)) is null
    order by l.id for update
  loop
    update loans set due_at = greatest(due_at, end_of_day(open_day_from(day_of(due_at))))
    where id = moved.id and due_at < end_of_day(open_day_from(day_of(due_at)))
    returning * into moved;
    if found then
      perform record_event(
        'loan.extended', moved.id, moved.book_id, moved.copy_id, moved.user_id,
        jsonb_build_object('dueAt', moved.due_at)
      );
    end if;
  end loop;
  for kept in
    select h.* from holds h
    join copies c on c.id = h.copy_id
    where c.format = 'physical' and h.collect_by > clock()
      and closing_time(day_of(h.collect_by - interval '1 second')) is null
    order by h.id for update of h
  loop
    day := day_of(kept.collect_by - interval '1 second');
    continue when open_day_from(day) = day;
    update holds
    set collect_by = (open_day_from(day) + closing_time(open_day_from(day))) at time zone time_zone()
    where id = kept.id
    returning * into kept;
    perform record_event(
      'hold.extended', kept.id, kept.book_id, kept.copy_id, kept.user_id,
      jsonb_build_object('collectBy', kept.collect_by)
    );
  end loop;
end
$$;

create function set_calendar_day(p_day date, p_opens time, p_closes time, p_note text) returns calendar_days
language plpgsql as $$
declare
  made calendar_days;
begin
  perform take_calendar();
  insert into calendar_days (day, opens, closes, note) values (p_day, p_opens, p_closes, p_note)
  on conflict (day) do update set opens = excluded.opens, closes = excluded.closes, note = excluded.note
  returning * into made;
  perform leave_closed_days();
  return made;
end
$$;

create function remove_calendar_day(p_day date) returns void
language plpgsql as $$
begin
  perform take_calendar();
  delete from calendar_days where day = p_day;
  if not found then
    perform refuse('calendar-day-not-found');
  end if;
  perform leave_closed_days();
end
$$;

-- p_week: seven of {weekday, opens, closes}, or null to leave it.
create function change_library(p_time_zone text, p_currency text, p_week jsonb) returns library
language plpgsql as $$
declare
  changed library;
begin
  perform take_calendar();
  if p_time_zone is not null then
    begin
      perform clock() at time zone p_time_zone;
    exception when invalid_parameter_value then
      perform refuse('time-zone-unknown');
    end;
  end if;
  if p_currency <> (select currency from library) and exists (select from fees) then
    perform refuse('currency-in-use');
  end if;
  update library
  set time_zone = coalesce(p_time_zone, time_zone), currency = coalesce(p_currency, currency)
  returning * into changed;
  if p_week is not null then
    update opening_hours h
    set opens = (d ->> 'opens')::time, closes = (d ->> 'closes')::time
    from jsonb_array_elements(p_week) as d
    where h.weekday = (d ->> 'weekday')::smallint;
  end if;
  -- In another zone too a loan may fall on another day.
  perform leave_closed_days();
  return changed;
end
$$;

-- Why -----------------------------------------------------------------------------------------------------

create function decision(p_obstacles obstacle[], terms policies) returns jsonb
language sql stable
return jsonb_build_object(
  'allowed', cardinality(p_obstacles) = 0,
  'obstacles', coalesce(
    (
      select jsonb_agg(
        jsonb_build_object(
          'problem', o.problem, 'found', o.found, 'allowed', o.allowed, 'until', o.until,
          'overridable', o.problem = any (terms.overridable)
        )
        order by o.place
      )
      from unnest(p_obstacles) with ordinality as o (problem, found, allowed, until, place)
    ),
    '[]'
  )
);

-- Whether a patron could borrow a book, renew their loan of it or queue for it, and all that speaks against it: what
-- check_out, renew and place_hold would find if they came now.
create function eligibility(p_user_id uuid, p_book_id uuid, p_format text) returns json
language plpgsql as $$
declare
  account users;
  own holds;
  chosen copies;
  loan loans;
  loan_terms policies;
  renewal_terms policies;
  hold_terms policies;
begin
  select * into account from users where id = p_user_id;
  if not found then
    perform refuse('user-not-found');
  end if;
  if not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse('book-not-found');
  end if;
  select * into own from holds where user_id = p_user_id and book_id = p_book_id;
  select * into loan from loans where user_id = p_user_id and book_id = p_book_id and returned_at is null;
  chosen := choose_copy(p_book_id, p_format, own, false);
  loan_terms := policy_for(account.category, coalesce(chosen.format, p_format));
  renewal_terms := policy_for(account.category, loan.format);
  hold_terms := policy_for(account.category, p_format);
  return json_build_object(
    'userId', p_user_id,
    'bookId', p_book_id,
    'borrow', decision(
      array(select o from obstacles_to_loan(account, loan_terms, p_book_id, p_format, own, chosen, false) as o), loan_terms
    ),
    'renew', case
      when loan.id is null then decision(array[against('loan-not-found')], renewal_terms)
      else decision(
        array(
          select o from obstacles_to_renewal(
            account, renewal_terms, loan,
            due_moment(renewal_terms, loan.format, (select licence_ends_at from copies where id = loan.copy_id))
          ) as o
        ),
        renewal_terms
      )
    end,
    'placeHold', decision(array(select o from obstacles_to_hold(account, hold_terms, p_book_id, p_format) as o), hold_terms)
  );
end
$$;

-- What time does ------------------------------------------------------------------------------------------
-- Each ends at most p_limit things and says how many. None waits for a patron or a queue that somebody else has: what is
-- being worked on is left for the next run, so two runs at once, or a run beside a patron, cannot deadlock.

-- Digital loans return themselves when they are due.
create function end_digital_loans(p_limit integer) returns integer
language plpgsql as $$
declare
  due loans;
  ended integer := 0;
begin
  perform hold_calendar();
  for due in
    select * from loans l
    where l.format = 'digital' and l.returned_at is null and l.due_at <= clock()
    order by l.due_at
    limit p_limit
  loop
    perform from users where id = due.user_id for share skip locked;
    continue when not found;
    perform from loan_counters where user_id = due.user_id for update skip locked;
    continue when not found;
    perform from books where id = due.book_id for no key update skip locked;
    continue when not found;
    perform from copies where id = due.copy_id for update skip locked;
    continue when not found;
    select * into due from loans l
    where l.id = due.id and l.returned_at is null and l.due_at <= clock() for update skip locked;
    continue when not found;
    perform end_loan(due, false);
    perform offer_copy(due.copy_id);
    ended := ended + 1;
  end loop;
  return ended;
end
$$;

-- Licences that have run out leave circulation; a hold that one waited for waits again.
create function expire_licences(p_limit integer) returns integer
language plpgsql as $$
declare
  ended copies;
  held holds;
  expired integer := 0;
begin
  perform hold_calendar();
  for ended in
    select * from copies c
    where c.removed_at is null and c.state in ('available', 'on_hold') and c.licence_ends_at <= clock()
    order by c.licence_ends_at
    limit p_limit
  loop
    perform from books where id = ended.book_id for no key update skip locked;
    continue when not found;
    select * into ended from copies c
    where c.id = ended.id and c.removed_at is null and c.state in ('available', 'on_hold') and c.licence_ends_at <= clock()
    for update skip locked;
    continue when not found;
    select * into held from holds where copy_id = ended.id for update;
    if found then
      perform release_hold(held, 'licence-ended');
    end if;
    perform offer_copy(ended.id);
    perform serve_queue(ended.book_id);
    expired := expired + 1;
  end loop;
  return expired;
end
$$;

-- Holds whose suspension is over wait again.
create function wake_holds(p_limit integer) returns integer
language plpgsql as $$
declare
  asleep holds;
  woken integer := 0;
begin
  perform hold_calendar();
  for asleep in
    select * from holds h where h.suspended_until <= today() order by h.suspended_until, h.id limit p_limit
  loop
    perform from books where id = asleep.book_id for no key update skip locked;
    continue when not found;
    update holds set suspended_until = null
    where id = asleep.id and suspended_until <= today()
    returning * into asleep;
    continue when not found;
    perform record_event('hold.resumed', asleep.id, asleep.book_id, null, asleep.user_id, null);
    perform serve_queue(asleep.book_id);
    woken := woken + 1;
  end loop;
  return woken;
end
$$;

-- Blocks with an end are over.
create function end_blocks(p_limit integer) returns integer
language plpgsql as $$
declare
  past blocks;
  ended integer := 0;
begin
  for past in
    delete from blocks
    where id in (select id from blocks where ends_at <= clock() order by ends_at limit p_limit for update skip locked)
    returning *
  loop
    perform record_event('block.ended', past.id, null, null, null, null);
    perform forget_patron_of(past.id);
    ended := ended + 1;
  end loop;
  return ended;
end
$$;

-- Holds that were not collected in time pass on their copy; and what lies free although somebody waits for it is offered.
create or replace function settle_holds(p_limit integer) returns integer
language plpgsql as $$
declare
  queue uuid;
  overdue holds;
  settled integer := 0;
begin
  perform hold_calendar();
  for queue in
    with due as (
      select book_id from holds where copy_id is not null and collect_by <= clock()
      union
      select h.book_id from holds h
      where waits(h) and exists (
        select from copies c
        where c.book_id = h.book_id and (h.format is null or h.format = c.format) and can_be_lent(c)
      )
    )
    select b.id from due join books b on b.id = due.book_id
    order by b.id
    limit p_limit for no key update of b skip locked
  loop
    for overdue in select * from holds where book_id = queue and collect_by <= clock() order by place for update loop
      perform close_hold(overdue, 'hold.expired');
      settled := settled + 1;
    end loop;
    settled := settled + serve_queue(queue);
  end loop;
  return settled;
end
$$;
