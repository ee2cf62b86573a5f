import { peakMemoryMiB } from './processes.ts'
import type { Worker } from './worker.ts'

const WARM_UP = 20
const LOGINS = 10
const BUSY = 503

/** `refused`: how many of the logins at once were told that the Worker is busy, since hashes take turns. */
export type Memory = { idle: number; inARow: number; atOnce: number; refused: number }

type Account = { username: string; password: string }

/** The peak of a workerd after logins, in MiB. Each kind has a workerd of its own: a peak does not come down again.
 *  Null where there is no /proc. */
export async function measureMemory({
  start,
  account,
}: {
  start: () => Promise<Worker>
  account: Account
}): Promise<Memory | null> {
  const inARow = await growth(start, async (url) => {
    for (let i = 0; i < LOGINS; i += 1) await expectStatus(201, await logIn(url, account))
  })
  let refused = 0
  const atOnce = await growth(start, async (url) => {
    const answers = await Promise.all(Array.from({ length: LOGINS }, () => logIn(url, account)))
    const admitted = answers.filter(({ status }) => status !== BUSY)
    for (const answer of admitted) await expectStatus(201, answer)
    refused = answers.length - admitted.length
  })
  if (inARow === null || atOnce === null) return null
  return { idle: inARow.idle, inARow: inARow.peak - inARow.idle, atOnce: atOnce.peak - atOnce.idle, refused }
}

async function growth(
  start: () => Promise<Worker>,
  act: (url: string) => Promise<unknown>,
): Promise<{ idle: number; peak: number } | null> {
  const worker = await start()
  try {
    for (let i = 0; i < WARM_UP; i += 1) await expectStatus(200, await fetch(`${worker.url}/healthz`))
    const idle = await peakMemoryMiB(worker.pid)
    await act(worker.url)
    const peak = await peakMemoryMiB(worker.pid)
    return idle === null || peak === null ? null : { idle, peak }
  } finally {
    await worker.stop()
  }
}

function logIn(url: string, { username, password }: Account): Promise<Response> {
  return fetch(`${url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password }),
  })
}

async function expectStatus(expected: number, response: Response): Promise<void> {
  const body = await response.text()
  if (response.status !== expected)
    throw new Error(`${response.url} answered ${response.status}: ${body.slice(0, 500)}`)
}
