import { createHash } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { BREACHED_PASSWORD, type RangeBehaviour, type RangeRequest, rangeBehaviours } from '../support/commands.ts'

/** Stands in for the range API of Have I Been Pwned: `<url><run>/<behaviour>/range/<prefix>`, and at `<url><run>/seen`
 *  everything that it was sent in that run. It knows one breached password. */

const sha1 = createHash('sha1').update(BREACHED_PASSWORD).digest('hex').toUpperCase()
const hit = `${sha1.slice(5)}:42`
const others = ['00F4A2C8D31B0E7A9C5D6E8F0A1B2C3D4E5:3', 'FF0A1B2C3D4E5F60718293A4B5C6D7E8F90:1']
const padding = ['1E4C9B93F3F0682250B6CF8331B7EE68FD8:0', '7C222FB2927D828AF22F592134E8932480C:0']
const rows = (...lines: string[]) => [...lines, ''].join('\r\n')

/** More than any answer of the real one, before the row that would be a hit. */
const manyRows = `${others.join('\r\n')}\r\n`.repeat(4_000)

type Respond = (response: ServerResponse) => void

const answer =
  (status: number, body: string, headers: Record<string, string> = {}): Respond =>
  (response) => {
    response.writeHead(status, { 'content-type': 'text/plain', ...headers })
    response.end(body)
  }

const behaviours: Record<RangeBehaviour, Respond> = {
  hit: answer(200, rows(...others, hit)),
  miss: answer(200, rows(...others, ...padding)),
  'padded-hit': answer(200, rows(...padding, hit, ...others)),
  'count-0': answer(200, rows(`${sha1.slice(5)}:0`, ...others)),
  hang: () => undefined,
  'hang-midway': (response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.write(rows(hit))
  },
  'error-500': answer(500, rows(hit)),
  redirect: answer(302, '', { location: '../../hit/range/00000' }),
  garbage: answer(200, `<!doctype html><title>${hit}</title>`),
  'garbage-after-hit': answer(200, rows(hit, 'and so on')),
  empty: answer(200, ''),
  huge: answer(200, manyRows + rows(hit)),
}

export async function startRangeApi(): Promise<{ url: string; stop: () => Promise<void> }> {
  const seen = new Map<string, RangeRequest[]>()

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request
    const [, run = '', name = ''] = url.split('/')
    if (name === 'seen') return answer(200, JSON.stringify(seen.get(run) ?? []))(response)
    const body = await textOf(request)
    seen.set(run, [...(seen.get(run) ?? []), { method, url, headers: plain(headers), body }])
    const behaviour = rangeBehaviours.find((known) => known === name)
    if (behaviour === undefined) return answer(404, '')(response)
    behaviours[behaviour](response)
  }

  const server = createServer((request, response) => void serve(request, response))
  await new Promise<void>((listening, failed) => {
    server.once('error', failed)
    server.listen(0, '127.0.0.1', listening)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('No port was bound.')
  return {
    url: `http://127.0.0.1:${address.port}/`,
    stop: async () => {
      const closed = new Promise((done) => server.close(done))
      server.closeAllConnections()
      await closed
    },
  }
}

const plain = (headers: IncomingHttpHeaders) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) {
    if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
