import { plugins } from '@citation-js/core'
// oxlint-disable-next-line import/no-unassigned-import -- a plugin adds itself
import '@citation-js/plugin-bibtex'
// oxlint-disable-next-line import/no-unassigned-import -- a plugin adds itself
import '@citation-js/plugin-ris'
import { ISO2709, MARCXML } from '@natlibfi/marc-record-serializers'
import { parse as parseCsv } from 'csv-parse/sync'
import fc from 'fast-check'
import { iso6392 } from 'iso-639-2'
import { describe, expect, test } from 'vitest'
import { Book, NewBook } from '../../src/features/books/schema.ts'
import { fileOf, fileOfOne, type Item, originOf } from '../../src/features/exports/formats.ts'
import { exportedMarc } from '../../src/features/exports/marc-export.ts'
import { marcLanguage, nonfilingCharacters } from '../../src/features/exports/languages.ts'
import { onOneLine } from '../../src/features/exports/line.ts'
import { nameOf } from '../../src/features/exports/names.ts'
import type { ExportFormat, MarcRecord } from '../../src/features/exports/schema.ts'

/** The writers of files, whose output others' parsers read. */

const origin = originOf('https://library.test')

const bookOf = (record: object, version = 1): Book =>
  Book.parse({
    ...NewBook.parse(record),
    id: '01a20c1c-656d-7ba8-a44c-4c09da1c0b1d',
    availability: { physical: { copies: 0, available: 0 }, digital: { copies: 0, available: 0 }, holds: 0 },
    version,
    createdAt: '2025-03-04T05:06:07.000Z',
    updatedAt: '2025-04-05T06:07:08.000Z',
  })

const write = (format: ExportFormat, book: Book, marc: MarcRecord | null = null) =>
  fileOfOne(format, { book, marc }, origin)

/** Hostile to one format or another, or just text. */
const signs = [
  ...Array.from('\\{}~^#$%&_"\'`<>=+-@;,:/|()[] \u200f'),
  '--',
  "''",
  '``',
  ' and ',
  'AU  - ',
  'ER  - ',
  '\u{1f4da}',
  'é',
  '\u00a0',
  '書',
  'ב',
  ']]>',
  '&amp;',
  '\\n',
  'a',
  'B',
  '1',
]
const text = (max: number) =>
  fc
    .oneof(
      fc.array(fc.constantFrom(...signs), { minLength: 1, maxLength: 20 }).map((parts) => parts.join('')),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
      fc.constant('书'.repeat(max)),
    )
    .map((value) => value.slice(0, max))
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })
const few = <T>(value: fc.Arbitrary<T>, maxLength = 3) => fc.array(value, { maxLength })

const isbns = ['9780141439518', '9780306406157', '9791090636071', '9782070360024']
const roles = [
  'author',
  'editor',
  'translator',
  'illustrator',
  'narrator',
  'composer',
  'photographer',
  'compiler',
  'contributor',
]

/** What the API accepts, as it keeps it. */
const anyBook = fc
  .record({
    title: text(500),
    subtitle: optional(text(500)),
    contributors: few(
      fc.record({
        name: fc.oneof(
          text(200),
          fc.constantFrom('Austen, Jane', 'van Gogh, Vincent', 'Penguin Books, Ltd.', 'Molière'),
        ),
        role: fc.constantFrom(...roles),
      }),
      5,
    ),
    publisher: optional(text(300)),
    publishedYear: optional(fc.integer({ min: -4000, max: 2100 })),
    language: optional(fc.constantFrom('en', 'fr', 'pt-BR', 'zh-Hant', 'grc', 'de-CH')),
    subjects: few(text(200)),
    description: optional(
      fc.oneof(text(10_000), fc.constantFrom('One.\r\n\r\nTwo.\t\u2028Three.', 'ER  - \r\nTY  - BOOK\r\n')),
    ),
    edition: optional(text(200)),
    series: few(fc.record({ name: text(300), number: optional(text(40)) })),
    originalScript: optional(fc.record({ title: optional(text(500)), contributors: few(text(200)) })),
    links: few(
      fc.record({
        url: fc.constantFrom('https://example.org/a?b=c&d=%7B', 'http://example.org/{x}_y'),
        label: optional(text(300)),
      }),
    ),
    isbns: fc.subarray(isbns),
    identifiers: few(
      fc.record({
        scheme: fc.constantFrom('doi', 'issn', 'lccn', 'oclc', 'ol', 'goodreads', 'other'),
        value: text(200),
      }),
    ),
  })
  .filter((record) => NewBook.safeParse(record).success)
  .map((record) => bookOf(record))

