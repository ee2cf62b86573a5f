import { problem } from '../../problem.ts'

/** Answered before anything is compared, so it says nothing about what was tried. */
export const tooManyAttempts = (waitSeconds: number) =>
  problem('too-many-attempts', { headers: { 'retry-after': String(waitSeconds) } })
