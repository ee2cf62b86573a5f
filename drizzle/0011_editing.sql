-- After this migration staff see what became of a record and take it back, merge books that are there twice, find those that
-- may be, and change many in one go.

-- History --------------------------------------------------------------------------------------------------

-- Each version of a record, as book_record gives it, with when and by which member of staff it came about; null: by the
-- library itself. Who is erased is forgotten here, whatever they have under way.
create table book_revisions (
  book_id uuid not null,
  version integer not null,
  kind text not null,
  record jsonb not null,
  changed_at timestamptz not null default now(),
  actor_id uuid,
  constraint book_revisions_pkey primary key (book_id, version),
  constraint book_revisions_book_fkey foreign key (book_id) references books (id) on delete cascade,
  constraint book_revisions_actor_user_fkey foreign key (actor_id) references users (id) on delete set null,
  constraint book_revisions_kind_known check (
    kind in ('found', 'catalogued', 'imported', 'changed', 'reverted', 'merged', 'merged-away', 'removed')
  )
);
create index book_revisions_by_actor on book_revisions (actor_id) where actor_id is not null;

create trigger book_revisions_append_only before update on book_revisions
for each row execute function refuse_change();

insert into book_revisions (book_id, version, kind, record, changed_at)
select b.id, b.version, case when b.removed_at is null then 'found' else 'removed' end, book_record(b), b.updated_at
from books b;

-- Says to the trigger below, until it says something else, what kind of change follows; null: what it looks like.
create function edit_as(p_kind text) returns void
language plpgsql as $$
begin
  perform set_config('lectern.edit', coalesce(p_kind, ''), true);
end
$$;

create function keep_book_revision() returns trigger
language plpgsql as $$
begin
  if new.version = old.version then
    if book_record(new) <> book_record(old) or (new.removed_at is null) <> (old.removed_at is null) then
      raise exception 'a book that changes has another version';
    end if;
    return null;
  end if;
  insert into book_revisions (book_id, version, kind, record, actor_id)
  values (
    new.id, new.version,
    coalesce(
      nullif(current_setting('lectern.edit', true), ''),
      case when new.removed_at is not null then 'removed' else 'changed' end
    ),
    book_record(new), acting_staff()
  );
  return null;
end
$$;

create trigger books_keep_revision after update on books
for each row execute function keep_book_revision();

-- A new version with the record of an old one. Fields that records did not have then stay as they are. An ISBN that
-- another book has by now is refused by book_isbns_unique.
create function revert_book(p_book_id uuid, p_versions integer[], p_version integer) returns books
language plpgsql as $$
declare
  book books;
  kept jsonb;
begin
  select * into book from books where id = p_book_id and removed_at is null for no key update;
  if not found then
    perform refuse('book-not-found');
  end if;
  if book.version <> all (p_versions) then
    perform refuse('precondition-failed');
  end if;
  select record into kept from book_revisions where book_id = p_book_id and version = p_version;
  if not found then
    perform refuse('revision-not-found');
  end if;
  perform edit_as('reverted');
  book := update_book(p_book_id, book_record(book) || kept);
  perform edit_as(null);
  return book;
end
$$;

-- Merges ---------------------------------------------------------------------------------------------------

-- Books that were merged into another, which may not itself be one of them: when that is merged on, so are they.
create table book_redirects (
  book_id uuid not null,
  survivor_id uuid not null,
  merged_at timestamptz not null default now(),
  constraint book_redirects_pkey primary key (book_id),
  constraint book_redirects_book_fkey foreign key (book_id) references books (id) on delete cascade,
  constraint book_redirects_survivor_fkey foreign key (survivor_id) references books (id) on delete cascade,
  constraint book_redirects_lead_elsewhere check (book_id <> survivor_id)
);
create index book_redirects_by_survivor on book_redirects (survivor_id);

-- The book that a book has become part of, or itself. Volatile, so that it sees a merge that was waited for.
create function current_book(p_book_id uuid) returns uuid
language plpgsql as $$
begin
  return coalesce((select survivor_id from book_redirects where book_id = p_book_id), p_book_id);
end
$$;

-- Refuses, since the book is not there, and says where it has gone if it was merged. Detail is JSON, and for src/db/client.ts.
create function refuse_book(p_book_id uuid) returns json
language plpgsql as $$
declare
  survivor uuid := current_book(p_book_id);
