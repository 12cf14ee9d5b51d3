import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Sae } from "../../src/engine/sae.ts"
import { fractionUnexplainedPerLayer, type TopFeature, topFeatures } from "../../src/engine/sae-features.ts"
import type { Model } from "../../src/engine/model.ts"
import type { Tensor } from "../../src/engine/tensor.ts"
import type { TokenScores } from "../../src/engine/score.ts"
import type { Steering } from "../../src/engine/steer.ts"
import { openFolder } from "../../src/node.ts"
import { parsePairs } from "../../src/steering/pairs.ts"
import { featureVector, trainSaeVector } from "../../src/steering/sae-vector.ts"
import { cosine, norm } from "../../src/steering/numbers.ts"
import { trainVector } from "../../src/steering/train.ts"
import { decodeSafetensors } from "../reference/checkpoint.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"
import { tinyTalkModel } from "../helpers/models.ts"
import { expectClose } from "../helpers/numbers.ts"
import { referenceActivations, referenceDecode, type ReferenceSae, referenceTopK } from "../helpers/sae.ts"

const saeFolder = fileURLToPath(new URL("../../models/tiny-talk-sae", import.meta.url))
const TEXTS = [
  "I live with my sister in a small house near the river. It is old, but it is warm.",
  "Hello, everyone. I am happy to be here.",
  "Thank you for your time. You know, the sea was rough and the captain was angry.",
]

/** The files' values in float64. */
function readReference(layer: number): ReferenceSae {
  const {
    d_in: width,
    num_latents: latents,
    k,
  } = JSON.parse(readFileSync(`${saeFolder}/layers.${layer}/cfg.json`, "utf8")) as Record<string, number>
  const tensors = decodeSafetensors(readFileSync(`${saeFolder}/layers.${layer}/sae.safetensors`))
  const value = (name: string): Float64Array => Float64Array.from(tensors.get(name)?.data ?? [])
  return {
    width: width as number,
    latents: latents as number,
    k: k as number,
    encoder: value("encoder.weight"),
    encoderBias: value("encoder.bias"),
    decoder: value("W_dec"),
    decoderBias: value("b_dec"),
  }
}

/** The residuals after a layer of one text, without its first token. */
async function residualsOf(model: Model, text: string, layer: number, steering: readonly Steering[] = []): Promise<Float32Array> {
  const { captured } = await model.run([text], { capture: [`blocks.${layer}.hook_resid_post`], logits: false, steering })
  const { data } = captured.get(`blocks.${layer}.hook_resid_post`) as Tensor
  return data.slice(model.config.hiddenSize)
}

describe.each([3, 4])("the embedded autoencoder of layer %i", (layer) => {
  let model: Model
  let sae: Sae
  let rows: Float32Array

  beforeAll(async () => {
    model = await tinyTalkModel()
    await using folder = await openFolder(saeFolder)
    sae = await Sae.load(folder, layer, { device: model.device, width: model.config.hiddenSize })
    rows = await residualsOf(model, TEXTS[0] as string, layer)
  })
  afterAll(() => sae.dispose())

  test("encodes and decodes as float64 does", async () => {
    const reference = readReference(layer)
    const activations = referenceActivations(reference, rows)
    const top = referenceTopK(reference, activations)
    const scale = Math.max(...activations)
    expectClose(await sae.activations(rows), activations, { absolute: 1e-6 * scale, relative: 1e-4 }, "activations")
    const { k, indices, values } = await sae.encode(rows)
    const code = new Float64Array(top.length)
    for (const [i, value] of values.entries())
      if (value !== 0) code[Math.floor(i / k) * reference.latents + (indices[i] as number)] = value
    expectClose(code, top, { absolute: 1e-6 * scale, relative: 1e-4 }, "code")
    expectClose(
      await sae.reconstruct(rows),
      referenceDecode(reference, top),
      { absolute: 1e-4, relative: 1e-4 },
      "reconstruction",
    )
  })

  test("explains its own layer best, and most of it: files whose numbers are off by one would be seen", async () => {
    const fractions = await fractionUnexplainedPerLayer(model, sae, TEXTS)
    expect([...fractions.keys()]).toEqual([layer - 1, layer, layer + 1])
    const own = fractions.get(layer) as number
    expect(own).toBeLessThan(0.2)
    for (const [other, fraction] of fractions) if (other !== layer) expect(fraction, `layer ${other}`).toBeGreaterThan(1.5 * own)
  })

  const methods = ["mean", "pca-center"] as const
  test.each(methods)("a vector made among its features by %s points where the plain one does, and steers", async (method) => {
    const pairs = parsePairs(readFileSync(`${tinyTalkFolder}/pairs/bridge.jsonl`, "utf8")).slice(0, 24)
    const plain = (await trainVector(model, pairs, { layers: [layer] })).directions.get(layer) as Float32Array
    const vector = await trainSaeVector(model, sae, pairs, { method })
    expect(cosine(vector.directions.get(layer) as Float32Array, plain)).toBeGreaterThan(0.95)

    const prompt = model.encode("I live with my sister in a small house near the river.")
    const topic = model.encode(" The long red bridge is painted red so that ships can see it.").slice(1)
    const logprob = async (coefficient: number): Promise<number> => {
      const sequence = { ids: [...prompt, ...topic], from: prompt.length }
      const [scores] = (await model.score([sequence], { steering: [{ vector, coefficient }] })) as [TokenScores]
      return scores.logprobs.reduce((a, b) => a + b, 0)
    }
    const coefficient = (0.6 * norm(plain)) / (vector.norms().get(layer) as number)
    const unsteered = await logprob(0)
    expect(await logprob(coefficient)).toBeGreaterThan(unsteered + 2)
    expect(await logprob(-coefficient)).toBeLessThan(unsteered)
  })

  test("a feature's vector makes that feature strong", async () => {
    const { features } = await topFeatures(model, sae, TEXTS[0] as string, 1)
    const { feature, activation } = features[0] as TopFeature
    const vector = await featureVector(model, sae, feature)
    expect(vector.norms().get(layer)).toBeCloseTo(1, 4)
    const steering = [{ vector, coefficient: activation }]
    const steered = await sae.encode(await residualsOf(model, TEXTS[1] as string, layer, steering))
    for (let row = 0; row < steered.rows; row++) {
      expect([...steered.indices.subarray(row * steered.k, (row + 1) * steered.k)], `token ${row + 1}`).toContain(feature)
    }
  })
})
