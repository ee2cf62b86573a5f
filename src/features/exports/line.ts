/** Text on one line, well formed and without control characters: MARC divides by them, XML has none, and a line break ends
 *  what RIS says. */
export const onOneLine = (text: string) =>
  text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\u2028\u2029\ufffe\uffff]/gu, ' ')
    .replaceAll(/ +/g, ' ')
    .trim()
