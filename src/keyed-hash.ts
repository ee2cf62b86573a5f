import type { Config } from './config.ts'

const encode = (text: string) => new TextEncoder().encode(text)

const imported = new WeakMap<Config, ReturnType<typeof importKey>>()

const importKey = ({ lookupKey }: Config) =>
  crypto.subtle.importKey('raw', Uint8Array.from(lookupKey), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])

function keyOf(config: Config) {
  const key = imported.get(config) ?? importKey(config)
  imported.set(config, key)
  return key
}

/** HMAC-SHA-256 under LOOKUP_KEY: finds again what the database may not know. Without the key a dump tells of no guess
 *  whether it is right. `purpose` keeps hashes of one text for two uses apart. */
export async function keyedHash(config: Config, purpose: string, ...texts: string[]): Promise<Uint8Array> {
  const text = JSON.stringify([purpose, ...texts])
  return new Uint8Array(await crypto.subtle.sign('HMAC', await keyOf(config), encode(text)))
}

/** Mail hosts ignore case in practice, and nobody has two accounts at one address. */
export const emailHash = (config: Config, email: string) => keyedHash(config, 'email', email.toLowerCase())
