-- After this migration everybody takes along what the library holds about them, and has their account erased.

-- That an account was erased, when, and how much was erased with it: whoever shows a receipt is answered by its row, which
-- names nobody. The id is random.
create table erasures (
  id uuid not null default gen_random_uuid(),
  erased_at timestamptz not null default now(),
  counts jsonb not null,
  constraint erasures_pkey primary key (id)
);

-- What names a member of staff is found without reading the whole log and the whole ledger.
create index events_by_actor on events (actor_id) where actor_id is not null;
create index fee_entries_by_actor on fee_entries (actor_id) where actor_id is not null;

-- A loan has a user as long as it is open; said of the user, so that deleting one finds by it that there is none.
drop index loans_by_user;
create index loans_by_user on loans (user_id, id) where user_id is not null;

-- The ledger and the log stay as they are; but they forget who.
create or replace function refuse_change() returns trigger
language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if new.actor_id is null and to_jsonb(new) - 'actor_id' = to_jsonb(old) - 'actor_id' then
      return new;
    end if;
  end if;
  raise exception 'the ledger is append-only';
end
$$;

create function refuse_naming() returns trigger
language plpgsql as $$
begin
  raise exception 'an event forgets whom it names, and names nobody else';
end
$$;

create trigger events_only_forget before update on events
for each row when (
  (new.patron_id is not null and new.patron_id is distinct from old.patron_id)
  or (new.actor_id is not null and new.actor_id is distinct from old.actor_id)
)
execute function refuse_naming();

-- Erases an account and everything that names it, or refuses: while something is lent or owed, and for the last member of
-- staff who can act. Holds are cancelled, so that what waited for this patron goes to the next. What has a user_id goes with
-- the user's row. recipient: the address to tell, encrypted, since it is nowhere any more.
--
-- Locks the keys, the calendar, the patron's counter and row (lock_patron), the books in the order of their ids, and then as
-- cancel_hold does. Whoever lends, charges or
-- logs in at the same moment has the patron before or after this, and finds none after.
create function erase_user(p_user_id uuid, out receipt erasures, out recipient text)
language plpgsql as $$
declare
  account users;
  hold holds;
  block blocks;
  keys integer;
begin
  delete from api_keys where user_id = p_user_id;
  get diagnostics keys = row_count;
  perform hold_calendar();
  perform from loan_counters where user_id = p_user_id for update;
  -- All staff, each in the same order: of two who leave at once the second finds that the first is gone.
  if exists (select from users where id = p_user_id and role = 'staff') then
    perform from users where role = 'staff' and suspended_at is null order by id for no key update;
  end if;
  select * into account from users where id = p_user_id for update;
  if not found then
    perform refuse('session-ended');
  end if;
  if exists (select from loans where user_id = p_user_id) then
    perform refuse('loans-open');
  end if;
  if amount_owed(p_user_id) > 0 then
    perform refuse('fees-owed');
  end if;
  if account.role = 'staff' and not exists (
    select from users where role = 'staff' and suspended_at is null and id <> p_user_id
  ) then
    perform refuse('last-member-of-staff');
  end if;
  recipient := account.email;

  perform from books where id in (select book_id from holds where user_id = p_user_id) order by id for no key update;
  insert into erasures (counts)
  values (jsonb_build_object(
    'holds', (select count(*) from holds where user_id = p_user_id),
    'blocks', (select count(*) from blocks where user_id = p_user_id),
    'history', (select count(*) from past_loans where user_id = p_user_id),
    'sessions', (select count(*) from sessions where user_id = p_user_id),
    'keys', keys,
    'knownAddresses', (select count(*) from known_addresses where user_id = p_user_id),
    'securityEvents', (select count(*) from security_events where user_id = p_user_id),
    'messages', (select count(*) from messages where user_id = p_user_id),
    'events', (select count(*) from events where patron_id = p_user_id)
      + (select count(*) from events where actor_id = p_user_id),
    'feeEntries', (select count(*) from fee_entries where actor_id = p_user_id)
  ))
  returning * into receipt;

  for hold in select * from holds where user_id = p_user_id order by book_id for update loop
    perform close_hold(hold, 'hold.cancelled');
  end loop;
  for block in delete from blocks where user_id = p_user_id returning * loop
    perform record_event('block.ended', block.id, null, null, null, null);
    perform forget_patron_of(block.id);
  end loop;
  update events set patron_id = null where patron_id = p_user_id;
  update events set actor_id = null where actor_id = p_user_id;
  update fee_entries set actor_id = null where actor_id = p_user_id;
  -- The account itself was answered to whoever registered with an Idempotency-Key.
  update idempotency_keys set answer = null, fingerprint = null, subject_id = null where subject_id = p_user_id;
  -- First the sessions, then their tokens: the order in which refresh_session locks them.
  perform from sessions where user_id = p_user_id order by id for update;
  delete from users where id = p_user_id;
end
$$;

-- What of this the Worker may (0004_worker_role.sql).
grant delete on users to lectern_worker;
grant select, insert (counts) on erasures to lectern_worker;
grant update (actor_id) on events to lectern_worker;
grant update (actor_id) on fee_entries to lectern_worker;
revoke execute on function erase_user, refuse_naming from public;
grant execute on function erase_user to lectern_worker;
