-- After this the library lets nobody do what is dangerous in the wrong hands with a session that has been open for long.

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
