/** The model speaks of loan-3 where the library has a UUID. A name is given when the two are first seen in the same place. */
export class Names {
  readonly #ids: Map<string, string>
  readonly #names: Map<string, string>

  constructor(ids: Map<string, string>) {
    this.#ids = ids
    this.#names = new Map([...ids].map(([name, id]) => [id, name]))
  }

  isKnown(name: string) {
    return this.#ids.has(name)
  }

  /** A request in names, in ids. */
  toIds(text: string): string
  toIds(value: unknown): unknown
  toIds(value: unknown): unknown {
    if (typeof value === 'string') return value.replaceAll(/[\w-]+/g, (word) => this.#ids.get(word) ?? word)
    if (Array.isArray(value)) return value.map((item) => this.toIds(item as unknown))
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.toIds(item as unknown)]))
  }

  isOf(name: string, id: string) {
    if (isNew.test(name) && !this.#ids.has(name) && isId.test(id) && !this.#names.has(id)) {
      this.#ids.set(name, id)
      this.#names.set(id, name)
    }
    return this.#ids.get(name) === id
  }

  /** For people: what it is called here. */
  nameOf(id: unknown) {
    return typeof id === 'string' ? (this.#names.get(id) ?? id) : id
  }
}

const isNew = /^(loan|hold|copy|fee|block)-[0-9]+$/
const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const isMoment = /^[0-9-]{10}T[0-9:.]+Z$/

/** The first place where the answer is not as expected; null: there is none. `isWhole`: there may be nothing more in it. */
export function difference(
  names: Names,
  expected: unknown,
  actual: unknown,
  { isWhole, at = '' }: { isWhole: boolean; at?: string },
): string | null {
  const says = `${at || 'the answer'} is ${JSON.stringify(names.nameOf(actual))}, not ${JSON.stringify(expected)}`
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual)) return says
    for (const [index, item] of expected.entries()) {
      const found = difference(names, item, actual[index], { isWhole, at: `${at}/${index}` })
      if (found !== null) return found
    }
    return actual.length > expected.length
      ? `${at}/${expected.length} is ${JSON.stringify(actual[expected.length])}, and should not be there`
      : null
  }
  if (expected !== null && typeof expected === 'object') {
    if (actual === null || typeof actual !== 'object') return says
    const fields = new Map(Object.entries(actual))
    for (const [key, item] of Object.entries(expected)) {
      const found = difference(names, item, fields.get(key), { isWhole, at: `${at}/${key}` })
      if (found !== null) return found
      fields.delete(key)
    }
    const [more] = fields.keys()
    return isWhole && more !== undefined ? `${at}/${more} should not be there` : null
  }
  return isSame(names, expected, actual) ? null : says
}

function isSame(names: Names, expected: unknown, actual: unknown) {
  if (expected === actual) return true
  if (typeof expected !== 'string' || typeof actual !== 'string') return false
  return isMoment.test(expected) ? Date.parse(expected) === Date.parse(actual) : names.isOf(expected, actual)
}
