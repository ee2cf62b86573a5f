-- After this migration an account is safe to have: what is personal is kept encrypted, an address counts once its owner has
-- shown that it is theirs, a password that is lost can be set anew, guessing gets slower, and staff can ask of themselves a
-- second factor. Everybody can read what happened to their account, take their data along, and have it erased.
--
-- What is encrypted reads 'kid.ciphertext' and is made and opened by the Worker alone (src/personal-data.ts). Its hash, where
-- it has one, is an HMAC under a key that the database does not know.

-- Encrypted values ----------------------------------------------------------------------------------------

-- The key that a value was encrypted under; '' for one that is not encrypted, as before this migration.
create function key_of(sealed text) returns text
language sql immutable strict parallel safe
return case when sealed ~ '^[A-Za-z0-9_-]{1,32}[.][A-Za-z0-9_-]{38,}$' then split_part(sealed, '.', 1) else '' end;

create function keys_of(sealed text[]) returns text[]
language sql immutable strict parallel safe
return array(select distinct key_of(s) from unnest(sealed) as s where s is not null);

-- People --------------------------------------------------------------------------------------------------

-- What a username looks like at a glance, after the confusable characters of UTS #39 that are ASCII: zero and o, one and l
-- and i, rn and m, vv and w, and every separator.
create function look_of(username text) returns text
language sql immutable strict parallel safe
return translate(replace(replace(lower(username), 'rn', 'm'), 'vv', 'w'), '01i-_', 'oll..');

-- email is one that its owner has confirmed; pending_email one that they have yet to.
alter table users
  drop constraint users_email_bounded,
  alter column email drop not null,
  add column email_hash bytea,
  add column pending_email text,
  add column pending_email_hash bytea,
  add column name text,
  add column phone text,
  add column address text,
  add constraint users_email_bounded check (length(email) <= 500),
  add constraint users_pending_email_bounded check (length(pending_email) <= 500),
  add constraint users_name_bounded check (length(name) <= 1200),
  add constraint users_phone_bounded check (length(phone) <= 200),
  add constraint users_address_bounded check (length(address) <= 3000),
  add constraint users_email_hash_is_hmac check (
    email_hash is null or (length(email_hash) = 32 and email is not null)
  ),
  add constraint users_pending_email_has_hash check (
    (pending_email is null) = (pending_email_hash is null) and length(pending_email_hash) = 32
  );
drop index users_username_unique;
drop index users_email_unique;
create unique index users_username_unique on users (look_of(username));
create unique index users_email_unique on users (email_hash);
create index users_by_key on users using gin (keys_of(array[email, pending_email, name, phone, address]));

-- The device's name is encrypted too. second_factor_at: when the login showed a second factor, if it did.
alter table sessions
  drop constraint sessions_device_name_bounded,
  add column second_factor_at timestamptz,
  add constraint sessions_device_name_bounded check (length(device_name) <= 600);
create index sessions_by_key on sessions using gin (keys_of(array[device_name]));

-- A patron's row, which holds everything else in its place.
drop function create_user(text, text, text, text);
create function create_user(
  p_id uuid, p_username text, p_password_hash text, p_role text, p_email text, p_email_hash bytea
) returns users
language plpgsql as $$
declare
  made users;
begin
  insert into users (id, username, email, email_hash, password_hash, role)
  values (p_id, p_username, p_email, p_email_hash, p_password_hash, p_role)
  returning * into made;
  insert into loan_counters (user_id) values (made.id);
  return made;
end
$$;

-- What happened to an account -----------------------------------------------------------------------------

-- For its owner to read. A login stands here as failed from when it is tried until it has succeeded.
create table security_events (
  id uuid not null default uuidv7(),
  user_id uuid not null,
  kind text not null,
  occurred_at timestamptz not null default now(),
  session_id uuid,
  constraint security_events_pkey primary key (id),
  constraint security_events_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint security_events_kind_bounded check (kind ~ '^[a-z-]{1,40}$')
);
create index security_events_by_user on security_events (user_id, id);
create index security_events_by_age on security_events (occurred_at);

