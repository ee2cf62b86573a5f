-- What ends a session comes through at once, whatever is under way in it: it meets a refresh without a deadlock, and a stream
-- of checkouts cannot keep it waiting.

-- As before, but the session is locked before the token, in the order in which whoever ends a session locks them: the other
-- way round the two waited for each other, and one was refused. Who has the session is alone with its tokens.
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
    outcome := 'refresh-token-reused';
  end if;
end
$$;

-- As before, but those who want the patron queue at the counter, and one at a time holds the account. A shared lock is given
-- to whoever asks while another has it, past those who wait to change the row: with all of them at the account, a patron's
-- checkouts kept a suspension or a change of password waiting for as long as there were some. Nobody who has changed an
-- account takes a counter after it.
create or replace function lock_patron(p_user_id uuid) returns users
language plpgsql as $$
declare
  account users;
begin
  perform hold_calendar();
  perform from loan_counters where user_id = p_user_id for update;
  select * into account from users where id = p_user_id for share;
  if not found then
    perform refuse('user-not-found');
  end if;
  return account;
end
$$;
