import { unstable_readConfig } from 'wrangler'
import { SECURITY_TXT_NOTICE_DAYS } from '../src/features/service/security-txt.ts'

/** The date in wrangler.toml is looked at by somebody once a year (RFC 9116, section 2.5.5), and before it comes. */

const DAYS_MAX = 365

const expires = unstable_readConfig({ config: 'wrangler.toml' }).vars['SECURITY_EXPIRES']
const daysLeft = (Date.parse(String(expires)) - Date.now()) / 86_400_000
if (!(daysLeft >= SECURITY_TXT_NOTICE_DAYS && daysLeft <= DAYS_MAX)) {
  console.error(
    `SECURITY_EXPIRES in wrangler.toml is ${String(expires)}. See that SECURITY_CONTACT is still right, and set a date ` +
      `${SECURITY_TXT_NOTICE_DAYS} to ${DAYS_MAX} days from now.`,
  )
  process.exitCode = 1
}
