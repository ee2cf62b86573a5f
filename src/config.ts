import { base64urlnopad } from '@scure/base'
import { z } from 'zod'

/** The shortest secret that is as strong as the HMAC it feeds (RFC 7518, section 3.2). */
const SECRET_BYTES_MIN = 32

/** Neon makes passwords of 16 characters. */
const DATABASE_PASSWORD_MIN = 12

/** OWASP Password Storage Cheat Sheet and ASVS 5.0: N=2^15, r=8, p=3. It needs 32 MiB, and an isolate has 128. */
export const SCRYPT_LN = 15

/** AES-256 (src/personal-data.ts) takes a key of this length and no other. */
const AES_KEY_BYTES = 32

/** Words of documentation, here or elsewhere. Long enough that chance does not put one into a random key. */
const EXAMPLE_WORDS = ['example', 'changeme', 'change-me', 'change_me', 'password', 'secret', 'lectern', 'your-key']

const holdsExample = (value: string) => EXAMPLE_WORDS.some((word) => value.toLowerCase().includes(word))

/** RFC 2606, and the host in Neon's own documentation. */
const isExampleHost = (host: string) => /(^|\.)example(\.(com|net|org))?$|^ep-cool-darkness-123456/.test(host)

const bytesOfBase64url = (value: string) => {
  try {
    return base64urlnopad.decode(value)
  } catch {
    return null
  }
}

/** So many different bytes that a key of one letter, or a counted one, does not pass for random. */
const looksRandom = (bytes: Uint8Array) => new Set(bytes).size >= SECRET_BYTES_MIN / 2

const isLoopback = (url: URL) => ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)

const decode = (value: string) => {
  try {
    return decodeURIComponent(value)
  } catch {
    return null
  }
}

const parseUrl = (value: string) => (URL.canParse(value) ? new URL(value) : null)

type Ring = { kid: string; secret: string }[]

/** What is wrong with the bytes of a key, or null. */
const faultOfKey = (secret: string, bytes: Uint8Array, exact: boolean) => {
  if (bytes.length < SECRET_BYTES_MIN) return `holds a key of fewer than ${SECRET_BYTES_MIN} bytes`
  if (exact && bytes.length !== AES_KEY_BYTES) return `holds a key of more than ${AES_KEY_BYTES} bytes`
  const isExample = holdsExample(secret) || holdsExample(new TextDecoder().decode(bytes)) || !looksRandom(bytes)
  return isExample ? 'holds an example or a guessable key' : null
}

/** `kid:key,kid:key`, each key 32 random bytes or more in base64url; `exact`: 32 and no more. The first is the one in
 *  use, the others still open what was made with them. */
const keyRing = ({ exact }: { exact: boolean }) =>
  z.string().transform((value, context) => {
    const ring: Ring = []
    for (const entry of value.split(',')) {
      const [, kid, secret] = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9_-]{1,512})$/.exec(entry.trim()) ?? []
      const bytes = secret === undefined ? null : bytesOfBase64url(secret)
      if (kid === undefined || secret === undefined || bytes === null) {
        context.addIssue('is not of the form kid:base64url,kid:base64url')
        return z.NEVER
      }
      const fault = faultOfKey(secret, bytes, exact)
      if (fault !== null) {
        context.addIssue(fault)
        return z.NEVER
      }
      ring.push({ kid, secret })
    }
    const [current] = ring
    if (current === undefined || new Set(ring.map((key) => key.kid)).size < ring.length) {
      context.addIssue('names a kid twice')
      return z.NEVER
    }
    return { current, all: ring }
  })

/** One key of 32 random bytes or more in base64url. */
const SingleKey = z.string().transform((value, context) => {
  const bytes = bytesOfBase64url(value)
  const fault = bytes === null ? 'is not base64url' : faultOfKey(value, bytes, false)
  if (bytes === null || fault !== null) {
    context.addIssue(fault ?? '')
    return z.NEVER
  }
  return bytes
})

const DatabaseUrl = z.string().refine((value) => {
  const url = parseUrl(value)
  return (
    url !== null &&
    ['postgres:', 'postgresql:'].includes(url.protocol) &&
    url.username !== '' &&
    (decode(url.password) ?? '') !== '' &&
    url.pathname.length > 1
  )
}, 'is not a postgresql:// URL with user, password, host and database')

const PublicUrl = z.string().refine((value) => {
  const url = parseUrl(value)
  return url !== null && ['http:', 'https:'].includes(url.protocol) && url.origin === value
}, 'is not an origin, such as https://library.my.org (no path, no slash at the end)')

