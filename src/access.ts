import { z } from 'zod'
import { problem } from './problem.ts'

/** What an API key may be made for, and by whom. */
const scopes = {
  read: {
    roles: ['patron', 'staff'],
    meaning: "see the user's own account, loans, holds, fees and blocks, and the policies",
  },
  lend: { roles: ['patron', 'staff'], meaning: 'borrow, return, renew and queue for the user' },
  desk: { roles: ['staff'], meaning: 'do all that for any patron, check in copies, and see copies and users' },
} as const

export const Scope = z.enum(['read', 'lend', 'desk']).meta({
  id: 'Scope',
  description: Object.entries(scopes)
    .map(([scope, { meaning }]) => `${scope}: ${meaning}`)
    .join('; '),
})
type Scope = z.infer<typeof Scope>

export const rolesOfScope = (scope: Scope): readonly Role[] => scopes[scope].roles

type Role = 'patron' | 'staff'

/** What a role may touch: its user's own, or everybody's. A role that is not named may not. What is dangerous in the wrong
 *  hands is for a fresh login: a session opened ten minutes ago at most, however often it has been refreshed. Where the
 *  library asks a second factor of its staff, a member of staff who has shown none may use only what adds one, shows their
 *  account or ends a session: `mayLackFactor`. An API key opens what names its scope, and nothing else. */
export type Rule = 'anyone' | ClosedRule
export type ClosedRule = { patron?: Whose; staff?: Whose; fresh?: true; mayLackFactor?: true; scope?: Scope }
type Whose = 'own' | 'all'

/** Who may do what: the whole of it. `allow()` applies these rules and holds none of its own; the app does not start when a
 *  route has no rule here, or a rule no route. */
