-- After this migration a library can be opened: people register and log in, staff catalogue books and
-- their copies, and patrons borrow, renew and return them.
--
-- PostgreSQL 18 or later (uuidv7). The extension unaccent is on Neon's list.

create extension if not exists unaccent;

-- Problems ------------------------------------------------------------------------------------------------

-- Refuses what was asked, and undoes the transaction. SQLSTATE LN001 is ours: the message is the name of a
-- problem in src/problem.ts and never holds data.
create function refuse(problem text) returns void
language plpgsql as $$
begin
  raise exception using errcode = 'LN001', message = problem;
end
$$;

-- The same where an expression is wanted: coalesce((select ... the answer), refuse_json('book-not-found')).
create function refuse_json(problem text) returns json
language plpgsql as $$
begin
  raise exception using errcode = 'LN001', message = problem;
end
$$;

-- Text ----------------------------------------------------------------------------------------------------

-- How text is compared: without accents, case and compatibility forms. unaccent() is only stable because a
-- dictionary may be edited; this one is the extension's own and is not.
create function fold(given text) returns text
language sql immutable strict parallel safe
return lower(public.unaccent('public.unaccent'::regdictionary, normalize(given, nfkc)));

create function fold_all(given text[]) returns text[]
language sql immutable strict parallel safe
return array(select fold(t) from unnest(given) as t);

-- array_to_string() is only stable because it takes arrays of any type; of text it is immutable.
create function join_texts(given text[]) returns text
language sql immutable strict parallel safe
return (select string_agg(t, ' ') from unnest(given) as t);

-- People --------------------------------------------------------------------------------------------------

create table users (
  id uuid not null default uuidv7(),
  username text not null,
  email text not null,
  password_hash text not null,
  role text not null default 'patron',
  suspended_at timestamptz,
  suspension_reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint users_pkey primary key (id),
  constraint users_role_known check (role in ('staff', 'patron')),
  constraint users_username_bounded check (length(username) between 3 and 32),
  constraint users_email_bounded check (length(email) between 3 and 254),
  constraint users_suspension_has_reason check ((suspended_at is null) = (suspension_reason is null))
);
-- Nobody takes a name that differs from another only in case.
create unique index users_username_unique on users (lower(username));
create unique index users_email_unique on users (lower(email));

-- What changes with every loan lives beside the user, not on the user's row.
create table loan_counters (
  user_id uuid not null,
  open_loans integer not null default 0,
  constraint loan_counters_pkey primary key (user_id),
  constraint loan_counters_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint loan_counters_never_negative check (open_loans >= 0)
) with (fillfactor = 80);

-- A session is a device where somebody is logged in. Ending it deletes it, and its refresh tokens with it.
create table sessions (
  id uuid not null default uuidv7(),
  user_id uuid not null,
  device_name text,
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint sessions_pkey primary key (id),
  constraint sessions_user_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint sessions_device_name_bounded check (length(device_name) <= 80)
);
create index sessions_by_user on sessions (user_id, id);
create index sessions_by_expiry on sessions (expires_at);

-- The family of a session's refresh tokens, as SHA-256. A spent one is kept, so that its reuse is noticed;
-- its nonce makes the successor, for whoever holds the spent token itself.
create table refresh_tokens (
  token_hash bytea not null,
  session_id uuid not null,
  expires_at timestamptz not null,
  spent_at timestamptz,
  successor_nonce bytea,
  constraint refresh_tokens_pkey primary key (token_hash),
  constraint refresh_tokens_session_fkey foreign key (session_id) references sessions (id) on delete cascade,
  constraint refresh_tokens_hash_is_sha256 check (length(token_hash) = 32),
  constraint refresh_tokens_spent_has_nonce check ((spent_at is null) = (successor_nonce is null))
);
create index refresh_tokens_by_session on refresh_tokens (session_id);

-- The catalogue -------------------------------------------------------------------------------------------

create function contributor_names(contributors jsonb) returns text
language sql immutable strict parallel safe
return (select string_agg(c ->> 'name', ' ') from jsonb_array_elements(contributors) as c);

