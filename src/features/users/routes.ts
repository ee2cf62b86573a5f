import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { problem } from '../../problem.ts'
import { describeRoute } from '../../route-facts.ts'
import { brake } from '../../brake.ts'
import { deliverSoon } from '../../mail/deliver.ts'
import { changePassword } from './change-password.ts'
import { askAgain, changeEmail } from './confirm-email.ts'
import { changeUser, getUser, listUsers, reinstateUser, suspendUser } from './queries.ts'
import { register } from './register.ts'
import {
  EmailChange,
  NewUser,
  OwnChange,
  PasswordChange,
  Suspension,
  User,
  UserChange,
  UserFilter,
  UserPage,
} from './schema.ts'

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
      description:
        'Makes a patron. Log in with `POST /v1/sessions` afterwards. The email address counts once it is confirmed with the code in the message that is sent there; whether another account has it is not told.',
      responses: { 201: { description: 'Registered', schema: User } },
      problems: ['username-taken', 'busy'],
    }),
    allow('POST /v1/users'),
    valid('json', NewUser),
    brake(),
    idempotent({ secrets: ['password'] }),
    async (c) => {
      const user = await register(c.var.db, c.var.config, c.req.valid('json'), c.var.claim)
      deliverSoon(c)
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
    async (c) => answerPage<User>(c, await listUsers(c.var.db, c.var.config, c.req.valid('query'))),
  )
  .get(
    '/me',
    describeRoute({ tag, summary: 'My account', responses: { 200: { description: 'My account', schema: User } } }),
    allow('GET /v1/users/me'),
    async (c) => c.json(await getUser(c.var.db, c.var.config, { userId: c.var.owner }), 200),
  )
  .patch(
    '/me',
    describeRoute({
      tag,
      summary: 'Change my username, my name, phone or address, or whether I keep a history',
      responses: { 200: { description: 'My account as it is now', schema: User } },
      problems: ['username-taken'],
    }),
    allow('PATCH /v1/users/me'),
    valid('json', OwnChange),
    async (c) =>
      c.json(await changeUser(c.var.db, c.var.config, { userId: c.var.owner, change: c.req.valid('json') }), 200),
  )
  .put(
    '/me/password',
    describeRoute({
      tag,
      summary: 'Change my password',
      description: 'Ends all my other sessions.',
      responses: { 204: { description: 'Changed' } },
      problems: ['wrong-password', 'too-many-attempts', 'busy'],
    }),
    allow('PUT /v1/users/me/password'),
    valid('json', PasswordChange),
    brake(),
    async (c) => {
      await changePassword(c.var.db, c.var.config, { actor: c.var.actor, ...c.req.valid('json') })
      deliverSoon(c)
      return c.body(null, 204)
    },
  )
  .put(
    '/me/email',
    describeRoute({
      tag,
      summary: 'Change my email address',
      description:
        'The new one waits until it is confirmed with the code in the message that is sent there; the old one stays in force until then, and is told.',
      responses: { 200: { description: 'My account as it is now', schema: User } },
    }),
    allow('PUT /v1/users/me/email'),
    valid('json', EmailChange),
    brake(),
    async (c) => {
      const { email } = c.req.valid('json')
      const user = await changeEmail(c.var.db, c.var.config, { userId: c.var.owner, email })
      deliverSoon(c)
      return c.json(user, 200)
    },
  )
  .post(
    '/me/email-confirmations',
    describeRoute({
      tag,
      summary: 'Send the message that confirms my email address again',
      description: 'At most five at once, and ever fewer after that: then nothing is sent.',
      responses: { 202: { description: 'It is sent, unless there were too many' } },
      problems: ['nothing-to-confirm'],
    }),
    allow('POST /v1/users/me/email-confirmations'),
    brake(),
    async (c) => {
      await askAgain(c.var.db, c.var.config, { userId: c.var.owner })
      deliverSoon(c)
      return c.body(null, 202)
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
    async (c) => c.json(await getUser(c.var.db, c.var.config, { userId: c.req.valid('param').id }), 200),
  )
  .patch(
    '/:id',
    describeRoute({
      tag,
      summary: "Change a user's role, category, expiry, or how they are reached",
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
      return c.json(await changeUser(c.var.db, c.var.config, { userId: id, change }), 200)
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
      return c.json(await suspendUser(c.var.db, c.var.config, { userId: id, ...c.req.valid('json') }), 200)
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
    async (c) => c.json(await reinstateUser(c.var.db, c.var.config, { userId: c.req.valid('param').id }), 200),
  )
