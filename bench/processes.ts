import { readdir, readFile } from 'node:fs/promises'

/** What Linux says of a process in /proc. Nothing here works on another system, and says so with null. */
const hasProc = process.platform === 'linux'

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const TICK_MS = 10

/** The most memory that the process has held since it started, in MiB. */
export async function peakMemoryMiB(pid: number): Promise<number | null> {
  if (!hasProc) return null
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no VmHWM.`)
  return Number(kib) / 1024
}

export type CpuMs = { worker: number; node: number; postgres: number }

/** Of those that run at the same time, the ones that do nothing add nothing. */
export type Processes = { workerPids: number[]; postmasterPid: number }

/** CPU time so far, in milliseconds, of workerd, of this process, and of PostgreSQL with all its backends. */
export async function cpuSoFar({ workerPids, postmasterPid }: Processes): Promise<CpuMs | null> {
  if (!hasProc) return null
  const { user, system } = process.cpuUsage()
  const all = await Promise.all((await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(statOf))
  const sum = (belongs: (stat: Stat) => boolean) =>
    all.reduce((total, stat) => total + (stat !== null && belongs(stat) ? stat.cpuMs : 0), 0)
  return {
    worker: sum(({ pid }) => workerPids.includes(pid)),
    node: (user + system) / 1000,
    postgres: sum(({ pid, parent }) => pid === postmasterPid || parent === postmasterPid),
  }
}

type Stat = { pid: number; parent: number; cpuMs: number }

/** Of `postgres` with a client: its parent is the postmaster. */
export async function parentOf(pid: number): Promise<number> {
  return hasProc ? ((await statOf(String(pid)))?.parent ?? 0) : 0
}

async function statOf(pid: string): Promise<Stat | null> {
  // A process may end between the listing and the look.
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  if (stat === null) return null
  // The name, in parentheses, may hold spaces: what counts begins after it, with the state.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { pid: Number(pid), parent: Number(fields[1]), cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS }
}
