import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { IdParam, valid } from '../../input.ts'
import { describeRoute } from '../../route-facts.ts'
import { getEligibility } from './queries.ts'
import { Eligibility, EligibilityQuery } from './schema.ts'

export const eligibilityForBook = factory.createApp().get(
  '/:id/eligibility',
  describeRoute({
    tag: 'Loans',
    summary: 'Could I borrow it, renew it, or queue for it, and if not, why?',
    description:
      'Changes nothing. Every rule that speaks against it, what would change it, and when it ends by itself.',
    responses: { 200: { description: 'Three decisions', schema: Eligibility } },
    problems: ['book-not-found', 'book-merged', 'user-not-found', 'forbidden'],
  }),
  allow('GET /v1/books/:id/eligibility'),
  valid('param', IdParam),
  valid('query', EligibilityQuery),
  async (c) =>
    c.json(
      await getEligibility(c.var.db, {
        bookId: c.req.valid('param').id,
        ...c.req.valid('query'),
        actor: c.var.actor,
        owner: c.var.owner,
      }),
      200,
    ),
)
