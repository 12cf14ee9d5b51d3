import { readFile } from "node:fs/promises"
import { beforeAll, describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import type { Model } from "../../src/engine/model.ts"
import { type Pair, parsePairs } from "../../src/steering/pairs.ts"
import { cosine } from "../../src/steering/numbers.ts"
import {
  type TrainingMethod,
  trainingMethods,
  type TrainingOptions,
  type TrainingProgress,
  trainVector,
} from "../../src/steering/train.ts"
import type { SteeringVector } from "../../src/steering/vector.ts"
import { loadTinyTalk, tinyTalkFolder } from "../helpers/fixtures.ts"
import { bitsOf } from "../helpers/gpu.ts"
import { tinyTalkModel } from "../helpers/models.ts"
import { covariance, topEigenvector } from "../reference/eigen.ts"

/** Few, of different lengths, and with no two differences alike. */
const pairs: readonly Pair[] = [
  { positive: "I am happy today.", negative: "I am sad." },
  { positive: "What a bright and lovely morning it is, my friends!", negative: "It is raining again and nobody came." },
  { positive: "We laughed.", negative: "We waited for a long time in the cold house near the river." },
  { positive: "She sings all day", negative: "She cries all day" },
  { positive: "Thank you for the cake", negative: "Thank you for nothing" },
  { positive: "The garden is full of flowers and bees", negative: "The garden is dry" },
  { positive: "Yes", negative: "No" },
]
const changedOver = pairs.map(({ positive, negative }) => ({ positive: negative, negative: positive }))
const layers = [0, 2, 5]

let model: Model
/** Positive minus negative at the last token, of each pair, by layer, in float64. */
const differences = new Map<number, Float64Array[]>()

beforeAll(async () => {
  model = await tinyTalkModel()
  const reference = loadTinyTalk()
  const residuals = (text: string): Float64Array[] => {
    const { hooks } = reference.forward(model.encode(text))
    return layers.map((layer) => hooks.get(`blocks.${layer}.hook_resid_post`)!.slice(-model.config.hiddenSize))
  }
  for (const { positive, negative } of pairs) {
    const [a, b] = [residuals(positive), residuals(negative)]
    for (const [i, layer] of layers.entries()) {
      differences.set(layer, [...(differences.get(layer) ?? []), a[i]!.map((x, j) => x - b[i]![j]!)])
    }
  }
})

const meanOf = (rows: readonly Float64Array[]): Float64Array =>
  Float64Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length)

/** The top right-singular vector of the rows, by way of the small matrix XXᵀ, turned as the sign rule says. */
function principal(rows: readonly Float64Array[], centred: boolean): Float64Array {
  const mean = centred ? meanOf(rows) : new Float64Array(rows[0]!.length)
  const moved = rows.map((row) => row.map((x, i) => x - mean[i]!))
  const columns = Array.from(mean, (_, i) => moved.map((row) => row[i]!))
  const weights = topEigenvector(covariance(columns, false))
  const direction = mean.map((_, i) => moved.reduce((sum, row, r) => sum + weights[r]! * row[i]!, 0))
  const side = rows.filter((row) => cosine(row, direction) < 0).length > rows.length / 2 ? -1 : 1
  return direction.map((x) => side * x)
}

const expected: Record<TrainingMethod, (rows: readonly Float64Array[]) => Float64Array> = {
  "mean": meanOf,
  "pca-center": (rows) => principal(rows, false),
  "pca-diff": (rows) => principal(rows, true),
}

describe.each(trainingMethods)("%s", (method) => {
  test("points where the float64 reference points, and the same way", async () => {
    const vector = await trainVector(model, pairs, { method, layers })
    expect(vector.layers).toEqual(layers)
    for (const layer of layers) {
      const reference = expected[method](differences.get(layer)!)
      expect(cosine(vector.directions.get(layer)!, reference), `layer ${layer}`).toBeGreaterThanOrEqual(0.99999)
      const length = method === "mean" ? Math.hypot(...reference) : 1
      expect(vector.norms().get(layer)! / length).toBeCloseTo(1, 5)
    }
  })

  test("batches and passes change no bit", async () => {
    const whole = await trainVector(model, pairs, { method, layers })
    const cases: TrainingOptions[] = [
      { batch: 1 },
      { batch: 3 },
      { memory: 1 },
      { memory: 2 * pairs.length * model.config.hiddenSize * 4 },
    ]
    for (const options of cases) {
      const other = await trainVector(model, pairs, { method, layers, ...options })
      for (const layer of layers) {
        expect(bitsOf(other.directions.get(layer)!), `batch ${options.batch}, memory ${options.memory}`).toEqual(
          bitsOf(whole.directions.get(layer)!),
        )
      }
    }
  })

  test("sides changed over give the opposite vector", async () => {
    const vector = await trainVector(model, pairs, { method, layers })
    const turned = await trainVector(model, changedOver, { method, layers })
    for (const layer of layers)
      expect(cosine(vector.directions.get(layer)!, turned.directions.get(layer)!)).toBeLessThan(-0.999999)
  })

  test("metadata says how it was made", async () => {
    const vector = await trainVector(model, pairs.slice(0, 3), { method, layers: [5, 2, 5] })
    expect(vector.metadata).toEqual({ modelHint: "tiny-talk", method, createdFrom: "3 pairs" })
    expect(vector.layers).toEqual([2, 5])
    const named = await trainVector(model, pairs.slice(0, 3), { method, layers: [2], createdFrom: "moods.jsonl" })
    expect(named.metadata.createdFrom).toBe("moods.jsonl")
  })
})

