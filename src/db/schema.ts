import { type SQL, sql } from 'drizzle-orm'
import {
  bigint,
  check,
  customType,
  foreignKey,
  index,
  integer,
  json,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'

/** The tables as Drizzle sees them. The migrations in drizzle/ say why, and hold the functions and triggers;
 *  `npm run check:migrations` fails when the two differ. */

const bytea = customType<{ data: Uint8Array; driverData: string }>({
  dataType: () => 'bytea',
  toDriver: (bytes) => `\\x${Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')}`,
})
const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' })

const id = () =>
  uuid('id')
    .notNull()
    .default(sql`uuidv7()`)
const moment = (name: string) => timestamp(name, { withTimezone: true, mode: 'string' })
const madeAt = () => ({
  createdAt: moment('created_at').notNull().defaultNow(),
  updatedAt: moment('updated_at').notNull().defaultNow(),
})

export const users = pgTable(
  'users',
  {
    id: id(),
    username: text('username').notNull(),
    email: text('email').notNull(),
    passwordHash: text('password_hash').notNull(),
    role: text('role', { enum: ['staff', 'patron'] })
      .notNull()
      .default('patron'),
    suspendedAt: moment('suspended_at'),
    suspensionReason: text('suspension_reason'),
    ...madeAt(),
  },
  (t) => [
    primaryKey({ name: 'users_pkey', columns: [t.id] }),
    check('users_role_known', sql`${t.role} in ('staff', 'patron')`),
    check('users_username_bounded', sql`length(${t.username}) between 3 and 32`),
    check('users_email_bounded', sql`length(${t.email}) between 3 and 254`),
    check('users_suspension_has_reason', sql`(${t.suspendedAt} is null) = (${t.suspensionReason} is null)`),
    uniqueIndex('users_username_unique').on(sql`lower(${t.username})`),
    uniqueIndex('users_email_unique').on(sql`lower(${t.email})`),
  ],
)

export const loanCounters = pgTable(
  'loan_counters',
  {
    userId: uuid('user_id').notNull(),
    openLoans: integer('open_loans').notNull().default(0),
  },
  (t) => [
    primaryKey({ name: 'loan_counters_pkey', columns: [t.userId] }),
    foreignKey({ name: 'loan_counters_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete(
      'cascade',
    ),
    check('loan_counters_never_negative', sql`${t.openLoans} >= 0`),
  ],
)

export const sessions = pgTable(
  'sessions',
  {
    id: id(),
    userId: uuid('user_id').notNull(),
    deviceName: text('device_name'),
    createdAt: moment('created_at').notNull().defaultNow(),
    lastUsedAt: moment('last_used_at').notNull().defaultNow(),
    expiresAt: moment('expires_at').notNull(),
  },
  (t) => [
    primaryKey({ name: 'sessions_pkey', columns: [t.id] }),
    foreignKey({ name: 'sessions_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete('cascade'),
    check('sessions_device_name_bounded', sql`length(${t.deviceName}) <= 80`),
    index('sessions_by_user').on(t.userId, t.id),
    index('sessions_by_expiry').on(t.expiresAt),
  ],
)

export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    tokenHash: bytea('token_hash').notNull(),
    sessionId: uuid('session_id').notNull(),
    expiresAt: moment('expires_at').notNull(),
    spentAt: moment('spent_at'),
    successorNonce: bytea('successor_nonce'),
  },
  (t) => [
    primaryKey({ name: 'refresh_tokens_pkey', columns: [t.tokenHash] }),
    foreignKey({
      name: 'refresh_tokens_session_fkey',
      columns: [t.sessionId],
      foreignColumns: [sessions.id],
    }).onDelete('cascade'),
    check('refresh_tokens_hash_is_sha256', sql`length(${t.tokenHash}) = 32`),
    check('refresh_tokens_spent_has_nonce', sql`(${t.spentAt} is null) = (${t.successorNonce} is null)`),
    index('refresh_tokens_by_session').on(t.sessionId),
  ],
)

export const books = pgTable(
  'books',
  {
    id: id(),
    title: text('title').notNull(),
    subtitle: text('subtitle'),
    contributors: jsonb('contributors').$type<{ name: string; role: string }[]>().notNull().default([]),
    publisher: text('publisher'),
    publishedYear: smallint('published_year'),
    language: text('language'),
    subjects: text('subjects').array().notNull().default([]),
    description: text('description'),
    seriesName: text('series_name'),
    seriesNumber: text('series_number'),
    isbns: text('isbns').array().notNull().default([]),
    identifiers: jsonb('identifiers').$type<{ scheme: string; value: string }[]>().notNull().default([]),
    version: integer('version').notNull().default(1),
    ...madeAt(),
    removedAt: moment('removed_at'),
    titleKey: text('title_key')
      .notNull()
      .generatedAlwaysAs((): SQL => sql`fold(${books.title})`),
    subjectKeys: text('subject_keys')
      .array()
      .notNull()
      .generatedAlwaysAs((): SQL => sql`fold_all(${books.subjects})`),
    search: tsvector('search')
      .notNull()
      .generatedAlwaysAs(
        (): SQL => sql`words(${books.title} || ' ' || coalesce(${books.subtitle}, ''), 'A')
          || words(coalesce(contributor_names(${books.contributors}), ''), 'B')
          || words(coalesce(${books.seriesName}, '') || ' ' || coalesce(join_texts(${books.subjects}), ''), 'C')
          || words(${books.description}, 'D')`,
      ),
  },
  (t) => [
    primaryKey({ name: 'books_pkey', columns: [t.id] }),
    check('books_title_bounded', sql`length(${t.title}) between 1 and 500`),
    check('books_series_number_has_series', sql`${t.seriesNumber} is null or ${t.seriesName} is not null`),
    index('books_by_title')
      .on(sql`${t.titleKey} collate "C"`, t.id)
      .where(sql`${t.removedAt} is null`),
    index('books_by_year')
      .on(sql`(coalesce(${t.publishedYear}, '-32768'::smallint))`, t.id)
      .where(sql`${t.removedAt} is null`),
    index('books_by_newest')
      .on(t.id)
      .where(sql`${t.removedAt} is null`),
    index('books_by_search')
      .using('gin', t.search)
      .where(sql`${t.removedAt} is null`),
    index('books_by_subject')
      .using('gin', t.subjectKeys)
      .where(sql`${t.removedAt} is null`),
  ],
)

export const bookIsbns = pgTable(
  'book_isbns',
  { isbn: text('isbn').notNull(), bookId: uuid('book_id').notNull() },
  (t) => [
    primaryKey({ name: 'book_isbns_unique', columns: [t.isbn] }),
    foreignKey({ name: 'book_isbns_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete('cascade'),
    check('book_isbns_are_13_digits', sql`${t.isbn} ~ '^97[89][0-9]{10}$'`),
    index('book_isbns_by_book').on(t.bookId),
  ],
)

export const copies = pgTable(
  'copies',
  {
    id: id(),
    bookId: uuid('book_id').notNull(),
    format: text('format', { enum: ['physical', 'digital'] }).notNull(),
    barcode: text('barcode'),
    callNumber: text('call_number'),
    licenceEndsAt: moment('licence_ends_at'),
    loansLeft: integer('loans_left'),
    state: text('state', { enum: ['available', 'on_loan', 'on_hold'] })
      .notNull()
      .default('available'),
    version: integer('version').notNull().default(1),
    ...madeAt(),
    removedAt: moment('removed_at'),
  },
  (t) => [
    primaryKey({ name: 'copies_pkey', columns: [t.id] }),
    foreignKey({ name: 'copies_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }),
    check('copies_format_known', sql`${t.format} in ('physical', 'digital')`),
    check('copies_state_known', sql`${t.state} in ('available', 'on_loan', 'on_hold')`),
    check('copies_physical_has_barcode', sql`(${t.format} = 'physical') = (${t.barcode} is not null)`),
    check('copies_shelf_is_for_physical', sql`${t.format} = 'physical' or ${t.callNumber} is null`),
    check(
      'copies_licence_is_for_digital',
      sql`${t.format} = 'digital' or (${t.licenceEndsAt} is null and ${t.loansLeft} is null)`,
    ),
    check('copies_loans_left_never_negative', sql`${t.loansLeft} >= 0`),
    check('copies_removed_only_when_available', sql`${t.removedAt} is null or ${t.state} = 'available'`),
    uniqueIndex('copies_barcode_unique')
      .on(t.barcode)
      .where(sql`${t.removedAt} is null`),
    index('copies_by_book')
      .on(t.bookId, t.id)
      .where(sql`${t.removedAt} is null`),
  ],
)

export const policies = pgTable(
  'policies',
  {
    id: id(),
    loanDays: integer('loan_days').notNull(),
    loanLimit: integer('loan_limit').notNull(),
    renewalLimit: integer('renewal_limit').notNull(),
    holdLimit: integer('hold_limit').notNull().default(5),
    collectDays: integer('collect_days').notNull().default(7),
  },
  (t) => [
    primaryKey({ name: 'policies_pkey', columns: [t.id] }),
    check('policies_loan_days_bounded', sql`${t.loanDays} between 1 and 366`),
    check('policies_loan_limit_bounded', sql`${t.loanLimit} between 0 and 1000`),
    check('policies_renewal_limit_bounded', sql`${t.renewalLimit} between 0 and 100`),
    check('policies_hold_limit_bounded', sql`${t.holdLimit} between 0 and 1000`),
    check('policies_collect_days_bounded', sql`${t.collectDays} between 1 and 60`),
  ],
)

export const loans = pgTable(
  'loans',
  {
    id: id(),
    userId: uuid('user_id'),
    copyId: uuid('copy_id').notNull(),
    bookId: uuid('book_id').notNull(),
    format: text('format', { enum: ['physical', 'digital'] }).notNull(),
    checkedOutAt: moment('checked_out_at').notNull().defaultNow(),
    dueAt: moment('due_at').notNull(),
    renewals: integer('renewals').notNull().default(0),
    returnedAt: moment('returned_at'),
  },
  (t) => [
    primaryKey({ name: 'loans_pkey', columns: [t.id] }),
    foreignKey({ name: 'loans_user_fkey', columns: [t.userId], foreignColumns: [users.id] }),
    foreignKey({ name: 'loans_copy_fkey', columns: [t.copyId], foreignColumns: [copies.id] }),
    foreignKey({ name: 'loans_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }),
    check('loans_format_known', sql`${t.format} in ('physical', 'digital')`),
    check('loans_due_after_checkout', sql`${t.dueAt} > ${t.checkedOutAt}`),
    check('loans_renewals_never_negative', sql`${t.renewals} >= 0`),
    check('loans_open_have_a_borrower', sql`(${t.returnedAt} is null) = (${t.userId} is not null)`),
    uniqueIndex('loans_one_open_per_copy')
      .on(t.copyId)
      .where(sql`${t.returnedAt} is null`),
    uniqueIndex('loans_one_open_per_user_and_book')
      .on(t.userId, t.bookId)
      .where(sql`${t.returnedAt} is null`),
    index('loans_by_user')
      .on(t.userId, t.id)
      .where(sql`${t.returnedAt} is null`),
    index('loans_by_book').on(t.bookId, t.id),
  ],
)

export const holds = pgTable(
  'holds',
  {
    id: id(),
    userId: uuid('user_id').notNull(),
    bookId: uuid('book_id').notNull(),
    format: text('format', { enum: ['physical', 'digital'] }),
    place: bigint('place', { mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    placedAt: moment('placed_at').notNull().defaultNow(),
    copyId: uuid('copy_id'),
    readyAt: moment('ready_at'),
    collectBy: moment('collect_by'),
  },
  (t) => [
    primaryKey({ name: 'holds_pkey', columns: [t.id] }),
    foreignKey({ name: 'holds_user_fkey', columns: [t.userId], foreignColumns: [users.id] }),
    foreignKey({ name: 'holds_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }),
    foreignKey({ name: 'holds_copy_fkey', columns: [t.copyId], foreignColumns: [copies.id] }),
    check('holds_format_known', sql`${t.format} in ('physical', 'digital')`),
    check(
      'holds_ready_has_copy_and_time',
      sql`(${t.copyId} is null) = (${t.readyAt} is null) and (${t.copyId} is null) = (${t.collectBy} is null)`,
    ),
    uniqueIndex('holds_one_per_user_and_book').on(t.userId, t.bookId),
    uniqueIndex('holds_one_per_copy').on(t.copyId),
    index('holds_by_queue').on(t.bookId, t.place),
    index('holds_by_collection')
      .on(t.collectBy)
      .where(sql`${t.copyId} is not null`),
  ],
)

export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    keyHash: bytea('key_hash').notNull(),
    fingerprint: bytea('fingerprint'),
    answer: json('answer'),
    subjectId: uuid('subject_id'),
    createdAt: moment('created_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'idempotency_keys_pkey', columns: [t.keyHash] }),
    check('idempotency_keys_hash_is_sha256', sql`length(${t.keyHash}) = 32`),
    index('idempotency_keys_by_subject').on(t.subjectId),
    index('idempotency_keys_by_age').on(t.createdAt),
  ],
)
