import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { chargeFee } from './charge-fee.ts'
import { getFee, listFees } from './queries.ts'
import { reduceFee } from './reduce-fee.ts'
import { Fee, FeeFilter, FeePage, NewFee, Payment, Waiver } from './schema.ts'

const tag = 'Fees'

export const fees = factory
  .createApp()
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Charge a patron',
      description: 'For what is no loan: those are charged by themselves when a book comes back late, or is lost.',
      responses: { 201: { description: 'Charged', schema: Fee, headers: { Location: 'The address of the fee' } } },
      problems: ['user-not-found'],
    }),
    allow('POST /v1/fees'),
    valid('json', NewFee),
    idempotent(),
    async (c) => {
      const fee = await chargeFee(c.var.db, c.req.valid('json'), c.var.claim)
      return c.json(fee, 201, { location: `/v1/fees/${fee.id}` })
    },
  )
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'List fees',
      description: "A patron's own; for staff anyone's. A settled fee belongs to nobody, so only staff list those.",
      responses: { 200: { description: 'A page of fees, the newest first', schema: FeePage } },
      problems: ['forbidden'],
    }),
    allow('GET /v1/fees'),
    valid('query', FeeFilter),
    async (c) => answerPage<Fee>(c, await listFees(c.var.db, { filter: c.req.valid('query'), owner: c.var.owner })),
  )
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'A fee, with its ledger',
      responses: { 200: { description: 'The fee', schema: Fee } },
      problems: ['fee-not-found'],
    }),
    allow('GET /v1/fees/:id'),
    valid('param', IdParam),
    async (c) => c.json(await getFee(c.var.db, { ...c.req.valid('param'), owner: c.var.owner }), 200),
  )
  .post(
    '/:id/payments',
    describeRoute({
      tag,
      summary: 'Note a payment',
      description: 'In whole or in part. From the last one on nothing links the fee to the patron.',
      responses: { 201: { description: 'The fee with the payment', schema: Fee } },
      problems: ['fee-not-found', 'fee-settled', 'amount-exceeds-balance'],
    }),
    allow('POST /v1/fees/:id/payments'),
    valid('param', IdParam),
    valid('json', Payment),
    idempotent(),
    async (c) => {
      const { amount, reference = null } = c.req.valid('json')
      const payment = { ...c.req.valid('param'), kind: 'payment', amount, reason: reference } as const
      return c.json(await reduceFee(c.var.db, payment, c.var.claim), 201)
    },
  )
  .post(
    '/:id/waivers',
    describeRoute({
      tag,
      summary: 'Waive a fee',
      description: 'In whole or in part.',
      responses: { 201: { description: 'The fee with the waiver', schema: Fee } },
      problems: ['fee-not-found', 'fee-settled', 'amount-exceeds-balance'],
    }),
    allow('POST /v1/fees/:id/waivers'),
    valid('param', IdParam),
    valid('json', Waiver),
    idempotent(),
    async (c) => {
      const waiver = { ...c.req.valid('param'), kind: 'waiver', ...c.req.valid('json') } as const
      return c.json(await reduceFee(c.var.db, waiver, c.var.claim), 201)
    },
  )
