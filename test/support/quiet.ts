/** The Worker writes a line a request, tens of thousands in a run, and each takes its way to the reporter. `VITE_LOG=1` shows
 *  them. */
const { env } = import.meta as unknown as { env: Record<string, string | undefined> }
// oxlint-disable-next-line no-console -- whose lines these are
if (env['VITE_LOG'] === undefined) console.log = () => undefined
