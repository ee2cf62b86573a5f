import { createReadStream, existsSync } from 'node:fs'
import fc from 'fast-check'
import { Marc } from 'marcjs'
import { describe, expect, test } from 'vitest'
import { NewBook } from '../../src/features/books/schema.ts'
import { MarcRecord } from '../../src/features/imports/schema.ts'
import { batchesOf } from '../../scripts/import/batches.ts'
import { Mapping, readCsv } from '../../scripts/import/csv.ts'
import { fit } from '../../scripts/import/fit.ts'
import { readIso2709 } from '../../scripts/import/iso2709.ts'
import { readJsonLines } from '../../scripts/import/json-lines.ts'
import { toJson } from '../../scripts/import/marc-record.ts'
import { readMarcXml } from '../../scripts/import/marcxml.ts'
import type { Read } from '../../scripts/import/piece.ts'
import { progressLine } from '../../scripts/import/progress.ts'
import { csvOf } from '../../scripts/import/report.ts'

/** What `npm run import` reads of files, and of files that are damaged. */

/** In chunks of so many bytes: a record may begin and end anywhere. */
async function* streamOf(bytes: Uint8Array, chunk = 7) {
  for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk)
}

async function all<T>(generator: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of generator) found.push(one)
  return found
}

const draftOf = (read: Read | undefined) => (read !== undefined && 'draft' in read ? read.draft : undefined)
const reasonOf = (read: Read | undefined) => (read !== undefined && 'reason' in read ? read.reason : undefined)
const recordOf = (read: Read | undefined) => NewBook.parse(fit(draftOf(read) ?? {}).record)

// MARC

const FIXED = '200101s1817    enk           000 1 eng d'

/** A record of marcjs, which has a writer of its own. */
type Field = [tag: string, ...rest: string[]]
const emma: Field[] = [
  ['001', '12345'],
  ['003', 'DLC'],
  ['008', FIXED],
  ['010', '  ', 'a', '   2001012345 '],
  ['020', '  ', 'a', '9780141439518 (pbk.) :', 'c', '$9.95'],
  ['020', '  ', 'a', '0123'],
  ['024', '7 ', 'a', '10.1000/182', '2', 'doi'],
  ['035', '  ', 'a', '(OCoLC)ocm00012345'],
  ['041', '1 ', 'a', 'fre', 'h', 'eng'],
  ['100', '1 ', '6', '880-01', 'a', 'Austen, Jane,', 'd', '1775-1817.'],
  ['245', '10', 'a', 'Emma :', 'b', 'a novel in three volumes /', 'c', 'by the author.'],
  ['250', '  ', 'a', '2nd ed. /', 'b', 'revised.'],
  ['264', ' 4', 'c', '©1816'],
  ['264', ' 1', 'a', 'London :', 'b', 'John Murray,', 'c', '[1815]'],
  ['490', '1 ', 'a', 'Penguin classics ;', 'v', '12'],
  ['500', '  ', 'a', 'A general note.'],
  ['520', '  ', 'a', 'Handsome, clever, and rich.'],
  ['600', '10', 'a', 'Woodhouse, Emma', 'v', 'Fiction.'],
  ['650', ' 0', 'a', 'Matchmaking', 'z', 'England', 'v', 'Fiction.'],
  ['700', '1 ', 'a', 'Nelson, A. B.,', 'e', 'translator.'],
  ['700', '1 ', 'a', 'Brock, C. E.', '4', 'ill'],
  ['700', '1 ', 'a', 'Austen, Jane.', 't', 'Persuasion.'],
  ['830', ' 0', 'a', 'Penguin Classics.', 'v', '12'],
  ['856', '40', 'u', 'https://books.test/emma', 'y', 'Read online'],
  ['856', '40', 'u', 'ftp://books.test/emma'],
  ['880', '1 ', '6', '100-01/$1', 'a', '奥斯汀'],
  ['880', '10', '6', '245-02/$1', 'a', '爱玛 /', 'c', '奥斯汀'],
]

const LEADER = '00000nam a2200000 a 4500'

const iso2709 = (fields: Field[], leader = LEADER) => Buffer.from(Marc.format({ leader, fields }, 'iso2709'))

const escape = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

