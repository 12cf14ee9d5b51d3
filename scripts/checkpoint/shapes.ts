/** A config.json in Hugging Face's names. */
export type ConfigFile = Readonly<Record<string, unknown>>

interface Shape {
  readonly hidden: number
  readonly intermediate: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly tied: boolean
  readonly vocab?: number
  readonly maxPositions?: number
  /** The factor of Llama 3.1's stretching of the rotary embedding. */
  readonly ropeFactor?: number
}

const LLAMA_3 = { vocab: 128_256, bos: 128_000, eos: 128_001 }

// The published models' sizes, and small ones for tests.
const SHAPES: Readonly<Record<string, Shape>> = {
  /** Meta-Llama-3-8B */
  "8b": { hidden: 4096, intermediate: 14_336, layers: 32, heads: 32, kvHeads: 8, headDim: 128, tied: false },
  /** Llama-3.2-3B */
  "3b": {
    hidden: 3072,
    intermediate: 8192,
    layers: 28,
    heads: 24,
    kvHeads: 8,
    headDim: 128,
    tied: true,
    maxPositions: 131_072,
    ropeFactor: 32,
  },
  /** Llama-3.2-1B */
  "1b": {
    hidden: 2048,
    intermediate: 8192,
    layers: 16,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    tied: true,
    maxPositions: 131_072,
    ropeFactor: 32,
  },
  "100m": { hidden: 768, intermediate: 2048, layers: 12, heads: 12, kvHeads: 4, headDim: 64, tied: true, vocab: 32_000 },
  "tiny": { hidden: 128, intermediate: 352, layers: 3, heads: 4, kvHeads: 2, headDim: 32, tied: false, vocab: 1000 },
  "tiny-tied": {
    hidden: 64,
    intermediate: 160,
    layers: 2,
    heads: 4,
    kvHeads: 1,
    headDim: 32,
    tied: true,
    vocab: 515,
    ropeFactor: 8,
  },
}

/** The names that {@link configOf} knows. */
export const shapeNames: readonly string[] = Object.keys(SHAPES)

/** The config.json of a named shape; undefined for another name. */
export function configOf(name: string): ConfigFile | undefined {
  const shape = Object.hasOwn(SHAPES, name) ? SHAPES[name] : undefined
  if (!shape) return undefined
  const { vocab = LLAMA_3.vocab, maxPositions = 8192, ropeFactor } = shape
  const ends = shape.vocab === undefined ? LLAMA_3 : { bos: 0, eos: 1 }
  return {
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: ends.bos,
    eos_token_id: ends.eos,
    head_dim: shape.headDim,
    hidden_act: "silu",
    hidden_size: shape.hidden,
    initializer_range: 0.02,
    intermediate_size: shape.intermediate,
    max_position_embeddings: maxPositions,
    mlp_bias: false,
    model_type: "llama",
    num_attention_heads: shape.heads,
    num_hidden_layers: shape.layers,
    num_key_value_heads: shape.kvHeads,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: ropeFactor === undefined ? null : scaling(ropeFactor),
    rope_theta: 500_000,
    tie_word_embeddings: shape.tied,
    use_cache: true,
    vocab_size: vocab,
  }
}

function scaling(factor: number): ConfigFile {
  return {
    factor,
    high_freq_factor: 4,
    low_freq_factor: 1,
    original_max_position_embeddings: 8192,
    rope_type: "llama3",
  }
}
