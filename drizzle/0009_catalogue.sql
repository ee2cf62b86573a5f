-- After this migration a record holds what libraries' records hold: editions, several series, e-book links, and the title
-- and names in their own script beside the transliteration.

alter table books
  add column edition text,
  add column series jsonb not null default '[]',
  add column original_script jsonb,
  add column links jsonb not null default '[]';

update books
set series = jsonb_build_array(jsonb_build_object('name', series_name, 'number', series_number))
where series_name is not null;

-- What the array of objects holds under that name, as one text.
create function texts_of(things jsonb, name text) returns text
language sql immutable strict parallel safe
return (select string_agg(thing ->> name, ' ') from jsonb_array_elements(things) as thing);

-- The names in their own script: original_script is {title, contributors}.
create function script_names(original_script jsonb) returns text
language sql immutable strict parallel safe
return (select string_agg(name, ' ') from jsonb_array_elements_text(original_script -> 'contributors') as name);

alter table books
  drop column search,
  drop column series_name,
  drop column series_number;

drop function contributor_names(jsonb);

alter table books add column search tsvector not null generated always as (
  words(title || ' ' || coalesce(subtitle, '') || ' ' || coalesce(original_script ->> 'title', ''), 'A')
    || words(coalesce(texts_of(contributors, 'name'), '') || ' ' || coalesce(script_names(original_script), ''), 'B')
    || words(coalesce(texts_of(series, 'name'), '') || ' ' || coalesce(join_texts(subjects), ''), 'C')
    || words(description, 'D')
) stored;
create index books_by_search on books using gin (search) where removed_at is null;

-- A record whole -------------------------------------------------------------------------------------------

-- What staff catalogue of a book, under the names that the wire has for it.
create function book_record(b books) returns jsonb
language sql stable
return jsonb_build_object(
  'title', b.title,
  'subtitle', b.subtitle,
  'contributors', b.contributors,
  'publisher', b.publisher,
  'publishedYear', b.published_year,
  'language', b.language,
  'edition', b.edition,
  'subjects', b.subjects,
  'description', b.description,
  'series', b.series,
  'originalScript', b.original_script,
  'links', b.links,
  'isbns', b.isbns,
  'identifiers', b.identifiers
);

create function texts_in(given jsonb) returns text[]
language sql immutable strict parallel safe
return array(select t.value from jsonb_array_elements_text(given) with ordinality as t (value, place) order by t.place);

-- The two that write a record as book_record gives it, every field of it. Whoever calls them has checked it.
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

create function insert_book(p_record jsonb) returns books
language plpgsql as $$
declare
  made books;
begin
  select * into made from insert_books(array[uuidv7()], array[p_record]);
  return made;
end
$$;

-- Answers null where no such book is there. Whoever calls it has locked the book, or names the version that it must have.
create function update_book(p_id uuid, p_record jsonb) returns books
language plpgsql as $$
declare
  changed books;
begin
  update books
  set title = p_record ->> 'title',
    subtitle = p_record ->> 'subtitle',
    contributors = p_record -> 'contributors',
    publisher = p_record ->> 'publisher',
    published_year = (p_record ->> 'publishedYear')::smallint,
    language = p_record ->> 'language',
    edition = p_record ->> 'edition',
    subjects = texts_in(p_record -> 'subjects'),
    description = p_record ->> 'description',
    series = p_record -> 'series',
    original_script = nullif(p_record -> 'originalScript', 'null'),
    links = p_record -> 'links',
    isbns = texts_in(p_record -> 'isbns'),
    identifiers = p_record -> 'identifiers',
    version = version + 1,
    updated_at = now()
  where id = p_id and removed_at is null
  returning * into changed;
  return changed;
end
$$;

-- Records as they came ---------------------------------------------------------------------------------------

-- The MARC record that a book was made from, as MARC-in-JSON ({leader, fields}): what we have no field for goes out again
-- as it came in. Found by its control number (001) in the system that gave it (003).
create table marc_records (
  book_id uuid not null,
  control_number text,
  control_system text not null default '',
  record jsonb not null,
  constraint marc_records_pkey primary key (book_id),
  constraint marc_records_book_fkey foreign key (book_id) references books (id) on delete cascade,
  constraint marc_records_control_number_bounded check (length(control_number) <= 100),
  constraint marc_records_control_system_bounded check (length(control_system) <= 40)
);
create unique index marc_records_by_control_number on marc_records (control_number, control_system);

-- What of this the Worker may (0004_worker_role.sql).
revoke execute on function texts_of, script_names, book_record, texts_in, insert_books, insert_book, update_book from public;
grant execute on function texts_of, script_names to lectern_worker;