-- Plain words beside English stems: 'robot' finds 'robots', and a name is never stemmed away.
create function words(given text, weight "char") returns tsvector
language sql immutable parallel safe
return setweight(
  to_tsvector('pg_catalog.simple', fold(coalesce(given, '')))
    || to_tsvector('pg_catalog.english', fold(coalesce(given, ''))),
  weight
);

-- Words of a name among the contributors, whose weight is B.
create function contributor_query(name text) returns tsquery
language sql immutable strict parallel safe
return regexp_replace(
  plainto_tsquery('pg_catalog.simple', fold(name))::text, '''(?= &|$)', ''':B', 'g'
)::tsquery;

create table books (
  id uuid not null default uuidv7(),
  title text not null,
  subtitle text,
  contributors jsonb not null default '[]',
  publisher text,
  published_year smallint,
  language text,
  subjects text[] not null default '{}',
  description text,
  series_name text,
  series_number text,
  isbns text[] not null default '{}',
  identifiers jsonb not null default '[]',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  removed_at timestamptz,
  title_key text not null generated always as (fold(title)) stored,
  subject_keys text[] not null generated always as (fold_all(subjects)) stored,
  search tsvector not null generated always as (
    words(title || ' ' || coalesce(subtitle, ''), 'A')
      || words(coalesce(contributor_names(contributors), ''), 'B')
      || words(coalesce(series_name, '') || ' ' || coalesce(join_texts(subjects), ''), 'C')
      || words(description, 'D')
  ) stored,
  constraint books_pkey primary key (id),
  constraint books_title_bounded check (length(title) between 1 and 500),
  constraint books_series_number_has_series check (series_number is null or series_name is not null)
);
create index books_by_title on books (title_key collate "C", id) where removed_at is null;
create index books_by_year on books ((coalesce(published_year, '-32768'::smallint)), id) where removed_at is null;
create index books_by_newest on books (id) where removed_at is null;
create index books_by_search on books using gin (search) where removed_at is null;
create index books_by_subject on books using gin (subject_keys) where removed_at is null;

-- One book an ISBN. The trigger below keeps it in step with books.isbns, whoever writes there.
create table book_isbns (
  isbn text not null,
  book_id uuid not null,
  constraint book_isbns_unique primary key (isbn),
  constraint book_isbns_book_fkey foreign key (book_id) references books (id) on delete cascade,
  constraint book_isbns_are_13_digits check (isbn ~ '^97[89][0-9]{10}$')
);
create index book_isbns_by_book on book_isbns (book_id);

create function keep_book_isbns() returns trigger
language plpgsql as $$
begin
  delete from book_isbns
  where book_id = new.id
    and (new.removed_at is not null or isbn <> all (new.isbns));
  insert into book_isbns (isbn, book_id)
  select i.isbn, new.id
  from unnest(new.isbns) as i (isbn)
  where new.removed_at is null
    and not exists (select from book_isbns b where b.isbn = i.isbn and b.book_id = new.id);
  return null;
end
$$;

create trigger books_keep_isbns
after insert or update of isbns, removed_at on books
for each row execute function keep_book_isbns();

-- Copies --------------------------------------------------------------------------------------------------

create table copies (
  id uuid not null default uuidv7(),
  book_id uuid not null,
  format text not null,
  barcode text,
  call_number text,
  licence_ends_at timestamptz,
  loans_left integer,
  state text not null default 'available',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  removed_at timestamptz,
  constraint copies_pkey primary key (id),
  constraint copies_book_fkey foreign key (book_id) references books (id),
  constraint copies_format_known check (format in ('physical', 'digital')),
  constraint copies_state_known check (state in ('available', 'on_loan')),
  constraint copies_physical_has_barcode check ((format = 'physical') = (barcode is not null)),
  constraint copies_shelf_is_for_physical check (format = 'physical' or call_number is null),
  constraint copies_licence_is_for_digital check (
    format = 'digital' or (licence_ends_at is null and loans_left is null)
  ),
  constraint copies_loans_left_never_negative check (loans_left >= 0),
  constraint copies_removed_not_on_loan check (removed_at is null or state <> 'on_loan')
) with (fillfactor = 80);
create unique index copies_barcode_unique on copies (barcode) where removed_at is null;
create index copies_by_book on copies (book_id, id) where removed_at is null;

