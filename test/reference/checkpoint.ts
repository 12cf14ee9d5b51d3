import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { memoryFolder, type Folder } from "../../src/engine/bytes.ts"
import { random } from "../helpers/numbers.ts"
import type { ReferenceConfig, ReferenceTensor, RopeScaling } from "./llama.ts"

export type StoredType = "F32" | "F16" | "BF16"

/** A random Llama-shaped checkpoint. What is left out is awkward on purpose: see {@link awkward}. */
export interface CheckpointOptions {
  readonly seed: number
  readonly vocab?: number
  readonly hidden?: number
  readonly intermediate?: number
  readonly layers?: number
  readonly heads?: number
  readonly kvHeads?: number
  readonly headDim?: number
  readonly tied?: boolean
  readonly ropeTheta?: number
  readonly ropeScaling?: RopeScaling | null
  readonly maxPositions?: number
  /** One: model.safetensors. More: that many files and their index, the tensors dealt out in order. */
  readonly shards?: number
  /** Cycled over the tensors. */
  readonly dtypes?: readonly StoredType[]
  /** Fields laid over config.json as written; undefined takes a field out. */
  readonly configFile?: Readonly<Record<string, unknown>>
}

const awkward: Required<Omit<CheckpointOptions, "seed" | "configFile">> = {
  vocab: 519,
  hidden: 120,
  intermediate: 328,
  layers: 3,
  heads: 6,
  kvHeads: 2,
  headDim: 24,
  tied: false,
  ropeTheta: 500_000,
  ropeScaling: null,
  maxPositions: 512,
  shards: 1,
  dtypes: ["BF16"],
}

export interface Checkpoint {
  /** File name -> content. */
  readonly files: Map<string, Uint8Array>
  /** The values that the files hold, after rounding. */
  readonly tensors: Map<string, ReferenceTensor>
  readonly config: ReferenceConfig
}

/** A tensor as a safetensors file stores it. */
export interface StoredTensor {
  readonly name: string
  readonly dtype: StoredType
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** Makes a checkpoint in memory: the same options give the same bytes. Activations stay of order 1, logits of order 3. */
export function makeCheckpoint(options: CheckpointOptions): Checkpoint {
  const o = { ...awkward, ...options }
  const config: ReferenceConfig = {
    vocab_size: o.vocab,
    hidden_size: o.hidden,
    intermediate_size: o.intermediate,
    num_hidden_layers: o.layers,
    num_attention_heads: o.heads,
    num_key_value_heads: o.kvHeads,
    head_dim: o.headDim,
    rms_norm_eps: 1e-5,
    rope_theta: o.ropeTheta,
    rope_scaling: o.ropeScaling,
    tie_word_embeddings: o.tied,
  }
  const normal = normalNumbers(o.seed)
  const stored = llamaTensors(config).map(({ name, shape, mean, spread }, i): StoredTensor => {
    const dtype = o.dtypes[i % o.dtypes.length]!
    const values = Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => mean + spread * normal())
    return { name, dtype, shape, bytes: encodeValues(dtype, values) }
  })
  const tensors = new Map(stored.map(({ name, dtype, shape, bytes }) => [name, { shape, data: decodeValues(dtype, bytes) }]))
  const files = new Map([
    ["config.json", json({ ...configFile(config, o.maxPositions, o.dtypes[0]!), ...o.configFile })],
    ["generation_config.json", json({ bos_token_id: 0, eos_token_id: [1, 2] })],
    ...weightFiles(stored, o.shards),
  ])
  return { files, tensors, config }
}

/** Writes the checkpoint's files into a folder, made if it is not there. */
export async function writeCheckpoint(directory: string, made: Pick<Checkpoint, "files">): Promise<void> {
  await mkdir(directory, { recursive: true })
  for (const [name, bytes] of made.files) await writeFile(join(directory, name), bytes)
}

/** The checkpoint's files in memory as the folder that a model is loaded from. */
export function checkpointFolder(made: Pick<Checkpoint, "files">, name = "checkpoint"): Folder {
  return memoryFolder(name, Object.fromEntries(made.files))
}

/** A safetensors file: the header's length, the header padded to 8 bytes, the tensors in the order given. */
export function encodeSafetensors(
  tensors: readonly StoredTensor[],
  metadata: Record<string, string> = { format: "pt" },
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata }
  let end = 0
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] }
    end += bytes.length
  }
  const text = JSON.stringify(header)
  const head = new TextEncoder().encode(text + " ".repeat((8 - (Buffer.byteLength(text) % 8)) % 8))
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(head.length), true)
  return new Uint8Array(Buffer.concat([length, head, ...tensors.map(({ bytes }) => bytes)]))
}

/** The tensors of a well-formed safetensors file as float64. */
export function decodeSafetensors(file: Uint8Array): Map<string, ReferenceTensor> {
  const start = headerEnd(file)
  return new Map(
    decodeHeader(file.subarray(8, start)).map(([name, { dtype, shape, data_offsets: offsets }]) => {
      return [name, { shape, data: decodeValues(dtype, file.subarray(start + offsets[0], start + offsets[1])) }]
    }),
  )
}

/** Where a safetensors file's header ends and its tensors begin, from the file's first 8 bytes. */
export const headerEnd = (file: Uint8Array): number =>
  8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))

/** A tensor's entry in a safetensors header. */
export interface HeaderEntry {
  readonly dtype: StoredType
  readonly shape: number[]
  readonly data_offsets: readonly [number, number]
}

