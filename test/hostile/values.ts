import naughty from 'big-list-of-naughty-strings/blns.json' with { type: 'json' }
import { factor, seed } from '../support/effort.ts'

/** What is sent where something else is meant. */

/** A value as JSON text, since JSON.stringify cannot write all of them; `max` is how long the field may be. */
export type Hostile = { name: string; json: (max: number) => string }

const printable = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}... (${text.length})` : text)

const text = (value: string): Hostile => {
  const json = JSON.stringify(value)
  return { name: printable(json), json: () => json }
}

const raw = (json: string): Hostile => ({ name: printable(json), json: () => json })

const sized = (name: string, make: (max: number) => string): Hostile => ({
  name,
  json: (max) => JSON.stringify(make(max)),
})

const longTexts = [
  sized('as long as may be', (max) => 'm'.repeat(max)),
  sized('one longer', (max) => 'm'.repeat(max + 1)),
  sized('ten times as long', (max) => 'm'.repeat(Math.min(max * 10, 60_000))),
  // In three bytes each, all different, so that they do not compress.
  sized('as long as may be, in Chinese', (max) =>
    Array.from({ length: max }, (_, i) => String.fromCharCode(0x4e00 + ((i * 7_919) % 20_000))).join(''),
  ),
  // One letter each that folding writes as eighteen.
  sized('as long as may be, in ligatures', (max) => '\ufdfa'.repeat(max)),
  sized('as long as may be, in emoji', (max) => (max < 2 ? 'm' : '\u{1f9ff}'.repeat(Math.floor(max / 2)))),
  // NFC makes three of each.
  sized('longer when it is normal', (max) => '\ufb2c'.repeat(max)),
  sized('shorter when it is normal', (max) => 'e\u0301'.repeat(Math.floor(max / 2))),
  sized('a letter under a flood of marks', (max) =>
    `a${'\u0335\u0489\u036f'.repeat(Math.floor(max / 3))}`.slice(0, max),
  ),
  sized('one word, no space', (max) => 'w'.repeat(Math.min(max, 3_000))),
]

/** Control characters and broken text: no field takes them, but for a description, which has lines, and passwords. */
const refusedInLines = [
  ...['a\0b', '\0', 'a\u0001b', 'a\u001b[31mb', 'a\u0007', 'a\u007fb', 'a\u0085b', 'a\u009bb'],
  ...['a\ud800b', '\udc00\ud800', '\ud83d', 'a\ufeffb', 'a\ufffeb', 'a\uffffb'],
].map(text)

const brokenLines = [
  ...[
    'a\r\nb',
    'a\nb',
    'a\rb',
    'a\tb',
    'a\u2028b',
    'a\u2029b',
    'x\r\nSet-Cookie: a=b\r\n\r\n<p>',
    ' ',
    '\u00a0\u3000',
    '',
  ],
].map(text)

/** Directions that are overridden or isolated hide what a line says. */
const directions = [
  ...['\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u2066', '\u2067', '\u2068', '\u2069'].map(
    (mark) => `gnp${mark}exe`,
  ),
  'a\u202eb\u2066c\u2069d\u202c',
].map(text)

/** Scripts that are written from right to left or that join letters need these. */
const marks = [
  ...['\u05e9\u05dc\u05d5\u05dd \u200ea\u200f', '\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645'],
  ...[
    '\u0915\u094d\u200d\u0937',
    '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}',
    '\u{1f3f4}\u{e0067}\u{e007f}',
  ],
  ...['zero\u200bwidth', 'soft\u00adhyphen', 'word\u2060joiner', '\u2764\ufe0f', 'a\u061cb', '\u3164', '\u115f'],
  ...[
    'A\u030a',
    '\u212b',
    '\u1e9b\u0323',
    '\u0344',
    '\u0958',
    '\uf900',
    '\u{2f800}',
    '\u{10ffff}',
    '\u{1fffe}',
    '\ufdd0',
  ],
  ...['\ufb01\ufb03\u00df\u0130\u0131', '\u0429\u0443\u043a\u0430', '\u0410\u0412\u0421', '\uff21\uff22', '\u{1d400}'],
].map(text)

const injections = [
  ...['%', '_', '%%', 'a\\', '\\', '\\\\', "\\'", "'", "''", '"', '`', '$$', '$1', '$1::int', ':a', '?', '{}', '{a,b}'],
  ...['{"a":1}', '[1,2]', 'null', 'NULL', 'undefined', 'true', 'NaN', '(1,2)', "'{}'::text[]", "a' or '1'='1", 'a;--'],
  ...[
    "'; drop table books; --",
    '1 union select password_hash from users',
    'a/**/or/**/1=1',
    "E'\\\\x00'",
    '\\x00',
    '\\u0000',
  ],
  ...[
    'a & b | !c',
    '!',
    '!!a',
    '& &',
    'a <-> b',
    "'a':*",
    'a:*',
    '-',
    '--',
    '- -',
    '"',
    '""',
    '"a',
    '"a" -"b"',
    'or',
    'a or',
  ],
  ...[
    '(',
    ')',
    '((',
    '[',
    ']',
    '.*',
    '^(a+)+$',
    '[[:alpha:]]',
    '(?=x)',
    '{1,99999}',
    '+',
    '*',
    '\\b\\',
    '@>',
    '<->',
    '||',
  ],
  ...['%s%n%x', '{0}', '{{7*7}}', '${7*7}', '#{7*7}', '<%= 7 %>', '%p', '{{constructor.constructor("x")()}}', '@{a}'],
  ...[
    '../../etc/passwd',
    '..%2f..%2f',
    '..\\..\\',
    'file:///etc/passwd',
    '/dev/null',
    'CON',
    '%2e%2e%2f',
    '%252e%252e%252f',
  ],
  ...['%00', '%0d%0aSet-Cookie:%20a=b', '%u0000', '%c0%80', '&#0;', '&lt;', '<![CDATA[', '<!ENTITY x SYSTEM "y">'],
  ...['javascript:alert(1)', 'data:text/html,<script>', '<script>alert(1)</script>', '"><img src=x onerror=alert(1)>'],
  ...[
    '=cmd|" /C calc"!A0',
    '+1',
    '@sum(1)',
    '-1+1',
    '`id`',
    '$(id)',
    '| id',
    '; id',
    '\\\\host\\share',
    '() { :;}; id',
  ],
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'length',
    'then',
    'toJSON',
    '*',
    '.',
    '..',
  ],
].map(text)

