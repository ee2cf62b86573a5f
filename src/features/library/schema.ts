import { z } from 'zod'
import { changesSomething, line } from '../../input.ts'
import { PageQuery, pageOf } from '../../page.ts'

/** A day in the library's zone. PostgreSQL knows no year 0, and a library plans nothing that long ago. */
export const Day = z.iso
  .date()
  .refine((day) => day >= '1900-01-01', 'is before 1900')
  .meta({ example: '2026-12-24' })

const TimeOfDay = z
  .string()
  .regex(/^(?:[01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$/, { error: 'is not a time from 00:00 to 24:00', abort: true })
  .meta({ example: '09:30', description: '24:00 is the end of the day' })

const hours = { opens: TimeOfDay.nullable(), closes: TimeOfDay.nullable() }

type Hours = { opens: string | null; closes: string | null }

const inOrder = ({ opens, closes }: Hours) => (opens === null || closes === null ? opens === closes : opens < closes)

const outOfOrder = { error: 'is neither after opens nor null with it', path: ['closes'] }

const Weekday = z.int().min(1).max(7).meta({ description: '1 is Monday, 7 is Sunday (ISO 8601)' })

const OpeningHours = z.object({ weekday: Weekday, ...hours })

const Week = z
  .array(z.strictObject(OpeningHours.shape).refine(inOrder, outOfOrder))
  .length(7, { abort: true })
  .refine((week) => new Set(week.map(({ weekday }) => weekday)).size === 7, 'does not name each weekday once')
  .meta({ description: 'Each day of the week, once. Both times null: closed' })

/** Where Intl and PostgreSQL read names without a slash they do not always mean the same (CET), and they read offsets from
 *  opposite sides. */
const TimeZone = z
  .string()
  .max(64, { abort: true })
  .regex(/^(?:UTC|[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+){1,2})$/, {
    error: 'is not a name like Europe/London, or UTC',
    abort: true,
  })
  .refine(isTimeZone, 'is not a zone of the IANA database')
  .meta({ example: 'Europe/London', description: 'Days begin and end in this zone of the IANA database' })

function isTimeZone(timeZone: string) {
  try {
    return Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

const Currency = z
  .string()
  .regex(/^[A-Z]{3}$/, 'is not three capital letters')
  .meta({ example: 'EUR', description: 'Of all amounts, which are in its minor units (ISO 4217)' })

const StaffSecondFactor = z.boolean().meta({ description: 'Whether all staff have to show a second factor' })

export const Library = z
  .object({
    timeZone: z.string(),
    currency: z.string(),
    staffSecondFactor: StaffSecondFactor,
    openingHours: z.array(OpeningHours).length(7),
  })
  .meta({ id: 'Library' })
export type Library = z.infer<typeof Library>

export const LibraryChange = z
  .strictObject({
    timeZone: TimeZone.optional(),
    currency: Currency.optional(),
    openingHours: Week.optional(),
    staffSecondFactor: StaffSecondFactor.optional(),
  })
  .refine(...changesSomething)
  .meta({ id: 'LibraryChange', description: 'Fields that are left out stay as they are' })
export type LibraryChange = z.infer<typeof LibraryChange>

const note = line(200).nullable()

export const CalendarDay = z
  .object({ day: z.iso.date(), ...hours, note: z.string().nullable() })
  .meta({ id: 'CalendarDay', description: 'A day that differs from the usual week. Both times null: closed' })
export type CalendarDay = z.infer<typeof CalendarDay>

export const CalendarDayChange = z
  .strictObject({ ...hours, note: note.default(null).meta({ example: 'Christmas Eve' }) })
  .refine(inOrder, outOfOrder)
  .meta({ id: 'CalendarDayChange', description: 'Both times null: closed' })
export type CalendarDayChange = z.infer<typeof CalendarDayChange>

export const DayParam = z.strictObject({ day: Day })

export const CalendarDayPage = pageOf(CalendarDay)

export const CalendarDayFilter = z.strictObject({
  from: Day.optional().meta({ description: 'This day and later ones' }),
  to: Day.optional().meta({ description: 'This day and earlier ones' }),
  ...PageQuery,
})
export type CalendarDayFilter = z.infer<typeof CalendarDayFilter>
