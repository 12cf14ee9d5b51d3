import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"
import { memoryFolder } from "../../src/engine/bytes.ts"
import { expectedTensors, openCheckpoint, type Checkpoint } from "../../src/engine/checkpoint.ts"
import { parseConfig } from "../../src/engine/config.ts"
import { InputError } from "../../src/engine/errors.ts"
import { encodeSafetensors } from "../../src/engine/safetensors.ts"
import { openFolder } from "../../src/node/files.ts"

type Files = Record<string, string | Uint8Array>
type Shapes = Record<string, readonly number[]>

const rawConfig = {
  model_type: "llama",
  vocab_size: 11,
  hidden_size: 6,
  intermediate_size: 10,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 64,
}
const config = parseConfig(rawConfig, undefined, "config.json")
const shapes: Shapes = Object.fromEntries(expectedTensors(config).map(({ name, shape }) => [name, shape]))

const weights = (of: Shapes): Uint8Array => {
  const tensors = Object.entries(of).map(([name, shape]) => {
    return [name, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }] as const
  })
  return encodeSafetensors(new Map(tensors))
}

const without = (...names: string[]): Shapes =>
  Object.fromEntries(Object.entries(shapes).filter(([name]) => !names.includes(name)))

const open = (files: Files): Promise<Checkpoint> => openCheckpoint(memoryFolder("m", files))

const noWeights: Files = { "config.json": JSON.stringify(rawConfig) }
const good: Files = { ...noWeights, "model.safetensors": weights(shapes) }

/** Some tensors in one shard and the rest in another. */
function sharded(first: string[], index: (map: Record<string, string>) => unknown = (map) => ({ weight_map: map })): Files {
  const inFirst = Object.entries(shapes).filter(([name]) => first.includes(name))
  const map = Object.fromEntries(
    Object.keys(shapes).map((name) => [name, first.includes(name) ? "1.safetensors" : "2.safetensors"]),
  )
  return {
    ...noWeights,
    "model.safetensors.index.json": JSON.stringify(index(map)),
    "1.safetensors": weights(Object.fromEntries(inFirst)),
    "2.safetensors": weights(without(...first)),
  }
}

const LAYER = "model.layers.1"
const Q = `${LAYER}.self_attn.q_proj.weight`

test("the embedded model opens whole", async () => {
  await using folder = await openFolder(fileURLToPath(new URL("../../models/tiny-talk", import.meta.url)))
  const checkpoint = await openCheckpoint(folder)
  expect(checkpoint.config).toMatchObject({ layers: 6, hiddenSize: 256, bosId: 4080, eosIds: [4081], tiedEmbeddings: true })
  expect(checkpoint.tensors.size).toBe(56)
  expect(checkpoint.tensors.get("model.norm.weight")).toMatchObject({ dtype: "BF16", shape: [256] })
  expect(checkpoint.bytes).toBe([...checkpoint.tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0))
  expect(checkpoint.tokenizer?.encode("I")).toEqual([4080, 40])
  expect(checkpoint.warnings).toEqual([])
})

test("the expected tensors are those of the architecture", () => {
  expect(expectedTensors(config)).toHaveLength(1 + 2 * 9 + 1 + 1)
  expect(shapes).toMatchObject({
    "model.embed_tokens.weight": [11, 6],
    [Q]: [32, 6],
    [`${LAYER}.self_attn.k_proj.weight`]: [16, 6],
    [`${LAYER}.self_attn.v_proj.weight`]: [16, 6],
    [`${LAYER}.self_attn.o_proj.weight`]: [6, 32],
    [`${LAYER}.mlp.gate_proj.weight`]: [10, 6],
    [`${LAYER}.mlp.up_proj.weight`]: [10, 6],
    [`${LAYER}.mlp.down_proj.weight`]: [6, 10],
    [`${LAYER}.input_layernorm.weight`]: [6],
    [`${LAYER}.post_attention_layernorm.weight`]: [6],
    "model.norm.weight": [6],
    "lm_head.weight": [11, 6],
  })
  const tied = expectedTensors({ ...config, tiedEmbeddings: true }).map(({ name }) => name)
  expect(tied).toEqual(Object.keys(without("lm_head.weight")))
})

test("a folder without tokenizer and generation_config.json opens", async () => {
  const checkpoint = await open(good)
  expect(checkpoint.tokenizer).toBeUndefined()
  expect([...checkpoint.tensors.keys()]).toEqual(Object.keys(shapes))
  expect(checkpoint.bytes).toBe(4 * Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0))
})

test("the eos of generation_config.json is taken in", async () => {
  const checkpoint = await open({ ...good, "generation_config.json": '{"eos_token_id": [3, 4]}' })
  expect(checkpoint.config.eosIds).toEqual([3, 4])
})

test("shards open, each tensor from the one that the index names", async () => {
  const files = sharded(["model.norm.weight", Q])
  files["2.safetensors"] = weights({ ...without("model.norm.weight"), [Q]: [1] }) // a stale copy of Q
  const { tensors, warnings } = await open(files)
  expect(tensors.get(Q)?.source.name).toBe("1.safetensors")
  expect(tensors.get("lm_head.weight")?.source.name).toBe("2.safetensors")
  expect(tensors.size).toBe(21)
  expect(warnings).toEqual([])
})

