import { z } from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiResponseObject } from 'zod-openapi'
import packageJson from '../package.json' with { type: 'json' }
import { Problem, type ProblemName, problems, problemType } from './problem.ts'
import type { Route } from './route-facts.ts'

type Responses = Record<`${number}`, ZodOpenApiResponseObject>

/** The OpenAPI 3.1 document, from the schemas that the routes themselves use. */
export function describeApi(routes: Route[]) {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const route of routes) {
    const path = route.path.replace(/:([a-zA-Z]+)/g, '{$1}').replace(/(.)\/$/, '$1')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Lectern',
      version: packageJson.version,
      description:
        'A digital library: search, borrow, renew, return. Errors are problems (RFC 9457); `type` says which, and can be read.',
      license: { name: 'Proprietary', identifier: 'LicenseRef-Proprietary' },
    },
    servers: [{ url: '/' }],
    security: [],
    tags: [
      'Books',
      'Editing',
      'Copies',
      'Imports',
      'Loans',
      'Holds',
      'Desk',
      'Fees',
      'Blocks',
      'Policies',
      'Library',
      'Events',
      'Figures',
      'Users',
      'Sessions',
      'Security',
      'Keys',
      'Service',
    ].map((name) => ({ name })),
    components: {
      securitySchemes: {
        accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'From POST /v1/sessions' },
        apiKey: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'lak_...',
          description:
            'From POST /v1/users/me/keys, with the scope that the operation names; for staff who use it at the desk, `desk`. Apps that speak only Basic send it as the password, with any username.',
        },
      },
    },
    paths,
  })
}

/** What the middleware `tagged` does for every read. */
const KnownTags = z.object({
  'if-none-match': z
    .string()
    .optional()
    .meta({ description: 'The ETag of what was read before', example: '"aOfoM5UnYhmLeYf1xRbGAg"' }),
})
const UNCHANGED: Responses = { 304: { description: 'It is as it was: If-None-Match named its ETag' } }

function operationOf({ method, path, facts }: Route): ZodOpenApiOperationObject {
  const { description, roles, scope, inputs } = facts
  const ofTarget = (target: string) => inputs.filter((input) => input.target === target).map(({ schema }) => schema)
  const body = inputs.find((input) => input.target === 'json')
  const parameters = {
    path: objectOf(ofTarget('param')),
    query: objectOf(ofTarget('query')),
    header: objectOf([...ofTarget('header'), ...(method === 'GET' ? [KnownTags] : [])]),
  }
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[:/.-]+([a-zA-Z]?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: description.summary,
    ...(description.description !== undefined && { description: description.description }),
    tags: [description.tag],
    ...(!roles.includes('anyone') && {
      security: [{ accessToken: [] }, ...(scope === null ? [] : [{ apiKey: [scope] }])],
      'x-roles': [...roles],
    }),
    requestParams: Object.fromEntries(Object.entries(parameters).filter(([, schema]) => schema !== undefined)),
    ...(body && {
      requestBody: { required: body.optional !== true, content: { 'application/json': { schema: body.schema } } },
    }),
    responses: { ...successesOf(facts), ...(method === 'GET' && UNCHANGED), ...refusalsOf(facts) },
  }
}

/** One object of all the parameters of a kind. */
function objectOf(schemas: z.ZodType[]) {
  const shapes = schemas.map((schema) => (schema instanceof z.ZodObject ? schema.shape : {}))
  return shapes.length === 0 ? undefined : z.object(Object.assign({}, ...shapes))
}

function successesOf({ description }: Route['facts']): Responses {
  const responses: Responses = {}
  for (const [status, answer] of Object.entries(description.responses)) {
    const { description: text, schema, mediaType = 'application/json', or = {}, headers } = answer
    responses[`${Number(status)}`] = {
      description: text,
      ...(headers && {
        headers: Object.fromEntries(
          Object.entries(headers).map(([name, meaning]) => [
            name,
            { description: meaning, schema: { type: 'string' } },
          ]),
        ),
      }),
      ...(schema && {
        content: Object.fromEntries(
          Object.entries({ [mediaType]: schema, ...or }).map(([type, of]) => [type, { schema: of }]),
        ),
      }),
    }
  }
  return responses
}

/** What any route can answer, whatever it does. */
const EVERYWHERE: ProblemName[] = [
  'https-required',
  'body-too-large',
  'uri-too-long',
  'internal-error',
  'misconfigured',
]

/** What a route can refuse: what it names, and what its middleware can. */
function problemNamesOf({ description, roles, inputs, problems: named }: Route['facts']): ProblemName[] {
  const targets = new Set(inputs.map(({ target }) => target))
  return [
    ...new Set<ProblemName>([
      ...(description.problems ?? []),
      ...named,
      ...(targets.has('json') ? (['malformed-json', 'unsupported-media-type', 'invalid-input'] as const) : []),
      ...(targets.has('query') ? (['invalid-input'] as const) : []),
      ...(targets.has('param') ? (['not-found'] as const) : []),
      ...(roles.includes('anyone') && description.tag === 'Service' ? [] : (['database-unavailable'] as const)),
      ...EVERYWHERE,
    ]),
  ]
}

function refusalsOf(facts: Route['facts']): Responses {
  const byStatus = new Map<number, ProblemName[]>()
  for (const name of problemNamesOf(facts)) {
    const [status] = problems[name]
    byStatus.set(status, [...(byStatus.get(status) ?? []), name])
  }
  const responses: Responses = {}
  for (const [status, names] of byStatus) {
    responses[`${status}`] = {
      description: names.map((name) => problems[name][1]).join('; '),
      content: {
        'application/problem+json': {
          schema: Problem,
          examples: Object.fromEntries(names.map((name) => [name, { value: exampleOf(name) }])),
        },
      },
    }
  }
  return responses
}

function exampleOf(name: ProblemName): Problem {
  const [status, title, detail] = problems[name]
  return {
    type: problemType(name),
    title,
    status,
    detail,
    instance: '5f2b8a34-9d0e-4c67-8f1a-2b3c4d5e6f70',
    ...(name === 'invalid-input' && {
      errors: [{ in: 'body', pointer: '/title', detail: 'Invalid input: expected string, received undefined' }],
    }),
  }
}
