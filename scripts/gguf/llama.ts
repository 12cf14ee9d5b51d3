import { inverseFrequencies, type LlamaConfig } from "../../src/engine/config.ts"
import type { TensorEntry } from "../../src/engine/safetensors.ts"
import type { Checkpoint } from "../../src/index.ts"
import type { GgufTensor, GgufValue } from "../../src/steering/gguf-write.ts"

/** A tensor of the GGUF file, and where its numbers come from. */
export interface ConvertedTensor extends GgufTensor {
  readonly from:
    | { readonly kind: "values"; readonly values: Float32Array }
    /** The stored numbers, in their order. */
    | { readonly kind: "stored"; readonly entry: TensorEntry }
    /** The stored rows, of each head first and second half in turns: see {@link interleaved}. */
    | { readonly kind: "heads"; readonly entry: TensorEntry; readonly headDim: number }
}

/** llama.cpp's numbers for a file whose matrices are of one precision. */
const FILE_TYPES = { F32: 0, F16: 1, BF16: 32 } as const
export type MatrixType = keyof typeof FILE_TYPES

const NAMES: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/^model\.embed_tokens\./, "token_embd."],
  [/^model\.norm\./, "output_norm."],
  [/^lm_head\./, "output."],
  [/^model\.layers\.(\d+)\.input_layernorm\./, "blk.$1.attn_norm."],
  [/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj\./, "blk.$1.attn_$2."],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj\./, "blk.$1.attn_output."],
  [/^model\.layers\.(\d+)\.post_attention_layernorm\./, "blk.$1.ffn_norm."],
  [/^model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj\./, "blk.$1.ffn_$2."],
]

/** The shape of a model in llama.cpp's words. */
export function shapeMetadata(config: LlamaConfig, name: string, tensors: readonly GgufTensor[]): [string, GgufValue][] {
  const types = new Set(tensors.filter(({ shape }) => shape.length > 1).map(({ type }) => type))
  const type = types.has("F32") ? "F32" : types.has("BF16") ? "BF16" : "F16"
  return [
    ["general.architecture", "llama"],
    ["general.name", name],
    ["general.file_type", FILE_TYPES[type]],
    ["llama.vocab_size", config.vocabSize],
    ["llama.context_length", config.maxPositions],
    ["llama.embedding_length", config.hiddenSize],
    ["llama.block_count", config.layers],
    ["llama.feed_forward_length", config.intermediateSize],
    ["llama.attention.head_count", config.heads],
    ["llama.attention.head_count_kv", config.kvHeads],
    ["llama.attention.key_length", config.headDim],
    ["llama.attention.value_length", config.headDim],
    ["llama.attention.layer_norm_rms_epsilon", { f32: config.rmsNormEps }],
    ["llama.rope.dimension_count", config.headDim],
    ["llama.rope.freq_base", { f32: config.ropeTheta }],
  ]
}

/**
 * The tensors of the GGUF file. Vectors are F32, as llama.cpp wants its norms; matrices stay as they are stored, or become F32.
 * What Llama 3.1 stretches its rotary frequencies by is a tensor there, what each is divided by [headDim / 2].
 */
export function convertedTensors({ config, tensors }: Pick<Checkpoint, "config" | "tensors">, f32: boolean): ConvertedTensor[] {
  const { headDim, ropeScaling } = config
  const converted = [...tensors.values()].map((entry): ConvertedTensor => {
    const { name, shape, dtype } = entry
    const type = f32 || shape.length === 1 ? "F32" : (dtype as MatrixType)
    const rotated = /\.[qk]_proj\.weight$/.test(name)
    return { name: ggufName(name), shape, type, from: rotated ? { kind: "heads", entry, headDim } : { kind: "stored", entry } }
  })
  if (ropeScaling === null) return converted
  const plain = inverseFrequencies({ ...config, ropeScaling: null })
  const values = Float32Array.from(inverseFrequencies(config), (stretched, i) => (plain[i] as number) / stretched)
  return [...converted, { name: "rope_freqs.weight", shape: [headDim / 2], type: "F32", from: { kind: "values", values } }]
}

function ggufName(name: string): string {
  const [pattern, ours] = NAMES.find(([each]) => each.test(name)) as readonly [RegExp, string]
  return name.replace(pattern, ours)
}

/**
 * A head's rows [headDim, width] in the order that llama.cpp rotates them in: it turns neighbours, Hugging Face row i with row
 * i + headDim / 2.
 */
export function interleaved(rows: Uint8Array, headDim: number): Uint8Array {
  const width = rows.length / headDim
  const half = headDim / 2
  const found = new Uint8Array(rows.length)
  for (let i = 0; i < headDim; i++) {
    const from = (i % 2) * half + Math.floor(i / 2)
    found.set(rows.subarray(from * width, (from + 1) * width), i * width)
  }
  return found
}
