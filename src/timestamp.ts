import { z } from 'zod'

/** A moment in an answer, as PostgreSQL writes it: RFC 3339 with an offset. */
export const timestamp = z.iso.datetime({ offset: true })
