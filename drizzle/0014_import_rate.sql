-- After this migration an import takes the records of a batch that are new all at once, several times as fast as one by one,
-- and a record that was refused is refused again.

-- What is kept beside a book -------------------------------------------------------------------------------

-- The names of the stemmers are looked up once, when this is read.
create or replace function stemmer(language text) returns regconfig
language sql immutable parallel safe
return case split_part(language, '-', 1)
  when 'ar' then 'pg_catalog.arabic'::regconfig when 'hy' then 'pg_catalog.armenian'::regconfig
  when 'eu' then 'pg_catalog.basque'::regconfig when 'ca' then 'pg_catalog.catalan'::regconfig
  when 'da' then 'pg_catalog.danish'::regconfig when 'nl' then 'pg_catalog.dutch'::regconfig
  when 'fi' then 'pg_catalog.finnish'::regconfig when 'fr' then 'pg_catalog.french'::regconfig
  when 'de' then 'pg_catalog.german'::regconfig when 'el' then 'pg_catalog.greek'::regconfig
  when 'hi' then 'pg_catalog.hindi'::regconfig when 'hu' then 'pg_catalog.hungarian'::regconfig
  when 'id' then 'pg_catalog.indonesian'::regconfig when 'ga' then 'pg_catalog.irish'::regconfig
  when 'it' then 'pg_catalog.italian'::regconfig when 'lt' then 'pg_catalog.lithuanian'::regconfig
  when 'ne' then 'pg_catalog.nepali'::regconfig when 'no' then 'pg_catalog.norwegian'::regconfig
  when 'nb' then 'pg_catalog.norwegian'::regconfig when 'nn' then 'pg_catalog.norwegian'::regconfig
  when 'pt' then 'pg_catalog.portuguese'::regconfig when 'ro' then 'pg_catalog.romanian'::regconfig
  when 'ru' then 'pg_catalog.russian'::regconfig when 'sr' then 'pg_catalog.serbian'::regconfig
  when 'es' then 'pg_catalog.spanish'::regconfig when 'sv' then 'pg_catalog.swedish'::regconfig
  when 'ta' then 'pg_catalog.tamil'::regconfig when 'tr' then 'pg_catalog.turkish'::regconfig
  when 'yi' then 'pg_catalog.yiddish'::regconfig else 'pg_catalog.english'::regconfig
end;

-- As before, and quicker: PL/pgSQL keeps its expressions, and what holds nothing is not parsed.
create or replace function words_of(given text, language text, weight "char") returns tsvector
language plpgsql immutable parallel safe as $$
declare
  folded text := searchable(given);
begin
  if folded is null or folded = '' then
    return '';
  end if;
  return setweight(to_tsvector('pg_catalog.simple', folded) || to_tsvector(stemmer(language), folded), weight);
end
$$;

-- The row of a book in book_search. p_formats: as formats_of gives them.
create function searched_of(b books, p_formats text[]) returns book_search
language plpgsql stable as $$
declare
  s book_search;
begin
  s.book_id := b.id;
  s.title_key := title_line(b.title);
  s.published_year := b.published_year;
  s.facets := facets_of(b) || p_formats;
  s.names := words_of(concat_ws(' ', b.title, b.subtitle, b.original_script ->> 'title'), b.language, 'A')
    || words_of(concat_ws(' ', texts_of(b.contributors, 'name'), script_names(b.original_script)), b.language, 'B')
    || words_of(texts_of(b.series, 'name'), b.language, 'C')
    || words_of(join_texts(b.subjects), b.language, 'D')
    || filed_under(s.facets);
  s.words := s.names || words_of(b.description, b.language, 'D');
  return s;
end
$$;

create or replace function keep_book_search() returns trigger
language plpgsql as $$
begin
  if new.removed_at is not null then
    delete from book_search where book_id = new.id;
    delete from unlearned_books where book_id = new.id;
    return null;
  end if;
  insert into book_search (book_id, title_key, published_year, names, words, facets)
  select s.book_id, s.title_key, s.published_year, s.names, s.words, s.facets from searched_of(new, formats_of(new.id)) as s
  on conflict (book_id) do update
  set title_key = excluded.title_key, published_year = excluded.published_year, names = excluded.names,
    words = excluded.words, facets = excluded.facets;
  insert into unlearned_books (book_id) values (new.id) on conflict do nothing;
  return null;
end
$$;

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

drop trigger books_keep_isbns on books;
drop trigger books_keep_keys on books;
drop trigger books_keep_revision on books;
drop trigger books_keep_search on books;

create trigger books_keep_new after insert on books
referencing new table as made
for each statement execute function keep_new_books();

create trigger books_keep_isbns after update of isbns, removed_at on books
for each row execute function keep_book_isbns();

create trigger books_keep_keys
after update of title, contributors, published_year, edition, identifiers, removed_at on books
for each row execute function keep_book_keys();

create trigger books_keep_revision after update on books
for each row execute function keep_book_revision();

create trigger books_keep_search
after update of title, subtitle, contributors, series, subjects, description, language, published_year,
  original_script, removed_at
on books for each row execute function keep_book_search();

-- Many records, each with the id that its book gets.
create function insert_books(p_ids uuid[], p_records jsonb[]) returns setof books
language plpgsql as $$
begin
  return query
    insert into books (
      id, title, subtitle, contributors, publisher, published_year, language, edition, subjects, description, series,
      original_script, links, isbns, identifiers
    )
    select
      g.id, r ->> 'title', r ->> 'subtitle', r -> 'contributors', r ->> 'publisher',
      (r ->> 'publishedYear')::smallint, r ->> 'language', r ->> 'edition',
      texts_in(r -> 'subjects'), r ->> 'description', r -> 'series',
      nullif(r -> 'originalScript', 'null'), r -> 'links', texts_in(r -> 'isbns'), r -> 'identifiers'
    from unnest(p_ids, p_records) as g (id, r)
    returning *;
end
$$;

create or replace function insert_book(p_record jsonb) returns books
language plpgsql as $$
declare
  made books;
begin
  select * into made from insert_books(array[uuidv7()], array[p_record]);
  return made;
end
$$;

-- Importing -------------------------------------------------------------------------------------------------

-- A MARC record without what the leader says of how it was written down: its lengths and its encoding.
create function marc_said(marc jsonb) returns jsonb
language sql immutable strict parallel safe
return jsonb_set(
  marc, '{record,leader}',
  to_jsonb(substr(marc #>> '{record,leader}', 6, 4) || substr(marc #>> '{record,leader}', 18, 3))
);

-- As before, but that what was refused is of no book, that a MARC record that was only written down otherwise is the same,
-- and that a dry run keeps no control number of what it merges.
create or replace function match_record(p_import imports, p_given jsonb, out book_id uuid, out matched_by text)
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

create or replace function take_record(p_import imports, p_given jsonb) returns import_records
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

-- As before, and: what is certainly new is taken all at once. p_after: the record of that position must have been taken, so that
-- batches that were sent one behind the other are taken in their order.
drop function take_records(uuid, jsonb, boolean);
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

-- What of this the Worker may (0004_worker_role.sql).
revoke execute on function marc_said, searched_of, keep_new_books, insert_books, new_of_batch, take_new, take_records
from public;
grant execute on function marc_said, searched_of, insert_books, new_of_batch, take_new, take_records to lectern_worker;
