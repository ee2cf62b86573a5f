-- After this migration a search of a million books costs the database a few milliseconds: it asks the most borrowed books
-- first and stops when the page is full. It forgives typing, folds accents, knows each language's stems, and counts facets.

create extension if not exists fuzzystrmatch;
create extension if not exists pg_trgm;

-- They compute, and touch no table: anybody may call them, as they would be without our default privileges.
do $$
declare
  theirs regprocedure;
begin
  for theirs in
    select d.objid from pg_depend d
    join pg_extension e on e.oid = d.refobjid and e.extname in ('fuzzystrmatch', 'pg_trgm')
    where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  loop
    execute format('grant execute on function %s to public', theirs);
  end loop;
end
$$;

-- Words ---------------------------------------------------------------------------------------------------

-- As before, and quicker for what has nothing to fold but case.
create or replace function fold(given text) returns text
language sql immutable strict parallel safe
return case
  when octet_length(given) = length(given) then lower(given)
  else lower(public.unaccent('public.unaccent'::regdictionary, normalize(given, nfkc)))
end;

-- The stemmer of a language, as BCP 47 names it: English where there is none, or none is said. The names are looked up once, when
-- this is read.
create function stemmer(language text) returns regconfig
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

-- Folded, and with each sign of Chinese, Japanese or Korean script as a word of its own: those are written without spaces.
create function searchable(given text) returns text
language sql immutable strict parallel safe
return case
  when octet_length(given) > length(given) and given ~ '[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff]'
  then regexp_replace(fold(given), '([\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff])', ' \1 ', 'g')
  else fold(given)
end;

-- Plain words beside the stems of the language: 'robot' finds 'robots', and a name is never stemmed away. In PL/pgSQL, which keeps its
-- expressions, and what holds nothing is not parsed: an import spends half of its time here.
create function words_of(given text, language text, weight "char") returns tsvector
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

-- What somebody typed: "a phrase", -without, or. Each of the catalogue's stemmers reads it, and plain words do.
create function query_of(given text, language text) returns tsquery
language plpgsql immutable parallel safe as $$
declare
  typed text := searchable(given);
  plain tsquery := websearch_to_tsquery('pg_catalog.simple', typed);
  stemmed tsquery := websearch_to_tsquery('pg_catalog.english', typed);
  other tsquery;
begin
  if numnode(stemmed) > 0 and stemmed <> plain then
    plain := plain || stemmed;
  end if;
  if language is not null and stemmer(language) <> 'pg_catalog.english'::regconfig then
    other := websearch_to_tsquery(stemmer(language), typed);
    if numnode(other) > 0 then
      plain := plain || other;
    end if;
  end if;
  return plain;
end
$$;

-- Without the words that English has everywhere, unless there are no others: they are in half of all books, and to look them up
-- costs more than all the rest. The language of a query is not known, and other languages' stay.
create function telling_words(given text) returns text
language sql immutable strict parallel safe
return coalesce(
  (
    select string_agg(w.word, ' ' order by w.place) from unnest(string_to_array(given, ' ')) with ordinality as w (word, place)
    where w.word <> '' and ts_lexize('pg_catalog.english_stem', w.word) <> '{}'
  ),
  given
);

-- What is searched of a book ------------------------------------------------------------------------------

-- A row a book that is in the catalogue, kept by a trigger. names: title (weight A), contributors (B), series (C) and
-- subjects (D), small enough to rank by. words: those and the description. facets: 'language:en', 'subject:gothic fiction'
-- and so on, folded: a filter is then a part of the same index. tier: 0 are the 512 most borrowed books, each next one is
-- eight times larger, 5 are all others; retier() moves them.
create table book_search (
  book_id uuid not null,
  tier smallint not null default 5,
  popularity real not null default 0,
  title_key text not null,
  published_year smallint,
  names tsvector not null,
  words tsvector not null,
  facets text[] not null,
  constraint book_search_pkey primary key (book_id),
  constraint book_search_book_fkey foreign key (book_id) references books (id) on delete cascade,
  constraint book_search_tier_known check (tier between 0 and 5)
) with (fillfactor = 90);

-- Statistics of words say nothing about a query that is not known when it is planned, and cost time.
alter table book_search alter column names set statistics 0;
alter table book_search alter column words set statistics 0;
alter table book_search alter column facets set statistics 0;

create index book_search_by_popularity on book_search ((-popularity), book_id);
create index book_search_by_title on book_search (title_key collate "C", book_id);
create index book_search_by_year on book_search ((coalesce(published_year, '-32768'::smallint)), book_id);
create index book_search_by_leading_title on book_search (tier, title_key text_pattern_ops);
-- What is new waits in a list that every search reads: 256 kB of it, where the server's 4 MB would take milliseconds.
create index book_search_names_0 on book_search using gin (names) with (gin_pending_list_limit = 256) where tier = 0;
create index book_search_words_0 on book_search using gin (words) with (gin_pending_list_limit = 256) where tier = 0;
create index book_search_names_1 on book_search using gin (names) with (gin_pending_list_limit = 256) where tier = 1;
create index book_search_words_1 on book_search using gin (words) with (gin_pending_list_limit = 256) where tier = 1;
create index book_search_names_2 on book_search using gin (names) with (gin_pending_list_limit = 256) where tier = 2;
create index book_search_words_2 on book_search using gin (words) with (gin_pending_list_limit = 256) where tier = 2;
create index book_search_names_3 on book_search using gin (names) with (gin_pending_list_limit = 256) where tier = 3;
create index book_search_words_3 on book_search using gin (words) with (gin_pending_list_limit = 256) where tier = 3;
create index book_search_names_4 on book_search using gin (names) with (gin_pending_list_limit = 256) where tier = 4;
create index book_search_words_4 on book_search using gin (words) with (gin_pending_list_limit = 256) where tier = 4;
create index book_search_names_5 on book_search using gin (names) with (gin_pending_list_limit = 256) where tier = 5;
create index book_search_words_5 on book_search using gin (words) with (gin_pending_list_limit = 256) where tier = 5;

