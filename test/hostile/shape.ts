import fc from 'fast-check'
import { z } from 'zod'

/** What a route takes, as its schemas say it. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export type Schema = {
  $ref?: string
  $defs?: Record<string, Schema>
  type?: string
  format?: string
  pattern?: string
  enum?: Json[]
  const?: Json
  example?: Json
  anyOf?: Schema[]
  oneOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
}

/** Values that a schema cannot know of, by the name of their field: ids of things that are there, names not yet taken. */
export type Known = Record<string, () => Json>

/** One place in a body or a query. */
export type Field = { pointer: string; path: string[]; max: number; isText: boolean }

const DAY_MS = 86_400_000
const soon = () => new Date(Date.now() + 30 * DAY_MS).toISOString()

export function schemaOf(type: z.ZodType): Schema {
  const whole = z.toJSONSchema(type, { io: 'input', unrepresentable: 'any' }) as Schema
  const inline = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(inline)
    if (typeof node !== 'object' || node === null) return node
    const { $ref, $defs: _, ...rest } = node as Schema
    const target = $ref === undefined ? {} : (inline(whole.$defs?.[$ref.replace('#/$defs/', '')] ?? {}) as Schema)
    return { ...target, ...Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, inline(value)])) }
  }
  return inline(whole) as Schema
}

/** The schemas of which a value has one, but for null. */
const optionsOf = (schema: Schema): Schema[] =>
  (schema.anyOf ?? schema.oneOf ?? [schema]).filter(({ type }) => type !== 'null')

/** Values that a route takes, one for each form that it has. All fields are there. */
export function samplesOf(schema: Schema, known: Known, name = ''): Json[] {
  const value = known[name]
  if (value !== undefined) return [value()]
  const { example } = schema
  if (example !== undefined) return [example]
  return optionsOf(schema).map((option) => sampleOf(option, known))
}

function sampleOf(schema: Schema, known: Known): Json {
  const { type, format, minItems = 1, minimum } = schema
  const [first] = schema.enum ?? []
  const given = schema.const ?? schema.example ?? first
  if (given !== undefined) return given
  if (type === 'object') {
    const entries = Object.entries(schema.properties ?? {})
    return Object.fromEntries(entries.map(([key, property]) => [key, samplesOf(property, known, key)[0] ?? null]))
  }
  if (type === 'array') return Array.from({ length: minItems }, () => samplesOf(schema.items ?? {}, known)[0] ?? null)
  if (type === 'integer' || type === 'number') return minimum ?? 1
  if (type === 'boolean') return true
  if (format === 'date') return soon().slice(0, 10)
  if (format === 'date-time') return soon()
  if (format === 'uuid') return crypto.randomUUID()
  return 'plain words'
}

const escaped = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1')

const fieldAt = (path: string[], schema: Schema | undefined): Field => {
  const { type, pattern, format, maxLength = 60 } = schema ?? {}
  const isText = type === 'string' && pattern === undefined && format === undefined && schema?.enum === undefined
  return {
    path,
    pointer: path.map((key) => `/${escaped(key)}`).join(''),
    max: maxLength,
    isText: isText && schema?.const === undefined,
  }
}

/** Every place of a sample that holds no others. */
export function leavesOf(sample: Json, schema: Schema | undefined, path: string[] = []): Field[] {
  const options = schema === undefined ? [] : optionsOf(schema)
  if (typeof sample !== 'object' || sample === null) return [fieldAt(path, options[0])]
  const under = (key: string) => options.flatMap(({ properties, items }) => properties?.[key] ?? items ?? [])[0]
  return Object.entries(sample).flatMap(([key, value]) => leavesOf(value, under(key), [...path, key]))
}

/** The places at the top, each with all that is in it. */
export const topsOf = (sample: Json): Field[] => Object.keys(sample ?? {}).map((key) => fieldAt([key], undefined))

const HOLE = /"hole ([0-9]+)"/g

