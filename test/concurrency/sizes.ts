import { factor, seed } from '../support/effort.ts'

/** A crowd does so many things in one library, another as many in the next. A seed repeats what they ask for, but not which
 *  of two that meet is first. */
export const crowd = { patrons: 5, staff: 6 }
export const deeds = 1_500
export const seeds = Array.from({ length: factor }, (_, index) => seed + index)

/** A crowd in a library that is broken is judged each time after so many deeds, until what is wrong has been seen. */
export const control = { deeds: 100, rounds: 40 }

/** Who want the last copy at once, and how often. */
export const rivals = { patrons: 200, rounds: 20 * factor }
