import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { idempotent } from '../../idempotency.ts'
import { IdParam, valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { patronProblems } from '../../problem.ts'
import { describeRoute } from '../../route-facts.ts'
import { checkIn } from './check-in.ts'
import { checkOut } from './check-out.ts'
import { claimReturned } from './claim-returned.ts'
import { getLoan, listLoans } from './queries.ts'
import { renew } from './renew.ts'
import { Loan, LoanFilter, LoanPage, NewLoan, Renewal } from './schema.ts'

const tag = 'Loans'

export const loans = factory
  .createApp()
  .post(
    '/',
    describeRoute({
      tag,
      summary: 'Borrow a book',
      description: 'For oneself by `bookId`; at the desk, for staff, by `barcode` and `userId`.',
      responses: { 201: { description: 'Lent', schema: Loan, headers: { Location: 'The address of the loan' } } },
      problems: [
        'forbidden',
        'book-not-found',
        'copy-not-found',
        'user-not-found',
        'no-copy-available',
        'copy-not-available',
        'copy-waits-for-another',
        'already-on-loan',
        'loan-limit-reached',
        ...patronProblems,
      ],
    }),
    allow('POST /v1/loans'),
    valid('json', NewLoan),
    idempotent(),
    async (c) => {
      const loan = await checkOut(
        c.var.db,
        { ...c.req.valid('json'), actor: c.var.actor, owner: c.var.owner },
        c.var.claim,
      )
      return c.json(loan, 201, { location: `/v1/loans/${loan.id}` })
    },
  )
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'List loans',
      description:
        "A patron's own; for staff anyone's. A returned loan is nobody's: staff list those without their patrons, and patrons those of the history that they have chosen to keep.",
      responses: { 200: { description: 'A page of loans, the newest first', schema: LoanPage } },
      problems: ['forbidden'],
    }),
    allow('GET /v1/loans'),
    valid('query', LoanFilter),
    async (c) =>
      answerPage<Loan>(
        c,
        await listLoans(c.var.db, { filter: c.req.valid('query'), owner: c.var.owner, actor: c.var.actor }),
      ),
  )
  .get(
    '/:id',
    describeRoute({
      tag,
      summary: 'A loan',
      responses: { 200: { description: 'The loan', schema: Loan } },
      problems: ['loan-not-found'],
    }),
    allow('GET /v1/loans/:id'),
    valid('param', IdParam),
    async (c) => c.json(await getLoan(c.var.db, { ...c.req.valid('param'), owner: c.var.owner }), 200),
  )
  .put(
    '/:id/return',
    describeRoute({
      tag,
      summary: 'Return a book',
      description: 'Idempotent. From here on nothing links the loan to the patron.',
      responses: { 200: { description: 'The loan, returned', schema: Loan } },
      problems: ['loan-not-found'],
    }),
    allow('PUT /v1/loans/:id/return'),
    valid('param', IdParam),
    async (c) => c.json(await checkIn(c.var.db, { ...c.req.valid('param'), owner: c.var.owner }), 200),
  )
  .post(
    '/:id/renewals',
    describeRoute({
      tag,
      summary: 'Renew a loan',
      responses: { 201: { description: 'The loan with its new due date', schema: Loan } },
      problems: [
        'loan-not-found',
        'loan-returned',
        'others-are-waiting',
        'renewal-limit-reached',
        'nothing-to-renew',
        'loan-claimed-returned',
        'forbidden',
        ...patronProblems,
      ],
    }),
    allow('POST /v1/loans/:id/renewals'),
    valid('param', IdParam),
    valid('json', Renewal, { optional: true }),
    idempotent(),
    async (c) =>
      c.json(
        await renew(c.var.db, { ...c.req.valid('param'), ...c.req.valid('json'), owner: c.var.owner }, c.var.claim),
        201,
      ),
  )
  .put(
    '/:id/claimed-return',
    describeRoute({
      tag,
      summary: 'Note that the patron says they returned it',
      description: 'Idempotent. Nothing more accrues until the copy is checked in or declared lost.',
      responses: { 200: { description: 'The loan', schema: Loan } },
      problems: ['loan-not-found', 'loan-returned', 'format-mismatch'],
    }),
    allow('PUT /v1/loans/:id/claimed-return'),
    valid('param', IdParam),
    async (c) => c.json(await claimReturned(c.var.db, { ...c.req.valid('param'), claimed: true }), 200),
  )
  .delete(
    '/:id/claimed-return',
    describeRoute({
      tag,
      summary: 'Take that claim back',
      description: 'Idempotent.',
      responses: { 200: { description: 'The loan', schema: Loan } },
      problems: ['loan-not-found', 'loan-returned', 'format-mismatch'],
    }),
    allow('DELETE /v1/loans/:id/claimed-return'),
    valid('param', IdParam),
    async (c) => c.json(await claimReturned(c.var.db, { ...c.req.valid('param'), claimed: false }), 200),
  )
