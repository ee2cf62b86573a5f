import { vi } from 'vitest'
import { signAccessToken } from '../../src/access-token.ts'
import { configOf } from '../../src/config.ts'
import { hashPassword } from '../../src/features/users/password.ts'
import type { aLibraryApart } from '../support/laboratory.ts'
import { PASSWORD } from '../support/library.ts'
import { people } from '../support/people.ts'

export type Apart = Omit<Awaited<ReturnType<typeof aLibraryApart>>, 'drop'>
export type Scene = Awaited<ReturnType<typeof aScene>>

/** Under which lateness and loss cost something. */
export const TERMS = 'update policies set fee_per_day = 10, fee_max = 50, lost_fee = 300'

let scenes = 0
let passwordHash: Promise<string> | undefined

/** A corner of a library where nothing happens but one verb: people and books of its own, which its name tells from those
 *  of all others. */
export async function aScene(library: Apart) {
  const { database } = library
  const place = (scenes += 1)
  const name = `scene${String(place).padStart(6, '0')}`
  passwordHash ??= hashPassword(configOf(library.env), PASSWORD)
  const wanted = [
    { username: `${name}staff`, role: 'staff' as const },
    ...[1, 2, 3].map((n) => ({ username: `${name}patron${n}`, role: 'patron' as const })),
  ]
  const [staff, patron, second, third] = await people(library, wanted, await passwordHash)
  if (!staff || !patron || !second || !third) throw new Error('somebody is missing')
  return {
    ...library,
    name,
    staff,
    patron,
    second,
    third,
    /** Tokens that were good once: of a session that has ended, and of a role that is no longer theirs. */
    intruders: await Promise.all([
      aToken(library, { ...staff, sessionId: crypto.randomUUID() }),
      aToken(library, second),
    ]),
    /** A day of this scene alone, and so are those after it. */
    day: new Date(Date.UTC(2100, 0, 1 + place * 10)).toISOString().slice(0, 10),
    book: (copies = 1) => aBook(library, { title: `${name} book`, barcode: name, copies }),
    /** As if the loan had been made so many days earlier. */
    age: (loan: { id: string }, days: number) => database`
      update loans
      set checked_out_at = checked_out_at - make_interval(days => ${days}),
        due_at = due_at - make_interval(days => ${days})
      where id = ${loan.id}`,
    /** To look is no part of the trial: where there is no connection free at that moment, it looks again. */
    state: async () => {
      const [row] = await vi.waitFor(() => database.query(STATE, [name]), { timeout: 30_000, interval: 500 })
      return withoutChance(String(row?.['state']), name)
    },
  }
}

const aToken = ({ env }: Apart, { id, sessionId }: { id: string; sessionId: string }) =>
  signAccessToken(configOf(env), {
    sub: id,
    sid: sessionId,
    jti: crypto.randomUUID(),
    role: 'staff',
    iat: Math.floor(Date.now() / 1_000),
  })

async function aBook(
  { database }: Apart,
  { title, barcode, copies }: Record<'title' | 'barcode', string> & { copies: number },
) {
  const [row] = await database`
    with made as (insert into books (title) values (${title}) returning id),
    added as (
      insert into copies (book_id, format, barcode)
      select made.id, 'physical', ${barcode} || '-' || n from made, generate_series(1, ${copies}::integer) as n
      returning id, barcode
    )
    select (select id from made) as id, array_agg(id order by barcode) as copies from added`
  return { id: String(row?.['id']), copyIds: (row?.['copies'] ?? []) as string[] }
}

