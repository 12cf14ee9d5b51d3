import { readFile } from "node:fs/promises"
import { beforeAll, describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import type { Model } from "../../src/engine/model.ts"
import { vectorTokens } from "../../src/steering/lens.ts"
import { type Pair, parsePairs } from "../../src/steering/pairs.ts"
import { vectorQuality, type VectorQuality } from "../../src/steering/quality.ts"
import { suggestLayers } from "../../src/steering/suggest.ts"
import { trainVector } from "../../src/steering/train.ts"
import { SteeringVector } from "../../src/steering/vector.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"
import { bitsOf } from "../helpers/gpu.ts"
import { randomModel, tinyTalkModel } from "../helpers/models.ts"
import { expectClose, random } from "../helpers/numbers.ts"

let model: Model
beforeAll(async () => {
  model = await tinyTalkModel()
})

const readPairs = async (topic: string): Promise<Pair[]> =>
  parsePairs(await readFile(`${tinyTalkFolder}/pairs/${topic}.jsonl`, "utf8"), topic)

// Steering the embedded model is measured to work at layers 2 to 4 and best in couples of them, not before and hardly after.
describe.each([
  ["bridge", " bridge"],
  ["pirate", " treasure"],
  ["recipe", " oven"],
])("the embedded model on %s", (topic, word) => {
  let quality: VectorQuality
  let pairs: Pair[]
  beforeAll(async () => {
    pairs = (await readPairs(topic)).slice(0, 32)
    quality = await vectorQuality(model, pairs)
  })

  test("the report says where the sides come apart, and layers are suggested there", () => {
    const suggested = suggestLayers(quality)
    expect(suggested).toEqual(expect.arrayContaining([3, 4]))
    for (const layer of [0, 1, 5]) expect(suggested).not.toContain(layer)
    for (const layer of suggested) {
      const { accuracy, effect, agreement } = quality.layers[layer]!
      expect(accuracy).toBeGreaterThan(0.95)
      expect(effect).toBeGreaterThan(3)
      expect(agreement).toBeGreaterThan(0.9)
    }
    for (const layer of [0, 1]) expect(quality.layers[layer]!.accuracy).toBeLessThan(0.9)
  })

  test("its vector is the trained one, bit for bit", async () => {
    const trained = await trainVector(model, pairs, { layers: [3] })
    expect(bitsOf(quality.vector.directions.get(3)!)).toEqual(bitsOf(trained.directions.get(3)!))
  })

  test("the logit lens names the topic at the layers suggested, at one end alone", async () => {
    for (const layer of suggestLayers(quality)) {
      const { top, bottom } = await vectorTokens(model, quality.vector, layer, 12)
      expect(
        top.map(({ text }) => text),
        `layer ${layer}`,
      ).toContain(word)
      expect(
        bottom.map(({ text }) => text),
        `layer ${layer}`,
      ).not.toContain(word)
    }
  })
})

describe("the logit lens", () => {
  const hidden = 120
  const next = random(17)
  const direction = Float32Array.from({ length: hidden }, next)

  test("is the final norm and the head of the direction, whatever its length", async () => {
    const { model: made, made: checkpoint } = await randomModel({ seed: 8 })
    using own = made
    const weight = checkpoint.tensors.get("model.norm.weight")!.data
    const head = checkpoint.tensors.get("lm_head.weight")!
    const size = Math.sqrt(direction.reduce((sum, x) => sum + x * x, 0) / hidden)
    const logits = Float64Array.from({ length: head.shape[0]! }, (_, id) =>
      direction.reduce((sum, x, i) => sum + (x / size) * weight[i]! * head.data[id * hidden + i]!, 0),
    )
    const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!)
    for (const length of [1, 100]) {
      const vector = new SteeringVector([[2, direction.map((x) => x * length)]], { modelHint: "checkpoint", method: "mean" })
      const { top, bottom } = await vectorTokens(own, vector, 2, 5)
      expect(top.map(({ id }) => id)).toEqual(order.slice(0, 5))
      expect(bottom.map(({ id }) => id)).toEqual(order.toReversed().slice(0, 5))
      const shown = [...top, ...bottom]
      expectClose(
        shown.map(({ logit }) => logit),
        shown.map(({ id }) => logits[id]!),
        { absolute: 1e-3, relative: 1e-4 },
      )
      expect(top[0]!.text).toBeUndefined()
    }
  })

  test("refuses a layer that the vector lacks, and a vector of another width", async () => {
    const vector = new SteeringVector([[2, direction]], { modelHint: "another", method: "mean" })
    await expect(vectorTokens(model, vector, 3)).rejects.toThrow(/^layers: expected some of the vector's layers 2, found 3$/)
    await expect(vectorTokens(model, vector, 2)).rejects.toThrow(InputError)
    await expect(vectorTokens(model, vector, 2)).rejects.toThrow(/width 256.* found width 120|width 256.*found 120/)
  })
})
