import { randomUUID } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import {
  type Connection,
  DatabaseError,
  type FieldDef,
  Pool,
  type PoolClient,
  type PoolConfig,
  type Submittable,
} from 'pg'
import { z } from 'zod'

export type NeonEndpoint = {
  /** For `neonConfig.fetchEndpoint`. */
  url: string
  /** How many queries and batches have arrived since the start. */
  requests: () => number
  stop: () => Promise<void>
}

/** `closed`: nothing is sent; `reset`: nor is the connection closed in peace; `half`: half of it, then the connection is
 *  closed; `stalled`: half, and then nothing. */
export type Answer = {
  status: number
  headers?: Record<string, string>
  body: string
  sent?: 'closed' | 'reset' | 'half' | 'stalled'
}

/** What a fault has to do with: the query, which it may run, and that its client has gone. `midway` is a last statement
 *  before the commit. */
export type Meeting = {
  run: (how?: { signal?: AbortSignal; midway?: string; timeLimitMs?: number }) => Promise<Answer>
  gone: AbortSignal
}

/** For tests: what goes wrong with a query. Undefined: nothing. */
export type Faults = { meet: (request: IncomingMessage, meeting: Meeting) => Promise<Answer> | undefined }

type Target = { key: string; config: PoolConfig }
type Options = { rawText: boolean; arrayMode: boolean; begin: string; echo: Record<string, string> }
type Statement = { query: string; params: (string | null)[]; arrayMode: boolean }
type Payload = { batch: boolean; statements: Statement[] }
type Row = (string | null)[]
type Result = { tag: string; fields: FieldDef[]; rows: Row[] }

/** The end of a request that gets no result: `answer` is what the client sees. */
class Refused extends Error {
  readonly answer: Answer

  constructor(answer: Answer) {
    super(answer.body)
    this.answer = answer
  }
}

// Neon's documentation says 64 MB for both. Its proxy, unless told otherwise, takes requests of 10 MiB, and so
// does this: what passes here passes there.
const requestLimitBytes = 10 * 1024 * 1024
const responseLimitBytes = 64 * 1024 * 1024
const paramLimit = 65_535
/** Over all pools. The PostgreSQL of postgres.ts has room for 300. */
const connectionLimit = 240
const connectLimitMs = 10_000
const cancelGraceMs = 1_000
/** As in Neon's proxy: a connection that stays open keeps the plans of its functions. */
const idleConnectionMs = 300_000

/**
 * Neon's SQL over HTTP in front of a PostgreSQL on this machine, as `@neondatabase/serverless` 1.2 speaks
 * it. Where the driver leaves something open this does what Neon's own proxy does, as far as its source
 * shows (neondatabase/neon, proxy/src/serverless). Two things are stricter: it connects to this machine
 * only, so that a stray production URL reaches nothing, and web pages may not call it.
 */
export async function startNeonEndpoint({
  port,
  maxConnections = 20,
  timeLimitMs = 60_000,
  faults,
}: {
  port: number
  maxConnections?: number
  timeLimitMs?: number
  faults?: Faults
}): Promise<NeonEndpoint> {
  const pools = connectionPools(maxConnections)
  let requests = 0
  const server = createServer({ requestTimeout: 60_000 }, (request, response) => {
    if (isQuery(request)) requests += 1
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const body = readBody(request)
    // Whoever does not wait for the body does not want to hear that it broke off.
    body.catch(() => {})
    const run: Meeting['run'] = (how) => answer({ request, body, pools, timeLimitMs, signal: gone.signal, ...how })
    void (faults?.meet(request, { run, gone: gone.signal }) ?? run()).then((answered) => send(response, answered))
  })
  server.maxConnections = 1_000
  // Clients keep connections for later. The one who closes first must be the client: workerd reports a
  // query sent into a closing connection as a lost one.
  server.keepAliveTimeout = 600_000

  const actualPort = await new Promise<number>((listening, failed) => {
    server.once('error', failed)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') return failed(new Error('No port was bound.'))
      listening(address.port)
    })
  })
  return {
    url: `http://127.0.0.1:${actualPort}/sql`,
    requests: () => requests,
    stop: async () => {
      const closed = new Promise((done) => server.close(done))
      server.closeAllConnections()
      await closed
      await pools.end()
    },
  }
}

