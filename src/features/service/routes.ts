import { sql } from 'drizzle-orm'
import { z } from 'zod'
import packageJson from '../../../package.json' with { type: 'json' }
import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { isProblemName, problem, problems, problemType } from '../../problem.ts'
import { describeRoute } from '../../route-facts.ts'
import { docsPage, docsPolicy, docsScript } from './docs-page.ts'
import { securityTxt } from './security-txt.ts'

const tag = 'Service'

const Status = z.object({ status: z.literal('ok') })

const ProblemEntry = z.object({ type: z.string(), status: z.int(), title: z.string(), detail: z.string() })

const entryOf = (name: keyof typeof problems) => {
  const [status, title, detail] = problems[name]
  return { type: problemType(name), status, title, detail }
}

/** How long an answer of the database counts, in milliseconds: /readyz is for anyone, so it may not be a lever. */
const READY_MS = 5_000
let readyUntil = 0

const ASSET_CACHE = 'public, max-age=86400'

/** What operators and developers ask of the service itself. */
export const service = (document: () => object) =>
  factory
    .createApp()
    .get(
      '/',
      describeRoute({
        tag,
        summary: 'What this is',
        responses: {
          200: {
            description: 'Where to go on',
            schema: z.object({ name: z.string(), version: z.string(), documentation: z.string(), openapi: z.string() }),
          },
        },
      }),
      allow('GET /'),
      (c) =>
        c.json(
          { name: 'Lectern', version: packageJson.version, documentation: '/docs', openapi: '/openapi.json' },
          200,
        ),
    )
    .get(
      '/healthz',
      describeRoute({
        tag,
        summary: 'Whether the Worker answers',
        responses: { 200: { description: 'It does', schema: Status } },
      }),
      allow('GET /healthz'),
      (c) => c.json({ status: 'ok' as const }, 200),
    )
    .get(
      '/readyz',
      describeRoute({
        tag,
        summary: 'Whether the database answers',
        description: 'A good answer counts for five seconds.',
        responses: { 200: { description: 'It does', schema: Status } },
        problems: ['database-unavailable'],
      }),
      allow('GET /readyz'),
      async (c) => {
        if (Date.now() >= readyUntil) {
          await c.var.db.row(sql`select from policies limit 1`)
          readyUntil = Date.now() + READY_MS
        }
        return c.json({ status: 'ok' as const }, 200)
      },
    )
    .get(
      '/version',
      describeRoute({
        tag,
        summary: 'Which version runs',
        responses: { 200: { description: 'The version', schema: z.object({ version: z.string() }) } },
      }),
      allow('GET /version'),
      (c) => c.json({ version: packageJson.version }, 200),
    )
    .get(
      '/.well-known/security.txt',
      describeRoute({
        tag,
        summary: 'Who hears of a weakness',
        description: 'RFC 9116. Not there when what it says is out of date.',
        responses: { 200: { description: 'security.txt', schema: z.string(), mediaType: 'text/plain' } },
        problems: ['not-found'],
      }),
      allow('GET /.well-known/security.txt'),
      (c) => {
        const text = securityTxt(c.var.config)
        if (text === null) throw problem('not-found')
        return c.body(text, 200, {
          'content-type': 'text/plain; charset=utf-8',
          'cache-control': 'public, max-age=3600',
        })
      },
    )
    .get(
      '/problems',
      describeRoute({
        tag,
        summary: 'Every problem there is',
        responses: { 200: { description: 'The catalogue', schema: z.object({ items: z.array(ProblemEntry) }) } },
      }),
      allow('GET /problems'),
      (c) => c.json({ items: Object.keys(problems).filter(isProblemName).map(entryOf) }, 200),
    )
    .get(
      '/problems/:name',
      describeRoute({
        tag,
        summary: 'What a problem means',
        responses: { 200: { description: 'The problem', schema: ProblemEntry } },
        problems: ['not-found'],
      }),
      allow('GET /problems/:name'),
      valid('param', z.object({ name: z.string().max(64) })),
      (c) => {
        const { name } = c.req.valid('param')
        if (!isProblemName(name)) throw problem('not-found')
        return c.json(entryOf(name), 200)
      },
    )
    .get(
      '/openapi.json',
      describeRoute({
        tag,
        summary: 'This document',
        responses: { 200: { description: 'OpenAPI 3.1', schema: z.looseObject({ openapi: z.string() }) } },
      }),
      allow('GET /openapi.json'),
      (c) => c.json(document(), 200, { 'cache-control': 'public, max-age=300' }),
    )
    .get(
      '/docs',
      describeRoute({
        tag,
        summary: 'This document, to read and to try',
        responses: { 200: { description: 'A page', schema: z.string(), mediaType: 'text/html' } },
      }),
      allow('GET /docs'),
      (c) => c.html(docsPage, 200, { 'content-security-policy': docsPolicy, 'cache-control': 'public, max-age=300' }),
    )
    .get(
      '/docs/:file',
      describeRoute({
        tag,
        summary: 'A part of the page',
        responses: { 200: { description: 'The part', schema: z.string(), mediaType: '*/*' } },
        problems: ['not-found'],
      }),
      allow('GET /docs/:file'),
      valid('param', z.object({ file: z.enum(['start.js', 'swagger-ui.css', 'swagger-ui-bundle.js']) })),
      async (c) => {
        const { file } = c.req.valid('param')
        if (file === 'start.js') {
          return c.body(docsScript, 200, { 'content-type': 'text/javascript', 'cache-control': ASSET_CACHE })
        }
        const asset = await c.env.ASSETS.fetch(new URL(`/${file}`, c.req.url))
        if (!asset.ok) throw problem('not-found')
        const contentType = file.endsWith('.css') ? 'text/css' : 'text/javascript'
        return c.body(await asset.text(), 200, { 'content-type': contentType, 'cache-control': ASSET_CACHE })
      },
    )
