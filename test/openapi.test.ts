import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { Validator } from '@cfworker/json-schema'
import { hc } from 'hono/client'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { app, type AppType, routes } from '../src/app.ts'
import type { Book } from '../src/features/books/schema.ts'
import type { Tokens } from '../src/features/sessions/schema.ts'
import { problems } from '../src/problem.ts'
import { aBook, aPatron, ask, ORIGIN, PASSWORD, theStaff } from './support/library.ts'

type Schema = Record<string, unknown>
type Content = Record<string, { schema: Schema; example?: unknown; examples?: Record<string, { value: unknown }> }>
type Parameter = { name: string; in: string; required?: boolean; schema: Schema; example?: unknown }
type Operation = {
  operationId: string
  summary: string
  tags: string[]
  security?: object[]
  parameters?: Parameter[]
  requestBody?: { required: boolean; content: Content }
  responses: Record<string, { description: string; content?: Content }>
}
type Document = {
  openapi: string
  security: object[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema>; securitySchemes: Record<string, Schema> }
}

const document = async () => (await ask<Document>('GET', '/openapi.json')).body

/** The path of a route as the document spells it. */
const templateOf = (path: string) => path.replace(/:([a-z]+)/g, '{$1}')

const operations = async () => {
  const { paths } = await document()
  return Object.entries(paths).flatMap(([path, byMethod]) =>
    Object.entries(byMethod).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  )
}

/** The problems that an operation shows, by name. */
const problemsOf = ({ responses }: Operation) =>
  Object.values(responses).flatMap(({ content }) => Object.keys(content?.['application/problem+json']?.examples ?? {}))

const hasParameter = ({ parameters }: Operation, place: string, name?: string) =>
  (parameters ?? []).some((parameter) => parameter.in === place && (name === undefined || parameter.name === name))

describe('the document', () => {
  test('is served as OpenAPI 3.1, to be kept for a while', async () => {
    const answer = await ask<Document>('GET', '/openapi.json')
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(answer.headers.get('cache-control')).toBe('public, max-age=300')
    expect(answer.body.openapi).toMatch(/^3\.1\./)
  })

  test('has an operation for every route, and no other', async () => {
    const names = (await operations()).map(({ name }) => name)
    expect(names.toSorted()).toEqual(routes.map(({ method, path }) => `${method} ${templateOf(path)}`).toSorted())
  })

  test('names each operation once, in a form that generators can use', async () => {
    const ids = (await operations()).map(({ operation }) => operation.operationId)
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
    expect(ids.filter((id) => !/^[a-z][A-Za-z0-9]*$/.test(id))).toEqual([])
  })

  test('describes each operation and each parameter of its path', async () => {
    const incomplete = (await operations()).filter(({ name, operation }) => {
      const inPath = [...name.matchAll(/\{([a-z]+)\}/g)].map(([, parameter]) => parameter)
      const declared = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === 'path' && parameter.required === true)
        .map((parameter) => parameter.name)
      return operation.summary === '' || operation.tags.length !== 1 || inPath.join() !== declared.join()
    })
    expect(incomplete).toEqual([])
  })

  test('asks for a token exactly where one is needed', async () => {
    const { security, components } = await document()
    expect(security).toEqual([])
    expect(components.securitySchemes).toMatchObject({
      accessToken: { type: 'http', scheme: 'bearer' },
      apiKey: { type: 'http', scheme: 'bearer' },
    })
    const secured = (await operations()).filter(({ operation }) => operation.security !== undefined)
    const scopes = new Map(routes.map(({ method, path, facts }) => [`${method} ${templateOf(path)}`, facts.scope]))
    for (const { name, operation } of secured) {
      const scope = scopes.get(name)
      expect(operation.security, name).toEqual([{ accessToken: [] }, ...(scope ? [{ apiKey: [scope] }] : [])])
    }
    const needed = await Promise.all(
      routes.map(async ({ method, path }) => {
        const response = await app.fetch(
          new Request(ORIGIN + path.replace(/:[a-z]+/g, crypto.randomUUID()), { method }),
          { ...env },
        )
        return response.status === 401 ? [`${method} ${templateOf(path)}`] : []
      }),
    )
    expect(secured.map(({ name }) => name).toSorted()).toEqual(needed.flat().toSorted())
  })

  test('lists the problems that the middleware of each operation can answer', async () => {
    const missing = (await operations()).flatMap(({ name, operation }) => {
      const expected = [
        ...['https-required', 'uri-too-long', 'internal-error', 'misconfigured'],
        ...(name.includes(' /v1/') || name === 'GET /readyz' ? ['database-unavailable'] : []),
        ...(operation.security
          ? [
              ...['authentication-required', 'access-token-invalid', 'access-token-expired', 'access-token-outdated'],
              ...['session-ended', 'account-suspended', 'key-invalid', 'scope-missing'],
            ]
          : []),
        ...(operation.requestBody
          ? ['malformed-json', 'body-too-large', 'unsupported-media-type', 'invalid-input']
          : []),
        ...(hasParameter(operation, 'query') ? ['invalid-input'] : []),
        ...(hasParameter(operation, 'path') ? ['not-found'] : []),
        ...(hasParameter(operation, 'header', 'idempotency-key')
          ? ['idempotency-key-reused', 'idempotency-key-spent', 'busy', 'invalid-input']
          : []),
        ...(hasParameter(operation, 'header', 'if-match') ? ['precondition-failed', 'precondition-required'] : []),
      ]
      const listed = problemsOf(operation)
      return expected.filter((problem) => !listed.includes(problem)).map((problem) => `${name}: ${problem}`)
    })
    expect(missing).toEqual([])
  })

  test('lists "forbidden" where a patron is turned away', async () => {
    const { token } = await aPatron()
    const byName = new Map((await operations()).map(({ name, operation }) => [name, operation]))
    const forStaff = routes.filter(({ facts }) => facts.roles.includes('staff') && !facts.roles.includes('patron'))
    const answers = await Promise.all(
      forStaff.map(({ method, path }) => ask(method, path.replace(/:[a-z]+/g, crypto.randomUUID()), { token })),
    )
    expect(forStaff.length).toBeGreaterThan(5)
    expect(answers.map(({ status }) => status)).toEqual(forStaff.map(() => 403))
    const silent = forStaff.filter(({ method, path }) => {
      const operation = byName.get(`${method} ${templateOf(path)}`)
      return operation === undefined || !problemsOf(operation).includes('forbidden')
    })
    expect(silent).toEqual([])
  })

  test('lists every problem of the catalogue somewhere, under its own status', async () => {
    const listed = new Set<string>()
    for (const { operation } of await operations()) {
      for (const [status, { content }] of Object.entries(operation.responses)) {
        const examples = content?.['application/problem+json']?.examples ?? {}
        for (const [name, { value }] of Object.entries(examples)) {
          listed.add(name)
          expect(value).toMatchObject({ type: `/problems/${name}`, status: Number(status) })
        }
      }
    }
    const ofNoRoute = new Set(['method-not-allowed'])
    expect(Object.keys(problems).filter((name) => !listed.has(name) && !ofNoRoute.has(name))).toEqual([])
  })

  test('points at nothing that is not there', async () => {
    const whole = await document()
    const references = [...JSON.stringify(whole).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference)
    const names = new Set(Object.keys(whole.components.schemas).map((name) => `#/components/schemas/${name}`))
    expect(references.length).toBeGreaterThan(10)
    expect(references.filter((reference) => reference === undefined || !names.has(reference))).toEqual([])
  })
})