const numbersInText = [
  ...[
    'NaN',
    'Infinity',
    '-Infinity',
    '1e400',
    '1e3',
    '0x10',
    '0b1',
    '0o7',
    '1_000',
    '1,000',
    '1.5',
    '-0',
    '007',
    ' 1',
    '1 ',
    '+1',
  ],
  ...[
    '\u0661',
    '\uff11',
    '1n',
    '9007199254740993',
    '2147483648',
    '-9223372036854775808',
    '9'.repeat(400),
    '1.',
    '.5',
    '--1',
    '1 2',
  ],
].map(text)

const numbers = [
  ...['0', '-0', '-1', '1', '1.5', '0.1', '1e0', '1E+2', '1.0', '1e-7', '5e-324', '1e308', '-1e308', '1e400', '-1e400'],
  ...['100', '101', '1000', '1001', '32767', '32768', '-32769', '2100', '2101', '-4000', '-4001', '1000000', '1000001'],
  ...[
    '100000000',
    '100000001',
    '2147483647',
    '2147483648',
    '-2147483649',
    '4294967296',
    '9007199254740991',
    '9007199254740992',
  ],
  ...[
    '9007199254740993',
    '-9223372036854775808',
    '18446744073709551616',
    '9'.repeat(400),
    `0.${'3'.repeat(400)}`,
    `1${'0'.repeat(310)}`,
  ],
].map(raw)