const xmlOf = (fields: Field[], prefix = '') =>
  `<${prefix}record><${prefix}leader>${LEADER}</${prefix}leader>${fields
    .map(([tag, first = '', ...rest]) =>
      tag < '010'
        ? `<${prefix}controlfield tag="${tag}">${escape(first)}</${prefix}controlfield>`
        : `<${prefix}datafield tag="${tag}" ind1="${first[0]}" ind2="${first[1]}">${rest
            .flatMap((code, i) =>
              i % 2 === 0 ? [`<${prefix}subfield code="${code}">${escape(rest[i + 1] ?? '')}</${prefix}subfield>`] : [],
            )
            .join('')}</${prefix}datafield>`,
    )
    .join('')}</${prefix}record>`

const numbered = (n: number): Field[] => [
  ['001', `n${n}`],
  ['100', '1 ', 'a', `Autor ${n} Ünique`],
  ['245', '10', 'a', `Title ${n} 漢字`],
]

const numbersOf = (reads: Read[]) =>
  reads.flatMap((read) => ('draft' in read ? [String(read.draft.title).split(' ')[1]] : []))

describe('MARC 21', () => {
  test.each([
    ['ISO 2709', (fields: Field[]) => readIso2709(streamOf(iso2709(fields)))],
    ['XML', (fields: Field[]) => readMarcXml(streamOf(Buffer.from(`<?xml version="1.0"?><c>${xmlOf(fields)}</c>`)))],
    ['XML with a prefix', (fields: Field[]) => readMarcXml(streamOf(Buffer.from(xmlOf(fields, 'marc:'))))],
  ])('in %s goes into our fields', async (_, read) => {
    const [found] = await all(read(emma))
    const { record, notes } = fit(draftOf(found) ?? {})
    expect(NewBook.parse(record)).toEqual({
      title: 'Emma',
      subtitle: 'a novel in three volumes',
      contributors: [
        { name: 'Austen, Jane', role: 'author' },
        { name: 'Nelson, A. B.', role: 'translator' },
        { name: 'Brock, C. E.', role: 'illustrator' },
      ],
      publisher: 'John Murray',
      publishedYear: 1815,
      language: 'fr',
      edition: '2nd ed. / revised',
      subjects: ['Woodhouse, Emma -- Fiction', 'Matchmaking -- England -- Fiction'],
      description: 'Handsome, clever, and rich.\nA general note.',
      series: [{ name: 'Penguin classics', number: '12' }],
      originalScript: { title: '爱玛', contributors: ['奥斯汀'] },
      links: [{ url: 'https://books.test/emma', label: 'Read online' }],
      isbns: ['9780141439518'],
      identifiers: [
        { scheme: 'lccn', value: '2001012345' },
        { scheme: 'doi', value: '10.1000/182' },
        { scheme: 'oclc', value: '12345' },
      ],
    })
    expect(notes).toEqual([
      'links: "ftp://books.test/emma" is not a web address, and is left out',
      'isbns: "0123" is not an ISBN, and is left out',
    ])
    const marc = found !== undefined && 'marc' in found && found.marc !== null ? toJson(found.marc) : null
    expect(MarcRecord.parse(marc).fields[0]).toEqual({ '001': '12345' })
    expect(MarcRecord.parse(marc).fields).toHaveLength(emma.length)
  })

  test('takes the year and the language of 008 where no field says them', async () => {
    const fields: Field[] = [
      ['001', '1'],
      ['008', FIXED],
      ['245', '00', 'a', 'Poems.'],
    ]
    expect(recordOf((await all(readIso2709(streamOf(iso2709(fields)))))[0])).toMatchObject({
      title: 'Poems',
      publishedYear: 1817,
      language: 'en',
    })
  })

  /** The example of the Library of Congress for ANSEL, and Cyrillic by an escape sequence. */
  test('in MARC-8 is read, with its marks before the letters and its escapes', async () => {
    const placeholder = iso2709(
      [
        ['001', '1'],
        ['245', '00', 'a', 'XXcole X', 'b', 'XXXXXXXXXX'],
      ],
      '00000nam  2200000 a 4500',
    ).toString('latin1')
    // E2: acute, before the e. A9: the musical flat sign. ESC ( N ... ESC ( B: Basic Cyrillic, whose capitals stand where small letters do.
    const bytes = Buffer.from(
      placeholder.replace('XXcole X', '\u00e2Ecole \u00a9').replace('XXXXXXXXXX', '\u001b(NkNIG\u001b(B'),
      'latin1',
    )
    const [read] = await all(readIso2709(streamOf(bytes)))
    expect(reasonOf(read)).toBeUndefined()
    expect(draftOf(read)).toMatchObject({ title: 'École ♭', subtitle: 'Книг' })
    const utf8 = iso2709(numbered(1), '00000nam  2200000 a 4500')
    expect(recordOf((await all(readIso2709(streamOf(utf8), { encoding: 'utf-8' })))[0]).title).toBe('Title 1 漢字')
  })

  test('that is not in its encoding is refused, and its bytes are kept', async () => {
    const bytes = iso2709(numbered(1))
    bytes[bytes.indexOf('Title')] = 0xff
    const [read] = await all(readIso2709(streamOf(bytes)))
    expect(reasonOf(read)).toBe('field 245 holds what is not UTF-8')
    expect(read?.bytes.equals(bytes)).toBe(true)
  })

  test('whose leader gives a wrong length, which its terminator does not bear out, is read with a note', async () => {
    const bytes = iso2709(numbered(1))
    bytes.write('99999', 0, 'latin1')
    const [read] = await all(readIso2709(streamOf(bytes)))
    expect(read).toMatchObject({
      draft: { title: 'Title 1 漢字' },
      notes: ['leader: the length that it gives is wrong'],
    })
  })

  test('is found again behind a record whose terminator is lost, and behind what is none', async () => {
    const lost = iso2709(numbered(1)).subarray(0, -1)
    const bytes = Buffer.concat([lost, iso2709(numbered(2)), Buffer.from('rubbish\x1d\r\n'), iso2709(numbered(3))])
    const reads = await all(readIso2709(streamOf(bytes)))
    expect(reads.map((read) => numbersOf([read])[0] ?? 'refused')).toEqual(['refused', '2', 'refused', '3'])
  })
})

