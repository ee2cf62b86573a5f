import { createServer, type IncomingMessage } from 'node:http'

/** A mail provider for tests, on loopback: POST takes a message as an HTTP provider does, GET ?to= shows those to an
 *  address, the oldest first. The path of a POST says how it answers: /500 refuses, /hang says nothing, /redirect sends on
 *  to one that accepts, as anything else does. */
export async function startMailbox(): Promise<{ url: string; stop: () => Promise<void> }> {
  const messages: { to: string; authorization: string | undefined }[] = []
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://mailbox.test')
    if (request.method === 'GET') {
      const to = searchParams.get('to')
      response.end(JSON.stringify(messages.filter((message) => message.to === to)))
      return
    }
    void textOf(request).then((text) => {
      if (pathname === '/hang') return
      if (pathname === '/redirect') {
        response.writeHead(307, { location: '/' }).end()
        return
      }
      const refused = pathname === '/500'
      if (!refused) messages.push({ ...JSON.parse(text), authorization: request.headers.authorization })
      response.writeHead(refused ? 500 : 202).end()
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
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

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) {
    if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
