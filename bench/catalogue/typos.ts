/** Typing errors as people make them, one to a word: a letter left out, another one, one too many, two that change places. */

/** mulberry32: the same numbers for the same seed. */
export function random(seed: number) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const letters = 'abcdefghijklmnopqrstuvwxyz'

export function withTypo(word: string, next: () => number) {
  if (word.length < 2) return word
  const place = Math.floor(next() * word.length)
  const letter = letters[Math.floor(next() * letters.length)] ?? 'e'
  const kind = Math.floor(next() * 4)
  if (kind === 0) return word.slice(0, place) + word.slice(place + 1)
  if (kind === 1) return word.slice(0, place) + letter + word.slice(place + 1)
  if (kind === 2) return word.slice(0, place) + letter + word.slice(place)
  const left = Math.min(place, word.length - 2)
  return `${word.slice(0, left)}${word[left + 1]}${word[left]}${word.slice(left + 2)}`
}

export const withTypos = (title: string, next: () => number) =>
  title
    .split(' ')
    .map((word) => withTypo(word, next))
    .join(' ')