/** All that is kept about a scene, in the order in which it was made. */
const STATE = `
  with people as (select * from users where starts_with(username, $1)),
  titles as (select * from books where starts_with(title, $1)),
  owed as (
    select * from fees f
    where f.user_id in (select id from people)
      or exists (select from fee_entries e where e.fee_id = f.id and e.actor_id in (select id from people))
  )
  select json_build_object(
    'users', (select json_agg(to_jsonb(u) - '{password_hash,email,email_hash,pending_email,pending_email_hash}'::text[] order by u.username) from people u),
    'addresses', (select json_agg(json_build_array(u.email is null, u.pending_email is null) order by u.username) from people u),
    'questions', (
      select json_agg(t.purpose order by t.purpose) from mailed_tokens t where t.user_id in (select id from people)
    ),
    'factors', (
      select json_agg(json_build_array(
        f.confirmed_at is null, (select count(*) from recovery_codes c where c.user_id = f.user_id)
      ))
      from second_factors f where f.user_id in (select id from people)
    ),
    'keys', (
      select json_agg(to_jsonb(k) - 'key_hash' order by k.id) from api_keys k where k.user_id in (select id from people)
    ),
    'sessions', (select json_agg(s order by u.username, s.created_at) from sessions s join people u on u.id = s.user_id),
    'tokens', (
      select json_agg(to_jsonb(t) - 'token_hash' - 'successor_nonce' order by s.created_at, t.spent_at)
      from refresh_tokens t join sessions s on s.id = t.session_id join people u on u.id = s.user_id
    ),
    'changed', (select json_agg(u.updated_at > u.created_at order by u.username) from people u),
    'categories', (select json_agg(c order by c.name) from categories c where c.name = $1),
    'zone', (select time_zone from library),
    'counters', (
      select json_agg(n.open_loans order by u.username) from loan_counters n join people u on u.id = n.user_id
    ),
    'history', (select json_agg(l order by l.loan_id) from past_loans l where l.user_id in (select id from people)),
    'books', (select json_agg(to_jsonb(b) - 'search' order by b.id) from titles b),
    'imports', (select json_agg(i order by i.id) from imports i where i.source = $1),
    'records', (
      select json_agg(to_jsonb(r) - '{record_key,digest,after_digest}'::text[] order by r.import_id, r.position)
      from import_records r join imports i on i.id = r.import_id and i.source = $1
    ),
    'marc', (select json_agg(m order by m.book_id) from marc_records m where m.book_id in (select id from titles)),
    'revisions', (
      select json_agg(r order by r.book_id, r.version) from book_revisions r where r.book_id in (select id from titles)
    ),
    'merged', (select json_agg(r order by r.book_id) from book_redirects r where r.book_id in (select id from titles)),
    'told apart', (
      select json_agg(d order by d.book_id, d.other_id) from book_distinctions d where d.book_id in (select id from titles)
    ),
    'copies', (select json_agg(c order by c.id) from copies c where c.book_id in (select id from titles)),
    'loans', (select json_agg(l order by l.id) from loans l where l.book_id in (select id from titles)),
    'holds', (
      select json_agg(to_jsonb(h) - 'place' order by h.place) from holds h where h.book_id in (select id from titles)
    ),
    'fees', (select json_agg(f order by f.id) from owed f),
    'entries', (select json_agg(e order by e.id) from fee_entries e where e.fee_id in (select id from owed)),
    'blocks', (select json_agg(b order by b.id) from blocks b where b.user_id in (select id from people)),
    'policies', (select json_agg(p order by p.id) from policies p where p.category = $1),
    'days', (select json_agg(d order by d.day) from calendar_days d where d.note = $1),
    'events', (
      select json_agg(to_jsonb(e) - 'id' - 'transaction_id' order by e.id) from events e
      where e.book_id in (select id from titles) or e.subject_id in (select id from owed)
        or e.patron_id in (select id from people) or e.actor_id in (select id from people)
    )
  )::text as state`

/** What differs from scene to scene, taken out: names and times; an id becomes a number. */
function withoutChance(state: string, name: string): string {
  const ids = new Map<string, string>()
  const numbered = (id: string) => {
    const number = ids.get(id) ?? `#${ids.size}`
    ids.set(id, number)
    return number
  }
  return state
    .replaceAll(name, 'scene')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, numbered)
    .replaceAll(/\d{4}-\d\d-\d\d(T[\d:.+]+)?/g, 'then')
}