/** Where the Worker itself sends something. */
const HttpsUrl = z.string().refine((value) => {
  const url = parseUrl(value)
  return url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url)))
}, 'is neither an https URL nor an http one of this machine')

/** Empty means none. */
const CorsOrigins = z.string().transform((value, context) => {
  const origins = value
    .split(',')
    .map((origin) => origin.trim())
    .filter((origin) => origin !== '')
  if (origins.some((origin) => parseUrl(origin)?.origin !== origin)) {
    context.addIssue('is not a list of origins, such as https://app.my.org,https://kiosk.my.org')
    return z.NEVER
  }
  return origins
})

/** As much of the bindings' types as is used here; scripts are compiled without those of the Workers' runtime. */
type MailBinding = { send: (mail: { from: string; to: string; subject: string; text: string }) => Promise<unknown> }
type BrakeBinding = { limit: (options: { key: string }) => Promise<{ success: boolean }> }
/** The range API of Have I Been Pwned. No other is asked about passwords in production. */
const BREACHED_PASSWORDS_API = 'https://api.pwnedpasswords.com/range/'

const isBreachedPasswordsUrl = (value: string) => {
  const url = parseUrl(value)
  if (value === BREACHED_PASSWORDS_API) return true
  return url?.protocol === 'http:' && isLoopback(url) && url.href === value && value.endsWith('/')
}

/** As it is written into security.txt: one line. */
const SecurityContact = z
  .string()
  .max(320)
  .refine((value) => {
    const url = parseUrl(value)
    if (url?.protocol === 'mailto:') return /^mailto:[A-Za-z0-9.!#$&'*+/=^_`{|}~-]+@[A-Za-z0-9.-]+$/.test(value)
    return url?.protocol === 'https:' && url.href === value
  }, 'is neither mailto: with an address nor an https URL')

const hostOfContact = (value: string) =>
  value.startsWith('mailto:') ? (value.split('@')[1] ?? '') : new URL(value).hostname

const Environment = z
  .object({
    ENVIRONMENT: z.enum(['production', 'development', 'test'], 'is none of production, development, test'),
    PUBLIC_URL: PublicUrl,
    CORS_ORIGINS: CorsOrigins.default([]),
    DATABASE_URL: DatabaseUrl,
    /** Where Neon's SQL over HTTP is spoken, when it is not where the host of DATABASE_URL says. */
    DATABASE_ENDPOINT: HttpsUrl.optional(),
    /** Sign access tokens. */
    ACCESS_TOKEN_KEYS: keyRing({ exact: false }),
    /** Encrypt personal data. */
    PERSONAL_DATA_KEYS: keyRing({ exact: true }),
    /** Makes the hashes by which what is encrypted is found. Unlike the rings it cannot be changed in passing. */
    LOOKUP_KEY: SingleKey,
    /** How messages to people are sent: src/mail/drivers.ts. */
    MAILER: z.enum(['cloudflare', 'http', 'log'], 'is none of cloudflare, http, log'),
    MAIL_FROM: z.email('is not an email address').max(254),
    MAIL_HTTP_URL: HttpsUrl.optional(),
    MAIL_HTTP_KEY: z
      .string()
      .regex(/^[\x21-\x7e]{1,512}$/, 'is not 1 to 512 visible ASCII characters')
      .optional(),
    EMAIL: z.custom<MailBinding>((value) => typeof value === 'object', 'is not a binding').optional(),
    /** Counts requests an address, coarsely: src/brake.ts. */
    BRAKE: z.custom<BrakeBinding>((value) => typeof value === 'object', 'is not bound'),
    /** Where the app is that messages link to. Without it they hold a code to enter. */
    APP_URL: PublicUrl.optional(),
    /** off: what anyone may read of the catalogue comes from the database each time (src/edge-cache.ts). */
    EDGE_CACHE: z.enum(['on', 'off'], 'is neither on nor off').default('on'),
    /** log2 of scrypt's N. Tests lower it; production does not. */
    PASSWORD_SCRYPT_LN: z
      .string()
      .regex(/^([4-9]|1[0-5])$/, 'is not a whole number from 4 to 15')
      .transform(Number)
      .default(SCRYPT_LN),
    /** Who hears of a weakness, in security.txt; outside production it may be missing. */
    SECURITY_CONTACT: SecurityContact.optional(),
    /** When security.txt ends. A moment that has passed is no fault: what it says is then not served. */
    SECURITY_EXPIRES: z.iso.datetime({ offset: true, error: 'is not a moment of RFC 3339' }).optional(),
    /** Empty: passwords are not compared with those in stolen data. */
    BREACHED_PASSWORDS: z
      .string()
      .refine(
        (value) => value === '' || isBreachedPasswordsUrl(value),
        `is neither empty nor ${BREACHED_PASSWORDS_API}`,
      )
      .default(''),
  })
  .superRefine((env, context) => {
    if (context.issues.length > 0) return
    const refuse = (key: keyof typeof env, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message })
    if (env.MAILER === 'cloudflare' && env.EMAIL === undefined) refuse('EMAIL', 'is not bound, which MAILER needs')
    if (env.MAILER === 'http' && env.MAIL_HTTP_URL === undefined)
      refuse('MAIL_HTTP_URL', 'is missing, which MAILER needs')
    if (env.ENVIRONMENT !== 'production') return
    if (env.MAILER === 'log') refuse('MAILER', 'is log, which writes messages where operators read them')
    if (isExampleHost(env.MAIL_FROM.split('@')[1] ?? '')) refuse('MAIL_FROM', 'is still the example')
    if (!env.PUBLIC_URL.startsWith('https://')) refuse('PUBLIC_URL', 'is not https, which production needs')
    if (isExampleHost(new URL(env.PUBLIC_URL).hostname)) refuse('PUBLIC_URL', 'is still the example')
    const { hostname, password: encoded } = new URL(env.DATABASE_URL)
    const password = decode(encoded) ?? ''
    if (isExampleHost(hostname)) refuse('DATABASE_URL', 'names an example host')
    if (password.length < DATABASE_PASSWORD_MIN || holdsExample(password)) {
      refuse('DATABASE_URL', `holds a password that is an example or under ${DATABASE_PASSWORD_MIN} characters`)
    }
    if (env.PASSWORD_SCRYPT_LN < SCRYPT_LN) refuse('PASSWORD_SCRYPT_LN', `is under ${SCRYPT_LN} in production`)
    const { SECURITY_CONTACT: contact, SECURITY_EXPIRES: expires, BREACHED_PASSWORDS: breached } = env
    if (contact === undefined) refuse('SECURITY_CONTACT', 'is missing')
    else if (isExampleHost(hostOfContact(contact))) refuse('SECURITY_CONTACT', 'is still the example')
    if (expires === undefined) refuse('SECURITY_EXPIRES', 'is missing')
    if (breached !== '' && breached !== BREACHED_PASSWORDS_API)
      refuse('BREACHED_PASSWORDS', `is not ${BREACHED_PASSWORDS_API}`)
  })