export const access = {
  'GET /': 'anyone',
  'GET /healthz': 'anyone',
  'GET /readyz': 'anyone',
  'GET /version': 'anyone',
  'GET /problems': 'anyone',
  'GET /problems/:name': 'anyone',
  'GET /openapi.json': 'anyone',
  'GET /.well-known/security.txt': 'anyone',
  'GET /docs': 'anyone',
  'GET /docs/:file': 'anyone',

  'POST /v1/users': 'anyone',
  'GET /v1/users': { staff: 'all', scope: 'desk' },
  'GET /v1/users/me': { patron: 'own', staff: 'own', mayLackFactor: true, scope: 'read' },
  'PATCH /v1/users/me': { patron: 'own', staff: 'own' },
  'DELETE /v1/users/me': { patron: 'own', staff: 'own', fresh: true },
  'GET /v1/users/me/export': { patron: 'own', staff: 'own', fresh: true },
  'PUT /v1/users/me/password': { patron: 'own', staff: 'own' },
  'PUT /v1/users/me/email': { patron: 'own', staff: 'own', fresh: true },
  'POST /v1/users/me/email-confirmations': { patron: 'own', staff: 'own' },
  'GET /v1/users/me/security-events': { patron: 'own', staff: 'own' },
  'GET /v1/users/me/second-factor': { patron: 'own', staff: 'own', mayLackFactor: true },
  'POST /v1/users/me/second-factor': { patron: 'own', staff: 'own', fresh: true, mayLackFactor: true },
  'DELETE /v1/users/me/second-factor': { patron: 'own', staff: 'own', fresh: true, mayLackFactor: true },
  'PUT /v1/users/me/second-factor/confirmation': { patron: 'own', staff: 'own', fresh: true, mayLackFactor: true },
  'POST /v1/users/me/second-factor/recovery-codes': { patron: 'own', staff: 'own', fresh: true, mayLackFactor: true },
  'POST /v1/users/me/keys': { patron: 'own', staff: 'own', fresh: true },
  'GET /v1/users/me/keys': { patron: 'own', staff: 'own' },
  'DELETE /v1/users/me/keys/:id': { patron: 'own', staff: 'own' },
  'GET /v1/users/:id': { staff: 'all', scope: 'desk' },
  'PATCH /v1/users/:id': { staff: 'all', fresh: true },
  'PUT /v1/users/:id/suspension': { staff: 'all', fresh: true },
  'DELETE /v1/users/:id/suspension': { staff: 'all', fresh: true },

  'POST /v1/auth/email-confirmations': 'anyone',
  'POST /v1/auth/password-reset-requests': 'anyone',
  'POST /v1/auth/password-resets': 'anyone',
  'POST /v1/auth/password-check': 'anyone',
  'GET /v1/security/guidance': 'anyone',

  'POST /v1/sessions': 'anyone',
  'POST /v1/sessions/refresh': 'anyone',
  'GET /v1/sessions': { patron: 'own', staff: 'own', mayLackFactor: true },
  'DELETE /v1/sessions/current': { patron: 'own', staff: 'own', mayLackFactor: true },
  'DELETE /v1/sessions/:id': { patron: 'own', staff: 'own', mayLackFactor: true },

  'GET /v1/books': 'anyone',
  'GET /v1/books/suggest': 'anyone',
  'POST /v1/books': { staff: 'all' },
  'GET /v1/books/newest': 'anyone',
  'GET /v1/books/newest.atom': 'anyone',
  'GET /v1/books/popular': 'anyone',
  'GET /v1/books/popular.atom': 'anyone',
  'GET /v1/books/:id/related': 'anyone',
  'GET /v1/books/exports/:format': 'anyone',
  'GET /v1/books/isbn/:isbn': 'anyone',
  'GET /v1/books/:id': 'anyone',
  'GET /v1/books/:id/exports/:format': 'anyone',
  'PATCH /v1/books/:id': { staff: 'all' },
  'DELETE /v1/books/:id': { staff: 'all' },
  'GET /v1/books/duplicates': { staff: 'all' },
  'POST /v1/books/distinctions': { staff: 'all' },
  'POST /v1/books/changes': { staff: 'all' },
  'GET /v1/books/:id/revisions': { staff: 'all' },
  'POST /v1/books/:id/reversions': { staff: 'all' },
  'POST /v1/books/:id/merges': { staff: 'all' },
  'GET /v1/books/:id/copies': { staff: 'all', scope: 'desk' },
  'POST /v1/books/:id/copies': { staff: 'all' },
  'GET /v1/books/:id/eligibility': { patron: 'own', staff: 'all', scope: 'read' },

  'GET /v1/copies/:id': { staff: 'all', scope: 'desk' },
  'PATCH /v1/copies/:id': { staff: 'all' },
  'DELETE /v1/copies/:id': { staff: 'all' },
  'PUT /v1/copies/:id/loss': { staff: 'all' },
  'DELETE /v1/copies/:id/loss': { staff: 'all' },
  'POST /v1/check-ins': { staff: 'all', scope: 'desk' },

  'POST /v1/loans': { patron: 'own', staff: 'all', scope: 'lend' },
  'GET /v1/loans': { patron: 'own', staff: 'all', scope: 'read' },
  'GET /v1/loans/:id': { patron: 'own', staff: 'all', scope: 'read' },
  'PUT /v1/loans/:id/return': { patron: 'own', staff: 'all', scope: 'lend' },
  'POST /v1/loans/:id/renewals': { patron: 'own', staff: 'all', scope: 'lend' },
  'PUT /v1/loans/:id/claimed-return': { staff: 'all' },
  'DELETE /v1/loans/:id/claimed-return': { staff: 'all' },

  'POST /v1/holds': { patron: 'own', staff: 'all', scope: 'lend' },
  'GET /v1/holds': { patron: 'own', staff: 'all', scope: 'read' },
  'GET /v1/holds/:id': { patron: 'own', staff: 'all', scope: 'read' },
  'DELETE /v1/holds/:id': { patron: 'own', staff: 'all', scope: 'lend' },
  'PUT /v1/holds/:id/suspension': { patron: 'own', staff: 'all', scope: 'lend' },
  'DELETE /v1/holds/:id/suspension': { patron: 'own', staff: 'all', scope: 'lend' },
  'PUT /v1/holds/:id/position': { staff: 'all' },

  'POST /v1/fees': { staff: 'all' },
  'GET /v1/fees': { patron: 'own', staff: 'all', scope: 'read' },
  'GET /v1/fees/:id': { patron: 'own', staff: 'all', scope: 'read' },
  'POST /v1/fees/:id/payments': { staff: 'all' },
  'POST /v1/fees/:id/waivers': { staff: 'all' },

  'POST /v1/blocks': { staff: 'all' },
  'GET /v1/blocks': { patron: 'own', staff: 'all', scope: 'read' },
  'DELETE /v1/blocks/:id': { staff: 'all' },

  'POST /v1/imports': { staff: 'all' },
  'GET /v1/imports': { staff: 'all' },
  'GET /v1/imports/:id': { staff: 'all' },
  'POST /v1/imports/:id/records': { staff: 'all' },
  'GET /v1/imports/:id/records': { staff: 'all' },
  'GET /v1/imports/:id/records/:position': { staff: 'all' },
  'PUT /v1/imports/:id/undo': { staff: 'all' },

  'GET /v1/events': { staff: 'all' },

  'GET /v1/figures/loans': { staff: 'all' },
  'GET /v1/figures/demand': { staff: 'all' },
  'GET /v1/figures/collection': { staff: 'all' },

  'GET /v1/policies': { patron: 'all', staff: 'all', scope: 'read' },
  'POST /v1/policies': { staff: 'all' },
  'GET /v1/policies/:id': { patron: 'all', staff: 'all', scope: 'read' },
  'PATCH /v1/policies/:id': { staff: 'all' },
  'DELETE /v1/policies/:id': { staff: 'all' },
  'GET /v1/categories': { staff: 'all' },
  'PUT /v1/categories/:name': { staff: 'all' },
  'DELETE /v1/categories/:name': { staff: 'all' },

  'GET /v1/library': 'anyone',
  'PATCH /v1/library': { staff: 'all', fresh: true },
  'GET /v1/library/days': 'anyone',
  'PUT /v1/library/days/:day': { staff: 'all' },
  'DELETE /v1/library/days/:day': { staff: 'all' },
} as const satisfies Record<string, Rule>

