import { randomBytes } from 'node:crypto'

/** The secrets of a library on this machine, and settings for scripts that use the Worker's own functions. */

const key = () => randomBytes(32).toString('base64url')

export type Secrets = { ACCESS_TOKEN_KEYS: string; PERSONAL_DATA_KEYS: string; LOOKUP_KEY: string }

const makers: Record<keyof Secrets, () => string> = {
  ACCESS_TOKEN_KEYS: () => `dev:${key()}`,
  PERSONAL_DATA_KEYS: () => `dev:${key()}`,
  LOOKUP_KEY: key,
}

/** Those of `known`, lines NAME=value, and new ones for what is missing there. */
export function secretsFrom(known = ''): Secrets {
  const secretOf = (name: keyof Secrets) =>
    new RegExp(`^${name}=((?:dev:)?[\\w-]{43})$`, 'm').exec(known)?.[1] ?? makers[name]()
  return {
    ACCESS_TOKEN_KEYS: secretOf('ACCESS_TOKEN_KEYS'),
    PERSONAL_DATA_KEYS: secretOf('PERSONAL_DATA_KEYS'),
    LOOKUP_KEY: secretOf('LOOKUP_KEY'),
  }
}

/** What a Worker's configuration needs and a script does not use: it answers no requests and sends no mail. */
export const scriptSettings = {
  ENVIRONMENT: 'development',
  PUBLIC_URL: 'http://localhost',
  MAILER: 'log',
  MAIL_FROM: 'library@localhost.test',
  BRAKE: { limit: () => Promise.resolve({ success: true }) },
}
