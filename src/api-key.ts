import { base64, base64urlnopad } from '@scure/base'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { problem } from './problem.ts'

/** What the text of a key says of itself. None of it counts before require_key has found the key's hash. */
export type ApiKey = {
  hash: Uint8Array
  userId: string
  role: 'staff' | 'patron'
  /** Whether it has the scope `desk`. */
  isForDesk: boolean
}

/** A prefix that scanners for leaked secrets can look for; whose key it is: a patron's, a member of staff's, or one for the
 *  desk; and 16 bytes of the user's id with 32 random ones, which in base64url leave no bits over. */
const KEY = /^lak_([psd])([A-Za-z0-9_-]{64})$/

const ID_BYTES = 16
const RANDOM_BYTES = 32

/** Room for the longest name and a key, in base64. */
const BASIC_LENGTH_MAX = 1_024

const sha256 = async (text: string) =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))

/** Keys are kept as SHA-256 only: they are 256 random bits, which no dictionary holds. */
export async function newApiKey({
  userId,
  role,
  isForDesk,
}: Omit<ApiKey, 'hash'>): Promise<{ key: string; hash: Uint8Array }> {
  const bytes = new Uint8Array(ID_BYTES + RANDOM_BYTES)
  bytes.set(hexToBytes(userId.replaceAll('-', '')))
  crypto.getRandomValues(bytes.subarray(ID_BYTES))
  const kind = isForDesk ? 'd' : role === 'staff' ? 's' : 'p'
  const key = `lak_${kind}${base64urlnopad.encode(bytes)}`
  return { key, hash: await sha256(key) }
}

/** The key in Authorization, as a bearer or as the password of Basic; null: an access token, or nothing that is known. The
 *  name in Basic is not looked at: a key says whose it is, and reader apps put in there whatever they ask their users for.
 *  Throws 'key-invalid' for any other password, without hashing it. */
export async function readApiKey(authorization: string): Promise<ApiKey | null> {
  const [, scheme, credentials = ''] = /^(Basic|Bearer) (.*)$/i.exec(authorization) ?? []
  if (scheme?.toLowerCase() === 'basic') return parse(passwordIn(credentials))
  return credentials.startsWith('lak_') ? parse(credentials) : null
}

/** RFC 7617. */
function passwordIn(credentials: string): string {
  if (credentials.length > BASIC_LENGTH_MAX) throw problem('key-invalid')
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(base64.decode(credentials))
    return text.slice(text.indexOf(':') + 1)
  } catch {
    throw problem('key-invalid')
  }
}

async function parse(text: string): Promise<ApiKey> {
  const [, kind, encoded] = KEY.exec(text) ?? []
  if (kind === undefined || encoded === undefined) throw problem('key-invalid')
  const id = bytesToHex(base64urlnopad.decode(encoded).subarray(0, ID_BYTES))
  return {
    hash: await sha256(text),
    userId: id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    role: kind === 'p' ? 'patron' : 'staff',
    isForDesk: kind === 'd',
  }
}