-- Messages on their way. recipient is the address as the user's row has it, content what only this message says. Both are
-- encrypted: a dump shows neither where a message goes nor the token in it.
create table messages (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  kind text not null,
  recipient text not null,
  content text,
  attempts integer not null default 0,
  created_at timestamptz not null default now(),
  next_attempt_at timestamptz not null default now(),
  constraint messages_pkey primary key (id),
  constraint messages_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint messages_kind_bounded check (kind ~ '^[a-z-]{1,40}$'),
  constraint messages_recipient_bounded check (length(recipient) <= 500),
  constraint messages_content_bounded check (length(content) <= 3000),
  constraint messages_attempts_bounded check (attempts between 0 and 20)
);
create index messages_by_next_attempt on messages (next_attempt_at);
create index messages_by_user on messages (user_id);
create index messages_by_key on messages using gin (keys_of(array[recipient, content]));

-- Notes that something happened, and tells the owner, where they have an address.
create function note(p_user_id uuid, p_kind text, p_session_id uuid, p_tell boolean) returns void
language plpgsql as $$
begin
  insert into security_events (user_id, kind, session_id) values (p_user_id, p_kind, p_session_id);
  if p_tell then
    insert into messages (user_id, kind, recipient)
    select id, p_kind, email from users where id = p_user_id and email is not null;
  end if;
end
$$;

-- Takes up to p_limit messages that are due, for whoever delivers them. Each is tried again later, in twice the time, until
-- it is reported as delivered; after a day it says nothing any more that is of use.
create function take_messages(p_limit integer) returns setof messages
language sql as $$
  update messages
  set attempts = attempts + 1, next_attempt_at = now() + make_interval(mins => (2 ^ least(attempts, 8))::integer)
  where id in (
    select id from messages
    where next_attempt_at <= now()
    order by next_attempt_at
    limit p_limit
    for update skip locked
  )
  returning *
$$;

-- Guessing ------------------------------------------------------------------------------------------------

-- How often something was tried in vain, and from when it may be tried again. The key is an HMAC of what is counted: an
-- account and an address, an account, or an address.
create table attempts (
  key_hash bytea not null,
  failures integer not null default 0,
  last_at timestamptz not null default now(),
  wait_until timestamptz not null default now(),
  constraint attempts_pkey primary key (key_hash),
  constraint attempts_hash_is_hmac check (length(key_hash) = 32),
  constraint attempts_failures_never_negative check (failures >= 0)
) with (fillfactor = 70);
create index attempts_by_age on attempts (last_at);

-- Counts one attempt under every key, as failed until give_back() says otherwise, and answers 0; or, where one of the keys has
-- to wait, counts nothing and answers the seconds to wait. Under each key p_free attempts need not wait; the last of them
-- and every one after it double the wait, from a second up to p_caps seconds. A day without an attempt forgets.
--
-- The rows are made or locked in one statement and in one order, so that attempts at once are counted one after another.
create function take_attempt(p_keys bytea[], p_free integer[], p_caps integer[]) returns integer
language plpgsql as $$
declare
  moment timestamptz;
  latest timestamptz;
begin
  insert into attempts (key_hash)
  select k from unnest(p_keys) as k order by k
  on conflict (key_hash) do update set failures = attempts.failures;
  moment := clock_timestamp();
  select max(wait_until) into latest from attempts where key_hash = any (p_keys);
  if latest > moment then
    return ceil(extract(epoch from latest - moment));
  end if;
  update attempts a
  set failures = n.failures,
    last_at = moment,
    wait_until = moment + make_interval(secs =>
      case when n.failures >= n.free then least(2 ^ least(n.failures - n.free, 20), n.cap) else 0 end
    )
  from (
    select k.key_hash, k.free, k.cap,
      case when b.last_at < moment - interval '1 day' then 1 else b.failures + 1 end as failures
    from unnest(p_keys, p_free, p_caps) as k (key_hash, free, cap)
    join attempts b using (key_hash)
  ) as n
  where a.key_hash = n.key_hash;
  return 0;
