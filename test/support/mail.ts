import { env } from 'cloudflare:workers'
import { expect } from 'vitest'
import { ask } from './library.ts'

/** What the library's mail provider was given: see test/local/mailbox.ts. */

export type Mail = { from: string; to: string; subject: string; text: string; authorization?: string }

export async function mailTo(email: string): Promise<Mail[]> {
  const response = await fetch(`${env.MAIL_HTTP_URL}?to=${encodeURIComponent(email)}`)
  return response.json()
}

/** Mail goes out after the answer, so it may be a moment away. Answers the newest with that subject. */
export async function awaitMail(email: string, subject: RegExp, { count = 1 } = {}): Promise<Mail> {
  let newest: Mail | undefined
  await expect
    .poll(
      async () => {
        const mails = (await mailTo(email)).filter((mail) => subject.test(mail.subject))
        newest = mails.at(-1)
        return mails.length
      },
      { timeout: 20_000, interval: 100 },
    )
    .toBeGreaterThanOrEqual(count)
  if (newest === undefined) throw new Error('no mail')
  return newest
}

export const tokenIn = ({ text }: Mail) => /l(?:ce|pr)_[A-Za-z0-9_-]{43}/.exec(text)?.[0] ?? ''

/** Confirms the address that an account waits to have confirmed. */
export async function confirm(email: string, how: { count?: number } = {}) {
  const token = tokenIn(await awaitMail(email, /^Confirm/, how))
  const answer = await ask('POST', '/v1/auth/email-confirmations', { body: { token } })
  expect(answer.status, answer.text).toBe(204)
}
