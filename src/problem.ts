import type { Context, ErrorHandler, NotFoundHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import { ConfigError } from './config.ts'
import type { AppEnv } from './factory.ts'
import { log, logFault } from './log.ts'

/** Every refusal there is (RFC 9457): its status, its title, and what whoever meets it can do. A name is a promise
 *  to clients and stays; the database uses the same names. */
export const problems = {
  // The address itself
  'book-merged': [308, 'The book is part of another now', 'Ask at the address in Location, and keep its id.'],

  // The request itself
  'malformed-json': [
    400,
    'The body is not JSON',
    'Send one JSON object in UTF-8 that names no key twice and is at most 32 deep.',
  ],
  'https-required': [403, 'Only https is served', 'Repeat the request over https.'],
  'not-found': [404, 'There is nothing here', 'Check the address. What belongs to somebody else is not here either.'],
  'method-not-allowed': [405, 'This resource does not know that method', 'Use one of the methods in Allow.'],
  'not-acceptable': [406, 'None of the formats is acceptable', 'Ask for one that there is.'],
  'body-too-large': [413, 'The body is too large', 'Send at most 64 KiB.'],
  'uri-too-long': [414, 'The address is too long', 'Send at most 4,096 characters.'],
  'unsupported-media-type': [415, 'The body is not application/json', 'Send application/json in UTF-8.'],
  'invalid-input': [422, 'The input is not valid', 'Correct what errors lists and send it again.'],

  // Who asks
  'authentication-required': [401, 'You are not logged in', 'Send an access token: Authorization: Bearer ...'],
  'access-token-invalid': [401, 'The access token is not valid', 'Log in, and send the token as you were given it.'],
  'access-token-expired': [401, 'The access token has expired', 'Refresh it, and repeat the request.'],
  'access-token-outdated': [401, 'Your role has changed', 'Refresh the access token, and repeat the request.'],
  'session-ended': [401, 'The session has ended', 'Log in again.'],
  'second-factor-required': [401, 'A code is needed', 'Log in again with a code of your app, or a recovery code.'],
  'second-factor-needed': [
    403,
    'The library asks a second factor of its staff',
    'Add one to your account, or log in again with a code of it.',
  ],
  'wrong-code': [403, 'The code is wrong', 'Wait for the next code, and check the clock of the device.'],
  'mailed-token-invalid': [
    403,
    'The code from the message is not valid',
    'It is good once, and for a while only: ask for a new message.',
  ],
  'wrong-credentials': [401, 'Username or password is wrong', 'Check both and try again.'],
  'refresh-token-invalid': [401, 'The refresh token is not valid', 'Log in again.'],
  'refresh-token-reused': [
    401,
    'The refresh token had been used before',
    'The session was ended, since somebody else may hold its tokens. Log in again.',
  ],
  'key-invalid': [401, 'The key is not valid', 'It may have been revoked or have expired: make another.'],
  'scope-missing': [403, 'The key does not open this', 'Use a key with the scope that this needs, or log in.'],
  'account-suspended': [403, 'The account is suspended', 'Ask at the library.'],
  'fresh-login-required': [403, 'That needs a fresh login', 'Log in again, then repeat the request.'],
  forbidden: [403, 'Your role may not do that', 'Ask a member of staff.'],

  // Things that are not there, or not yours
  'user-not-found': [404, 'There is no such user', 'Check the id.'],
  'session-not-found': [404, 'You have no such session', 'List your sessions.'],
  'key-not-found': [404, 'You have no such key', 'List your keys.'],
  'book-not-found': [404, 'There is no such book', 'Search the catalogue.'],
  'revision-not-found': [404, 'The book has no such version', 'List its revisions.'],
  'copy-not-found': [404, 'There is no such copy', 'Check the id or the barcode.'],
  'loan-not-found': [404, 'There is no such loan', 'List your loans.'],
  'hold-not-found': [404, 'There is no such hold', 'List your holds.'],

  'import-not-found': [404, 'There is no such import, or no such record in it', 'List the imports.'],
  'block-not-found': [404, 'There is no such block', 'List the blocks of the patron.'],
  'fee-not-found': [404, 'There is no such fee', 'List the fees of the patron.'],
  'policy-not-found': [404, 'There is no such policy', 'List the policies.'],
  'category-not-found': [404, 'There is no such category', 'List the categories, and make it first.'],
  'calendar-day-not-found': [404, 'The calendar has nothing for that day', 'List the days of the calendar.'],

  // Accounts
  'username-taken': [409, 'The username is taken', 'Choose another.'],
  'email-taken': [409, 'Another account has confirmed the address', 'Log in to that one, or use another address.'],
  'nothing-to-confirm': [409, 'No address waits to be confirmed', 'Set a new one first.'],
  'second-factor-not-shown': [
    409,
    'Your own session has shown no second factor',
    'Add one to your account, or log in again with a code of it, before you ask one of others.',
  ],
  'second-factor-active': [409, 'There is a second factor', 'Remove it first.'],
  'second-factor-not-begun': [409, 'There is no second factor to do that with', 'Begin one first.'],
  'wrong-password': [403, 'The current password is wrong', 'Check it and try again.'],
  'key-limit-reached': [409, 'You have twenty keys', 'Revoke one that you no longer use.'],
  'loans-open': [409, 'Something is still on loan', 'Return it first.'],
  'fees-owed': [409, 'Something is still owed', 'Pay the fees first.'],
  'last-member-of-staff': [409, 'Nobody else is staff', 'Make somebody else a member of staff first.'],
  'own-account': [409, 'That cannot be done to your own account', 'Ask another member of staff.'],

  // The catalogue
  'isbn-taken': [409, 'Another book has that ISBN', 'Find that book by its ISBN, and change it or add copies to it.'],
  'same-book': [409, 'A book cannot be merged into itself', 'Name another book.'],
  'both-on-loan': [
    409,
    'A patron has both books on loan',
    'A patron has one loan of a book: merge the two when one of those has been returned.',
  ],
  'barcode-taken': [409, 'Another copy has that barcode', 'Check the label.'],
  'book-on-loan': [409, 'A copy of the book is on loan', 'Remove the book when all its copies are back.'],
  'copy-on-loan': [409, 'The copy is on loan', 'Remove it when it is back.'],
  'book-on-hold': [409, 'Somebody has a hold on the book', 'Cancel its holds first.'],
  'copy-on-hold': [409, 'The copy waits for somebody', 'Remove it when it has been collected, or cancel the hold.'],
  'import-undone': [409, 'The import is being undone', 'Begin another.'],
  'format-mismatch': [
    409,
    'The copy is of the other format',
    'A licence is for digital copies, a barcode for physical.',
  ],
  'precondition-failed': [412, 'It has changed since you read it', 'Read it again, and send the new ETag in If-Match.'],
  'precondition-required': [428, 'If-Match is missing', 'Read it first, and send its ETag in If-Match.'],

  // Lending
  'no-copy-available': [409, 'No copy is available', 'Try again when one has been returned.'],
  'copy-not-available': [
    409,
    'The copy is not available',
    'It is on loan or lost, or its licence has run out: lend another, or check it in first.',
  ],
  'already-on-loan': [409, 'The patron has this book', 'Renew that loan instead.'],
  'loan-limit-reached': [409, 'The limit of loans is reached', 'Return something first.'],
  'patron-suspended': [409, 'The patron is suspended', 'Reinstate the account first.'],
  'account-expired': [409, 'The account has expired', 'Renew it at the library.'],
  'patron-blocked': [409, 'The patron is blocked', 'Ask at the library, which gave the reason.'],
  'fee-limit-reached': [409, 'Too much is owed', 'Pay some of the fees.'],
  'overdue-limit-reached': [409, 'Too many loans are overdue', 'Return what is overdue.'],
  'loan-claimed-returned': [409, 'The loan is claimed to be returned', 'Find the copy, or take the claim back.'],
  'loan-returned': [409, 'The loan has ended', 'Borrow the book again.'],
  'renewal-limit-reached': [409, 'The limit of renewals is reached', 'Return the book by the day it is due.'],
  'nothing-to-renew': [409, 'A renewal would not extend the loan', 'Renew closer to the day it is due.'],
  'others-are-waiting': [409, 'Others are waiting for the book', 'Return it by the day it is due.'],
  'copy-waits-for-another': [409, 'The copy waits for another patron', 'Lend another copy, or place a hold.'],
  'copy-available': [409, 'A copy can be borrowed now', 'Borrow the book.'],
  'no-copy-in-circulation': [409, 'No copy is in circulation', 'Ask at the library.'],
  'already-on-hold': [409, 'The patron is in the queue already', 'See the position in the list of holds.'],
  'hold-limit-reached': [409, 'The limit of holds is reached', 'Cancel one first.'],
  'hold-ready': [409, 'A copy waits for this hold', 'Collect it, or suspend the hold.'],
  'date-out-of-range': [409, 'The date cannot be used', 'Name one that is ahead, by a year at most.'],

  // Fees and terms
  'fee-settled': [409, 'The fee is settled', 'Nothing is owed for it any more.'],
  'amount-exceeds-balance': [409, 'That is more than is owed', 'Read the fee, and pay or waive its balance at most.'],
  'policy-exists': [409, 'There is a policy for that category and format', 'Change that one.'],
  'default-policy': [409, 'The policy for everybody and everything stays', 'Change it instead.'],
  'category-in-use': [409, 'The category is in use', 'Move its patrons, and remove its policies, first.'],
  'currency-in-use': [409, 'Fees have been charged in the currency', 'It can be changed only while there are none.'],
  'time-zone-unknown': [409, 'The time zone is not known', 'Name one of the IANA database, like Europe/London.'],

  // Idempotency-Key
  'idempotency-key-spent': [
    409,
    'The Idempotency-Key was used, and its answer is no longer kept',
    'What it asked for was done. Use a new key for something new.',
  ],
  'idempotency-key-reused': [
    422,
    'The Idempotency-Key was used for another request',
    'Use a new key for something new, and the same body to repeat a request.',
  ],

  // Too much
  'too-many-requests': [429, 'Too many requests from your address', 'Wait for as long as Retry-After says.'],
  'too-many-attempts': [429, 'Too many attempts', 'Wait for as long as Retry-After says, then check what you send.'],

  // The service
  'internal-error': [500, 'Something went wrong here', 'Try again later; tell the library the instance if it stays.'],
  misconfigured: [500, 'The service is not set up', 'Its operator finds the reason in its log.'],
  busy: [503, 'The service is busy', 'Repeat the request.'],
  'database-unavailable': [
    503,
    'The library is out of reach for a moment',
    'Repeat the request. If it changes something, it may have been done: send the same Idempotency-Key.',
  ],
} as const satisfies Record<string, readonly [status: number, title: string, detail: string]>

export type ProblemName = keyof typeof problems

/** What may speak against a patron, whatever they ask for: the function obstacles_of_patron. */
export const patronProblems = [
  'patron-suspended',
  'account-expired',
  'patron-blocked',
  'fee-limit-reached',
  'overdue-limit-reached',
] as const satisfies ProblemName[]

export const isProblemName = (name: string): name is ProblemName => Object.hasOwn(problems, name)

export const problemType = (name: ProblemName) => `/problems/${name}`

/** Seconds after which it is worth asking again. */
const RETRY_AFTER_SECONDS = 2

export const InputError = z
  .object({
    in: z.enum(['body', 'query', 'path', 'header']),
    pointer: z.string().meta({ description: 'JSON Pointer (RFC 6901) into that part of the request' }),
    detail: z.string(),
  })
  .meta({ id: 'InputError' })
export type InputError = z.infer<typeof InputError>

export const Problem = z
  .object({
    type: z.string().meta({ description: 'What went wrong, for programs: a relative reference that can be read' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What to do, for people' }),
    instance: z.string().meta({ description: 'The id of this request, also in X-Request-Id' }),
    errors: z.array(InputError).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457' })
export type Problem = z.infer<typeof Problem>

/** `survivor`: the book to which the request is redirected. */
type Extra = { errors?: InputError[]; headers?: Record<string, string>; detail?: string; survivor?: string }

/** An expected failure: thrown anywhere, answered in one place. */
export class ProblemError extends Error {
  override name = 'ProblemError'
  readonly problem: ProblemName
  readonly extra: Extra
  constructor(problem: ProblemName, extra: Extra) {
    super(problem)
    this.problem = problem
    this.extra = extra
  }
}

/** `throw problem('loan-limit-reached')`. A detail of one's own replaces the catalogue's. */
export const problem = (name: ProblemName, extra: Extra = {}) => new ProblemError(name, extra)

const headersOf = (name: ProblemName, status: number): Record<string, string> => {
  if (status === 503) return { 'retry-after': String(RETRY_AFTER_SECONDS) }
  if (name.startsWith('access-token-') || name === 'session-ended') {
    return { 'www-authenticate': 'Bearer error="invalid_token"' }
  }
  // Heard only by who sent a key: browsers ask for a password where Basic is offered.
  if (name === 'key-invalid') {
    return { 'www-authenticate': 'Bearer error="invalid_token", Basic realm="Lectern", charset="UTF-8"' }
  }
  if (status === 401) return { 'www-authenticate': 'Bearer' }
  return {}
}

function answerProblem(c: Context<AppEnv>, { problem: name, extra }: ProblemError): Response {
  const [status, title, detail] = problems[name]
  const record = c.get('record')
  record.problem = name
  const body: Problem = {
    type: problemType(name),
    title,
    status,
    detail: extra.detail ?? detail,
    instance: record.requestId,
    ...(extra.errors && { errors: extra.errors }),
  }
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/problem+json',
      ...headersOf(name, status),
      ...(extra.survivor !== undefined && { location: addressAt(c, extra.survivor) }),
      ...extra.headers,
    },
  })
}

/** Where the same is asked of another book: a copy's list of the one is a copy's list of the other. */
function addressAt(c: Context, bookId: string) {
  const { pathname, search } = new URL(c.req.url)
  return pathname.replace(/^\/v1\/books\/[^/]+/, `/v1/books/${bookId}`) + search
}

/** Hono's own refusals, by their status. */
const namesByStatus: Partial<Record<number, ProblemName>> = { 400: 'malformed-json', 413: 'body-too-large' }

export const onError: ErrorHandler<AppEnv> = (error, c) => {
  if (error instanceof ProblemError) return answerProblem(c, error)
  if (error instanceof ConfigError) return answerMisconfigured(c, error)
  if (error instanceof HTTPException) {
    const name = namesByStatus[error.status]
    if (name) return answerProblem(c, problem(name))
  }
  logFault(c.get('record').requestId, error)
  return answerProblem(c, problem('internal-error'))
}

/** The log and the answer name the keys, and no value. */
function answerMisconfigured(c: Context<AppEnv>, { faults, message }: ConfigError): Response {
  const { requestId } = c.get('record')
  for (const { key, fault } of faults) log({ event: 'misconfigured', requestId, faults: `${key} ${fault}` })
  return answerProblem(c, problem('misconfigured', { detail: `Set right: ${message}.` }))
}

/** 404, or 405 with Allow where the path is known under other methods. */
export const notFound =
  (allowedMethods: (path: string) => string[]): NotFoundHandler<AppEnv> =>
  (c) => {
    const methods = allowedMethods(c.req.path)
    if (methods.length === 0) return answerProblem(c, problem('not-found'))
    const allow = methods.join(', ')
    if (c.req.method === 'OPTIONS') return new Response(null, { status: 204, headers: { allow } })
    return answerProblem(c, problem('method-not-allowed', { headers: { allow } }))
  }