end
$$;

-- The attempt under these keys was no failure. Nobody else can have tried while the keys had to wait.
create function give_back(p_keys bytea[]) returns void
language plpgsql as $$
begin
  perform from attempts where key_hash = any (p_keys) order by key_hash for update;
  update attempts set failures = greatest(failures - 1, 0), wait_until = least(wait_until, clock_timestamp())
  where key_hash = any (p_keys);
end
$$;

-- Addresses from which a user has logged in: as a hash that is of no use for another user.
create table known_addresses (
  user_id uuid not null,
  address_hash bytea not null,
  last_seen_at timestamptz not null default now(),
  constraint known_addresses_pkey primary key (user_id, address_hash),
  constraint known_addresses_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint known_addresses_hash_is_sha256 check (length(address_hash) = 32)
);
create index known_addresses_by_age on known_addresses (last_seen_at);

create function known_address(p_user_id uuid, p_address_hash bytea) returns bytea
language sql immutable strict parallel safe
return sha256(uuid_send(p_user_id) || p_address_hash);

-- A second factor -----------------------------------------------------------------------------------------

-- Codes from an app (TOTP, RFC 6238). last_step is the period of the last code that was used: none is good twice.
create table second_factors (
  user_id uuid not null,
  secret text not null,
  created_at timestamptz not null default now(),
  confirmed_at timestamptz,
  last_step bigint,
  constraint second_factors_pkey primary key (user_id),
  constraint second_factors_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint second_factors_secret_bounded check (length(secret) <= 200)
);
create index second_factors_by_key on second_factors using gin (keys_of(array[secret]));

-- Codes for when the app is lost, each good once. They are 120 random bits, so that SHA-256 keeps them.
create table recovery_codes (
  user_id uuid not null,
  code_hash bytea not null,
  constraint recovery_codes_pkey primary key (user_id, code_hash),
  constraint recovery_codes_user_fkey foreign key (user_id) references second_factors (user_id) on delete cascade,
  constraint recovery_codes_hash_is_sha256 check (length(code_hash) = 32)
);

-- A library may ask a second factor of all its staff.
alter table library add column staff_second_factor boolean not null default false;

-- Keeps a new secret, which counts once a code of it has been shown.
create function begin_second_factor(p_user_id uuid, p_secret text) returns void
language plpgsql as $$
begin
  insert into second_factors (user_id, secret) values (p_user_id, p_secret)
  on conflict (user_id) do update set secret = excluded.secret, created_at = now()
  where second_factors.confirmed_at is null;
  if not found then
    perform refuse('second-factor-active');
  end if;
end
$$;

-- p_secret is what the code was compared with. The session that confirms has shown the factor. The account is locked first:
-- a login that is under way either opens a session that ends here, or comes after and has to show a code.
create function confirm_second_factor(
  p_user_id uuid, p_session_id uuid, p_secret text, p_step bigint, p_code_hashes bytea[]
) returns void
language plpgsql as $$
begin
  perform from users where id = p_user_id for no key update;
  update second_factors set confirmed_at = now(), last_step = p_step
  where user_id = p_user_id and secret = p_secret and confirmed_at is null;
  if not found then
    perform refuse('second-factor-not-begun');
  end if;
  insert into recovery_codes (user_id, code_hash) select p_user_id, h from unnest(p_code_hashes) as h;
  update sessions set second_factor_at = now() where id = p_session_id;
  delete from sessions where user_id = p_user_id and id <> p_session_id;
  perform note(p_user_id, 'second-factor-added', p_session_id, true);
end
$$;

