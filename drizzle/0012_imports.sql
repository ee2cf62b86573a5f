-- After this migration staff import whole catalogues: each record of a file is created, updated, merged, left as it is or
-- refused, with a verdict that stays to be read, and an import is undone as a whole.

create table imports (
  id uuid not null default uuidv7(),
  source text not null,
  format text not null,
  dry_run boolean not null,
  begun_at timestamptz not null default now(),
  ended_at timestamptz,
  undo_begun_at timestamptz,
  undone_at timestamptz,
  created integer not null default 0,
  updated integer not null default 0,
  merged integer not null default 0,
  unchanged integer not null default 0,
  refused integer not null default 0,
  removed integer not null default 0,
  restored integer not null default 0,
  kept integer not null default 0,
  constraint imports_pkey primary key (id),
  constraint imports_source_bounded check (length(source) between 1 and 200),
  constraint imports_format_known check (format in ('marc', 'marcxml', 'csv', 'jsonl')),
  constraint imports_undo_in_order check (undone_at is null or undo_begun_at is not null)
);

-- One a record of the file, by its place there. before: the book as it was, and the MARC record that was kept of it; after:
-- what a dry run would have made of it; after_digest: what the import made of it, by which an undo sees whether it has been
-- changed since. record_key and digest say which record of its source this is and what it said. In a dry run book_id may
-- name a book that was never made. raw: what was refused, byte for byte.
create table import_records (
  import_id uuid not null,
  position integer not null,
  verdict text not null,
  matched_by text,
  reason text,
  notes jsonb not null default '[]',
  book_id uuid,
  control_number text,
  control_system text,
  record_key bytea,
  digest bytea,
  before jsonb,
  after jsonb,
  after_digest bytea,
  raw bytea,
  undo text,
  undo_reason text,
  constraint import_records_pkey primary key (import_id, position),
  constraint import_records_import_fkey foreign key (import_id) references imports (id) on delete cascade,
  constraint import_records_position_positive check (position > 0),
  constraint import_records_verdict_known check (verdict in ('created', 'updated', 'merged', 'unchanged', 'refused')),
  constraint import_records_match_known check (matched_by in ('control-number', 'earlier-import', 'isbn', 'title')),
  constraint import_records_control_number_bounded check (length(control_number) <= 100),
  constraint import_records_control_system_bounded check (length(control_system) <= 40),
  constraint import_records_refused_has_reason check ((verdict = 'refused') = (reason is not null)),
  constraint import_records_raw_bounded check (length(raw) <= 99999),
  constraint import_records_undo_known check (undo in ('removed', 'restored', 'kept'))
);
create index import_records_by_verdict on import_records (import_id, verdict, position);
create index import_records_by_book on import_records (book_id, record_key) where book_id is not null;
create index import_records_by_record on import_records (record_key, digest) where book_id is not null;
create index import_records_to_undo on import_records (import_id, position)
where undo is null and verdict in ('created', 'updated', 'merged');

-- By what a dry run finds the books that it has not made.
create table import_keys (
  import_id uuid not null,
  key bytea not null,
  book_id uuid not null,
  constraint import_keys_pkey primary key (import_id, key, book_id),
  constraint import_keys_import_fkey foreign key (import_id) references imports (id) on delete cascade
);

-- Whether two records are of one book ----------------------------------------------------------------------

-- A name whichever way round it is written: Austen, Jane, 1775-1817 is Jane Austen.
create function name_key(name text) returns text
language sql immutable strict parallel safe
return (
  select string_agg(word, ' ' order by word collate "C")
  from regexp_split_to_table(fold(name), '[[:space:][:punct:][:digit:]]+') as word
  where word <> ''
);

create function is_empty(field jsonb) returns boolean
language sql immutable parallel safe
return field is null or field in ('null', '[]');