/** Bytes are changed, taken out and put in; what is not touched must arrive, and every byte must be accounted for. */
const damages = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    how: fc.constantFrom('set', 'cut', 'put'),
    byte: fc.nat(255),
  }),
  { minLength: 1, maxLength: 6 },
)

type Damage = { at: number; how: string; byte: number }

/** The stream with its damage, and the records that it touches: of a place between two, both. */
function damaged(records: Buffer[], all: Damage[]) {
  const whole = Buffer.concat(records)
  const touched = new Set<number>()
  const bytes = [...whole].map((byte) => [byte])
  for (const { at, how, byte } of all) {
    const place = Math.floor(at * whole.length)
    let end = 0
    const owner = records.findIndex((record) => (end += record.length) > place)
    touched.add(owner)
    // A byte before the first of a record is of the one before it.
    if (how === 'put' && place === end - (records[owner]?.length ?? 0)) touched.add(owner - 1)
    if (how === 'set') bytes[place] = [byte]
    if (how === 'cut') bytes[place] = []
    if (how === 'put') bytes[place] = [byte, ...(bytes[place] ?? [])]
  }
  return { bytes: Buffer.from(bytes.flat()), touched }
}

const untouched = (count: number, touched: Set<number>) =>
  Array.from({ length: count }, (_, n) => n)
    .filter((n) => !touched.has(n))
    .map(String)