-- In circulation: neither removed nor a licence that has run out of time or loans.
create function circulates(c copies) returns boolean
language sql stable parallel safe
return c.removed_at is null
  and (c.state = 'on_loan'
    or ((c.licence_ends_at is null or c.licence_ends_at > now()) and (c.loans_left is null or c.loans_left > 0)));

create function can_be_lent(c copies) returns boolean
language sql stable parallel safe
return c.state = 'available' and circulates(c);

-- Loans ---------------------------------------------------------------------------------------------------

create table policies (
  id uuid not null default uuidv7(),
  loan_days integer not null,
  loan_limit integer not null,
  renewal_limit integer not null,
  constraint policies_pkey primary key (id),
  constraint policies_loan_days_bounded check (loan_days between 1 and 366),
  constraint policies_loan_limit_bounded check (loan_limit between 0 and 1000),
  constraint policies_renewal_limit_bounded check (renewal_limit between 0 and 100)
);
-- There is always one. Three weeks, five books, two renewals: usual terms of a public library.
insert into policies (loan_days, loan_limit, renewal_limit) values (21, 5, 2);

create table loans (
  id uuid not null default uuidv7(),
  user_id uuid,
  copy_id uuid not null,
  book_id uuid not null,
  format text not null,
  checked_out_at timestamptz not null default now(),
  due_at timestamptz not null,
  renewals integer not null default 0,
  returned_at timestamptz,
  constraint loans_pkey primary key (id),
  constraint loans_user_fkey foreign key (user_id) references users (id),
  constraint loans_copy_fkey foreign key (copy_id) references copies (id),
  constraint loans_book_fkey foreign key (book_id) references books (id),
  constraint loans_format_known check (format in ('physical', 'digital')),
  constraint loans_due_after_checkout check (due_at > checked_out_at),
  constraint loans_renewals_never_negative check (renewals >= 0),
  -- An open loan has a borrower; a returned one has forgotten who it was.
  constraint loans_open_have_a_borrower check ((returned_at is null) = (user_id is not null))
);
create unique index loans_one_open_per_copy on loans (copy_id) where returned_at is null;
create unique index loans_one_open_per_user_and_book on loans (user_id, book_id) where returned_at is null;
create index loans_by_user on loans (user_id, id) where returned_at is null;
create index loans_by_book on loans (book_id, id);

-- Answers to requests with an Idempotency-Key -------------------------------------------------------------

-- The key is kept as SHA-256 of who asked and what key they sent, so that the row names nobody. When a loan is
-- returned the answers about it are forgotten, and what asked for them, but not that the key was used.
create table idempotency_keys (
  key_hash bytea not null,
  fingerprint bytea,
  answer json,
  subject_id uuid,
  created_at timestamptz not null default now(),
  constraint idempotency_keys_pkey primary key (key_hash),
  constraint idempotency_keys_hash_is_sha256 check (length(key_hash) = 32)
);
create index idempotency_keys_by_subject on idempotency_keys (subject_id);
create index idempotency_keys_by_age on idempotency_keys (created_at);

-- Verbs ---------------------------------------------------------------------------------------------------
-- Each statement of a volatile PL/pgSQL function sees what was committed before that statement, so a check
-- after a lock is a check of the present. Rows are locked in one order: user, copy, loan.

-- The first statement of every batch on somebody's behalf: an ended session, a suspended user or a changed
-- role counts from here on, at no round trip of its own.
create function require_actor(p_session_id uuid, p_user_id uuid, p_role text) returns void
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
end
$$;

-- For lists of a book's things: an unknown book is not a book without any.
create function require_book(p_book_id uuid) returns void
language plpgsql as $$
begin
  if not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse('book-not-found');
  end if;
end
$$;

-- Claims a key for the transaction's effect. Waits for a sibling with the same key, and refuses if that or an
-- earlier request has used it; 'idempotency-key-replayed' means: the first answer is there to be read.
create function claim_idempotency_key(p_key_hash bytea, p_fingerprint bytea) returns void
language plpgsql as $$
declare
  used idempotency_keys;
