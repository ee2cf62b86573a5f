import { z } from 'zod'
import type { Config } from '../config.ts'

/** What the library writes to people, as plain text. */

/** What only one message says; it is encrypted until it is sent. */
export const MessageContent = z.object({
  token: z.string().optional(),
  deviceName: z.string().optional(),
})
export type MessageContent = z.infer<typeof MessageContent>

export type Letter = { subject: string; text: string }

type Parts = { content: MessageContent; at: string; config: Config }

/** With APP_URL the token is in a link. It stands after the #, which browsers send nowhere. */
const tokenIn = ({ content, config }: Parts, path: string) =>
  config.appUrl === undefined
    ? `Enter this code in the app:\n\n${content.token}`
    : `${config.appUrl}/${path}#${content.token}`

const notYou = ({ config }: Parts) =>
  `If that was not you, set a new password now, and end the sessions that you do not know. Advice: ${config.publicUrl}/v1/security/guidance`

/** Something that was done to the account, at a time. */
const notice = (subject: string, what: string) => (parts: Parts) => ({
  subject,
  text: `${what} at ${parts.at}.\n\n${notYou(parts)}`,
})

const letters = {
  'confirm-email': (parts) => ({
    subject: 'Confirm your email address',
    text: `An account at the library ${parts.config.publicUrl} gave this address. If that was you, confirm it within 24 hours:\n\n${tokenIn(parts, 'confirm-email')}\n\nIf not, do nothing: without you the address is not used.`,
  }),
  'reset-password': (parts) => ({
    subject: 'Set a new password',
    text: `Somebody asked to set a new password for your account at the library ${parts.config.publicUrl}. If that was you, do it within 30 minutes:\n\n${tokenIn(parts, 'reset-password')}\n\nIf not, do nothing: your password stays as it is. Nobody from the library will ever ask you for this.`,
  }),
  'new-device': (parts) => ({
    subject: 'Somebody logged in from a new place',
    text: `Somebody logged in to your account${parts.content.deviceName === undefined ? '' : ` on '${parts.content.deviceName}'`} at ${parts.at}, from an address that you had not used before.\n\n${notYou(parts)}`,
  }),
  'password-changed': notice('Your password was changed', 'Your password was changed'),
  'password-reset': notice('Your password was set anew', 'A new password was set by a message to this address'),
  'email-change-asked': notice(
    'Your email address is being changed',
    'Somebody asked to change the address of your account. This one stays until the new one is confirmed. It was asked',
  ),
  'email-changed': notice(
    'Your email address was changed',
    'The address of your account was changed, and this one is not used any more. It was changed',
  ),
  'second-factor-added': notice('A second factor was added', 'A second factor was added to your account'),
  'second-factor-removed': notice('The second factor was removed', 'The second factor of your account was removed'),
  'recovery-codes-replaced': notice(
    'Your recovery codes were replaced',
    'New recovery codes were made for your account',
  ),
  'account-erased': ({ config, at }) => ({
    subject: 'Your account was erased',
    text: `Your account at the library ${config.publicUrl} was erased at ${at}, with everything that named you, as was asked by somebody who was logged in to it. This message is the last: your address is not kept.`,
  }),
  'key-made': notice('A key was made', 'A key that opens your account to an app was made'),
} satisfies Record<string, (parts: Parts) => Letter>

export type MessageKind = keyof typeof letters

const isMessageKind = (kind: string): kind is MessageKind => Object.hasOwn(letters, kind)

/** Throws for a kind that there is not. `at`: when what it tells of happened. */
export function writeLetter(kind: string, parts: Parts): Letter {
  if (!isMessageKind(kind)) throw new Error(`no letter is called ${kind}`)
  const { subject, text } = letters[kind](parts)
  return { subject, text: `${text}\n` }
}