const days = [
  ...[
    '2027-02-30',
    '2027-02-29',
    '2028-02-29',
    '2027-13-01',
    '2027-00-10',
    '2027-01-00',
    '2027-01-32',
    '0000-01-01',
    '0001-01-01',
  ],
  ...[
    '1899-12-31',
    '1900-01-01',
    '9999-12-31',
    '10000-01-01',
    '+010000-01-01',
    '-000001-01-01',
    '2027-1-1',
    '20270101',
    '2027-W01',
  ],
  ...[
    '01/02/2027',
    '2027-01-01 BC',
    'infinity',
    '-infinity',
    'now',
    'today',
    'epoch',
    'tomorrow',
    'allballs',
    '2027-001',
    'J2451187',
  ],
]

const times = [
  ...['T24:00:00Z', 'T23:59:60Z', 'T25:00:00Z', 'T00:60:00Z', 'T00:00:00', 'T00:00Z', ' 00:00:00Z', 'T00:00:00+99:99'],
  ...[
    'T00:00:00+23:59',
    'T00:00:00-23:59',
    'T00:00:00+24:00',
    'T00:00:00-00:00',
    'T00:00:00.123456789012345Z',
    't00:00:00z',
  ],
  ...['T00:00:00[Europe/London]', 'T00:00:00 UTC', 'T00:00:00Z\n', 'T00:00:00+0100'],
]

const moments = [
  ...days,
  ...times.map((time) => `2027-01-01${time}`),
  ...['0000-01-01', '0001-01-01', '1900-01-01', '9999-12-31', '2027-02-30'].flatMap((day) =>
    ['T00:00:00Z', 'T23:59:59Z', 'T00:00:00+23:59', 'T23:59:59-23:59'].map((time) => day + time),
  ),
  ...['00:00', '23:59', '24:00', '24:01', '12:60', '9:30', '09:30:00', '1800000000', '1800000000000'],
].map(text)

const ids = [
  ...[
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
  ],
  ...[
    '01A20C1C-656D-7BA8-A44C-4C09DA1C0B1D',
    '{01a20c1c-656d-7ba8-a44c-4c09da1c0b1d}',
    '01a20c1c656d7ba8a44c4c09da1c0b1d',
  ],
  ...[
    'urn:uuid:01a20c1c-656d-7ba8-a44c-4c09da1c0b1d',
    '01a20c1c-656d-7ba8-a44c-4c09da1c0b1d ',
    '01a20c1c-656d-0ba8-a44c-4c09da1c0b1d',
  ],
]

const otherTypes = [
  ...[
    'null',
    'true',
    'false',
    '0',
    '""',
    '[]',
    '{}',
    '[null]',
    '[[]]',
    '[""]',
    '[{}]',
    '{"a":null}',
    '{"":""}',
    '[1,"a",null,{}]',
  ],
  ...[
    '{"__proto__x":1}',
    '{"constructor":{"prototype":{"a":1}}}',
    '{"toString":1,"valueOf":1}',
    '{"length":1,"0":"a"}',
  ],
  ...[
    '{"then":"a"}',
    '{"toJSON":"a"}',
    '{"a/b~c":1}',
    '[[["a"]]]',
    `[${'"a",'.repeat(5_000)}"a"]`,
    `[${'{},'.repeat(500)}{}]`,
  ],
  `{${Array.from({ length: 1_000 }, (_, i) => `"k${i}":${i}`).join()}}`,
  `${'['.repeat(20)}${']'.repeat(20)}`,
].map(raw)

/** What every field of every route is given. */
export const sharp: Hostile[] = [
  ...longTexts,
  ...refusedInLines,
  ...brokenLines,
  ...directions,
  ...injections.slice(0, 20),
  ...numbers,
]