create function replace_recovery_codes(p_user_id uuid, p_session_id uuid, p_code_hashes bytea[]) returns void
language plpgsql as $$
begin
  perform from second_factors where user_id = p_user_id and confirmed_at is not null for update;
  if not found then
    perform refuse('second-factor-not-begun');
  end if;
  delete from recovery_codes where user_id = p_user_id;
  insert into recovery_codes (user_id, code_hash) select p_user_id, h from unnest(p_code_hashes) as h;
  perform note(p_user_id, 'recovery-codes-replaced', p_session_id, true);
end
$$;

-- Also takes back one that was begun, of which there is nothing to tell. Sessions go on, and have shown no factor that the
-- account has.
create function remove_second_factor(p_user_id uuid, p_session_id uuid) returns void
language plpgsql as $$
declare
  removed second_factors;
begin
  perform from users where id = p_user_id for no key update;
  delete from second_factors where user_id = p_user_id returning * into removed;
  if not found then
    perform refuse('second-factor-not-begun');
  end if;
  if removed.confirmed_at is null then
    return;
  end if;
  update sessions set second_factor_at = null where user_id = p_user_id;
  perform note(p_user_id, 'second-factor-removed', p_session_id, true);
end
$$;

-- Logging in ----------------------------------------------------------------------------------------------

-- Counts an attempt to log in and answers what it has to be compared with. From an address the account is known to use, only
-- what was tried from there counts: whoever attacks the account from elsewhere does not keep its owner out. Elsewhere the
-- account's and the address's own counts have to agree too. p_keys: account and address, account, address.
--
-- Five attempts at once leave room for typing; thirty an address for a school behind one. The longest waits are a quarter of
-- an hour, and for an account an hour: 45 guesses in the first day, 24 a day after that, however many addresses guess.
create function begin_login(
  p_username text, p_email_hash bytea, p_address_hash bytea, p_keys bytea[],
  out wait integer, out account users, out is_known boolean, out event_id uuid, out second_factor second_factors
)
language plpgsql as $$
begin
  select * into account from users
  where (look_of(username) = look_of(p_username) and lower(username) = lower(p_username)) or email_hash = p_email_hash;
  is_known := exists (
    select from known_addresses
    where user_id = account.id and address_hash = known_address(account.id, p_address_hash)
  );
  wait := case when is_known
    then take_attempt(p_keys[1:1], '{5}', '{900}')
    else take_attempt(p_keys, '{5,10,30}', '{900,3600,900}')
  end;
  if wait = 0 and account.id is not null then
    select * into second_factor from second_factors where user_id = account.id and confirmed_at is not null;
    insert into security_events (user_id, kind) values (account.id, 'login-failed') returning id into event_id;
  end if;
end
$$;

-- Spends a code of the app, by the period that it is of, or a recovery code; and says whether it was good.
create function spend_code(p_user_id uuid, p_step bigint, p_code_hash bytea) returns boolean
language plpgsql as $$
begin
  if p_step is not null then
    update second_factors set last_step = p_step
    where user_id = p_user_id and confirmed_at is not null and last_step < p_step;
  else
    delete from recovery_codes where user_id = p_user_id and code_hash = p_code_hash;
  end if;
  return found;
end
$$;

-- Opens a session after the password was found right. p_seen_hash is the hash that it was compared with: a password changed
-- meanwhile opens nothing. The oldest sessions above twenty end. A second factor that the account has must be shown, also
-- when it was added meanwhile. Where it was not, the attempt stays counted, and the owner can read that somebody knew the
-- password; that must survive, so the refusal is a column and not an exception. p_content: of the message that tells of a new
-- device.
drop function log_in(uuid, text, text, bytea, text);
create function log_in(
  p_user_id uuid, p_seen_hash text, p_new_hash text, p_token_hash bytea, p_session_id uuid, p_device_name text,
  p_keys bytea[], p_address_hash bytea, p_event_id uuid, p_step bigint, p_code_hash bytea,
  p_message_id uuid, p_content text,
  out refusal text, out opened_at timestamptz, out has_message boolean
)
language plpgsql as $$
declare
  account users;
  is_new boolean;
  has_factor boolean;
