import { describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { add, combine, divide, negate, scale, subtract, warningsAmong, type WeightedVector } from "../../src/steering/algebra.ts"
import { SteeringVector, type VectorMetadata } from "../../src/steering/vector.ts"

type Directions = Record<number, number[]>

function vectorOf(directions: Directions, metadata: Partial<VectorMetadata> = {}): SteeringVector {
  const entries = Object.entries(directions).map(([layer, values]) => [Number(layer), Float32Array.from(values)] as const)
  return new SteeringVector(entries, { modelHint: "tiny-talk", method: "mean", ...metadata })
}

const numbers = (vector: SteeringVector): Directions =>
  Object.fromEntries([...vector.directions].map(([layer, direction]) => [layer, [...direction]]))

/** A vector [37] at some of the layers 0 to 7, different for each seed. */
function randomVector(seed: number): SteeringVector {
  let state = seed
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
  const directions: Directions = { [seed % 8]: [] }
  for (let layer = 0; layer < 8; layer++) if (next() > 0) directions[layer] = []
  return vectorOf(Object.fromEntries(Object.keys(directions).map((layer) => [layer, Array.from({ length: 37 }, next)])))
}

const a = vectorOf({ 1: [1, -2], 2: [0.5, 4] }, { createdFrom: "a.jsonl" })
const b = vectorOf({ 2: [10, 20], 5: [-1, 0.25] }, { method: "pca-center" })

test.each<[string, SteeringVector, Directions]>([
  ["a + b", add(a, b), { 1: [1, -2], 2: [10.5, 24], 5: [-1, 0.25] }],
  ["a - b", subtract(a, b), { 1: [1, -2], 2: [-9.5, -16], 5: [1, -0.25] }],
  ["-a", negate(a), { 1: [-1, 2], 2: [-0.5, -4] }],
  ["3 a", scale(a, 3), { 1: [3, -6], 2: [1.5, 12] }],
  ["a / 4", divide(a, 4), { 1: [0.25, -0.5], 2: [0.125, 1] }],
  [
    "2 a - b / 2",
    combine([
      [a, 2],
      [b, -0.5],
    ]),
    { 1: [2, -4], 2: [-4, -2], 5: [0.5, -0.125] },
  ],
])("%s is over the union of layers", (_, vector, expected) => {
  expect(numbers(vector)).toEqual(expected)
  expect(vector.layers).toEqual(Object.keys(expected).map(Number))
})

describe.each([1, 2, 3, 4, 5])("for any vectors (%i)", (seed) => {
  const v = randomVector(seed)
  const w = randomVector(seed + 100)

  test("v - v = 0 at every layer of v", () => {
    const zeros = Object.fromEntries(v.layers.map((layer) => [layer, new Array(37).fill(0)]))
    expect(numbers(subtract(v, v))).toEqual(zeros)
  })

  test("0 v is zero", () => {
    for (const direction of scale(v, 0).directions.values()) expect(direction.every((x) => x === 0)).toBe(true)
  })

  test("v + w = w + v and v - w = -(w - v)", () => {
    expect(numbers(add(v, w))).toEqual(numbers(add(w, v)))
    for (const [layer, direction] of subtract(v, w).directions) {
      const mirrored = negate(subtract(w, v)).directions.get(layer)
      expect(direction.every((x, i) => x === mirrored?.[i])).toBe(true)
    }
  })

  test("-(-v) = v and 1 v = v, bit for bit", () => {
    expect(numbers(negate(negate(v)))).toEqual(numbers(v))
    expect(numbers(scale(v, 1))).toEqual(numbers(v))
  })

  test("c v is the f32 product of each number with the f32 coefficient, as the GPU computes it", () => {
    const expected = Object.fromEntries(
      v.layers.map((layer) => [layer, [...(v.directions.get(layer) ?? [])].map((x) => Math.fround(Math.fround(0.1) * x))]),
    )
    expect(numbers(scale(v, 0.1))).toEqual(expected)
  })
})

test("-0 keeps its sign where there is nothing to add", () => {
  const zeros = vectorOf({ 1: [-0, 0] })
  expect(numbers(scale(zeros, 1))).toEqual({ 1: [-0, 0] })
  expect(numbers(negate(zeros))).toEqual({ 1: [0, -0] })
  expect(numbers(add(zeros, vectorOf({ 2: [-0, 1] })))).toEqual({ 1: [-0, 0], 2: [-0, 1] })
})

test("a sum is rounded once: small parts are not lost one by one", () => {
  const big = vectorOf({ 1: [1] })
  const tiny = vectorOf({ 1: [2 ** -25] })
  expect(
    numbers(
      combine([
        [big, 1],
        [tiny, 1],
        [tiny, 1],
        [tiny, 1],
        [tiny, 1],
      ]),
    ),
  ).toEqual({ 1: [1 + 2 ** -23] })
})

test("the parts stay as they are", () => {
  const before = numbers(a)
  combine([
    [a, 2],
    [a, 3],
  ])
  expect(numbers(a)).toEqual(before)
})

test("the metadata list the parts", () => {
  const difference = subtract(a, b)
  expect(difference.metadata).toEqual({
    modelHint: "tiny-talk",
    method: "combine",
    createdFrom: "1 * (a.jsonl) + -1 * (pca-center)",
  })
  expect(scale(difference, 0.5).metadata.createdFrom).toBe("0.5 * (1 * (a.jsonl) + -1 * (pca-center))")
})

test.each<[hints: string[], hint: string, warnings: RegExp[]]>([
  [["x", "x"], "x", []],
  [["x", "y", "x"], "x, y", [/different models, "x" and "y": /]],
  [["unknown", "x"], "x", []],
  [["llama", "x"], "x", []],
  [["llama", "x", "y"], "x, y", [/"x" and "y"/]],
  [["llama", "unknown"], "llama", []],
])("vectors made with %j have the hint %s and warn rightly", (hints, hint, warnings) => {
  const vectors = hints.map((modelHint) => vectorOf({ 1: [1] }, { modelHint }))
  expect(combine(vectors.map((vector) => [vector, 1])).metadata.modelHint).toBe(hint)
  expect(warningsAmong(vectors)).toEqual(warnings.map((warning) => expect.stringMatching(warning)))
})

describe("bad input", () => {
  const wide = vectorOf({ 1: [1, 2, 3] }, { modelHint: "other", createdFrom: "wide.jsonl" })
  test.each<[string, () => unknown, RegExp]>([
    ["no vectors", () => combine([]), /^vectors: expected at least one, found none$/],
    [
      "differing widths",
      () => add(a, wide),
      /^vector 2 of 2 \(model "other", from "wide.jsonl"\): .*as vector 1 \(model "tiny-talk", from "a.jsonl"\) has, found 3; /,
    ],
    ["a width that differs later", () => combine([a, b, wide].map((v): WeightedVector => [v, 1])), /^vector 3 of 3 /],
    ["a weight that is no number", () => scale(a, NaN), /^weight: expected a number that fits an f32, found NaN$/],
    ["a weight beyond f32", () => scale(a, 1e39), /^weight: .*found 1e\+39$/],
    ["a sum beyond f32", () => scale(a, 3e38), /tensor direction\.1: expected finite numbers, found -Infinity at index 1$/],
    ["division by 0", () => divide(a, 0), /^divisor: expected another number than 0, found 0$/],
    ["division by -0", () => divide(a, -0), /^divisor: /],
    ["division by NaN", () => divide(a, NaN), /^weight: /],
  ])("%s is refused", (_, run, message) => {
    expect(run).toThrow(InputError)
    expect(run).toThrow(message)
  })
})
