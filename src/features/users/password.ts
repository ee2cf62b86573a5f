import { scrypt } from '@noble/hashes/scrypt.js'
import { base64nopad } from '@scure/base'
import { timingSafeEqual } from 'hono/utils/buffer'
import { type Config, SCRYPT_LN } from '../../config.ts'
import { problem } from '../../problem.ts'

/** Passwords as PHC strings: $scrypt$ln=15,r=8,p=3$salt$hash, in base64 without padding. ln is log2 of N. */

const BLOCK_SIZE = 8
const PARALLELISM = 3
const SALT_BYTES = 16
const HASH_BYTES = 32

/** What a stored string may ask for: it is data, and N=2^15 with r=8 is all the memory that an isolate has to spare. */
const PHC = /^\$scrypt\$ln=([4-9]|1[0-5]),r=8,p=([1-9]|1[0-6])\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43})$/

type Cost = { ln: number; p: number }

const costOf = (config: Config): Cost => ({ ln: config.passwordScryptLn, p: PARALLELISM })

/** How long to wait for the hashes of others, in milliseconds: twice, when a password is changed, which leaves time for
 *  the last round trip (src/db/client.ts) unless breached passwords took their second as well. */
const TURN_MS = 2_000

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** A hash takes 32 MiB, so an isolate makes one at a time; before each the others may read the answers that they wait
 *  for. Throws 'busy' when its turn does not come. A request that its client gave up never ends its turn: nobody waits
 *  for it longer than that. */
let last: Promise<unknown> = Promise.resolve()

function hashInTurn(password: string, salt: Uint8Array, { ln, p }: Cost): Promise<Uint8Array> {
  const turn = takeTurn(last).then(() => {
    const hash = scrypt(password.normalize('NFC'), salt, { N: 2 ** ln, r: BLOCK_SIZE, p, dkLen: HASH_BYTES })
    if (ln === SCRYPT_LN) promptCollection()
    return hash
  })
  last = turn.catch(() => undefined)
  return turn
}

/** Small objects that V8 has to clear away. scrypt leaves 32 MiB behind and allocates nothing else that would start a
 *  collection, so hashes in a row piled up: a peak of 126 MiB above idle, and 95 with this, for 2 % of the time
 *  (`npm run bench -- --only memory`). */
function promptCollection() {
  let garbage: { i: number } | null = null
  for (let i = 0; i < 400_000; i++) garbage = { i }
  return garbage
}

async function takeTurn(before: Promise<unknown>) {
  const isMine = await Promise.race([before.then(() => true), pause(TURN_MS).then(() => false)])
  if (!isMine) throw problem('busy')
  await pause(0)
}

const format = ({ ln, p }: Cost, salt: Uint8Array, hash: Uint8Array) =>
  `$scrypt$ln=${ln},r=${BLOCK_SIZE},p=${p}$${base64nopad.encode(salt)}$${base64nopad.encode(hash)}`

export async function hashPassword(config: Config, password: string): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES))
  const cost = costOf(config)
  return format(cost, salt, await hashInTurn(password, salt, cost))
}

/** Whether the password is the one stored; `null` stands for an account that does not exist, and costs the same work.
 *  `isOutdated`: the cost has moved since, so hash anew while the password is at hand. Throws on a malformed string. */
export async function verifyPassword(
  config: Config,
  { password, stored }: { password: string; stored: string | null },
): Promise<{ isRight: boolean; isOutdated: boolean }> {
  const cost = costOf(config)
  const against = stored ?? format(cost, new Uint8Array(SALT_BYTES), new Uint8Array(HASH_BYTES))
  const [, ln, p, salt, hash] = PHC.exec(against) ?? []
  if (salt === undefined || hash === undefined) throw new Error('a stored password hash is malformed')
  const storedCost = { ln: Number(ln), p: Number(p) }
  const actual = await hashInTurn(password, base64nopad.decode(salt), storedCost)
  const isSame = await timingSafeEqual(base64nopad.encode(actual), hash)
  return {
    isRight: stored !== null && isSame,
    isOutdated: storedCost.ln !== cost.ln || storedCost.p !== cost.p,
  }
}
