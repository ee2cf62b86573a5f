import { readFileSync } from 'node:fs'
import { z } from 'zod'

/** Holds the dependencies to what is known of them: no version with a hole that we know, none that floats, none that is
 *  installed without its checksum. The registry is not asked: see `npm run audit`. */

/** The first versions without a hole that would matter here. Add to them when an advisory is answered. */
const FLOORS: Record<string, string> = {
  // Algorithm confusion, NumericDate, the audience of a token, the limit of a body, caching of personal answers.
  hono: '4.13.5',
}

const Package = z.object({
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
})
const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      integrity: z.string().optional(),
      resolved: z.string().optional(),
      link: z.boolean().optional(),
    }),
  ),
})

const read = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'))

const numbersOf = (version: string) => version.split(/[.-]/).slice(0, 3).map(Number)

function isBelow(version: string, floor: string) {
  const [own, least] = [numbersOf(version), numbersOf(floor)]
  const at = own.findIndex((number, i) => number !== least[i])
  return at >= 0 && (own[at] ?? 0) < (least[at] ?? 0)
}

const faults: string[] = []
const { dependencies, devDependencies } = Package.parse(read('package.json'))
const { packages } = Lock.parse(read('package-lock.json'))

for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) faults.push(`${name} floats: ${version}`)
}
for (const [path, entry] of Object.entries(packages)) {
  if (path === '') continue
  const { version = '', integrity, resolved } = entry
  const name = path.replace(/^.*node_modules\//, '')
  const floor = FLOORS[name]
  if (floor !== undefined && isBelow(version, floor)) faults.push(`${path} ${version} is below ${floor}`)
  if (integrity === undefined || !integrity.startsWith('sha512-')) faults.push(`${path} has no sha512 checksum`)
  if (resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/')) {
    faults.push(`${path} comes from ${resolved}`)
  }
}
for (const [name, floor] of Object.entries(FLOORS)) {
  const { version } = z.object({ version: z.string() }).parse(read(`node_modules/${name}/package.json`))
  if (isBelow(version, floor)) faults.push(`${name} ${version} is installed, which is below ${floor}`)
}

for (const fault of faults) console.error(fault)
console.log(`${Object.keys(packages).length - 1} packages, ${faults.length} faults`)
process.exitCode = faults.length === 0 ? 0 : 1
