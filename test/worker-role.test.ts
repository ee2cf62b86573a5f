import { env } from 'cloudflare:workers'
import { neon } from '@neondatabase/serverless'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { routes } from '../src/app.ts'
import { configOf, ConfigError } from '../src/config.ts'
import type { Block } from '../src/features/blocks/schema.ts'
import type { Fee } from '../src/features/fees/schema.ts'
import type { Policy } from '../src/features/policies/schema.ts'
import { runTasks } from '../src/scheduled.ts'
import { aLibraryApart } from './support/laboratory.ts'
import {
  type Answer,
  aNewcomer,
  database,
  libraryWith,
  type Library,
  PASSWORD,
  type Person,
  problemOf,
  theStaff,
} from './support/library.ts'
import { awaitMail, tokenIn } from './support/mail.ts'
import { codeOf } from './support/second-factor.ts'

/** What the Worker may do in the database: drizzle/0004_worker_role.sql. */

describe('whoever speaks to the database as the Worker', () => {
  const worker = neon(env.DATABASE_URL, { fetchOptions: { endpoint: env.DATABASE_ENDPOINT } })

  test.each([
    // Taking away and rewriting what was lent, owed and told
    'delete from loans',
    'delete from fees',
    'delete from fee_entries',
    'delete from events',
    'delete from books',
    'with gone as (delete from loans returning id) select * from gone',
    'merge into loans using books b on b.id = loans.book_id when matched then delete',
    'explain analyze delete from fees',
    'update fee_entries set amount = 0',
    'update fee_entries set created_at = now()',
    "update fees set note = ''",
    'update fees set created_at = now()',
    'update loans set checked_out_at = now()',
    'update loans set copy_id = copy_id',
    "update events set kind = ''",
    'update events set details = null',
    'update events set occurred_at = now()',
    'update opening_hours set weekday = weekday',
    'delete from book_revisions',
    "update book_revisions set record = '{}'",
    'delete from book_redirects',
    'insert into book_revisions (book_id, version, kind, record, changed_at) select id, 9, title, null, now() from books',
    "insert into events (kind, subject_id, actor_role, occurred_at) values ('loan.made', uuidv7(), 'staff', now())",
    "insert into fee_entries (fee_id, kind, amount, created_at) values (uuidv7(), 'payment', 1, now())",
    "insert into fees (kind, balance) values ('other', 1)",
    "insert into fees (kind) values ('other') on conflict (id) do update set kind = 'lost'",
    "insert into library values (false, 'UTC', 'EUR')",
    'truncate events',
    'truncate users cascade',
    'do $$ begin lock table fee_entries; end $$',

    // Changing the tables, the rules and what watches over them
    'create table loot (id integer)',
    'create table loot as select * from users',
    'select * into loot from users',
    'create temporary table loot (id integer)',
    'create unlogged table loot (id integer)',
    'create view loot as select 1 as id',
    'create materialized view loot as select 1 as id',
    'create sequence loot',
    "create type loot as enum ('a')",
    'create domain loot as text',
    'create index loot on users (id)',
    'create schema loot',
    'create extension btree_gist',
    'create database loot',
    'create event trigger loot on ddl_command_end execute function refuse_change()',
    'create trigger loot before insert on users for each row execute function refuse_change()',
    'create rule loot as on delete to users do instead nothing',
    'create policy loot on users',
    'create publication loot for all tables',
    'create foreign data wrapper loot',
    'create statistics loot on role, category from users',
    'alter table users add column loot text',
    'alter table users enable row level security',
    'alter table users owner to current_user',
    'alter table fee_entries disable trigger all',
    'alter table fee_entries disable trigger fee_entries_append_only',
    'alter table fees drop constraint fees_balance_never_negative',
    'alter function refuse(text) security definer',
    'alter default privileges for role lectern grant all on tables to public',
    'drop table loans',
    'drop trigger fee_entries_append_only on fee_entries',
    'drop index loans_one_open_per_copy',
    'drop function check_out',
    'drop schema public cascade',
    'drop extension unaccent cascade',
    'comment on table users is null',
    'reindex table users',
    'set session_replication_role = replica',
    "select set_config('session_replication_role', 'replica', true)",
    "select nextval('events_id_seq')",
    "select setval('events_id_seq', 1)",

    // Functions that would act for somebody else
    'create function loot() returns void language sql security definer as $$ $$',
    "create function pg_temp.loot() returns void language sql security definer as ''",
    'create or replace function clock() returns timestamptz language sql return now()',
    "create procedure loot() language sql as ''",
    'create language loot handler plpgsql_call_handler',
    "create function loot() returns void language c as 'libc', 'system'",
    'select refuse_change()',
    "do $$ begin execute 'create table loot (id integer)'; end $$",
    "load 'loot'",

    // Becoming somebody else
    'create role loot superuser',
    'create role loot',
    'alter role current_user superuser',
    'alter role current_user bypassrls',
    'alter role current_user createrole',
    'alter role lectern_worker login',
    "alter role lectern password 'loot'",
    'alter role lectern rename to loot',
    'drop role lectern_worker',
    'grant lectern to current_user',
    'grant pg_write_all_data to current_user',
    'set role lectern',
    'set local role pg_read_all_data',
    'set session authorization lectern',
    "select set_config('role', 'lectern', false)",

    // The server and what else it keeps
    'select rolpassword from pg_authid',
    'select * from pg_shadow',
    'select * from pg_user_mapping',
    'select * from pg_statistic',
    "select query_to_xml('select rolpassword from pg_authid', true, true, '')",
    'select * from drizzle.__drizzle_migrations',
    'select * from pg_hba_file_rules',
    'select * from pg_file_settings',
    "copy users to program 'id'",
    "copy users to '/tmp/loot'",
    "copy books (title) from program 'id'",
    "copy books (title) from '/etc/passwd'",
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('PG_VERSION')",
    "select pg_ls_dir('.')",
    'select pg_ls_logdir()',
    "select pg_stat_file('PG_VERSION')",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '/tmp/loot')",
    'select pg_reload_conf()',
    'select pg_rotate_logfile()',
    'select pg_switch_wal()',
    'select pg_promote()',
    "alter system set log_statement = 'all'",
    "set log_statement = 'none'",
    "alter database lectern set search_path = ''",
    'drop database migrated',
    'checkpoint',
  ])('may not: %s', async (statement) => {
    await expect(worker.query(statement)).rejects.toMatchObject({ code: '42501' })
  })

  test('may do what the library does', async () => {
    const patron = await aNewcomer()
    expect(await worker`select id from users where id = ${patron.id}`).toEqual([{ id: patron.id }])
  })

  test('finds no function that acts for its owner', async () => {
    const definers = await database`
      select p.oid::regprocedure::text as name from pg_proc p
      where p.prosecdef and has_function_privilege('lectern_worker', p.oid, 'execute')`
    expect(definers).toEqual([])
  })
})

