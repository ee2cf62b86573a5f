export type Lifetime = ReturnType<typeof makeLifetime>

/** What was started, to be stopped once and in reverse. */
export function makeLifetime(note: (text: string) => void) {
  const closers: (() => Promise<void>)[] = []
  let ending: Promise<void> | undefined
  const closeAll = async () => {
    for (const close of closers.toReversed()) {
      await close().catch((error: unknown) => note(error instanceof Error ? error.message : String(error)))
    }
  }
  return {
    isEnded: () => ending !== undefined,
    end: () => (ending ??= closeAll()),
    add: async (close: () => Promise<void>) => {
      if (ending === undefined) return void closers.push(close)
      await close()
      throw new Error('Stopped before it had started.')
    },
  }
}
