import ipaddr from 'ipaddr.js'
import type { Context } from 'hono'

/** The prefix that one subscriber has at least (RFC 6177): whoever has one address of it has them all. */
const IPV6_PREFIX_GROUPS = 4

/** Where a request comes from, as what is counted: an IPv4 address, or an IPv6 network of 64 bits. It is taken from the
 *  platform alone: Cloudflare sets CF-Connecting-IP and overwrites a client's. Whoever comes without one is counted
 *  together with all others like that. */
export function clientAddress(c: Context): string {
  const header = c.req.header('cf-connecting-ip')
  if (header === undefined || !ipaddr.isValid(header)) return 'unknown'
  const address = ipaddr.process(header)
  if (address instanceof ipaddr.IPv6) {
    return `${address.parts
      .slice(0, IPV6_PREFIX_GROUPS)
      .map((group) => group.toString(16))
      .join(':')}::/64`
  }
  return address.toString()
}
