import { base64urlnopad } from '@scure/base'
import { z } from 'zod'

/** Tokens that are sent by mail: 256 random bits after a prefix that says what they are for and that scanners for leaked
 *  secrets can look for. Kept as SHA-256. */
const prefixes = { 'confirm-email': 'lce_', 'reset-password': 'lpr_' } as const

export type MailedPurpose = keyof typeof prefixes

const TOKEN_BYTES = 32

export const mailedToken = (purpose: MailedPurpose) =>
  z
    .string()
    .regex(new RegExp(`^${prefixes[purpose]}[A-Za-z0-9_-]{43}$`), 'is not a code of such a message')
    .meta({ example: `${prefixes[purpose]}${'A'.repeat(43)}`, description: 'From the message, good once' })

export const newMailedToken = (purpose: MailedPurpose) =>
  prefixes[purpose] + base64urlnopad.encode(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)))
