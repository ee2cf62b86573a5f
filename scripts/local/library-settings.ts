import { readFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'

/** Of a library that a script works on, as its Worker has them. */

const SETTINGS = ['DATABASE_URL', 'DATABASE_ENDPOINT', 'PERSONAL_DATA_KEYS', 'LOOKUP_KEY'] as const

/** From the environment, where DATABASE_URL is set, else those of `npm run dev`. Throws when one is missing. */
export async function librarySettings(usage: string): Promise<Record<string, string>> {
  const { DATABASE_URL } = process.env
  const settings = DATABASE_URL === undefined ? await localSettings(usage) : process.env
  const missing = SETTINGS.filter((name) => name !== 'DATABASE_ENDPOINT' && settings[name] === undefined)
  if (missing.length > 0) throw new Error(`Missing: ${missing.join(', ')}.\n\n${usage}`)
  return Object.fromEntries(SETTINGS.map((name) => [name, settings[name] ?? '']).filter(([, value]) => value !== ''))
}

async function localSettings(usage: string): Promise<Record<string, string | undefined>> {
  try {
    return parseEnv(await readFile(new URL('../../.lectern/dev.vars', import.meta.url), 'utf8'))
  } catch {
    throw new Error(`There is no DATABASE_URL and no local library.\n\n${usage}`)
  }
}
