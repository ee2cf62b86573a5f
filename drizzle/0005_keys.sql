-- After this the library lets nobody do what is dangerous in the wrong hands with a session that has been open for long,
-- and its users can make keys for their programs and reader apps.

-- Beside require_actor, in the same round trip. A refresh leaves created_at alone, so whoever got hold of a session's
-- tokens does not get this with them.
create function require_fresh_session(p_session_id uuid) returns void
language plpgsql as $$
begin
  if not exists (select from sessions where id = p_session_id and created_at > now() - interval '10 minutes') then
    perform refuse('fresh-login-required');
  end if;
end
$$;

-- API keys, which are also the passwords of reader apps. A key is 256 random bits and is kept as SHA-256 only. Its text
-- says whose it is and in which role, so that one statement beside the work can check all of that.
create table api_keys (
  id uuid not null default uuidv7(),
  user_id uuid not null,
  role text not null,
  key_hash bytea not null,
  name text not null,
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  constraint api_keys_pkey primary key (id),
  constraint api_keys_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint api_keys_hash_unique unique (key_hash),
  constraint api_keys_hash_is_sha256 check (length(key_hash) = 32),
  constraint api_keys_role_known check (role in ('staff', 'patron')),
  constraint api_keys_name_bounded check (length(name) between 1 and 80),
  constraint api_keys_scopes_known check (scopes <@ array['read', 'lend', 'desk'] and cardinality(scopes) between 1 and 3),
  constraint api_keys_desk_is_for_staff check (role = 'staff' or 'desk' <> all (scopes))
);
create index api_keys_by_user on api_keys (user_id, id);

-- A request holds this, shared, to its end; a revocation takes it alone, and so waits for what is under way. A lock on the
-- row would do the same, and would write to it at each request.
create function key_lock(p_key_hash bytea) returns bigint
language sql immutable
return ('x' || encode(substr(p_key_hash, 1, 8), 'hex'))::bit(64)::bigint;

-- For a key what require_actor is for a session: the first statement of every batch on its behalf. When it was last used
-- is kept to the minute, so that not every request writes, and no request waits for another to write it.
create function require_key(p_key_hash bytea, p_user_id uuid, p_role text, p_scope text) returns void
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

-- Twenty a user, counted after the user's row is locked. Those that have expired make room.
create function make_key(
  p_user_id uuid, p_role text, p_key_hash bytea, p_name text, p_scopes text[], p_expires_at timestamptz
) returns api_keys
language plpgsql as $$
declare
  made api_keys;
begin
  if p_expires_at <= now() or p_expires_at > now() + interval '1 year' then
    perform refuse('date-out-of-range');
  end if;
  perform from users where id = p_user_id for no key update;
  delete from api_keys where user_id = p_user_id and expires_at <= now();
  if (select count(*) from api_keys where user_id = p_user_id) >= 20 then
    perform refuse('key-limit-reached');
  end if;
  insert into api_keys (user_id, role, key_hash, name, scopes, expires_at)
  values (p_user_id, p_role, p_key_hash, p_name, p_scopes, p_expires_at)
  returning * into made;
  perform note(p_user_id, 'key-made', null, true);
  return made;
end
$$;

create function revoke_key(p_key_id uuid, p_user_id uuid) returns void
language plpgsql as $$
begin
  perform pg_advisory_xact_lock(key_lock(key_hash)) from api_keys where id = p_key_id and user_id = p_user_id;
  delete from api_keys where id = p_key_id and user_id = p_user_id;
  if not found then
    perform refuse('key-not-found');
  end if;
  perform note(p_user_id, 'key-revoked', null, false);
end
$$;

grant select, insert, update (last_used_at), delete on api_keys to lectern_worker;
grant execute on function require_fresh_session, key_lock, require_key, make_key, revoke_key to lectern_worker;