function send(response: ServerResponse, { status, headers, body, sent }: Answer): void {
  if (sent === 'closed') return void response.destroy()
  if (sent === 'reset') return void response.socket?.resetAndDestroy()
  const bytes = Buffer.from(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes.length,
    'neon-request-id': randomUUID(),
    ...headers,
  })
  if (sent === undefined) return void response.end(bytes)
  response.write(bytes.subarray(0, bytes.length / 2), () => {
    if (sent === 'half') response.destroy()
  })
}

function isQuery(request: IncomingMessage): boolean {
  return request.method === 'POST' && request.url?.split('?', 1)[0] === '/sql'
}

async function answer({
  request,
  body,
  ...rest
}: {
  request: IncomingMessage
  body: Promise<Buffer>
  pools: Pools
  timeLimitMs: number
  signal: AbortSignal
  midway?: string
}): Promise<Answer> {
  try {
    if (!isQuery(request)) throw new Refused({ status: 400, body: '"query is not supported"' })
    const target = targetOf(request.headers)
    const options = optionsOf(request.headers)
    const payload = payloadOf(await body, options)
    const results = await execute({ target, options, payload, ...rest })
    return { status: 200, headers: payload.batch ? options.echo : {}, body: bodyOf(results, payload, options) }
  } catch (error) {
    if (error instanceof Refused) return error.answer
    return refusal(500, error instanceof Error ? error.message : 'internal error').answer
  }
}

function targetOf(headers: IncomingHttpHeaders): Target {
  const key = headers['neon-connection-string']
  if (typeof key !== 'string') throw refusal(400, 'invalid header: neon-connection-string')
  if (!URL.canParse(key)) throw refusal(400, 'invalid connection string: relative URL without a base')
  const url = new URL(key)
  if (!['postgres:', 'postgresql:'].includes(url.protocol)) throw refusal(400, 'incorrect scheme')
  const [database, user, password] = [url.pathname.slice(1), url.username, url.password].map(decoded)
  if (!database) throw refusal(400, 'missing database name')
  if (!user) throw refusal(400, 'missing username')
  if (!password || headers.authorization !== undefined)
    throw refusal(400, 'missing authentication credentials: required password')
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (!['127.0.0.1', 'localhost', '::1'].includes(host))
    throw refusal(400, 'invalid hostname: this endpoint connects to 127.0.0.1 only')
  const port = url.port === '' ? 5432 : Number(url.port)
  const application = url.searchParams.get('application_name') ?? 'neon-endpoint'
  return { key, config: { host, port, user, password, database, application_name: application } }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw refusal(400, 'invalid connection string: not UTF-8')
  }
}

const isolationLevels: Record<string, string> = {
  ReadUncommitted: 'read uncommitted',
  ReadCommitted: 'read committed',
  RepeatableRead: 'repeatable read',
  Serializable: 'serializable',
}

/** As in Neon's proxy a flag is set by exactly 'true', and anything else is false. */
function optionsOf(headers: IncomingHttpHeaders): Options {
  const level = headers['neon-batch-isolation-level']
  const isolation = level === undefined ? undefined : isolationLevels[String(level)]
  if (level !== undefined && isolation === undefined) throw refusal(400, 'invalid isolation level')
  const readOnly = headers['neon-batch-read-only'] === 'true'
  const deferrable = headers['neon-batch-deferrable'] === 'true'
  return {
    rawText: headers['neon-raw-text-output'] === 'true',
    arrayMode: headers['neon-array-mode'] === 'true',
    begin: [
      'begin',
      ...(isolation === undefined ? [] : [`isolation level ${isolation}`]),
      ...(readOnly ? ['read only'] : []),
      ...(deferrable ? ['deferrable'] : []),
    ].join(' '),
    echo: {
      ...(readOnly ? { 'neon-batch-read-only': 'true' } : {}),
      ...(deferrable ? { 'neon-batch-deferrable': 'true' } : {}),
      ...(level === undefined ? {} : { 'neon-batch-isolation-level': String(level) }),
    },
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) throw new Error('The body of a request is bytes.')
    size += chunk.length
    // Read on: a client that is still sending would not see the answer.
    if (size <= requestLimitBytes) chunks.push(chunk)
    if (size > 10 * requestLimitBytes) request.destroy()
  }
  if (size > requestLimitBytes) throw refusal(413, `request is too large (max is ${requestLimitBytes} bytes)`)
  return Buffer.concat(chunks)
}