export const wholes: Hostile[] = [...otherTypes, ...numbers.slice(0, 6), text('text'), text('\0')]

const holdsControl = (value: string) =>
  // oxlint-disable-next-line no-control-regex -- which of them no line takes
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]/.test(value)

const packs = new Map<number, string[]>()

/** github.com/minimaxir/big-list-of-naughty-strings, each by itself. */
const naughtyStrings: Hostile[] = naughty.filter((value) => value !== '').map(text)

/** The same, as many at a time as a field holds, so that a field takes tens of requests and not hundreds: all of them where
 *  500 characters fit. What is refused stands alone. With VITE_PROVE each stands alone. */
const naughtyTexts: Hostile[] =
  factor > 1
    ? naughtyStrings
    : [
        ...naughty.filter(holdsControl).map(text),
        ...Array.from({ length: packed(500).length }, (_, place) => ({
          name: `naughty strings, part ${place}`,
          json: (max: number) => {
            const parts = packed(max)
            return JSON.stringify(parts[(place + seed) % parts.length])
          },
        })),
      ]

function packed(max: number): string[] {
  const known = packs.get(max)
  if (known !== undefined) return known
  const parts: string[] = []
  for (const value of naughty.filter((each) => each.trim() !== '' && !holdsControl(each))) {
    const last = parts.at(-1)
    if (last !== undefined && `${last} ${value}`.normalize('NFC').length <= max)
      parts[parts.length - 1] = `${last} ${value}`
    else parts.push(value)
  }
  packs.set(max, parts)
  return parts
}

/** What is no more than another word to a field of text. */
export const stiff: Hostile[] = [...moments, ...numbersInText, ...ids.map(text)]

/** What the routes share out among themselves. */
export const blunt: Hostile[] = [...marks, ...injections.slice(20), ...naughtyTexts]