test("superfluous tensors are named in one warning", async () => {
  const extra = { "model.layers.0.self_attn.rotary_emb.inv_freq": [4], "novel": [1] }
  const { tensors, warnings } = await open({ ...good, "model.safetensors": weights({ ...shapes, ...extra }) })
  expect(tensors.size).toBe(21)
  expect(warnings).toEqual([`m: tensors that are not used: ${Object.keys(extra).join(", ")}`])
})

test("a tied model's lm_head is not used, with a warning", async () => {
  const { tensors, warnings } = await open({
    ...good,
    "config.json": JSON.stringify({ ...rawConfig, tie_word_embeddings: true }),
  })
  expect(tensors.has("lm_head.weight")).toBe(false)
  expect(warnings).toEqual(["m: tensors that are not used: lm_head.weight (config.json ties lm_head to the embedding)"])
})

describe("what is refused, on one line", () => {
  const truncated = weights(shapes).subarray(0, -8)
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const quantised = (): Uint8Array => {
    const file = weights(shapes)
    const text = new TextDecoder("latin1").decode(file)
    file.set(bytes("U32"), text.indexOf('"F32"', text.indexOf(`"${Q}"`)) + 1)
    return file
  }
  const index = (value: unknown): Files => sharded([], () => value)
  const named = (shard: string): Files => sharded([Q], (map) => ({ weight_map: { ...map, [Q]: shard } }))
  const lacking = Object.fromEntries(Object.entries(sharded([Q])).filter(([name]) => name !== "1.safetensors"))

  const cases: [string, Files, string][] = [
    [
      "no config",
      { "model.safetensors": weights(shapes) },
      "m/config.json: expected a model's config.json, found no such file; name a",
    ],
    ["a broken config", { ...good, "config.json": "{" }, "m/config.json: expected JSON, found broken JSON ("],
    [
      "another architecture",
      { ...good, "config.json": '{"architectures":["T5Model"]}' },
      "expected LlamaForCausalLM, found T5Model",
    ],
    [
      "a broken generation_config",
      { ...good, "generation_config.json": "" },
      "m/generation_config.json: expected JSON, found an empty",
    ],
    [
      "a wrong generation_config",
      { ...good, "generation_config.json": "[]" },
      "m/generation_config.json: expected an object, found []",
    ],
    ["a broken tokenizer", { ...good, "tokenizer.json": "{}" }, "m/tokenizer.json: expected a Hugging Face tokenizer, found "],
    ["no weights", noWeights, "m: expected model.safetensors or model.safetensors.index.json, found neither"],
    ["truncated weights", { ...good, "model.safetensors": truncated }, "(offsets-outside-file): expected offsets up to "],
    [
      "a broken index",
      { ...noWeights, "model.safetensors.index.json": "x" },
      "m/model.safetensors.index.json: expected JSON, found",
    ],
    ["no weight_map", index({}), "index.json, weight_map: expected an object that maps tensors to shards, found nothing"],
    ["a weight_map of numbers", index({ weight_map: { a: 1 } }), "index.json, weight_map.a: expected a shard's name, found 1"],
    ["a missing shard", lacking, "index.json: expected shard 1.safetensors, found no such file; fetch the model again"],
    ["a shard above", named("../1.safetensors"), 'expected shards beside the index, found "../1.safetensors"'],
    ["a shard elsewhere", named("sub/1.safetensors"), 'expected shards beside the index, found "sub/1.safetensors"'],
    ["a shard elsewhere on Windows", named("sub\\1.safetensors"), "expected shards beside the index, found "],
    ["a shard without name", named(""), 'expected shards beside the index, found ""'],
    [
      "a shard that lacks a tensor",
      named("2.safetensors"),
      `index.json: expected tensors that its shards have, found no ${Q} in 2.safetensors`,
    ],
    [
      "missing tensors",
      { ...good, "model.safetensors": weights(without(Q, "lm_head.weight")) },
      `m: expected the tensors that config.json describes, in F32, F16, BF16, found 2 missing: ${Q}, lm_head.weight; fetch`,
    ],
    [
      "tensors of another shape, and one missing",
      { ...good, "model.safetensors": weights({ ...without("lm_head.weight"), [Q]: [6, 32], "model.norm.weight": [7] }) },
      `1 missing: lm_head.weight; 2 of another shape: ${Q} [6,32] instead of [32,6], model.norm.weight [7] instead of [6]`,
    ],
    [
      "quantised tensors",
      { ...good, "model.safetensors": quantised() },
      `found 1 of another dtype: ${Q} U32; choose the model's files that are not quantised`,
    ],
  ]
  test.each(cases)("%s", async (_name, files, message) => {
    const opening = open(files)
    await expect(opening).rejects.toThrow(InputError)
    await expect(opening).rejects.toThrow(message)
    await expect(opening).rejects.toThrow(/^[^\n]+$/)
  })

  test("an index that only looks like one is not read when model.safetensors is there", async () => {
    await expect(open({ ...good, "model.safetensors.index.json": "x" })).resolves.toBeDefined()
  })
})