const namesOf = (book: Book, role?: string) =>
  book.contributors
    .filter((contributor) => role === undefined || contributor.role === role)
    .map(({ name }) => onOneLine(name))

/** A strict reader of ISO 2709, by its bytes. */
function readIso2709(bytes: Uint8Array): { leader: string; fields: [tag: string, text: string][] } {
  const decode = (from: number, to: number) =>
    new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(from, to))
  const leader = decode(0, 24)
  expect(leader).toMatch(/^\d{5}[a-z]am a22\d{5}7i 4500$/)
  expect(Number(leader.slice(0, 5))).toBe(bytes.length)
  expect(bytes.at(-1)).toBe(0x1d)
  const base = Number(leader.slice(12, 17))
  expect(bytes[base - 1]).toBe(0x1e)
  const directory = decode(24, base - 1)
  expect(directory).toMatch(/^(\d{3}\d{4}\d{5})+$/)
  let next = 0
  const fields = (directory.match(/.{12}/g) ?? []).map((entry): [string, string] => {
    const [length, start] = [Number(entry.slice(3, 7)), Number(entry.slice(7))]
    expect(start).toBe(next)
    next = start + length
    expect(bytes[base + next - 1]).toBe(0x1e)
    const field = decode(base + start, base + next - 1)
    expect(['\u001d', '\u001e'].filter((divider) => field.includes(divider))).toEqual([])
    return [entry.slice(0, 3), field]
  })
  expect(base + next + 1).toBe(bytes.length)
  return { leader, fields }
}

const encode = (value: string) => new TextEncoder().encode(value)

/** Title, names and ISBNs, as a record of MARC has them. */
function saidByMarc(fields: { tag: string; value?: string; subfields?: { code: string; value: string }[] }[]) {
  const subfields = (form: RegExp, code: string) =>
    fields
      .filter(({ tag }) => form.test(tag))
      .flatMap((field) => field.subfields ?? [])
      .filter((subfield) => subfield.code === code)
      .map(({ value }) => value)
  const bare = (value: string | undefined) => value?.replace(/\s+[:/]$/, '') ?? null
  return {
    title: bare(subfields(/^245$/, 'a')[0]),
    subtitle: bare(subfields(/^245$/, 'b')[0]),
    names: subfields(/^[17]00$/, 'a').toSorted(),
    isbns: subfields(/^020$/, 'a'),
  }
}

const said = (book: Book) => ({
  title: onOneLine(book.title),
  subtitle: book.subtitle === null ? null : onOneLine(book.subtitle),
  names: namesOf(book).toSorted(),
  isbns: book.isbns,
})

/** A title may end in what ISBD writes behind titles. */
const endsInIsbd = ({ title, subtitle }: Book) => [title, subtitle ?? ''].some((its) => /[:/]\s*$/.test(its))

const lenient = { strict: false, fields: false, subfields: false, subfieldValues: false, controlFieldValues: false }

