import { expect, test } from "vitest"
import { mean, median } from "../../src/steering/numbers.ts"
import { bootstrap, judgePick, lastCoherent, scoreMethod } from "../../src/steering/study.ts"

const points = (values: readonly number[]) => values.map((coherence, i) => ({ coefficient: i / 10, coherence }))

test.each([
  { values: [1, 1, 0.75, 0.74, 1], last: 0.2, what: "a later recovery does not count" },
  { values: [1, 0.2], last: 0, what: "only the unsteered text" },
  { values: [0.5, 1, 1], last: 0, what: "not even the unsteered text" },
  { values: [1, 1, 1], last: 0.2, what: "all of it" },
])("the last coherent coefficient: $what", ({ values, last }) => {
  expect(lastCoherent(points(values))).toBe(last)
})

test("negative coefficients are passed over", () => {
  expect(lastCoherent([{ coefficient: -1, coherence: 0 }, ...points([1, 1])])).toBe(0.1)
})

const options = { coefficients: [0, 0.1, 0.2, 0.3, 0.4, 0.5], last: 0.4, unit: 2 }
test.each([
  { max: 0.4, steps: 0, coherent: true, givenAway: 0 },
  { max: 0.3, steps: -1, coherent: true, givenAway: 0.25 },
  { max: 0.5, steps: 1, coherent: false, givenAway: 0 },
  { max: 0, steps: -4, coherent: true, givenAway: 1 },
  { max: null, steps: 1, coherent: false, givenAway: 0 },
])("a pick of $max where 0.4 is the last coherent", ({ max, steps, coherent, givenAway }) => {
  const judged = judgePick("bridge", max, options)
  expect(judged.steps).toBeCloseTo(steps, 9)
  expect(judged.units).toBeCloseTo((steps * 0.1) / 2, 9)
  expect(judged.coherent).toBe(coherent)
  expect(judged.givenAway).toBeCloseTo(givenAway, 9)
})

test("a method's score sums its picks up", () => {
  const picks = [0.4, 0.3, 0.5, 0.2].map((max, i) => judgePick(`topic ${i}`, max, options))
  const score = scoreMethod("alert", picks)
  expect(score.coherent.value).toBe(0.75)
  expect(score.givenAway.value).toBeCloseTo((0 + 0.25 + 0 + 0.5) / 4, 9)
  expect(score.distance.value).toBeCloseTo(1, 9)
  expect(() => scoreMethod("alert", [])).toThrow(/^study: expected at least one topic, found none/)
})

test("the bootstrap's interval holds the value, narrows with more values and repeats with its seed", () => {
  const few = [0, 1, 0, 1, 1, 0, 1, 1]
  const many = Array.from({ length: 20 }, () => few).flat()
  const [a, b] = [bootstrap(few, mean), bootstrap(many, mean)]
  expect(a.low).toBeLessThan(a.value)
  expect(a.high).toBeGreaterThan(a.value)
  expect(b.high - b.low).toBeLessThan(0.5 * (a.high - a.low))
  expect(bootstrap(few, mean)).toEqual(a)
  // The standard error of a mean of 160 coin tosses with p = 5/8 is 0.038.
  expect(b.high - b.low).toBeGreaterThan(2 * 1.5 * 0.038)
  expect(b.high - b.low).toBeLessThan(2 * 2.5 * 0.038)
})

test.each([
  { values: [3, 1, 2], expected: 2 },
  { values: [4, 1, 2, 3], expected: 2.5 },
  { values: [5], expected: 5 },
])("the median of $values is $expected", ({ values, expected }) => {
  expect(median(values)).toBe(expected)
})