begin
  -- First, as in begin_login: the counts are locked before the user.
  perform from attempts where key_hash = any (p_keys) order by key_hash for update;

  -- Not in the way of rows that refer to the account: whoever writes those may have a session of it, which is locked below.
  select * into account from users where id = p_user_id for no key update;
  if not found or account.password_hash <> p_seen_hash then
    perform refuse('wrong-credentials');
  end if;
  if account.suspended_at is not null then
    perform refuse('account-suspended');
  end if;
  perform from second_factors where user_id = p_user_id and confirmed_at is not null for update;
  has_factor := found;
  if has_factor then
    refusal := case
      when p_step is null and p_code_hash is null then 'second-factor-required'
      when not spend_code(p_user_id, p_step, p_code_hash) then 'wrong-code'
    end;
    if refusal is not null then
      update security_events set kind = 'login-without-code' where id = p_event_id and user_id = p_user_id;
      return;
    end if;
  end if;
  perform give_back(p_keys[2:]);
  delete from attempts where key_hash = p_keys[1];
  if p_new_hash is not null then
    update users set password_hash = p_new_hash where id = p_user_id;
  end if;

  is_new := exists (select from known_addresses where user_id = p_user_id)
    and not exists (
      select from known_addresses
      where user_id = p_user_id and address_hash = known_address(p_user_id, p_address_hash)
    );
  insert into known_addresses (user_id, address_hash) values (p_user_id, known_address(p_user_id, p_address_hash))
  on conflict (user_id, address_hash) do update set last_seen_at = now();
  delete from known_addresses
  where user_id = p_user_id and address_hash in (
    select address_hash from known_addresses where user_id = p_user_id order by last_seen_at desc, address_hash offset 50
  );

  delete from sessions
  where id in (select id from sessions where user_id = p_user_id order by last_used_at desc, id desc offset 19);
  insert into sessions (id, user_id, device_name, expires_at, second_factor_at)
  values (p_session_id, p_user_id, p_device_name, now() + interval '90 days', case when has_factor then now() end)
  returning created_at into opened_at;
  insert into refresh_tokens (token_hash, session_id, expires_at)
  values (p_token_hash, p_session_id, now() + interval '14 days');

  update security_events
  set kind = case when is_new then 'login-from-new-address' else 'login' end, session_id = p_session_id
  where id = p_event_id and user_id = p_user_id;
  has_message := is_new and account.email is not null;
  if has_message then
    insert into messages (id, user_id, kind, recipient, content)
    values (p_message_id, p_user_id, 'new-device', account.email, p_content);
  end if;
end
$$;

-- What a password change has to be compared with, when the password may be tried: see take_attempt.
create function begin_password_change(p_user_id uuid, p_key bytea, out wait integer, out account users)
language plpgsql as $$
begin
  select * into account from users where id = p_user_id;
  wait := take_attempt(array[p_key], '{5}', '{900}');
end
$$;

-- Ends every session but the one that asks, whose refresh tokens stay good. p_seen_hash: see log_in.
drop function change_password(uuid, uuid, text, text);
create function change_password(
  p_user_id uuid, p_session_id uuid, p_seen_hash text, p_new_hash text, p_key bytea
) returns void
language plpgsql as $$
begin
  update users
  set password_hash = p_new_hash, updated_at = now()
  where id = p_user_id and password_hash = p_seen_hash;
  if not found then
    perform refuse('wrong-password');
  end if;
  delete from sessions where user_id = p_user_id and id <> p_session_id;
  delete from mailed_tokens where user_id = p_user_id and purpose = 'reset-password';
  delete from attempts where key_hash = p_key;
  perform note(p_user_id, 'password-changed', p_session_id, true);
end
$$;

-- Tokens sent by mail -------------------------------------------------------------------------------------