-- Two records with one title are of one book when their first contributors are the same and nothing that both of them say
-- speaks against it. Another year, edition, language or ISBN is another edition.
create function is_same_edition(a jsonb, b jsonb) returns boolean
language sql immutable parallel safe
return coalesce(name_key(a #>> '{contributors,0,name}') = name_key(b #>> '{contributors,0,name}'), false)
  and coalesce(fold(a ->> 'subtitle') = fold(b ->> 'subtitle'), true)
  and coalesce((a ->> 'publishedYear') = (b ->> 'publishedYear'), true)
  and coalesce(fold(a ->> 'edition') = fold(b ->> 'edition'), true)
  and coalesce((a ->> 'language') = (b ->> 'language'), true)
  and (a -> 'isbns' = '[]' or b -> 'isbns' = '[]' or (a -> 'isbns') ?| texts_in(b -> 'isbns'));

-- Without those that any two titles may share.
create function words_of_title(record jsonb) returns text[]
language sql stable parallel safe
return array(
  select word
  from regexp_split_to_table(
    fold(concat_ws(' ', record ->> 'title', record ->> 'subtitle', record #>> '{originalScript,title}')),
    '[[:space:][:punct:]]+'
  ) as word
  where word <> all ('{"",the,a,an,and,of,in,to,le,la,les,de,des,du,et,der,die,das,und,el,los,las,y,il,i}')
);

create function key_digest(kind text, value text) returns bytea
language sql stable strict parallel safe
return sha256(convert_to(kind || ' ' || value, 'UTF8'));

-- What a record calls itself in its source: its control number; without one its first ISBN; without that its title and first
-- contributor.
create function record_key(record jsonb, control_number text, control_system text) returns bytea
language sql stable parallel safe
return case
  when control_number is not null then key_digest('control', control_system || ' ' || control_number)
  when record -> 'isbns' <> '[]' then key_digest('isbn', record #>> '{isbns,0}')
  else key_digest('title', concat_ws(' ', fold(record ->> 'title'), name_key(record #>> '{contributors,0,name}')))
end;

-- What is there of it ---------------------------------------------------------------------------------------

-- The record of a book as this import sees it: a dry run sees what it would have made.
create function record_seen(p_import imports, p_book_id uuid) returns jsonb
language plpgsql stable as $$
declare
  seen jsonb;
begin
  if p_import.dry_run then
    select after into seen from import_records
    where import_id = p_import.id and book_id = p_book_id and after is not null
    order by position desc limit 1;
  end if;
  if seen is null then
    select book_record(b) into seen from books b where b.id = p_book_id and b.removed_at is null;
  end if;
  return seen;
end
$$;

create function owners_of_isbn(p_import imports, p_isbn text) returns table (book_id uuid)
language sql stable
begin atomic
  select i.book_id from book_isbns i
  where i.isbn = p_isbn
    and (not p_import.dry_run or record_seen(p_import, i.book_id) -> 'isbns' ? p_isbn)
  union
  select k.book_id from import_keys k
  where k.import_id = p_import.id and k.key = key_digest('isbn', p_isbn)
    and record_seen(p_import, k.book_id) -> 'isbns' ? p_isbn;
end;

-- Whether the book is the one of another record of the same source: they have titles alike, and are two all the same.
create function is_of_another_number(p_import imports, p_book_id uuid, p_control_number text, p_control_system text)
returns boolean
language sql stable
return exists (
    select from marc_records m
    where m.book_id = p_book_id and m.control_system = p_control_system and m.control_number <> p_control_number
  )
  or exists (
    select from import_records r
    where r.import_id = p_import.id and r.book_id = p_book_id and r.verdict in ('created', 'updated')
      and r.control_system = p_control_system and r.control_number <> p_control_number
  );

-- What a record says, whole.
create function digest_of(record jsonb, marc jsonb) returns bytea
language sql stable parallel safe
return sha256(convert_to(record::text || coalesce(marc::text, ''), 'UTF8'));

-- A MARC record without what the leader says of how it was written down: its lengths and its encoding.
create function marc_said(marc jsonb) returns jsonb
language sql immutable strict parallel safe
return jsonb_set(
  marc, '{record,leader}',
  to_jsonb(substr(marc #>> '{record,leader}', 6, 4) || substr(marc #>> '{record,leader}', 18, 3))
);

-- The book that a record is of: by its control number; by the same record in an earlier import, whoever changed the book since;
-- by an ISBN; then by title and first contributor. What was refused is of no book.
create function match_record(p_import imports, p_given jsonb, out book_id uuid, out matched_by text)
language plpgsql stable as $$
declare
  given jsonb := p_given -> 'record';
  number text := p_given #>> '{marc,controlNumber}';
  system text := p_given #>> '{marc,controlSystem}';
  own_key bytea := record_key(given, number, system);
  own_digest bytea := digest_of(given, p_given -> 'marc');
  own_name text := name_key(given #>> '{contributors,0,name}');
begin
  matched_by := 'control-number';
  if number is not null then
    select m.book_id into match_record.book_id
    from marc_records m join books b on b.id = m.book_id and b.removed_at is null
    where m.control_number = number and m.control_system = system;
    if found then
      return;
    end if;
    select k.book_id into match_record.book_id from import_keys k where k.import_id = p_import.id and k.key = own_key;
    if found then
      return;
    end if;
  end if;

  matched_by := 'earlier-import';
  -- Materialized: the few records that say the same are found first, whatever the planner thinks of a young table.
  with same as materialized (
    select r.import_id, r.position, r.book_id from import_records r
    where r.record_key = own_key and r.digest = own_digest and r.book_id is not null and r.verdict <> 'refused'
  )
  select s.book_id into match_record.book_id
  from same s
  join imports i on i.id = s.import_id and (i.id = p_import.id or (not i.dry_run and i.undo_begun_at is null))
  where record_seen(p_import, s.book_id) is not null
  order by s.import_id desc, s.position
  limit 1;
  if found then
    return;
  end if;

  matched_by := 'isbn';
  select o.book_id into match_record.book_id
  from jsonb_array_elements_text(given -> 'isbns') with ordinality as t (isbn, place), owners_of_isbn(p_import, t.isbn) as o
  order by t.place
  limit 1;
  if found then
    return;
  end if;

  matched_by := 'title';
  select c.book_id into match_record.book_id
  from (
    select b.id as book_id from book_search s join books b on b.id = s.book_id
    where s.title_key collate "C" = title_line(given ->> 'title') and fold(b.title) = fold(given ->> 'title')
      and (p_import.dry_run or name_key(b.contributors #>> '{0,name}') = own_name)
    union
    select k.book_id from import_keys k
    where k.import_id = p_import.id and k.key = key_digest('title', fold(given ->> 'title'))
  ) as c,
  record_seen(p_import, c.book_id) as seen
  where fold(seen ->> 'title') = fold(given ->> 'title')
    and case
      when is_same_edition(seen, given) then not is_of_another_number(p_import, c.book_id, number, system)
      else false
    end
  order by (seen ->> 'publishedYear' = given ->> 'publishedYear') is true desc, c.book_id
  limit 1;
  if not found then
    matched_by := null;
  end if;
end
$$;

create function marc_kept(p_book_id uuid) returns jsonb
language sql stable
return (
  select jsonb_build_object('controlNumber', control_number, 'controlSystem', control_system, 'record', record)
  from marc_records where book_id = p_book_id
);

-- Null takes it away.
create function keep_marc(p_book_id uuid, p_marc jsonb) returns void
language plpgsql as $$
begin
  if p_marc is null then
    delete from marc_records where book_id = p_book_id;
    return;
  end if;
  insert into marc_records (book_id, control_number, control_system, record)
  values (p_book_id, p_marc ->> 'controlNumber', p_marc ->> 'controlSystem', p_marc -> 'record')
  on conflict (book_id) do update
  set control_number = excluded.control_number, control_system = excluded.control_system, record = excluded.record;
end
$$;

-- Importing -------------------------------------------------------------------------------------------------

-- What becomes of one record, and, but for a dry run, does it. p_given is a record of take_records that can be read.
--
-- What the source said before, word for word, changes nothing, whoever corrected the book in between. A record that its
-- source has changed is written over what it had; it takes nothing away that it does not speak of. A record that is of
-- a book from elsewhere, or of one that this import has had already, fills what is empty there.
create function take_record(p_import imports, p_given jsonb) returns import_records
language plpgsql as $$
declare
  taken import_records;
  given jsonb := p_given -> 'record';
  marc jsonb := nullif(p_given -> 'marc', 'null');
  number text := p_given #>> '{marc,controlNumber}';
  system text := p_given #>> '{marc,controlSystem}';
  old jsonb;
  new jsonb;
  is_own boolean;
  foreign_isbn text;
  is_known boolean;
  made books;
begin
  taken.import_id := p_import.id;
  taken.position := (p_given ->> 'position')::integer;
  taken.notes := p_given -> 'notes';
  taken.record_key := record_key(given, number, system);
  taken.digest := digest_of(given, p_given -> 'marc');
  taken.control_number := number;
  taken.control_system := system;
  select m.book_id, m.matched_by into taken.book_id, taken.matched_by from match_record(p_import, p_given) as m;
  if taken.book_id is not null then
    old := record_seen(p_import, taken.book_id);
  end if;

  if taken.matched_by = 'isbn' then
    if not words_of_title(old) && words_of_title(given) then
      taken.verdict := 'refused';
      taken.reason := format('its ISBN is of a book with quite another title: %s', left(old ->> 'title', 200));
      taken.raw := substring(convert_to(given::text, 'UTF8') for 99999);
      return taken;
    end if;
  end if;

  if taken.book_id is not null then
    with of_book as materialized (
      select r.import_id, r.digest from import_records r
      where r.book_id = taken.book_id and r.record_key = taken.record_key and r.import_id <> p_import.id
        and r.verdict <> 'refused'
    ),
    in_force as (
      select o.* from of_book o join imports i on i.id = o.import_id and not i.dry_run and i.undo_begun_at is null
    )
    select bool_or(f.digest = taken.digest) into is_known
    from in_force f
    where f.import_id = (select l.import_id from in_force l order by l.import_id desc limit 1);
  end if;
  if is_known then
    taken.verdict := 'unchanged';
    return taken;
  end if;

  -- What is another book's cannot be this one's as well.
  for foreign_isbn in
    select t.isbn
    from jsonb_array_elements_text(given -> 'isbns') as t (isbn)
    where exists (select from owners_of_isbn(p_import, t.isbn) as o where o.book_id is distinct from taken.book_id)
  loop
    given := jsonb_set(given, '{isbns}', (given -> 'isbns') - foreign_isbn);
    taken.notes := taken.notes || to_jsonb(format('isbns: %s is of another book, and is left out', foreign_isbn));
  end loop;

  if taken.book_id is null then
    taken.verdict := 'created';
    new := given;
  else
    is_own := not exists (
        select from import_records r
        where r.import_id = p_import.id and r.book_id = taken.book_id and r.verdict <> 'refused'
      )
      and (
        exists (
          select from marc_records m
          where m.book_id = taken.book_id and m.control_number = number and m.control_system = system
        )
        or exists (
          select from import_records r
          join imports i on i.id = r.import_id and i.source = p_import.source and not i.dry_run and i.undo_begun_at is null
          where r.book_id = taken.book_id and r.record_key = taken.record_key and r.verdict in ('created', 'updated')
        )
      );
    select old || coalesce(jsonb_object_agg(f.key, f.value), '{}') into new
    from jsonb_each(given) as f
    where not is_empty(f.value) and (is_own or is_empty(old -> f.key));
    -- A MARC record that came again with what we have no field for.
    if new = old and not (is_own and marc is not null and marc_said(marc) is distinct from marc_said(marc_kept(taken.book_id))) then
      taken.verdict := 'unchanged';
      return taken;
    end if;
    taken.verdict := case when is_own then 'updated' else 'merged' end;
    taken.before := jsonb_build_object('record', old, 'marc', marc_kept(taken.book_id));
  end if;

  if p_import.dry_run then
    taken.book_id := coalesce(taken.book_id, uuidv7());
    taken.after := new;
    insert into import_keys (import_id, key, book_id)
    select p_import.id, k.key, taken.book_id
    from (
      select key_digest('control', system || ' ' || number) as key where taken.verdict in ('created', 'updated')
      union all select key_digest('title', fold(new ->> 'title'))
      union all select key_digest('isbn', isbn) from jsonb_array_elements_text(new -> 'isbns') as isbn
    ) as k
    where k.key is not null
    on conflict do nothing;
    return taken;
  end if;

  if taken.verdict = 'created' then
    perform edit_as('imported');
    made := insert_book(new);
    perform edit_as(null);
    taken.book_id := made.id;
  elsif new <> old then
    perform edit_as('imported');
    made := update_book(taken.book_id, new);
    perform edit_as(null);
  else
    select * into made from books where id = taken.book_id;
  end if;
  if marc is not null and taken.verdict in ('created', 'updated') then
    -- A book that was removed keeps no control number from another.
    delete from marc_records m using books b
    where b.id = m.book_id and b.removed_at is not null and m.control_number = number and m.control_system = system;
    perform keep_marc(taken.book_id, marc);
  end if;
  taken.after_digest := sha256(convert_to(book_record(made)::text, 'UTF8'));
  return taken;
end
$$;

-- Imports take turns, so that two of them do not make one book twice. The turn comes first, then the import, then the books
-- in the order of their ids.
create function take_import(p_import_id uuid) returns imports
language plpgsql as $$
declare
  import imports;
begin
  perform pg_advisory_xact_lock(hashtext('lectern.imports'));
  select * into import from imports where id = p_import_id for update;
  if not found then
    perform refuse('import-not-found');
  end if;
  return import;
end
$$;

-- The positions of the records of a batch that are certainly of books of their own: nothing that is there can be what they
-- are of (match_record), and nothing else in the batch has their key, an ISBN, or the title and the name. What has no name may
-- give its title or its year to a book of any name, and a book without one may get it from this batch: both count as having the
-- same. So it does not matter in which order they are taken. Those that are left out may be new all the same.
create function new_of_batch(p_records jsonb) returns integer[]
language plpgsql stable
-- Tables grow faster than what the planner knows of them, and sessions keep their plans: with a limit, and without other scans,
-- each record is looked up in the indexes.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  return array(
    with given as materialized (
      select
        (g ->> 'position')::integer as position, g -> 'record' as record,
        fold(g #>> '{record,title}') as title, title_line(g #>> '{record,title}') as title_key,
        name_key(g #>> '{record,contributors,0,name}') as name,
        g #>> '{marc,controlNumber}' as number, g #>> '{marc,controlSystem}' as system,
        record_key(g -> 'record', g #>> '{marc,controlNumber}', g #>> '{marc,controlSystem}') as key,
        digest_of(g -> 'record', g -> 'marc') as digest
      from jsonb_array_elements(p_records) as g
      where not is_empty(g -> 'record')
    ),
    isbns as materialized (
      select i.position, i.isbn, count(*) over (partition by i.isbn) as holders
      from (
        select g.position, t.isbn from given g, jsonb_array_elements_text(g.record -> 'isbns') as t (isbn)
      ) as i
    ),
    known as materialized (
      select i.position from isbns i
      where i.holders > 1 or (select true from book_isbns b where b.isbn = i.isbn)
    ),
    alone as (
      select
        g.*, count(*) over (partition by g.key) as of_key, count(*) over (partition by g.title, g.name) as of_title,
        count(*) filter (where g.name is null) over (partition by g.title) as nameless
      from given g
    ),
    -- First what costs least, since of an import that is run again it leaves nothing.
    unknown as materialized (
      select a.* from alone a
      where a.of_key = 1 and (a.name is null or a.of_title = 1 and a.nameless = 0)
        and a.position <> all (array(select k.position from known k))
        and (
          select true from marc_records m where m.control_number = a.number and m.control_system = a.system limit 1
        ) is null
        and (
          select true from import_records r join imports i on i.id = r.import_id
          where r.record_key = a.key and r.digest = a.digest and r.book_id is not null and r.verdict <> 'refused'
            and not i.dry_run and i.undo_begun_at is null
          limit 1
        ) is null
    )
    select a.position from unknown a
    where a.name is null
      or (
        select true from book_search s join books b on b.id = s.book_id
        where s.title_key collate "C" = a.title_key and fold(b.title) = a.title
          and coalesce(name_key(b.contributors #>> '{0,name}'), a.name) = a.name
        limit 1
      ) is null
    order by a.position
  );
end
$$;

-- Does what take_record does, of new records all at once. p_positions: as new_of_batch gives them.
create function take_new(p_import_id uuid, p_records jsonb, p_positions integer[]) returns void
language plpgsql as $$
begin
  perform edit_as('imported');
  with given as materialized (
    select
      uuidv7() as id, (g ->> 'position')::integer as position, g -> 'record' as record, nullif(g -> 'marc', 'null') as marc,
      g -> 'notes' as notes, g #>> '{marc,controlNumber}' as number, g #>> '{marc,controlSystem}' as system,
      digest_of(g -> 'record', g -> 'marc') as digest
    from jsonb_array_elements(p_records) as g
    where (g ->> 'position')::integer = any (p_positions)
  ),
  made as materialized (
    select b.id, sha256(convert_to(book_record(b)::text, 'UTF8')) as digest
    from insert_books(
      (select array_agg(id order by position) from given), (select array_agg(record order by position) from given)
    ) as b
  ),
  kept as (
    insert into marc_records (book_id, control_number, control_system, record)
    select id, number, system, marc -> 'record' from given where marc is not null
  )
  insert into import_records (
    import_id, position, verdict, notes, book_id, control_number, control_system, record_key, digest, after_digest
  )
  select
    p_import_id, g.position, 'created', g.notes, g.id, g.number, g.system, record_key(g.record, g.number, g.system),
    g.digest, m.digest
  from given g join made m on m.id = g.id;
  perform edit_as(null);
end
$$;

-- Takes a batch, each record with a verdict: [{position, record, marc, notes}], or {position, reason, raw} for one that cannot
-- be read. A position that is there already is left as it is, so that a batch whose answer got lost can be sent again. Answers
-- the verdicts of all the positions that were sent. p_is_last: nothing comes after it. What is certainly new is
-- taken all at once. p_after: the record of that position must have been taken, so that batches that were sent one behind the
-- other are taken in their order.
create function take_records(p_import_id uuid, p_records jsonb, p_is_last boolean, p_after integer default null) returns json
language plpgsql as $$
declare
  import imports := take_import(p_import_id);
  positions integer[] := array(select (g ->> 'position')::integer from jsonb_array_elements(p_records) as g);
  there integer[] := array(
    select r.position from import_records r where r.import_id = p_import_id and r.position = any (positions)
  );
  given jsonb;
  taken import_records;
  fresh integer[] := '{}';
begin
  if import.undo_begun_at is not null then
    perform refuse('import-undone');
  end if;
  if p_after is not null
    and not exists (select from import_records where import_id = p_import_id and position = p_after) then
    perform refuse('busy');
  end if;
  if there <> '{}' then
    p_records := (
      select coalesce(jsonb_agg(g), '[]')
      from jsonb_array_elements(p_records) as g where (g ->> 'position')::integer <> all (there)
    );
  end if;
  if not import.dry_run then
    fresh := new_of_batch(p_records);
  end if;
  perform from books
  where id in (
    select m.book_id
    from jsonb_array_elements(p_records) as g,
      match_record(import, g) as m
    where not is_empty(g -> 'record') and (g ->> 'position')::integer <> all (fresh)
  )
  order by id for no key update;
  if fresh <> '{}' then
    perform take_new(p_import_id, p_records, fresh);
    import.created := import.created + cardinality(fresh);
  end if;

  for given in
    select g from jsonb_array_elements(p_records) as g
    where (g ->> 'position')::integer <> all (fresh)
    order by (g ->> 'position')::integer
  loop
    if is_empty(given -> 'record') then
      taken := null;
      taken.import_id := p_import_id;
      taken.position := (given ->> 'position')::integer;
      taken.verdict := 'refused';
      taken.reason := given ->> 'reason';
      taken.notes := given -> 'notes';
      taken.raw := decode(given ->> 'raw', 'base64');
    else
      taken := take_record(import, given);
    end if;
    insert into import_records values (taken.*);
    case taken.verdict
      when 'created' then import.created := import.created + 1;
      when 'updated' then import.updated := import.updated + 1;
      when 'merged' then import.merged := import.merged + 1;
      when 'unchanged' then import.unchanged := import.unchanged + 1;
      when 'refused' then import.refused := import.refused + 1;
    end case;
  end loop;
  update imports
  set created = import.created, updated = import.updated, merged = import.merged, unchanged = import.unchanged,
    refused = import.refused, ended_at = case when p_is_last then coalesce(ended_at, now()) else ended_at end
  where id = p_import_id;

  return (
    select json_build_object('items', json_agg(import_record_json(r) order by r.position))
    from import_records r
    where r.import_id = p_import_id and r.position = any (positions)
  );
-- Somebody catalogued one of these books by hand at this moment: asked again, the import finds it.
exception when unique_violation then
  perform refuse('busy');
end
$$;

-- Undoing ---------------------------------------------------------------------------------------------------

-- Takes back what one record did, or says why it stays.
create function undo_record(p_taken import_records, out undo text, out undo_reason text)
language plpgsql as $$
declare
  book books;
  old jsonb := p_taken.before -> 'record';
begin
  select * into book from books where id = p_taken.book_id and removed_at is null;
  undo := 'kept';
  if book.id is null then
    undo_reason := 'the book has been removed since';
  elsif p_taken.verdict = 'created' then
    undo_reason := case
      when exists (select from copies where book_id = book.id and removed_at is null) then 'it has copies'
      when exists (select from loans where book_id = book.id) then 'it has been borrowed'
      when exists (select from holds where book_id = book.id) then 'somebody waits for it'
    end;
  elsif sha256(convert_to(book_record(book)::text, 'UTF8')) <> p_taken.after_digest then
    undo_reason := 'it has been changed since';
  elsif exists (
    select from book_isbns i
    where i.isbn = any (texts_in(old -> 'isbns')) and i.book_id <> book.id
  ) then
    undo_reason := 'an ISBN that it had is of another book now';
  elsif exists (
    select from marc_records m
    where m.control_number = p_taken.before #>> '{marc,controlNumber}'
      and m.control_system = p_taken.before #>> '{marc,controlSystem}' and m.book_id <> book.id
  ) then
    undo_reason := 'the control number that it had is of another book now';
  end if;
  if undo_reason is not null then
    return;
  end if;

  if p_taken.verdict = 'created' then
    undo := 'removed';
    perform keep_marc(book.id, null);
    update books set removed_at = now(), version = version + 1 where id = book.id;
  else
    undo := 'restored';
    if old <> book_record(book) then
      perform edit_as('reverted');
      perform update_book(book.id, old);
      perform edit_as(null);
    end if;
    perform keep_marc(book.id, nullif(p_taken.before -> 'marc', 'null'));
  end if;
end
$$;

-- Takes back up to p_limit records, the last first. A dry run has done nothing.
create function undo_import(p_import_id uuid, p_limit integer) returns json
language plpgsql as $$
declare
  import imports := take_import(p_import_id);
  taken import_records;
  answer record;
begin
  update imports set undo_begun_at = coalesce(undo_begun_at, now()) where id = p_import_id;
  if not import.dry_run then
    perform from books
    where id in (
      select book_id from import_records
      where import_id = p_import_id and undo is null and verdict in ('created', 'updated', 'merged')
      order by position desc
      limit p_limit
    )
    order by id for no key update;
    for taken in
      select * from import_records
      where import_id = p_import_id and undo is null and verdict in ('created', 'updated', 'merged')
      order by position desc
      limit p_limit
    loop
      select * into answer from undo_record(taken);
      update import_records set undo = answer.undo, undo_reason = answer.undo_reason
      where import_id = p_import_id and position = taken.position;
      update imports
      set removed = removed + (answer.undo = 'removed')::integer,
        restored = restored + (answer.undo = 'restored')::integer,
        kept = kept + (answer.undo = 'kept')::integer
      where id = p_import_id;
    end loop;
  end if;
  update imports i set undone_at = coalesce(undone_at, now()) where id = p_import_id and left_to_undo(i) = 0;
  return (select import_json(i) from imports i where i.id = p_import_id);
end
$$;

create function require_import(p_import_id uuid) returns uuid
language plpgsql stable as $$
begin
  if not exists (select from imports where id = p_import_id) then
    perform refuse('import-not-found');
  end if;
  return p_import_id;
end
$$;

-- On the wire -----------------------------------------------------------------------------------------------

create function left_to_undo(i imports) returns integer
language sql immutable
return case when i.dry_run then 0 else i.created + i.updated + i.merged - i.removed - i.restored - i.kept end;

create function import_json(i imports) returns json
language sql stable
return json_build_object(
  'id', i.id,
  'source', i.source,
  'format', i.format,
  'dryRun', i.dry_run,
  'begunAt', i.begun_at,
  'endedAt', i.ended_at,
  'undoBegunAt', i.undo_begun_at,
  'undoneAt', i.undone_at,
  'nextPosition', coalesce((select max(r.position) from import_records r where r.import_id = i.id), 0) + 1,
  'totals', json_build_object(
    'created', i.created, 'updated', i.updated, 'merged', i.merged, 'unchanged', i.unchanged, 'refused', i.refused
  ),
  'undo', json_build_object(
    'removed', i.removed, 'restored', i.restored, 'kept', i.kept, 'left', left_to_undo(i)
  )
);

create function import_record_json(r import_records) returns json
language sql immutable
return json_build_object(
  'position', r.position,
  'verdict', r.verdict,
  'matchedBy', r.matched_by,
  'reason', r.reason,
  'controlNumber', r.control_number,
  'notes', r.notes,
  'bookId', r.book_id,
  'rawBytes', coalesce(length(r.raw), 0),
  'undo', r.undo,
  'undoReason', r.undo_reason
);

-- What of this the Worker may (0004_worker_role.sql). What is imported is added to, and changed only by an undo.
revoke execute on function marc_said, new_of_batch, take_new, name_key, is_empty, is_same_edition, words_of_title, key_digest, record_key, record_seen,
  match_record, owners_of_isbn,
  is_of_another_number, digest_of, marc_kept, keep_marc, take_record, take_import, take_records, undo_record, undo_import, require_import,
  left_to_undo, import_json, import_record_json from public;
grant select, insert (source, format, dry_run), update (
  ended_at, undo_begun_at, undone_at, created, updated, merged, unchanged, refused, removed, restored, kept
) on imports to lectern_worker;
grant select, insert, update (undo, undo_reason) on import_records to lectern_worker;
grant select, insert on import_keys to lectern_worker;
grant insert, delete on marc_records to lectern_worker;
grant execute on function book_record, texts_in, insert_books, insert_book, update_book, marc_said, new_of_batch, take_new, name_key, is_empty, is_same_edition,
  words_of_title, key_digest, record_key, record_seen, match_record, owners_of_isbn,
  is_of_another_number, digest_of, marc_kept, keep_marc, take_record,
  take_import, take_records, undo_record, undo_import, require_import, left_to_undo, import_json, import_record_json to lectern_worker;
