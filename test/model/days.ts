/** Days and moments as a library counts them. A moment is in milliseconds since 1970, a day in days since 1970-01-01. */

export type Hours = { opens: string; closes: string } | null

export type Calendar = {
  zone: string
  /** Monday first. */
  week: Hours[]
  /** Days that differ from the week. */
  days: Map<number, Hours>
}

export const HOUR = 3_600_000
export const DAY = 24 * HOUR

export const dayNamed = (iso: string) => Date.parse(`${iso}T00:00:00Z`) / DAY
export const nameOfDay = (day: number) => new Date(day * DAY).toISOString().slice(0, 10)

export const dayOf = ({ zone }: Calendar, moment: number) => Math.floor(wallClock(zone, moment) / DAY)

/** The last second of a day. */
export const endOfDay = ({ zone }: Calendar, day: number) => momentAt(zone, (day + 1) * DAY - 1000)

/** '24:00' is the end of the day. */
export function momentOn({ zone }: Calendar, day: number, time: string) {
  const [hours = 0, minutes = 0] = time.split(':').map(Number)
  return momentAt(zone, day * DAY + hours * HOUR + minutes * 60_000)
}

export function hoursOn({ week, days }: Calendar, day: number): Hours {
  const monday = 4 // 1970-01-05
  const special = days.get(day)
  return special === undefined ? (week[(((day - monday) % 7) + 7) % 7] ?? null) : special
}

export const isOpen = (calendar: Calendar, day: number) => hoursOn(calendar, day) !== null

/** This day or the next open one. After a year without any, there is no calendar to speak of. */
export function openDayFrom(calendar: Calendar, day: number) {
  for (let ahead = 0; ahead <= 366; ahead++) {
    if (isOpen(calendar, day + ahead)) return day + ahead
  }
  return day
}

/** Open days after the first up to and with the last. */
export function openDaysBetween(calendar: Calendar, first: number, last: number) {
  let count = 0
  for (let day = first + 1; day <= last; day++) {
    if (isOpen(calendar, day)) count++
  }
  return count
}

// Zones ---------------------------------------------------------------------------------------------------

const clocks = new Map<string, Intl.DateTimeFormat>()

function clockOf(zone: string) {
  const numeric = 'numeric'
  const known = clocks.get(zone)
  const clock =
    known ??
    new Intl.DateTimeFormat('en', {
      timeZone: zone,
      hourCycle: 'h23',
      year: numeric,
      month: numeric,
      day: numeric,
      hour: numeric,
      minute: numeric,
      second: numeric,
    })
  clocks.set(zone, clock)
  return clock
}

/** What clocks in the zone show, as if they were in UTC. */
function wallClock(zone: string, moment: number) {
  const shown = new Map(
    clockOf(zone)
      .formatToParts(moment)
      .map(({ type, value }) => [type, Number(value)]),
  )
  const of = (part: Intl.DateTimeFormatPartTypes) => shown.get(part) ?? 0
  return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'))
}

/** When clocks show this: the second time, where they show it twice; where they skip it, what they would have shown. */
function momentAt(zone: string, wall: number) {
  const guesses = [wall + DAY, wall - DAY].map((near) => wall - (wallClock(zone, near) - near))
  const right = guesses.filter((moment) => wallClock(zone, moment) === wall)
  return right.length > 0 ? Math.max(...right) : Math.max(...guesses)
}
