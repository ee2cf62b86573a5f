import type { Writer } from './formats.ts'

/** Each line a Book, as GET /v1/books/{id} answers it. */
export const jsonl: Writer = { write: ({ book }) => `${JSON.stringify(book)}\n` }
