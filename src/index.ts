import { app } from './app.ts'
import { configOf } from './config.ts'
import { clearAway } from './scheduled.ts'

export default {
  fetch: app.fetch,
  scheduled: (_event, env) => clearAway(configOf(env)),
} satisfies ExportedHandler<Env>
