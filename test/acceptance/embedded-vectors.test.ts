import { readdirSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { expect, test } from "vitest"
import { bufferSource } from "../../src/engine/bytes.ts"
import { parsePairs } from "../../src/steering/pairs.ts"
import { trainVector } from "../../src/steering/train.ts"
import type { SteeringVector } from "../../src/steering/vector.ts"
import { readVector } from "../../src/steering/vector-file.ts"
import { tinyTalkModel } from "../helpers/models.ts"

const models = join(import.meta.dirname, "../../models")
const pairs = join(models, "tiny-talk/pairs")
const MODELS = ["tiny-talk", "tiny-talk-instruct"]

async function stored(model: string, topic: string): Promise<SteeringVector> {
  const path = join(models, model, "vectors", `${topic}.safetensors`)
  return readVector(bufferSource(path, Uint8Array.from(await readFile(path))))
}

test.each(MODELS)("%s has a vector of every topic, at all of its layers", async (model) => {
  const topics = readdirSync(pairs).map((file) => file.replace(".jsonl", ""))
  expect(readdirSync(join(models, model, "vectors")).toSorted()).toEqual(topics.map((topic) => `${topic}.safetensors`).toSorted())
  for (const topic of topics) {
    const { layers, width, metadata } = await stored(model, topic)
    expect({ layers, width, metadata }).toEqual({
      layers: [0, 1, 2, 3, 4, 5],
      width: 256,
      metadata: { modelHint: model, method: "mean", createdFrom: `64 pairs of ${topic}` },
    })
  }
})

test("they are what their pairs give; if not, run node scripts/run.mjs scripts/make-vectors.ts", async () => {
  const model = await tinyTalkModel()
  const trained = await trainVector(model, parsePairs(await readFile(join(pairs, "winter.jsonl"), "utf8")))
  const kept = await stored("tiny-talk", "winter")
  for (const [layer, direction] of trained.directions) {
    const other = kept.directions.get(layer) as Float32Array
    const worst = Math.max(...direction.map((x, i) => Math.abs(x - (other[i] as number))))
    expect(worst).toBeLessThan(1e-4 * (trained.norms().get(layer) as number))
  }
})