-- Whoever has one can read the mail of an address. Kept as SHA-256, good once.
create table mailed_tokens (
  token_hash bytea not null,
  user_id uuid not null,
  purpose text not null,
  expires_at timestamptz not null,
  constraint mailed_tokens_pkey primary key (token_hash),
  constraint mailed_tokens_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint mailed_tokens_hash_is_sha256 check (length(token_hash) = 32),
  constraint mailed_tokens_purpose_known check (purpose in ('confirm-email', 'reset-password'))
);
create index mailed_tokens_by_user on mailed_tokens (user_id, purpose);
create index mailed_tokens_by_expiry on mailed_tokens (expires_at);

-- Messages to an address are counted under this: five at once, then ever fewer, so that nobody floods a mailbox through us.
create function may_write_to(p_email_hash bytea) returns boolean
language sql as $$
  select take_attempt(array[sha256('mail'::bytea || p_email_hash)], '{5}', '{3600}') = 0
$$;

-- A message to the address that waits to be confirmed, unless that has had too many.
create function ask_to_confirm(p_user_id uuid, p_token_hash bytea, p_message_id uuid, p_content text) returns void
language plpgsql as $$
declare
  account users;
begin
  select * into account from users where id = p_user_id;
  if account.pending_email is null then
    perform refuse('nothing-to-confirm');
  end if;
  if not may_write_to(account.pending_email_hash) then
    return;
  end if;
  insert into mailed_tokens (token_hash, user_id, purpose, expires_at)
  values (p_token_hash, p_user_id, 'confirm-email', now() + interval '24 hours');
  insert into messages (id, user_id, kind, recipient, content)
  values (p_message_id, p_user_id, 'confirm-email', account.pending_email, p_content);
end
$$;

-- Two accounts may wait for the same address: it becomes whose owner confirms it. So registering tells nobody whether an
-- address has an account.
create function register(
  p_id uuid, p_username text, p_password_hash text, p_email text, p_email_hash bytea,
  p_token_hash bytea, p_message_id uuid, p_content text
) returns users
language plpgsql as $$
declare
  made users;
begin
  perform create_user(p_id, p_username, p_password_hash, 'patron', null, null);
  update users set pending_email = p_email, pending_email_hash = p_email_hash where id = p_id returning * into made;
  perform ask_to_confirm(p_id, p_token_hash, p_message_id, p_content);
  return made;
end
$$;

-- A new address waits until it is confirmed, and the old one stays in force. Naming the one in force takes the wish back.
create function change_email(
  p_user_id uuid, p_email text, p_email_hash bytea, p_token_hash bytea, p_message_id uuid, p_content text
) returns void
language plpgsql as $$
begin
  delete from mailed_tokens where user_id = p_user_id and purpose = 'confirm-email';
  update users set pending_email = null, pending_email_hash = null, updated_at = now()
  where id = p_user_id and email_hash = p_email_hash;
  if found then
    return;
  end if;
  if exists (select from users where id = p_user_id and pending_email_hash is distinct from p_email_hash) then
    perform note(p_user_id, 'email-change-asked', null, true);
  end if;
  update users set pending_email = p_email, pending_email_hash = p_email_hash, updated_at = now() where id = p_user_id;
  perform ask_to_confirm(p_user_id, p_token_hash, p_message_id, p_content);
end
$$;

-- Puts the address in force and tells the one before it.
create function confirm_email(p_token_hash bytea) returns void
language plpgsql as $$
declare
  token mailed_tokens;