/** Whole bodies of which none may be accepted, whatever the route. `sound` is one that is. */
export const bodies = (sound: string): { name: string; body: string | Uint8Array }[] => {
  const bytes = (...parts: (string | number[])[]) =>
    new Uint8Array(
      parts.flatMap((part) => (typeof part === 'string' ? Array.from(new TextEncoder().encode(part)) : part)),
    )
  const inside = sound.slice(1, -1)
  const [key = '"a"'] = /^"[^"]*"/.exec(inside) ?? []
  const escaped = `"\\u${key.charCodeAt(1).toString(16).padStart(4, '0')}${key.slice(2)}`
  const first = inside === '' ? '"a":1' : inside
  const utf16 = (text: string, big: boolean) =>
    new Uint8Array(text.split('').flatMap((c) => (big ? [0, c.charCodeAt(0)] : [c.charCodeAt(0), 0])))
  return [
    ...[
      '',
      ' ',
      '{',
      '}',
      '[',
      ']',
      '"',
      '"a',
      'a',
      'null',
      'true',
      '1',
      '"a"',
      '[]',
      '[{}]',
      'NaN',
      '-',
      '01',
      '1.',
      '.1',
    ],
    ...[
      'undefined',
      "{'a':1}",
      '{a:1}',
      '{"a":1,}',
      '[1,]',
      '{"a" 1}',
      '{"a":}',
      '{,}',
      '{"a":\'b\'}',
      '{"a":+1}',
      '{"a":0x1}',
    ],
    ...['{"a":"\n"}', '{"a":"\t"}', '{"a":"\\x00"}', '{"a":"\\u12"}', '{"a":"\0"}', '{"a":1e}', '{"a":Infinity}'],
    ...[
      `\ufeff${sound}`,
      `${sound}${sound}`,
      `${sound},`,
      `${sound}x`,
      `${sound}\0`,
      `\0${sound}`,
      `${sound};`,
      `[${sound}]`,
    ],
    ...[`/* a */${sound}`, `${sound}// a`, `{/**/${first}}`, `#a\n${sound}`, `)]}'\n${sound}`, `<a>${sound}</a>`],
    ...[`{${first},${first}}`, `{${first},${key}:1}`, `{${escaped}:1,${first}}`, `{"__proto__":{},${first}}`],
    ...[
      `{"\\u005f_proto__":{},${first}}`,
      `{"constructor":{},${first}}`,
      `{"prototype":1,${first}}`,
      `{"":1,${first}}`,
    ],
    ...['['.repeat(60_000), '{"a":'.repeat(10_000), `${'['.repeat(30_000)}${']'.repeat(30_000)}`],
    ...[`${'['.repeat(5_000)}${']'.repeat(5_000)}`, `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`],
    ...[
      `{${first},"deep":${'['.repeat(5_000)}${']'.repeat(5_000)}}`,
      `{${first},"deep":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`,
    ],
    ...[
      `[${'1,'.repeat(30_000)}1]`,
      `{${Array.from({ length: 4_000 }, (_, i) => `"k${i}":1`).join()}}`,
      `${' '.repeat(70_000)}${sound}`,
    ],
    ...[
      `"${'a'.repeat(60_000)}"`,
      `"${'\\u0000'.repeat(10_000)}"`,
      `{"${'a'.repeat(60_000)}":1}`,
      '\u00e9',
      '[1] [2]',
      '%7B%7D',
      'a=1&b=2',
    ],
  ]
    .map((body): { name: string; body: string | Uint8Array } => ({ name: printable(JSON.stringify(body)), body }))
    .concat(
      [
        ['UTF-16 LE', utf16(sound, false)] as const,
        ['UTF-16 BE', utf16(sound, true)] as const,
        ['UTF-16 with a mark', bytes([0xff, 0xfe], [...utf16(sound, false)])] as const,
        ['a byte of no UTF-8', bytes('{"a":"', [0xff], '"}')] as const,
        ['an overlong slash', bytes('{"a":"', [0xc0, 0xaf], '"}')] as const,
        ['a surrogate in UTF-8', bytes('{"a":"', [0xed, 0xa0, 0x80], '"}')] as const,
        ['beyond Unicode', bytes('{"a":"', [0xf4, 0x90, 0x80, 0x80], '"}')] as const,
        ['half a character', bytes('{"a":"', [0xe2, 0x82], '"}')] as const,
        ['gzip', bytes([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])] as const,
      ].map(([name, body]) => ({ name, body })),
    )
}

/** What may stand after the `?`, for a parameter of this name; the second tells whether it may be accepted. */
export const queriesOf = (name: string): [query: string, acceptable: boolean][] =>
  [
    ...['a&NAME=b', '1&NAME=1', '&NAME=', 'true&NAME=true'].map((rest): [string, boolean] => [`NAME=${rest}`, false]),
    ...[
      'NAME[]=a',
      'NAME[0]=a',
      'NAME[$ne]=a',
      'NAME.a=1',
      'name_=1',
      '__proto__=1',
      '__proto__[a]=1',
      'constructor=1',
      'a=b',
      '%00=1',
      '%ff=1',
      'NAME%00=a',
      'NAME',
    ].map((query): [string, boolean] => [query, false]),
    ...[
      '%ff',
      '%c0%af',
      '%ed%a0%80',
      '%f4%90%80%80',
      'a%e2%82',
      '%00',
      'a%0d%0aSet-Cookie:b',
      '%',
      '%zz',
      'a%',
      '%e2%80%a8',
    ].map((value): [string, boolean] => [`NAME=${value}`, false]),
    ...['', '&', '&&', '=', '=a', '?', '??', '#', '&=&'].map((query): [string, boolean] => [query, true]),
    ...['%25', '%u0041', '%2500', '+', '%2b', 'a;b=c', '%26a=b', '%E2%80%8F', '*', "'"].map(
      (value): [string, boolean] => [`NAME=${value}`, true],
    ),
  ].map(([query, acceptable]) => [query.replaceAll('NAME', name), acceptable])