describe('in a damaged stream', () => {
  test('of ISO 2709 every record that is whole arrives, and every byte of the rest is in a piece that is refused', async () => {
    await fc.assert(
      fc.asyncProperty(damages, fc.integer({ min: 1, max: 400 }), async (all, chunk) => {
        const records = Array.from({ length: 8 }, (_, n) => iso2709(numbered(n)))
        const { bytes, touched } = damaged(records, all)
        const reads: Read[] = []
        for await (const read of readIso2709(streamOf(bytes, chunk))) reads.push(read)
        expect(numbersOf(reads)).toEqual(expect.arrayContaining(untouched(8, touched)))
        // No gap but padding, and nothing twice.
        let end = 0
        for (const read of reads) {
          expect(bytes.subarray(end, read.offset).every((byte) => [0, 10, 13, 26, 32].includes(byte))).toBe(true)
          expect(bytes.subarray(read.offset, read.offset + read.bytes.length).equals(read.bytes)).toBe(true)
          end = read.offset + read.bytes.length
        }
      }),
      { numRuns: 150 },
    )
  })

  test('of XML every record that is whole arrives', async () => {
    await fc.assert(
      fc.asyncProperty(damages, fc.integer({ min: 40, max: 900 }), async (all, chunk) => {
        const records = Array.from({ length: 6 }, (_, n) => Buffer.from(`${xmlOf(numbered(n))}\n`))
        const { bytes, touched } = damaged(records, all)
        const reads: Read[] = []
        for await (const read of readMarcXml(streamOf(bytes, chunk))) reads.push(read)
        expect(numbersOf(reads)).toEqual(expect.arrayContaining(untouched(6, touched)))
      }),
      { numRuns: 200 },
    )
  })

  test('of CSV and of JSON every line that is whole arrives', async () => {
    await fc.assert(
      fc.asyncProperty(damages, fc.integer({ min: 1, max: 400 }), async (all, chunk) => {
        const head = Buffer.from('title,authors\n')
        const rows = Array.from({ length: 8 }, (_, n) => Buffer.from(`"Title ${n} 漢字","A; ""B"""\n`))
        const lines = Array.from({ length: 8 }, (_, n) => Buffer.from(`{"title":"Title ${n} 漢字"}\n`))
        const sets = all.filter(({ how, byte }) => how === 'set' && byte !== 0x0a)
        const csv = damaged(rows, sets)
        const json = damaged(lines, sets)
        // A line end that is lost takes the next line with it.
        const next = (touched: Set<number>) => new Set([...touched, ...[...touched].map((n) => n + 1)])
        const reads: Read[] = []
        for await (const read of readCsv(streamOf(Buffer.concat([head, csv.bytes]), chunk))) reads.push(read)
        expect(numbersOf(reads)).toEqual(expect.arrayContaining(untouched(8, next(csv.touched))))
        const others: Read[] = []
        for await (const read of readJsonLines(streamOf(json.bytes, chunk))) others.push(read)
        expect(numbersOf(others)).toEqual(expect.arrayContaining(untouched(8, next(json.touched))))
      }),
      { numRuns: 200 },
    )
  })

  test('of XML that OAI-PMH wraps, a record that never ends is refused, and the next is read', async () => {
    const wrap = (record: string) => `<record><header/><metadata>${record}</metadata></record>`
    const broken = xmlOf(numbered(1), 'm:').replace('</m:record>', '')
    const text = `<OAI-PMH>${wrap(xmlOf(numbered(0), 'm:'))}${broken}${wrap(xmlOf(numbered(2), 'm:'))}</OAI-PMH>`
    const reads = await all(readMarcXml(streamOf(Buffer.from(text), 50)))
    expect(reads.map((read) => numbersOf([read])[0] ?? 'refused')).toEqual(['0', 'refused', '2'])
  })
})

describe('CSV', () => {
  const readText = async (text: string, mapping?: Mapping) =>
    all(readCsv(streamOf(Buffer.from(text)), mapping === undefined ? {} : { mapping }))

  test('is read by the names that columns usually have', async () => {
    const text = `\ufeffISBN13,isbn,Title,title_and_subtitle,authors,categories,published_year,language_code,description
9.78E+12,439023483,Emma,Emma: A novel,Jane Austen;Anon,Fiction; Comedy,1815.0,eng,"Two lines,
and a ""quote"""
`
    expect(recordOf((await readText(text))[0])).toMatchObject({
      title: 'Emma',
      subtitle: 'A novel',
      contributors: [
        { name: 'Jane Austen', role: 'author' },
        { name: 'Anon', role: 'author' },
      ],
      isbns: ['9780439023481'],
      subjects: ['Fiction', 'Comedy'],
      publishedYear: 1815,
      language: 'en',
      description: 'Two lines,\nand a "quote"',
    })
  })

  test('is read by a mapping, with other separators, and semicolons or tabs between its columns', async () => {
    const mapping = Mapping.parse({ title: 'Titel', authors: ['Autor', 'Hrsg'], separators: { authors: ', ' } })
    const record = { title: 'Emma', contributors: [{ name: 'Austen' }, { name: 'Anon' }] }
    for (const delimiter of [';', '\t']) {
      const text = ['Titel', 'Autor', 'Hrsg'].join(delimiter) + '\n' + ['Emma', '', '"Austen, Anon"'].join(delimiter)
      expect(recordOf((await readText(text, mapping))[0])).toMatchObject(record)
    }
    await expect(readText('Titel;Autor\nEmma;Austen\n')).rejects.toThrow('names no column for the title')
  })

  test('with a quote that never closes loses one row, and not what follows', async () => {
    const reads = await readText('title,authors\n"Title 1 x,A\nTitle 2 x,B\n"Title 3\nx",C\nTitle 4 x\nTitle 5 x,D\n')
    expect(reads.map((read) => reasonOf(read) ?? String(draftOf(read)?.title).replace('\n', ' '))).toEqual([
      expect.stringContaining('Quote'),
      'Title 2 x',
      'Title 3 x',
      'the row cannot be read: it has 1 columns, and the first row names 2',
      'Title 5 x',
    ])
    expect(reads[0]?.bytes.toString()).toBe('"Title 1 x,A\n')
  })
})

