import { expect, test } from 'vitest'
import { NewUser } from '../src/features/users/schema.ts'
import { ask } from './support/library.ts'

type Guidance = { topics: { id: string; title: string; advice: string[] }[] }

const read = async () => (await ask<Guidance>('GET', '/v1/security/guidance')).body.topics

test('the guidance has something short to say on every topic', async () => {
  const topics = await read()
  expect(topics.map(({ id }) => id)).toEqual([
    'password',
    'password-managers',
    'phishing',
    'shared-computers',
    'second-factor',
    'app-passwords',
    'never-asked',
    'stolen-account',
    'reporting',
  ])
  const texts = topics.flatMap(({ title, advice }) => advice.concat(title))
  expect(texts.filter((text) => text.length < 5 || text.length > 400)).toEqual([])
})

test('its numbers are those that the library goes by', async () => {
  const text = JSON.stringify(await read())
  const account = { username: 'ada', email: 'ada@mail.test' }
  const isLongEnough = (length: number) => NewUser.safeParse({ ...account, password: 'x'.repeat(length) }).success
  const [, min, max] = /(\d+) to (\d+) characters/.exec(text) ?? []
  expect([isLongEnough(Number(min) - 1), isLongEnough(Number(min))]).toEqual([false, true])
  expect([isLongEnough(Number(max)), isLongEnough(Number(max) + 1)]).toEqual([true, false])
})