describe('any book that the API accepts comes out well formed, and is read back, in', () => {
  const always = (check: (book: Book) => void | Promise<void>) =>
    fc.assert(
      fc.asyncProperty(anyBook, async (book) => check(book)),
      { numRuns: 100 },
    )

  test('ISO 2709', () =>
    always((book) => {
      const file = write('mrc', book)
      const { fields } = readIso2709(encode(file))
      if (!endsInIsbd(book)) {
        const parsed = fields.map(([tag, field]) => ({
          tag,
          subfields: field
            .split('\u001f')
            .slice(1)
            .map((its) => ({ code: its.slice(0, 1), value: its.slice(1) })),
        }))
        expect(saidByMarc(parsed)).toEqual(said(book))
      }
      // The parser knows no characters beyond U+FFFF.
      if (/[\u{10000}-\u{10ffff}]/u.test(file)) return
      expect(ISO2709.from(file, lenient).fields.map(({ tag }) => tag)).toEqual(fields.map(([tag]) => tag))
    }))

  test('MARCXML', () =>
    always(async (book) => {
      const file = write('xml', book)
      const record = /<record>[\s\S]*<\/record>/.exec(file)?.[0] ?? ''
      const { leader, fields } = await MARCXML.from(record, lenient)
      expect(leader).toBe('00000nam a22000007i 4500')
      expect(fields.find(({ tag }) => tag === '008')?.value).toHaveLength(40)
      if (endsInIsbd(book)) return
      const { title, subtitle, names, isbns: read } = saidByMarc(fields)
      // The parser trims, and takes empty text away.
      expect({ title, subtitle, names, isbns: read }).toEqual(said(book))
    }))

  test('CSV, with no cell that a spreadsheet would run', () =>
    always((book) => {
      const rows: string[][] = parseCsv(write('csv', book), { record_delimiter: '\r\n', relax_column_count: false })
      const [names = [], values = []] = rows
      const row = Object.fromEntries(names.map((name, i) => [name, values[i]]))
      const authors = book.contributors.filter(({ role }) => role === 'author').map(({ name }) => name)
      const disarmed = (value: string) => (/^[=+\-@]/.test(value) ? `'${value}` : value)
      expect(rows).toHaveLength(2)
      expect(values.filter((value) => /^[=+\-@\t\r]/.test(value))).toEqual([])
      expect(row['title']).toBe(disarmed(book.title))
      expect(row['authors']).toBe(disarmed(authors.join('; ')))
      expect(row['isbn']).toBe(book.isbns.join('; '))
    }))

  test('JSON lines', () =>
    always((book) => {
      const lines = fileOf(
        'jsonl',
        [
          { book, marc: null },
          { book, marc: null },
        ],
        origin,
      ).split('\n')
      expect(lines.pop()).toBe('')
      expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([book, book])
    }))

  test('BibTeX', () =>
    always((book) => {
      const file = write('bib', book)
      const [item, ...others] = plugins.input.chain(file, { generateGraph: false })
      expect(others).toEqual([])
      // The parser makes each space a plain one; in the file they are as they were.
      const plain = (part: string) => part.replaceAll(/\s+/g, ' ').trim()
      const title = [book.title, book.subtitle ?? []].flat().map(onOneLine).join(': ')
      expect(plain(String(item?.['title']))).toBe(plain(title))
      for (const space of title.match(/[^\S ]/g) ?? []) expect(file).toContain(space)
      expect(item?.['author'] ?? []).toEqual(
        namesOf(book, 'author').map((text) => {
          const parts = nameOf(text)
          return 'literal' in parts
            ? { family: plain(text) }
            : { family: plain(parts.family), given: plain(parts.given) }
        }),
      )
      expect(item?.['ISBN']).toBe(book.isbns.length === 0 ? undefined : book.isbns.join(', '))
    }))

  test('RIS', () =>
    always((book) => {
      const lines = write('ris', book).split('\r\n')
      expect(lines[0]).toBe('TY  - BOOK')
      expect(lines.slice(-3)).toEqual(['ER  - ', '', ''])
      const tags = lines.slice(0, -2).map((line) => /^([A-Z][A-Z0-9]) {2}- (.*)$/.exec(line))
      expect(tags).not.toContain(null)
      const of = (tag: string) => tags.filter((match) => match?.[1] === tag).map((match) => match?.[2])
      const title = book.subtitle === null ? book.title : `${book.title}: ${book.subtitle}`
      expect(of('TI')).toEqual([onOneLine(title)])
      expect(of('AU')).toEqual(namesOf(book, 'author'))
      expect(of('SN')).toEqual(book.isbns)
      expect(of('ER')).toEqual([''])
      const [item] = plugins.input.chain(lines.join('\n'), { generateGraph: false })
      expect(item?.['type']).toBe('book')
    }))

  test('CSL-JSON', () =>
    always((book) => {
      const items: { title: string; author?: object[]; ISBN?: string }[] = JSON.parse(write('csl.json', book))
      const [item] = items
      expect(items).toHaveLength(1)
      expect(item?.title.startsWith(book.title)).toBe(true)
      expect(item?.author ?? []).toEqual(
        book.contributors.filter(({ role }) => role === 'author').map(({ name }) => nameOf(name)),
      )
      expect(item?.ISBN?.split(' ') ?? []).toEqual(book.isbns)
    }))

  test('JSON-LD, which no </script> ends', () =>
    always((book) => {
      const file = write('jsonld', book)
      expect(file).not.toContain('<')
      const item: { name: string; author?: { name: string }[]; isbn: string[] } = JSON.parse(file)
      expect([item.name, item.isbn]).toEqual([book.title, book.isbns])
      expect((item.author ?? []).map(({ name }) => name)).toEqual(
        book.contributors.filter(({ role }) => role === 'author').map(({ name }) => name),
      )
    }))
})

