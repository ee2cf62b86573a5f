/** What tests, in workerd, ask of the laboratory, in Node. */
export type Command =
  | { verb: 'open-library'; edits: Edit[]; statements: string[] }
  | { verb: 'drop-library'; databaseUrl: string }
  | { verb: 'open-server'; settings: Record<string, string> }
  | { verb: 'crash-server'; databaseUrl: string; signal: CrashSignal }
  | { verb: 'start-server'; databaseUrl: string }
  | { verb: 'end-server'; databaseUrl: string }
  | { verb: 'await-fault'; run: string }

/** The addresses of a database: the owner's, which names it to the laboratory, and the Worker's. */
export type Opened = { ownerUrl: string; workerUrl: string }

/** Every place of the text in the body of a function of ours, replaced. A text that is not there is an error. */
export type Edit = { function: string; replace: string; by: string }

/** SIGQUIT ends all of PostgreSQL at once; SIGKILL ends its parent process, which its children then notice. */
export type CrashSignal = 'SIGQUIT' | 'SIGKILL'

/** What can go wrong between a Worker and its database: test/local/faults.ts says what each does. */
export const faultNames = [
  'refuse',
  'reset',
  'empty',
  'garbage',
  'other-json',
  'other-type',
  'bad-gateway',
  'redirect',
  'delay-before',
  'run-late',
  'stuck',
  'delay-after',
  'drop-answer',
  'half-answer',
  'stall-answer',
  'error-500',
  'error-500-after',
  'html',
  'html-after',
  'too-many',
  'too-large',
  'cancel-midway',
] as const

export type FaultName = (typeof faultNames)[number]

/** The only password that the stand-in for Have I Been Pwned knows. */
export const BREACHED_PASSWORD = 'copper lanterns drift homeward'

/** How that stand-in answers: test/local/range-api.ts says what each does. */
export const rangeBehaviours = [
  'hit',
  'miss',
  'padded-hit',
  'count-0',
  'hang',
  'hang-midway',
  'error-500',
  'redirect',
  'garbage',
  'garbage-after-hit',
  'empty',
  'huge',
] as const

export type RangeBehaviour = (typeof rangeBehaviours)[number]

export type RangeRequest = { method: string; url: string; headers: Record<string, string>; body: string }
