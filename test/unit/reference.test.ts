import { createHash } from "node:crypto"
import { describe, expect, test } from "vitest"
import { loadReference, loadTinyTalk, tinyTalkEnds } from "../helpers/fixtures.ts"
import { checkpointFolder, decodeSafetensors, decodeValues, encodeValues, makeCheckpoint } from "../reference/checkpoint.ts"
import { logSumExp, nextLogProbs, ReferenceLlama, rotaryFrequencies, type ReferenceTensor } from "../reference/llama.ts"

const reference = loadReference()
const { layers, coefficient, vector } = reference.steering
const steering = layers.map((layer) => ({ layer, vector, coefficient }))

/** The fixture keeps 7 to 9 significant digits. */
function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length)
  const worst = Math.max(...found.map((x, i) => Math.abs(x - expected[i]!) / (1 + Math.abs(expected[i]!))))
  expect(worst).toBeLessThan(1e-6)
}

/** Compared instead of the numbers, for a difference among a million of them would be printed whole. */
function digest(x: Uint8Array | Float64Array): string {
  return createHash("sha256").update(x).digest("hex")
}

function digests(files: ReadonlyMap<string, Uint8Array>): [string, string][] {
  return [...files].map(([name, bytes]) => [name, digest(bytes)])
}

function length(x: Float64Array): number {
  return Math.hypot(...x)
}

describe("on the embedded model the float64 reference agrees with torch", () => {
  const names = ["two tokens", "short", "other script"]
  const cases = names.flatMap((name) => [
    { name, kind: "plain" as const },
    { name, kind: "steered" as const },
  ])

  test.each(cases)("$name, $kind", ({ name, kind }) => {
    const { ids, [kind]: expected } = reference.cases.find((one) => one.name === name)!
    const model = loadTinyTalk()
    const { logits, hooks } = model.forward(ids, kind === "steered" ? { steering } : {})
    const last = logits.at(-1)!
    expectClose(
      expected.top20_ids.map((id) => last[id]!),
      expected.top20_logits,
    )
    expect(Math.max(...last)).toBe(last[expected.top20_ids[0]!])
    expectClose([logSumExp(last)], [expected.logsumexp_last])
    expectClose(nextLogProbs(logits, ids), expected.next_logprobs)
    const norms = expected.residual_norms_last.map((_, layer) => {
      return length(hooks.get(`blocks.${layer}.hook_resid_post`)!.subarray(-model.config.hidden_size))
    })
    expectClose(norms, expected.residual_norms_last)
  })

  const runs = [
    { kind: "plain", greedy: "greedy32", penalty: 1, steering: [] },
    { kind: "plain", greedy: "greedy32_penalty1.1", penalty: 1.1, steering: [] },
    { kind: "steered", greedy: "greedy32_penalty1.1", penalty: 1.1, steering },
  ] as const

  test.each(runs)("greedy continuation of «short», $kind, penalty $penalty", (run) => {
    const { ids, [run.kind]: results } = reference.cases.find((one) => one.name === "short")!
    const expected = results[run.greedy]
    const found = loadTinyTalk().greedy(ids, 32, { penalty: run.penalty, steering: run.steering, eosIds: tinyTalkEnds })
    expect(found.ids).toEqual(expected.ids)
    expect(Math.min(...found.gaps)).toBeCloseTo(expected.min_gap, 5)
  })

  test("rotary frequencies", () => {
    expectClose(rotaryFrequencies(loadTinyTalk().config).map(Math.log), reference.inv_freq.map(Math.log))
  })
})

test("a greedy run ends with the first end id", () => {
  const { ids, plain } = reference.cases.find((one) => one.name === "two tokens")!
  const [first, second] = plain.greedy32.ids
  expect(loadTinyTalk().greedy(ids, 32, { eosIds: [second!] }).ids).toEqual([first, second])
})

