import { type Library, refuse } from './library.ts'

export type Met = { status: number; body: { id?: string } | null }

/** What was asked for with an Idempotency-Key is done once. Whoever repeats it gets the first answer, as long as that is
 *  kept. */
export function once(library: Library, { key, request }: { key: string; request: string }, meet: () => Met): Met {
  const known = library.keys.get(key)
  if (known === undefined) {
    const met = meet()
    library.keys.set(key, { request, subject: met.body?.id ?? null, answer: met })
    return met
  }
  if (known.answer === null) refuse('idempotency-key-spent')
  if (known.request !== request) refuse('idempotency-key-reused')
  return known.answer
}