/** Segments of a path that are no name of anything. */
export const segments = [
  ...ids.slice(0, 3),
  ...[
    '{01a20c1c-656d-7ba8-a44c-4c09da1c0b1d}',
    'urn:uuid:01a20c1c-656d-7ba8-a44c-4c09da1c0b1d',
    '01a20c1c656d7ba8a44c4c09da1c0b1d',
  ],
  ...[
    '01a20c1c-656d-7ba8-a44c-4c09da1c0b1',
    '01a20c1c-656d-7ba8-a44c-4c09da1c0b1dd',
    '0',
    '-1',
    '1e400',
    'null',
    'undefined',
    'NaN',
    '*',
  ],
  ...[
    '%00',
    'a%00b',
    '%0a',
    '%0d%0aSet-Cookie:%20a=b',
    '%ff',
    '%c0%af',
    '%ed%a0%80',
    '%',
    '%zz',
    '%2f',
    'a%2fb',
    '..%2f..%2fetc',
    '%5c',
  ],
  ...[
    '%2e%2e',
    '%252e%252e',
    '%252f',
    '%E2%80%AE',
    '%EF%BB%BF',
    '%E2%80%8B',
    '%F0%9F%92%A9',
    "'",
    "';--",
    '%22',
    '%3Cscript%3E',
    '$1',
  ],
  ...['__proto__', 'constructor', '%20', '+', '{id}', 'a'.repeat(3_000)],
  ...[
    '2027-02-30',
    '0000-01-01',
    '1899-12-31',
    '9999-12-31',
    '10000-01-01',
    'infinity',
    'today',
    '978-0-14-143951-9',
    '9'.repeat(13),
  ],
  ...[
    '%D9%A1'.repeat(13),
    '9780141439518%00',
    '97801414395189780141439518',
    'X'.repeat(10),
    '000000000X',
    'urn:isbn:',
    '\u00e9',
  ],
]

/** Headers that are read, and what is no sense in them. */
export const headers: Record<string, string[]> = {
  authorization: [
    ...[
      '',
      ' ',
      'Bearer',
      'Bearer ',
      'Bearer a',
      'bearer a.b.c',
      'Basic YTpi',
      'Bearer a b',
      'Bearer null',
      'Bearer ..',
      'a'.repeat(9_000),
    ],
    ...[
      'Bearer eyJhbGciOiJub25lIn0.e30.',
      `Bearer ${'a'.repeat(2_049)}`,
      'Bearer \u00ff',
      'Bearer %00',
      'Bearer a, Bearer b',
      'Bearer W10.W10.W10',
    ],
    ...[`Bearer ${btoa('[').replace('=', '')}.e30.${'A'.repeat(43)}`, `Bearer bnVsbA.bnVsbA.${'A'.repeat(43)}`],
  ],
  'content-type': [
    ...[
      '',
      'a',
      'text/plain',
      'application/json; charset=utf-16',
      'application/json;charset=',
      'application/jsonp',
      'text/json',
      '*/*',
    ],
    ...[
      'application/json, text/html',
      'application/json;charset=utf-8;charset=utf-16',
      'multipart/form-data',
      'multipart/form-data; boundary=a',
    ],
    ...[
      'application/x-www-form-urlencoded',
      'application/vnd.api+json',
      'APPLICATION/JSON\u00ff',
      `application/json;${'a'.repeat(5_000)}`,
    ],
  ],
  'idempotency-key': ['', ' ', 'a b', 'a'.repeat(256), 'a'.repeat(9_000), '\u00ff', "';--", 'a,b', '\u00e9\u00a0'],
  'if-match': [
    ...[
      '',
      'a',
      '"',
      '""',
      '"a"',
      '1',
      'W/"1"',
      '"1',
      '"-1"',
      '"1e9"',
      '"9999999999"',
      '"2147483648"',
      '"99999999999999999999"',
      '"0x1"',
    ],
    ...[
      '"1',
      '*,*',
      ',',
      ',,,',
      '"1","',
      `"${'1'.repeat(5_000)}"`,
      '"1", '.repeat(1_000),
      '"1}"',
      '"1;--"',
      '\u00ff',
      '"NaN"',
      '"007"',
    ],
  ],
  'if-none-match': [
    '',
    '*',
    'a',
    '"',
    '""',
    'W/',
    'W/""',
    ',',
    '"1"',
    '"1-',
    '"1", '.repeat(1_000),
    '\u00ff',
    "';--",
    `"${'a'.repeat(5_000)}"`,
  ],
}