// Bit patterns from the definitions of the formats: bfloat16 is the upper half of a float32, half has 5 exponent bits.
const patterns = [
  { dtype: "BF16", value: 1, bits: 0x3f80, stored: 1 },
  { dtype: "BF16", value: 1 + 1 / 256, bits: 0x3f80, stored: 1 },
  { dtype: "BF16", value: 1 + 3 / 256, bits: 0x3f82, stored: 1 + 1 / 64 },
  { dtype: "BF16", value: -0.1, bits: 0xbdcd, stored: -0.10009765625 },
  { dtype: "F16", value: 1, bits: 0x3c00, stored: 1 },
  { dtype: "F16", value: 1 + 1 / 2048, bits: 0x3c00, stored: 1 },
  { dtype: "F16", value: 1 + 3 / 2048, bits: 0x3c02, stored: 1 + 1 / 512 },
  { dtype: "F16", value: -0.1, bits: 0xae66, stored: -0.0999755859375 },
  { dtype: "F16", value: 1.99999, bits: 0x4000, stored: 2 },
  { dtype: "F16", value: 65504, bits: 0x7bff, stored: 65504 },
  { dtype: "F16", value: 70000, bits: 0x7c00, stored: Infinity },
  { dtype: "F16", value: 2 ** -24, bits: 0x0001, stored: 2 ** -24 },
  { dtype: "F16", value: 0, bits: 0x0000, stored: 0 },
] as const

test.each(patterns)("$value as $dtype", ({ dtype, value, bits, stored }) => {
  const bytes = encodeValues(dtype, [value])
  expect(bytes[0]! + 256 * bytes[1]!).toBe(bits)
  expect(decodeValues(dtype, bytes)).toEqual(Float64Array.of(stored))
})

describe("a random checkpoint", () => {
  const options = { seed: 7, shards: 3, dtypes: ["F32", "F16", "BF16"] } as const

  test("comes out the same from the same seed and different from another", () => {
    const made = makeCheckpoint(options)
    expect(digests(makeCheckpoint(options).files)).toEqual(digests(made.files))
    expect(digests(makeCheckpoint({ ...options, seed: 8 }).files)).not.toEqual(digests(made.files))
  })

  test("is in its files what it says it is", async () => {
    const made = makeCheckpoint(options)
    const folder = checkpointFolder(made)
    const index = JSON.parse((await folder.readText("model.safetensors.index.json"))!) as { weight_map: Record<string, string> }
    const shards = [...new Set(Object.values(index.weight_map))]
    expect(shards).toHaveLength(3)
    const found = new Map<string, ReferenceTensor>()
    for (const shard of shards) {
      const file = (await folder.open(shard))!
      const bytes = new Uint8Array(await file.slice(0, file.byteLength))
      for (const [name, tensor] of decodeSafetensors(bytes)) found.set(name, tensor)
    }
    expect([...found.keys()]).toEqual([...made.tensors.keys()])
    for (const [name, { shape, data }] of made.tensors) {
      expect(found.get(name)!.shape).toEqual(shape)
      expect(digest(found.get(name)!.data)).toBe(digest(data))
    }
    expect(await folder.open("model.safetensors")).toBeUndefined()
    expect(JSON.parse((await folder.readText("config.json"))!)).toMatchObject(made.config)
  })

  test.each([false, true])("keeps activations of order 1 and logits of order 3 (tied: %s)", (tied) => {
    const { config, tensors } = makeCheckpoint({ ...options, tied })
    const { logits, hooks } = new ReferenceLlama(config, tensors).forward([5, 518, 0, 77, 5, 300])
    const spread = (x: Float64Array): number => length(x) / Math.sqrt(x.length)
    for (const x of hooks.values()) expect(spread(x)).toBeLessThan(4)
    for (const row of logits) expect(spread(row)).toBeGreaterThan(1.5)
    for (const row of logits) expect(spread(row)).toBeLessThan(6)
  })

  test("is steered only after the layer named, and reads the same in one pass as token by token", () => {
    const { config, tensors } = makeCheckpoint({ ...options, ropeScaling })
    const model = new ReferenceLlama(config, tensors)
    const ids = [9, 4, 511, 4]
    const steered = { steering: [{ layer: 1, vector: new Float64Array(config.hidden_size).fill(0.5), coefficient: -2 }] }
    const plain = model.forward(ids)
    const moved = model.forward(ids, steered)
    const at = (run: typeof plain, name: string): Float64Array => run.hooks.get(name)!
    expect(at(moved, "blocks.0.hook_resid_post")).toEqual(at(plain, "blocks.0.hook_resid_post"))
    expect(at(moved, "blocks.1.hook_mlp_out")).toEqual(at(plain, "blocks.1.hook_mlp_out"))
    expect(at(moved, "blocks.1.hook_resid_post")).toEqual(at(plain, "blocks.1.hook_resid_post").map((x) => x - 1))

    const { ids: continued } = model.greedy(ids, 5, steered)
    const all = [...ids, ...continued]
    const { logits } = model.forward(all, steered)
    expect(logits.slice(ids.length - 1, -1).map((row) => row.indexOf(Math.max(...row)))).toEqual(continued)
  })
})

const ropeScaling = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
} as const
