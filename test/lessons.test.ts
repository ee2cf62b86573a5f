import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { app, routes } from '../src/app.ts'
import { aLibraryApart } from './support/laboratory.ts'
import { aPatron, ask, database, type Library, ORIGIN, problemOf, read, theStaff } from './support/library.ts'

/** Bugs that other libraries' software has had, as far as no other file here tries them: see docs/security.md. */

const SOME_ID = '01a20c1c-656d-7ba8-a44c-4c09da1c0b1d'
/** The address that clouds answer with credentials on. */
const METADATA = 'http://169.254.169.254/latest/meta-data'

afterEach(() => void vi.restoreAllMocks())

test('a library begins with no account, no session and nobody’s data', async () => {
  const library = await aLibraryApart()
  const [{ found }] = (await library.database`
    select (select count(*) from users) + (select count(*) from sessions) + (select count(*) from loans)
      + (select count(*) from idempotency_keys) + (select count(*) from fees) as found`) as [{ found: string }]
  await library.drop()
  expect(Number(found)).toBe(0)
})

/** `execute` of PL/pgSQL runs text as a statement. */
const runsText = (db: typeof database) => db`
  select p.proname as name
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'public' and regexp_replace(p.prosrc, '--[^\n]*', '', 'g') ~* '\\mexecute\\M'`

describe('in the database', () => {
  test('no function runs text as a statement', async () => {
    expect(await runsText(database)).toEqual([])
  })

  test('one that did would be found', async () => {
    const library = await aLibraryApart({
      statements: [
        `create function sorted(by text) returns void language plpgsql as $$ begin execute 'select 1 order by ' || by; end $$`,
      ],
    })
    const found = await runsText(library.database)
    await library.drop()
    expect(found).toEqual([{ name: 'sorted' }])
  })
})

const closed = routes.filter(({ facts }) => !facts.roles.includes('anyone'))

describe('an address that is spelled otherwise', () => {
  const spellings: [string, (path: string) => string][] = [
    ['a slash at the end', (path) => `${path}/`],
    ['two slashes', (path) => path.replace('/v1/', '/v1//')],
    ['a slash before it', (path) => `/${path}`],
    ['capitals', (path) => path.toUpperCase()],
    ['an escaped letter', (path) => path.replace('/v1/', '/%761/')],
    ['an escaped slash', (path) => path.replace('/v1/', '/v1%2f')],
    ['a way round', (path) => path.replace('/v1/', '/healthz/../v1/')],
    ['a dot', (path) => path.replace('/v1/', '/v1/./')],
    ['a parameter of a path', (path) => `${path};open=1`],
    ['the name of an image', (path) => `${path}.png`],
    ['the name of an image beside it', (path) => `${path}?x=/logo.png`],
    ['what is open beside it', (path) => `${path}?x=/healthz`],
    ['a fragment', (path) => `${path}%23/healthz`],
    ['a zero byte', (path) => `${path}%00`],
  ]

  test.each(spellings)('with %s opens no route to nobody', async (_, spell) => {
    const answers = await Promise.all(
      closed.map(async ({ method, path }) => {
        const address = spell(path.replace(/:day/, '2026-06-01').replace(/:[a-z]+/g, SOME_ID))
        return `${(await ask(method, address)).status} ${method} ${path}`
      }),
    )
    expect(answers.filter((answer) => !/^(401|404|405) /.test(answer))).toEqual([])
  })
})

describe('the Worker asks for', () => {
  test('nothing but its database, whatever address stands in the request', async () => {
    const { token } = await theStaff()
    const asked = vi.spyOn(globalThis, 'fetch')
    const book = {
      title: METADATA,
      publisher: METADATA,
      description: METADATA,
      contributors: [{ name: METADATA, role: 'author' }],
      identifiers: [{ scheme: 'other', value: METADATA }],
    }
    const headers = { host: '169.254.169.254', 'x-forwarded-host': '169.254.169.254', referer: METADATA }
    expect((await ask('POST', '/v1/books', { token, body: book, headers })).status).toBe(201)
    await ask('GET', `/v1/books?q=${encodeURIComponent(METADATA)}&author=${encodeURIComponent(METADATA)}`)
    await ask('GET', `/docs/${encodeURIComponent(METADATA)}`)
    await ask('GET', `/v1/books?cursor=${btoa(METADATA).replaceAll('=', '')}`)
    const addresses = asked.mock.calls.map(([input]) => (input instanceof Request ? input.url : String(input)))
    expect(new Set(addresses)).toEqual(new Set([env.DATABASE_ENDPOINT]))
  })

  test.each([301, 302, 303, 307, 308])('no address that its database redirects to with %i', async (status) => {
    const asked = vi
      .spyOn(globalThis, 'fetch')
      .mockImplementation(async () => new Response(null, { status, headers: { location: METADATA } }))
    // An environment of its own: what fails here is remembered for nobody else.
    const request = new Request(`${ORIGIN}/v1/books`)
    const answer = await read(request, await app.fetch(request, { ...env }))
    expect([answer.status, problemOf(answer)]).toEqual([503, 'database-unavailable'])
    expect(asked.mock.calls.map(([, init]) => init?.redirect)).toEqual(['manual'])
  })
})

test('script that is stored comes back as it was given, in JSON that no browser takes for a page', async () => {
  const { token } = await theStaff()
  const title = `<script>alert(1)</script>"'--><svg onload=alert(1)>\${7*7}{{7*7}}`
  const made = await ask<{ id: string; title: string }>('POST', '/v1/books', { token, body: { title } })
  const found = await ask<{ title: string }>('GET', `/v1/books/${made.body.id}`)
  expect([made.body.title, found.body.title]).toEqual([title, title])
  for (const { headers } of [made, found]) {
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
  }
})