/** A field as cataloguers write it: tag, indicators, subfields. */
const written = ({ fields }: { fields: MarcRecord['fields'] }) =>
  fields.flatMap((field) =>
    Object.entries(field).map(([tag, content]) =>
      typeof content === 'string'
        ? `${tag} ${content}`
        : `${tag} ${content.ind1}${content.ind2} ${content.subfields.flatMap((its) => Object.entries(its).map(([code, its]) => `$${code} ${its}`)).join(' ')}`,
    ),
  )

/** And the other way round. */
const record = (...lines: string[]): MarcRecord => ({
  leader: '01234cam  2200301 i 4500',
  fields: lines.map((line) => {
    const [tag, rest] = [line.slice(0, 3), line.slice(4)]
    if (tag.startsWith('00')) return { [tag]: rest }
    const subfields = rest
      .slice(3)
      .split(/(?:^| )\$/)
      .slice(1)
      .map((part) => ({ [part.slice(0, 1)]: part.slice(2) }))
    return { [tag]: { ind1: rest.slice(0, 1), ind2: rest.slice(1, 2), subfields } }
  }),
})

describe('a record made of a book', () => {
  test('is a full one', () => {
    const book = bookOf({
      title: 'The Left Hand',
      subtitle: 'A Novel',
      contributors: [
        { name: 'Булгаков, Михаил', role: 'author' },
        { name: 'Mirra Ginsburg', role: 'translator' },
      ],
      publisher: 'Grove Press',
      publishedYear: 967,
      language: 'en-GB',
      subjects: ['Satire'],
      description: 'One.\n\nTwo.',
      edition: '2nd ed.',
      series: [{ name: 'Evergreen', number: '3' }, { name: 'Other' }],
      originalScript: { title: 'Рука', contributors: ['Булгаков', 'Гинзбург'] },
      links: [{ url: 'https://example.org/1', label: 'Read' }],
      isbns: ['9780141439518'],
      identifiers: [
        { scheme: 'oclc', value: '123' },
        { scheme: 'doi', value: '10.1/x' },
        { scheme: 'lccn', value: 'n 1' },
        { scheme: 'issn', value: '1234-5679' },
        { scheme: 'other', value: 'y' },
      ],
    })
    const { leader, ...marc } = exportedMarc({ book, marc: null }, origin)
    expect(leader).toBe('00000nam a22000007i 4500')
    expect(written(marc)).toEqual([
      '001 01a20c1c-656d-7ba8-a44c-4c09da1c0b1d',
      '003 library.test',
      '005 20250405060708.0',
      '008 250304s0967    xx |||||||||||||||||eng d',
      '010    $a n 1',
      '020    $a 9780141439518',
      '022    $a 1234-5679',
      '024 7  $a 10.1/x $2 doi',
      '024 8  $a y',
      '035    $a (OCoLC)123',
      '040    $a library.test $b eng $c library.test',
      '041  7 $a en-GB $2 rfc5646',
      '100 1  $6 880-02 $a Булгаков, Михаил $4 aut',
      '245 14 $6 880-01 $a The Left Hand : $b A Novel / $c Михаил Булгаков.',
      '250    $a 2nd ed.',
      '264  1 $b Grove Press, $c 967.',
      '490 0  $a Evergreen ; $v 3',
      '490 0  $a Other',
      '520    $a One. Two.',
      '650  4 $a Satire',
      '700 0  $6 880-03 $a Mirra Ginsburg $4 trl',
      '856 40 $u https://example.org/1 $y Read',
      '880 10 $6 245-01/(N $a Рука',
      '880 1  $6 100-02/(N $a Булгаков',
      '880 0  $6 700-03/(N $a Гинзбург',
    ])
  })

  test('has the languages of MARC, whatever ISO 639 calls them', () => {
    const differing = iso6392.filter(
      ({ iso6391, iso6392B, iso6392T }) =>
        (iso6391 !== undefined && marcLanguage(iso6391) !== iso6392B) ||
        (iso6392T !== undefined && marcLanguage(iso6392T) !== iso6392B) ||
        (iso6392B.length === 3 && marcLanguage(iso6392B) !== iso6392B),
    )
    expect(differing).toEqual([])
    expect(['zh-Hant-TW', null, 'xx'].map(marcLanguage)).toEqual(['chi', 'und', 'und'])
  })

  test.each([
    ['The Hobbit', 'en', 4],
    ['A', 'en', 0],
    ['Theory', 'en', 0],
    ['Die Hard', 'en', 0],
    ['Die Blechtrommel', 'de-CH', 4],
    ["L'étranger", 'fr', 2],
    ['L’étranger', 'fr', 2],
    ['The Hobbit', null, 0],
    ['The', 'en', 0],
  ])('does not sort %s (%s) by the first %i characters', (title, language, count) => {
    expect(nonfilingCharacters(title, language)).toBe(count)
  })

  test('that ISO 2709 has no room for goes without what matters least, and says so', () => {
    const name = '著'.repeat(200)
    const book = bookOf({
      title: 'Long',
      isbns: ['9780141439518'],
      contributors: Array.from({ length: 100 }, () => ({ name, role: 'editor' })),
      originalScript: { contributors: Array.from({ length: 100 }, () => name) },
      subjects: Array.from({ length: 100 }, () => name),
      description: '書 '.repeat(5_000),
    })
    const { fields } = readIso2709(encode(write('mrc', book)))
    const count = (tag: string) => fields.filter((field) => field[0] === tag).length
    expect(fields.find(([tag]) => tag === '500')?.[1].slice(4)).toMatch(
      /^Fields that ISO 2709 has no room for: \d+\. The whole record: https:\/\/library\.test\/v1\/books\/[0-9a-f-]{36}\/exports\/xml$/,
    )
    expect([count('245'), count('020'), count('700'), count('520')]).toEqual([1, 1, 100, 0])
    const whole = write('xml', book)
    expect(whole.match(/tag="(700|880|650)"/g)).toHaveLength(300)
    // A description that is too long for one field is several.
    expect(whole.match(/tag="520"/g)?.length).toBeGreaterThan(1)
    const alone = readIso2709(encode(write('mrc', bookOf({ title: 'x', description: '書'.repeat(10_000) })))).fields
    expect(
      alone
        .filter(([tag]) => tag === '520')
        .map(([, field]) => field.slice(4))
        .join(''),
    ).toBe('書'.repeat(10_000))
  })

  test('holds no character that would divide it or that XML has not', () => {
    const marc = record('001 a\u001eb', '245 00 $a x\u001dy\u0001<&>"\ud800')
    const book = bookOf({ title: 'x y' })
    expect(write('xml', book, marc)).toContain('<subfield code="a">x y &lt;&amp;&gt;&quot;\ufffd</subfield>')
    expect(write('mrc', book, marc).split('\u001e')).toHaveLength(4)
  })
})