type Call = () => Promise<boolean>
type Need = { act: string; prepare: (library: Library) => Promise<Call>; grants: string[] }

const unique = () => crypto.randomUUID().slice(0, 13).replaceAll('-', 'x')
const succeeds = async (answer: Promise<Answer>) => (await answer).status < 400

/** What a request of staff does, on what was made for it. */
const asStaff = async (library: Library, method: string, path: string, body?: unknown): Promise<Call> => {
  const { token } = await library.theStaff()
  return () => succeeds(library.ask(method, path, { token, body, headers: { 'if-match': '*' } }))
}
const asPatron =
  (library: Library, { token }: { token: string }, method: string, path: string, body?: unknown): Call =>
  () =>
    succeeds(library.ask(method, path, { token, body }))

async function made<T>(library: Library, path: string, body: object): Promise<T> {
  const { token } = await library.theStaff()
  const answer = await library.ask<T>('POST', path, { token, body })
  expect(answer.status, answer.text).toBe(201)
  return answer.body
}

const aFee = async (library: Library) =>
  made<Fee>(library, '/v1/fees', { userId: (await library.aNewcomer()).id, amount: 100, note: 'a test' })
const aBlock = async (library: Library, more: object = {}) =>
  made<Block>(library, '/v1/blocks', { userId: (await library.aNewcomer()).id, reason: 'a test', ...more })
const aCategory = async (library: Library) => {
  const name = `c${unique()}`
  expect(await (await asStaff(library, 'PUT', `/v1/categories/${name}`))()).toBe(true)
  return name
}
const aPolicy = async (library: Library) =>
  made<Policy>(library, '/v1/policies', { category: await aCategory(library), format: null })
