import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { problem } from '../../problem.ts'
import { describeRoute } from '../../route-facts.ts'
import { changePassword } from './change-password.ts'
import { changeUser, getUser, listUsers, reinstateUser, suspendUser } from './queries.ts'
import { register } from './register.ts'
import { NewUser, OwnChange, PasswordChange, Suspension, User, UserChange, UserFilter, UserPage } from './schema.ts'

const tag = 'Users'

/** A member of staff who demotes or suspends themselves may be the last one. */
const notOneself = (userId: string, id: string) => {
  if (userId === id) throw problem('own-account')
}

export const users = factory
  .createApp()
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Register',
      description: 'Makes a patron. Log in with `POST /v1/sessions` afterwards.',
      responses: { 201: { description: 'Registered', schema: User } },
      problems: ['username-taken', 'email-taken', 'busy'],
    }),
    allow('POST /v1/users'),
    valid('json', NewUser),
    idempotent({ secrets: ['password'] }),
    async (c) => {
      const user = await register(c.var.db, c.var.config, c.req.valid('json'), c.var.claim)
      return c.json(user, 201)
    },
  )
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'Find users',
      responses: { 200: { description: 'A page of users, the oldest first', schema: UserPage } },
    }),
    allow('GET /v1/users'),
    valid('query', UserFilter),
    async (c) => answerPage<User>(c, await listUsers(c.var.db, c.req.valid('query'))),
  )
  .get(
    '/me',
    describeRoute({ tag, summary: 'My account', responses: { 200: { description: 'My account', schema: User } } }),
    allow('GET /v1/users/me'),
    async (c) => c.json(await getUser(c.var.db, { userId: c.var.owner }), 200),
  )
  .patch(
    '/me',
    describeRoute({
      tag,
      summary: 'Change my username, my email address, or whether I keep a history',
      responses: { 200: { description: 'My account as it is now', schema: User } },
      problems: ['username-taken', 'email-taken'],
    }),
    allow('PATCH /v1/users/me'),
    valid('json', OwnChange),
    async (c) => c.json(await changeUser(c.var.db, { userId: c.var.owner, change: c.req.valid('json') }), 200),
  )
  .put(
    '/me/password',
    describeRoute({
      tag,
      summary: 'Change my password',
      description: 'Ends all my other sessions.',
      responses: { 204: { description: 'Changed' } },
      problems: ['wrong-password', 'busy'],
    }),
    allow('PUT /v1/users/me/password'),
    valid('json', PasswordChange),
    async (c) => {
      await changePassword(c.var.db, c.var.config, { actor: c.var.actor, ...c.req.valid('json') })
      return c.body(null, 204)
    },
  )
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'A user',
      responses: { 200: { description: 'The user', schema: User } },
      problems: ['user-not-found'],
    }),
    allow('GET /v1/users/:id'),
    valid('param', IdParam),
    async (c) => c.json(await getUser(c.var.db, { userId: c.req.valid('param').id }), 200),
  )
  .patch(
    '/:id',
    describeRoute({
      tag,
      summary: "Change a user's role, category or expiry",
      description: 'A role counts from the next request of theirs: their access tokens must be refreshed.',
      responses: { 200: { description: 'The user as it is now', schema: User } },
      problems: ['user-not-found', 'category-not-found', 'own-account'],
    }),
    allow('PATCH /v1/users/:id'),
    valid('param', IdParam),
    valid('json', UserChange),
    async (c) => {
      const { id } = c.req.valid('param')
      const change = c.req.valid('json')
      if (change.role !== undefined) notOneself(c.var.actor.userId, id)
      return c.json(await changeUser(c.var.db, { userId: id, change }), 200)
    },
  )
  .put(
    '/:id/suspension',
    describeRoute({
      tag,
      summary: 'Suspend a user',
      description: 'Ends their sessions. They can neither log in nor borrow until they are reinstated.',
      responses: { 200: { description: 'The user as it is now', schema: User } },
      problems: ['user-not-found', 'own-account'],
    }),
    allow('PUT /v1/users/:id/suspension'),
    valid('param', IdParam),
    valid('json', Suspension),
    async (c) => {
      const { id } = c.req.valid('param')
      notOneself(c.var.actor.userId, id)
      return c.json(await suspendUser(c.var.db, { userId: id, ...c.req.valid('json') }), 200)
    },
  )
  .delete(
    '/:id/suspension',
    describeRoute({
      tag,
      summary: 'Reinstate a user',
      responses: { 200: { description: 'The user as it is now', schema: User } },
      problems: ['user-not-found'],
    }),
    allow('DELETE /v1/users/:id/suspension'),
    valid('param', IdParam),
    async (c) => c.json(await reinstateUser(c.var.db, { userId: c.req.valid('param').id }), 200),
  )