begin
  insert into idempotency_keys (key_hash, fingerprint)
  values (p_key_hash, p_fingerprint)
  on conflict (key_hash) do nothing;
  if found then
    return;
  end if;
  select * into used from idempotency_keys where key_hash = p_key_hash for update;
  if not found then
    perform refuse('busy');
  elsif used.created_at < now() - interval '24 hours' then
    update idempotency_keys
    set fingerprint = p_fingerprint, answer = null, subject_id = null, created_at = now()
    where key_hash = p_key_hash;
  elsif used.answer is null then
    perform refuse('idempotency-key-spent');
  elsif used.fingerprint <> p_fingerprint then
    perform refuse('idempotency-key-reused');
  else
    perform refuse('idempotency-key-replayed');
  end if;
end
$$;

-- The answers about a thing, forgotten: see idempotency_keys.
create function forget_answers(p_subject_id uuid) returns void
language sql
begin atomic
  update idempotency_keys
  set answer = null, fingerprint = null
  where subject_id = p_subject_id;
end;

-- A user and the counter that belongs to it.
create function create_user(p_username text, p_email text, p_password_hash text, p_role text) returns users
language plpgsql as $$
declare
  made users;
begin
  insert into users (username, email, password_hash, role)
  values (p_username, p_email, p_password_hash, p_role)
  returning * into made;
  insert into loan_counters (user_id) values (made.id);
  return made;
end
$$;

-- Opens a session after the password was found right. p_seen_hash is the hash that it was compared with: a
-- password changed meanwhile opens nothing. The oldest sessions above twenty end.
create function log_in(
  p_user_id uuid, p_seen_hash text, p_new_hash text, p_token_hash bytea, p_device_name text
) returns sessions
language plpgsql as $$
declare
  account users;
  opened sessions;
begin
  select * into account from users where id = p_user_id for update;
  if not found or account.password_hash <> p_seen_hash then
    perform refuse('wrong-credentials');
  end if;
  if account.suspended_at is not null then
    perform refuse('account-suspended');
  end if;
  if p_new_hash is not null then
    update users set password_hash = p_new_hash where id = p_user_id;
  end if;
  delete from sessions
  where id in (select id from sessions where user_id = p_user_id order by last_used_at desc, id desc offset 19);
  insert into sessions (user_id, device_name, expires_at)
  values (p_user_id, p_device_name, now() + interval '90 days')
  returning * into opened;
  insert into refresh_tokens (token_hash, session_id, expires_at)
  values (p_token_hash, opened.id, now() + interval '14 days');
  return opened;
end
$$;

-- Ends every session but the one that asks, whose refresh tokens stay good. p_seen_hash: see log_in.
create function change_password(p_user_id uuid, p_session_id uuid, p_seen_hash text, p_new_hash text) returns void
language plpgsql as $$
begin
  update users
  set password_hash = p_new_hash, updated_at = now()
  where id = p_user_id and password_hash = p_seen_hash;
  if not found then
    perform refuse('wrong-password');
  end if;
  delete from sessions where user_id = p_user_id and id <> p_session_id;
end
$$;

-- Suspends a user and ends their sessions. The row is locked first, so that a login which was under way when the
-- suspension came does not keep its session.
create function suspend_user(p_user_id uuid, p_reason text) returns users
language plpgsql as $$
declare
  account users;
begin
  update users
  set suspended_at = coalesce(suspended_at, now()), suspension_reason = p_reason, updated_at = now()
  where id = p_user_id
  returning * into account;
  if not found then
    perform refuse('user-not-found');
  end if;
  delete from sessions where user_id = p_user_id;
  return account;
end
$$;

-- Spends a refresh token and stores its successor. Within ten seconds the same token is an honest retry and
-- gets the first one's nonce again; after that its reuse means that two parties hold it, and ends the
-- session. Ending must survive, so the outcome is a column and not an exception.
create function refresh_session(
  p_token_hash bytea, p_nonce bytea, p_successor_hash bytea,
  out outcome text, out nonce bytea, out rotated_at timestamptz, out session sessions, out user_role text
)
language plpgsql as $$
declare
  token refresh_tokens;
  account users;
begin
  outcome := 'refresh-token-invalid';
  select * into token from refresh_tokens where token_hash = p_token_hash for update;
  if not found then
    return;
  end if;
  select * into session from sessions where id = token.session_id for update;
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