const aLoan = async (library: Library) => {
  const patron = await library.aNewcomer()
  return { patron, loan: await library.aLoan(patron, await library.aBook()) }
}
const aHold = async (library: Library) => {
  const patron = await library.aNewcomer()
  const book = await library.aBook()
  await library.aLoan(await library.aNewcomer(), book)
  return { patron, hold: await library.aHold(patron, book) }
}
const scheduled = (library: Library): Call => {
  const config = configOf(library.env)
  return () =>
    runTasks(config).then(
      () => true,
      () => false,
    )
}
const begin = async ({ ask }: Pick<Library, 'ask'>, { token }: Person) =>
  (await ask<{ secret: string }>('POST', '/v1/users/me/second-factor', { token })).body.secret

const columns = (verb: string, table: string, ...names: string[]) =>
  names.map((name) => `${verb} (${name}) on ${table}`)

/** Every right there is, beside something that fails without it. */
const needs: Need[] = [
  {
    act: 'registering with an Idempotency-Key',
    prepare: async ({ ask }) => {
      const username = `u${unique()}`
      const body = { username, email: `${username}@mail.test`, password: PASSWORD }
      return () => succeeds(ask('POST', '/v1/users', { body, headers: { 'idempotency-key': username } }))
    },
    grants: [
      'insert on users',
      'insert on loan_counters',
      'select on loan_counters',
      'select on fees',
      'insert on mailed_tokens',
      'insert on messages',
      'insert on attempts',
      'select on attempts',
      'update on attempts',
      'insert on idempotency_keys',
      'select on idempotency_keys',
      'update on idempotency_keys',
    ],
  },
  {
    act: 'logging in',
    prepare: async ({ ask, aNewcomer }) => {
      const { username } = await aNewcomer()
      return () => succeeds(ask('POST', '/v1/sessions', { body: { username, password: PASSWORD } }))
    },
    grants: [
      'select on users',
      'insert on sessions',
      'delete on sessions',
      'insert on refresh_tokens',
      'delete on attempts',
      'select on second_factors',
      ...['select', 'insert', 'update', 'delete'].map((verb) => `${verb} on known_addresses`),
      ...columns('insert', 'security_events', 'user_id', 'kind'),
      ...columns('update', 'security_events', 'kind', 'session_id'),
      'select on security_events',
    ],
  },
  {
    act: 'confirming an email address',
    prepare: async ({ ask, aNewcomer }) => {
      const token = tokenIn(await awaitMail((await aNewcomer()).email, /^Confirm/))
      return () => succeeds(ask('POST', '/v1/auth/email-confirmations', { body: { token } }))
    },
    grants: ['select on mailed_tokens', 'delete on mailed_tokens'],
  },
  {
    act: 'beginning a second factor',
    prepare: async (library) => asPatron(library, await library.aNewcomer(), 'POST', '/v1/users/me/second-factor'),
    grants: ['insert on second_factors', 'update on second_factors'],
  },
  {
    act: 'confirming a second factor',
    prepare: async (library) => {
      const patron = await library.aNewcomer()
      const code = codeOf(await begin(library, patron))
      return asPatron(library, patron, 'PUT', '/v1/users/me/second-factor/confirmation', { code })
    },
    grants: [
      'insert on recovery_codes',
      'update (second_factor_at) on sessions',
      'insert (session_id) on security_events',
    ],
  },
  {
    act: 'logging in with a recovery code',
    prepare: async ({ ask, ...library }) => {
      const patron = await library.aNewcomer()
      const body = { code: codeOf(await begin({ ask }, patron)) }
      const confirmed = await ask<{ recoveryCodes: string[] }>('PUT', '/v1/users/me/second-factor/confirmation', {
        token: patron.token,
        body,
      })
      const [code] = confirmed.body.recoveryCodes
      return () =>
        succeeds(ask('POST', '/v1/sessions', { body: { username: patron.username, password: PASSWORD, code } }))
    },
    grants: ['select on recovery_codes', 'delete on recovery_codes'],
  },
  {
    act: 'removing a second factor',
    prepare: async (library) => {
      const patron = await library.aNewcomer()
      await begin(library, patron)
      return asPatron(library, patron, 'DELETE', '/v1/users/me/second-factor')
    },
    grants: ['delete on second_factors'],
  },
  {
    act: 'making a key',
    prepare: async (library) =>
      asPatron(library, await library.aNewcomer(), 'POST', '/v1/users/me/keys', { name: 'a test', scopes: ['read'] }),
    grants: ['insert on api_keys', 'select on api_keys', 'delete on api_keys'],
  },
  {
    act: 'using a key',
    prepare: async (library) => {
      const { token } = await library.aNewcomer()
      const body = { name: 'a test', scopes: ['read'] }
      const key = (await library.ask<{ key: string }>('POST', '/v1/users/me/keys', { token, body })).body.key
      return asPatron(library, { token: key }, 'GET', '/v1/loans')
    },
    grants: ['update (last_used_at) on api_keys'],
  },
  {
    act: 'erasing an account',
    prepare: async (library) => asPatron(library, await library.aNewcomer(), 'DELETE', '/v1/users/me'),
    grants: [
      'delete on users',
      'select on erasures',
      ...columns('insert', 'erasures', 'counts'),
      ...columns('update', 'events', 'actor_id'),
      ...columns('update', 'fee_entries', 'actor_id'),
      ...columns('update', 'book_revisions', 'actor_id'),
    ],
  },
  {
    act: 'refreshing a session',
    prepare: async ({ ask, aNewcomer }) => {
      const { refreshToken } = await aNewcomer()
      return () => succeeds(ask('POST', '/v1/sessions/refresh', { body: { refreshToken } }))
    },
    grants: [
      'select on sessions',
      'select on refresh_tokens',
      ...columns('update', 'refresh_tokens', 'spent_at', 'successor_nonce'),
      'update (last_used_at) on sessions',
    ],
  },
  {
    act: 'keeping no history',
    prepare: async (library) =>
      asPatron(library, await library.aNewcomer(), 'PATCH', '/v1/users/me', { keepHistory: false }),
    grants: ['update on users', 'select on past_loans', 'delete on past_loans'],
  },
  {
    act: 'cataloguing a book',
    prepare: (library) => asStaff(library, 'POST', '/v1/books', { title: 'A test', isbns: [] }),
    grants: [
      'insert on books',
      'select on books',
      'insert on book_isbns',
      'select on copies',
      'select on holds',
      'insert on book_search',
      'insert on unlearned_books',
      ...columns('insert', 'book_revisions', 'book_id', 'version', 'kind', 'record', 'actor_id'),
      'insert on book_keys',
    ],
  },
  {
    act: 'changing a book',
    prepare: async (library) => {
      const { id } = await library.aBook()
      return asStaff(library, 'PATCH', `/v1/books/${id}`, { title: 'Another', isbns: [] })
    },
    grants: [
      'select on book_isbns',
      'delete on book_isbns',
      'select on book_search',
      'update on book_search',
      'select on book_keys',
      'delete on book_keys',
    ],
  },
  {
    act: 'removing a book',
    prepare: async (library) => {
      const token = (await library.theStaff()).token
      return async () => {
        const { id } = await library.aBook()
        return succeeds(library.ask('DELETE', `/v1/books/${id}`, { token, headers: { 'if-match': '*' } }))
      }
    },
    grants: ['delete on book_search'],
  },
  {
    act: 'learning the words of a book',
    prepare: (library) => {
      const task = scheduled(library)
      return Promise.resolve(async () => {
        await library.database`
          insert into books (title, contributors) values ('A test', '[{"name": "Ana Bee", "role": "author"}]')`
        return task()
      })
    },
    grants: [
      ...['vocabulary', 'headings', 'heading_starts'].flatMap((table) => [`select on ${table}`, `insert on ${table}`]),
      ...columns('update', 'vocabulary', 'books'),
      ...columns('update', 'headings', 'books'),
      ...columns('update', 'heading_starts', 'tier'),
      ...['select', 'update'].map((verb) => `${verb} on tier_walk`),
      ...['select', 'update', 'delete'].map((verb) => `${verb} on unlearned_books`),
    ],
  },
  {
    act: 'correcting a book',
    prepare: async (library) =>
      asStaff(library, 'PATCH', `/v1/books/${(await library.aBook()).id}`, { title: 'Right' }),
    grants: ['update on books'],
  },
  {
    act: 'reading the history of a book',
    prepare: async (library) => asStaff(library, 'GET', `/v1/books/${(await library.aBook()).id}/revisions`),
    grants: ['select on book_revisions'],
  },
  {
    act: 'merging two books',
    prepare: async (library) => {
      const [stays, goes] = [await library.aBook(), await library.aBook()]
      return asStaff(library, 'POST', `/v1/books/${stays.id}/merges`, { bookId: goes.id, version: 1 })
    },
    grants: [
      ...columns('insert', 'book_redirects', 'book_id', 'survivor_id'),
      'update (survivor_id) on book_redirects',
      'select on book_redirects',
      'update (book_id) on loans',
      'select on marc_records',
      'update on marc_records',
    ],
  },
  {
    act: 'telling books apart',
    prepare: async (library) => {
      const bookIds = [(await library.aBook()).id, (await library.aBook()).id]
      return asStaff(library, 'POST', '/v1/books/distinctions', { bookIds })
    },
    grants: columns('insert', 'book_distinctions', 'book_id', 'other_id'),
  },
  {
    act: 'looking for duplicates',
    prepare: async (library) => {
      await library.aBook({ title: 'There twice' })
      await library.aBook({ title: 'There twice' })
      return asStaff(library, 'GET', '/v1/books/duplicates')
    },
    grants: ['select on book_distinctions'],
  },
  {
    act: 'adding a copy',
    prepare: async (library) =>
      asStaff(library, 'POST', `/v1/books/${(await library.aBook()).id}/copies`, { format: 'digital' }),
    grants: ['insert on copies', 'update on copies'],
  },
  {
    act: 'borrowing',
    prepare: async (library) =>
      asPatron(library, await library.aNewcomer(), 'POST', '/v1/loans', { bookId: (await library.aBook()).id }),
    grants: [
      'insert on loans',
      'select on loans',
      'update on loan_counters',
      'select on policies',
      'select on library',
      'select on opening_hours',
      'select on calendar_days',
      'select on blocks',
      ...columns(
        'insert',
        'events',
        ...['kind', 'subject_id', 'book_id', 'copy_id', 'patron_id', 'actor_role', 'actor_id', 'details'],
      ),
    ],
  },
  {
    act: 'renewing',
    prepare: async (library) => {
      const { patron, loan } = await aLoan(library)
      await library.database`
        update loans set due_at = clock() + interval '1 hour' where id = ${loan.id}`
      return asPatron(library, patron, 'POST', `/v1/loans/${loan.id}/renewals`, {})
    },
    grants: columns('update', 'loans', 'due_at', 'renewals', 'grace_days', 'fee_per_day', 'fee_max'),
  },
  {
    act: 'saying that a loan was returned',
    prepare: async (library) => asStaff(library, 'PUT', `/v1/loans/${(await aLoan(library)).loan.id}/claimed-return`),
    grants: ['update (claimed_returned_at) on loans'],
  },
  {
    act: 'returning',
    prepare: async (library) => {
      const { patron, loan } = await aLoan(library)
      return asPatron(library, patron, 'PUT', `/v1/loans/${loan.id}/return`)
    },
    grants: [
      ...columns('update', 'loans', 'user_id', 'returned_at', 'lost_at'),
      'insert on past_loans',
      'select on events',
      'update (patron_id) on events',
    ],
  },
  {
    act: 'placing a hold',
    prepare: async (library) => {
      const book = await library.aBook()
      await library.aLoan(await library.aNewcomer(), book)
      return asPatron(library, await library.aNewcomer(), 'POST', '/v1/holds', { bookId: book.id })
    },
    grants: ['insert on holds'],
  },
  {
    act: 'suspending a hold',
    prepare: async (library) => {
      const { patron, hold } = await aHold(library)
      const until = new Date(Date.now() + 10 * 86_400_000).toISOString().slice(0, 10)
      return asPatron(library, patron, 'PUT', `/v1/holds/${hold.id}/suspension`, { until })
    },
    grants: ['update on holds'],
  },
  {
    act: 'cancelling a hold',
    prepare: async (library) => {
      const { patron, hold } = await aHold(library)
      return asPatron(library, patron, 'DELETE', `/v1/holds/${hold.id}`)
    },
    grants: ['delete on holds'],
  },
  {
    act: 'charging a fee',
    prepare: async (library) =>
      asStaff(library, 'POST', '/v1/fees', { userId: (await library.aNewcomer()).id, amount: 100, note: 'a test' }),
    grants: [
      ...columns('insert', 'fees', 'user_id', 'loan_id', 'kind', 'note'),
      'update (balance) on fees',
      ...columns('insert', 'fee_entries', 'fee_id', 'kind', 'amount', 'reason', 'actor_id'),
      'select on fee_entries',
    ],
  },
  {
    act: 'paying all of it',
    prepare: async (library) =>
      asStaff(library, 'POST', `/v1/fees/${(await aFee(library)).id}/payments`, { amount: 100 }),
    grants: columns('update', 'fees', 'user_id', 'loan_id', 'settled_at'),
  },
  {
    act: 'setting a block',
    prepare: async (library) =>
      asStaff(library, 'POST', '/v1/blocks', { userId: (await library.aNewcomer()).id, reason: 'a test' }),
    grants: ['insert on blocks'],
  },
  {
    act: 'lifting a block',
    prepare: async (library) => asStaff(library, 'DELETE', `/v1/blocks/${(await aBlock(library)).id}`),
    grants: ['delete on blocks'],
  },
  {
    act: 'what time does',
    prepare: (library) => Promise.resolve(scheduled(library)),
    grants: [
      'update (created_at) on blocks',
      'delete on idempotency_keys',
      'update (expires_at) on mailed_tokens',
      ...['security_events', 'messages'].map((table) => `delete on ${table}`),
      'select on messages',
      ...columns('update', 'messages', 'attempts', 'next_attempt_at'),
    ],
  },
  {
    act: 'counting by the clock',
    prepare: async (library) => {
      const task = scheduled(library)
      return async () => {
        await library.database`update figures_progress set walked_at = null`
        return task()
      }
    },
    grants: [
      'select on figures_progress',
      ...columns(
        'update',
        'figures_progress',
        ...['transaction_id', 'event_id', 'gathered_at', 'walk', 'walked_to', 'walked_at'],
      ),
      ...['select', 'insert'].map((verb) => `${verb} on book_days`),
      ...columns('update', 'book_days', 'loans', 'digital_loans', 'renewals', 'returns', 'holds'),
      ...['select', 'insert'].map((verb) => `${verb} on lending_days`),
      ...columns('update', 'lending_days', 'loans', 'renewals', 'returns'),
      ...['select', 'insert'].map((verb) => `${verb} on subject_days`),
      ...columns('update', 'subject_days', 'loans', 'renewals', 'returns'),
      ...['select', 'insert', 'delete'].map((verb) => `${verb} on lately_borrowed`),
      ...columns('update', 'lately_borrowed', 'loans_7', 'loans_30', 'loans_90', 'as_of'),
      ...['select', 'delete'].map((verb) => `${verb} on pairs_lent`),
      ...['select', 'insert', 'delete'].map((verb) => `${verb} on books_together`),
      ...columns('update', 'books_together', 'count', 'last_day'),
      ...['select', 'insert', 'delete'].map((verb) => `${verb} on collection_counts`),
      ...columns('update', 'collection_counts', 'books', 'copies', 'loans', 'idle_90', 'idle_365', 'idle_1095'),
    ],
  },
  {
    act: 'borrowing one book with another',
    prepare: async (library) => {
      const patron = await library.aNewcomer()
      await library.aLoan(patron, await library.aBook())
      return asPatron(library, patron, 'POST', '/v1/loans', { bookId: (await library.aBook()).id })
    },
    grants: ['insert on pairs_lent'],
  },
  {
    act: 'encrypting what is not',
    prepare: async (library) => {
      const { id } = await library.aNewcomer()
      const task = scheduled(library)
      return async () => {
        await library.database`update sessions set device_name = 'as before' where user_id = ${id}`
        await library.database`
          insert into messages (user_id, kind, recipient, next_attempt_at)
          values (${id}, 'a-test', 'as@before', now() + interval '1 day')`
        return task()
      }
    },
    grants: ['update (device_name) on sessions', ...columns('update', 'messages', 'recipient', 'content')],
  },
  {
    act: 'making a policy',
    prepare: async (library) =>
      asStaff(library, 'POST', '/v1/policies', { category: await aCategory(library), format: null }),
    grants: ['insert on policies'],
  },
  {
    act: 'changing a policy',
    prepare: async (library) =>
      asStaff(library, 'PATCH', `/v1/policies/${(await aPolicy(library)).id}`, { loanDays: 7 }),
    grants: ['update on policies'],
  },
  {
    act: 'removing a policy',
    prepare: async (library) => asStaff(library, 'DELETE', `/v1/policies/${(await aPolicy(library)).id}`),
    grants: ['delete on policies'],
  },
  {
    act: 'importing, and undoing it',
    prepare: async (library) => {
      const { token } = await library.theStaff()
      const ask = async (method: string, path: string, body?: object) => {
        const answer = await library.ask<{ id: string }>(method, `/v1/imports${path}`, { token, body })
        return answer.status < 300 ? answer.body : null
      }
      const run = async (dryRun: boolean) => {
        const begun = await ask('POST', '', { source: unique(), format: 'marc', dryRun })
        if (begun === null) return false
        const marc = { leader: ' '.repeat(24), fields: [{ '001': unique() }] }
        const records = [{ position: 1, record: { title: unique() }, marc }]
        return (
          (await ask('POST', `/${begun.id}/records`, { records })) !== null &&
          (await ask('PUT', `/${begun.id}/undo`)) !== null
        )
      }
      return async () => (await run(false)) && (await run(true))
    },
    grants: [
      'select on imports',
      ...columns('insert', 'imports', 'source', 'format', 'dry_run'),
      ...columns('update', 'imports', 'ended_at', 'undo_begun_at', 'undone_at'),
      ...columns('update', 'imports', 'created', 'updated', 'merged', 'unchanged', 'refused'),
      ...columns('update', 'imports', 'removed', 'restored', 'kept'),
      'select on import_records',
      'insert on import_records',
      ...columns('update', 'import_records', 'undo', 'undo_reason'),
      ...['select', 'insert'].map((verb) => `${verb} on import_keys`),
      ...['insert', 'delete'].map((verb) => `${verb} on marc_records`),
    ],
  },
  {
    act: 'adding a category',
    prepare: (library) => asStaff(library, 'PUT', `/v1/categories/c${unique()}`),
    grants: ['insert on categories'],
  },
  {
    act: 'listing categories',
    prepare: (library) => asStaff(library, 'GET', '/v1/categories'),
    grants: ['select on categories'],
  },
  {
    act: 'removing a category',
    prepare: async (library) => asStaff(library, 'DELETE', `/v1/categories/${await aCategory(library)}`),
    grants: ['delete on categories'],
  },
  {
    act: 'changing the library',
    prepare: (library) => {
      const week = [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, opens: '00:00', closes: '24:00' }))
      return asStaff(library, 'PATCH', '/v1/library', { timeZone: 'Europe/Rome', openingHours: week })
    },
    grants: [
      ...columns('update', 'library', 'time_zone', 'currency', 'staff_second_factor'),
      ...columns('update', 'opening_hours', 'opens', 'closes'),
    ],
  },
  {
    act: 'a day of its own',
    prepare: (library) =>
      asStaff(library, 'PUT', '/v1/library/days/2040-01-01', { opens: null, closes: null, note: 'a test' }),
    grants: ['insert on calendar_days', 'update on calendar_days'],
  },
  {
    act: 'a day as usual',
    prepare: async (library) => {
      const day = '/v1/library/days/2040-01-02'
      await (
        await asStaff(library, 'PUT', day, { opens: null, closes: null, note: null })
      )()
      return asStaff(library, 'DELETE', day)
    },
    grants: ['delete on calendar_days'],
  },
]

