import { json } from 'node:stream/consumers'
import fastify from 'fastify'
import pg from 'pg'
import { z } from 'zod'

/** What people write who have a PostgreSQL beside them: Fastify, a pool of pg, and the statements of the Worker. It reads on
 *  its standard input what it is to do, and says when it listens. */

const Asked = z.object({ query: z.string(), params: z.array(z.unknown()) })
export const PeerOptions = z.object({
  databaseUrl: z.string(),
  port: z.int(),
  connections: z.int(),
  list: Asked,
  /** Each word with its statement. */
  searches: z.record(z.string(), Asked),
})

const { databaseUrl, port, connections, list, searches } = PeerOptions.parse(await json(process.stdin))
const pool = new pg.Pool({ connectionString: databaseUrl, max: connections, idleTimeoutMillis: 0 })
const app = fastify()

const Query = z.object({ q: z.string().optional() })
app.get('/v1/books', async (request, reply) => {
  const { q } = Query.parse(request.query)
  const asked = q === undefined ? list : searches[q]
  if (asked === undefined) return reply.code(404).send({ detail: 'Nobody searches for that here' })
  const { rows } = await pool.query<{ items: string; last: unknown }>(asked.query, asked.params)
  const [row] = rows
  return reply
    .type('application/json')
    .send(`{"items":${row?.items ?? '[]'},"nextCursor":${JSON.stringify(row?.last ?? null)}}`)
})

await app.listen({ host: '127.0.0.1', port })
console.log('listening')