describe('the record that a book came in', () => {
  const marc = record(
    '001 ocm123',
    '003 OCoLC',
    '005 19990101000000.0',
    '008 990101s1817    enkab    b    001 0 eng d',
    '010    $a    99012345',
    '020    $a 0141439513 (pbk.)',
    '020    $z 9999999999',
    '035    $a (OCoLC)ocm00012345',
    '040    $a DLC $c DLC',
    '100 1  $6 880-01 $a Austen, Jane, $d 1775-1817, $e author.',
    '240 10 $a Works',
    '245 10 $a Northanger Abbey : $b a novel / $c by Miss Austen.',
    '260    $a London : $b John Murray, $c 1817.',
    '300    $a 4 v. ; $c 19 cm.',
    '490 1  $a Penguin classics ; $v 12',
    '500    $a In two volumes.',
    '504    $a Includes references.',
    '520    $a A young woman reads.',
    '600 10 $a Radcliffe, Ann, $d 1764-1823.',
    '650  0 $a Gothic fiction $z England $v Fiction.',
    '650  7 $a Satire. $2 fast',
    '700 1  $a Butler, Marilyn, $e editor.',
    '700 12 $a Austen, Jane. $t Lady Susan.',
    '830  0 $a Penguin classics ; $v 12.',
    '856 40 $u https://example.org/na $y Read it',
    '856 42 $u https://example.org/author $3 Biography',
    '880 1  $6 100-01/$1 $a 奥斯汀',
  )
  const asRead = {
    title: 'Northanger Abbey',
    subtitle: 'a novel',
    contributors: [
      { name: 'Jane Austen', role: 'author' },
      { name: 'Marilyn Butler', role: 'editor' },
    ],
    publisher: 'John Murray',
    publishedYear: 1817,
    language: 'en',
    subjects: ['Radcliffe, Ann, 1764-1823', 'Gothic fiction -- England -- Fiction', 'Satire'],
    description: 'A young woman reads.\nIn two volumes.',
    series: [{ name: 'Penguin classics', number: '12' }],
    originalScript: { contributors: ['奥斯汀'] },
    links: [
      { url: 'https://example.org/na', label: 'Read it' },
      { url: 'https://example.org/author', label: 'Biography' },
    ],
    isbns: ['9780141439518'],
    identifiers: [
      { scheme: 'oclc', value: '12345' },
      { scheme: 'lccn', value: '99012345' },
    ],
  }
  const changed = (change: object, version = 2) =>
    written(exportedMarc({ book: bookOf({ ...asRead, ...change }, version), marc }, origin))
  const original = written(marc)
  const after = (lines: string[]) => lines.map((line) => line.replace('005 19990101000000.0', '005 20250405060708.0'))

  test('goes out as it came, but for its encoding', () => {
    const { leader, ...fields } = exportedMarc({ book: bookOf(asRead), marc }, origin)
    expect(leader).toBe('01234cam a2200301 i 4500')
    expect(written(fields)).toEqual(original)
  })

  test('stays as it was where a change is not about it', () => {
    expect(changed({})).toEqual(after(original))
  })

  test.each<[string, object, RegExp | null, string[]]>([
    ['title', { title: 'Susan' }, /^245/, ['245 10 $a Susan : $b a novel / $c by Miss Austen.']],
    ['subtitle', { subtitle: null }, /^245/, ['245 10 $a Northanger Abbey / $c by Miss Austen.']],
    ['publisher', { publisher: 'Bentley' }, /^26/, ['260    $a London : $b Bentley, $c 1817.']],
    ['edition', { edition: 'New ed.' }, null, ['250    $a New ed.']],
    ['description', { description: 'Other.\nIn two volumes.' }, /^520/, ['520    $a Other.']],
    ['no description', { description: null }, /^5[02]0/, []],
    ['subjects', { subjects: ['Radcliffe, Ann, 1764-1823', 'Satire', 'Bath'] }, /^650 {2}0/, ['650  4 $a Bath']],
    [
      'a narrower subject',
      { subjects: ['Radcliffe, Ann, 1764-1823', 'Gothic fiction -- England', 'Satire'] },
      /^650 {2}0/,
      ['650  4 $a Gothic fiction -- England'],
    ],
    ['series', { series: [] }, /^(490|830)/, []],
    [
      'a role',
      { contributors: [asRead.contributors[0], { name: 'Marilyn Butler', role: 'translator' }] },
      /^700 1 /,
      ['700 1  $a Butler, Marilyn, $4 trl'],
    ],
    [
      'a name more',
      { contributors: [...asRead.contributors, { name: 'Grey, J. D.', role: 'editor' }] },
      null,
      ['700 1  $a Grey, J. D. $4 edt'],
    ],
    ['a name less', { contributors: [asRead.contributors[0]] }, /^700 1 /, []],
    ['ISBNs', { isbns: ['9780306406157'] }, /^020 {4}\$a/, ['020    $a 9780306406157']],
    [
      'identifiers',
      {
        identifiers: [
          { scheme: 'oclc', value: '12345' },
          { scheme: 'doi', value: '10.1/x' },
        ],
      },
      /^010/,
      ['024 7  $a 10.1/x $2 doi'],
    ],
    ['links', { links: [] }, /^856/, []],
    ['language', { language: 'fr' }, /^008/, ['008 990101s1817    enkab    b    001 0 fre d']],
  ])('is changed where the book was: %s', (_, change, gone, instead) => {
    const was = after(original).filter((line) => gone?.test(line) !== true)
    expect(changed(change).toSorted()).toEqual([...was, ...instead].toSorted())
  })

  test('has the year in its text and in field 008', () => {
    expect(changed({ publishedYear: 1818 }).filter((line) => /^(008|26)/.test(line))).toEqual([
      '008 990101s1818    enkab    b    001 0 eng d',
      '260    $a London : $b John Murray, $c 1818.',
    ])
  })

  test('links no script to a name that has gone', () => {
    const lines = changed({ contributors: [{ name: 'Nobody', role: 'author' }] })
    expect(lines.filter((line) => /^(100|880)/.test(line))).toEqual([
      '100 0  $a Nobody $4 aut',
      '880 1  $6 100-00/$1 $a 奥斯汀',
    ])
    const without = changed({ originalScript: null })
    expect(without.filter((line) => /^(100|880)/.test(line))).toEqual([
      '100 1  $a Austen, Jane, $d 1775-1817, $e author.',
    ])
  })
})

