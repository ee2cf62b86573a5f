/** A name of which the parts are known, or as it stands. */
export type Name = { family: string; given: string } | { literal: string }

/** What follows the comma in the names of firms. */
const FIRM = /^(inc|ltd|llc|limited|plc|gmbh|ag|co|corp|s\.a|s\.l|b\.v|n\.v)\.?$/i

/** The catalogue keeps a name as one text. Only 'Family, Given' tells its parts: neither the last word nor the first is the
 *  family name everywhere, and bodies have names too. */
export function nameOf(text: string): Name {
  const [, family, given] = /^([^,]*[^,\s]), ([^,\s][^,]*)$/.exec(text) ?? []
  return family === undefined || given === undefined || FIRM.test(given) ? { literal: text } : { family, given }
}