const statement = z.object({
  query: z.string(),
  params: z.array(z.unknown()).default([]),
  arrayMode: z.boolean().nullish(),
})
const payload = z.union([statement, z.object({ queries: z.array(statement) })])
const utf8 = new TextDecoder('utf-8', { fatal: true })

function payloadOf(body: Buffer, options: Options): Payload {
  const parsed = payload.safeParse(jsonOf(body))
  if (!parsed.success) throw unparsable('data did not match any variant of untagged enum Payload')
  const batch = 'queries' in parsed.data
  const queries = 'queries' in parsed.data ? parsed.data.queries : [parsed.data]
  const statements = queries.map(({ query, params, arrayMode }) => {
    // A zero byte would end the text early, and a count above 16 bits would wrap around on the wire.
    if (query.includes('\0') || params.length > paramLimit) throw refusal(400, 'error encoding message to server')
    return {
      query: wellFormed(query),
      params: params.map(paramText),
      arrayMode: arrayMode ?? options.arrayMode,
    }
  })
  return { batch, statements }
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(body))
  } catch (error) {
    throw unparsable(error instanceof Error ? error.message : 'not JSON')
  }
}

/** A parameter as the text that PostgreSQL reads for the type it infers. */
function paramText(value: unknown): string | null {
  if (value === null) return null
  if (typeof value === 'string') return wellFormed(value)
  return wellFormed(Array.isArray(value) ? arrayText(value) : JSON.stringify(value))
}

