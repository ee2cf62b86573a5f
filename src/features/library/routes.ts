import { allow } from '../../actor.ts'
import { factory } from '../../factory.ts'
import { valid } from '../../input.ts'
import { answerPage } from '../../page.ts'
import { describeRoute } from '../../route-facts.ts'
import { changeLibrary, getLibrary, listCalendarDays, removeCalendarDay, setCalendarDay } from './queries.ts'
import {
  CalendarDay,
  CalendarDayChange,
  CalendarDayFilter,
  CalendarDayPage,
  DayParam,
  Library,
  LibraryChange,
} from './schema.ts'

const tag = 'Library'

export const library = factory
  .createApp()
  .get(
    '/',
    describeRoute({
      tag,
      summary: 'The library: its time zone, currency and opening hours',
      responses: { 200: { description: 'The library', schema: Library } },
    }),
    allow('GET /v1/library'),
    async (c) => c.json(await getLibrary(c.var.db), 200),
  )
  .patch(
    '/',
    describeRoute({
      tag,
      summary: 'Change the time zone, the currency, the opening hours, or what is asked of staff',
      description:
        'Loans and holds that would end on a day that is closed from now on end on the next open day. With staffSecondFactor, members of staff may do nothing but add a second factor until they have shown one; whoever turns it on must have shown theirs.',
      responses: { 200: { description: 'The library as it is now', schema: Library } },
      problems: ['time-zone-unknown', 'currency-in-use', 'second-factor-not-shown'],
    }),
    allow('PATCH /v1/library'),
    valid('json', LibraryChange),
    async (c) =>
      c.json(await changeLibrary(c.var.db, { sessionId: c.var.actor.sessionId, ...c.req.valid('json') }), 200),
  )
  .get(
    '/days',
    describeRoute({
      tag,
      summary: 'The days that differ from the usual week',
      responses: { 200: { description: 'A page of days, the earliest first', schema: CalendarDayPage } },
    }),
    allow('GET /v1/library/days'),
    valid('query', CalendarDayFilter),
    async (c) => answerPage<CalendarDay>(c, await listCalendarDays(c.var.db, c.req.valid('query'))),
  )
  .put(
    '/days/:day',
    describeRoute({
      tag,
      summary: 'Close the library on a day, or give that day hours of its own',
      description: 'Idempotent. Loans and holds that would end on a closed day end on the next open one.',
      responses: { 200: { description: 'The day', schema: CalendarDay } },
    }),
    allow('PUT /v1/library/days/:day'),
    valid('param', DayParam),
    valid('json', CalendarDayChange),
    async (c) => c.json(await setCalendarDay(c.var.db, { ...c.req.valid('param'), ...c.req.valid('json') }), 200),
  )
  .delete(
    '/days/:day',
    describeRoute({
      tag,
      summary: 'Let a day be as usual again',
      responses: { 204: { description: 'It is' } },
      problems: ['calendar-day-not-found'],
    }),
    allow('DELETE /v1/library/days/:day'),
    valid('param', DayParam),
    async (c) => {
      await removeCalendarDay(c.var.db, c.req.valid('param'))
      return c.body(null, 204)
    },
  )
