import { configOf } from '../../src/config.ts'
import { runTasks } from '../../src/scheduled.ts'
import { aLibraryApart } from './laboratory.ts'

/** A library apart where it is the time that the test says. */
export async function aLibraryWithClock(at = '2026-06-01T10:00:00Z', more: { statements?: string[] } = {}) {
  const library = await aLibraryApart({
    statements: [
      'create table test_clock (at timestamptz not null)',
      `insert into test_clock values ('${at}')`,
      'grant select on test_clock to lectern_worker',
      'create or replace function clock() returns timestamptz language sql stable return (select at from test_clock)',
      ...(more.statements ?? []),
    ],
  })
  const runScheduled = () => runTasks(configOf(library.env))
  return {
    ...library,
    /** What runs by the clock, once. */
    runScheduled,
    /** Lets days pass, and then what runs by the clock. */
    pass: async (days: number) => {
      await library.database`update test_clock set at = at + make_interval(hours => ${Math.round(days * 24)})`
      await runScheduled()
    },
  }
}
