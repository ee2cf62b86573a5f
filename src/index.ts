import { app } from './app.ts'
import { configOf } from './config.ts'
import { clearAway, settleHolds } from './scheduled.ts'

export default {
  fetch: app.fetch,
  scheduled: async (_event, env) => {
    const config = configOf(env)
    await settleHolds(config)
    await clearAway(config)
  },
} satisfies ExportedHandler<Env>
