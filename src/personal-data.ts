import { base64urlnopad } from '@scure/base'
import type { Config } from './config.ts'

/** Personal data as the database keeps it: `kid.` and, in base64url, a nonce of 12 bytes and what AES-256-GCM makes of the
 *  text. The key ring is the Worker's; the database has none of it. */

/** What a value is, and whose: one that is moved to another column or row does not open there. `row` is a primary key. */
export type Place = { column: PersonalColumn; row: string }

/** Every encrypted column, and what identifies its row. An address keeps its place when it is confirmed, and as the
 *  recipient of a message; so these three open alike. */
export const personalColumns = [
  { table: 'users', column: 'email', place: 'users.email', row: 'id' },
  { table: 'users', column: 'pending_email', place: 'users.email', row: 'id' },
  { table: 'users', column: 'name', place: 'users.name', row: 'id' },
  { table: 'users', column: 'phone', place: 'users.phone', row: 'id' },
  { table: 'users', column: 'address', place: 'users.address', row: 'id' },
  { table: 'sessions', column: 'device_name', place: 'sessions.device_name', row: 'id' },
  { table: 'second_factors', column: 'secret', place: 'second_factors.secret', row: 'user_id' },
  { table: 'messages', column: 'recipient', place: 'users.email', row: 'user_id' },
  { table: 'messages', column: 'content', place: 'messages.content', row: 'id' },
] as const

type PersonalColumn = (typeof personalColumns)[number]['place']

const NONCE_BYTES = 12

const encode = (text: string) => new TextEncoder().encode(text)

const additionalData = ({ column, row }: Place) => encode(`${column} ${row}`)

const importKey = (secret: string) => {
  const bytes = Uint8Array.from(base64urlnopad.decode(secret))
  return crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt'])
}
type Key = ReturnType<typeof importKey>

/** One import a key: WeakMap, so that a configuration's keys go with it. */
const imported = new WeakMap<Config, Map<string, Key>>()

function keyOf(config: Config, kid: string): Key {
  const keys = imported.get(config) ?? new Map<string, Key>()
  imported.set(config, keys)
  const known = keys.get(kid)
  if (known) return known
  const entry = config.personalDataKeys.all.find((key) => key.kid === kid)
  if (entry === undefined) throw new Error('PERSONAL_DATA_KEYS lacks a key that is in use')
  const key = importKey(entry.secret)
  keys.set(kid, key)
  return key
}

export async function seal(config: Config, place: Place, text: string): Promise<string> {
  const { kid } = config.personalDataKeys.current
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
  const sealed = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv, additionalData: additionalData(place) },
    await keyOf(config, kid),
    encode(text),
  )
  const bytes = new Uint8Array(NONCE_BYTES + sealed.byteLength)
  bytes.set(iv)
  bytes.set(new Uint8Array(sealed), NONCE_BYTES)
  return `${kid}.${base64urlnopad.encode(bytes)}`
}

export const sealOptional = async (config: Config, place: Place, text: string | null | undefined) =>
  text === null || text === undefined ? text : await seal(config, place, text)

const SEALED = /^([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{38,})$/

/** Said alike by key_of in the database. */
export const isSealed = (value: string) => SEALED.test(value)

/** Throws for a value that was not sealed at this place, was changed since, or whose key is not in the ring. */
export async function unseal(config: Config, place: Place, sealed: string): Promise<string> {
  const [, kid, body] = SEALED.exec(sealed) ?? []
  if (kid === undefined || body === undefined) throw new Error('a personal value is not encrypted')
  const bytes = Uint8Array.from(base64urlnopad.decode(body))
  const text = await crypto.subtle.decrypt(
    { name: 'AES-GCM', iv: bytes.subarray(0, NONCE_BYTES), additionalData: additionalData(place) },
    await keyOf(config, kid),
    bytes.subarray(NONCE_BYTES),
  )
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text)
}

export const unsealOptional = async (config: Config, place: Place, sealed: string | null) =>
  sealed === null ? null : await unseal(config, place, sealed)