describe('every right of the Worker', () => {
  let library: Awaited<ReturnType<typeof aLibraryApart>>
  beforeAll(async () => {
    library = await aLibraryApart()
  })
  afterAll(() => library.drop())

  test.each(needs)('is needed: $act', async ({ prepare, grants }) => {
    const call = await prepare(library)
    const unneeded: string[] = []
    for (const grant of grants) {
      await library.database.query(`revoke ${grant} from lectern_worker`)
      if (await call()) unneeded.push(grant)
      await library.database.query(`grant ${grant} to lectern_worker`)
    }
    expect(unneeded).toEqual([])
    expect(await call()).toBe(true)
  })

  test('is in that list', async () => {
    const rows = await database`
      select format('%s on %s', lower(a.privilege_type), c.relname) as right
      from pg_class c, aclexplode(c.relacl) a
      where c.relnamespace = 'public'::regnamespace and a.grantee <> c.relowner
      union all
      select format('%s (%s) on %s', lower(a.privilege_type), t.attname, c.relname)
      from pg_class c
      join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
      where c.relnamespace = 'public'::regnamespace`
    expect(rows.map(({ right }) => String(right)).toSorted()).toEqual(needs.flatMap(({ grants }) => grants).toSorted())
  })
})

const FAULT = 'DATABASE_URL is of a role that may do more than the Worker needs'

