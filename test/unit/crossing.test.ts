import { describe, expect, test } from "vitest"
import demo from "../fixtures/demo.json" with { type: "json" }
import { InputError, NotFiniteError } from "../../src/engine/errors.ts"
import { findCrossing, thresholdOf } from "../../src/steering/crossing.ts"

/** Points at 0, 1, 2, … */
const curve = (...values: number[]): { coefficient: number; value: number }[] =>
  values.map((value, coefficient) => ({ coefficient, value }))

describe("the first crossing", () => {
  test.each([
    ["plateau then jump", [2, 2.1, 2.2, 2.3, 5, 6], { crossing: 4, max: 3 }],
    ["a dip below the baseline first", [2, 1.2, 1, 1.5, 2.5], { crossing: 4, max: 3 }],
    ["noise below the threshold", [2, 2.3, 1.9, 2.35, 2.1, 3], { crossing: 5, max: 4 }],
    ["falls back after the crossing", [2, 2, 3, 1, 1], { crossing: 2, max: 1 }],
    ["exactly the threshold", [2, 2, 2.4], { crossing: 2, max: 1 }],
    ["just below the threshold", [2, 2, 2.3999, 3], { crossing: 3, max: 2 }],
    ["NaN beyond", [2, 2, 2, NaN, NaN], { crossing: 3, max: 2, interpolated: null }],
    ["infinite beyond", [2, 2, Infinity], { crossing: 2, max: 1, interpolated: null }],
    ["halfway between two points", [2, 2, 2.8], { crossing: 2, max: 1, interpolated: 1.5 }],
    ["a negative baseline", [-2, -1.7, -1.5], { crossing: 2, max: 1 }],
  ])("%s", (_, values, expected) => {
    const found = findCrossing(curve(...values), values[0] as number, 0.2)
    expect(found).toMatchObject(expected)
    expect(found.reason).toBeUndefined()
  })
})

test("a curve that never crosses says so", () => {
  expect(findCrossing(curve(2, 2.1, 1.5), 2, 0.2)).toEqual({
    threshold: 2.4,
    crossing: null,
    max: null,
    interpolated: null,
    reason: "the metric stays below its threshold 2.4 up to 2, the largest coefficient evaluated",
  })
})

test("a curve that crosses at once has the baseline as its maximum, and says so", () => {
  const found = findCrossing(curve(2, 3, 4), 2, 0.25)
  expect(found).toMatchObject({ crossing: 1, max: 0, interpolated: 0.5 })
  expect(found.reason).toMatch(/^the metric crosses at once, at 1/)
})

test("a fraction of a baseline of 0 is no threshold: nothing crosses, and the reason says so", () => {
  const none = { threshold: 0, crossing: null, max: null, interpolated: null }
  const reason = expect.stringMatching(/^the metric is 0 at coefficient 0, and a fraction of 0 is no threshold; watch improbable/)
  for (const direction of ["rises", "falls"] as const) {
    expect(findCrossing(curve(0, 0, 0.1, -1), 0, 0.2, { direction })).toEqual({ ...none, reason })
    expect(findCrossing(curve(0, 0, 0.1, NaN), 0, 0.2, { direction })).toMatchObject({ crossing: 3, max: 2 })
  }
})

test("what lies below 0 belongs to the curve, not to the crossing", () => {
  const points = [
    { coefficient: -2, value: 9 },
    { coefficient: -1, value: NaN },
    { coefficient: 0, value: 2 },
    { coefficient: 1, value: 2 },
    { coefficient: 2, value: 9 },
  ]
  expect(findCrossing(points, 2, 0.2)).toMatchObject({ crossing: 2, max: 1 })
  expect(findCrossing(points.slice(0, 3), 2, 0.2).reason).toBe("no positive coefficient was evaluated")
})

test("the threshold lies above the baseline whatever its sign", () => {
  expect(thresholdOf(2, 0.5)).toBe(3)
  expect(thresholdOf(-2, 0.5)).toBe(-1)
  expect(thresholdOf(0, 0.5)).toBe(0)
})

test.each([
  ["falls by a fraction", { direction: "falls" }, [10, 9, 8.5, 7.9, 12], 0.2, { threshold: 8, crossing: 3, max: 2 }],
  ["exactly the lower threshold", { direction: "falls" }, [10, 9, 8], 0.2, { crossing: 2, max: 1, interpolated: 2 }],
  ["falls from a negative baseline", { direction: "falls" }, [-2, -2.3, -2.5], 0.2, { threshold: -2.4, crossing: 2 }],
  ["a rise is no fall", { direction: "falls" }, [10, 30, 7], 0.2, { crossing: 2, max: 1 }],
  ["by 1 from a baseline of 0", { direction: "rises", absolute: 1 }, [0, 0.5, 1.5], 1, { threshold: 1, interpolated: 1.5 }],
  ["by half of it", { direction: "rises", absolute: 1 }, [0, 0.3, 0.5], 0.5, { threshold: 0.5, crossing: 2, max: 1 }],
  ["falls by 1", { direction: "falls", absolute: 1 }, [3, 2.5, 2, 1], 1, { threshold: 2, crossing: 2, max: 1 }],
] as const)("a metric's rule: %s", (_, rule, values, fraction, expected) => {
  expect(findCrossing(curve(...values), values[0], fraction, rule)).toMatchObject(expected)
})

test("a falling metric that never crosses stays above", () => {
  expect(findCrossing(curve(2, 1.9, 5), 2, 0.2, { direction: "falls" }).reason).toMatch(/^the metric stays above .* 1.6 up to 2/)
})

test("a bad fraction and a broken baseline are refused", () => {
  for (const fraction of [0, -0.2, NaN, Infinity]) expect(() => thresholdOf(2, fraction)).toThrow(InputError)
  expect(() => findCrossing(curve(NaN, 2), NaN, 0.2)).toThrow(NotFiniteError)
})

// Read off the fixture's table by hand: the threshold is 0.9497 x 1.2 = 1.1396.
test.each([
  ["bridge", 0.7, 0.8],
  ["lighthouse", 0.4, 0.5],
  ["harvest", 0.3, 0.4],
  ["anger", 0.6, 0.7],
  ["recipe", 0.7, 0.8],
  ["pirate", 0.7, 0.8],
] as const)("the embedded model's curve on %s: maximum %d, crossing %d", (topic, max, crossing) => {
  const points = demo.topics[topic].sweep.map(({ c, nll }) => ({ coefficient: c, value: nll }))
  expect(findCrossing(points, (points[0] as { value: number }).value, 0.2)).toMatchObject({ max, crossing })
})