test("a row's vector does not depend on the rows beside it: batches of 1, 3 and 32 pairs", async () => {
  const file = `${tinyTalkFolder}/pairs/anger.jsonl`
  const many = parsePairs(await readFile(file, "utf8"), file).slice(0, 34)
  const vectors = []
  for (const batch of [1, 3, 32]) vectors.push(await trainVector(model, many, { layers: [4], batch }))
  const [one, three, all] = vectors.map((vector) => bitsOf(vector.directions.get(4)!))
  expect(three).toEqual(one)
  expect(all).toEqual(one)
})

test("a negative coefficient is the vector of the sides changed over", async () => {
  const vector = await trainVector(model, pairs, { layers: [2] })
  const turned = await trainVector(model, changedOver, { layers: [2] })
  const logitsOf = async (steered: SteeringVector, coefficient: number): Promise<Uint32Array> =>
    bitsOf((await model.run(["I like"], { steering: [{ vector: steered, coefficient }] })).logits!.data)
  expect(await logitsOf(turned, 1.5)).toEqual(await logitsOf(vector, -1.5))
})

test("pca-diff alone warns", async () => {
  for (const method of trainingMethods) {
    const warnings: string[] = []
    await trainVector(model, pairs.slice(0, 3), { method, layers: [1], onWarning: (warning) => warnings.push(warning) })
    expect(warnings).toEqual(method === "pca-diff" ? [expect.stringMatching(/discards what all pairs have in common/)] : [])
  }
})

test("progress counts the pairs of every pass", async () => {
  const seen: TrainingProgress[] = []
  const options = {
    method: "pca-center",
    layers: [0, 1],
    batch: 3,
    onProgress: (progress: TrainingProgress) => seen.push(progress),
  } as const
  await trainVector(model, pairs, options)
  expect(seen).toEqual([3, 6, 7].map((done) => ({ stage: "training", done, total: 7 })))
  seen.length = 0
  await trainVector(model, pairs, { ...options, memory: 1 })
  expect(seen.map(({ done }) => done)).toEqual([3, 6, 7, 10, 13, 14])
  expect(seen.every(({ total }) => total === 14)).toBe(true)
})

test("an abort stops it between batches", async () => {
  const controller = new AbortController()
  const seen: number[] = []
  const training = trainVector(model, pairs, {
    batch: 2,
    signal: controller.signal,
    onProgress: ({ done }) => {
      seen.push(done)
      controller.abort(new Error("enough"))
    },
  })
  await expect(training).rejects.toThrow("enough")
  expect(seen).toEqual([2])
})

describe("bad input is refused", () => {
  const one = pairs.slice(0, 1)
  test.each<[string, readonly Pair[], TrainingOptions, RegExp]>([
    ["no pairs", [], {}, /^pairs: expected at least one pair, found none; /],
    ["one pair for pca-center", one, { method: "pca-center" }, /^pairs: expected at least 2 pairs, for pca-center, found 1; /],
    ["one pair for pca-diff", one, { method: "pca-diff" }, /^pairs: expected at least 2 pairs, for pca-diff, found 1; /],
    [
      "an empty side",
      [pairs[0]!, { positive: "a", negative: "" }],
      {},
      /^pair 2: expected .* as "negative", found an empty one$/,
    ],
    ["equal sides", [{ positive: "a", negative: "a" }], {}, /^pair 1: expected two sides that differ, found "a" twice$/],
    ["a layer beyond the last", pairs, { layers: [2, 6] }, /^layers: expected layers 0 to 5 of this model, found layer 6$/],
    ["half a layer", pairs, { layers: [0.5] }, /found layer 0.5$/],
    ["no layers", pairs, { layers: [] }, /^layers: .*found none$/],
    ["a batch of none", pairs, { batch: 0 }, /^batch: expected a whole number of at least 1, found 0$/],
    [
      "pairs that cancel",
      [
        { positive: "a", negative: "b" },
        { positive: "b", negative: "a" },
      ],
      { layers: [1] },
      /^pairs, layer 1: expected pairs whose sides differ, found none/,
    ],
    [
      "one pair twice for pca-diff",
      [pairs[0]!, pairs[0]!],
      { method: "pca-diff", layers: [1] },
      /^pairs, layer 1: expected differences that vary/,
    ],
  ])("%s", async (_, given, options, message) => {
    const training = trainVector(model, given, options)
    await expect(training).rejects.toThrow(InputError)
    await expect(training).rejects.toThrow(message)
  })

  test("one pair serves for mean", async () => {
    expect((await trainVector(model, one, { layers: [3] })).layers).toEqual([3])
  })
})
