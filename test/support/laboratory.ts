import { env } from 'cloudflare:workers'
import type { Command, CrashSignal, Edit, FaultName, Opened } from './commands.ts'
import { libraryWith } from './library.ts'

/** Libraries and servers of a test's own. What a test does not give back ends with the run. */

/**
 * A library with an empty database that no other test touches. `edits` change functions of ours, so that a check can be
 * shown to notice that they are broken; `statements` are run after that.
 */
export async function aLibraryApart({ edits = [], statements = [] }: { edits?: Edit[]; statements?: string[] } = {}) {
  const opened = await command<Opened>({ verb: 'open-library', edits, statements })
  return { ...libraryAt(opened), drop: () => command({ verb: 'drop-library', databaseUrl: opened.ownerUrl }) }
}

/** A library on a PostgreSQL of its own, which is started with these settings, keeps its promises and can be killed. */
export async function aServerApart(settings: Record<string, string> = {}) {
  const opened = await command<Opened>({ verb: 'open-server', settings })
  const databaseUrl = opened.ownerUrl
  return {
    ...libraryAt(opened),
    crash: (signal: CrashSignal) => command({ verb: 'crash-server', databaseUrl, signal }),
    start: () => command({ verb: 'start-server', databaseUrl }),
    end: () => command({ verb: 'end-server', databaseUrl }),
  }
}

/** The library that test files share, reached through an isolate of its own, which knows nothing of what others met. */
export const anIsolate = () => libraryWith({ ...env })

function libraryAt({ ownerUrl, workerUrl }: Opened) {
  const apart = { ...env, DATABASE_URL: workerUrl, OWNER_DATABASE_URL: ownerUrl }
  return {
    ...libraryWith(apart),
    /** The same library through another isolate, which knows nothing of what others met. */
    isolate: (change: Partial<Cloudflare.Env> = {}) => libraryWith({ ...apart, ...change }),
    /** The same library, where so many round trips to the database meet a fault, after those that are skipped. */
    faulty: (fault: FaultName, { times = 1, skip = 0 } = {}) => {
      const run = crypto.randomUUID()
      const DATABASE_ENDPOINT = `${env.DATABASE_ENDPOINT}?fault=${fault}&times=${times}&skip=${skip}&run=${run}`
      return {
        ...libraryWith({ ...apart, DATABASE_ENDPOINT }),
        /** Waits until nothing that met the fault can have any effect any more. */
        over: () => command({ verb: 'await-fault', run }),
      }
    },
  }
}

async function command<T extends object>(given: Command): Promise<T> {
  const response = await fetch(env.LABORATORY, { method: 'POST', body: JSON.stringify(given) })
  const body = await response.json<T & { message?: string }>()
  if (!response.ok) throw new Error(`The laboratory could not ${given.verb}: ${body.message}`)
  return body
}
