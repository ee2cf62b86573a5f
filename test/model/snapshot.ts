import { balanceOf, type Library, positionOf } from './library.ts'
import { nameOfDay } from './days.ts'

const iso = (moment: number | null) => (moment === null ? null : new Date(moment).toISOString())

/** All that a library knows, with names for ids; `snapshot` below asks the real one for the same. */
export const snapshotOf = (library: Library) => ({
  copies: library.copies.map((copy) => ({
    id: copy.name,
    state: copy.state,
    licenceEndsAt: iso(copy.licenceEndsAt),
    loansLeft: copy.loansLeft,
    uses: copy.usesInLibrary,
    version: copy.version,
    isRemoved: copy.isRemoved,
  })),
  loans: library.loans.map((loan) => ({
    id: loan.name,
    user: loan.patron?.name ?? null,
    copy: loan.copy.name,
    book: loan.copy.book,
    format: loan.copy.format,
    category: loan.category,
    madeAt: iso(loan.madeAt),
    dueAt: iso(loan.dueAt),
    renewals: loan.renewals,
    claimedAt: iso(loan.claimedAt),
    endedAt: iso(loan.endedAt),
    lostAt: iso(loan.lostAt),
    fees: [loan.fees.graceDays, loan.fees.feePerDay, loan.fees.feeMax],
  })),
  holds: library.books.map((book) =>
    library.holds
      .filter((hold) => hold.book === book)
      .map((hold) => ({
        id: hold.name,
        user: hold.patron.name,
        format: hold.format,
        position: positionOf(library, hold),
        suspendedUntil: hold.suspendedUntil === null ? null : nameOfDay(hold.suspendedUntil),
        copy: hold.ready?.copy.name ?? null,
        readyAt: iso(hold.ready?.since ?? null),
        collectBy: iso(hold.ready?.collectBy ?? null),
      })),
  ),
  fees: library.fees.map((fee) => ({
    id: fee.name,
    user: fee.patron?.name ?? null,
    loan: fee.loan?.name ?? null,
    kind: fee.kind,
    note: fee.note,
    balance: balanceOf(fee),
    settledAt: iso(fee.settledAt),
    entries: fee.entries.map(({ kind, amount, reason, by }) => [kind, amount, reason, by]),
  })),
  patrons: library.patrons.map((patron) => ({
    id: patron.name,
    category: patron.category,
    expiresAt: iso(patron.expiresAt),
    isSuspended: patron.isSuspended,
    openLoans: library.loans.filter((loan) => loan.patron === patron).length,
    keepsHistory: patron.keepsHistory,
    history: library.loans.map(({ name }) => name).filter((name) => patron.history.includes(name)),
  })),
  blocks: library.blocks.map(({ name, patron, endsAt }) => ({ id: name, user: patron.name, endsAt: iso(endsAt) })),
  events: library.events.map(({ kind, subject, book, copy, patron, actor, details, at }) => ({
    kind,
    subject,
    book,
    copy,
    patron,
    actor: [actor.role, actor.name],
    details,
    at: iso(at),
  })),
})

export const snapshot = `
  select json_build_object(
    'copies', (
      select coalesce(json_agg(json_build_object(
        'id', c.id, 'state', c.state, 'licenceEndsAt', c.licence_ends_at, 'loansLeft', c.loans_left,
        'uses', c.in_library_uses, 'version', c.version, 'isRemoved', c.removed_at is not null
      ) order by c.id), '[]') from copies c
    ),
    'loans', (
      select coalesce(json_agg(json_build_object(
        'id', l.id, 'user', l.user_id, 'copy', l.copy_id, 'book', l.book_id, 'format', l.format,
        'category', l.category, 'madeAt', l.checked_out_at, 'dueAt', l.due_at, 'renewals', l.renewals,
        'claimedAt', l.claimed_returned_at, 'endedAt', l.returned_at, 'lostAt', l.lost_at,
        'fees', json_build_array(l.grace_days, l.fee_per_day, l.fee_max)
      ) order by l.id), '[]') from loans l
    ),
    'holds', (
      select json_agg((
        select coalesce(json_agg(json_build_object(
          'id', h.id, 'user', h.user_id, 'format', h.format, 'position', hold_position(h),
          'suspendedUntil', h.suspended_until, 'copy', h.copy_id, 'readyAt', h.ready_at, 'collectBy', h.collect_by
        ) order by h.place), '[]') from holds h where h.book_id = b.id
      ) order by b.id) from books b
    ),
    'fees', (
      select coalesce(json_agg(json_build_object(
        'id', f.id, 'user', f.user_id, 'loan', f.loan_id, 'kind', f.kind, 'note', f.note, 'balance', f.balance,
        'settledAt', f.settled_at, 'entries', (
          select json_agg(json_build_array(e.kind, abs(e.amount), e.reason, e.actor_id) order by e.id)
          from fee_entries e where e.fee_id = f.id
        )
      ) order by f.id), '[]') from fees f
    ),
    'patrons', (
      select json_agg(json_build_object(
        'id', u.id, 'category', u.category, 'expiresAt', u.expires_at, 'isSuspended', u.suspended_at is not null,
        'openLoans', (select n.open_loans from loan_counters n where n.user_id = u.id),
        'keepsHistory', u.keep_history, 'history', (
          select coalesce(json_agg(p.loan_id order by p.loan_id), '[]') from past_loans p where p.user_id = u.id
        )
      ) order by u.id) from users u where u.role = 'patron'
    ),
    'blocks', (
      select coalesce(json_agg(json_build_object('id', b.id, 'user', b.user_id, 'endsAt', b.ends_at) order by b.id), '[]')
      from blocks b
    ),
    'events', (
      select coalesce(json_agg(json_build_object(
        'kind', e.kind, 'subject', e.subject_id, 'book', e.book_id, 'copy', e.copy_id, 'patron', e.patron_id,
        'actor', json_build_array(e.actor_role, e.actor_id), 'details', e.details, 'at', e.occurred_at
      ) order by e.id), '[]') from events e
    )
  ) as body`
