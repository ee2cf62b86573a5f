import { afterEach, describe, expect, test, vi } from 'vitest'
import { configOf } from '../src/config.ts'
import { runTasks } from '../src/scheduled.ts'
import { ask, problemOf } from './support/library.ts'
import { send, withEnvironment } from './support/send.ts'

const PATH = '/.well-known/security.txt'
const DAY_MS = 86_400_000

const inDays = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString()

const under = (change: Record<string, string | undefined>) => send(PATH, {}, withEnvironment(change))

afterEach(() => void vi.restoreAllMocks())

describe('/.well-known/security.txt', () => {
  test('says who hears of a weakness, until when, and where it is kept (RFC 9116)', async () => {
    const SECURITY_EXPIRES = inDays(200)
    const answer = await under({ SECURITY_EXPIRES })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(answer.text.split('\n')).toEqual([
      'Contact: mailto:security@library.test',
      `Expires: ${SECURITY_EXPIRES}`,
      'Canonical: http://library.test/.well-known/security.txt',
      'Policy: http://library.test/v1/security/guidance',
      'Preferred-Languages: en',
      '',
    ])
  })

  test('names addresses that answer', async () => {
    const { text } = await ask('GET', PATH)
    const named = [...text.matchAll(/^(?:Canonical|Policy): http:\/\/library\.test(\/.*)$/gm)].map(([, path]) => path)
    expect(named).toHaveLength(2)
    expect(await Promise.all(named.map(async (path) => (await ask('GET', path ?? '')).status))).toEqual([200, 200])
  })

  test.each([
    ['has run out', { SECURITY_EXPIRES: inDays(-1) }],
    ['names no date', { SECURITY_EXPIRES: undefined }],
    ['names nobody', { SECURITY_CONTACT: undefined }],
  ])('is not there when it %s, and everything else is', async (_, change) => {
    const answer = await under(change)
    expect([answer.status, problemOf(answer)]).toEqual([404, 'not-found'])
    expect((await send('/healthz', {}, withEnvironment(change))).status).toBe(200)
  })
})

describe('the scheduled run', () => {
  const noticed = async (change: { SECURITY_EXPIRES: string | undefined }) => {
    const lines: string[] = []
    vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line))
    await runTasks(configOf(withEnvironment(change)))
    return lines
      .map((line) => JSON.parse(line) as { event: string; count: number })
      .filter(({ event }) => event === 'security_txt_expires')
      .map(({ count }) => count)
  }

  test.each([
    [30.5, []],
    [29.5, [30]],
    [0.5, [1]],
    [-3, [0]],
  ])('%d days before the end says %j', async (days, said) => {
    expect(await noticed({ SECURITY_EXPIRES: inDays(days) })).toEqual(said)
  })

  test('says nothing where there is no date', async () => {
    expect(await noticed({ SECURITY_EXPIRES: undefined })).toEqual([])
  })
})
