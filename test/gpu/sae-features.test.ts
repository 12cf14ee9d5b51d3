import { afterAll, beforeAll, expect, test } from "vitest"
import { Sae } from "../../src/engine/sae.ts"
import { fractionUnexplainedPerLayer, topFeatures } from "../../src/engine/sae-features.ts"
import type { Model } from "../../src/engine/model.ts"
import type { Pair } from "../../src/steering/pairs.ts"
import { cosine } from "../../src/steering/numbers.ts"
import { featureVector, type SaeTrainingProgress, trainSaeVector } from "../../src/steering/sae-vector.ts"
import { covariance, topEigenvector } from "../reference/eigen.ts"
import { loadTinyTalk } from "../helpers/fixtures.ts"
import { tinyTalkModel } from "../helpers/models.ts"
import { expectClose } from "../helpers/numbers.ts"
import { referenceActivations, referenceDecode, type ReferenceSae, referenceTopK, saeFolder } from "../helpers/sae.ts"

const TEXT = "I live in a small house."
const WIDTH = 256

const pairs: readonly Pair[] = [
  { positive: "I am happy today.", negative: "I am sad." },
  { positive: "What a bright and lovely morning it is, my friends!", negative: "It is raining again and nobody came." },
  { positive: "We laughed.", negative: "We waited for a long time in the cold house near the river." },
  { positive: "She sings all day", negative: "She cries all day" },
  { positive: "Yes", negative: "No" },
]

let model: Model
let sae: Sae
let reference: ReferenceSae

beforeAll(async () => {
  model = await tinyTalkModel()
  const made = saeFolder({ width: WIDTH, latents: 519, k: 7 })
  reference = made.reference
  sae = await Sae.load(made.folder, 2, { device: model.device, width: WIDTH })
})
afterAll(() => sae.dispose())

/** The residual stream after layer 2 at a text's tokens, in float64. */
function residuals(text: string): Float64Array {
  return loadTinyTalk().forward(model.encode(text)).hooks.get("blocks.2.hook_resid_post") as Float64Array
}

test("the top features of a text, each with the tokens that use it", async () => {
  const rows = residuals(TEXT).subarray(WIDTH)
  const top = referenceTopK(reference, referenceActivations(reference, rows))
  const found = await topFeatures(model, sae, TEXT, 5)
  const ids = model.encode(TEXT)
  expect(found).toMatchObject({ layer: 2, ids })
  const strongest = (feature: number): number => Math.max(...top.filter((_, i) => i % 519 === feature))
  const order = Array.from({ length: 519 }, (_, i) => i).sort((a, b) => strongest(b) - strongest(a))
  expect(found.features.map(({ feature }) => feature)).toEqual(order.slice(0, 5))
  for (const { feature, activation, uses } of found.features) {
    const at = (position: number): number => top[(position - 1) * 519 + feature] as number
    const expected = [...ids.keys()].filter((position) => position > 0 && at(position) > 0).sort((a, b) => at(b) - at(a))
    expect(uses.map(({ position }) => position)).toEqual(expected)
    expectClose(
      uses.map((use) => use.activation),
      expected.map(at),
      { absolute: 1e-4, relative: 1e-4 },
    )
    expect(activation).toBe(uses[0]?.activation)
    for (const { position, id, token } of uses)
      expect([id, token]).toEqual([ids[position], model.decode([ids[position] as number])])
  }
})

test("the first token counts where it is asked for", async () => {
  const first = { skipFirst: false }
  const positions = (found: Awaited<ReturnType<typeof topFeatures>>): Set<number> =>
    new Set(found.features.flatMap(({ uses }) => uses.map(({ position }) => position)))
  expect(positions(await topFeatures(model, sae, TEXT, 519))).not.toContain(0)
  expect(positions(await topFeatures(model, sae, TEXT, 519, first))).toContain(0)
  const { features, unexplained } = await topFeatures(model, sae, [5], 3, first)
  expect(features).toHaveLength(3)
  expect(unexplained).toBeUndefined()
  await expect(topFeatures(model, sae, [5], 3)).rejects.toThrow(
    "text: expected a text of two tokens or more: the first is left out, found one token",
  )
})

test("the fraction unexplained of given layers, as of their rows alone", async () => {
  const fractions = await fractionUnexplainedPerLayer(model, sae, [TEXT, "Hello."], { layers: [0, 5] })
  const { captured, lengths } = await model.run([TEXT, "Hello."], { capture: ["blocks.5.hook_resid_post"], logits: false })
  const all = captured.get("blocks.5.hook_resid_post")?.data as Float32Array
  const longest = Math.max(...lengths)
  const rows = lengths.flatMap((length, row) => [...all.subarray((row * longest + 1) * WIDTH, (row * longest + length) * WIDTH)])
  expect([...fractions.keys()]).toEqual([0, 5])
  expect(fractions.get(5)).toBe(await sae.fractionOfVarianceUnexplained(Float32Array.from(rows)))
})

