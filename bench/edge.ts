import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { NeonEndpoint } from '../scripts/local/neon-endpoint.ts'
import type { Library } from './library.ts'
import { median, table } from './table.ts'
import type { Worker } from './worker.ts'

/** How often each is asked. */
const TIMES = 50

type Here = { endpoint: NeonEndpoint; worker: Worker; library: Library }

/** What a read of the catalogue costs: round trips, and bytes of its body. Throws when a read costs what it should not. */
export async function measureEdge({ endpoint, worker, library }: Here): Promise<string> {
  const rows: string[][] = []
  for (const [name, path] of Object.entries(pathsOf(library))) {
    const ask = async (expected: number, headers: Record<string, string> = {}) => {
      const before = endpoint.requests()
      const answer = await fetch(worker.url + path, { headers })
      const bytes = (await answer.arrayBuffer()).byteLength
      if (answer.status !== expected) throw new Error(`${path} answered ${answer.status}.`)
      return { etag: answer.headers.get('etag') ?? '', bytes, trips: endpoint.requests() - before }
    }
    const miss = await ask(200)
    const personal = { authorization: 'Bearer nobody' }
    const sides = [
      ['first', [miss]],
      ['again', await repeated(() => ask(200))],
      ['again, If-None-Match', await repeated(() => ask(304, { 'if-none-match': miss.etag }))],
      ['with a token', await repeated(() => ask(200, personal))],
      ['with a token, If-None-Match', await repeated(() => ask(304, { ...personal, 'if-none-match': miss.etag }))],
    ] as const
    for (const [how, answers] of sides) {
      const trips = new Set(answers.map((answer) => answer.trips))
      rows.push([`${name}, ${how}`, [...trips].join(' or '), String(answers[0]?.bytes ?? 0)])
    }
  }
  const page = await (await fetch(`${worker.url}${pathsOf(library)['twenty books']}`)).text()
  return [table(['Read', 'Round trips', 'Bytes of the body'], rows), hashing(page)].join('\n')
}

const pathsOf = ({ bookId }: Library) => ({ 'one book': `/v1/books/${bookId}`, 'twenty books': '/v1/books?sort=title' })

async function repeated<T>(act: () => Promise<T>): Promise<T[]> {
  const answers: T[] = []
  for (let i = 0; i < TIMES; i += 1) answers.push(await act())
  return answers
}

/** What the tag of a page costs. */
function hashing(page: string): string {
  const bytes = new TextEncoder().encode(page)
  const times = Array.from({ length: 1_000 }, () => {
    const start = performance.now()
    createHash('sha256').update(bytes).digest()
    return performance.now() - start
  })
  return `SHA-256 of a page of ${bytes.length.toLocaleString('en')} bytes: ${(median(times) * 1_000).toFixed(0)} µs.\n`
}

/** What workerd asks in place of Cloudflare's cache: GET, PUT with an HTTP response as the body, PURGE. Nothing runs out. */
export async function startCache(): Promise<{ port: number; stop: () => Promise<void> }> {
  const kept = new Map<string, Buffer>()
  // A proxy's requests name the host in the address, and workerd sends no Host.
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    void (async () => {
      const key = request.url ?? ''
      if (request.method === 'PUT') {
        kept.set(key, bodyOf(await read(request)))
        return response.writeHead(204).end()
      }
      if (request.method === 'PURGE') return response.writeHead(kept.delete(key) ? 200 : 404).end()
      const found = kept.get(key)
      if (found === undefined) return response.writeHead(504, { 'cf-cache-status': 'MISS' }).end()
      return response.writeHead(200, { 'cf-cache-status': 'HIT', 'content-type': 'text/plain' }).end(found)
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- safe because the server listens on TCP
  return { port: (server.address() as AddressInfo).port, stop }
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(Buffer.from(part))
  return Buffer.concat(parts)
}

/** Of a response as it is on the wire. */
const bodyOf = (message: Buffer) => message.subarray(message.indexOf('\r\n\r\n') + 4)