describe('what does not fit', () => {
  test('is changed until it does, and each change is noted, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            title: fc.string({ unit: 'binary', minLength: 1, maxLength: 700 }).map((text) => `t${text}`),
            subtitle: fc.jsonValue(),
            contributors: fc.array(fc.oneof(fc.jsonValue(), fc.record({ name: fc.string(), role: fc.string() }))),
            publishedYear: fc.oneof(fc.integer(), fc.jsonValue()),
            language: fc.oneof(fc.string(), fc.jsonValue()),
            subjects: fc.oneof(fc.array(fc.string({ unit: 'binary' }), { maxLength: 200 }), fc.jsonValue()),
            description: fc.string({ unit: 'binary', maxLength: 11_000 }),
            series: fc.array(fc.oneof(fc.string(), fc.record({ name: fc.string(), number: fc.jsonValue() }))),
            originalScript: fc.jsonValue(),
            links: fc.array(fc.record({ url: fc.oneof(fc.webUrl(), fc.string()), label: fc.jsonValue() })),
            isbns: fc.array(fc.jsonValue()),
            identifiers: fc.array(fc.record({ scheme: fc.string(), value: fc.string() })),
          },
          { requiredKeys: ['title'] },
        ),
        (draft) => {
          const { record, notes } = fit(draft)
          expect(NewBook.safeParse(record).error?.issues ?? []).toEqual([])
          expect(notes.every((note) => note.length <= 500 && !/\p{C}/u.test(note))).toBe(true)
        },
      ),
      { numRuns: 80 },
    )
    expect(fit({ title: 'x'.repeat(501) }).notes).toEqual(['title: cut to 500 characters'])
    expect(fit({ title: 'x', ...{ colour: 'red' } }).notes).toEqual(['colour: is not known, and is left out'])
  })

  test('is sent in batches within the limits, by place, with what cannot be read in base64', async () => {
    const text = Array.from({ length: 250 }, (_, n) => (n === 3 ? '{' : JSON.stringify({ title: `T${n}` }))).join('\n')
    const batches = await all(batchesOf(readJsonLines(streamOf(Buffer.from(text), 1_000))))
    expect(batches.map(({ entries, last }) => [entries.length, last])).toEqual([
      [100, false],
      [100, false],
      [50, true],
    ])
    const entries = batches.flatMap((batch) => batch.entries)
    expect(entries.map(({ position }) => position)).toEqual(Array.from({ length: 250 }, (_, n) => n + 1))
    expect(entries[3]).toMatchObject({ raw: btoa('{\n'), reason: expect.stringMatching(/\(at byte 45\)$/) })
  })
})

describe('a report', () => {
  test('runs no formula in a spreadsheet', () => {
    expect(csvOf([['=1+1', '+1', '-1', '@x', 'plain, "text"']])).toBe(`'=1+1,'+1,'-1,'@x,"plain, ""text"""\n`)
  })

  test('is preceded by how far it is, how fast and how long still', () => {
    expect(progressLine({ part: 0.5, records: 3_000, refused: 2, ms: 90_000 })).toBe(
      '[############............] 50 %  3000 records, 33 a second, 1:30 left, 2 refused',
    )
  })
})

const jazz = new URL('../../../shared/data/marc/jazz_1k.mrc', import.meta.url)

test.skipIf(!existsSync(jazz))('a thousand records of a library are read (shared/data is there)', async () => {
  const reads = await all(readIso2709(createReadStream(jazz)))
  expect(reads.length).toBe(1_000)
  expect(reads.map(reasonOf).filter((reason) => reason !== undefined)).toEqual([])
})