function arrayText(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(arrayText).join(',')}}`
  if (value === null) return 'NULL'
  return typeof value === 'object' ? JSON.stringify(JSON.stringify(value)) : JSON.stringify(value)
}

/** Half of a surrogate pair has no UTF-8: sent on, it would arrive as some other text. */
function wellFormed(text: string): string {
  if (!text.isWellFormed()) throw unparsable('lone surrogate in hex escape')
  return text
}

async function execute({
  target,
  options,
  payload: { batch, statements },
  pools,
  timeLimitMs,
  signal,
  midway,
}: {
  target: Target
  options: Options
  payload: Payload
  pools: Pools
  timeLimitMs: number
  signal: AbortSignal
  midway?: string
}): Promise<Result[]> {
  const client = await connected(pools, target)
  const last = midway === undefined ? [] : [command(midway)]
  const isTransaction = batch || midway !== undefined
  const begun = isTransaction ? [command(options.begin), ...statements, ...last, command('commit')] : statements
  const { outcome, interrupted } = await interruptible({ client, statements: begun, timeLimitMs, signal })
  if (outcome.status === 'fulfilled') {
    giveBack(client, { usable: !interrupted, clean: !leavesTraces(begun, outcome.value) })
    return isTransaction ? outcome.value.slice(1, statements.length + 1) : outcome.value
  }
  const error: unknown = outcome.reason
  const said = error instanceof DatabaseError ? error : undefined
  // The locks of a failed batch are gone when its client hears of the failure.
  if (isTransaction && said !== undefined) await client.query('rollback').catch(() => {})
  giveBack(client, { usable: !interrupted && said !== undefined, clean: false })
  if (said !== undefined) throw databaseRefusal(400, said)
  throw error instanceof Refused ? error : refusal(400, 'connection closed')
}

function command(query: string): Statement {
  return { query, params: [], arrayMode: true }
}

/**
 * All statements in one go, without waiting for the answers in between. PostgreSQL works through them in
 * order and after an error skips the rest, the `commit` with it.
 */
class Exchange implements Submittable {
  readonly #statements: Statement[]
  readonly #resolve: (results: Result[]) => void
  readonly #reject: (error: Error) => void
  readonly #results: Result[] = []
  #fields: FieldDef[] = []
  #rows: Row[] = []
  #size = 0

  constructor(statements: Statement[], resolve: (results: Result[]) => void, reject: (error: Error) => void) {
    this.#statements = statements
    this.#resolve = resolve
    this.#reject = reject
  }

  submit(connection: Connection): void {
    connection.stream.cork()
    for (const { query, params } of this.#statements) {
      connection.parse({ name: '', text: query, types: [] }, true)
      connection.bind({ values: params }, true)
      connection.describe({ type: 'P', name: '' }, true)
      connection.execute({}, true)
    }
    connection.sync()
    connection.stream.uncork()
  }

  handleRowDescription({ fields }: { fields: FieldDef[] }): void {
    this.#fields = fields
  }

  handleDataRow({ fields, length }: { fields: Row; length: number }): void {
    this.#size += length
    if (this.#size <= responseLimitBytes) this.#rows.push(fields)
    else this.#reject(refusal(507, `response is too large (max is ${responseLimitBytes} bytes)`))
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#results.push({ tag: text, fields: this.#fields, rows: this.#rows })
    this.#fields = []
    this.#rows = []
  }

  handleEmptyQuery(): void {
    this.handleCommandComplete({ text: '' })
  }

  /** `copy ... from stdin` has nothing to read here, and has swallowed the sync that ends the exchange. */
  handleCopyInResponse(): void {
    this.#reject(refusal(400, 'unexpected message from server'))
  }

  handleCopyData(): void {}

  /** PostgreSQL says what went wrong first, and that it is ready for more when it has skipped the rest. */
  handleError(error: Error, connection: Connection): void {
    if (!(error instanceof DatabaseError)) return this.#reject(error)
    const settle = () => {
      connection.off('readyForQuery', settle)
      connection.off('end', settle)
      this.#reject(error)
    }
    connection.on('readyForQuery', settle)
    connection.on('end', settle)
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#results)
  }
}

/** Ends the statements when their client has gone or their time is up. After that the connection is not to be
 *  used again: a request to cancel may arrive late, and would end somebody else's query. */
async function interruptible({
  client,
  statements,
  timeLimitMs,
  signal,
}: {
  client: PoolClient
  statements: Statement[]
  timeLimitMs: number
  signal: AbortSignal
}): Promise<{ outcome: PromiseSettledResult<Result[]>; interrupted: boolean }> {
  // Its client left while it waited for a connection, and nobody will read this.
  if (signal.aborted) return { outcome: { status: 'fulfilled', value: [] }, interrupted: false }
  const overdue = Promise.withResolvers<never>()
  let grace: NodeJS.Timeout | undefined
  const interrupt = () => {
    cancel(client)
    grace ??= setTimeout(() => overdue.reject(new Error('The query did not stop.')), cancelGraceMs)
  }
  const limit = setTimeout(interrupt, timeLimitMs)
  signal.addEventListener('abort', interrupt, { once: true })
  const done = new Promise<Result[]>((resolve, reject) => {
    client.query(new Exchange(statements, resolve, reject))
  })
  const [outcome] = await Promise.allSettled([Promise.race([done, overdue.promise])])
  clearTimeout(limit)
  clearTimeout(grace)
  signal.removeEventListener('abort', interrupt)
  return { outcome, interrupted: grace !== undefined }
}

/** node-postgres has these, and its types do not say so. */
const backendKey = z.object({ processID: z.int32(), secretKey: z.int32() })

/** PostgreSQL takes a request to cancel on a connection of its own, and answers by closing it. */
function cancel(client: PoolClient): void {
  const { processID, secretKey } = backendKey.parse(client)
  const message = Buffer.alloc(16)
  message.writeInt32BE(16, 0)
  message.writeInt32BE(80_877_102, 4)
  message.writeInt32BE(processID, 8)
  message.writeInt32BE(secretKey, 12)
  const socket = connect({ host: client.host, port: client.port, timeout: cancelGraceMs })
  socket.once('timeout', () => socket.destroy())
  // Whether it worked shows in the query.
  socket.once('error', () => socket.destroy())
  socket.end(message)
}

type Pools = ReturnType<typeof connectionPools>

function connectionPools(maxConnections: number) {
  const pools = new Map<string, Pool>()
  const poolLimit = Math.max(1, Math.floor(connectionLimit / maxConnections))
  const makeRoom = () => {
    if (pools.size < poolLimit) return
    const unused = [...pools].find(([, pool]) => pool.waitingCount === 0 && pool.idleCount === pool.totalCount)
    if (unused === undefined) throw refusal(500, tooManyConnections)
    pools.delete(unused[0])
    void unused[1].end()
  }
  return {
    of: ({ key, config }: Target): Pool => {
      const known = pools.get(key)
      if (known === undefined) makeRoom()
      const pool = known ?? newPool({ ...config, max: maxConnections })
      // Again at the end: the first in the map is the one that was longest without work.
      pools.delete(key)
      pools.set(key, pool)
      return pool
    },
    end: async () => {
      await Promise.all([...pools.values()].map((pool) => pool.end()))
      pools.clear()
    },
  }
}

/** Neon's words. */
const tooManyConnections =
  'Failed to acquire permit to connect to the database. Too many database connection attempts are currently ongoing.'

function newPool(config: PoolConfig): Pool {
  const pool = new Pool({
    ...config,
    connectionTimeoutMillis: connectLimitMs,
    idleTimeoutMillis: idleConnectionMs,
  })
  // The pool has already let go of an idle connection that broke. One in use reports to its query as
  // well, but an error event that nobody hears ends the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

async function connected(pools: Pools, target: Target): Promise<PoolClient> {
  const pool = pools.of(target)
  return pool.connect().catch((error: unknown) => {
    throw connectRefusal(error, target)
  })
}

/** Commands that leave nothing in their session, unless they call one of the functions below. */
const plainCommands = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'MERGE', 'SHOW', 'EXPLAIN', 'BEGIN', 'COMMIT'])
const sessionWords = /set_config|advisory|setseed|\btemp/i

/**
 * Whether what ran may have left a setting, a lock, a temporary table or the like in its session. To clean
 * each session costs half the throughput. What is overlooked is a function that does such a thing and does
 * not say so in the query; Neon's proxy, as far as its source shows, hands on every session as it is.
 */
function leavesTraces(statements: Statement[], results: Result[]): boolean {
  return (
    statements.some(({ query }) => sessionWords.test(query)) ||
    results.some(({ tag }) => !plainCommands.has(commandOf(tag)))
  )
}

/** All of `discard all`, except that the plans of functions stay. */
const cleanSession = `
  close all;
  set session authorization default;
  reset all;
  deallocate all;
  unlisten *;
  select pg_advisory_unlock_all();
  discard temp;
  discard sequences`

/** A connection with an open transaction, or that does not come clean, is not used again either. */
function giveBack(client: PoolClient, { usable, clean }: { usable: boolean; clean: boolean }): void {
  if (!usable || client.getTransactionStatus() !== 'I') return client.release(true)
  if (clean) return client.release()
  client.query(cleanSession).then(
    () => client.release(),
    () => client.release(true),
  )
}

function bodyOf(results: Result[], { batch, statements }: Payload, { rawText }: Options): string {
  const parts = results.map((result, index) =>
    resultJson(result, { rawText, arrayMode: statements[index]?.arrayMode ?? false }),
  )
  return batch ? `{"results":[${parts.join(',')}]}` : (parts[0] ?? '{}')
}

function resultJson(
  { tag, fields, rows }: Result,
  { rawText, arrayMode }: { rawText: boolean; arrayMode: boolean },
): string {
  // `INSERT 0 2` has the count last as well.
  const count = /\d+$/.exec(tag)?.[0]
  const rest = JSON.stringify({
    command: commandOf(tag),
    rowCount: count === undefined ? null : Number(count),
    rowAsArray: arrayMode,
    fields,
  })
  return `${rest.slice(0, -1)},"rows":${rowsJson({ fields, rows, rawText, arrayMode })}}`
}

function commandOf(tag: string): string {
  return tag.split(' ', 1)[0] ?? ''
}

function rowsJson({
  fields,
  rows,
  rawText,
  arrayMode,
}: {
  fields: FieldDef[]
  rows: Row[]
  rawText: boolean
  arrayMode: boolean
}): string {
  // All that the driver ever asks for.
  if (rawText && arrayMode) return JSON.stringify(rows)
  const keys = fields.map(({ name }) => (arrayMode ? '' : `${JSON.stringify(name)}:`))
  const [open, close] = arrayMode ? '[]' : '{}'
  const items = rows.map((row) => {
    const cells = row.map((value, index) => {
      const type = rawText ? undefined : fields[index]?.dataTypeID
      return `${keys[index]}${value === null ? 'null' : valueJson(value, type)}`
    })
    return `${open}${cells.join(',')}${close}`
  })
  return `[${items.join(',')}]`
}

/** Types with a JSON form of their own at Neon. Every other value is its text. */
const jsonForms = new Map<number, (value: string) => string>([
  [16, (value) => String(value === 't')],
  ...[21, 23].map((oid) => [oid, String] as const),
  ...[700, 701].map(
    (oid) => [oid, (value: string) => JSON.stringify(Number.isFinite(Number(value)) ? Number(value) : value)] as const,
  ),
  ...[114, 3802].map((oid) => [oid, String] as const),
])

/** Array types, and the type of their elements where that has a JSON form of its own. */
const elementTypes = new Map<number, number>([
  [1000, 16],
  [1005, 21],
  [1007, 23],
  [1021, 700],
  [1022, 701],
  [199, 114],
  [3807, 3802],
  // char, bytea, name, text, bpchar, varchar, int8, oid, inet, cidr, dates and times, numeric, uuid
  ...[1002, 1001, 1003, 1009, 1014, 1015, 1016, 1028, 1041, 651, 1182, 1183, 1115, 1185, 1187, 1270, 1231, 2951].map(
    (oid) => [oid, 25] as const,
  ),
])

function valueJson(value: string, type: number | undefined): string {
  if (type === undefined) return JSON.stringify(value)
  const element = elementTypes.get(type)
  if (element !== undefined) return arrayJson(value, element)
  return (jsonForms.get(type) ?? JSON.stringify)(value)
}

/** Braces, separators, quoted items and bare ones: JSON has the same structure in other brackets. */
function arrayJson(value: string, element: number): string {
  const items = value.replace(/^\[[^=]*=/, '')
  return items.replace(/[{},]|"((?:[^"\\]|\\.)*)"|[^{},"]+/gs, (token, quoted?: string) => {
    if (quoted !== undefined) return valueJson(quoted.replace(/\\(.)/gs, '$1'), element)
    if (token === '{') return '['
    if (token === '}') return ']'
    if (token === ',') return ','
    return token === 'NULL' ? 'null' : valueJson(token, element)
  })
}

/** Every field, as Neon writes them: the driver copies what it knows into its `NeonDbError`. */
function refusal(status: number, message: string, error?: DatabaseError): Refused {
  const body = {
    message,
    // Empty, not absent, where PostgreSQL has not said anything.
    code: error?.code ?? '',
    severity: error?.severity ?? '',
    detail: error?.detail ?? null,
    hint: error?.hint ?? null,
    position: error?.position ?? null,
    internalPosition: error?.internalPosition ?? null,
    internalQuery: error?.internalQuery ?? null,
    where: error?.where ?? null,
    table: error?.table ?? null,
    column: error?.column ?? null,
    schema: error?.schema ?? null,
    dataType: error?.dataType ?? null,
    constraint: error?.constraint ?? null,
    file: error?.file ?? null,
    line: error?.line ?? null,
    routine: error?.routine ?? null,
  }
  return new Refused({ status, body: JSON.stringify(body) })
}

function unparsable(reason: string): Refused {
  return refusal(400, `could not parse the HTTP request body: ${reason}`)
}

function databaseRefusal(status: number, error: DatabaseError): Refused {
  return refusal(status, error.message, error)
}

/**
 * Neon answers 500 when it cannot reach a compute node or is turned away by it (too many connections,
 * still starting), and 400 when the caller is to blame. Its proxy checks the password itself, so that a
 * wrong one has no SQLSTATE. Not known: how long it tries before it gives up, which is not done here.
 */
function connectRefusal(error: unknown, target: Target): Refused {
  if (!(error instanceof DatabaseError)) return refusal(500, "Couldn't connect to compute node")
  if (error.code === '28P01' || error.code === '28000')
    return refusal(400, `password authentication failed for user '${target.config.user}'`)
  return databaseRefusal(error.code === '3D000' ? 400 : 500, error)
}
