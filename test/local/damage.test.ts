import { existsSync, readFileSync } from 'node:fs'
import { Marc } from 'marcjs'
import { describe, expect, test } from 'vitest'
import { random } from '../../bench/catalogue/typos.ts'
import { damage, type Format, judge, kinds, readAll } from '../../bench/imports/damage.ts'

/** Files that are damaged as files get damaged: what is whole in them arrives, and all the rest is refused. */

const RECORDS = 60
const SEEDS = 8

const places = Array.from({ length: RECORDS }, (_, place) => place)
const title = (place: number) => `Reise ${place} nach "Übersee", 漢字 <&> ${'und zurück '.repeat(place % 4)}`.trim()

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

const marc = (place: number) =>
  Marc.format(
    {
      leader: '00000nam a2200000 a 4500',
      fields: [
        ['001', `n${place}`],
        ['008', '200101s1817    enk           000 1 eng d'],
        ['100', '1 ', 'a', `Autor ${place}`],
        ['245', '10', 'a', title(place)],
        ['650', ' 0', 'a', `Thema ${place % 7}`],
      ],
    },
    'iso2709',
  )

const xml = (place: number) =>
  `<record><leader>00000nam a2200000 a 4500</leader><controlfield tag="001">n${place}</controlfield>` +
  `<datafield tag="245" ind1="1" ind2="0"><subfield code="a">${escaped(title(place))}</subfield></datafield></record>\n`

const made: [Format, string][] = [
  ['marc', places.map(marc).join('')],
  ['marcxml', `<?xml version="1.0"?><collection>\n${places.map(xml).join('')}</collection>\n`],
  [
    'csv',
    `title,authors,year\n${places.map((place) => `"${title(place).replaceAll('"', '""')}",Autor ${place},1817\n`).join('')}`,
  ],
  ['jsonl', places.map((place) => `${JSON.stringify({ title: title(place), publishedYear: 1817 })}\n`).join('')],
]

const shared = new URL('../../../shared/data/', import.meta.url)
const real: [Format, URL][] = [
  ['marc', new URL('marc/jazz_1k.mrc', shared)],
  ['marcxml', new URL('marc/badisbns.xml', shared)],
  ['csv', new URL('goodbooks-10k/books.csv', shared)],
  ['csv', new URL('books-7k/books.csv', shared)],
]

/** So many records of a file are enough to be damaged. */
const REAL_RECORDS = 1_000

/** What was lost of each damaged copy: nothing, if all is well. */
async function lossesOf(format: Format, whole: Buffer, seeds: number) {
  const original = (await readAll(format, whole)).slice(0, REAL_RECORDS)
  const { offset = 0, bytes = whole } = original.at(-1) ?? {}
  const file = whole.subarray(0, offset + bytes.length)
  const losses = []
  for (const kind of kinds) {
    for (let seed = 1; seed <= seeds; seed++) {
      const damaged = damage({ format, file, records: original, kind, next: random(seed) })
      const reads = await readAll(format, damaged.bytes, 700)
      const { lost, unheard } = judge({ damaged, original, reads })
      // XML has tags round its records, and CSV its first row.
      const isUnheard = unheard > 0 && (format === 'marc' || format === 'jsonl')
      if (lost > 0 || isUnheard) losses.push({ kind, seed, lost, unheard })
    }
  }
  return losses
}

describe('every record that is whole arrives, and every byte of the rest is in one that is refused, of', () => {
  test.each(made)('%s', async (format, text) => {
    expect(await lossesOf(format, Buffer.from(text), SEEDS)).toEqual([])
  })

  for (const [format, url] of real) {
    const name = url.pathname.split('/').slice(-2).join('/')
    test.skipIf(!existsSync(url))(`${name} (shared/data is there)`, async () => {
      expect(await lossesOf(format, readFileSync(url), 1)).toEqual([])
    })
  }
})