-- Books that are new or have changed, whose words and headings are to be learned: see learn_books(). A table of its own, because
-- a mark on the row above would be written into all of its indexes.
create table unlearned_books (
  book_id uuid not null,
  constraint unlearned_books_pkey primary key (book_id),
  constraint unlearned_books_book_fkey foreign key (book_id) references books (id) on delete cascade
);

-- A title as it is compared with what somebody typed: no punctuation, and no English article before it.
create function title_line(given text) returns text
language sql immutable strict parallel safe
return regexp_replace(btrim(regexp_replace(searchable(given), '[^[:alnum:]]+', ' ', 'g')), '^(the|an|a) (?=.)', '');

create function facets_of(b books) returns text[]
language sql immutable parallel safe
return array(
  select 'language:' || b.language where b.language is not null
  union all
  select 'year:' || b.published_year where b.published_year is not null
  union all
  select 'decade:' || floor(b.published_year / 10.0) * 10 where b.published_year is not null
  union all
  (select distinct 'subject:' || fold(s) from unnest(b.subjects) as s)
  union all
  (select distinct 'author:' || fold(c ->> 'name') from jsonb_array_elements(b.contributors) as c)
  union all
  (select distinct 'series:' || fold(s ->> 'name') from jsonb_array_elements(b.series) as s)
);

-- As a part of the same index. No word begins with =, so that none that goes on is taken for one of these.
create function filed_under(facets text[]) returns tsvector
language sql immutable strict parallel safe
return array_to_tsvector(array(select '=' || f from unnest(facets) as f));

-- Of the formats in which a book has copies. Whether one circulates now is asked of the copies themselves.
create function formats_of(p_book_id uuid) returns text[]
language sql stable
return array(
  select distinct 'format:' || c.format from copies c where c.book_id = p_book_id and c.removed_at is null order by 1
);

-- The row of a book. p_formats: as formats_of gives them.
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

create function keep_book_search() returns trigger
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

-- Of new books: keep_new_books (0011_editing.sql).
create trigger books_keep_search
after update of title, subtitle, contributors, series, subjects, description, language, published_year,
  original_script, removed_at
on books for each row execute function keep_book_search();

-- Locks the row of the book last, as everybody does who has locked a copy.
create function keep_format_facets() returns trigger
language plpgsql as $$
declare
  formats text[] := formats_of(new.book_id);
begin
  update book_search
  set facets = array(select f from unnest(facets) as f where f not like 'format:%') || formats,
    names = ts_delete(names, array['=format:physical', '=format:digital']) || filed_under(formats),
    words = ts_delete(words, array['=format:physical', '=format:digital']) || filed_under(formats)
  where book_id = new.book_id
    and array(select f from unnest(facets) as f where f like 'format:%' order by 1) <> formats;
  return null;
end
$$;

create trigger copies_keep_format_facets
after insert or update of removed_at, book_id on copies
for each row execute function keep_format_facets();

insert into book_search (book_id, title_key, names, words, facets)
select id, '', '', '', '{}' from books where removed_at is null;
update books set title = title where removed_at is null;

drop index books_by_title, books_by_year, books_by_newest;
alter table books drop column search, drop column title_key;
drop function words(text, "char");

-- Searching -----------------------------------------------------------------------------------------------