const last = (text: string): Float64Array => residuals(text).slice(-WIDTH)

test.each(["mean", "pca-center"] as const)("%s among the features of pairs, through W_dec", async (method) => {
  const rows = pairs.map(({ positive, negative }) => {
    const [a, b] = [positive, negative].map((text) => referenceActivations(reference, last(text))) as [Float64Array, Float64Array]
    return a.map((x, i) => x - (b[i] as number))
  })
  const combine = (weights: ArrayLike<number>): Float64Array =>
    Float64Array.from({ length: 519 }, (_, i) =>
      rows.reduce((sum, row, n) => sum + (row[i] as number) * (weights[n] as number), 0),
    )
  const columns = Array.from({ length: 519 }, (_, i) => rows.map((row) => row[i] as number))
  const equal = pairs.map(() => 1 / pairs.length)
  const mix = combine(method === "mean" ? equal : topEigenvector(covariance(columns, false)))
  const expected = referenceDecode(reference, mix, new Float64Array(WIDTH))

  const progress: SaeTrainingProgress[] = []
  const vector = await trainSaeVector(model, sae, pairs, {
    method,
    batch: 2,
    createdFrom: "five pairs",
    onProgress: (p) => progress.push(p),
  })
  expect(vector.layers).toEqual([2])
  expect(vector.metadata).toEqual({ modelHint: "tiny-talk", method: `sae-${method}`, createdFrom: "five pairs" })
  expect(progress.map(({ done }) => done)).toEqual([2, 4, 5])
  const direction = vector.directions.get(2) as Float32Array
  const sign = rows.reduce((sum, row) => sum + Math.sign(row.reduce((dot, x, i) => dot + x * (mix[i] as number), 0)), 0)
  expect(cosine(direction, Float64Array.from(expected)) * Math.sign(sign)).toBeGreaterThan(0.99999)
  if (method === "mean") expectClose(direction, expected, { absolute: 2e-4, relative: 2e-4 })
})

test("a vector of one feature pushes that feature by its coefficient", async () => {
  const vector = await featureVector(model, sae, 300)
  expect(vector.metadata).toMatchObject({ method: "sae-feature", createdFrom: "feature 300 of layer 2" })
  expect(vector.directions.get(2)).toEqual(Float32Array.from(reference.decoder.slice(300 * WIDTH, 301 * WIDTH)))
  const run = async (coefficient: number): Promise<Float32Array> => {
    const steering = [{ vector, coefficient }]
    const { captured } = await model.run([TEXT], { capture: ["blocks.2.hook_resid_post"], logits: false, steering })
    return captured.get("blocks.2.hook_resid_post")?.data as Float32Array
  }
  const [plain, steered] = [await run(0), await run(3)]
  const direction = vector.directions.get(2) as Float32Array
  expectClose(
    steered,
    plain.map((x, i) => x + 3 * (direction[i % WIDTH] as number)),
    { absolute: 1e-4, relative: 1e-4 },
  )
})

test("what does not fit the model or its autoencoder is refused in one line", async () => {
  using narrow = await Sae.load(saeFolder().folder, 2, { device: model.device })
  for (const [call, message] of [
    [() => topFeatures(model, narrow, TEXT, 3), /^sae\/layers\.2: expected width 256, the model's, found 37; choose/],
    [() => topFeatures(model, sae, TEXT, 0), /^count: expected a whole number of at least 1, found 0$/],
    [
      () => fractionUnexplainedPerLayer(model, sae, [TEXT], { layers: [6] }),
      /^layers: expected layers 0 to 5 of this model, found layer 6$/,
    ],
    [() => fractionUnexplainedPerLayer(model, sae, []), /^text: expected .*, found none$/],
    [() => featureVector(model, narrow, 3), /expected width 256, tiny-talk's, found 37/],
    [() => featureVector(model, sae, 519), /^feature: expected a feature from 0 to 518/],
    [() => trainSaeVector(model, narrow, pairs), /expected width 256/],
    [
      () => trainSaeVector(model, sae, pairs.slice(1, 2), { method: "pca-center" }),
      /^pairs: expected at least 2 pairs, for pca-center/,
    ],
    [() => trainSaeVector(model, sae, []), /^pairs: expected at least one pair, found none/],
  ] as const) {
    await expect(call()).rejects.toThrow(message)
  }
})
