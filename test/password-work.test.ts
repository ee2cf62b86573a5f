import { scrypt } from '@noble/hashes/scrypt.js'
import { beforeEach, expect, test, vi } from 'vitest'
import { aPatron, ask } from './support/library.ts'

/** How much hashing a login costs, counted at the library that does it. */

vi.mock('@noble/hashes/scrypt.js', { spy: true })

const counted = vi.mocked(scrypt)

const tryToLogIn = (username: string, password: string) => ask('POST', '/v1/sessions', { body: { username, password } })

beforeEach(() => void counted.mockClear())

test('an unknown account costs the same hash as a wrong password', async () => {
  const { username } = await aPatron()
  const work = async (name: string) => {
    counted.mockClear()
    expect((await tryToLogIn(name, 'a wrong password')).status).toBe(401)
    return counted.mock.calls.map(([password, salt, options]) => [password, salt.length, options])
  }
  const known = await work(username)
  expect(known).toHaveLength(1)
  expect(await work('nobody.at.all')).toEqual(known)
  expect(await work('nobody@mail.test')).toEqual(known)
})

test('what is refused before a password matters costs no hash', async () => {
  await tryToLogIn('', 'x')
  await ask('POST', '/v1/users', { body: { username: 'x', email: 'x', password: 'x' } })
  await ask('PUT', '/v1/users/me/password', { body: { currentPassword: 'x', newPassword: 'seven quiet herons' } })
  await ask('POST', '/v1/auth/password-check', { body: { password: 'seven quiet herons' } })
  expect(counted).not.toHaveBeenCalled()
})