describe('a Worker whose role may do more', () => {
  const asOwner = () => libraryWith({ ...env, DATABASE_URL: env.OWNER_DATABASE_URL })

  test('refuses every route that asks the database, and its log says why', async () => {
    const { token } = await theStaff()
    const owner = asOwner()
    const lines = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    onTestFinished(() => lines.mockRestore())
    const id = crypto.randomUUID()
    const reads = routes
      .filter(
        ({ method, path }) =>
          method === 'GET' && ((path.startsWith('/v1/') && path !== '/v1/security/guidance') || path === '/readyz'),
      )
      .map(({ path }) =>
        path
          .replace(':isbn', '9780306406157')
          .replace(':position', '1')
          .replace(':format', 'csv')
          .replaceAll(/:\w+/g, id)
          .replace('suggest', 'suggest?q=a'),
      )
    expect(reads.length).toBeGreaterThan(20)
    const username = `u${unique()}`
    const answers = [
      ...(await Promise.all(reads.map((path) => owner.ask('GET', path, { token })))),
      await owner.ask('POST', '/v1/users', { body: { username, email: `${username}@mail.test`, password: PASSWORD } }),
      await owner.ask('POST', '/v1/sessions', { body: { username, password: PASSWORD } }),
      await owner.ask('POST', '/v1/books', { token, body: { title: username }, headers: { 'idempotency-key': id } }),
      await owner.ask('PUT', `/v1/categories/${username}`, { token }),
    ]
    expect(answers.map((answer) => [answer.status, problemOf(answer)])).toEqual(
      answers.map(() => [500, 'misconfigured']),
    )
    const written = lines.mock.calls.map(([line]) => String(line))
    const faults = written.filter((line) => line.includes('"event":"misconfigured"'))
    expect(faults.map((line) => (JSON.parse(line) as { faults: string }).faults)).toEqual(answers.map(() => FAULT))
    expect(written.join()).not.toContain(new URL(env.OWNER_DATABASE_URL).password)
    lines.mockRestore()
    expect(await database`select from users where username = ${username}`).toEqual([])
    expect(await database`select from books where title = ${username}`).toEqual([])
    expect(await database`select from categories where name = ${username}`).toEqual([])
  })

  test('does nothing by the clock', async () => {
    await expect(runTasks(configOf(asOwner().env))).rejects.toThrow(ConfigError)
  })

  test.each([
    ['is a superuser', (role: string) => [`alter role ${role} superuser`]],
    ['bypasses row security', (role: string) => [`alter role ${role} bypassrls`]],
    ['makes roles', (role: string) => [`alter role ${role} createrole`]],
    ['makes databases', (role: string) => [`alter role ${role} createdb`]],
    ['replicates', (role: string) => [`alter role ${role} replication`]],
    ['writes to all tables', (role: string) => [`grant pg_write_all_data to ${role}`]],
    ['owns a table', (role: string) => ['create table loot ()', `alter table loot owner to ${role}`]],
    ['may become the owner', (role: string) => [`grant lectern to ${role}`]],
    ['may become who bypasses row security', (role: string) => [`create role ${role}_up bypassrls role ${role}`]],
    [
      'seems plain by a setting',
      (role: string) => [`alter role ${role} bypassrls`, `alter role ${role} set role = lectern_worker`],
    ],
  ])('that %s', async (_, statements) => {
    const role = `role_${unique()}`
    const library = await aLibraryApart({
      statements: [`create role ${role} login password '${role}' in role lectern_worker`],
    })
    onTestFinished(async () => {
      await library.drop()
      for (const name of [`${role}_up`, role]) await database.query(`drop role if exists ${name}`)
    })
    const url = new URL(library.env.DATABASE_URL)
    url.username = url.password = role
    const refusal = async () =>
      problemOf(await libraryWith({ ...library.env, DATABASE_URL: url.href }).ask('GET', '/v1/books'))
    expect(await refusal()).toBeNull()
    for (const statement of statements(role)) await library.database.query(statement)
    expect(await refusal()).toBe('misconfigured')
  })
})

test('a Worker asks for its role in its first round trip, until one has succeeded', async () => {
  const library = libraryWith({ ...env })
  const sent = vi.spyOn(globalThis, 'fetch')
  onTestFinished(() => sent.mockRestore())
  const asked = () => sent.mock.calls.map(([, init]) => JSON.stringify(init).match(/require_plain_role/g)?.length ?? 0)
  await library.ask('GET', `/v1/books/${crypto.randomUUID()}`)
  await library.ask('GET', '/v1/books')
  await library.ask('GET', '/v1/books')
  expect(asked()).toEqual([1, 1, 0])
})