/** The text of a sample in which each of these places holds another value. */
export function textWith(sample: Json, places: { field: Field; json: string }[]): string {
  const copy = structuredClone(sample)
  places.forEach(({ field }, place) => {
    const last = field.path.at(-1) ?? ''
    const parent = field.path
      .slice(0, -1)
      .reduce<Json>((node, key) => (node as Record<string, Json>)[key] ?? null, copy)
    ;(parent as Record<string, Json>)[last] = `hole ${place}`
  })
  return JSON.stringify(copy).replace(HOLE, (_, place: string) => places[Number(place)]?.json ?? 'null')
}

export const valueAt = (value: unknown, path: string[]): unknown =>
  path.reduce<unknown>(
    (node, key) => (typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[key] : undefined),
    value,
  )

export const textsIn = (value: unknown): string[] => {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}

/** Any value that the schema allows. */
export function anyOf(schema: Schema, known: Known, name = ''): fc.Arbitrary<Json> {
  const value = known[name]
  if (value !== undefined) return fc.constant(null).map(() => value())
  const { type, format, minimum = -1_000_000, maximum = 1_000_000 } = schema
  const union = schema.anyOf ?? schema.oneOf
  if (union !== undefined) return fc.oneof(...union.map((option) => anyOf(option, known)))
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  if (type === 'null') return fc.constant(null)
  if (type === 'boolean') return fc.boolean()
  if (type === 'integer' || type === 'number') return fc.integer({ min: minimum, max: maximum })
  if (type === 'array') {
    const { items = {}, minItems: minLength = 0, maxItems = 4, uniqueItems } = schema
    const size = { minLength, maxLength: Math.max(minLength, Math.min(maxItems, 4)) }
    return uniqueItems === true ? fc.uniqueArray(anyOf(items, known), size) : fc.array(anyOf(items, known), size)
  }
  if (type === 'object') {
    const fields = Object.entries(schema.properties ?? {}).map(([key, property]) => [key, anyOf(property, known, key)])
    return fc.record(Object.fromEntries(fields) as Record<string, fc.Arbitrary<Json>>, {
      requiredKeys: schema.required ?? [],
    })
  }
  const moments = fc.date({
    min: new Date(Date.UTC(1900, 0)),
    max: new Date(Date.UTC(9999, 11, 31)),
    noInvalidDate: true,
  })
  if (format === 'date') return moments.map((moment) => moment.toISOString().slice(0, 10))
  if (format === 'date-time') return moments.map((moment) => moment.toISOString())
  if (format === 'uuid') return fc.uuid()
  return anyText(schema)
}

function anyText({ pattern, example, minLength = 0, maxLength = 60 }: Schema): fc.Arbitrary<Json> {
  if (pattern === undefined) {
    const size = { minLength, maxLength: Math.min(maxLength, 60) }
    const texts = (['grapheme', 'binary', 'grapheme-ascii'] as const).map((unit) => fc.string({ unit, ...size }))
    return fc.oneof(...texts, fc.constant('m'.repeat(maxLength)), fc.constantFrom('true', 'false', '9780141439518'))
  }
  // fast-check reads no lookahead.
  if (pattern.includes('(?=')) return fc.constant(example ?? 'plain')
  return fc.stringMatching(new RegExp(pattern)).filter((text) => text.length <= maxLength)
}

/** Whether the schema of a route takes a value at each of these places, with all else sound. */
export function verdictsOf(
  type: z.ZodType,
  fields: Field[],
  parsedWith: (places: { field: Field; json: string }[]) => unknown,
  json: (max: number) => string,
) {
  let taken = fields
  const refused: Field[] = []
  while (taken.length > 0) {
    const { error } = type.safeParse(parsedWith(taken.map((field) => ({ field, json: json(field.max) }))))
    if (error === undefined) break
    const bad = taken.filter(({ path }) =>
      error.issues.some((issue) => {
        const at = issue.path.map(String)
        return at.length > 0 && at.every((key, i) => i >= path.length || key === path[i])
      }),
    )
    // A fault of the whole: each is looked at by itself.
    if (bad.length === 0) return { taken: [], refused: [] }
    refused.push(...bad)
    taken = taken.filter((field) => !bad.includes(field))
  }
  return { taken, refused }
}
