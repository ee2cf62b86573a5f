/** The log is an allow list. A field that is not named here cannot be written, and each has a form that no password,
 *  token, address or database parameter fits: what does not match is replaced by '?'. */
const fields = {
  event: /^[a-z_.]{1,64}$/,
  requestId: /^[0-9a-f-]{36}$/,
  method: /^[A-Z]{1,10}$/,
  route: /^[a-z0-9/:{}*._-]{1,128}$/i,
  status: /^[1-5][0-9]{2}$/,
  problem: /^[a-z0-9-]{1,64}$/,
  durationMs: /^[0-9]{1,9}$/,
  roundTrips: /^[0-9]{1,4}$/,
  actorId: /^[0-9a-f-]{36}$/,
  error: /^[A-Za-z]{1,64}$/,
  sqlstate: /^[0-9A-Z]{5}$/,
  constraint: /^[a-z0-9_]{1,63}$/,
  faults: /^([A-Z_]{1,64} [A-Za-z0-9 ,.:/()+-]{1,200}(; |$)){1,32}$/,
  count: /^[0-9]{1,12}$/,
} satisfies Record<string, RegExp>

type Field = keyof typeof fields

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- safe because the keys of `fields` are the type Field
const fieldNames = Object.keys(fields) as Field[]

/** One line of JSON a record, whatever the values hold. */
export function log(record: { event: string } & Partial<Record<Field, string | number | null | undefined>>) {
  const line: Record<string, string | number> = { time: new Date().toISOString() }
  for (const field of fieldNames) {
    const value = record[field]
    if (value === null || value === undefined) continue
    line[field] = fields[field].test(String(value)) ? value : '?'
  }
  console.log(JSON.stringify(line))
}

/** A fault of ours: what kind and where, never the message, which may quote what was sent. */
export function logFault(requestId: string, error: unknown) {
  const { name, message, stack = '' } = error instanceof Error ? error : new Error('not an Error')
  // The stack begins with the message, which may look like frames. Without knowing where it ends, nothing is logged.
  const [, ...frames] = stack.split(message)
  const at = frames
    .join('')
    .split('\n')
    .map((line) => /^ +at (.{1,200})$/.exec(line)?.[1])
    .filter((frame) => frame !== undefined)
    .slice(0, 8)
  const detail = error instanceof Error && 'sqlstate' in error ? error : {}
  log({ event: 'fault', requestId, error: name, ...pick(detail) })
  console.log(JSON.stringify({ event: 'fault.stack', requestId, at }))
}

const pick = (detail: { sqlstate?: unknown; constraint?: unknown }) => ({
  sqlstate: typeof detail.sqlstate === 'string' ? detail.sqlstate : null,
  constraint: typeof detail.constraint === 'string' ? detail.constraint : null,
})