/** Headers that no route reads: all at once change nothing. */
export const strangers = Object.fromEntries(
  [
    ...[
      'accept',
      'accept-language',
      'accept-encoding',
      'accept-charset',
      'origin',
      'referer',
      'user-agent',
      'cookie',
      'range',
      'expect-ct',
    ],
    ...[
      'if-modified-since',
      'if-unmodified-since',
      'if-range',
      'x-request-id',
      'x-forwarded-for',
      'x-forwarded-proto',
      'x-forwarded-host',
    ],
    ...[
      'x-http-method-override',
      'x-original-url',
      'x-rewrite-url',
      'forwarded',
      'via',
      'traceparent',
      'cf-connecting-ip',
      'priority',
    ],
    ...[
      'access-control-request-method',
      'access-control-request-headers',
      'sec-fetch-site',
      'content-language',
      'content-disposition',
    ],
  ].map((name, place) => [
    name,
    ['\u00ff\u00fe', "';--", '*;q=9', `${'a'.repeat(1_000)}`, '<script>', '../..', '\t,;='][place % 7] ?? '',
  ]),
)

const SOME_ID = '"01a20c1c-656d-7ba8-a44c-4c09da1c0b1d"'

const parts = [
  ...[
    'null',
    'true',
    '0',
    '-0',
    '-1',
    '1.5',
    '1e400',
    '1e308',
    '5e-324',
    '32768',
    '-32769',
    '2147483648',
    '9007199254740991',
    '9007199254740993',
  ],
  ...[
    '-9223372036854775809',
    '"0"',
    '""',
    '"a"',
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\uffff"',
    '"%"',
    '"\'"',
    '"NaN"',
    '"infinity"',
  ],
  ...[
    '"9999999999999999999"',
    '"0000-01-01"',
    '"1900-01-01"',
    '"9999-12-31"',
    '"2027-02-30"',
    '"9999-12-31T23:59:59-23:59"',
    '"-1"',
    '"18446744073709551616"',
  ],
  ...[
    SOME_ID,
    SOME_ID.toUpperCase(),
    '{}',
    '[]',
    '[[[]]]',
    '{"__proto__":1}',
    '"general"',
    `"${'a'.repeat(500)}"`,
    `"${'\u4e2d'.repeat(200)}"`,
  ],
]

/** What a cursor could hold that nobody was given. */
export const cursorPairs = parts.map((part) => `[${part},${SOME_ID}]`)

export const cursorContents = [
  ...parts,
  ...cursorPairs,
  ...parts.slice(0, 14).map((part) => `["1",${part}]`),
  ...[
    '',
    '{',
    '[1,',
    `[${SOME_ID},${SOME_ID},1]`,
    `[1,${SOME_ID}] `,
    `\ufeff[1,${SOME_ID}]`,
    `/**/[1,${SOME_ID}]`,
    `{"0":1,"1":${SOME_ID}}`,
  ],
]

/** Cursors that are not even the text of one. */
export const brokenCursors = [
  '',
  '=',
  'a',
  'ab=',
  'a b',
  '+/',
  'a'.repeat(1_025),
  'a'.repeat(4_000),
  '____',
  'gICA',
  '_w',
  'AA',
  'W10',
  'bnVsbA',
]
