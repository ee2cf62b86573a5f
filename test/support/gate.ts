import { expect, vi } from 'vitest'
import type { Library } from './library.ts'

/** A transaction that waits, open, at a gate that the test opens. `before` and `after` are what it does around that. */
export function waiting(
  { database }: Pick<Library, 'database'>,
  { before, after }: { before: string; after?: string },
) {
  const gate = `gate-${crypto.randomUUID().slice(0, 8)}`
  const pass = `do $$ begin while not exists (select from categories where name = '${gate}') loop
    perform pg_sleep(0.01); end loop; end $$`
  const statements = [before, pass, ...(after === undefined ? [] : [after])]
  const done = database.transaction(statements.map((statement) => database.query(statement)))
  return {
    done,
    atGate: () =>
      vi.waitFor(
        async () => {
          const rows = await database`
            select from pg_stat_activity
            where state = 'active' and query like ${`%${gate}%`} and pid <> pg_backend_pid()`
          expect(rows).toHaveLength(1)
        },
        { timeout: 10_000, interval: 20 },
      ),
    open: async () => {
      await database`insert into categories (name) values (${gate})`
      await done
    },
  }
}
