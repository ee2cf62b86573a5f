import type { Config } from '../config.ts'
import type { Letter } from './messages.ts'

/** How long a provider may take for one message, in milliseconds. */
const PROVIDER_TIMEOUT_MS = 5_000

export type Mail = Letter & { from: string; to: string }

/** Each resolves when the provider has taken the message, and throws when it has not. */
const drivers: Record<Config['mail']['driver'], (config: Config, mail: Mail) => Promise<void>> = {
  /** Cloudflare's Email Service, through the binding EMAIL. */
  cloudflare: async ({ mail: { binding } }, mail) => {
    if (binding === undefined) throw new Error('the binding EMAIL is missing')
    await binding.send(mail)
  },

  /** Any provider that takes {from, to, subject, text} as JSON under a bearer token, as Resend does. It is where the
   *  configuration says and nowhere else: a redirect is a failure. */
  http: async ({ mail: { url, key } }, mail) => {
    if (url === undefined) throw new Error('MAIL_HTTP_URL is missing')
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      signal: AbortSignal.timeout(PROVIDER_TIMEOUT_MS),
      headers: { 'content-type': 'application/json', ...(key !== undefined && { authorization: `Bearer ${key}` }) },
      body: JSON.stringify(mail),
    })
    await response.body?.cancel()
    if (!response.ok) throw new Error('the provider refused the message')
  },

  /** For development: the terminal is the mailbox. Production refuses it. */
  log: async (_config, { to, subject, text }) => {
    // oxlint-disable-next-line no-console -- the terminal is where this goes
    console.log(`\n  Mail to ${to}: ${subject}\n\n${text.replace(/^/gm, '    ')}`)
    return Promise.resolve()
  },
}

export const send = (config: Config, letter: Letter & { to: string }) =>
  drivers[config.mail.driver](config, { from: config.mail.from, ...letter })
