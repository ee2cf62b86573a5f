import { dereference, type Schema, validate } from '@cfworker/json-schema'
import { routes } from '../../src/app.ts'
import { describeApi } from '../../src/openapi.ts'

type Declared = { content?: Record<string, { schema: Schema; examples?: Record<string, unknown> }> }
type Operation = { responses: Record<string, Declared> }

const document = JSON.parse(JSON.stringify(describeApi(routes))) as {
  paths: Record<string, Record<string, Operation>>
  components: Schema
}

const patterns = Object.entries(document.paths)
  .map(([path, operations]) => ({
    form: new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}$`),
    isFixed: !path.includes('{'),
    path,
    operations,
  }))
  .toSorted((a, b) => Number(b.isFixed) - Number(a.isFixed))

/** Every schema by its address. Those that have a name are entered once, which takes a while, the others when they are met. */
const schemas = dereference({ components: document.components })
const entered = new Set<Schema>()

function validateAgainst(schema: Schema, body: unknown) {
  if (!entered.has(schema)) dereference(schema, schemas, undefined, `/answers/${entered.size}`)
  entered.add(schema)
  return validate(body, schema, '2020-12', schemas)
}

/** Throws when an answer has a status or a problem that its route does not declare, or a body that its schema does not allow. */
export function checkAgainstDocument(request: Request, response: Response, body: unknown) {
  const { pathname } = new URL(request.url)
  const method = request.method.toLowerCase()
  const route = patterns.find(({ form, operations }) => form.test(pathname) && operations[method])
  const operation = route?.operations[method]
  if (route === undefined || operation === undefined) return
  const name = `${request.method} ${route.path} ${response.status}`
  const declared = operation.responses[response.status]
  if (declared === undefined) throw new Error(`${name} is not declared: ${JSON.stringify(body)}`)
  const mediaType = (response.headers.get('content-type') ?? '').split(';')[0] ?? ''
  if (declared.content === undefined) {
    if (body !== null) throw new Error(`${name} has a body, but none is declared`)
    return
  }
  const { schema, examples } = declared.content[mediaType] ?? declared.content['*/*'] ?? {}
  if (schema === undefined) throw new Error(`${name} answers ${mediaType}, which is not declared`)
  if (!/[/+]json$/.test(mediaType)) return
  if (mediaType === 'application/problem+json') {
    const problem = (body as { type: string }).type.replace('/problems/', '')
    if (examples?.[problem] === undefined) throw new Error(`${name} does not declare the problem ${problem}`)
  }
  const { valid, errors } = validateAgainst(schema, body)
  if (!valid) throw new Error(`${name} is not as declared: ${JSON.stringify(errors.at(-1))} in ${JSON.stringify(body)}`)
}