-- What a lexeme is in a query, whatever signs it holds.
create function lexeme(given text) returns tsquery
language sql immutable strict parallel safe
return ('''' || replace(replace(given, '\', '\\'), '''', '''''') || '''')::tsquery;

-- What the index does not answer, asked of each row that it gives.
create type book_filter as (year_from smallint, year_to smallint, format text, available boolean);

create function passes(f book_filter, p_book_id uuid, p_year smallint) returns boolean
language plpgsql stable as $$
begin
  return (f.year_from is null or p_year >= f.year_from)
    and (f.year_to is null or p_year <= f.year_to)
    and (
      f.available is not true
      or exists (
        select from copies c
        where c.book_id = p_book_id and c.removed_at is null and (f.format is null or c.format = f.format)
          and can_be_lent(c)
      )
    )
    and (
      f.format is null or f.available is true
      or exists (
        select from copies c
        where c.book_id = p_book_id and c.removed_at is null and c.format = f.format and circulates(c)
      )
    );
end
$$;

-- A match is found in one of these ways, the best first, and in a tier; within both the higher score is first, and of
-- equal ones the lower id. That is the order of every search, and where its next page begins.
--   1 the title is what was typed      2 it begins with that         3 title, contributors, series or subjects have the words
--   4 the description has the others   5 the last word begins so     6 the words are nearly those
create type book_match as (way smallint, tier smallint, score float8, book_id uuid);

-- In a tier, the title itself and what begins with it.
create function titles_like(p_way smallint, p_tier smallint, p_key text, p_must tsquery, p_filter book_filter, p_after book_match, p_limit integer)
returns setof book_match
language plpgsql stable as $$
begin
  if p_way = 1 then
    return query
      select 1::smallint, p_tier, s.popularity::float8, s.book_id from book_search s
      where s.tier = p_tier and s.title_key = p_key
        and (p_must is null or s.names @@ p_must)
        and (p_filter is null or passes(p_filter, s.book_id, s.published_year))
        and (p_after is null or (-s.popularity::float8, s.book_id) > (-p_after.score, p_after.book_id))
      order by -s.popularity, s.book_id
      limit p_limit;
  else
    return query
      select 2::smallint, p_tier, s.popularity::float8, s.book_id from book_search s
      where s.tier = p_tier and s.title_key ~>=~ (p_key || ' ') and s.title_key ~<~ (p_key || '!')
        and (p_must is null or s.names @@ p_must)
        and (p_filter is null or passes(p_filter, s.book_id, s.published_year))
        and (p_after is null or (-s.popularity::float8, s.book_id) > (-p_after.score, p_after.book_id))
      order by -s.popularity, s.book_id
      limit p_limit;
  end if;
end
$$;

-- One statement a tier, each with its tier written out, so that it finds the index of the tier and keeps its plan.
do $do$
declare
  body text;
begin
  -- p_query: with the filters in it. p_words: what to rank by. p_key: titles that have come before are left out.
  body := '';
  for t in 0..5 loop
    body := body || format($sql$
      when %1$s then
        return query
          select m.way, m.tier, m.score, m.book_id from (
            select p_way as way, %1$s::smallint as tier,
              ts_rank('{0.1, 0.2, 0.4, 1}', s.names, p_words, 1)::float8 + ln(1 + s.popularity::float8) / 100 as score, s.book_id
            from book_search s
            where s.tier = %1$s and s.names @@ p_query
              and (p_seen is null or not s.names @@ p_seen)
              and (p_key is null or s.title_key <> p_key and not (s.title_key ^@ (p_key || ' ')))
              and (p_filter is null or passes(p_filter, s.book_id, s.published_year))
          ) as m
          where p_after is null or (-m.score, m.book_id) > (-p_after.score, p_after.book_id)
          order by -m.score, m.book_id
          limit p_limit;$sql$, t);
  end loop;
  execute format($f$
    create function names_like(p_way smallint, p_tier smallint, p_query tsquery, p_words tsquery, p_seen tsquery, p_key text, p_filter book_filter, p_after book_match, p_limit integer)
    returns setof book_match
    language plpgsql stable as $b$
    begin
      case p_tier %s
      end case;
    end
    $b$$f$, body);

  body := '';
  for t in 0..5 loop
    body := body || format($sql$
      when %1$s then
        return query
          select 4::smallint, %1$s::smallint, s.popularity::float8, s.book_id
          from book_search s
          where s.tier = %1$s and s.words @@ p_query and not (s.names @@ p_query)
            and (p_key is null or s.title_key <> p_key and not (s.title_key ^@ (p_key || ' ')))
            and (p_filter is null or passes(p_filter, s.book_id, s.published_year))
            and (p_after is null or (-s.popularity::float8, s.book_id) > (-p_after.score, p_after.book_id))
          order by -s.popularity, s.book_id
          limit p_limit;$sql$, t);
  end loop;
  execute format($f$
    create function descriptions_like(p_tier smallint, p_query tsquery, p_key text, p_filter book_filter, p_after book_match, p_limit integer)
    returns setof book_match
    language plpgsql stable as $b$
    begin
      case p_tier %s
      end case;
    end
    $b$$f$, body);

  -- The first so many of all matches, in no other order than that of the tiers: to count them and their facets. A statement for a
  -- query that may be null would have a plan for all books.
  body := '';
  for t in 0..5 loop
    body := body || format($sql$
      when %1$s then
        if p_query is null then
          return query
            select s.book_id, s.facets from book_search s
            where s.tier = %1$s and (p_filter is null or passes(p_filter, s.book_id, s.published_year))
            limit p_limit;
        else
          return query
            select s.book_id, s.facets from book_search s
            where s.tier = %1$s and s.words @@ p_query
              and (p_filter is null or passes(p_filter, s.book_id, s.published_year))
            limit p_limit;
        end if;$sql$, t);
  end loop;
  execute format($f$
    create function matches_in(p_tier smallint, p_query tsquery, p_filter book_filter, p_limit integer)
    returns table (book_id uuid, facets text[])
    language plpgsql stable as $b$
    begin
      case p_tier %s
      end case;
    end
    $b$$f$, body);
end
$do$;

-- What a search asks for. line: the typed words as a title is compared, null where they are not plain words. isbn: where that
-- is what was typed. words: those that tell something, ranking: all of them. must: the filters, query: the words and the filters.
create type book_search_request as (
  line text, isbn text, words tsquery, ranking tsquery, query tsquery, must tsquery, filter book_filter, spelling boolean
);

create function search_request(
  p_typed text, p_isbn text, p_language text, p_facets text[], p_author text, p_year_from smallint, p_year_to smallint, p_format text,
  p_available boolean, p_spelling boolean
) returns book_search_request
language plpgsql stable as $$
declare
  request book_search_request;
  condition tsquery;
begin
  request.spelling := p_spelling;
  request.isbn := p_isbn;
  if p_typed is not null and p_isbn is null then
    request.ranking := query_of(p_typed, p_language);
    request.words := request.ranking;
    if p_typed !~ '"|(^|\s)-|(^|\s)or(\s|$)' then
      request.line := title_line(p_typed);
      request.words := query_of(telling_words(searchable(p_typed)), p_language);
    end if;
  end if;
  for condition in
    select lexeme('=' || f) from unnest(p_facets) as f
    union all
    select contributor_query(p_author) where p_author is not null
    union all
    select lexeme('=format:' || p_format) where p_format is not null
    union all
    select lexeme('=format:physical') || lexeme('=format:digital') where p_format is null and p_available
    union all
    -- A span of up to fifteen decades is in the index; a longer one leaves too little out to be worth it.
    select (
      select string_agg('''=decade:' || d * 10 || '''', ' | ')::tsquery
      from generate_series(floor(p_year_from / 10.0)::integer, floor(p_year_to / 10.0)::integer) as d
    )
    where p_year_to between p_year_from and p_year_from + 140
  loop
    request.must := case when request.must is null then condition else request.must && condition end;
  end loop;
  request.query := case
    when request.words is null then request.must
    when request.must is null then request.words
    else request.words && request.must
  end;
  if p_year_from is not null or p_year_to is not null or p_format is not null or p_available then
    request.filter := row(p_year_from, p_year_to, p_format, p_available)::book_filter;
  end if;
  return request;
end
$$;


-- Spelling ------------------------------------------------------------------------------------------------

-- The catalogue's own words, of titles, names, series and subjects, and in how many books each was when it was learned.
-- variants: what is left of it without one of its letters, and itself, hashed. Two words that share one differ by a letter
-- too many, too few, another or moved. Learned by learn_books().
create table vocabulary (
  word text not null,
  books integer not null,
  variants integer[] not null,
  constraint vocabulary_pkey primary key (word)
);
create index vocabulary_by_variant on vocabulary using gin (variants) with (fastupdate = off);
create index vocabulary_by_trigram on vocabulary using gin (word gin_trgm_ops) with (fastupdate = off);
alter table vocabulary alter column variants set statistics 0;

create function variants_of(word text) returns integer[]
language sql immutable strict parallel safe
return array(
  select distinct ('x' || left(md5(overlay(word placing '' from n for 1)), 8))::bit(32)::integer
  from generate_series(1, length(word) + 1) as n
);

-- What a word may have meant, the likeliest first: itself, then what differs by a letter, the commonest first. A long word
-- that is like none of them may have more that is wrong.
create function spellings(p_word text) returns text[]
language plpgsql stable as $$
declare
  found_words text[];
begin
  select array_agg(m.word order by m.distance, m.books desc, m.word) into found_words
  from (
    select v.word, v.books, least(levenshtein_less_equal(v.word, p_word, 2), 3) as exact,
      case when v.word = p_word then 0 else 1 end as distance
    from vocabulary v
    where v.variants && variants_of(p_word)
    order by distance, v.books desc, v.word
    limit 12
  ) as m
  where m.exact <= 2;
  if found_words is null and length(p_word) >= 6 then
    select array_agg(m.word order by m.likeness desc, m.word) into found_words
    from (
      select v.word, similarity(v.word, p_word) as likeness from vocabulary v
      where v.word % p_word
      order by likeness desc, v.word
      limit 4
    ) as m;
  end if;
  return found_words;
end
$$;

-- The words of a title line that a spelling is looked for: short ones say little and are like too many.
create function long_words(p_line text) returns text[]
language sql immutable strict parallel safe
return array(
  select w.word from unnest(string_to_array(telling_words(p_line), ' ')) with ordinality as w (word, place)
  where length(w.word) >= 3
  order by w.place limit 10
);

-- Every word as one of its spellings; `left_out`: but for the word of that place.
create function spelling_query(p_spellings jsonb, p_left_out integer) returns tsquery
language sql immutable parallel safe
return (
  select string_agg('(' || w.either || ')', ' & ')::tsquery
  from (
    select (select string_agg(lexeme(s)::text, ' | ') from jsonb_array_elements_text(t.value) as s) as either
    from jsonb_array_elements(p_spellings) with ordinality as t (value, place)
    where p_left_out is null or t.place <> p_left_out
  ) as w
  where w.either is not null
);

-- The spellings of each word: a word that has none stands as it is.
create function spellings_of(p_words text[]) returns jsonb
language sql stable
return (
  select jsonb_agg(to_jsonb(coalesce(spellings(w.word), array[w.word])) order by w.place)
  from unnest(p_words) with ordinality as w (word, place)
);

-- The last word goes on: what has been typed so far.
create function prefix_of(p_line text) returns tsquery
language sql immutable strict parallel safe
return (
  select string_agg(lexeme(w.word)::text || case when w.place = w.places and length(w.word) > 1 then ':*' else '' end, ' & ')::tsquery
  from (
    select word, place, count(*) over () as places
    from unnest(string_to_array(p_line, ' ')) with ordinality as t (word, place)
    where word <> ''
    limit 20
  ) as w
);

-- Matches of words that are nearly those typed, by how like the title is to them. At most 80 are compared; 60 where a word is
-- beyond correction.
create function nearly_like(p_request book_search_request, p_after book_match, p_limit integer) returns setof book_match
language plpgsql stable as $$
declare
  r book_search_request := p_request;
  typed_words text[] := long_words(r.line);
  -- What has been found as it was typed, or as the beginning of it.
  seen tsquery := r.words || prefix_of(telling_words(r.line));
  spelt jsonb;
  wanted tsquery;
  candidates uuid[] := '{}';
  got uuid[];
  must_be_like float8 := 0;
  most integer := 80;
begin
  if cardinality(typed_words) = 0 then
    return;
  end if;
  spelt := spellings_of(typed_words);
  for attempt in 1..2 loop
    if attempt = 1 then
      wanted := spelling_query(spelt, null);
    else
      -- One of the words may be beyond correction. Not where something has all of them.
      exit when cardinality(typed_words) < 2 or is_found(r, 1);
      must_be_like := 0.35;
      most := 60;
      select string_agg('(' || spelling_query(spelt, n)::text || ')', ' | ')::tsquery into wanted
      from generate_series(1, cardinality(typed_words)) as n;
    end if;
    exit when wanted is null;
    if r.must is not null then
      wanted := wanted && r.must;
    end if;
    for t in 0..5 loop
      select array_agg(m.book_id) into got
      from names_like(6::smallint, t::smallint, wanted, wanted, seen, r.line, r.filter, null, most - cardinality(candidates)) as m;
      candidates := candidates || coalesce(got, '{}');
      exit when cardinality(candidates) >= most;
    end loop;
    exit when cardinality(candidates) > 0;
  end loop;
  return query
    select m.* from (
      select 6::smallint as way, 0::smallint as tier, l.likeness + ln(1 + s.popularity::float8) / 100 as score, s.book_id
      from book_search s
      cross join lateral (
        select (similarity(r.line, s.title_key) + word_similarity(s.title_key, r.line)) / 2::float8 as likeness
      ) as l
      where s.book_id = any (candidates) and l.likeness >= must_be_like
    ) as m
    where p_after is null or (-m.score, m.book_id) > (-p_after.score, p_after.book_id)
    order by -m.score, m.book_id
    limit p_limit;
end
$$;

-- What was typed, spelt as the book has it that it is nearly like.
create function did_you_mean(p_line text, p_book_id uuid) returns text
language sql stable
return (
  select string_agg(
    coalesce(
      case when w.word = any (long_words(p_line)) then (
        select s.word from unnest(spellings(w.word)) with ordinality as s (word, place)
        where s.word = any (n.words)
        order by s.place
        limit 1
      ) end,
      w.word
    ), ' ' order by w.place
  )
  from unnest(string_to_array(p_line, ' ')) with ordinality as w (word, place),
    (select tsvector_to_array(names) as words from book_search where book_id = p_book_id) as n
);

-- The first matches after p_after, in the order of a search. Asks one way after the other, and in each one tier after the
-- other, until there are enough. Where what was typed is found less than three times, and no title is that, its last word may go
-- on, and then its words may be spelt otherwise. `rows`: a page, or the planner expects a thousand and reads all books to join them.
create function find_books(p_request book_search_request, p_after book_match, p_limit integer) returns setof book_match
language plpgsql stable rows 21 set plan_cache_mode = force_generic_plan as $$
declare
  r book_search_request := p_request;
  found_so_far integer := 0;
  got integer;
  prefix tsquery;
  before_last tsquery;
  is_there boolean;
  after book_match;
begin
  if r.isbn is not null then
    return query
      select 1::smallint, 0::smallint, 0::float8, s.book_id
      from book_isbns i
      join book_search s on s.book_id = i.book_id
      where i.isbn = r.isbn
        and p_after is null
        and (r.must is null or s.names @@ r.must)
        and (r.filter is null or passes(r.filter, s.book_id, s.published_year));
    return;
  end if;
  for w in coalesce(p_after.way, 1)..6 loop
    continue when w in (1, 2) and coalesce(r.line, '') = '';
    if w in (3, 4) and is_there is null then
      is_there := found_so_far > 0 or p_after.way is not null or r.query is not null and is_found(r, 1);
    end if;
    continue when w in (3, 4) and not is_there;
    if w = 4 and r.words is null then
      return;
    elsif w = 5 then
      -- A title that is what was typed needs no correction.
      exit when coalesce(r.line, '') = '' or not r.spelling
        or case
          when p_after.way >= 5 then false
          when found_so_far >= 3 then true
          when exists (select from book_search s where s.title_key collate "C" = r.line) then true
          else p_after.way is not null and is_found(r, 3)
        end;
      prefix := prefix_of(telling_words(r.line));
      -- Where nothing has the words before the last, nothing has them and one that goes on.
      before_last := query_of(substring(telling_words(r.line) from '^(.*) [^ ]+$'), null);
      continue when before_last is not null
        and not is_found(row(null, null, null, null, before_last, null, r.filter, false)::book_search_request, 1);
    end if;
    for t in (case when w = p_after.way then p_after.tier else 0 end)..(case when w = 6 then 0 else 5 end) loop
      after := case when w = p_after.way and t = p_after.tier then p_after end;
      if w <= 2 then
        return query select * from titles_like(w::smallint, t::smallint, r.line, r.must, r.filter, after, p_limit - found_so_far);
      elsif w = 3 then
        return query select * from names_like(3::smallint, t::smallint, r.query, r.ranking, null, r.line, r.filter, after, p_limit - found_so_far);
      elsif w = 4 then
        return query select * from descriptions_like(t::smallint, r.query, r.line, r.filter, after, p_limit - found_so_far);
      elsif w = 5 then
        -- Few letters begin many words: they are asked of the most borrowed books only.
        continue when length(substring(r.line from '[^ ]*$')) < t;
        return query select * from names_like(
          5::smallint, t::smallint, case when r.must is null then prefix else prefix && r.must end, prefix, r.words, r.line, r.filter,
          after, p_limit - found_so_far
        );
      else
        return query select * from nearly_like(r, after, p_limit - found_so_far);
      end if;
      get diagnostics got = row_count;
      found_so_far := found_so_far + got;
      if found_so_far >= p_limit then
        return;
      end if;
    end loop;
  end loop;
end
$$;

-- The first so many that match as it was typed, the most borrowed tier first, and what they are filed under.
create function matches_of(p_request book_search_request, p_limit integer) returns table (book_id uuid, facets text[])
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
declare
  found_so_far integer := 0;
  got integer;
begin
  if p_request.isbn is not null then
    return query
      select s.book_id, s.facets from find_books(p_request, null, 1) as m
      join book_search s on s.book_id = m.book_id;
    return;
  end if;
  for t in 0..5 loop
    return query select * from matches_in(t::smallint, p_request.query, p_request.filter, p_limit - found_so_far);
    get diagnostics got = row_count;
    found_so_far := found_so_far + got;
    exit when found_so_far >= p_limit;
  end loop;
end
$$;

-- Whether what was typed is found so many times as it was typed.
create function is_found(p_request book_search_request, p_times integer) returns boolean
language sql stable
return (select count(*) from matches_of(p_request, p_times)) >= p_times;

-- Headings ------------------------------------------------------------------------------------------------

-- Names, subjects and series as they are suggested while somebody types. starts: a heading is found by the beginning of each
-- of its words. tier: by how many books it has, so that the commonest are asked first.
create table headings (
  kind text not null,
  key text not null,
  label text not null,
  books integer not null,
  constraint headings_pkey primary key (kind, key),
  constraint headings_kind_known check (kind in ('author', 'subject', 'series'))
);

create table heading_starts (
  kind text not null,
  key text not null,
  start text not null,
  tier smallint not null,
  constraint heading_starts_pkey primary key (kind, key, start),
  constraint heading_starts_heading_fkey foreign key (kind, key) references headings (kind, key) on delete cascade
);
create index heading_starts_by_start on heading_starts (kind, tier, start text_pattern_ops);

-- How many there are, counted up to p_limit and one, and what the first so many have in common.
create function count_books(p_request book_search_request, p_limit integer, out total integer, out facets json)
language sql stable
begin atomic
  with found as materialized (
    select m.book_id, m.facets from matches_of(p_request, p_limit + 1) with ordinality as m (book_id, facets, place)
  ),
  counted as materialized (
    select f.book_id, f.facets from found f limit p_limit
  ),
  filed as materialized (
    select split_part(g.facet, ':', 1) as kind, substr(g.facet, strpos(g.facet, ':') + 1) as key, g.books,
      row_number() over (partition by split_part(g.facet, ':', 1) order by g.books desc, g.facet collate "C") as place
    from (
      select u.facet, count(*) as books from counted c, unnest(c.facets) as u (facet) group by u.facet
    ) as g
  ),
  labelled as materialized (
    select f.kind, f.place, json_build_object('value', coalesce(h.label, f.key), 'count', f.books) as found
    from filed f
    left join headings h on h.kind = f.kind and h.key = f.key
    where f.place <= 10
  )
  select (select count(*) from found)::integer, json_build_object(
    'subjects', coalesce(json_agg(l.found order by l.place) filter (where l.kind = 'subject'), '[]'),
    'authors', coalesce(json_agg(l.found order by l.place) filter (where l.kind = 'author'), '[]'),
    'series', coalesce(json_agg(l.found order by l.place) filter (where l.kind = 'series'), '[]'),
    'languages', coalesce(json_agg(l.found order by l.place) filter (where l.kind = 'language'), '[]'),
    'years', coalesce(json_agg(l.found order by l.place) filter (where l.kind = 'year'), '[]'),
    'decades', coalesce(json_agg(l.found order by l.place) filter (where l.kind = 'decade'), '[]'),
    'formats', coalesce(json_agg(l.found order by l.place) filter (where l.kind = 'format'), '[]'),
    'available', (
      select count(distinct c.book_id) from copies c
      where c.book_id = any (array(select book_id from counted)) and c.removed_at is null and can_be_lent(c)
    )
  )
  from labelled l;
end;

create function tier_of_heading(p_books integer) returns smallint
language sql immutable parallel safe
return case when p_books >= 500 then 0 when p_books >= 100 then 1 when p_books >= 20 then 2 when p_books >= 5 then 3 when p_books >= 2 then 4 else 5 end;

-- Learns the words and headings of so many books that are new or have changed; answers how many. What a change or a removal
-- takes away is not unlearned: a word that is nowhere any more corrects nothing, and a heading without books is not shown.
create function learn_books(p_limit integer) returns integer
language plpgsql as $$
declare
  ids uuid[];
begin
  select array_agg(b.book_id) into ids
  from (select book_id from unlearned_books order by book_id limit p_limit for update skip locked) as b;
  if ids is null then
    return 0;
  end if;
  insert into vocabulary (word, books, variants)
  select w.word, count(*), variants_of(w.word)
  from books b,
    unnest(tsvector_to_array(to_tsvector('pg_catalog.simple', searchable(concat_ws(
      ' ', b.title, b.subtitle, texts_of(b.contributors, 'name'), texts_of(b.series, 'name'), join_texts(b.subjects)
    ))))) as w (word)
  where b.id = any (ids) and w.word ~ '^[[:alpha:]]{2,40}$'
  group by w.word
  order by w.word
  on conflict (word) do update set books = vocabulary.books + excluded.books;

  with found as (
    select 'subject' as kind, s as label from books b, unnest(b.subjects) as s where b.id = any (ids)
    union all
    select 'author', c ->> 'name' from books b, jsonb_array_elements(b.contributors) as c where b.id = any (ids)
    union all
    select 'series', s ->> 'name' from books b, jsonb_array_elements(b.series) as s where b.id = any (ids)
  ),
  kept as (
    insert into headings as h (kind, key, label, books)
    select f.kind, fold(f.label), min(f.label), count(*) from found f where fold(f.label) <> ''
    group by f.kind, fold(f.label)
    order by f.kind, fold(f.label)
    on conflict (kind, key) do update set books = h.books + excluded.books
    returning kind, key, books
  )
  insert into heading_starts (kind, key, start, tier)
  select k.kind, k.key, p.start, tier_of_heading(k.books)
  from kept k
  cross join lateral (
    select distinct substr(k.key, length(k.key) + 1 - length(rest)) as start
    from (select array_to_string(words[n:], ' ') as rest from regexp_split_to_array(k.key, '\s+') as words, generate_series(1, least(cardinality(words), 8)) as n) as r
  ) as p
  order by k.kind, k.key, p.start
  on conflict (kind, key, start) do update set tier = excluded.tier where heading_starts.tier <> excluded.tier;

  delete from unlearned_books where book_id = any (ids);
  return cardinality(ids);
end
$$;

-- Tiers ---------------------------------------------------------------------------------------------------

-- Where retier() is on its way through all books, the most borrowed first.
create table tier_walk (
  only_one boolean not null default true,
  began_at timestamptz not null default '-infinity',
  place integer not null default 0,
  popularity real,
  book_id uuid,
  constraint tier_walk_pkey primary key (only_one),
  constraint tier_walk_is_one check (only_one)
);
insert into tier_walk default values;

create function tier_at(p_place bigint) returns smallint
language sql immutable parallel safe
return case when p_place <= 512 then 0 when p_place <= 4608 then 1 when p_place <= 37376 then 2 when p_place <= 299520 then 3
  when p_place <= 2396672 then 4 else 5 end;

-- Puts the next so many books into the tier of their place; answers how many it looked at. A walk that is over begins anew
-- after six hours.
create function retier(p_limit integer) returns integer
language plpgsql as $$
declare
  walk tier_walk;
  seen integer;
  last_popularity real;
  last_id uuid;
begin
  select * into walk from tier_walk for update skip locked;
  if not found then
    return 0;
  end if;
  if walk.place = 0 then
    if walk.began_at > now() - interval '6 hours' then
      return 0;
    end if;
    update tier_walk set began_at = now();
  end if;
  with next as (
    select s.book_id, s.popularity, s.tier, walk.place + row_number() over (order by -s.popularity, s.book_id) as place
    from book_search s
    where walk.book_id is null or (-s.popularity, s.book_id) > (-walk.popularity, walk.book_id)
    order by -s.popularity, s.book_id
    limit p_limit
  ),
  moved as (
    update book_search s set tier = tier_at(n.place) from next n
    where s.book_id = n.book_id and s.tier <> tier_at(n.place)
  )
  select count(*), (array_agg(popularity order by place desc))[1], (array_agg(book_id order by place desc))[1]
  into seen, last_popularity, last_id
  from next;
  if seen < p_limit then
    update tier_walk set place = 0, popularity = null, book_id = null;
  else
    update tier_walk set place = place + seen, popularity = last_popularity, book_id = last_id;
  end if;
  return seen;
end
$$;

-- Other orders --------------------------------------------------------------------------------------------

-- Matches in another order than how well they match. Few of them, up to 10,000, are gathered and sorted; where there are more, or
-- six books in a thousand match, walking through all in that order meets a page of them soon. p_after: the key and the id that
-- the page before ended with. Each order has its statements, written out, so that they keep their plans and none is made of text.
do $do$
declare
  body text := '';
  o record;
begin
  for o in
    select * from (values
      ('title', 's.title_key collate "C"', 'text', '>', 'asc'),
      ('-title', 's.title_key collate "C"', 'text', '<', 'desc'),
      ('year', 'coalesce(s.published_year, ''-32768''::smallint)', 'smallint', '>', 'asc'),
      ('-year', 'coalesce(s.published_year, ''-32768''::smallint)', 'smallint', '<', 'desc'),
      ('newest', 's.book_id', 'uuid', '<', 'desc'),
      ('popular', '(-s.popularity)', 'real', '>', 'asc')
    ) as orders (name, key, type, beyond, direction)
  loop
    body := body || format($sql$
      when %1$L then
        if is_gathered then
          return query
            select (%2$s)::text, s.book_id from book_search s
            where s.book_id = any (ids) and (p_after_id is null or (%2$s, s.book_id) %4$s (p_after_key::%3$s, p_after_id))
            order by %2$s %5$s, s.book_id %5$s
            limit p_limit;
        elsif p_after_id is null then
          return query
            select (%2$s)::text, s.book_id from book_search s
            where (r.query is null or s.words @@ r.query)
              and (r.filter is null or passes(r.filter, s.book_id, s.published_year))
            order by %2$s %5$s, s.book_id %5$s
            limit p_limit;
        else
          return query
            select (%2$s)::text, s.book_id from book_search s
            where (%2$s, s.book_id) %4$s (p_after_key::%3$s, p_after_id)
              and (r.query is null or s.words @@ r.query)
              and (r.filter is null or passes(r.filter, s.book_id, s.published_year))
            order by %2$s %5$s, s.book_id %5$s
            limit p_limit;
        end if;$sql$, o.name, o.key, o.type, o.beyond, o.direction);
  end loop;
  execute format($f$
    create function sort_books(p_request book_search_request, p_sort text, p_after_key text, p_after_id uuid, p_limit integer)
    returns table (key text, book_id uuid)
    language plpgsql stable rows 21 set plan_cache_mode = force_generic_plan as $b$
    declare
      r book_search_request := p_request;
      ids uuid[] := '{}';
      is_gathered boolean := false;
      seen integer := 0;
    begin
      if r.isbn is not null then
        ids := array(select m.book_id from find_books(r, null, 1) as m);
        is_gathered := true;
      elsif r.query is not null then
        -- Among the most borrowed 37,376 books it shows how common matches are.
        for t in 0..2 loop
          seen := seen + (select count(*) from matches_in(t::smallint, r.query, r.filter, 225 - seen));
          exit when seen >= 225;
        end loop;
        if seen < 225 then
          for t in 0..5 loop
            ids := ids || array(select m.book_id from matches_in(t::smallint, r.query, r.filter, 10001 - cardinality(ids)) as m);
            exit when cardinality(ids) > 10000;
          end loop;
          is_gathered := cardinality(ids) <= 10000;
        end if;
      end if;
      case p_sort %s
      end case;
    end
    $b$$f$, body);
end
$do$;

-- While somebody types --------------------------------------------------------------------------------------

-- Books whose title begins so, then those that have such words.
create function suggest_titles(p_line text, p_limit integer) returns uuid[]
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
declare
  ids uuid[] := '{}';
begin
  for t in 0..5 loop
    ids := ids || array(
      select s.book_id from book_search s
      where s.tier = t::smallint and s.title_key ~>=~ p_line and s.title_key ~<~ (p_line || U&'\+10FFFF')
      order by -s.popularity, s.book_id
      limit p_limit - cardinality(ids)
    );
    exit when cardinality(ids) >= p_limit;
  end loop;
  for t in 0..5 loop
    exit when cardinality(ids) >= p_limit;
    ids := ids || array(
      select m.book_id from names_like(5::smallint, t::smallint, prefix_of(p_line), prefix_of(p_line), null, null, null, null, p_limit * 2) as m
      where m.book_id <> all (ids)
      limit p_limit - cardinality(ids)
    );
  end loop;
  return ids;
end
$$;

-- Headings of which a word begins so, the commonest first, of which there are books.
create function suggest_headings(p_kind text, p_line text, p_limit integer) returns json
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
declare
  labels text[] := '{}';
  h record;
begin
  for t in 0..5 loop
    for h in
      select distinct on (g.books, g.key) g.key, g.label
      from heading_starts s
      join headings g on g.kind = s.kind and g.key = s.key
      where s.kind = p_kind and s.tier = t::smallint and s.start ~>=~ p_line and s.start ~<~ (p_line || U&'\+10FFFF')
      order by g.books desc, g.key
      limit p_limit * 2
    loop
      if is_found(row(null, null, null, null, lexeme('=' || p_kind || ':' || h.key), null, null, false)::book_search_request, 1) then
        labels := labels || h.label;
      end if;
      if cardinality(labels) >= p_limit then
        return to_json(labels);
      end if;
    end loop;
  end loop;
  return to_json(labels);
end
$$;

-- Highlights ----------------------------------------------------------------------------------------------

-- Reads a text as it is searched, accents folded, to find in it what matched.
create text search configuration highlighting (copy = pg_catalog.english);
alter text search configuration highlighting
  alter mapping for asciiword, word, asciihword, hword, hword_asciipart, hword_part with unaccent, english_stem;

-- A text in pieces, [{text, isMatch}], so that nobody has to trust signs in it. The marks between them are control characters,
-- which no text of ours holds.
create function highlight(given text, query tsquery, options text) returns json
language sql stable
return (
  select json_agg(json_build_object('text', p.text, 'isMatch', p.is_match) order by h.place, p.is_match desc)
  from unnest(string_to_array(
    ts_headline('public.highlighting', given, query, options || E', StartSel="\x02", StopSel="\x03"'), E'\x02'
  )) with ordinality as h (piece, place)
  cross join lateral (
    values (split_part(h.piece, E'\x03', 1), h.place > 1), (split_part(h.piece, E'\x03', 2), false)
  ) as p (text, is_match)
  where p.text <> ''
);

-- What of this the Worker may (0004_worker_role.sql) -----------------------------------------------------------

grant select, insert, update, delete on book_search to lectern_worker;
grant select, insert, update, delete on unlearned_books to lectern_worker;
grant select, insert, update (books) on vocabulary to lectern_worker;
grant select, insert, update (books) on headings to lectern_worker;
grant select, insert, update (tier) on heading_starts to lectern_worker;
grant select, update on tier_walk to lectern_worker;
revoke execute on function
  stemmer, searchable, words_of, query_of, telling_words, title_line, facets_of, filed_under, formats_of, searched_of, keep_book_search,
  keep_format_facets, lexeme, passes, titles_like, names_like, descriptions_like, matches_in, search_request,
  variants_of, spellings, long_words, spelling_query, spellings_of, prefix_of, nearly_like, did_you_mean,
  find_books, matches_of, is_found, count_books, tier_of_heading, learn_books, tier_at, retier, sort_books,
  suggest_titles, suggest_headings, highlight
from public;
grant execute on function
  stemmer, searchable, words_of, query_of, telling_words, title_line, facets_of, filed_under, formats_of, searched_of, lexeme, passes, titles_like,
  names_like, descriptions_like, matches_in, search_request, variants_of, spellings, long_words,
  spelling_query, spellings_of, prefix_of, nearly_like, did_you_mean, find_books, matches_of, is_found, count_books,
  tier_of_heading, learn_books, tier_at, retier, sort_books, suggest_titles, suggest_headings, highlight
to lectern_worker;
