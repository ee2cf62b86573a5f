import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { app } from '../../src/app.ts'
import { type Answer, ORIGIN, read } from './library.ts'

/** Requests straight into the app, for what `ask` does not send, and environments of one's own. */

export type Environment = Record<string, unknown>

export const SOME_ID = '01a20c1c-656d-7ba8-a44c-4c09da1c0b1d'
export const BODY_BYTES_MAX = 65_536
export const URI_LENGTH_MAX = 4_096

export const withEnvironment = (change: Environment): Environment => ({ ...env, ...change })

export const production = () =>
  withEnvironment({
    ENVIRONMENT: 'production',
    PUBLIC_URL: 'https://books.town.test',
    MAIL_FROM: 'library@town.test',
    DATABASE_URL: 'postgresql://lectern_app:npg_Zk4vT9qLm2Xw@db.town.test/library',
    PASSWORD_SCRYPT_LN: '15',
  })

export async function send(
  path: string,
  init: RequestInit = {},
  environment: Environment = { ...env },
): Promise<Answer> {
  const request = new Request(ORIGIN + path, init)
  return read(request.clone(), await app.fetch(request, environment, createExecutionContext()))
}

export const json = (body: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body,
})

/** A path of the route that is well formed. */
export const pathOf = (path: string) =>
  path
    .replace(':file', 'start.js')
    .replace(':name', 'forbidden')
    .replace(':isbn', '9780306406157')
    .replace(':format', 'csv')
    .replace(':position', '1')
    .replace(/:[a-z]+/g, SOME_ID)
