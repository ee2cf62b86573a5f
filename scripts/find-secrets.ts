import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** Looks for secrets in the files that git keeps, and with --history in every line that was ever committed. Prints where,
 *  of what kind and a fingerprint, never the secret. */

const KINDS: [kind: string, form: RegExp][] = [
  ['a refresh token', /\blrt_[A-Za-z0-9_-]{43}/g],
  ['an access token', /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}/g],
  ['a private key', /-----BEGIN [A-Z ]*PRIVATE KEY-----/g],
  ['a password of Neon', /\bnpg_[A-Za-z0-9]{10,}/g],
  [
    'an address with a password',
    /\bpostgres(?:ql)?:\/\/[^\s:/@'"`$]+:[^\s@'"`$]{8,}@(?!([\w-]+\.)*(test|example(\.\w+)?)\/)[\w.-]+/g,
  ],
  ['a key of a cloud', /\b(AKIA|ASIA)[A-Z0-9]{16}\b/g],
  ['a token of a forge', /\b(gh[pousr]_[A-Za-z0-9]{36}|glpat-[A-Za-z0-9_-]{20}|npm_[A-Za-z0-9]{36})/g],
  ['a long random word', /[A-Za-z0-9+/_-]{40,}/g],
]

/** Machine-made files and other people's words, whose random words are checksums. */
const SKIPPED =
  /^(package-lock\.json|worker-configuration\.d\.ts|drizzle\/meta\/|scripts\/demo\/books\/|docs\/asvs-ids\.json)/

/** Fingerprints of what only looks like a secret: made up for an example, a test or an alphabet. */
const HARMLESS = new Set([
  '641a417beeb1', // postgresql://user:password@host in the examples
  'e4d3c29d97e6', // the same with the name of the Worker's role
  '775ad11d37ee', // the alphabet of base64url in a test
  '1c14eac81c86', // passwords and addresses made up for the tests of the configuration
  'ea8bac3763b3',
  '0722aca93ead',
  'b56981e0e7a7', // hashes of a test's password, made by OpenSSL
  '424ea6c5f3ac',
])

const fingerprintOf = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 12)

/** Bits a character. Random base64url of 40 characters has more than 4.3, code and prose have less. */
function entropyOf(text: string) {
  const counts = new Map<string, number>()
  for (const char of text) counts.set(char, (counts.get(char) ?? 0) + 1)
  return [...counts.values()].reduce((sum, n) => sum - (n / text.length) * Math.log2(n / text.length), 0)
}

const looksRandom = (word: string) =>
  entropyOf(word) > 4.3 && /[0-9]/.test(word) && /[a-z]/.test(word) && /[A-Z]/.test(word) && !/[/-].*[/-]/.test(word)

type Found = { where: string; kind: string; fingerprint: string }

const search = (where: string, line: string): Found[] =>
  KINDS.flatMap(([kind, form]) =>
    [...line.matchAll(form)]
      .filter(([match]) => kind !== 'a long random word' || looksRandom(match))
      .map(([match]) => ({ where, kind, fingerprint: fingerprintOf(match) }))
      .filter(({ fingerprint }) => !HARMLESS.has(fingerprint)),
  )

function git(...args: string[]) {
  const { status, stdout, stderr } = spawnSync('git', args, { encoding: 'utf8', maxBuffer: 512 * 1024 * 1024 })
  if (status !== 0) throw new Error(`git ${args[0]}: ${stderr}`)
  return stdout
}

function searchTree(): Found[] {
  const files = git('ls-files', '--cached', '--others', '--exclude-standard', '-z').split('\0')
  return files
    .filter((file) => file !== '' && !SKIPPED.test(file))
    .flatMap((file) => {
      try {
        return readFileSync(file, 'utf8')
          .split('\n')
          .flatMap((line, i) => search(`${file}:${i + 1}`, line))
      } catch {
        return []
      }
    })
}

function searchHistory(): Found[] {
  let commit = ''
  let file = ''
  const found: Found[] = []
  for (const line of git('log', '--all', '--patch', '--unified=0', '--no-color', '--format=commit %h').split('\n')) {
    if (line.startsWith('commit ')) commit = line.slice(7)
    else if (line.startsWith('+++ b/')) file = line.slice(6)
    else if (line.startsWith('+') && !SKIPPED.test(file)) found.push(...search(`${commit} ${file}`, line.slice(1)))
  }
  return found
}

const found = process.argv.includes('--history') ? searchHistory() : searchTree()
for (const { where, kind, fingerprint } of found) console.error(`${where}: ${kind} (${fingerprint})`)
console.log(`${found.length} found`)
process.exitCode = found.length === 0 ? 0 : 1