export type Config = ReturnType<typeof readConfig>

/** Names the keys that are wrong and what is wrong with each, and never says what they hold. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly faults: { key: string; fault: string }[]
  constructor(faults: { key: string; fault: string }[]) {
    super(faults.map(({ key, fault }) => `${key} ${fault}`).join('; '))
    this.faults = faults
  }
}

/** The only reader of the environment. Throws ConfigError. */
export function readConfig(env: object) {
  const parsed = Environment.safeParse(env)
  if (!parsed.success) {
    throw new ConfigError(
      parsed.error.issues.map((issue) => {
        const key = String(issue.path[0])
        const missing = !(key in env)
        return { key, fault: missing ? 'is missing' : issue.message }
      }),
    )
  }
  const values = parsed.data
  return {
    isProduction: values.ENVIRONMENT === 'production',
    publicUrl: values.PUBLIC_URL,
    corsOrigins: values.CORS_ORIGINS,
    databaseUrl: values.DATABASE_URL,
    databaseEndpoint: values.DATABASE_ENDPOINT,
    accessTokenKeys: values.ACCESS_TOKEN_KEYS,
    personalDataKeys: values.PERSONAL_DATA_KEYS,
    lookupKey: values.LOOKUP_KEY,
    mail: {
      driver: values.MAILER,
      from: values.MAIL_FROM,
      url: values.MAIL_HTTP_URL,
      key: values.MAIL_HTTP_KEY,
      binding: values.EMAIL,
    },
    appUrl: values.APP_URL,
    edgeCache: values.EDGE_CACHE === 'on',
    brake: values.BRAKE,
    passwordScryptLn: values.PASSWORD_SCRYPT_LN,
    securityContact: values.SECURITY_CONTACT ?? null,
    securityExpires: values.SECURITY_EXPIRES ?? null,
    breachedPasswordsUrl: values.BREACHED_PASSWORDS === '' ? null : values.BREACHED_PASSWORDS,
  }
}

const configs = new WeakMap<object, Config>()

/** Parses an environment once. Workers hands the same object to every request of an isolate. */
export function configOf(env: object): Config {
  const known = configs.get(env)
  if (known) return known
  const config = readConfig(env)
  configs.set(env, config)
  return config
}
