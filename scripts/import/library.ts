import { z } from 'zod'

/** The library's API, as a member of staff uses it. */

const TRIES = 6
/** A request ends within ten seconds, whatever the database does (docs/architecture.md). */
const PATIENCE_MS = 20_000

const Tokens = z.object({ accessToken: z.string(), refreshToken: z.string(), user: z.object({ role: z.string() }) })
const Refusal = z.object({
  type: z.string(),
  title: z.string(),
  errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
})

type Answer = { status: number; body: unknown }

/** Logged in, and again whenever the access token runs out. A request that may pass is sent again. */
export class Library {
  readonly #url: string
  #tokens: z.infer<typeof Tokens>

  private constructor(url: string, tokens: z.infer<typeof Tokens>) {
    this.#url = url
    this.#tokens = tokens
  }

  static async logIn({ url, username, password }: { url: string; username: string; password: string }) {
    const body = { username, password, deviceName: 'npm run import' }
    const answer = await send(url, { method: 'POST', path: '/v1/sessions', body })
    if (answer.status !== 201) throw new Error(`Logging in failed: ${reasonOf(answer)}`)
    const tokens = Tokens.parse(answer.body)
    if (tokens.user.role !== 'staff') throw new Error(`${username} is not a member of staff.`)
    return new Library(url, tokens)
  }

  logOut = () => this.#ask('DELETE', '/v1/sessions/current')

  /** The answer to something that is safe to repeat. Throws when it is refused. */
  async ask<T extends z.ZodType>(schema: T, method: string, path: string, body?: object): Promise<z.infer<T>> {
    const answer = await this.#ask(method, path, body)
    if (answer.status !== 200 && answer.status !== 201) {
      throw new Error(`${method} ${path} was refused: ${reasonOf(answer)}`)
    }
    return schema.parse(answer.body)
  }

  async #ask(method: string, path: string, body?: object): Promise<Answer> {
    const headers = { 'idempotency-key': crypto.randomUUID() }
    for (let attempt = 1; ; attempt++) {
      const authorization = `Bearer ${this.#tokens.accessToken}`
      const answer = await send(this.#url, { method, path, body, headers: { ...headers, authorization } })
      if (attempt === TRIES) return answer
      if (problemOf(answer) === 'access-token-expired') await this.#refresh()
      else if ([0, 429, 503].includes(answer.status))
        await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt))
      else return answer
    }
  }

  async #refresh() {
    const { refreshToken } = this.#tokens
    const answer = await send(this.#url, { method: 'POST', path: '/v1/sessions/refresh', body: { refreshToken } })
    if (answer.status !== 200) throw new Error(`The session has ended: ${reasonOf(answer)}`)
    this.#tokens = Tokens.parse(answer.body)
  }
}

type Request = { method: string; path: string; body?: object | undefined; headers?: Record<string, string> }

/** Status 0 stands for no answer. */
async function send(url: string, { method, path, body, headers = {} }: Request): Promise<Answer> {
  try {
    const response = await fetch(new URL(path, url), {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : JSON.parse(text) }
  } catch {
    return { status: 0, body: null }
  }
}

const problemOf = ({ body }: Answer) => Refusal.safeParse(body).data?.type.replace('/problems/', '') ?? null

function reasonOf(answer: Answer): string {
  if (answer.status === 0) return 'the library does not answer'
  const { data } = Refusal.safeParse(answer.body)
  if (data === undefined) return `status ${answer.status}`
  const faults = data.errors?.map(({ pointer, detail }) => `${pointer} ${detail}`) ?? []
  return [data.title, ...faults].join('; ')
}
