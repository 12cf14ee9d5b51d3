import { expect, test } from "vitest"
import type { Metrics } from "../../src/steering/metrics.ts"
import { minimumCoefficient, scoreMinimum } from "../../src/steering/minimum.ts"

const point = (coefficient: number, divergence: number) => ({
  coefficient,
  metrics: { "kl-p95": divergence } as unknown as Metrics,
})

test.each([
  { what: "the first that reaches 0.1 nat", divergences: [0, 0.05, 0.1, 0.4], expected: 0.2 },
  { what: "a later fall does not count", divergences: [0, 0.2, 0.01, 0.4], expected: 0.1 },
  { what: "none reaches it", divergences: [0, 0.05, 0.09], expected: null },
  { what: "one that is no number", divergences: [0, NaN, 0.2], expected: 0.2 },
])("the minimum: $what", ({ divergences, expected }) => {
  expect(minimumCoefficient(divergences.map((divergence, i) => point(i / 10, divergence)))).toBe(expected)
})

test("coefficients below 0 do not count, and another divergence may be asked for", () => {
  const curve = [point(-1, 3), point(0, 0), point(0.1, 0.2), point(0.2, 0.6)]
  expect(minimumCoefficient(curve)).toBe(0.1)
  expect(minimumCoefficient(curve, 0.5)).toBe(0.2)
})

const topic = (name: string, minimum: number | null, shares: (number | null)[], last = 0.4) => ({
  name,
  minimum,
  last,
  curve: shares.map((onTopic, i) => ({ coefficient: i / 10, onTopic })),
})

test("a minimum is scored by where at least half as many texts are about the topic as at the best coherent coefficient", () => {
  const score = scoreMinimum([
    topic("early", 0.1, [0, 0, 0.1, 0.4, 0.8, 1]),
    topic("right", 0.2, [0, 0, 0.5, 0.4, 0.8, 1]),
    topic("never on topic", 0.1, [0, 0, 0, 0, 0, 1]),
    topic("never takes hold", null, [0, 1, 1, 1, 1, 1]),
  ])!
  expect(score.topics).toEqual([
    { topic: "early", minimum: 0.1, onset: 0.3, steps: -2, onTopic: [0, 0, 0.8] },
    { topic: "right", minimum: 0.2, onset: 0.2, steps: 0, onTopic: [0, 0.5, 0.8] },
  ])
  expect(score.within.value).toBe(0.5)
  expect(score.distance.value).toBe(1)
})

test("there is no score where nobody knows what texts are about", () => {
  expect(scoreMinimum([topic("bridge", 0.1, [null, null, null])])).toBeNull()
})
