import { parse } from 'isbn3'

/** The 13 digits of an ISBN in any spelling, or null if it is none. An ISBN-10 counts as the ISBN-13 it became. */
export function readIsbn(text: string): string | null {
  const compact = text.replace(/^(urn:isbn:|isbn(-1[03])?:?)/i, '').replace(/[\s\u2010-\u2015-]/g, '')
  if (!/^([0-9]{9}[0-9Xx]|[0-9]{13})$/.test(compact)) return null
  return parse(compact.toUpperCase())?.isbn13 ?? null
}
