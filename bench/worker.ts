import { execFile, spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, parse } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { z } from 'zod'

const root = join(import.meta.dirname, '..')
const readyLimitMs = 15_000
const stopLimitMs = 5_000

const run = promisify(execFile)

export type Bundle = { directory: string; name: string; rawBytes: number; gzipBytes: number }

/** What `wrangler deploy` would upload; of another Worker, whose first file is `entry`, what it would upload of that. */
export async function bundleWorker({
  directory,
  signal,
  entry = 'src/index.ts',
}: {
  directory: string
  signal: AbortSignal
  entry?: string
}): Promise<Bundle> {
  const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js')
  await run(process.execPath, [wrangler, 'deploy', entry, '--dry-run', '--outdir', directory], {
    cwd: root,
    signal,
    timeout: 60_000,
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_SEND_ERROR_REPORTS: 'false',
      WRANGLER_LOG_PATH: join(directory, 'logs'),
      XDG_CONFIG_HOME: join(directory, 'config'),
    },
  })
  const name = `${parse(entry).name}.js`
  const code = await readFile(join(directory, name))
  return { directory, name, rawBytes: code.length, gzipBytes: gzipSync(code).length }
}

export type Worker = { pid: number; url: string; stop: () => Promise<void> }

/** The bundle on workerd alone, without what `wrangler dev` puts around it. Its log goes nowhere. `cachePort`: of what answers
 *  in place of Cloudflare's cache. */
export async function startWorker({
  bundle,
  port,
  variables,
  cachePort,
}: {
  bundle: Bundle
  port: number
  variables: Record<string, string>
  cachePort: number | null
}): Promise<Worker> {
  const configuration = join(bundle.directory, `${port}.capnp`)
  await writeFile(configuration, await capnp({ name: bundle.name, port, variables, cachePort }), { mode: 0o600 })
  const child = spawn(workerdPath(), ['serve', configuration], { stdio: ['ignore', 'ignore', 'pipe'] })
  const { pid } = child
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-4_000)
  })
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done())
    child.once('error', (error) => {
      complaint += error.message
      done()
    })
  })
  const killAtExit = () => child.kill('SIGKILL')
  process.once('exit', killAtExit)
  const stop = async () => {
    child.kill('SIGTERM')
    const timer = new AbortController()
    await Promise.race([exited, delay(stopLimitMs, undefined, { signal: timer.signal }).catch(() => undefined)])
    timer.abort()
    child.kill('SIGKILL')
    process.removeListener('exit', killAtExit)
  }
  const url = `http://127.0.0.1:${port}`
  const isReady = await Promise.race([exited.then(() => false), answers(`${url}/healthz`)])
  if (pid !== undefined && isReady) return { pid, url, stop }
  await stop()
  throw new Error(`workerd did not start:\n${complaint}`)
}

async function answers(url: string): Promise<boolean> {
  const deadline = Date.now() + readyLimitMs
  while (Date.now() < deadline) {
    const isOk = await fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
      (response) => response.ok,
      () => false,
    )
    if (isOk) return true
    await delay(50)
  }
  return false
}

/** The workerd that Wrangler itself would use. */
function workerdPath(): string {
  const fromMiniflare = createRequire(
    createRequire(createRequire(import.meta.url).resolve('wrangler')).resolve('miniflare'),
  )
  const found: unknown = fromMiniflare('workerd')
  return z.object({ default: z.string() }).parse(found).default
}

async function capnp({
  name,
  port,
  variables,
  cachePort,
}: {
  name: string
  port: number
  variables: Record<string, string>
  cachePort: number | null
}): Promise<string> {
  const { date, flags } = await compatibility()
  const bindings = Object.entries(variables).map(([key, value]) => `(name = ${text(key)}, text = ${text(value)})`)
  const cache =
    cachePort === null
      ? { service: '', outbound: '' }
      : {
          service: `(name = "cache", external = (address = "127.0.0.1:${cachePort}", http = (style = proxy))),`,
          outbound: 'cacheApiOutbound = "cache",',
        }
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .lectern),
    (name = "brake", worker = .brake),
    (name = "internet", network = (allow = ["public", "private"])),${cache.service}
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);

const lectern :Workerd.Worker = (
  modules = [(name = "${name}", esModule = embed "${name}")],
  compatibilityDate = ${text(date)},
  compatibilityFlags = [${flags.map(text).join(', ')}],
  bindings = [
    (name = "BRAKE", service = "brake"),
    ${bindings.join(',\n    ')}
  ],
  globalOutbound = "internet",${cache.outbound}
);

const brake :Workerd.Worker = (
  modules = [(name = "brake.js", esModule = ${text(openBrake)})],
  compatibilityDate = ${text(date)},
);
`
}

/** In place of Cloudflare's rate limit, which workerd does not have: it lets everybody pass. */
const openBrake = `import { WorkerEntrypoint } from 'cloudflare:workers'
export default class extends WorkerEntrypoint {
  limit() { return { success: true } }
}`

/** Of strings without control characters, JSON and Cap'n Proto agree on the form. */
const text = (value: string) => JSON.stringify(value)

async function compatibility(): Promise<{ date: string; flags: string[] }> {
  const toml = await readFile(join(root, 'wrangler.toml'), 'utf8')
  const date = /^compatibility_date = "([\d-]+)"$/m.exec(toml)?.[1]
  if (date === undefined) throw new Error('wrangler.toml has no compatibility_date.')
  const flags = /^compatibility_flags = (\[.*\])$/m.exec(toml)?.[1] ?? '[]'
  return { date, flags: z.array(z.string()).parse(JSON.parse(flags)) }
}
