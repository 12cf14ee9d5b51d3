import * as z from "zod"
import { InputError } from "./errors.ts"
import { checkShape, show } from "./json.ts"

/** Llama 3's stretching of the rotary frequencies to contexts longer than it was trained on. */
export interface RopeScaling {
  readonly factor: number
  readonly lowFreqFactor: number
  readonly highFreqFactor: number
  /** Positions of the context before stretching. */
  readonly originalMaxPositions: number
}

/** All that the engine needs to know of a model's config.json and generation_config.json; frozen. */
export interface LlamaConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly layers: number
  readonly heads: number
  /** Divides `heads`. */
  readonly kvHeads: number
  /** Even; heads x headDim may differ from hiddenSize. */
  readonly headDim: number
  readonly rmsNormEps: number
  readonly ropeTheta: number
  readonly ropeScaling: RopeScaling | null
  /** The longest context, in tokens. */
  readonly maxPositions: number
  /** The output head is the embedding's matrix. */
  readonly tiedEmbeddings: boolean
  readonly bosId: number | null
  /** Tokens that end a text or a turn: the union of both files. */
  readonly eosIds: readonly number[]
}

const ARCHITECTURE = "LlamaForCausalLM"

// The messages say what is expected: checkShape puts them into «expected …, found …».
const count = z.int("a whole number of at least 1").min(1, "a whole number of at least 1")
const positive = z.number("a positive number").positive("a positive number")
const flag = z.boolean("true or false")
const tokenId = z.int("a token id").min(0, "a token id")
const tokenIds = z.union([tokenId.transform((id) => [id]), z.array(tokenId)], "a token id or a list of them")

const kindShape = z.object(
  {
    architectures: z.array(z.string("a name"), "a list of names").nullish(),
    model_type: z.string("a name").nullish(),
    quantization_config: z.unknown().optional(),
  },
  "an object",
)

const ropeShape = z.object(
  {
    rope_type: z.string("llama3 or default").nullish(),
    type: z.string("llama3 or default").nullish(), // the name before transformers 4.43
    rope_theta: positive.nullish(),
    partial_rotary_factor: z.literal(1, "1: all of a head rotates").nullish(),
  },
  "an object",
)

const llama3Shape = z.object({
  factor: z.number("a number of at least 1").min(1, "a number of at least 1"),
  low_freq_factor: positive,
  high_freq_factor: positive,
  original_max_position_embeddings: count,
})

const llamaShape = z.object({
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  hidden_act: z.literal("silu", "silu").default("silu"),
  rms_norm_eps: positive,
  max_position_embeddings: count,
  tie_word_embeddings: flag.default(false),
  attention_bias: z.literal(false, "false: biases are not supported").nullish(),
  mlp_bias: z.literal(false, "false: biases are not supported").nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: ropeShape.nullish(),
  rope_parameters: ropeShape.nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: tokenIds.nullish(),
})

const generationShape = z.object({ bos_token_id: tokenId.nullish(), eos_token_id: tokenIds.nullish() }, "an object")

/**
 * Checks a model's config.json and generation_config.json, parsed, and gives one frozen record.
 * @param where Names config.json in the messages.
 * @throws InputError for another architecture, a quantised model, a feature that is not supported, or a field of the wrong shape.
 */
export function parseConfig(config: unknown, generationConfig: unknown, where: string): LlamaConfig {
  checkKind(config, where)
  const raw = checkShape(llamaShape, config, where)
  const generation = checkShape(generationShape, generationConfig ?? {}, where.replace(/config\.json$/, "generation_config.json"))
  const heads = raw.num_attention_heads
  return Object.freeze({
    vocabSize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    heads,
    kvHeads: kvHeadsOf(raw.num_key_value_heads ?? heads, heads, where),
    headDim: headDimOf(raw.head_dim ?? undefined, raw.hidden_size, heads, where),
    rmsNormEps: raw.rms_norm_eps,
    ...ropeOf(config, raw, where),
    maxPositions: raw.max_position_embeddings,
    tiedEmbeddings: raw.tie_word_embeddings,
    bosId: raw.bos_token_id ?? generation.bos_token_id ?? null,
    eosIds: Object.freeze([...new Set([...(raw.eos_token_id ?? []), ...(generation.eos_token_id ?? [])])]),
  })
}

