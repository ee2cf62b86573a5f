import { bytesToHex } from '@noble/hashes/utils.js'
import { sql } from 'drizzle-orm'

/** Values that need a word to PostgreSQL of what they are. All are bound as parameters. */

export const bytea = (bytes: Uint8Array) => sql`${`\\x${bytesToHex(bytes)}`}::bytea`

export const jsonb = (value: unknown) => sql`${JSON.stringify(value)}::jsonb`

export const textArray = (values: string[]) => sql`array(select jsonb_array_elements_text(${jsonb(values)}))`

export const integerArray = (values: number[] | null) =>
  values === null ? sql`null::integer[]` : sql`${`{${values.join(',')}}`}::integer[]`

export const byteaArray = (values: Uint8Array[]) =>
  values.length === 0 ? sql`'{}'::bytea[]` : sql`array[${sql.join(values.map(bytea), sql`, `)}]`
