/** What the chunks yield, in UTF-8, and nothing of it before it is asked for. When they throw, the answer breaks off, which
 *  nobody takes for its end; when the client has gone, they are not asked again. */
export function streamOf(chunks: AsyncGenerator<string>, { onFault }: { onFault: (error: unknown) => void }) {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { value, done } = await chunks.next()
          if (done) controller.close()
          else controller.enqueue(encoder.encode(value))
        } catch (error) {
          onFault(error)
          controller.error(error)
        }
      },
      async cancel() {
        await chunks.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}