/** What no browser shows as a page: it is saved, or read by a program. */
const files =
  /^(application\/(marc|marcxml\+xml|ld\+json|vnd[.]citationstyles[.]csl\+json|x-[a-z-]+|atom\+xml)|text\/csv)$/

test('nothing is answered as a page but the documentation', async () => {
  const document = (await ask<Document>('GET', '/openapi.json')).body
  const pages = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.values(operations).flatMap(({ responses }) =>
      Object.values(responses).flatMap(({ content = {} }) =>
        Object.keys(content)
          .filter((type) => !/^application\/(problem\+)?json$/.test(type) && !files.test(type))
          .map((type) => `${path} ${type}`),
      ),
    ),
  )
  expect(pages.toSorted()).toEqual(['/.well-known/security.txt text/plain', '/docs text/html', '/docs/{file} */*'])
})

type Document = {
  paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, unknown> }> }>>
}

test('a key that names the prototype of all objects changes none', async () => {
  const { token } = await aPatron()
  const body = { keepHistory: true, constructor: { prototype: { polluted: true } }, prototype: { polluted: true } }
  expect((await ask('PATCH', '/v1/users/me', { token, body })).status).toBe(422)
  for (const query of ['constructor[prototype][polluted]=1', '__proto__[polluted]=1', '__proto__.polluted=1']) {
    expect((await ask('GET', `/v1/books?${query}`)).status).toBe(422)
  }
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})

test('no answer sends anybody elsewhere', async () => {
  const document = (await ask<Document>('GET', '/openapi.json')).body
  const statuses = Object.values(document.paths).flatMap((operations) =>
    Object.values(operations).flatMap(({ responses }) => Object.keys(responses)),
  )
  expect([...new Set(statuses)].filter((status) => status.startsWith('3'))).toEqual(['304', '308'])
})

/** A fingerprint of every table. */
async function contentsOf({ database }: Pick<Library, 'database'>) {
  const tables = (await database`select tablename as name from pg_tables where schemaname = 'public' order by 1`) as {
    name: string
  }[]
  const prints = await Promise.all(
    tables.map(({ name }) =>
      database.query(
        `select '${name}' as name, md5(string_agg(t::text, ',' order by t::text)) as print from ${name} t`,
      ),
    ),
  )
  return prints.flat()
}

test('GET, HEAD and OPTIONS change nothing', async () => {
  const library = await aLibraryApart()
  const [staff, patron, book] = await Promise.all([library.theStaff(), library.aPatron(), library.aBook()])
  const loan = await library.aLoan(patron, book)
  const before = await contentsOf(library)
  const ids: Record<string, string> = { '/v1/books/:id': book.id, '/v1/loans/:id': loan.id, '/v1/users/:id': patron.id }
  for (const { path } of routes.filter(({ method }) => method === 'GET')) {
    const stem = Object.keys(ids).find((known) => path.startsWith(known)) ?? ''
    const address = path.replace(/:[a-z]+/, ids[stem] ?? SOME_ID)
    const calls = ['GET', 'HEAD', 'OPTIONS'].flatMap((method) =>
      [staff, patron].map(({ token }) => library.ask(method, address, { token })),
    )
    await Promise.all(calls)
  }
  expect(await contentsOf(library)).toEqual(before)
  await library.giveBack(patron, loan)
  expect(await contentsOf(library)).not.toEqual(before)
  await library.drop()
})

const sources: Record<string, string> = import.meta.glob('../src/**/*.ts', {
  query: '?raw',
  import: 'default',
  eager: true,
})

describe('no source', () => {
  test.each([
    ['draws lots that can be guessed', /Math\.random/],
    ['makes code of text', /\beval\(|new Function\(|\bimport\([^'"]/],
    ['asks for what it cannot have on this platform', /node:(child_process|fs|net|vm)/],
  ])('%s', (_, form) => {
    expect(Object.keys(sources).length).toBeGreaterThan(50)
    expect(Object.keys(sources).filter((name) => form.test(sources[name] ?? ''))).toEqual([])
  })

  test('writes text into a statement but the names of our own columns', () => {
    const places = Object.entries(sources).flatMap(([name, text]) =>
      [...text.matchAll(/sql\.(raw|identifier)\(([^)]*)/g)].map(
        ([, , what]) => `${name.replace('../src/', '')} ${what}`,
      ),
    )
    expect(places.toSorted()).toMatchInlineSnapshot(`
      [
        "db/schema.ts String(tier",
        "db/schema.ts String(tier",
        "features/books/queries.ts \`'\${format}'\`",
        "features/books/queries.ts \`'\${format}'\`",
        "features/books/queries.ts column",
        "features/books/queries.ts columns.map(([column]",
        "features/new-and-popular/queries.ts \`loans_\${days}\`",
        "features/policies/queries.ts policies[term].name",
        "features/users/queries.ts column",
        "re-encrypt.ts \`\${column}_new\`",
        "re-encrypt.ts \`\${column}_old\`",
        "re-encrypt.ts \`'\${column}'\`",
        "re-encrypt.ts \`'\${column}'\`",
        "re-encrypt.ts column",
        "re-encrypt.ts column",
        "re-encrypt.ts key",
        "re-encrypt.ts key",
        "re-encrypt.ts key",
        "re-encrypt.ts key",
        "re-encrypt.ts key",
        "re-encrypt.ts row",
        "re-encrypt.ts table",
        "re-encrypt.ts table",
        "re-encrypt.ts text",
      ]
    `)
  })
})