describe('names', () => {
  test.each([
    ['Austen, Jane', { family: 'Austen', given: 'Jane' }],
    ['van Gogh, Vincent', { family: 'van Gogh', given: 'Vincent' }],
    ['Jane Austen', { literal: 'Jane Austen' }],
    ['Austen, Jane, 1775-1817', { literal: 'Austen, Jane, 1775-1817' }],
    ['Knopf, Inc.', { literal: 'Knopf, Inc.' }],
    ['Plato', { literal: 'Plato' }],
  ])('%s', (text, name) => expect(nameOf(text)).toEqual(name))
})

test('a file of several books is one file, and one of none is empty', () => {
  const items: Item[] = ['One', 'Two'].map((title) => ({ book: bookOf({ title }), marc: null }))
  const list: { itemListElement: object[] } = JSON.parse(fileOf('jsonld', items, origin))
  expect(list).toMatchObject({ '@type': 'ItemList', itemListElement: [{ name: 'One' }, { name: 'Two' }] })
  expect(JSON.parse(fileOf('csl.json', items, origin))).toHaveLength(2)
  expect(JSON.parse(fileOf('csl.json', [], origin))).toEqual([])
  expect(JSON.parse(fileOf('jsonld', [], origin))).toMatchObject({ itemListElement: [] })
  expect(fileOf('mrc', items, origin).split('\u001d')).toHaveLength(3)
  expect(fileOf('xml', items, origin).match(/<record>/g)).toHaveLength(2)
})
