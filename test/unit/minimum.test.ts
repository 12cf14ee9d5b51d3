import { expect, test } from "vitest"
import { changedShare, minimumCoefficient, scoreMinimum } from "../../src/steering/minimum.ts"

test.each([
  { ids: [1, 2, 3, 4], plain: [1, 2, 3, 4], share: 0 },
  { ids: [1, 2, 9, 4], plain: [1, 2, 3, 4], share: 0.25 },
  { ids: [1, 2], plain: [1, 2, 3, 4], share: 0.5 },
  { ids: [], plain: [], share: 0 },
])("$ids differs from $plain in $share of its tokens", ({ ids, plain, share }) => {
  expect(changedShare(ids, plain)).toBe(share)
})

const point = (coefficient: number, ...texts: number[][]) => ({
  coefficient,
  metricsByPrompt: [],
  completions: texts.map((ids) => ({ ids })),
})
const plain = point(0, [1, 1, 1, 1], [2, 2, 2, 2])

test.each([
  { what: "one text of two, half of all tokens", points: [plain, point(0.1, [1, 1, 1, 1], [9, 9, 9, 9])], expected: 0.1 },
  { what: "too few tokens", points: [plain, point(0.1, [1, 1, 1, 9], [9, 9, 2, 2])], expected: null },
  { what: "no point at 0", points: [point(0.1, [9], [9])], expected: null },
  { what: "coefficients below 0 do not count", points: [point(-1, [9], [9]), plain], expected: null },
])("the minimum: $what", ({ points, expected }) => {
  expect(minimumCoefficient(points)).toBe(expected)
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
