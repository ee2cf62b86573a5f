/** A line that says how far it is, how fast and how long still: on a terminal in one place, elsewhere now and then. */
export class Progress {
  readonly #total: number
  readonly #startedAt = Date.now()
  #shownAt = 0

  /** `total`: in whatever `done` counts, such as bytes. */
  constructor(total: number) {
    this.#total = total
  }

  show({ done, records, refused }: { done: number; records: number; refused: number }) {
    const { isTTY } = process.stdout
    const now = Date.now()
    if (now - this.#shownAt < (isTTY ? 200 : 10_000)) return
    this.#shownAt = now
    const line = progressLine({
      part: Math.min(1, done / Math.max(1, this.#total)),
      records,
      refused,
      ms: now - this.#startedAt,
    })
    process.stdout.write(isTTY ? `\r\u001b[K${line}` : `${line}\n`)
  }

  /** Makes room for what follows; answers the seconds that it took. */
  end(): number {
    if (process.stdout.isTTY) process.stdout.write('\r\u001b[K')
    return (Date.now() - this.#startedAt) / 1_000
  }
}

const WIDTH = 24

export function progressLine({
  part,
  records,
  refused,
  ms,
}: {
  part: number
  records: number
  refused: number
  ms: number
}) {
  const full = Math.round(part * WIDTH)
  const rate = ms === 0 ? 0 : Math.round((records * 1_000) / ms)
  const left = part === 0 ? '?' : clock((ms / part) * (1 - part))
  const bar = '#'.repeat(full).padEnd(WIDTH, '.')
  return `[${bar}] ${Math.floor(part * 100)} %  ${records} records, ${rate} a second, ${left} left, ${refused} refused`
}

function clock(ms: number): string {
  const seconds = Math.ceil(ms / 1_000)
  const two = (value: number) => String(value).padStart(2, '0')
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60]
  return `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`
}