type Access = typeof access
export type RouteName = keyof Access
export type OpenRoute = { [Name in RouteName]: Access[Name] extends 'anyone' ? Name : never }[RouteName]
export type ClosedRoute = Exclude<RouteName, OpenRoute>
/** Where a key may come. */
export type KeyRoute = { [Name in ClosedRoute]: Access[Name] extends { scope: Scope } ? Name : never }[ClosedRoute]

/** Whose things a request may touch: those of the user with this id; null: everybody's. */
export type Owner = string | null

/** The owner as far as a rule alone tells it. */
export type OwnerOf<Name extends ClosedRoute> = OwnerFor<Access[Name][keyof Access[Name] & Role]>
type OwnerFor<Given> = Given extends 'own' ? string : null

/** What a key may touch, and the scope that it needs for it. A key of staff that is not for the desk reaches no further than
 *  a patron's: it is a person's own. Throws 'scope-missing' where keys may not come, 'forbidden' where the role may not. */
export function reachOfKey(
  { scope, fresh, patron, ...rule }: ClosedRule,
  { role, isForDesk }: { role: Role; isForDesk: boolean },
): { whose: Whose; scope: Scope } {
  if (scope === undefined || fresh) throw problem('scope-missing')
  const whose = role === 'staff' ? rule.staff : patron
  if (whose === undefined) throw problem('forbidden')
  const isForEverybodys = whose === 'all' && patron !== 'all'
  if (!isForEverybodys) return { whose, scope }
  return isForDesk || patron === undefined ? { whose, scope: 'desk' } : { whose: patron, scope }
}

/** The user who is meant, whose own it is if nobody is named. Throws 'forbidden' for whoever names a user and may touch
 *  their own only. */
export function ownerNamed(owner: Owner, userId: string | undefined): Owner {
  if (owner !== null && userId !== undefined) throw problem('forbidden')
  return owner ?? userId ?? null
}