begin
  if survivor <> p_book_id and exists (select from books where id = survivor and removed_at is null) then
    raise exception using
      errcode = 'LN001', message = 'book-merged', detail = json_build_object('survivor', survivor)::text;
  end if;
  return refuse_json('book-not-found');
end
$$;

create or replace function require_book(p_book_id uuid) returns void
language plpgsql as $$
begin
  if not exists (select from books where id = p_book_id and removed_at is null) then
    perform refuse_book(p_book_id);
  end if;
end
$$;

-- As before, and: the queue of a book that was merged, perhaps while this waited, is that of the other. Answers whose it is.
drop function lock_queue(uuid);
create function lock_queue(p_book_id uuid) returns uuid
language plpgsql as $$
begin
  perform hold_calendar();
  loop
    perform from books where id = p_book_id for no key update;
    exit when not exists (select from book_redirects where book_id = p_book_id);
    p_book_id := current_book(p_book_id);
  end loop;
  return p_book_id;
end
$$;

-- As before, and: of the book that this one is now.
create or replace function place_hold(p_user_id uuid, p_book_id uuid, p_format text, p_override_reason text) returns holds
language plpgsql as $$
declare
  account users := lock_patron(p_user_id);
  terms policies := policy_for(account.category, p_format);
  overridden text[];
  made holds;
begin
  p_book_id := lock_queue(p_book_id);
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