-- Lends a copy: any copy of a book, or the one with this barcode. The limit is held by the counter's row.
create function check_out(p_user_id uuid, p_book_id uuid, p_format text, p_barcode text) returns loans
language plpgsql as $$
declare
  account users;
  terms policies;
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
    select * into chosen from copies where barcode = p_barcode and removed_at is null for update;
    if not found then
      perform refuse('copy-not-found');
    end if;
    p_book_id := chosen.book_id;
  elsif not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse('book-not-found');
  end if;

  if exists (select from loans where user_id = p_user_id and book_id = p_book_id and returned_at is null) then
    perform refuse('already-on-loan');
  end if;

  if p_barcode is null then
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
  elsif not can_be_lent(chosen) then
    perform refuse('copy-not-available');
  end if;

  update copies set state = 'on_loan', loans_left = loans_left - 1 where id = chosen.id;
  insert into loans (user_id, copy_id, book_id, format, due_at)
  values (
    p_user_id, chosen.id, chosen.book_id, chosen.format,
    least(now() + make_interval(days => terms.loan_days), chosen.licence_ends_at)
  )
  returning * into made;
  return made;
end
$$;

-- Takes a copy back and forgets who had it, in one. p_owner_id: whose loan it must be; null for anyone's. A
-- second return changes nothing. A returned loan is nobody's, so whoever knows its id may see that it is.
create function check_in(p_loan_id uuid, p_owner_id uuid) returns loans
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
  update copies set state = 'available' where id = loan.copy_id;
  perform forget_answers(p_loan_id);
  update loans set returned_at = now(), user_id = null where id = p_loan_id returning * into loan;
  return loan;
end
$$;

-- Extends a loan by the policy's period from today, never past the end of a licence, never to an earlier day.
create function renew(p_loan_id uuid, p_owner_id uuid) returns loans
language plpgsql as $$
declare
  loan loans;
  terms policies;
  licence_end timestamptz;
  extended timestamptz;
begin
  select * into loan from loans where id = p_loan_id for update;
  if not found or (p_owner_id is not null and loan.user_id is distinct from p_owner_id) then
    perform refuse('loan-not-found');
  end if;
  if loan.returned_at is not null then
    perform refuse('loan-returned');
  end if;
  if exists (select from users where id = loan.user_id and suspended_at is not null) then
    perform refuse('patron-suspended');
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

-- Adds a copy, unless the book is being removed.
create function add_copy(
  p_book_id uuid, p_format text, p_barcode text, p_call_number text, p_licence_ends_at timestamptz,
  p_loans_left integer
) returns copies
language plpgsql as $$
declare
  made copies;
begin
  perform from books where id = p_book_id and removed_at is null for share;
  if not found then
    perform refuse('book-not-found');
  end if;
  insert into copies (book_id, format, barcode, call_number, licence_ends_at, loans_left)
  values (p_book_id, p_format, p_barcode, p_call_number, p_licence_ends_at, p_loans_left)
  returning * into made;
  return made;
end
$$;

-- Takes a book and its copies out of the catalogue, unless a copy is on loan. Past loans keep pointing at it.
-- p_versions are those that the caller has seen; null: whatever it is.
create function remove_book(p_book_id uuid, p_versions integer[]) returns void
language plpgsql as $$
declare
  book books;
begin
  perform from copies where book_id = p_book_id and removed_at is null order by id for update;
  select * into book from books where id = p_book_id and removed_at is null for update;
  if not found then
    perform refuse('book-not-found');
  end if;
  if book.version <> all (p_versions) then
    perform refuse('precondition-failed');
  end if;
  if exists (select from loans where book_id = p_book_id and returned_at is null) then
    perform refuse('book-on-loan');
  end if;
  update copies set removed_at = now(), version = version + 1 where book_id = p_book_id and removed_at is null;
  update books set removed_at = now(), version = version + 1 where id = p_book_id;
end
$$;

create function remove_copy(p_copy_id uuid, p_versions integer[]) returns void
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
  end if;
  update copies set removed_at = now(), version = version + 1 where id = p_copy_id;
end
$$;

-- Deletes what has run out, at most p_limit rows of a kind, and says how many.
create function clear_away(p_limit integer) returns integer
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
  return total + cleared;
end
$$;