begin
  delete from mailed_tokens
  where token_hash = p_token_hash and purpose = 'confirm-email' and expires_at > now()
  returning * into token;
  if not found then
    perform refuse('mailed-token-invalid');
  end if;
  perform from users where id = token.user_id and pending_email is not null for update;
  if not found then
    perform refuse('mailed-token-invalid');
  end if;
  if exists (
    select from users u
    join users other on other.email_hash = u.pending_email_hash and other.id <> u.id
    where u.id = token.user_id
  ) then
    perform refuse('email-taken');
  end if;
  perform note(token.user_id, 'email-changed', null, true);
  update users
  set email = pending_email, email_hash = pending_email_hash, pending_email = null, pending_email_hash = null,
    updated_at = now()
  where id = token.user_id;
  delete from mailed_tokens where user_id = token.user_id;
end
$$;

-- Sends a token to an address that an account has. Nobody learns whether one has.
create function ask_to_reset(
  p_email_hash bytea, p_token_hash bytea, p_message_id uuid, p_content text
) returns void
language plpgsql as $$
declare
  account users;
begin
  if not may_write_to(p_email_hash) then
    return;
  end if;
  select * into account from users where email_hash = p_email_hash and suspended_at is null;
  if not found then
    return;
  end if;
  insert into mailed_tokens (token_hash, user_id, purpose, expires_at)
  values (p_token_hash, account.id, 'reset-password', now() + interval '30 minutes');
  insert into messages (id, user_id, kind, recipient, content)
  values (p_message_id, account.id, 'reset-password', account.email, p_content);
  insert into security_events (user_id, kind) values (account.id, 'password-reset-asked');
end
$$;

-- Sets the password and ends every session. The second factor stays: mail alone does not open an account that has one.
create function reset_password(p_token_hash bytea, p_new_hash text) returns void
language plpgsql as $$
declare
  token mailed_tokens;
begin
  delete from mailed_tokens
  where token_hash = p_token_hash and purpose = 'reset-password' and expires_at > now()
  returning * into token;
  if not found then
    perform refuse('mailed-token-invalid');
  end if;
  update users set password_hash = p_new_hash, updated_at = now() where id = token.user_id;
  delete from sessions where user_id = token.user_id;
  delete from mailed_tokens where user_id = token.user_id and purpose = 'reset-password';
  perform note(token.user_id, 'password-reset', null, true);
end
$$;

-- Clearing away -------------------------------------------------------------------------------------------

-- Deletes what has run out, at most p_limit rows of a kind, and says how many.
create or replace function clear_away(p_limit integer) returns integer
language plpgsql as $$
declare
  cleared integer;
  total integer := 0;
begin
  delete from sessions
  where id in (
    select id from sessions where expires_at <= now() order by expires_at limit p_limit for update skip locked
  );
  get diagnostics cleared = row_count;
  total := total + cleared;
  delete from idempotency_keys
  where key_hash in (
    select key_hash from idempotency_keys
    where created_at < now() - interval '24 hours'
    order by created_at limit p_limit for update skip locked
  );
  get diagnostics cleared = row_count;
  total := total + cleared;
  delete from attempts
  where key_hash in (
    select key_hash from attempts
    where last_at < now() - interval '1 day'
    order by last_at limit p_limit for update skip locked
  );
  get diagnostics cleared = row_count;
  total := total + cleared;
  delete from mailed_tokens
  where token_hash in (
    select token_hash from mailed_tokens where expires_at <= now() order by expires_at limit p_limit for update skip locked
  );
  get diagnostics cleared = row_count;
  total := total + cleared;
  delete from known_addresses
  where (user_id, address_hash) in (
    select user_id, address_hash from known_addresses
    where last_seen_at < now() - interval '180 days'
    order by last_seen_at limit p_limit for update skip locked
  );
  get diagnostics cleared = row_count;
  total := total + cleared;
  delete from security_events
  where id in (
    select id from security_events
    where occurred_at < now() - interval '365 days'
    order by occurred_at limit p_limit for update skip locked
  );
  get diagnostics cleared = row_count;
  total := total + cleared;
  delete from messages
  where id in (
    select id from messages
    where created_at < now() - interval '1 day'
    order by created_at limit p_limit for update skip locked
  );
  get diagnostics cleared = row_count;
  return total + cleared;
end
$$;
