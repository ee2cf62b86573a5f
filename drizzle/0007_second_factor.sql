-- After this migration a library can ask a second factor of all its staff, and everybody can read what happened to their account:
-- also that staff suspended or reinstated it or gave it another role, that a session was ended from elsewhere, and that a refresh
-- token was used twice.

-- A member of staff whose session has not shown a second factor may do nothing where the library asks for one, but for what
-- adds one: p_may_lack_factor, of the route.
drop function require_actor(uuid, uuid, text);
create function require_actor(p_session_id uuid, p_user_id uuid, p_role text, p_may_lack_factor boolean) returns void
language plpgsql as $$
declare
  found_user record;
begin
  select u.role, u.suspended_at, s.second_factor_at into found_user
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
  if p_role = 'staff' and found_user.second_factor_at is null and not p_may_lack_factor
    and (select staff_second_factor from library)
  then
    perform refuse('second-factor-needed');
  end if;
  perform set_config('lectern.actor', p_role || ' ' || p_user_id, true);
end
$$;

-- A key shows no code: where the library asks for a second factor, it is enough that its user has one.
create or replace function require_key(p_key_hash bytea, p_user_id uuid, p_role text, p_scope text) returns void
language plpgsql as $$
declare
  found_key record;
begin
  perform pg_advisory_xact_lock_shared(key_lock(p_key_hash));
  select k.id, k.scopes, k.last_used_at, u.role, u.suspended_at into found_key
  from api_keys k
  join users u on u.id = k.user_id
  where k.key_hash = p_key_hash and k.user_id = p_user_id and k.role = p_role
    and (k.expires_at is null or k.expires_at > now());
  if not found or found_key.role <> p_role then
    perform refuse('key-invalid');
  end if;
  if found_key.suspended_at is not null then
    perform refuse('account-suspended');
  end if;
  if p_role = 'staff' and (select staff_second_factor from library)
    and not exists (select from second_factors where user_id = p_user_id and confirmed_at is not null)
  then
    perform refuse('second-factor-needed');
  end if;
  if p_scope <> all (found_key.scopes) then
    perform refuse('scope-missing');
  end if;
  if found_key.last_used_at is null or found_key.last_used_at < now() - interval '1 minute' then
    update api_keys
    set last_used_at = now()
    where id = (select id from api_keys where id = found_key.id for no key update skip locked);
  end if;
  perform set_config('lectern.actor', p_role || ' ' || p_user_id, true);
end
$$;

-- As before, and whether a second factor is asked of staff. Only who has shown one may ask it of the others: nobody locks
-- everybody out, themselves included.
drop function change_library(text, text, jsonb);
create function change_library(
  p_time_zone text, p_currency text, p_week jsonb, p_staff_second_factor boolean, p_session_id uuid
) returns library
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
  if p_staff_second_factor and not exists (
    select from sessions where id = p_session_id and second_factor_at is not null
  ) then
    perform refuse('second-factor-not-shown');
  end if;
  update library
  set time_zone = coalesce(p_time_zone, time_zone), currency = coalesce(p_currency, currency),
    staff_second_factor = coalesce(p_staff_second_factor, staff_second_factor)
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

-- Deletes a session and, with it, its refresh tokens. Its owner can read later that it was ended from another; a logout says
-- nothing that they do not know.
create function end_session(p_user_id uuid, p_session_id uuid, p_acting_session_id uuid) returns void
language plpgsql as $$
begin
  delete from sessions where id = p_session_id and user_id = p_user_id;
  if not found then
    perform refuse(case when p_session_id = p_acting_session_id then 'session-ended' else 'session-not-found' end);
  end if;
  if p_session_id <> p_acting_session_id then
    perform note(p_user_id, 'session-ended', p_session_id, false);
  end if;
end
$$;

-- Spends a refresh token and stores its successor. Within ten seconds the same token is an honest retry and gets the first one's
-- nonce again; after that its reuse means that two parties hold it, and ends the session, which its owner can read. Ending must
-- survive, so the outcome is a column and not an exception. The session is locked before the token, as by whoever ends it.
create or replace function refresh_session(
  p_token_hash bytea, p_nonce bytea, p_successor_hash bytea,
  out outcome text, out nonce bytea, out rotated_at timestamptz, out session sessions, out user_role text
)
language plpgsql as $$
declare
  token refresh_tokens;
  account users;
begin
  outcome := 'refresh-token-invalid';
  select * into session from sessions
  where id = (select session_id from refresh_tokens where token_hash = p_token_hash)
  for update;
  if not found then
    return;
  end if;
  select * into token from refresh_tokens where token_hash = p_token_hash for update;
  if not found or session.expires_at <= now() or token.expires_at <= now() then
    return;
  end if;
  select * into account from users where id = session.user_id;
  if account.suspended_at is not null then
    outcome := 'account-suspended';
    return;
  end if;
  user_role := account.role;
  if token.spent_at is null then
    nonce := p_nonce;
    rotated_at := clock_timestamp();
    update refresh_tokens set spent_at = rotated_at, successor_nonce = nonce where token_hash = p_token_hash;
    insert into refresh_tokens (token_hash, session_id, expires_at)
    values (p_successor_hash, session.id, now() + interval '14 days');
    update sessions set last_used_at = rotated_at where id = session.id returning * into session;
    outcome := 'rotated';
  elsif token.spent_at > clock_timestamp() - interval '10 seconds' then
    nonce := token.successor_nonce;
    rotated_at := token.spent_at;
    outcome := 'rotated';
  else
    delete from sessions where id = session.id;
    perform note(session.user_id, 'refresh-token-reused', session.id, false);
    outcome := 'refresh-token-reused';
  end if;
end
$$;

-- What others do to an account, whichever way they do it.
create function note_change_of_account() returns trigger
language plpgsql as $$
begin
  if new.role <> old.role then
    perform note(new.id, 'role-changed', null, false);
  end if;
  if old.suspended_at is null and new.suspended_at is not null then
    perform note(new.id, 'account-suspended', null, false);
  elsif old.suspended_at is not null and new.suspended_at is null then
    perform note(new.id, 'account-reinstated', null, false);
  end if;
  return null;
end
$$;
create trigger users_note_change after update of role, suspended_at on users
for each row execute function note_change_of_account();

-- What the Worker may -------------------------------------------------------------------------------------

revoke execute on function
  require_actor(uuid, uuid, text, boolean), change_library(text, text, jsonb, boolean, uuid), end_session(uuid, uuid, uuid),
  note_change_of_account()
from public;
grant execute on function
  require_actor(uuid, uuid, text, boolean), change_library(text, text, jsonb, boolean, uuid), end_session(uuid, uuid, uuid)
to lectern_worker;
grant update (staff_second_factor) on library to lectern_worker;
