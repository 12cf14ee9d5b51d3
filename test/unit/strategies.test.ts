import { expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { type Metrics, metricNames } from "../../src/steering/metrics.ts"
import { methods } from "../../src/steering/methods.ts"
import type { Evaluation } from "../../src/steering/search.ts"
import { coarseThenFine, replayCoarseThenFine } from "../../src/steering/strategies.ts"

const metricsOf = (value: number): Metrics => Object.fromEntries(metricNames.map((name) => [name, value])) as Metrics
const curve = (...values: number[]): Evaluation[] =>
  values.map((value, coefficient) => ({ coefficient, metrics: metricsOf(value) }))
const byPrompt = (...rows: number[][]): Parameters<typeof methods.alert.pick>[0] => ({
  unit: 1,
  curve: rows.map((values, coefficient) => ({ coefficient, metricsByPrompt: values.map(metricsOf) })),
})

test.each([
  ["a jump", [1, 1, 1, 1, 1, 5, 6, 6, 6], true, 5],
  ["a spike between coarse points", [1, 1, 9, 1, 1, 1, 1, 5, 6], false, 7],
])("%s: coarse then fine", async (_, values, agrees, crossing) => {
  const points = curve(...values)
  expect(replayCoarseThenFine(points, 4)).toMatchObject({ agrees, replayed: { crossing }, total: 9 })
  const evaluate = async (cs: readonly number[]): Promise<Evaluation[]> => cs.map((c) => points[c]!)
  const coefficients = points.map(({ coefficient }) => coefficient)
  expect(await coarseThenFine(evaluate, { coefficients, step: 4 })).toMatchObject({ crossing })
})

test("a step below 2 is refused", () => {
  expect(() => replayCoarseThenFine(curve(1, 2), 1)).toThrow(InputError)
})

test("alert and change-point pick the level's last, within an interval over prompts", () => {
  const jump = byPrompt([1, 1], [1, 1], [1, 1], [9, 1], [9, 9], [9, 9])
  expect(methods.alert.pick(jump)).toMatchObject({ max: 2, crossing: 3, interval: [2, 3] })
  expect(methods["change-point"].pick(byPrompt([1], [1], [1], [9], [9]))).toMatchObject({ max: 2, interval: [1, 3] })
  expect(methods["change-point"].pick(byPrompt([1], [1], [1])).max).toBeNull()
})

test("iso-kl draws its line between logarithms, loss-bound between losses", () => {
  expect(methods["iso-kl"].pick(byPrompt([0], [0.25], [4])).interpolated).toBeCloseTo(Math.SQRT2, 12)
  const losses = byPrompt([1], [1], [1]).curve.map((point, i) => ({ ...point, textLoss: 2 + i }))
  expect(methods["loss-bound"].pick({ unit: 1, curve: losses }, { bound: 3.5 })).toMatchObject({ max: 1, interpolated: 1.5 })
  expect(() => methods["loss-bound"].pick(byPrompt([1], [1]))).toThrow(/^curve at 0: expected the loss/)
})
