import { signAccessToken } from '../../src/access-token.ts'
import { configOf } from '../../src/config.ts'
import { runTasks } from '../../src/scheduled.ts'
import type { Edit } from '../support/commands.ts'
import { aLibraryApart } from '../support/laboratory.ts'
import { type Library } from './library.ts'
import { BOOKS, PATRONS, STAFF } from './setting.ts'
import { snapshot } from './snapshot.ts'

/** The real library, in a database of its own, whose time is what the test says, and which can start over. */

const clock = [
  'create table test_clock (at timestamptz not null)',
  'insert into test_clock values (now())',
  'grant select on test_clock to lectern_worker',
  'create or replace function clock() returns timestamptz language sql stable return (select at from test_clock)',
]

/** Empties the library, but for people and books, past the triggers that keep the ledger; then stocks it. */
const startOver = `
create function start_over(world jsonb) returns json
language plpgsql as $$
begin
  set local session_replication_role = replica;
  delete from idempotency_keys;
  delete from past_loans;
  delete from fee_entries;
  delete from fees;
  delete from events;
  delete from blocks;
  delete from holds;
  delete from loans;
  delete from copies;
  delete from sessions;
  delete from policies;
  delete from calendar_days;
  update loan_counters set open_loans = 0;
  update test_clock set at = (world ->> 'now')::timestamptz;
  update library set time_zone = world ->> 'zone';
  update opening_hours h set opens = (w ->> 'opens')::time, closes = (w ->> 'closes')::time
  from jsonb_array_elements(world -> 'week') as w
  where h.weekday = (w ->> 'weekday')::int;
  update users u set category = p ->> 'category', expires_at = null, suspended_at = null, suspension_reason = null,
    keep_history = false
  from jsonb_array_elements(world -> 'people') as p
  where u.username = p ->> 'name';
  insert into sessions (id, user_id, expires_at)
  select (p ->> 'session')::uuid, u.id, now() + interval '1 day'
  from jsonb_array_elements(world -> 'people') as p
  join users u on u.username = p ->> 'name';
  insert into policies (
    category, format, loan_days, renewal_limit, loan_limit, hold_limit, collect_days, grace_days, fee_per_day, fee_max,
    lost_fee, fee_limit, overdue_limit, due_dates, overridable
  )
  select
    p."category", p."format", p."loanDays", p."renewalLimit", p."loanLimit", p."holdLimit", p."collectDays",
    p."graceDays", p."feePerDay", p."feeMax", p."lostFee", p."feeLimit", p."overdueLimit", p."dueDates", p."overridable"
  from jsonb_to_recordset(world -> 'policies') as p (
    "category" text, "format" text, "loanDays" int, "renewalLimit" int, "loanLimit" int, "holdLimit" int,
    "collectDays" int, "graceDays" int, "feePerDay" int, "feeMax" int, "lostFee" int, "feeLimit" int,
    "overdueLimit" int, "dueDates" date[], "overridable" text[]
  );
  insert into copies (book_id, format, barcode, licence_ends_at, loans_left)
  select b.id, c."format", c."barcode", c."licenceEndsAt", c."loansLeft"
  from rows from (jsonb_to_recordset(world -> 'copies') as (
    "book" text, "format" text, "barcode" text, "licenceEndsAt" timestamptz, "loansLeft" int
  )) with ordinality as c ("book", "format", "barcode", "licenceEndsAt", "loansLeft", place)
  join books b on b.title = c."book"
  order by c.place;
  return json_build_object(
    'copy', (select json_agg(id order by id) from copies),
    'policy', (select json_agg(id order by id) from policies)
  );
end
$$`

/** A token lives for ten minutes; it is signed again well before. */
const TOKEN_SECONDS = 300

export type Real = Awaited<ReturnType<typeof aRealLibrary>>

export async function aRealLibrary({ edits = [] }: { edits?: Edit[] } = {}) {
  const library = await aLibraryApart({ statements: [...clock, startOver], edits })
  const config = configOf(library.env)
  const rows = (text: string, values: unknown[] = []) => library.database.query(text, values)

  const people: { name: string; id: string; session: string; role: 'staff' | 'patron' }[] = []
  for (const name of [STAFF, ...PATRONS]) {
    const role = name === STAFF ? 'staff' : 'patron'
    const [made] = await rows(`select (create_user(uuidv7(), $1, 'none', $2, null, null)).id`, [name, role])
    people.push({ name, id: String(made?.['id']), session: crypto.randomUUID(), role })
  }
  await rows(`insert into categories (name) values ('student') on conflict do nothing`)
  const books: [string, string][] = []
  for (const title of BOOKS) {
    const [made] = await rows('insert into books (title) values ($1) returning id', [title])
    books.push([title, String(made?.['id'])])
  }

  const tokens = new Map<string, { token: string; signedAt: number }>()
  async function tokenOf(name: string) {
    const iat = Math.floor(Date.now() / 1000)
    const known = tokens.get(name)
    if (known !== undefined && iat - known.signedAt < TOKEN_SECONDS) return known.token
    const person = people.find((person) => person.name === name)
    if (person === undefined) throw new Error(`${name} is nobody here`)
    const { id: sub, session: sid, role } = person
    const token = await signAccessToken(config, { sub, sid, jti: crypto.randomUUID(), role, iat })
    tokens.set(name, { token, signedAt: iat })
    return token
  }

  /** Makes it the library of the model. Answers the ids of what has names. */
  async function begin({ now, calendar, policies, copies, patrons }: Library) {
    const world = {
      now: new Date(now).toISOString(),
      zone: calendar.zone,
      week: calendar.week.map((hours, index) => ({ weekday: index + 1, ...hours })),
      people: people.map(({ name, session }) => ({
        name,
        session,
        category: patrons.find((patron) => patron.name === name)?.category ?? 'general',
      })),
      policies: policies.map(({ category, format, terms }) => ({ category, format, ...terms })),
      copies: copies.map(({ book, format, barcode, licenceEndsAt, loansLeft }) => ({
        book,
        format,
        barcode,
        licenceEndsAt: licenceEndsAt === null ? null : new Date(licenceEndsAt).toISOString(),
        loansLeft,
      })),
    }
    const [row] = await rows('select start_over($1::jsonb) as made', [JSON.stringify(world)])
    const made = row?.['made'] as Record<'copy' | 'policy', string[] | null>
    return new Map([
      ...people.map(({ name, id }): [string, string] => [name, id]),
      ...books,
      ...(made.copy ?? []).map((id, index): [string, string] => [`copy-${index + 1}`, id]),
      ...(made.policy ?? []).map((id, index): [string, string] => [`policy-${index + 1}`, id]),
    ])
  }

  async function logIn(name: string) {
    const person = people.find((person) => person.name === name)
    await rows(`insert into sessions (id, user_id, expires_at) values ($1, $2, now() + interval '1 day')`, [
      person?.session,
      person?.id,
    ])
  }

  return {
    ask: library.ask,
    drop: library.drop,
    begin,
    logIn,
    tokenOf,
    runTasks: () => runTasks(config),
    setClock: (now: number) => rows('update test_clock set at = $1', [new Date(now).toISOString()]),
    look: async () => (await rows(snapshot))[0]?.['body'],
  }
}
