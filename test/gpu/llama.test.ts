import { describe, expect, test } from "vitest"
import { hookShapes } from "../../src/engine/hooks.ts"
import { openDevice } from "../../src/node/dawn.ts"
import { randomModel } from "../helpers/models.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import type { CheckpointOptions } from "../reference/checkpoint.ts"

const llama3 = {
  rope_type: "llama3" as const,
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
}

const shapes: { name: string; options: CheckpointOptions }[] = [
  { name: "three shards of mixed dtypes", options: { seed: 1, shards: 3, dtypes: ["BF16", "F32", "F16"] } },
  { name: "tied embeddings, llama3 rotary", options: { seed: 2, tied: true, ropeScaling: llama3, ropeTheta: 10_000 } },
  {
    name: "odd sizes everywhere",
    options: { seed: 3, vocab: 131, hidden: 37, intermediate: 59, layers: 2, heads: 3, kvHeads: 1, headDim: 10, dtypes: ["F16"] },
  },
  { name: "every head its own keys", options: { seed: 4, heads: 4, kvHeads: 4, headDim: 32, layers: 2, dtypes: ["F32"] } },
]

function randomIds(seed: number, vocab: number, length: number): number[] {
  const next = random(seed)
  return Array.from({ length }, () => Math.floor(((next() + 1) / 2) * vocab))
}

const lengths = [1, 2, 7, 40]

describe.each(shapes)("$name", ({ options }) => {
  test("logits and every internal agree with float64, rows of different lengths in one batch", async () => {
    const { model, reference } = await randomModel(options)
    using owned = model
    const { vocabSize } = owned.config
    const prompts = lengths.map((length, i) => randomIds(i + 10, vocabSize, length))
    const run = await model.run(prompts, { capture: ["*"] })
    const positions = Math.max(...lengths)
    for (const [row, ids] of prompts.entries()) {
      const expected = reference.forward(ids)
      for (const [position, logits] of expected.logits.entries()) {
        const from = (row * positions + position) * vocabSize
        expectClose(
          run.logits!.data.subarray(from, from + vocabSize),
          logits,
          { absolute: 5e-4, relative: 0 },
          `logits ${row} ${position}`,
        )
      }
      for (const name of hookShapes(model.config).keys()) {
        const tensor = run.captured.get(name)!
        const actual = rowOf(tensor.shape, tensor.data, row, ids.length, name)
        expectClose(actual, expected.hooks.get(name)!, { absolute: 5e-4, relative: 5e-4 }, `${name}, row ${row}`)
      }
    }
  })

  test("steered logits agree with float64", async () => {
    const { model, reference } = await randomModel(options)
    using owned = model
    const { vocabSize, hiddenSize, layers } = owned.config
    const next = random(77)
    const directions = new Map([0, layers - 1].map((layer) => [layer, Float32Array.from({ length: hiddenSize }, () => next())]))
    const other = new Map([[0, Float32Array.from({ length: hiddenSize }, () => next())]])
    const ids = randomIds(5, vocabSize, 9)
    const rows: [number, number][] = [
      [1.5, 0],
      [0, -2],
      [0.25, 3],
    ]
    const run = await model.run(
      rows.map(() => ids),
      {
        at: "last",
        steering: [
          { vector: { directions }, coefficient: rows.map(([a]) => a) },
          { vector: { directions: other }, coefficient: rows.map(([, b]) => b) },
        ],
      },
    )
    for (const [row, [a, b]] of rows.entries()) {
      const steering = [
        ...[...directions].map(([layer, vector]) => ({ layer, vector, coefficient: a })),
        ...[...other].map(([layer, vector]) => ({ layer, vector, coefficient: b })),
      ]
      const expected = reference.forward(ids, { steering }).logits.at(-1)!
      const actual = run.logits!.data.subarray(row * vocabSize, (row + 1) * vocabSize)
      expectClose(actual, expected, { absolute: 5e-4, relative: 0 }, `row ${row}`)
    }
  })
})

test("a weight larger than one binding is split by rows, with the same result", async () => {
  const options: CheckpointOptions = { seed: 6, layers: 2, shards: 2, dtypes: ["BF16"] }
  using small = await openDevice({ debug: true, maxBinding: 32 * 1024 })
  const { model, reference } = await randomModel(options, small)
  using owned = model
  const ids = randomIds(1, owned.config.vocabSize, 23)
  const run = await model.run([ids])
  const expected = reference.forward(ids).logits
  expectClose(run.logits!.data, Float64Array.from(expected.flatMap((row) => [...row])), { absolute: 5e-4, relative: 0 })
})

/** The values of one row: its `length` first positions. */
function rowOf(shape: readonly number[], data: Float32Array, row: number, length: number, name: string): number[] {
  const size = data.length / shape[0]!
  const own = [...data.subarray(row * size, (row + 1) * size)]
  if (!name.endsWith("hook_pattern")) return own.slice(0, (size / shape[1]!) * length)
  const [, heads = 0, queries = 0, keys = 0] = shape
  const kept: number[] = []
  for (let head = 0; head < heads; head++) {
    for (let query = 0; query < length; query++) {
      const from = (head * queries + query) * keys
      kept.push(...own.slice(from, from + length))
    }
  }
  return kept
}

test("what is not captured or asked for is absent", async () => {
  const { model } = await randomModel({ seed: 8, layers: 1 })
  using owned = model
  const run = await owned.run([[1, 2, 3]], { capture: ["blocks.0.hook_resid_p*"], logits: false })
  expect([...run.captured.keys()]).toEqual(["blocks.0.hook_resid_pre", "blocks.0.hook_resid_post"])
  expect(run.logits).toBeUndefined()
})

test("unembedding the last residual gives the logits", async () => {
  const { model } = await randomModel({ seed: 9, layers: 2 })
  using owned = model
  const { logits, captured } = await owned.run([[1, 2, 3, 4]], { capture: ["blocks.1.hook_resid_post"] })
  const residuals = captured.get("blocks.1.hook_resid_post")!.data
  const rows = [0, 1, 2, 3].map((i) => residuals.slice(i * 120, (i + 1) * 120))
  expect(Float32Array.from((await owned.unembed(rows)).flatMap((row) => [...row]))).toEqual(logits!.data)
})
