import { app } from './app.ts'
import { configOf } from './config.ts'
import { runTasks } from './scheduled.ts'

export default {
  fetch: app.fetch,
  scheduled: async (_event, env) => {
    await runTasks(configOf(env))
  },
} satisfies ExportedHandler<Env>
