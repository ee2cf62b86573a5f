import { readFileSync } from 'node:fs'
import { parse } from 'csv-parse/sync'
import { readIsbn } from '../../src/features/books/isbn.ts'

/** The 10,000 books of goodbooks-10k (CC BY-SA 4.0) as records, the most read first. Their titles hold the series:
 *  'The Hunger Games (The Hunger Games, #1)'. */

type Row = { title: string; authors: string; isbn: string; language_code: string; original_publication_year: string }

const languages: Record<string, string> = {
  eng: 'en',
  'en-US': 'en',
  'en-GB': 'en',
  'en-CA': 'en',
  fre: 'fr',
  ger: 'de',
  spa: 'es',
  ita: 'it',
}

export function readGoodbooks(file: string) {
  const rows: Row[] = parse(readFileSync(file), { columns: true })
  return rows.map(recordOf)
}

function recordOf(row: Row) {
  const [, title = row.title, seriesName, seriesNumber] = /^(.*?)(?: \((.*?),? #([\d.-]+).*\))?$/.exec(row.title) ?? []
  const year = Number(row.original_publication_year)
  const isbn = readIsbn(row.isbn.padStart(10, '0'))
  return {
    title,
    subtitle: null,
    contributors: row.authors
      .split(', ')
      .map((name) => ({ name: name.replace(/\s+/g, ' ').slice(0, 200), role: 'author' })),
    publisher: null,
    publishedYear: Number.isInteger(year) && row.original_publication_year !== '' ? year : null,
    language: languages[row.language_code] ?? null,
    edition: null,
    subjects: [],
    description: null,
    series: seriesName === undefined ? [] : [{ name: seriesName, number: seriesNumber ?? null }],
    originalScript: null,
    links: [],
    isbns: isbn === null ? [] : [isbn],
    identifiers: [],
  }
}
