import { type SQL, sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  customType,
  date,
  foreignKey,
  index,
  integer,
  json,
  jsonb,
  pgTable,
  primaryKey,
  real,
  smallint,
  text,
  time,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'

/** The tables as Drizzle sees them. The migrations in drizzle/ say why, and hold the functions and triggers;
 *  `npm run check:migrations` fails when the two differ. */

const bytea = customType<{ data: Uint8Array; driverData: string }>({
  dataType: () => 'bytea',
  toDriver: (bytes) => `\\x${Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')}`,
})
const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' })
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

/** The clock of lending, which is now() but for tests. */
const clock = sql`clock()`

export const library = pgTable(
  'library',
  {
    onlyOne: boolean('only_one').notNull().default(true),
    timeZone: text('time_zone').notNull().default('UTC'),
    currency: text('currency').notNull().default('EUR'),
    staffSecondFactor: boolean('staff_second_factor').notNull().default(false),
  },
  (t) => [
    primaryKey({ name: 'library_pkey', columns: [t.onlyOne] }),
    check('library_is_one', sql`${t.onlyOne}`),
    check('library_time_zone_bounded', sql`length(${t.timeZone}) between 1 and 64`),
    check('library_currency_is_a_code', sql`${t.currency} ~ '^[A-Z]{3}$'`),
  ],
)

export const openingHours = pgTable(
  'opening_hours',
  {
    weekday: smallint('weekday').notNull(),
    opens: time('opens'),
    closes: time('closes'),
  },
  (t) => [
    primaryKey({ name: 'opening_hours_pkey', columns: [t.weekday] }),
    check('opening_hours_weekday_known', sql`${t.weekday} between 1 and 7`),
    check('opening_hours_both_or_neither', sql`(${t.opens} is null) = (${t.closes} is null)`),
    check('opening_hours_in_order', sql`${t.opens} < ${t.closes}`),
  ],
)

export const calendarDays = pgTable(
  'calendar_days',
  {
    day: date('day').notNull(),
    opens: time('opens'),
    closes: time('closes'),
    note: text('note'),
  },
  (t) => [
    primaryKey({ name: 'calendar_days_pkey', columns: [t.day] }),
    check('calendar_days_both_or_neither', sql`(${t.opens} is null) = (${t.closes} is null)`),
    check('calendar_days_in_order', sql`${t.opens} < ${t.closes}`),
    check('calendar_days_note_bounded', sql`length(${t.note}) <= 200`),
  ],
)

export const categories = pgTable('categories', { name: text('name').notNull() }, (t) => [
  primaryKey({ name: 'categories_pkey', columns: [t.name] }),
  check('categories_name_is_plain', sql`${t.name} ~ '^[a-z0-9][a-z0-9-]{0,39}$'`),
])

export const events = pgTable(
  'events',
  {
    id: bigint('id', { mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    transactionId: xid8('transaction_id')
      .notNull()
      .default(sql`pg_current_xact_id()`),
    occurredAt: moment('occurred_at').notNull().default(clock),
    kind: text('kind').notNull(),
    subjectId: uuid('subject_id').notNull(),
    bookId: uuid('book_id'),
    copyId: uuid('copy_id'),
    patronId: uuid('patron_id'),
    actorRole: text('actor_role', { enum: ['staff', 'patron', 'library'] }).notNull(),
    actorId: uuid('actor_id'),
    details: jsonb('details'),
  },
  (t) => [
    primaryKey({ name: 'events_pkey', columns: [t.id] }),
    check('events_kind_bounded', sql`${t.kind} ~ '^[a-z]+[.][a-z-]{1,40}$'`),
    check('events_actor_known', sql`${t.actorRole} in ('staff', 'patron', 'library')`),
    check('events_actor_id_is_of_staff', sql`${t.actorId} is null or ${t.actorRole} = 'staff'`),
    index('events_by_subject').on(t.subjectId),
    index('events_by_patron')
      .on(t.patronId, t.id)
      .where(sql`${t.patronId} is not null`),
    index('events_by_actor')
      .on(t.actorId)
      .where(sql`${t.actorId} is not null`),
    index('events_by_transaction').on(t.transactionId, t.id),
  ],
)

export const users = pgTable(
  'users',
  {
    id: id(),
    username: text('username').notNull(),
    email: text('email'),
    passwordHash: text('password_hash').notNull(),
    role: text('role', { enum: ['staff', 'patron'] })
      .notNull()
      .default('patron'),
    suspendedAt: moment('suspended_at'),
    suspensionReason: text('suspension_reason'),
    ...madeAt(),
    category: text('category').notNull().default('general'),
    expiresAt: moment('expires_at'),
    keepHistory: boolean('keep_history').notNull().default(false),
    emailHash: bytea('email_hash'),
    pendingEmail: text('pending_email'),
    pendingEmailHash: bytea('pending_email_hash'),
    name: text('name'),
    phone: text('phone'),
    address: text('address'),
  },
  (t) => [
    primaryKey({ name: 'users_pkey', columns: [t.id] }),
    foreignKey({ name: 'users_category_fkey', columns: [t.category], foreignColumns: [categories.name] }),
    index('users_by_category').on(t.category),
    check('users_role_known', sql`${t.role} in ('staff', 'patron')`),
    check('users_username_bounded', sql`length(${t.username}) between 3 and 32`),
    check('users_email_bounded', sql`length(${t.email}) <= 500`),
    check('users_pending_email_bounded', sql`length(${t.pendingEmail}) <= 500`),
    check('users_name_bounded', sql`length(${t.name}) <= 1200`),
    check('users_phone_bounded', sql`length(${t.phone}) <= 200`),
    check('users_address_bounded', sql`length(${t.address}) <= 3000`),
    check(
      'users_email_hash_is_hmac',
      sql`${t.emailHash} is null or (length(${t.emailHash}) = 32 and ${t.email} is not null)`,
    ),
    check(
      'users_pending_email_has_hash',
      sql`(${t.pendingEmail} is null) = (${t.pendingEmailHash} is null) and length(${t.pendingEmailHash}) = 32`,
    ),
    check('users_suspension_has_reason', sql`(${t.suspendedAt} is null) = (${t.suspensionReason} is null)`),
    uniqueIndex('users_username_unique').on(sql`look_of(${t.username})`),
    uniqueIndex('users_email_unique').on(t.emailHash),
    index('users_by_key').using(
      'gin',
      sql`keys_of(array[${t.email}, ${t.pendingEmail}, ${t.name}, ${t.phone}, ${t.address}])`,
    ),
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

export const apiKeys = pgTable(
  'api_keys',
  {
    id: id(),
    userId: uuid('user_id').notNull(),
    role: text('role', { enum: ['staff', 'patron'] }).notNull(),
    keyHash: bytea('key_hash').notNull(),
    name: text('name').notNull(),
    scopes: text('scopes').array().notNull(),
    createdAt: moment('created_at').notNull().defaultNow(),
    expiresAt: moment('expires_at'),
    lastUsedAt: moment('last_used_at'),
  },
  (t) => [
    primaryKey({ name: 'api_keys_pkey', columns: [t.id] }),
    foreignKey({ name: 'api_keys_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete('cascade'),
    unique('api_keys_hash_unique').on(t.keyHash),
    check('api_keys_hash_is_sha256', sql`length(${t.keyHash}) = 32`),
    check('api_keys_role_known', sql`${t.role} in ('staff', 'patron')`),
    check('api_keys_name_bounded', sql`length(${t.name}) between 1 and 80`),
    check(
      'api_keys_scopes_known',
      sql`${t.scopes} <@ array['read', 'lend', 'desk'] and cardinality(${t.scopes}) between 1 and 3`,
    ),
    check('api_keys_desk_is_for_staff', sql`${t.role} = 'staff' or 'desk' <> all (${t.scopes})`),
    index('api_keys_by_user').on(t.userId, t.id),
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
    secondFactorAt: moment('second_factor_at'),
  },
  (t) => [
    primaryKey({ name: 'sessions_pkey', columns: [t.id] }),
    foreignKey({ name: 'sessions_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete('cascade'),
    check('sessions_device_name_bounded', sql`length(${t.deviceName}) <= 600`),
    index('sessions_by_key').using('gin', sql`keys_of(array[${t.deviceName}])`),
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

export const securityEvents = pgTable(
  'security_events',
  {
    id: id(),
    userId: uuid('user_id').notNull(),
    kind: text('kind').notNull(),
    occurredAt: moment('occurred_at').notNull().defaultNow(),
    sessionId: uuid('session_id'),
  },
  (t) => [
    primaryKey({ name: 'security_events_pkey', columns: [t.id] }),
    foreignKey({ name: 'security_events_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete(
      'cascade',
    ),
    check('security_events_kind_bounded', sql`${t.kind} ~ '^[a-z-]{1,40}$'`),
    index('security_events_by_user').on(t.userId, t.id),
    index('security_events_by_age').on(t.occurredAt),
  ],
)

export const messages = pgTable(
  'messages',
  {
    id: uuid('id').notNull().defaultRandom(),
    userId: uuid('user_id').notNull(),
    kind: text('kind').notNull(),
    recipient: text('recipient').notNull(),
    content: text('content'),
    attempts: integer('attempts').notNull().default(0),
    createdAt: moment('created_at').notNull().defaultNow(),
    nextAttemptAt: moment('next_attempt_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'messages_pkey', columns: [t.id] }),
    foreignKey({ name: 'messages_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete('cascade'),
    check('messages_kind_bounded', sql`${t.kind} ~ '^[a-z-]{1,40}$'`),
    check('messages_recipient_bounded', sql`length(${t.recipient}) <= 500`),
    check('messages_content_bounded', sql`length(${t.content}) <= 3000`),
    check('messages_attempts_bounded', sql`${t.attempts} between 0 and 20`),
    index('messages_by_next_attempt').on(t.nextAttemptAt),
    index('messages_by_user').on(t.userId),
    index('messages_by_key').using('gin', sql`keys_of(array[${t.recipient}, ${t.content}])`),
  ],
)

export const attempts = pgTable(
  'attempts',
  {
    keyHash: bytea('key_hash').notNull(),
    failures: integer('failures').notNull().default(0),
    lastAt: moment('last_at').notNull().defaultNow(),
    waitUntil: moment('wait_until').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'attempts_pkey', columns: [t.keyHash] }),
    check('attempts_hash_is_hmac', sql`length(${t.keyHash}) = 32`),
    check('attempts_failures_never_negative', sql`${t.failures} >= 0`),
    index('attempts_by_age').on(t.lastAt),
  ],
)

export const knownAddresses = pgTable(
  'known_addresses',
  {
    userId: uuid('user_id').notNull(),
    addressHash: bytea('address_hash').notNull(),
    lastSeenAt: moment('last_seen_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'known_addresses_pkey', columns: [t.userId, t.addressHash] }),
    foreignKey({ name: 'known_addresses_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete(
      'cascade',
    ),
    check('known_addresses_hash_is_sha256', sql`length(${t.addressHash}) = 32`),
    index('known_addresses_by_age').on(t.lastSeenAt),
  ],
)

export const secondFactors = pgTable(
  'second_factors',
  {
    userId: uuid('user_id').notNull(),
    secret: text('secret').notNull(),
    createdAt: moment('created_at').notNull().defaultNow(),
    confirmedAt: moment('confirmed_at'),
    lastStep: bigint('last_step', { mode: 'number' }),
  },
  (t) => [
    primaryKey({ name: 'second_factors_pkey', columns: [t.userId] }),
    foreignKey({ name: 'second_factors_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete(
      'cascade',
    ),
    check('second_factors_secret_bounded', sql`length(${t.secret}) <= 200`),
    index('second_factors_by_key').using('gin', sql`keys_of(array[${t.secret}])`),
  ],
)

export const recoveryCodes = pgTable(
  'recovery_codes',
  { userId: uuid('user_id').notNull(), codeHash: bytea('code_hash').notNull() },
  (t) => [
    primaryKey({ name: 'recovery_codes_pkey', columns: [t.userId, t.codeHash] }),
    foreignKey({
      name: 'recovery_codes_user_fkey',
      columns: [t.userId],
      foreignColumns: [secondFactors.userId],
    }).onDelete('cascade'),
    check('recovery_codes_hash_is_sha256', sql`length(${t.codeHash}) = 32`),
  ],
)

export const mailedTokens = pgTable(
  'mailed_tokens',
  {
    tokenHash: bytea('token_hash').notNull(),
    userId: uuid('user_id').notNull(),
    purpose: text('purpose', { enum: ['confirm-email', 'reset-password'] }).notNull(),
    expiresAt: moment('expires_at').notNull(),
  },
  (t) => [
    primaryKey({ name: 'mailed_tokens_pkey', columns: [t.tokenHash] }),
    foreignKey({ name: 'mailed_tokens_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete(
      'cascade',
    ),
    check('mailed_tokens_hash_is_sha256', sql`length(${t.tokenHash}) = 32`),
    check('mailed_tokens_purpose_known', sql`${t.purpose} in ('confirm-email', 'reset-password')`),
    index('mailed_tokens_by_user').on(t.userId, t.purpose),
    index('mailed_tokens_by_expiry').on(t.expiresAt),
  ],
)

/** Of how often books are borrowed: see drizzle/0010_search.sql. */
const searchTiers = [0, 1, 2, 3, 4, 5]

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
    isbns: text('isbns').array().notNull().default([]),
    identifiers: jsonb('identifiers').$type<{ scheme: string; value: string }[]>().notNull().default([]),
    version: integer('version').notNull().default(1),
    ...madeAt(),
    removedAt: moment('removed_at'),
    subjectKeys: text('subject_keys')
      .array()
      .notNull()
      .generatedAlwaysAs((): SQL => sql`fold_all(${books.subjects})`),
    edition: text('edition'),
    series: jsonb('series').$type<{ name: string; number: string | null }[]>().notNull().default([]),
    originalScript: jsonb('original_script').$type<{ title: string | null; contributors: string[] }>(),
    links: jsonb('links').$type<{ url: string; label: string | null }[]>().notNull().default([]),
  },
  (t) => [
    primaryKey({ name: 'books_pkey', columns: [t.id] }),
    check('books_title_bounded', sql`length(${t.title}) between 1 and 500`),
    index('books_by_subject')
      .using('gin', t.subjectKeys)
      .where(sql`${t.removedAt} is null`),
    index('books_by_contributor')
      .using('gin', sql`name_keys(${t.contributors})`)
      .where(sql`${t.removedAt} is null`),
    index('books_by_series')
      .using('gin', sql`name_keys(${t.series})`)
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

export const bookSearch = pgTable(
  'book_search',
  {
    bookId: uuid('book_id').notNull(),
    tier: smallint('tier').notNull().default(5),
    popularity: real('popularity').notNull().default(0),
    titleKey: text('title_key').notNull(),
    publishedYear: smallint('published_year'),
    names: tsvector('names').notNull(),
    words: tsvector('words').notNull(),
    facets: text('facets').array().notNull(),
  },
  (t) => [
    primaryKey({ name: 'book_search_pkey', columns: [t.bookId] }),
    foreignKey({ name: 'book_search_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete('cascade'),
    check('book_search_tier_known', sql`${t.tier} between 0 and 5`),
    index('book_search_by_popularity').on(sql`(-${t.popularity})`, t.bookId),
    index('book_search_by_title').on(sql`${t.titleKey} collate "C"`, t.bookId),
    index('book_search_by_year').on(sql`(coalesce(${t.publishedYear}, '-32768'::smallint))`, t.bookId),
    index('book_search_by_leading_title').on(t.tier, t.titleKey.op('text_pattern_ops')),
    ...searchTiers.flatMap((tier) => [
      index(`book_search_names_${tier}`)
        .using('gin', t.names)
        .with({ gin_pending_list_limit: 256 })
        .where(sql`${t.tier} = ${sql.raw(String(tier))}`),
      index(`book_search_words_${tier}`)
        .using('gin', t.words)
        .with({ gin_pending_list_limit: 256 })
        .where(sql`${t.tier} = ${sql.raw(String(tier))}`),
    ]),
  ],
)

export const unlearnedBooks = pgTable('unlearned_books', { bookId: uuid('book_id').notNull() }, (t) => [
  primaryKey({ name: 'unlearned_books_pkey', columns: [t.bookId] }),
  foreignKey({ name: 'unlearned_books_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete(
    'cascade',
  ),
])

export const vocabulary = pgTable(
  'vocabulary',
  {
    word: text('word').notNull(),
    books: integer('books').notNull(),
    variants: integer('variants').array().notNull(),
  },
  (t) => [
    primaryKey({ name: 'vocabulary_pkey', columns: [t.word] }),
    index('vocabulary_by_variant').using('gin', t.variants).with({ fastupdate: 'off' }),
    index('vocabulary_by_trigram').using('gin', t.word.op('gin_trgm_ops')).with({ fastupdate: 'off' }),
  ],
)

export const headings = pgTable(
  'headings',
  {
    kind: text('kind', { enum: ['author', 'subject', 'series'] }).notNull(),
    key: text('key').notNull(),
    label: text('label').notNull(),
    books: integer('books').notNull(),
  },
  (t) => [
    primaryKey({ name: 'headings_pkey', columns: [t.kind, t.key] }),
    check('headings_kind_known', sql`${t.kind} in ('author', 'subject', 'series')`),
  ],
)

export const headingStarts = pgTable(
  'heading_starts',
  {
    kind: text('kind').notNull(),
    key: text('key').notNull(),
    start: text('start').notNull(),
    tier: smallint('tier').notNull(),
  },
  (t) => [
    primaryKey({ name: 'heading_starts_pkey', columns: [t.kind, t.key, t.start] }),
    foreignKey({
      name: 'heading_starts_heading_fkey',
      columns: [t.kind, t.key],
      foreignColumns: [headings.kind, headings.key],
    }).onDelete('cascade'),
    index('heading_starts_by_start').on(t.kind, t.tier, t.start.op('text_pattern_ops')),
  ],
)

export const tierWalk = pgTable(
  'tier_walk',
  {
    onlyOne: boolean('only_one').notNull().default(true),
    beganAt: moment('began_at')
      .notNull()
      .default(sql`'-infinity'`),
    place: integer('place').notNull().default(0),
    popularity: real('popularity'),
    bookId: uuid('book_id'),
  },
  (t) => [primaryKey({ name: 'tier_walk_pkey', columns: [t.onlyOne] }), check('tier_walk_is_one', sql`${t.onlyOne}`)],
)

export const marcRecords = pgTable(
  'marc_records',
  {
    bookId: uuid('book_id').notNull(),
    controlNumber: text('control_number'),
    controlSystem: text('control_system').notNull().default(''),
    record: jsonb('record').notNull(),
  },
  (t) => [
    primaryKey({ name: 'marc_records_pkey', columns: [t.bookId] }),
    foreignKey({ name: 'marc_records_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete('cascade'),
    check('marc_records_control_number_bounded', sql`length(${t.controlNumber}) <= 100`),
    check('marc_records_control_system_bounded', sql`length(${t.controlSystem}) <= 40`),
    uniqueIndex('marc_records_by_control_number').on(t.controlNumber, t.controlSystem),
  ],
)

const importCount = (name: string) => integer(name).notNull().default(0)

export const imports = pgTable(
  'imports',
  {
    id: id(),
    source: text('source').notNull(),
    format: text('format', { enum: ['marc', 'marcxml', 'csv', 'jsonl'] }).notNull(),
    dryRun: boolean('dry_run').notNull(),
    begunAt: moment('begun_at').notNull().defaultNow(),
    endedAt: moment('ended_at'),
    undoBegunAt: moment('undo_begun_at'),
    undoneAt: moment('undone_at'),
    created: importCount('created'),
    updated: importCount('updated'),
    merged: importCount('merged'),
    unchanged: importCount('unchanged'),
    refused: importCount('refused'),
    removed: importCount('removed'),
    restored: importCount('restored'),
    kept: importCount('kept'),
  },
  (t) => [
    primaryKey({ name: 'imports_pkey', columns: [t.id] }),
    check('imports_source_bounded', sql`length(${t.source}) between 1 and 200`),
    check('imports_format_known', sql`${t.format} in ('marc', 'marcxml', 'csv', 'jsonl')`),
    check('imports_undo_in_order', sql`${t.undoneAt} is null or ${t.undoBegunAt} is not null`),
  ],
)

export const importRecords = pgTable(
  'import_records',
  {
    importId: uuid('import_id').notNull(),
    position: integer('position').notNull(),
    verdict: text('verdict', { enum: ['created', 'updated', 'merged', 'unchanged', 'refused'] }).notNull(),
    matchedBy: text('matched_by', { enum: ['control-number', 'earlier-import', 'isbn', 'title'] }),
    reason: text('reason'),
    notes: jsonb('notes').$type<string[]>().notNull().default([]),
    bookId: uuid('book_id'),
    controlNumber: text('control_number'),
    controlSystem: text('control_system'),
    recordKey: bytea('record_key'),
    digest: bytea('digest'),
    before: jsonb('before'),
    after: jsonb('after'),
    afterDigest: bytea('after_digest'),
    raw: bytea('raw'),
    undo: text('undo', { enum: ['removed', 'restored', 'kept'] }),
    undoReason: text('undo_reason'),
  },
  (t) => [
    primaryKey({ name: 'import_records_pkey', columns: [t.importId, t.position] }),
    foreignKey({
      name: 'import_records_import_fkey',
      columns: [t.importId],
      foreignColumns: [imports.id],
    }).onDelete('cascade'),
    check('import_records_position_positive', sql`${t.position} > 0`),
    check(
      'import_records_verdict_known',
      sql`${t.verdict} in ('created', 'updated', 'merged', 'unchanged', 'refused')`,
    ),
    check('import_records_match_known', sql`${t.matchedBy} in ('control-number', 'earlier-import', 'isbn', 'title')`),
    check('import_records_control_number_bounded', sql`length(${t.controlNumber}) <= 100`),
    check('import_records_control_system_bounded', sql`length(${t.controlSystem}) <= 40`),
    check('import_records_refused_has_reason', sql`(${t.verdict} = 'refused') = (${t.reason} is not null)`),
    check('import_records_raw_bounded', sql`length(${t.raw}) <= 99999`),
    check('import_records_undo_known', sql`${t.undo} in ('removed', 'restored', 'kept')`),
    index('import_records_by_verdict').on(t.importId, t.verdict, t.position),
    index('import_records_by_book')
      .on(t.bookId, t.recordKey)
      .where(sql`${t.bookId} is not null`),
    index('import_records_by_record')
      .on(t.recordKey, t.digest)
      .where(sql`${t.bookId} is not null`),
    index('import_records_to_undo')
      .on(t.importId, t.position)
      .where(sql`${t.undo} is null and ${t.verdict} in ('created', 'updated', 'merged')`),
  ],
)

export const importKeys = pgTable(
  'import_keys',
  { importId: uuid('import_id').notNull(), key: bytea('key').notNull(), bookId: uuid('book_id').notNull() },
  (t) => [
    primaryKey({ name: 'import_keys_pkey', columns: [t.importId, t.key, t.bookId] }),
    foreignKey({
      name: 'import_keys_import_fkey',
      columns: [t.importId],
      foreignColumns: [imports.id],
    }).onDelete('cascade'),
  ],
)

export const bookRevisions = pgTable(
  'book_revisions',
  {
    bookId: uuid('book_id').notNull(),
    version: integer('version').notNull(),
    kind: text('kind').notNull(),
    record: jsonb('record').notNull(),
    changedAt: moment('changed_at').notNull().defaultNow(),
    actorId: uuid('actor_id'),
  },
  (t) => [
    primaryKey({ name: 'book_revisions_pkey', columns: [t.bookId, t.version] }),
    foreignKey({ name: 'book_revisions_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete(
      'cascade',
    ),
    foreignKey({ name: 'book_revisions_actor_user_fkey', columns: [t.actorId], foreignColumns: [users.id] }).onDelete(
      'set null',
    ),
    check(
      'book_revisions_kind_known',
      sql`${t.kind} in ('found', 'catalogued', 'imported', 'changed', 'reverted', 'merged', 'merged-away', 'removed')`,
    ),
    index('book_revisions_by_actor')
      .on(t.actorId)
      .where(sql`${t.actorId} is not null`),
  ],
)

export const bookRedirects = pgTable(
  'book_redirects',
  {
    bookId: uuid('book_id').notNull(),
    survivorId: uuid('survivor_id').notNull(),
    mergedAt: moment('merged_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'book_redirects_pkey', columns: [t.bookId] }),
    foreignKey({ name: 'book_redirects_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete(
      'cascade',
    ),
    foreignKey({ name: 'book_redirects_survivor_fkey', columns: [t.survivorId], foreignColumns: [books.id] }).onDelete(
      'cascade',
    ),
    check('book_redirects_lead_elsewhere', sql`${t.bookId} <> ${t.survivorId}`),
    index('book_redirects_by_survivor').on(t.survivorId),
  ],
)

export const bookKeys = pgTable(
  'book_keys',
  {
    bookId: uuid('book_id').notNull(),
    key: uuid('key').notNull(),
    kind: text('kind').notNull(),
    year: smallint('year'),
    edition: integer('edition'),
  },
  (t) => [
    primaryKey({ name: 'book_keys_pkey', columns: [t.bookId, t.key] }),
    foreignKey({ name: 'book_keys_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete('cascade'),
    check('book_keys_kind_known', sql`${t.kind} in ('title', 'doi', 'oclc', 'lccn')`),
    index('book_keys_by_key').on(t.key, t.bookId, t.kind, t.year, t.edition),
  ],
)

export const bookDistinctions = pgTable(
  'book_distinctions',
  {
    bookId: uuid('book_id').notNull(),
    otherId: uuid('other_id').notNull(),
    madeAt: moment('made_at').notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ name: 'book_distinctions_pkey', columns: [t.bookId, t.otherId] }),
    foreignKey({ name: 'book_distinctions_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete(
      'cascade',
    ),
    foreignKey({ name: 'book_distinctions_other_fkey', columns: [t.otherId], foreignColumns: [books.id] }).onDelete(
      'cascade',
    ),
    check('book_distinctions_in_order', sql`${t.bookId} < ${t.otherId}`),
    index('book_distinctions_by_other').on(t.otherId),
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
    state: text('state', { enum: ['available', 'on_loan', 'on_hold', 'lost', 'expired'] })
      .notNull()
      .default('available'),
    version: integer('version').notNull().default(1),
    ...madeAt(),
    removedAt: moment('removed_at'),
    inLibraryUses: integer('in_library_uses').notNull().default(0),
  },
  (t) => [
    primaryKey({ name: 'copies_pkey', columns: [t.id] }),
    foreignKey({ name: 'copies_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }),
    check('copies_format_known', sql`${t.format} in ('physical', 'digital')`),
    check('copies_state_known', sql`${t.state} in ('available', 'on_loan', 'on_hold', 'lost', 'expired')`),
    check('copies_physical_has_barcode', sql`(${t.format} = 'physical') = (${t.barcode} is not null)`),
    check('copies_shelf_is_for_physical', sql`${t.format} = 'physical' or ${t.callNumber} is null`),
    check(
      'copies_licence_is_for_digital',
      sql`${t.format} = 'digital' or (${t.licenceEndsAt} is null and ${t.loansLeft} is null)`,
    ),
    check('copies_loans_left_never_negative', sql`${t.loansLeft} >= 0`),
    check('copies_removed_only_when_idle', sql`${t.removedAt} is null or ${t.state} not in ('on_loan', 'on_hold')`),
    check('copies_lost_is_physical', sql`${t.state} <> 'lost' or ${t.format} = 'physical'`),
    check('copies_expired_is_digital', sql`${t.state} <> 'expired' or ${t.format} = 'digital'`),
    index('copies_by_licence_end')
      .on(t.licenceEndsAt)
      .where(sql`${t.removedAt} is null and ${t.state} in ('available', 'on_hold')`),
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
    category: text('category'),
    format: text('format', { enum: ['physical', 'digital'] }),
    graceDays: integer('grace_days').notNull().default(0),
    feePerDay: integer('fee_per_day').notNull().default(0),
    feeMax: integer('fee_max').notNull().default(0),
    lostFee: integer('lost_fee').notNull().default(0),
    feeLimit: integer('fee_limit').default(1000),
    overdueLimit: integer('overdue_limit').default(3),
    dueDates: date('due_dates').array().notNull().default([]),
    overridable: text('overridable')
      .array()
      .notNull()
      .default(['account-expired', 'patron-blocked', 'fee-limit-reached', 'overdue-limit-reached']),
    version: integer('version').notNull().default(1),
  },
  (t) => [
    primaryKey({ name: 'policies_pkey', columns: [t.id] }),
    foreignKey({ name: 'policies_category_fkey', columns: [t.category], foreignColumns: [categories.name] }),
    check('policies_format_known', sql`${t.format} in ('physical', 'digital')`),
    check('policies_grace_days_bounded', sql`${t.graceDays} between 0 and 60`),
    check('policies_fee_per_day_bounded', sql`${t.feePerDay} between 0 and 1000000`),
    check('policies_fee_max_bounded', sql`${t.feeMax} between 0 and 100000000`),
    check('policies_lost_fee_bounded', sql`${t.lostFee} between 0 and 100000000`),
    check('policies_fee_limit_bounded', sql`${t.feeLimit} between 1 and 100000000`),
    check('policies_overdue_limit_bounded', sql`${t.overdueLimit} between 1 and 1000`),
    check('policies_due_dates_bounded', sql`cardinality(${t.dueDates}) <= 20`),
    check(
      'policies_overridable_known',
      sql`${t.overridable} <@ '{account-expired,patron-blocked,fee-limit-reached,overdue-limit-reached,loan-limit-reached,hold-limit-reached,renewal-limit-reached}'::text[]`,
    ),
    unique('policies_one_per_category_and_format').on(t.category, t.format).nullsNotDistinct(),
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
    category: text('category'),
    graceDays: integer('grace_days').notNull().default(0),
    feePerDay: integer('fee_per_day').notNull().default(0),
    feeMax: integer('fee_max').notNull().default(0),
    claimedReturnedAt: moment('claimed_returned_at'),
    lostAt: moment('lost_at'),
  },
  (t) => [
    check('loans_lost_has_ended', sql`${t.lostAt} is null or ${t.lostAt} = ${t.returnedAt}`),
    check('loans_claim_is_of_an_open_one', sql`${t.claimedReturnedAt} is null or ${t.returnedAt} is null`),
    index('loans_digital_by_due')
      .on(t.dueAt)
      .where(sql`${t.format} = 'digital' and ${t.returnedAt} is null`),
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
      .where(sql`${t.userId} is not null`),
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
    place: bigint('place', { mode: 'number' }).notNull().generatedByDefaultAsIdentity(),
    placedAt: moment('placed_at').notNull().defaultNow(),
    copyId: uuid('copy_id'),
    readyAt: moment('ready_at'),
    collectBy: moment('collect_by'),
    suspendedUntil: date('suspended_until'),
  },
  (t) => [
    check('holds_ready_is_not_suspended', sql`${t.copyId} is null or ${t.suspendedUntil} is null`),
    index('holds_by_suspension')
      .on(t.suspendedUntil)
      .where(sql`${t.suspendedUntil} is not null`),
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

export const blocks = pgTable(
  'blocks',
  {
    id: id(),
    userId: uuid('user_id').notNull(),
    reason: text('reason').notNull(),
    createdAt: moment('created_at').notNull().default(clock),
    endsAt: moment('ends_at'),
  },
  (t) => [
    primaryKey({ name: 'blocks_pkey', columns: [t.id] }),
    foreignKey({ name: 'blocks_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete('cascade'),
    check('blocks_reason_bounded', sql`length(${t.reason}) between 1 and 500`),
    index('blocks_by_user').on(t.userId, t.id),
    index('blocks_by_end')
      .on(t.endsAt)
      .where(sql`${t.endsAt} is not null`),
  ],
)

export const pastLoans = pgTable(
  'past_loans',
  { userId: uuid('user_id').notNull(), loanId: uuid('loan_id').notNull() },
  (t) => [
    primaryKey({ name: 'past_loans_pkey', columns: [t.userId, t.loanId] }),
    foreignKey({ name: 'past_loans_user_fkey', columns: [t.userId], foreignColumns: [users.id] }).onDelete('cascade'),
    foreignKey({ name: 'past_loans_loan_fkey', columns: [t.loanId], foreignColumns: [loans.id] }),
  ],
)

export const fees = pgTable(
  'fees',
  {
    id: id(),
    userId: uuid('user_id'),
    loanId: uuid('loan_id'),
    kind: text('kind', { enum: ['overdue', 'lost', 'other'] }).notNull(),
    note: text('note'),
    balance: bigint('balance', { mode: 'number' }).notNull().default(0),
    createdAt: moment('created_at').notNull().default(clock),
    settledAt: moment('settled_at'),
  },
  (t) => [
    primaryKey({ name: 'fees_pkey', columns: [t.id] }),
    foreignKey({ name: 'fees_user_fkey', columns: [t.userId], foreignColumns: [users.id] }),
    foreignKey({ name: 'fees_loan_fkey', columns: [t.loanId], foreignColumns: [loans.id] }),
    check('fees_kind_known', sql`${t.kind} in ('overdue', 'lost', 'other')`),
    check('fees_note_bounded', sql`length(${t.note}) <= 500`),
    check('fees_balance_never_negative', sql`${t.balance} >= 0`),
    check(
      'fees_settled_is_nobodys',
      sql`(${t.settledAt} is null) = (${t.userId} is not null) and (${t.settledAt} is null or (${t.loanId} is null and ${t.balance} = 0))`,
    ),
    index('fees_by_user')
      .on(t.userId, t.id)
      .where(sql`${t.userId} is not null`),
    index('fees_by_loan')
      .on(t.loanId)
      .where(sql`${t.loanId} is not null`),
  ],
)

export const feeEntries = pgTable(
  'fee_entries',
  {
    id: id(),
    feeId: uuid('fee_id').notNull(),
    kind: text('kind', { enum: ['charge', 'payment', 'waiver'] }).notNull(),
    amount: bigint('amount', { mode: 'number' }).notNull(),
    reason: text('reason'),
    actorId: uuid('actor_id'),
    createdAt: moment('created_at').notNull().default(clock),
  },
  (t) => [
    primaryKey({ name: 'fee_entries_pkey', columns: [t.id] }),
    foreignKey({ name: 'fee_entries_fee_fkey', columns: [t.feeId], foreignColumns: [fees.id] }),
    check('fee_entries_kind_known', sql`${t.kind} in ('charge', 'payment', 'waiver')`),
    check('fee_entries_amount_bounded', sql`${t.amount} between -100000000 and 100000000`),
    check(
      'fee_entries_sign_is_of_kind',
      sql`case when ${t.kind} = 'charge' then ${t.amount} > 0 else ${t.amount} < 0 end`,
    ),
    check('fee_entries_waiver_has_reason', sql`${t.kind} <> 'waiver' or ${t.reason} is not null`),
    check('fee_entries_reason_bounded', sql`length(${t.reason}) between 1 and 500`),
    index('fee_entries_by_fee').on(t.feeId, t.id),
    index('fee_entries_by_actor')
      .on(t.actorId)
      .where(sql`${t.actorId} is not null`),
  ],
)

export const erasures = pgTable(
  'erasures',
  {
    id: uuid('id').notNull().defaultRandom(),
    erasedAt: moment('erased_at').notNull().defaultNow(),
    counts: jsonb('counts').notNull(),
  },
  (t) => [primaryKey({ name: 'erasures_pkey', columns: [t.id] })],
)

const count = (name: string) => integer(name).notNull().default(0)

export const figuresProgress = pgTable(
  'figures_progress',
  {
    onlyOne: boolean('only_one').notNull().default(true),
    transactionId: xid8('transaction_id')
      .notNull()
      .default(sql`'0'`),
    eventId: bigint('event_id', { mode: 'number' }).notNull().default(0),
    gatheredAt: moment('gathered_at'),
    walk: integer('walk').notNull().default(1),
    walkedTo: uuid('walked_to'),
    walkedAt: moment('walked_at'),
  },
  (t) => [
    primaryKey({ name: 'figures_progress_pkey', columns: [t.onlyOne] }),
    check('figures_progress_is_one', sql`${t.onlyOne}`),
  ],
)

export const bookDays = pgTable(
  'book_days',
  {
    bookId: uuid('book_id').notNull(),
    day: date('day').notNull(),
    loans: count('loans'),
    digitalLoans: count('digital_loans'),
    renewals: count('renewals'),
    returns: count('returns'),
    holds: count('holds'),
  },
  (t) => [
    primaryKey({ name: 'book_days_pkey', columns: [t.bookId, t.day] }),
    foreignKey({ name: 'book_days_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete('cascade'),
  ],
)

export const lendingDays = pgTable(
  'lending_days',
  {
    day: date('day').notNull(),
    format: text('format').notNull(),
    category: text('category').notNull(),
    loans: count('loans'),
    renewals: count('renewals'),
    returns: count('returns'),
  },
  (t) => [primaryKey({ name: 'lending_days_pkey', columns: [t.day, t.format, t.category] })],
)

export const subjectDays = pgTable(
  'subject_days',
  {
    day: date('day').notNull(),
    subject: text('subject').notNull(),
    loans: count('loans'),
    renewals: count('renewals'),
    returns: count('returns'),
  },
  (t) => [primaryKey({ name: 'subject_days_pkey', columns: [t.day, t.subject] })],
)

export const latelyBorrowed = pgTable(
  'lately_borrowed',
  {
    bookId: uuid('book_id').notNull(),
    loans7: count('loans_7'),
    loans30: count('loans_30'),
    loans90: count('loans_90'),
    asOf: date('as_of').notNull(),
  },
  (t) => [
    primaryKey({ name: 'lately_borrowed_pkey', columns: [t.bookId] }),
    foreignKey({ name: 'lately_borrowed_book_fkey', columns: [t.bookId], foreignColumns: [books.id] }).onDelete(
      'cascade',
    ),
    index('lately_borrowed_by_loans_7')
      .on(t.loans7, t.bookId)
      .where(sql`${t.loans7} > 0`),
    index('lately_borrowed_by_loans_30')
      .on(t.loans30, t.bookId)
      .where(sql`${t.loans30} > 0`),
    index('lately_borrowed_by_loans_90')
      .on(t.loans90, t.bookId)
      .where(sql`${t.loans90} > 0`),
    index('lately_borrowed_by_age').on(t.asOf, t.bookId),
  ],
)

export const pairsLent = pgTable('pairs_lent', {
  bookA: uuid('book_a').notNull(),
  bookB: uuid('book_b').notNull(),
  day: date('day').notNull(),
})

export const booksTogether = pgTable(
  'books_together',
  {
    bookA: uuid('book_a').notNull(),
    bookB: uuid('book_b').notNull(),
    count: integer('count').notNull(),
    lastDay: date('last_day').notNull(),
  },
  (t) => [
    primaryKey({ name: 'books_together_pkey', columns: [t.bookA, t.bookB] }),
    foreignKey({ name: 'books_together_book_a_fkey', columns: [t.bookA], foreignColumns: [books.id] }).onDelete(
      'cascade',
    ),
    foreignKey({ name: 'books_together_book_b_fkey', columns: [t.bookB], foreignColumns: [books.id] }).onDelete(
      'cascade',
    ),
    check('books_together_are_two', sql`${t.bookA} <> ${t.bookB}`),
    check('books_together_count_positive', sql`${t.count} > 0`),
    index('books_together_by_book_b').on(t.bookB),
    index('books_together_unshown')
      .on(t.lastDay)
      .where(sql`${t.count} < 3`),
  ],
)

export const collectionCounts = pgTable(
  'collection_counts',
  {
    walk: integer('walk').notNull(),
    kind: text('kind', { enum: ['subject', 'format'] }).notNull(),
    name: text('name').notNull(),
    books: count('books'),
    copies: count('copies'),
    loans: count('loans'),
    idle90: count('idle_90'),
    idle365: count('idle_365'),
    idle1095: count('idle_1095'),
  },
  (t) => [
    primaryKey({ name: 'collection_counts_pkey', columns: [t.walk, t.kind, t.name] }),
    check('collection_counts_kind_known', sql`${t.kind} in ('subject', 'format')`),
  ],
)
