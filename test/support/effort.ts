/** How many times its usual size a random check has, and where its choices begin:
 *  `VITE_PROVE=10 VITE_SEED=7 vitest run test/model.test.ts`. Variables of the environment reach the tests when their
 *  names begin with VITE_. */
const given = (name: 'VITE_PROVE' | 'VITE_SEED', usual: number) => {
  const { env } = import.meta as unknown as { env: Record<string, string | undefined> }
  return Number(env[name] ?? usual)
}

export const factor = given('VITE_PROVE', 1)

export const seed = given('VITE_SEED', Math.floor(Math.random() * 2 ** 31))
