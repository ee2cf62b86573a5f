import type { Config } from '../../config.ts'
import { log } from '../../log.ts'

/** Whether a password is known from stolen data, asked of the range API of Have I Been Pwned
 *  (https://haveibeenpwned.com/API/v3#PwnedPasswords). Five characters of its SHA-1 leave, which some two thousand
 *  known passwords share; the answer is compared here. */

/** In milliseconds, for everything from the first byte sent to the last one read: src/db/client.ts counts on it. */
const PATIENCE_MS = 1_000

/** An answer with its padding has about 50 KB. */
const ANSWER_BYTES_MAX = 200_000

const PREFIX_LENGTH = 5

/** The rest of a SHA-1, and how often that password has been seen. */
const ROW = /^([0-9A-F]{35}):([0-9]{1,10})$/

/** What is wrong with an answer, in the form of the log's field `error`. */
class Unusable extends Error {}

/** False while the API is away or makes no sense, which the log says: it is a help, and registering does not depend on
 *  it. Never rejects. */
export async function isBreached({ breachedPasswordsUrl }: Config, password: string): Promise<boolean> {
  if (breachedPasswordsUrl === null) return false
  const sha1 = await sha1Of(password.normalize('NFC'))
  try {
    const rows = await readRange(breachedPasswordsUrl + sha1.slice(0, PREFIX_LENGTH))
    return seenOf(rows, sha1.slice(PREFIX_LENGTH)) > 0
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error('no error')
    log({ event: 'breached_passwords_away', error: error instanceof Unusable ? message : name })
    return false
  }
}

async function readRange(url: string): Promise<string[]> {
  const response = await fetch(url, {
    headers: { 'add-padding': 'true', 'user-agent': 'Lectern' },
    redirect: 'manual',
    signal: AbortSignal.timeout(PATIENCE_MS),
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Unusable('Status')
  }
  return (await readBounded(response)).trimEnd().split(/\r?\n/)
}

async function readBounded({ body }: Response): Promise<string> {
  const decoder = new TextDecoder()
  let [text, bytes] = ['', 0]
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength
    if (bytes > ANSWER_BYTES_MAX) throw new Unusable('TooLarge')
    text += decoder.decode(chunk, { stream: true })
  }
  return text
}

/** Padding is rows of passwords that have been seen no times. */
function seenOf(rows: string[], suffix: string): number {
  let seen = 0
  for (const row of rows) {
    const [, of, times] = ROW.exec(row) ?? []
    if (of === undefined) throw new Unusable('Malformed')
    if (of === suffix) seen = Number(times)
  }
  return seen
}

/** In upper hexadecimal, as the API writes it. */
async function sha1Of(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-1', new TextEncoder().encode(text)))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase()
}