describe('the examples', () => {
  /** Every example beside a schema, wherever it stands, and that schema. */
  function examplesIn(node: unknown, at = '#'): { at: string; schema: Schema; value: unknown }[] {
    if (typeof node !== 'object' || node === null) return []
    const { schema, example, examples, ...rest } = node as Record<string, unknown>
    const its = (schema ?? rest) as Schema
    const isSchema = schema !== undefined || ['type', 'anyOf', 'oneOf', '$ref', 'allOf'].some((key) => key in rest)
    const here = isSchema
      ? [
          ...(example === undefined ? [] : [example]),
          ...(Array.isArray(examples) ? (examples as unknown[]) : []),
          ...(typeof examples === 'object' && examples !== null && !Array.isArray(examples)
            ? Object.values(examples as Record<string, { value: unknown }>).map(({ value }) => value)
            : []),
        ].map((value) => ({ at, schema: its, value }))
      : []
    const inside = Object.entries(isSchema ? { ...rest, schema } : node)
    return [...here, ...inside.flatMap(([key, value]) => examplesIn(value, `${at}/${key}`))]
  }

  test('of requests, parameters and problems are all valid', async () => {
    const whole = await document()
    const examples = examplesIn(whole)
    const wrong = examples.flatMap(({ at, schema, value }) => {
      const result = new Validator({ ...schema, components: whole.components }, '2020-12').validate(value)
      return result.valid ? [] : [`${at}: ${JSON.stringify(value)}: ${result.errors.at(-1)?.error}`]
    })
    expect(examples.some(({ at }) => at.includes('problem+json'))).toBe(true)
    expect(examples.some(({ at }) => at.includes('NewBook'))).toBe(true)
    expect(examples.some(({ at }) => at.includes('parameters'))).toBe(true)
    expect(wrong).toEqual([])
  })

  test('make a request that is accepted', async () => {
    const { components } = await document()
    const exampleOf = (name: string, fields: string[]) => {
      const properties = components.schemas[name]?.['properties'] as Record<string, Schema>
      return Object.fromEntries(
        fields.map((field) => {
          const { example, items } = properties[field] ?? {}
          return [field, example ?? [(items as Schema | undefined)?.['example']]]
        }),
      )
    }
    const fields = ['title', 'contributors', 'publishedYear', 'subjects', 'isbns']
    const { token } = await theStaff()
    const book = await ask<Book>('POST', '/v1/books', { token, body: exampleOf('NewBook', fields) })
    expect(book.status, book.text).toBe(201)
    expect(book.body.isbns).toEqual(['9780141439518'])
    const account = exampleOf('NewUser', ['username', 'email', 'password'])
    expect((await ask('POST', '/v1/users', { body: account })).status).toBe(201)
    const session = exampleOf('NewSession', ['username', 'password', 'deviceName'])
    expect((await ask('POST', '/v1/sessions', { body: session })).status).toBe(201)
  })
})

