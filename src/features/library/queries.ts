import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { jsonb } from '../../db/parameters.ts'
import { calendarDays, library, openingHours } from '../../db/schema.ts'
import { pageOfRows, readCursor, readPage } from '../../page.ts'
import {
  type CalendarDay,
  type CalendarDayChange,
  type CalendarDayFilter,
  Day,
  type Library,
  type LibraryChange,
} from './schema.ts'

/** The row of library on the wire, with its week. */
const libraryJson = sql`json_build_object(
  'timeZone', l.time_zone,
  'currency', l.currency,
  'staffSecondFactor', l.staff_second_factor,
  'openingHours', (
    select json_agg(
      json_build_object(
        'weekday', h.weekday,
        'opens', to_char(h.opens, 'HH24:MI'),
        'closes', to_char(h.closes, 'HH24:MI')
      )
      order by h.weekday
    )
    from ${openingHours} h
  )
)`

/** What a row of calendar_days is on the wire. */
const dayJson = sql`json_build_object(
  'day', d.day,
  'opens', to_char(d.opens, 'HH24:MI'),
  'closes', to_char(d.closes, 'HH24:MI'),
  'note', d.note
)`

export function getLibrary(db: Db): Promise<Library> {
  return db.one(sql`select ${libraryJson} as body from ${library} l`)
}

/** Loans and holds that would end on a day that is now closed are extended. The week is read by a statement of its own,
 *  which sees it changed. `sessionId`: of whoever asks, which must have shown a second factor to ask one of all staff. Throws 'time-zone-unknown', 'currency-in-use', 'second-factor-not-shown'. */
export function changeLibrary(
  db: Db,
  {
    sessionId,
    timeZone,
    currency,
    openingHours: week,
    staffSecondFactor,
  }: LibraryChange & { sessionId: string | null },
): Promise<Library> {
  const changing = db.after(sql`
    select change_library(
      ${timeZone ?? null}, ${currency ?? null}, ${week === undefined ? null : jsonb(week)}, ${staffSecondFactor ?? null},
      ${sessionId}
    )`)
  return getLibrary(changing)
}

export function listCalendarDays(db: Db, { from, to, limit, cursor }: CalendarDayFilter) {
  const after = readCursor(Day, cursor)
  const conditions = [
    sql`true`,
    ...(from === undefined ? [] : [sql`d.day >= ${from}`]),
    ...(to === undefined ? [] : [sql`d.day <= ${to}`]),
    ...(after === null ? [] : [sql`d.day > ${after}`]),
  ]
  return readPage(
    db,
    pageOfRows({
      limit,
      rows: sql`
        select ${dayJson} as body, to_json(d.day) as key
        from ${calendarDays} d
        where ${sql.join(conditions, sql` and `)}
        order by d.day`,
    }),
  )
}

/** Loans and holds that would end on a day that is now closed are extended. */
export function setCalendarDay(
  db: Db,
  { day, opens, closes, note }: CalendarDayChange & { day: string },
): Promise<CalendarDay> {
  return db.one(sql`
    select ${dayJson} as body
    from set_calendar_day(${day}, ${opens}, ${closes}, ${note}) d`)
}

/** The day is as usual again. Throws 'calendar-day-not-found'. */
export async function removeCalendarDay(db: Db, { day }: { day: string }): Promise<void> {
  await db.row(sql`select remove_calendar_day(${day})`)
}
