import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { configOf } from "../../scripts/checkpoint/shapes.ts"
import { writeCheckpoint } from "../../scripts/checkpoint/write.ts"
import { interleaved } from "../../scripts/gguf/llama.ts"
import { tokenizerMetadata } from "../../scripts/gguf/tokenizer.ts"
import { writeGguf } from "../../scripts/gguf/write.ts"
import { inverseFrequencies, type LlamaConfig } from "../../src/engine/config.ts"
import { readTensorF32 } from "../../src/engine/safetensors.ts"
import { InputError, openCheckpoint } from "../../src/index.ts"
import { embeddedModel, openFolder } from "../../src/node.ts"
import { layOutGguf } from "../../src/steering/gguf-write.ts"

const scratch = mkdtempSync(join(tmpdir(), "redline-gguf-"))
const models = { "tiny-tied": join(scratch, "tied"), "tiny": join(scratch, "tiny") }

beforeAll(async () => {
  await writeCheckpoint(models["tiny-tied"], { config: configOf("tiny-tied") ?? {}, seed: 3, type: "BF16", shardBytes: 1e5 })
  await writeCheckpoint(models.tiny, { config: configOf("tiny") ?? {}, seed: 4, type: "F16", shardBytes: 1e9 })
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

interface Read {
  readonly metadata: ReadonlyMap<string, unknown>
  readonly tensors: ReadonlyMap<string, { readonly shape: number[]; readonly type: number; readonly data: Uint8Array }>
}

/** Reads a GGUF file by the format's description, apart from what writes it. */
function parseGguf(file: Uint8Array): Read {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  let at = 0
  const take = (bytes: number): number => (at += bytes) - bytes
  const u32 = (): number => view.getUint32(take(4), true)
  const u64 = (): number => Number(view.getBigUint64(take(8), true))
  const text = (): string => {
    const length = u64()
    return new TextDecoder().decode(file.subarray(at, (at += length)))
  }
  const value = (type: number): unknown => {
    if (type === 4) return u32()
    if (type === 5) return view.getInt32(take(4), true)
    if (type === 6) return view.getFloat32(take(4), true)
    if (type === 7) return file[take(1)] === 1
    if (type === 8) return text()
    if (type !== 9) throw new Error(`type ${type}`)
    const items = u32()
    return Array.from({ length: u64() }, () => value(items))
  }
  expect(new TextDecoder().decode(file.subarray(0, (at += 4)))).toBe("GGUF")
  expect(u32()).toBe(3)
  const [tensorCount, metadataCount] = [u64(), u64()]
  const metadata = new Map(Array.from({ length: metadataCount }, () => [text(), value(u32())] as const))
  const infos = Array.from({ length: tensorCount }, () => {
    const name = text()
    const shape = Array.from({ length: u32() }, u64).toReversed()
    return { name, shape, type: u32(), offset: u64() }
  })
  const start = Math.ceil(at / 32) * 32
  const tensors = infos.map(({ name, shape, type, offset }) => {
    expect(offset % 32).toBe(0)
    const bytes = shape.reduce((product, n) => product * n, type === 0 ? 4 : 2)
    expect(start + offset + bytes).toBeLessThanOrEqual(file.length)
    return [name, { shape, type, data: file.slice(start + offset, start + offset + bytes) }] as const
  })
  return { metadata, tensors: new Map(tensors) }
}

async function convert(model: string, f32: boolean): Promise<Read> {
  await using folder = await openFolder(model)
  const path = join(scratch, "model.gguf")
  const bytes = await writeGguf(path, await openCheckpoint(folder), { f32, name: "a name" })
  const file = new Uint8Array(await readFile(path)) // a Buffer's slices are no copies
  expect(file.length).toBe(bytes)
  expect(readdirSync(scratch).filter((name) => name.endsWith(".tmp"))).toEqual([])
  return parseGguf(file)
}

/** Rows in the order of the checkpoint: of each head the even ones, then the odd ones. */
function unrotated(data: Float32Array, shape: readonly number[], headDim: number): Float32Array {
  const [rows = 0, width = 0] = shape
  const found = new Float32Array(data.length)
  for (let row = 0; row < rows; row++) {
    const [head, i] = [Math.floor(row / headDim), row % headDim]
    const to = head * headDim + (i % 2 === 0 ? i / 2 : headDim / 2 + (i - 1) / 2)
    found.set(data.subarray(row * width, (row + 1) * width), to * width)
  }
  return found
}

const LAYER: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
}
const OUTER: Readonly<Record<string, string>> = { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" }

/** The name of a tensor in the checkpoint. */
function sourceName(name: string): string {
  const [, layer, part = ""] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? []
  return layer === undefined ? `${OUTER[name.replace(".weight", "")]}.weight` : `model.layers.${layer}.${LAYER[part]}.weight`
}

test.for([
  ["tiny-tied", true],
  ["tiny-tied", false],
  ["tiny", false],
] as const)("every number of %s comes back, f32 %s", async ([name, f32]) => {
  const { tensors } = await convert(models[name], f32)
  await using folder = await openFolder(models[name])
  const { tensors: sources, config } = await openCheckpoint(folder)
  const stored = { BF16: 30, F16: 1 }[sources.get("model.embed_tokens.weight")?.dtype as "BF16" | "F16"]
  const own = [...tensors].filter(([each]) => each !== "rope_freqs.weight")
  expect(own.map(([each]) => sourceName(each)).toSorted()).toEqual([...sources.keys()].toSorted())
  for (const [each, { shape, type, data }] of own) {
    const source = sources.get(sourceName(each))
    if (!source) throw new Error(each)
    expect([each, shape, type]).toEqual([each, source.shape, f32 || shape.length === 1 ? 0 : stored])
    const dtype = type === 0 ? "F32" : source.dtype
    const buffer = data.slice().buffer
    const bytes = { name: each, byteLength: data.length, slice: (a: number, b: number) => Promise.resolve(buffer.slice(a, b)) }
    const values = await readTensorF32({ ...source, dtype, source: bytes, begin: 0, end: data.length })
    const expected = await readTensorF32(source)
    const found = /attn_[qk]\./.test(each) ? unrotated(values, shape, config.headDim) : values
    expect(found).toHaveLength(expected.length)
    expect([each, expected.findIndex((x, i) => !Object.is(x, found[i]))]).toEqual([each, -1])
  }
})

test("the shape of a model and its stretched rotary embedding", async () => {
  const { metadata, tensors } = await convert(models["tiny-tied"], false)
  expect(Object.fromEntries(metadata)).toEqual({
    "general.architecture": "llama",
    "general.name": "a name",
    "general.file_type": 32,
    "llama.vocab_size": 515,
    "llama.context_length": 8192,
    "llama.embedding_length": 64,
    "llama.block_count": 2,
    "llama.feed_forward_length": 160,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 1,
    "llama.attention.key_length": 32,
    "llama.attention.value_length": 32,
    "llama.attention.layer_norm_rms_epsilon": Math.fround(1e-5),
    "llama.rope.dimension_count": 32,
    "llama.rope.freq_base": 500_000,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "llama-bpe",
    "tokenizer.ggml.tokens": Array.from({ length: 515 }, (_, id) => `[PAD${id}]`),
    "tokenizer.ggml.token_type": new Array<number>(515).fill(5),
    "tokenizer.ggml.merges": [],
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 1,
    "tokenizer.ggml.add_bos_token": false,
  })
  expect(tensors.has("output.weight")).toBe(false) // tied
  const factors = new Float32Array(tensors.get("rope_freqs.weight")?.data.slice().buffer ?? new ArrayBuffer(0))
  const rope = { headDim: 32, ropeTheta: 500_000, ropeScaling: null }
  const scaling = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 }
  const stretched = inverseFrequencies({ ...rope, ropeScaling: scaling })
  const divided = inverseFrequencies(rope).map((frequency, i) => frequency / (factors[i] as number))
  expect(factors).toHaveLength(16)
  expect([factors[0], factors[15]]).toEqual([1, 8])
  for (const [i, frequency] of divided.entries()) expect(frequency / (stretched[i] as number)).toBeCloseTo(1, 6)

  const plain = await convert(models.tiny, false)
  expect(plain.tensors.has("rope_freqs.weight")).toBe(false)
  expect(plain.tensors.has("output.weight")).toBe(true)
  expect(plain.metadata.get("general.file_type")).toBe(1)
})

test("the tokens of the embedded model", async () => {
  const { metadata } = await convert(embeddedModel, false)
  const json = JSON.parse(await readFile(join(embeddedModel, "tokenizer.json"), "utf8")) as {
    readonly model: { readonly vocab: Record<string, number>; readonly merges: string[] }
  }
  const tokens = metadata.get("tokenizer.ggml.tokens") as string[]
  const kinds = metadata.get("tokenizer.ggml.token_type") as number[]
  expect([tokens.length, kinds.length]).toEqual([4096, 4096])
  expect(Object.entries(json.model.vocab).filter(([token, id]) => tokens[id] !== token || kinds[id] !== 1)).toEqual([])
  expect([tokens[4080], kinds[4080]]).toEqual(["<|begin_of_text|>", 3])
  expect(metadata.get("tokenizer.ggml.merges")).toEqual(json.model.merges)
  expect(
    ["model", "pre", "bos_token_id", "eos_token_id", "add_bos_token"].map((key) => metadata.get(`tokenizer.ggml.${key}`)),
  ).toEqual(["gpt2", "llama-bpe", 4080, 4081, true])
})

test("a head's rows change places", () => {
  const rows = Uint8Array.from({ length: 16 }, (_, i) => i) // 8 rows of 2
  expect([...interleaved(rows, 8)]).toEqual([0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15])
})

test("the bytes of a header", () => {
  const { header, offsets, bytes } = layOutGguf(
    [
      ["f", { f32: 1 }],
      ["b", true],
      ["t", { texts: ["é", ""] }],
      ["i", { i32: Int32Array.of(-1, 3) }],
    ],
    [
      { name: "w", shape: [3, 5], type: "BF16" },
      { name: "v", shape: [2], type: "F32" },
    ],
  )
  const one = [1, 0, 0, 0, 0, 0, 0, 0]
  const two = [2, 0, 0, 0, 0, 0, 0, 0]
  const letter = (name: string): number[] => [...one, name.charCodeAt(0)]
  const expected = [
    [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, ...two, 4, 0, 0, 0, 0, 0, 0, 0],
    [...letter("f"), 6, 0, 0, 0, 0, 0, 0x80, 0x3f],
    [...letter("b"), 7, 0, 0, 0, 1],
    [...letter("t"), 9, 0, 0, 0, 8, 0, 0, 0, ...two, ...two, 0xc3, 0xa9, 0, 0, 0, 0, 0, 0, 0, 0],
    [...letter("i"), 9, 0, 0, 0, 5, 0, 0, 0, ...two, 255, 255, 255, 255, 3, 0, 0, 0],
    [...letter("w"), 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [...letter("v"), 1, 0, 0, 0, ...two, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0],
  ].flat()
  const start = Math.ceil(expected.length / 32) * 32
  expect([...header]).toEqual([...expected, ...new Array<number>(start - expected.length).fill(0)])
  expect([offsets, bytes]).toEqual([[start, start + 32], start + 64])
})

test("a tokenizer that is split otherwise, or has ids outside the vocabulary, is refused", async () => {
  await using folder = await openFolder(embeddedModel)
  const { config, tokenizer } = await openCheckpoint(folder)
  const json = JSON.parse(await readFile(join(embeddedModel, "tokenizer.json"), "utf8")) as Record<string, unknown>
  const of =
    (changed: Record<string, unknown>, changedConfig: LlamaConfig = config) =>
    () =>
      tokenizerMetadata({ config: changedConfig, tokenizer }, { ...json, ...changed }, "tokenizer.json")
  expect(of({ pre_tokenizer: { type: "ByteLevel" } })).toThrow(
    new InputError({ where: "tokenizer.json, pre_tokenizer", expected: "Llama 3's split", found: "another" }),
  )
  expect(of({}, { ...config, vocabSize: 4080 })).toThrow(/ids below the vocabulary's size, 4080, found 4080/)
  expect(of({ model: { type: "WordPiece" } })).toThrow(/model.type: expected BPE/)
})