describe('the typed client', () => {
  const client = hc<AppType>(ORIGIN, {
    fetch: async (input: RequestInfo | URL, init?: RequestInit) =>
      app.fetch(new Request(input, init), { ...env }, createExecutionContext()),
  })

  test('lists books, and knows what they are', async () => {
    const { id } = await aBook()
    const response = await client.v1.books.$get({ query: { limit: '100', sort: 'newest' } })
    expectTypeOf(response.status).toEqualTypeOf<200>()
    const page = await response.json()
    expectTypeOf(page.items).toEqualTypeOf<Book[]>()
    expectTypeOf(page.next).toEqualTypeOf<string | null>()
    expect(response.status).toBe(200)
    expect(page.items.map((book) => book.id)).toContain(id)
  })

  test('reads one book', async () => {
    const book = await aBook()
    const response = await client.v1.books[':id'].$get({ param: { id: book.id } })
    expect(response.status).toBe(200)
    if (response.status !== 200) return
    const body = await response.json()
    expectTypeOf(body).toEqualTypeOf<Book>()
    expect(body.title).toBe(book.title)
  })

  test('logs in, and uses the token', async () => {
    const { username, id } = await aPatron()
    const response = await client.v1.sessions.$post({ json: { username, password: PASSWORD } })
    expectTypeOf(response.status).toEqualTypeOf<201>()
    const tokens = await response.json()
    expectTypeOf(tokens).toEqualTypeOf<Tokens>()
    const headers = { authorization: `Bearer ${tokens.accessToken}` }
    const me = await client.v1.users.me.$get({}, { headers })
    const account = await me.json()
    expectTypeOf(account.role).toEqualTypeOf<'staff' | 'patron'>()
    expect([response.status, account.id]).toEqual([201, id])
  })

  test('does not compile with a field that is not known, or without one that is needed', () => {
    type Login = Parameters<typeof client.v1.sessions.$post>[0]['json']
    expectTypeOf<{ username: string }>().not.toExtend<Login>()
    expectTypeOf<{ username: string; password: string }>().toExtend<Login>()
    expectTypeOf<{ bookId: number }>().not.toExtend<Parameters<typeof client.v1.loans.$post>[0]['json']>()
    expectTypeOf(client.v1).not.toHaveProperty('nothing')
    expect(client.v1.sessions.$url().pathname).toBe('/v1/sessions')
  })
})

describe('the page that shows the document', () => {
  const served = async (path: string) => {
    const { status, headers, text } = await ask('GET', path)
    return {
      status,
      type: headers.get('content-type')?.split(';')[0],
      policy: headers.get('content-security-policy') ?? '',
      cache: headers.get('cache-control'),
      text,
    }
  }

  test('is HTML without a line of script or style of its own', async () => {
    const page = await served('/docs')
    expect([page.status, page.type]).toEqual([200, 'text/html'])
    expect(page.policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/)
    expect(page.policy).not.toContain('unsafe')
    expect(page.text).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\son[a-z]+=|\sstyle=|https?:\/\//i)
  })

  test('finds everything that it names', async () => {
    const { text } = await served('/docs')
    const parts = [...text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path ?? '')
    expect(parts).toHaveLength(3)
    const answers = await Promise.all(parts.map(served))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    const script = await served('/docs/start.js')
    expect(script.text).toContain("url: '/openapi.json'")
    const id = /dom_id: '#([a-z]+)'/.exec(script.text)?.[1]
    expect(text).toContain(`id="${id}"`)
  })

  test.each([
    ['/docs/start.js', 'text/javascript', 'SwaggerUIBundle'],
    ['/docs/swagger-ui-bundle.js', 'text/javascript', 'SwaggerUIBundle'],
    ['/docs/swagger-ui.css', 'text/css', '.swagger-ui'],
  ])('%s is %s, is kept for a day, and may itself load nothing', async (path, type, content) => {
    const part = await served(path)
    expect([part.status, part.type, part.cache]).toEqual([200, type, 'public, max-age=86400'])
    expect(part.policy).toMatch(/^default-src 'none'/)
    expect(part.policy).not.toContain('unsafe')
    expect(part.text).toContain(content)
  })

  test.each([
    'package.json',
    'index.html',
    'swagger-ui.js',
    'swagger-initializer.js',
    '..%2fpackage.json',
    'start.js%00',
  ])('nothing else of that directory is served: %s', async (file) => {
    expect((await served(`/docs/${file}`)).status).toBe(404)
    expect((await served(`/${file}`)).status).toBe(404)
  })
})
