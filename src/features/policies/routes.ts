import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { etagOf, ifMatch } from '../../versions.ts'
import {
  changePolicy,
  createPolicy,
  getPolicy,
  listCategories,
  listPolicies,
  putCategory,
  removeCategory,
  removePolicy,
} from './queries.ts'
import {
  Category,
  CategoryFilter,
  CategoryPage,
  CategoryParam,
  NewPolicy,
  Policy,
  PolicyChange,
  PolicyFilter,
  PolicyPage,
} from './schema.ts'

const tag = 'Policies'

export const policies = factory
  .createApp()
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'The terms of lending',
      description: 'The policy without category and format is the default: for whatever no other is for.',
      responses: { 200: { description: 'A page of policies, the oldest first', schema: PolicyPage } },
    }),
    allow('GET /v1/policies'),
    valid('query', PolicyFilter),
    async (c) => answerPage<Policy>(c, await listPolicies(c.var.db, c.req.valid('query'))),
  )
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Set terms for a category, a format, or a format in a category',
      description: 'For loans and holds from now on. Terms that are left out are copied from the default policy.',
      responses: {
        201: { description: 'Set', schema: Policy, headers: { ETag: 'Its version', Location: 'Its address' } },
      },
      problems: ['policy-exists', 'category-not-found'],
    }),
    allow('POST /v1/policies'),
    valid('json', NewPolicy),
    idempotent(),
    async (c) => {
      const policy = await createPolicy(c.var.db, c.req.valid('json'), c.var.claim)
      return c.json(policy, 201, { location: `/v1/policies/${policy.id}`, etag: etagOf(policy.version) })
    },
  )
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'A policy',
      responses: { 200: { description: 'The policy', schema: Policy, headers: { ETag: 'Its version' } } },
      problems: ['policy-not-found'],
    }),
    allow('GET /v1/policies/:id'),
    valid('param', IdParam),
    async (c) => {
      const policy = await getPolicy(c.var.db, c.req.valid('param'))
      return c.json(policy, 200, { etag: etagOf(policy.version) })
    },
  )
  .patch(
    '/:id',
    describeRoute({
      tag,
      summary: 'Change the terms of a policy',
      description: 'Loans that have been made keep theirs until they are renewed.',
      responses: { 200: { description: 'The policy as it is now', schema: Policy, headers: { ETag: 'Its version' } } },
      problems: ['policy-not-found'],
    }),
    allow('PATCH /v1/policies/:id'),
    valid('param', IdParam),
    ifMatch(),
    valid('json', PolicyChange),
    async (c) => {
      const policy = await changePolicy(c.var.db, {
        id: c.req.valid('param').id,
        versions: c.var.versions,
        change: c.req.valid('json'),
      })
      return c.json(policy, 200, { etag: etagOf(policy.version) })
    },
  )
  .delete(
    '/:id',
    describeRoute({
      tag,
      summary: 'Remove a policy',
      description: 'The next less specific one counts from then on. The default policy stays.',
      responses: { 204: { description: 'Removed' } },
      problems: ['policy-not-found', 'default-policy'],
    }),
    allow('DELETE /v1/policies/:id'),
    valid('param', IdParam),
    ifMatch(),
    async (c) => {
      await removePolicy(c.var.db, { ...c.req.valid('param'), versions: c.var.versions })
      return c.body(null, 204)
    },
  )

export const categories = factory
  .createApp()
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'The categories of patron',
      responses: { 200: { description: 'A page of categories, by name', schema: CategoryPage } },
    }),
    allow('GET /v1/categories'),
    valid('query', CategoryFilter),
    async (c) => answerPage<Category>(c, await listCategories(c.var.db, c.req.valid('query'))),
  )
  .put(
    '/:name',
    describeRoute({
      tag,
      summary: 'Have a category of patron',
      description: 'Idempotent. Staff put a patron into it with `PATCH /v1/users/{id}`.',
      responses: { 200: { description: 'The category', schema: Category } },
    }),
    allow('PUT /v1/categories/:name'),
    valid('param', CategoryParam),
    async (c) => c.json(await putCategory(c.var.db, c.req.valid('param')), 200),
  )
  .delete(
    '/:name',
    describeRoute({
      tag,
      summary: 'Remove a category of patron',
      description:
        'Only while it has neither patrons nor policies. `general`, where new patrons belong, is always in use.',
      responses: { 204: { description: 'Removed' } },
      problems: ['category-not-found', 'category-in-use'],
    }),
    allow('DELETE /v1/categories/:name'),
    valid('param', CategoryParam),
    async (c) => {
      await removeCategory(c.var.db, c.req.valid('param'))
      return c.body(null, 204)
    },
  )
