import type { Config } from '../../config.ts'
import { log } from '../../log.ts'

const DAY_MS = 86_400_000

/** How long before its end the log begins to say so. */
export const SECURITY_TXT_NOTICE_DAYS = 30

/** RFC 9116. Null where there is none, or it is out of date: an old address is worse than no address. */
export function securityTxt({ publicUrl, securityContact, securityExpires }: Config): string | null {
  if (securityContact === null || securityExpires === null || Date.parse(securityExpires) <= Date.now()) return null
  return [
    `Contact: ${securityContact}`,
    `Expires: ${securityExpires}`,
    `Canonical: ${publicUrl}/.well-known/security.txt`,
    `Policy: ${publicUrl}/v1/security/guidance`,
    'Preferred-Languages: en',
    '',
  ].join('\n')
}

/** `count` is the days that are left. */
export function noticeSecurityTxt({ securityExpires }: Config) {
  if (securityExpires === null) return
  const daysLeft = Math.ceil((Date.parse(securityExpires) - Date.now()) / DAY_MS)
  if (daysLeft <= SECURITY_TXT_NOTICE_DAYS) log({ event: 'security_txt_expires', count: Math.max(0, daysLeft) })
}
