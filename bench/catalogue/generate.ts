import { readFileSync } from 'node:fs'
import { parse } from 'csv-parse/sync'
import { random } from './typos.ts'

/** Records as real catalogues have them, as many as are asked for, the same for the same seed. Titles and descriptions follow
 *  the words of real ones, pair by pair; new words and names come all the time and stay rare, as they do in catalogues
 *  (Heaps' law); subjects, authors and languages are few common ones and many rare ones (Zipf's). */

export type Seeds = { titles: string[]; descriptions: string[]; names: string[]; subjects: string[] }

/** From books-7k.csv, or another file with its columns. */
export function readSeeds(file: string): Seeds {
  const rows: Record<string, string>[] = parse(readFileSync(file), { columns: true })
  return {
    titles: rows.map((row) => row['title'] ?? ''),
    descriptions: rows.map((row) => row['description'] ?? '').filter((text) => text.length > 100),
    names: rows.flatMap((row) => (row['authors'] ?? '').split(';')).filter((name) => / /.test(name)),
    subjects: rows.map((row) => row['categories'] ?? '').filter(Boolean),
  }
}

type Chain = { starts: string[]; after: Map<string, string[]>; lengths: number[] }

function chainOf(texts: string[]): Chain {
  const chain: Chain = { starts: [], after: new Map(), lengths: [] }
  for (const text of texts) {
    const words = text.split(/\s+/).filter(Boolean)
    if (words[0] === undefined) continue
    chain.starts.push(words[0])
    chain.lengths.push(words.length)
    for (const [place, word] of words.slice(0, -1).entries()) {
      const next = chain.after.get(word) ?? []
      next.push(words[place + 1] ?? '')
      chain.after.set(word, next)
    }
  }
  return chain
}

const languages: [string, number][] = [
  ['en', 0.78],
  ['de', 0.06],
  ['fr', 0.06],
  ['es', 0.05],
  ['it', 0.02],
  ['pt', 0.01],
  ['ja', 0.01],
  ['ru', 0.01],
]
const syllables =
  'ba be bi bo ca ce co da de di do fa fe fi ga ge go ha he hi ka ke ki ko la le li lo lu ma me mi mo na ne ni no pa pe po ra re ri ro sa se si so ta te ti to va ve vi vo wa we za ze zo an en in on ar er or al el il ol as es is us'.split(
    ' ',
  )

export function* generate({ seeds, seed, count }: { seeds: Seeds; seed: number; count: number }) {
  const next = random(seed)
  const pick = <T>(list: T[]): T => {
    const one = list[Math.floor(next() * list.length)]
    if (one === undefined) throw new Error('nothing to choose from')
    return one
  }
  /** The place in a list of `size` of which the first are the commonest. */
  const zipf = (size: number) => Math.floor(size ** next()) - 1
  const invented = (place: number) => {
    const own = random(place * 7919 + 13)
    return Array.from(
      { length: 2 + Math.floor(own() * 3) },
      () => syllables[Math.floor(own() * syllables.length)],
    ).join('')
  }
  const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1)
  const titles = chainOf(seeds.titles)
  const descriptions = chainOf(seeds.descriptions)
  const firstNames = seeds.names.map((name) => name.split(' ')[0] ?? name)
  const lastNames = seeds.names.map((name) => name.split(' ').at(-1) ?? name)

  const textOf = (chain: Chain, length: number, rare: number) => {
    const words = [pick(chain.starts)]
    while (words.length < length) {
      const last = words.at(-1) ?? ''
      words.push(pick(chain.after.get(last) ?? chain.starts))
    }
    return words.map((word) => (word.length > 4 && next() < rare ? capital(invented(zipf(80_000))) : word)).join(' ')
  }
  const personOf = (place: number) => {
    const own = random(place * 104_729 + 7)
    const first = firstNames[Math.floor(own() * firstNames.length)] ?? 'Ann'
    const last =
      own() < 0.5
        ? lastNames[Math.floor(own() * lastNames.length)]
        : capital(invented(20_000 + Math.floor(own() * 60_000)))
    return own() < 0.3 ? `${first} ${capital(invented(place % 500)).charAt(0)}. ${last}` : `${first} ${last}`
  }
  const subjectOf = (place: number) => {
    const own = random(place * 31 + 3)
    const first = seeds.subjects[Math.floor(own() * seeds.subjects.length)] ?? 'Fiction'
    const kinds = [
      '',
      ' -- Fiction',
      ' -- History',
      ' -- Biography',
      ' -- Criticism',
      ' -- Handbooks',
      ' -- 19th century',
      ' -- 20th century',
    ]
    return `${first}${kinds[place % kinds.length]}`
  }
  const languageOf = () => {
    let left = next()
    return languages.find(([, share]) => (left -= share) < 0)?.[0] ?? 'en'
  }

  for (let n = 0; n < count; n++) {
    const length = Math.min(14, 1 + Math.floor(pick(titles.lengths) * (0.7 + next() * 0.6)))
    yield {
      title: textOf(titles, length, 0.12).slice(0, 480),
      subtitle: next() < 0.3 ? textOf(titles, 3 + Math.floor(next() * 6), 0.05).slice(0, 480) : null,
      contributors: Array.from({ length: next() < 0.8 ? 1 : 2 }, () => ({
        name: personOf(zipf(count / 2)),
        role: 'author',
      })),
      publisher: null,
      publishedYear: 2025 - zipf(200),
      language: languageOf(),
      edition: null,
      subjects: [...new Set(Array.from({ length: 1 + Math.floor(next() * 4) }, () => subjectOf(zipf(8_000))))],
      description: next() < 0.85 ? textOf(descriptions, 25 + Math.floor(next() * 60), 0.01) : null,
      series:
        next() < 0.15
          ? [
              {
                name: `${capital(invented(zipf(30_000)))} ${pick(['chronicles', 'series', 'library', 'classics'])}`,
                number: String(1 + Math.floor(next() * 12)),
              },
            ]
          : [],
      originalScript: null,
      links: [],
      isbns: [],
      identifiers: [],
    }
  }
}
