import { configOf } from '../../src/config.ts'
import { runTasks } from '../../src/scheduled.ts'
import { inconsistencies } from '../support/consistent.ts'
import { faultyAnswers, unlikeAnswers, unmatchedEffects, unreturnedLoans } from './answers.ts'
import { aCrowd, isSuccess } from './crowd.ts'
import { deadlocks, overdrawnLicences, unexplainedState } from './final-state.ts'
import { unfairQueues } from './queues.ts'
import { aScene, type Scene } from './scene.ts'

/** A crowd let loose in a library, and all that is found to be wrong. */
export async function aTrial({ seed, ...scenery }: Parameters<typeof aScene>[0] & { seed: number }) {
  const scene = await aScene(scenery)
  const crowd = aCrowd(scene, seed)
  const seen: string[] = []
  let snapshots = 0

  async function look() {
    const wrong = await inconsistencies(scene.database, { limits: true })
    seen.push(...wrong.map(({ what, id }) => `${what}: ${id}`))
    snapshots += 1
  }

  const letTimePass = () =>
    runTasks(configOf(scene.env)).catch((error: unknown) => {
      seen.push(`the tasks failed: ${String(error)} ${error instanceof AggregateError ? error.errors.join() : ''}`)
    })

  return {
    summary: () => summaryOf(crowd.deeds, snapshots),
    drop: scene.drop,
    /** Lets so many things happen, while snapshots are taken and time does its work; then judges all that has happened. */
    async run(deeds: number): Promise<string[]> {
      const acting = { isOver: false }
      const meanwhile = async (work: () => Promise<void>) => {
        while (!acting.isOver) await work()
      }
      await Promise.all([
        crowd.act(deeds).finally(() => (acting.isOver = true)),
        meanwhile(look),
        meanwhile(letTimePass),
      ])
      await look()
      return [...new Set([...seen, ...(await judge(scene, crowd.deeds))])]
    },
  }
}

type Deeds = ReturnType<typeof aCrowd>['deeds']

const judge = async (scene: Scene, deeds: Deeds): Promise<string[]> => [
  ...faultyAnswers(deeds),
  ...unlikeAnswers(deeds),
  ...(await unmatchedEffects(scene, deeds)),
  ...(await unreturnedLoans(scene, deeds)),
  ...(await unfairQueues(scene, deeds)),
  ...(await unexplainedState(scene)),
  ...(await overdrawnLicences(scene)),
  ...(await deadlocks(scene)),
]

function summaryOf(deeds: Deeds, snapshots: number): string {
  const replies = deeds.flatMap(({ replies }) => replies)
  const successes = replies.filter(isSuccess).length
  const busy = replies.filter(({ problem }) => problem === 'busy').length
  return `${deeds.length} deeds, ${replies.length} requests, ${successes} done, ${busy} busy; ${snapshots} snapshots`
}
