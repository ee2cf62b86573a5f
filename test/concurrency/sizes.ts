import { factor } from '../support/effort.ts'

export const crowd = { patrons: 5, staff: 6 }
export const deeds = 2_000 * factor

/** A crowd in a library that is broken is judged each time after so many deeds, until what is wrong has been seen. */
export const control = { deeds: 100, rounds: 40 }

export const rivals = { patrons: 200, rounds: 20 * factor }