-- As before, and: a book that was merged, perhaps while this waited for a copy, is lent as the other.
create or replace function check_out(
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
    p_book_id := current_book(p_book_id);
    if not exists (select from books where id = p_book_id and removed_at is null) then
      perform refuse('book-not-found');
    end if;
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
    if chosen.id is null and current_book(p_book_id) <> p_book_id then
      p_book_id := current_book(p_book_id);
      chosen := choose_copy(p_book_id, p_format, own, true);
    end if;
  end if;
  p_book_id := coalesce(chosen.book_id, p_book_id);
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

-- As before, and: says where a book that was merged has gone.
create or replace function eligibility(p_user_id uuid, p_book_id uuid, p_format text) returns json
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
  perform require_book(p_book_id);
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

-- As before, and: what a merge has moved since it was listed is left for the next run.
create or replace function end_digital_loans(p_limit integer) returns integer
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
    where l.id = due.id and l.book_id = due.book_id and l.returned_at is null and l.due_at <= clock() for update skip locked;
    continue when not found;
    perform end_loan(due, false);
    perform offer_copy(due.copy_id);
    ended := ended + 1;
  end loop;
  return ended;
end
$$;

create or replace function expire_licences(p_limit integer) returns integer
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
    where c.id = ended.id and c.book_id = ended.book_id and c.removed_at is null
      and c.state in ('available', 'on_hold') and c.licence_ends_at <= clock()
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

create or replace function wake_holds(p_limit integer) returns integer
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
    where id = asleep.id and book_id = asleep.book_id and suspended_until <= today()
    returning * into asleep;
    continue when not found;
    perform record_event('hold.resumed', asleep.id, asleep.book_id, null, asleep.user_id, null);
    perform serve_queue(asleep.book_id);
    woken := woken + 1;
  end loop;
  return woken;
end
$$;

-- Who has one of these books, or waits for it.
create function patrons_of_books(p_book_ids uuid[]) returns uuid[]
language plpgsql as $$
begin
  return array(
    select user_id from loans where book_id = any (p_book_ids) and returned_at is null
    union
    select user_id from holds where book_id = any (p_book_ids)
  );
end
$$;

-- The record of the book that stays: what is empty in it comes from the other, ISBNs and identifiers from both.
create function merged_record(p_stays jsonb, p_goes jsonb) returns jsonb
language sql immutable
return (
  select jsonb_object_agg(
    s.key,
    case
      when s.key in ('isbns', 'identifiers') then s.value || (
        select coalesce(jsonb_agg(g.value order by g.place), '[]')
        from jsonb_array_elements(p_goes -> s.key) with ordinality as g (value, place)
        where not s.value @> jsonb_build_array(g.value)
      )
      when s.value in ('null', '[]') then p_goes -> s.key
      else s.value
    end
  )
  from jsonb_each(p_stays) as s
);

-- Takes two books whole: everybody who has one or waits for it, the books, their copies, loans and holds, in the one order.
-- Whoever borrowed while this waited for their copy was not taken, so it gives everything back and begins again.
create function lock_books_whole(p_book_ids uuid[]) returns void
language plpgsql as $$
declare
  patrons uuid[];
begin
  perform hold_calendar();
  for attempt in 1..5 loop
    begin
      patrons := patrons_of_books(p_book_ids);
      perform from loan_counters where user_id = any (patrons) order by user_id for update;
      perform from books where id = any (p_book_ids) order by id for no key update;
      perform from copies where book_id = any (p_book_ids) order by id for update;
      if not patrons_of_books(p_book_ids) <@ patrons then
        raise exception using errcode = 'LN002';
      end if;
      perform from loans where book_id = any (p_book_ids) and returned_at is null order by id for update;
      perform from holds where book_id = any (p_book_ids) order by id for update;
      return;
    exception when sqlstate 'LN002' then null;
    end;
  end loop;
  perform refuse('busy');
end
$$;

-- Ends a hold that has become one too many. Its copy is for the caller to offer.
create function drop_hold(p_hold holds) returns void
language plpgsql as $$
begin
  delete from holds where id = p_hold.id;
  perform record_event(
    'hold.cancelled', p_hold.id, p_hold.book_id, p_hold.copy_id, null, jsonb_build_object('because', 'books-merged')
  );
  perform forget_patron_of(p_hold.id);
end
$$;

-- A patron with a hold on each of two books keeps one, in the earlier of the two places: the one for which a copy is
-- ready, else the earlier. It waits for either format if the two were for different ones. Who has one of the books on loan
-- does not wait for the other any more. Answers the copies that this frees. The caller has taken both books whole.
create function unite_holds(p_stays uuid, p_goes uuid) returns uuid[]
language plpgsql as $$
declare
  pair record;
  kept holds;
  dropped holds;
  freed uuid[] := '{}';
begin
  for dropped in
    select h.* from holds h
    join loans l on l.user_id = h.user_id and l.returned_at is null
    where (h.book_id, l.book_id) in ((p_stays, p_goes), (p_goes, p_stays))
    order by h.place
  loop
    perform drop_hold(dropped);
    freed := freed || dropped.copy_id;
  end loop;
  for pair in
    select s as here, g as there
    from holds s
    join holds g on g.user_id = s.user_id
    where s.book_id = p_stays and g.book_id = p_goes
    order by s.place
  loop
    kept := pair.here;
    dropped := pair.there;
    if (dropped.copy_id is null, dropped.place) < (kept.copy_id is null, kept.place) then
      kept := pair.there;
      dropped := pair.here;
    end if;
    perform drop_hold(dropped);
    freed := freed || dropped.copy_id;
    update holds
    set place = least(kept.place, dropped.place),
      placed_at = least(kept.placed_at, dropped.placed_at),
      format = case when kept.format = dropped.format then kept.format end,
      suspended_until = case
        when kept.suspended_until is not null and dropped.suspended_until is not null
          then least(kept.suspended_until, dropped.suspended_until)
      end
    where id = kept.id;
  end loop;
  return array_remove(freed, null);
end
$$;

-- Makes one book of two: what hangs on p_gone_id moves to p_book_id, and its id leads there from now on.
create function merge_books(p_book_id uuid, p_versions integer[], p_gone_id uuid, p_gone_version integer) returns jsonb
language plpgsql as $$
declare
  stays books;
  goes books;
  freed uuid[];
  free uuid;
  moved jsonb;
begin
  if p_book_id = p_gone_id then
    perform refuse('same-book');
  end if;
  if (select count(*) from books where id in (p_book_id, p_gone_id) and removed_at is null) < 2 then
    perform refuse('book-not-found');
  end if;
  perform lock_books_whole(array[p_book_id, p_gone_id]);
  select * into stays from books where id = p_book_id;
  select * into goes from books where id = p_gone_id;
  if stays.removed_at is not null or goes.removed_at is not null then
    perform refuse('book-not-found');
  end if;
  if stays.version <> all (p_versions) or goes.version <> p_gone_version then
    perform refuse('precondition-failed');
  end if;
  if exists (
    select from loans s
    join loans g on g.user_id = s.user_id and g.returned_at is null
    where s.book_id = p_book_id and g.book_id = p_gone_id and s.returned_at is null
  ) then
    perform refuse('both-on-loan');
  end if;
  freed := unite_holds(p_book_id, p_gone_id);
  moved := jsonb_build_object(
    'copies', (select count(*) from copies where book_id = p_gone_id and removed_at is null),
    'loans', (select count(*) from loans where book_id = p_gone_id and returned_at is null),
    'holds', (select count(*) from holds where book_id = p_gone_id)
  );

  perform edit_as('merged-away');
  update books set removed_at = now(), version = version + 1 where id = p_gone_id;
  perform edit_as('merged');
  stays := update_book(p_book_id, merged_record(book_record(stays), book_record(goes)));
  perform edit_as(null);
  update book_redirects set survivor_id = p_book_id where survivor_id = p_gone_id;
  insert into book_redirects (book_id, survivor_id) values (p_gone_id, p_book_id);

  update copies set book_id = p_book_id, version = version + 1, updated_at = clock() where book_id = p_gone_id;
  update loans set book_id = p_book_id where book_id = p_gone_id;
  update holds set book_id = p_book_id where book_id = p_gone_id;
  update marc_records set book_id = p_book_id
  where book_id = p_gone_id and not exists (select from marc_records where book_id = p_book_id);
  foreach free in array freed loop
    perform offer_copy(free);
  end loop;
  perform serve_queue(p_book_id);
  perform record_event(
    'book.merged', p_book_id, p_book_id, null, null, moved || jsonb_build_object('mergedBookId', p_gone_id)
  );
  return moved || jsonb_build_object('bookId', p_book_id, 'mergedBookId', p_gone_id, 'version', stays.version);
end
$$;

-- Duplicates -----------------------------------------------------------------------------------------------

-- What a title is compared by: without accents, case, punctuation, and the article in front.
create function title_core(title text) returns text
language plpgsql immutable strict parallel safe as $$
declare
  bare text := btrim(regexp_replace(fold(title), '[[:punct:][:space:]]+', ' ', 'g'));
  core text := regexp_replace(
    bare, '^(the|an?|der|die|das|ein|eine|les?|la|une?|el|los|las|una|il|lo|gli|os?|as|um|uma|de|het|een) ', ''
  );
begin
  return coalesce(nullif(core, ''), nullif(bare, ''), fold(title));
end
$$;

-- The family name, as far as it can be told: "Jane Austen" and "Austen, Jane" are one.
create function name_core(name text) returns text
language plpgsql immutable strict parallel safe as $$
declare
  family text := btrim(regexp_replace(split_part(fold(name), ',', 1), '[[:punct:][:space:]]+', ' ', 'g'));
begin
  return substring(family from '[^ ]*$');
end
$$;

-- An identifier without what differs by habit: the prefixes of DOIs and of OCLC's numbers, and LCCNs as the Library of
-- Congress normalizes them. Null for schemes that do not tell one edition from another.
create function identifier_core(scheme text, value text) returns text
language sql immutable strict parallel safe
return nullif(
  case scheme
    when 'doi' then regexp_replace(lower(btrim(value)), '^(https?://(dx[.])?doi[.]org/|doi:\s*)', '')
    when 'oclc' then regexp_replace(lower(value), '^\s*([(]ocolc[)])?\s*(ocm|ocn|on)?0*|\s+$', '', 'g')
    when 'lccn' then regexp_replace(
      split_part(lower(regexp_replace(value, '\s', '', 'g')), '/', 1), '-(\d+)$',
      lpad(coalesce(substring(value from '-\s*(\d+)'), ''), 6, '0')
    )
  end,
  ''
);

-- What books that may be the same have in common, one row a thing, hashed so that a row is small: so many that a whole
-- catalogue can be read in the order of the keys. Of a title also the year and the edition.
create table book_keys (
  book_id uuid not null,
  key uuid not null,
  kind text not null,
  year smallint,
  edition integer,
  constraint book_keys_pkey primary key (book_id, key),
  constraint book_keys_book_fkey foreign key (book_id) references books (id) on delete cascade,
  constraint book_keys_kind_known check (kind in ('title', 'doi', 'oclc', 'lccn'))
);
create index book_keys_by_key on book_keys (key, book_id, kind, year, edition);

create function keys_of_book(b books) returns setof book_keys
language sql stable
begin atomic
  select
    b.id,
    md5('title ' || title_core(b.title) || ' | ' || coalesce(name_core(b.contributors -> 0 ->> 'name'), ''))::uuid,
    'title', b.published_year, hashtext(fold(b.edition))
  union
  select b.id, md5(i.scheme || ' ' || i.core)::uuid, i.scheme, null, null
  from (
    select t ->> 'scheme' as scheme, identifier_core(t ->> 'scheme', t ->> 'value') as core
    from jsonb_array_elements(b.identifiers) as t
  ) as i
  where i.core <> '';
end;

create function keep_book_keys() returns trigger
language plpgsql as $$
begin
  delete from book_keys where book_id = new.id;
  if new.removed_at is null then
    insert into book_keys select * from keys_of_book(new);
  end if;
  return null;
end
$$;

create trigger books_keep_keys
after update of title, contributors, published_year, edition, identifiers, removed_at on books
for each row execute function keep_book_keys();

insert into book_keys select k.* from books b, keys_of_book(b) k where b.removed_at is null;

-- Pairs of which staff have said that they are two books.
create table book_distinctions (
  book_id uuid not null,
  other_id uuid not null,
  made_at timestamptz not null default now(),
  constraint book_distinctions_pkey primary key (book_id, other_id),
  constraint book_distinctions_book_fkey foreign key (book_id) references books (id) on delete cascade,
  constraint book_distinctions_other_fkey foreign key (other_id) references books (id) on delete cascade,
  constraint book_distinctions_in_order check (book_id < other_id)
);
create index book_distinctions_by_other on book_distinctions (other_id);

-- The books that share a key and may be the same, the first twenty: the year is the same or not known, or the edition is
-- the same. Null where there are not two of them, or staff have told each from each.
create function likely_duplicates(p_key uuid) returns uuid[]
language sql stable
return (
  with sharing as (
    select * from book_keys where key = p_key order by book_id limit 20
  ),
  likely as (
    select array_agg(s.book_id order by s.book_id) as ids
    from sharing s
    where exists (
      select from sharing o
      where o.book_id <> s.book_id
        and (s.kind <> 'title' or s.year is null or o.year is null or s.year = o.year or s.edition = o.edition)
    )
  )
  select l.ids from likely l
  where cardinality(l.ids) * (cardinality(l.ids) - 1) / 2 > (
    select count(*) from book_distinctions d where d.book_id = any (l.ids) and d.other_id = any (l.ids)
  )
);

create function distinguish_books(p_book_ids uuid[]) returns void
language plpgsql as $$
begin
  if (select count(*) from books where id = any (p_book_ids) and removed_at is null) < cardinality(p_book_ids) then
    perform refuse('book-not-found');
  end if;
  insert into book_distinctions (book_id, other_id)
  select a, b from unnest(p_book_ids) as a, unnest(p_book_ids) as b where a < b order by a, b
  on conflict do nothing;
  perform record_event(
    'book.distinguished', p_book_ids[1], p_book_ids[1], null, null, jsonb_build_object('bookIds', to_jsonb(p_book_ids))
  );
end
$$;

-- Many at once ---------------------------------------------------------------------------------------------

-- One of {id, version, change} or {id, version, remove}. Answers the new version; null: removed.
create function edit_book(p_edit jsonb) returns integer
language plpgsql as $$
declare
  book books;
begin
  select * into book from books where id = (p_edit ->> 'id')::uuid and removed_at is null;
  if not found then
    perform refuse('book-not-found');
  end if;
  if book.version <> (p_edit ->> 'version')::integer then
    perform refuse('precondition-failed');
  end if;
  if p_edit ? 'change' then
    book := update_book(book.id, book_record(book) || (p_edit -> 'change'));
    return book.version;
  end if;
  perform remove_book(book.id, null);
  return null;
end
$$;

-- Makes these edits in their order, each book once: those that it can, or all of them. What was refused is told by its place
-- and the name of its problem; where all or nothing is asked for, in the detail of the refusal, for src/db/client.ts.
create function edit_books(p_edits jsonb, p_each boolean) returns jsonb
language plpgsql as $$
declare
  edit jsonb;
  place integer := 0;
  made integer;
  refusal text;
  violated text;
  results jsonb := '[]';
  refused jsonb := '[]';
begin
  perform from books
  where id in (select (e ->> 'id')::uuid from jsonb_array_elements(p_edits) as e)
  order by id for no key update;
  for edit in select e from jsonb_array_elements(p_edits) as e loop
    refusal := null;
    made := null;
    begin
      made := edit_book(edit);
    exception
      when sqlstate 'LN001' then
        refusal := sqlerrm;
      when unique_violation then
        get stacked diagnostics violated = constraint_name;
        if violated <> 'book_isbns_unique' then
          raise;
        end if;
        refusal := 'isbn-taken';
    end;
    if refusal is not null then
      refused := refused || jsonb_build_object('place', place, 'problem', refusal);
    end if;
    results := results || jsonb_build_object(
      'id', edit ->> 'id',
      'outcome', case when refusal is not null then 'refused' when made is null then 'removed' else 'changed' end,
      'version', made,
      'problem', refusal
    );
    place := place + 1;
  end loop;
  if not p_each and refused <> '[]' then
    raise exception using
      errcode = 'LN001', message = refused -> 0 ->> 'problem', detail = jsonb_build_object('refused', refused)::text;
  end if;
  return jsonb_build_object('results', results);
end
$$;

-- Privacy --------------------------------------------------------------------------------------------------

-- As before, and: the history of records forgets who, too.
create or replace function erase_user(p_user_id uuid, out receipt erasures, out recipient text)
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
    'feeEntries', (select count(*) from fee_entries where actor_id = p_user_id),
    'revisions', (select count(*) from book_revisions where actor_id = p_user_id)
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
  update book_revisions set actor_id = null where actor_id = p_user_id;
  -- The account itself was answered to whoever registered with an Idempotency-Key.
  update idempotency_keys set answer = null, fingerprint = null, subject_id = null where subject_id = p_user_id;
  -- First the sessions, then their tokens: the order in which refresh_session locks them.
  perform from sessions where user_id = p_user_id order by id for update;
  delete from users where id = p_user_id;
end
$$;

-- New books -----------------------------------------------------------------------------------------------

-- Of all that a statement has made, at once: to begin a statement costs more than to add a row. A book that was made just now
-- has no copies.
create function keep_new_books() returns trigger
language plpgsql as $$
begin
  insert into book_isbns (isbn, book_id)
  select i.isbn, b.id from made b, unnest(b.isbns) as i (isbn) where b.removed_at is null;

  insert into book_keys
  select k.* from made b, keys_of_book(b.*::books) as k where b.removed_at is null;

  insert into book_search (book_id, title_key, published_year, names, words, facets)
  select s.book_id, s.title_key, s.published_year, s.names, s.words, s.facets
  from made b, searched_of(b.*::books, '{}') as s
  where b.removed_at is null;

  insert into unlearned_books (book_id) select b.id from made b where b.removed_at is null;

  insert into book_revisions (book_id, version, kind, record, actor_id)
  select b.id, b.version, coalesce(nullif(current_setting('lectern.edit', true), ''), 'catalogued'), book_record(b.*::books),
    acting_staff()
  from made b;
  return null;
end
$$;

create trigger books_keep_new after insert on books
referencing new table as made
for each statement execute function keep_new_books();

drop trigger books_keep_isbns on books;
create trigger books_keep_isbns after update of isbns, removed_at on books
for each row execute function keep_book_isbns();

-- What of this the Worker may (0004_worker_role.sql).
grant select, insert (book_id, version, kind, record, actor_id), update (actor_id) on book_revisions to lectern_worker;
grant select, insert (book_id, survivor_id), update (survivor_id) on book_redirects to lectern_worker;
grant select, insert, delete on book_keys to lectern_worker;
grant select, insert (book_id, other_id) on book_distinctions to lectern_worker;
grant update (book_id) on loans to lectern_worker;
grant select, update on marc_records to lectern_worker;
revoke execute on function
  edit_as, keep_book_revision, revert_book, current_book, refuse_book, lock_queue, patrons_of_books, merged_record,
  lock_books_whole, drop_hold, unite_holds, merge_books, title_core, name_core, identifier_core, keys_of_book,
  keep_book_keys, likely_duplicates, distinguish_books, edit_book, edit_books, keep_new_books
from public;
grant execute on function
  book_record, texts_in, update_book, edit_as, revert_book, current_book, refuse_book, lock_queue, patrons_of_books,
  merged_record, lock_books_whole, drop_hold, unite_holds, merge_books, title_core, name_core, identifier_core,
  keys_of_book, likely_duplicates, distinguish_books, edit_book, edit_books
to lectern_worker;