/**
 * The angle by which each pair of a head's dimensions turns per position, in radians [headDim / 2].
 *
 * Pair i is dimensions i and i + headDim / 2. The stretching is Llama 3.1's, as in transformers' `_compute_llama3_parameters`.
 */
export function inverseFrequencies(config: Pick<LlamaConfig, "headDim" | "ropeTheta" | "ropeScaling">): Float64Array {
  const { headDim, ropeTheta, ropeScaling } = config
  return Float64Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = ropeTheta ** ((-2 * i) / headDim)
    return ropeScaling ? stretched(frequency, ropeScaling) : frequency
  })
}

function stretched(frequency: number, scaling: RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI) // in the original context
  if (turns > highFreqFactor) return frequency
  if (turns < lowFreqFactor) return frequency / factor
  const kept = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
  return ((1 - kept) * frequency) / factor + kept * frequency
}

function checkKind(config: unknown, where: string): void {
  const { architectures, model_type: type, quantization_config: quantization } = checkShape(kindShape, config, where)
  const otherArchitecture = architectures ? !architectures.includes(ARCHITECTURE) : type !== "llama"
  if (otherArchitecture || (type ?? "llama") !== "llama") {
    const found =
      otherArchitecture && architectures ? architectures.join(", ") || "no architecture" : `model_type ${show(type ?? undefined)}`
    throw new InputError({ where, expected: ARCHITECTURE, found, todo: "choose a Llama model" })
  }
  if (quantization !== undefined && quantization !== null) {
    const todo = "choose the model's BF16, F16 or F32 files"
    throw new InputError({ where, expected: "no quantization_config", found: show(quantization), todo })
  }
}

function kvHeadsOf(kvHeads: number, heads: number, where: string): number {
  if (heads % kvHeads === 0) return kvHeads
  throw new InputError({ where: `${where}, num_key_value_heads`, expected: `a divisor of ${heads} heads`, found: `${kvHeads}` })
}

function headDimOf(headDim: number | undefined, hidden: number, heads: number, where: string): number {
  const size = headDim ?? hidden / heads
  if (!Number.isInteger(size)) {
    throw new InputError({ where: `${where}, hidden_size`, expected: `a multiple of ${heads} heads`, found: `${hidden}` })
  }
  if (size % 2 === 0) return size
  throw new InputError({ where: `${where}, head_dim`, expected: "an even number", found: `${size}` })
}

function ropeOf(
  config: unknown,
  raw: z.output<typeof llamaShape>,
  where: string,
): Pick<LlamaConfig, "ropeTheta" | "ropeScaling"> {
  const field = raw.rope_parameters ? "rope_parameters" : "rope_scaling"
  const rope = raw[field]
  const ropeTheta = rope?.rope_theta ?? raw.rope_theta ?? 10_000 // transformers' default, which Llama 2 files rely on
  const unchecked = (config as Record<string, Record<string, unknown>>)[field] // llama3Shape checks it below
  const type = rope?.rope_type ?? rope?.type ?? (unchecked && "factor" in unchecked ? undefined : "default")
  if (type === "default") return { ropeTheta, ropeScaling: null }
  if (type !== "llama3") {
    throw new InputError({ where: `${where}, ${field}.rope_type`, expected: "llama3 or default", found: show(type) })
  }
  return { ropeTheta, ropeScaling: ropeScalingOf(unchecked, `${where}, ${field}`) }
}

function ropeScalingOf(value: unknown, where: string): RopeScaling {
  const raw = checkShape(llama3Shape, value, where)
  if (raw.low_freq_factor >= raw.high_freq_factor) {
    const expected = `more than low_freq_factor (${raw.low_freq_factor})`
    throw new InputError({ where: `${where}, high_freq_factor`, expected, found: `${raw.high_freq_factor}` })
  }
  return Object.freeze({
    factor: raw.factor,
    lowFreqFactor: raw.low_freq_factor,
    highFreqFactor: raw.high_freq_factor,
    originalMaxPositions: raw.original_max_position_embeddings,
  })
}