/** The tensors that a safetensors header lists. */
export function decodeHeader(header: Uint8Array): [string, HeaderEntry][] {
  const { __metadata__: _, ...entries } = JSON.parse(new TextDecoder().decode(header)) as Record<string, HeaderEntry>
  return Object.entries(entries)
}

/** Little-endian bytes of the values, each rounded to the nearest of its type, to even at a tie. */
export function encodeValues(dtype: StoredType, values: ArrayLike<number>): Uint8Array {
  if (dtype === "F32") return new Uint8Array(Float32Array.from(values).buffer)
  return new Uint8Array(Uint16Array.from(values, dtype === "F16" ? toHalf : toBfloat).buffer)
}

/** The values that the bytes stand for, exactly. */
export function decodeValues(dtype: StoredType, bytes: Uint8Array): Float64Array {
  const copy = Uint8Array.from(bytes).buffer // aligned; slice() of a Buffer would not copy
  if (dtype === "F32") return new Float64Array(new Float32Array(copy))
  const bits = new Uint16Array(copy)
  const values = new Float64Array(bits.length)
  const valueOf = dtype === "F16" ? fromHalf : fromBfloat
  for (let i = 0; i < bits.length; i++) values[i] = valueOf(bits[i]!)
  return values
}

const word = new DataView(new ArrayBuffer(4))

function toBfloat(value: number): number {
  word.setFloat32(0, value)
  const bits = word.getUint32(0)
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

function fromBfloat(bits: number): number {
  word.setUint32(0, bits << 16)
  return word.getFloat32(0)
}

function toHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude >= 65520) return sign | 0x7c00
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), -14)
  const units = roundToEven(magnitude / 2 ** (exponent - 10))
  // A normal number's leading bit (1024 units) carries into the exponent's lowest, a subnormal's exponent field stays 0.
  return sign | (((exponent + 14) << 10) + units)
}

function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

function roundToEven(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
}

interface TensorPlan {
  name: string
  shape: number[]
  mean: number
  spread: number
}

/** Every tensor of a Llama checkpoint, with the distribution that keeps what it computes of order 1. */
function llamaTensors(c: ReferenceConfig): TensorPlan[] {
  const [hidden, q, kv] = [c.hidden_size, c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim]
  const matrix = (name: string, outputs: number, inputs: number, gain = 1): TensorPlan => {
    return { name: `${name}.weight`, shape: [outputs, inputs], mean: 0, spread: gain / Math.sqrt(inputs) }
  }
  const norm = (name: string): TensorPlan => ({ name: `${name}.weight`, shape: [hidden], mean: 1, spread: 0.2 })
  const block = (layer: number): TensorPlan[] => {
    const prefix = `model.layers.${layer}`
    return [
      norm(`${prefix}.input_layernorm`),
      matrix(`${prefix}.self_attn.q_proj`, q, hidden, 1.5),
      matrix(`${prefix}.self_attn.k_proj`, kv, hidden, 1.5),
      matrix(`${prefix}.self_attn.v_proj`, kv, hidden),
      matrix(`${prefix}.self_attn.o_proj`, hidden, q),
      norm(`${prefix}.post_attention_layernorm`),
      matrix(`${prefix}.mlp.gate_proj`, c.intermediate_size, hidden),
      matrix(`${prefix}.mlp.up_proj`, c.intermediate_size, hidden),
      matrix(`${prefix}.mlp.down_proj`, hidden, c.intermediate_size),
    ]
  }
  return [
    matrix("model.embed_tokens", c.vocab_size, hidden, c.tie_word_embeddings ? 3 : Math.sqrt(hidden)),
    ...Array.from({ length: c.num_hidden_layers }, (_, layer) => block(layer)).flat(),
    norm("model.norm"),
    ...(c.tie_word_embeddings ? [] : [matrix("lm_head", c.vocab_size, hidden, 3)]),
  ]
}

function configFile(config: ReferenceConfig, maxPositions: number, dtype: StoredType): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    ...config,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    max_position_embeddings: maxPositions,
    bos_token_id: 0,
    eos_token_id: 1,
    torch_dtype: { F32: "float32", F16: "float16", BF16: "bfloat16" }[dtype],
  }
}

function weightFiles(stored: readonly StoredTensor[], shards: number): [string, Uint8Array][] {
  if (shards === 1) return [["model.safetensors", encodeSafetensors(stored)]]
  const shardOf = (i: number): number => Math.floor((i * shards) / stored.length)
  const fileName = (shard: number): string => `model-${five(shard + 1)}-of-${five(shards)}.safetensors`
  const index = {
    metadata: { total_size: stored.reduce((total, { bytes }) => total + bytes.length, 0) },
    weight_map: Object.fromEntries(stored.map(({ name }, i) => [name, fileName(shardOf(i))])),
  }
  const files = Array.from({ length: shards }, (_, shard): [string, Uint8Array] => {
    const inShard = stored.filter((tensor) => shardOf(stored.indexOf(tensor)) === shard)
    return [fileName(shard), encodeSafetensors(inShard)]
  })
  return [...files, ["model.safetensors.index.json", json(index)]]
}

function five(n: number): string {
  return String(n).padStart(5, "0")
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value, null, 2))
}

/** Normally distributed numbers by the Box-Muller transform. */
function normalNumbers(seed: number): () => number {
  const next = random(seed)
  const uniform = (): number => (next() + 1) / 2
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}
