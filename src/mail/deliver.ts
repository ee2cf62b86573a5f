import { sql } from 'drizzle-orm'
import type { Context } from 'hono'
import type { Config } from '../config.ts'
import { type Db, openDb } from '../db/client.ts'
import { textArray } from '../db/parameters.ts'
import { log } from '../log.ts'
import { unseal, unsealOptional } from '../personal-data.ts'
import { send } from './drivers.ts'
import { MessageContent, writeLetter } from './messages.ts'

/** A Worker waits half a minute at most for what goes on after its answer; ten messages of five seconds in parallel fit. */
const MESSAGES_AT_ONCE = 10

type Waiting = {
  id: string
  userId: string
  kind: string
  recipient: string
  content: string | null
  createdAt: string
}

/** After the answer: a message is not worth waiting for, and the time it takes would tell that there is one. */
export function deliverSoon(c: Pick<Context, 'executionCtx'> & { var: { config: Config } }) {
  c.executionCtx.waitUntil(deliverMail(c.var.config).catch(() => log({ event: 'mail.failed' })))
}

/** Sends what is due, and answers how many it took. A message is written in the transaction that causes it, and deleted
 *  when the provider has taken it: one that fails is tried again by a later run, and one may arrive twice. */
export async function deliverMail(config: Config): Promise<number> {
  const db = openDb({ config, onRoundTrip: () => undefined })
  const messages = await db.one<Waiting[]>(sql`
    select coalesce(json_agg(json_build_object(
      'id', m.id, 'userId', m.user_id, 'kind', m.kind, 'recipient', m.recipient, 'content', m.content,
      'createdAt', m.created_at
    )), '[]') as body
    from take_messages(${MESSAGES_AT_ONCE}) m`)
  const outcomes = await Promise.all(messages.map((message) => deliver(config, message)))
  const sent = messages.filter((_, i) => outcomes[i] === true).map(({ id }) => id)
  if (sent.length > 0) await forget(db, sent)
  if (messages.length > 0) log({ event: 'mail', count: sent.length })
  if (sent.length < messages.length) log({ event: 'mail.failed', count: messages.length - sent.length })
  return messages.length
}

async function deliver(config: Config, message: Waiting): Promise<boolean> {
  const { id, userId, kind, recipient, content, createdAt } = message
  try {
    const to = await unseal(config, { column: 'users.email', row: userId }, recipient)
    const text = await unsealOptional(config, { column: 'messages.content', row: id }, content)
    const parsed = MessageContent.parse(text === null ? {} : JSON.parse(text))
    const at = `${createdAt.slice(0, 16).replace('T', ' ')} UTC`
    await send(config, { to, ...writeLetter(kind, { content: parsed, at, config }) })
    return true
  } catch {
    return false
  }
}

const forget = (db: Db, ids: string[]) =>
  db.row(sql`
    with gone as (delete from messages where id = any (${textArray(ids)}::uuid[]) returning id)
    select count(*) as count from gone`)
