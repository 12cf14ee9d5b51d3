/** A tensor of a checkpoint, row-major. */
export interface ReferenceTensor {
  readonly shape: readonly number[]
  readonly data: Float64Array
}

/** Tensors by their names in the checkpoint: those in memory, or what reads them. */
export type ReferenceTensors = Pick<ReadonlyMap<string, ReferenceTensor>, "get">

/** The fields of a Hugging Face config.json that the forward pass needs. */
export interface ReferenceConfig {
  readonly vocab_size: number
  readonly hidden_size: number
  readonly intermediate_size: number
  readonly num_hidden_layers: number
  readonly num_attention_heads: number
  readonly num_key_value_heads: number
  readonly head_dim: number
  readonly rms_norm_eps: number
  readonly rope_theta: number
  readonly rope_scaling: RopeScaling | null
  readonly tie_word_embeddings: boolean
}

export interface RopeScaling {
  readonly rope_type: "llama3"
  readonly factor: number
  readonly low_freq_factor: number
  readonly high_freq_factor: number
  readonly original_max_position_embeddings: number
}

/** `coefficient * vector` [hidden] is added to the output of block `layer` (0-based) at every position. */
export interface ReferenceSteering {
  readonly layer: number
  readonly vector: ArrayLike<number>
  readonly coefficient: number
}

export interface ReferenceRun {
  /** One row [vocab] per position. */
  readonly logits: Float64Array[]
  /** TransformerLens's names -> [pos, ...] flattened; `attn.hook_pattern` is [head, query, key]. */
  readonly hooks: Map<string, Float64Array>
}

export interface ForwardOptions {
  readonly steering?: readonly ReferenceSteering[]
  /** May change an internal in place: what comes after it sees the change. */
  readonly edit?: (name: string, values: Float64Array) => void
}

export interface GreedyOptions {
  /** Hugging Face's repetition penalty; 1 is none. */
  readonly penalty?: number
  readonly steering?: readonly ReferenceSteering[]
  /** Ids that end the text; the one met is the last id returned. */
  readonly eosIds?: readonly number[]
}

export interface GreedyRun {
  /** The new ids alone. */
  readonly ids: number[]
  /** At each step, how far the best penalised logit lies above the second best. */
  readonly gaps: number[]
}

/** Rotated keys and values of the positions so far, [pos, kv head, headDim] per layer. */
interface Cache {
  positions: number
  readonly keys: Float64Array[]
  readonly values: Float64Array[]
}

type Hook = (name: string, values: Float64Array) => void

/** Llama 3 in float64, slow and obvious: what the kernels are measured against. Shares no code with src/. */
export class ReferenceLlama {
  readonly config: ReferenceConfig
  readonly #tensors: ReferenceTensors
  readonly #frequencies: number[]

  constructor(config: ReferenceConfig, tensors: ReferenceTensors) {
    this.config = config
    this.#tensors = tensors
    this.#frequencies = rotaryFrequencies(config)
  }

  /** Logits and internals at every position of `ids`. */
  forward(ids: readonly number[], options: ForwardOptions = {}): ReferenceRun {
    const hooks = new Map<string, Float64Array>()
    const logits = this.#run(ids, this.#emptyCache(), options.steering ?? [], (name, values) => {
      options.edit?.(name, values)
      hooks.set(name, values.slice())
    })
    return { logits, hooks }
  }

  /** Continues `ids` by up to `count` tokens, each the one with the best penalised logit, the lower id at a tie. */
  greedy(ids: readonly number[], count: number, options: GreedyOptions = {}): GreedyRun {
    const { penalty = 1, steering = [], eosIds = [] } = options
    const cache = this.#emptyCache()
    const all = [...ids]
    const gaps: number[] = []
    let next: readonly number[] = ids
    while (gaps.length < count) {
      const logits = penalised(this.#run(next, cache, steering, () => {}).at(-1)!, all, penalty)
      const { best, gap } = bestTwo(logits)
      all.push(best)
      gaps.push(gap)
      if (eosIds.includes(best)) break
      next = [best]
    }
    return { ids: all.slice(ids.length), gaps }
  }

  #run(ids: readonly number[], cache: Cache, steering: readonly ReferenceSteering[], hook: Hook): Float64Array[] {
    const { hidden_size: hidden, num_attention_heads: heads, num_key_value_heads: kvHeads, rms_norm_eps: eps } = this.config
    const first = cache.positions
    let x = this.#embed(ids)
    hook("hook_embed", x)

    for (let layer = 0; layer < this.config.num_hidden_layers; layer++) {
      const weight = (name: string): Float64Array => this.#weight(`model.layers.${layer}.${name}.weight`)
      const see = (name: string, values: Float64Array): Float64Array => {
        hook(`blocks.${layer}.${name}`, values)
        return values
      }
      see("hook_resid_pre", x)

      const attentionIn = scaled(normalized(x, hidden, eps), weight("input_layernorm"))
      const q = see("attn.hook_q", linear(attentionIn, weight("self_attn.q_proj"), hidden))
      const k = see("attn.hook_k", linear(attentionIn, weight("self_attn.k_proj"), hidden))
      const v = see("attn.hook_v", linear(attentionIn, weight("self_attn.v_proj"), hidden))
      const rotQ = see("attn.hook_rot_q", this.#rotate(q, heads, first))
      const rotK = see("attn.hook_rot_k", this.#rotate(k, kvHeads, first))
      const keys = (cache.keys[layer] = joined(cache.keys[layer]!, rotK))
      const values = (cache.values[layer] = joined(cache.values[layer]!, v))
      const pattern = see("attn.hook_pattern", this.#pattern(rotQ, keys, first))
      const z = see("attn.hook_z", this.#mix(pattern, values, ids.length))
      const attentionOut = see("hook_attn_out", linear(z, weight("self_attn.o_proj"), heads * this.config.head_dim))
      const middle = see("hook_resid_mid", sum(x, attentionOut))

      const mlpIn = scaled(normalized(middle, hidden, eps), weight("post_attention_layernorm"))
      const gate = see("mlp.hook_pre", linear(mlpIn, weight("mlp.gate_proj"), hidden))
      const up = see("mlp.hook_pre_linear", linear(mlpIn, weight("mlp.up_proj"), hidden))
      const post = see(
        "mlp.hook_post",
        gate.map((g, i) => silu(g) * up[i]!),
      )
      const mlpOut = see("hook_mlp_out", linear(post, weight("mlp.down_proj"), this.config.intermediate_size))

      x = see("hook_resid_post", this.#steer(sum(middle, mlpOut), layer, steering))
    }
    cache.positions += ids.length

    const last = normalized(x, hidden, eps)
    hook("ln_final.hook_normalized", last)
    const head = this.config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"
    return rows(linear(scaled(last, this.#weight("model.norm.weight")), this.#weight(head), hidden), this.config.vocab_size)
  }

  #embed(ids: readonly number[]): Float64Array {
    const { hidden_size: hidden, vocab_size: vocab } = this.config
    const table = this.#weight("model.embed_tokens.weight")
    const x = new Float64Array(ids.length * hidden)
    ids.forEach((id, row) => {
      if (!Number.isInteger(id) || id < 0 || id >= vocab) throw new RangeError(`id ${id} is outside the vocabulary of ${vocab}`)
      x.set(table.subarray(id * hidden, (id + 1) * hidden), row * hidden)
    })
    return x
  }

  /** The half-split form: element i turns with element i + headDim / 2. x is [pos, head, headDim]. */
  #rotate(x: Float64Array, heads: number, first: number): Float64Array {
    const size = this.config.head_dim
    const half = size / 2
    const out = new Float64Array(x.length)
    for (let start = 0; start < x.length; start += size) {
      const position = first + Math.floor(start / (heads * size))
      for (let i = 0; i < half; i++) {
        const angle = position * this.#frequencies[i]!
        const a = x[start + i]!
        const b = x[start + i + half]!
        out[start + i] = a * Math.cos(angle) - b * Math.sin(angle)
        out[start + i + half] = b * Math.cos(angle) + a * Math.sin(angle)
      }
    }
    return out
  }

  /** softmax(q k / sqrt(headDim)), causal: [head, query, key], the query at row 0 standing at position `first`. */
  #pattern(q: Float64Array, keys: Float64Array, first: number): Float64Array {
    const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: size } = this.config
    const queries = q.length / (heads * size)
    const total = keys.length / (kvHeads * size)
    const pattern = new Float64Array(heads * queries * total)
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head / (heads / kvHeads))
      for (let query = 0; query < queries; query++) {
        const from = (head * queries + query) * total
        const scores = pattern.subarray(from, from + first + query + 1)
        for (let key = 0; key < scores.length; key++) {
          scores[key] = dot(q, (query * heads + head) * size, keys, (key * kvHeads + kvHead) * size, size) / Math.sqrt(size)
        }
        scores.set(logSoftmax(scores).map(Math.exp))
      }
    }
    return pattern
  }

  /** The values weighted by the pattern: [query, head, headDim]. */
  #mix(pattern: Float64Array, values: Float64Array, queries: number): Float64Array {
    const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: size } = this.config
    const total = values.length / (kvHeads * size)
    const z = new Float64Array(queries * heads * size)
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head / (heads / kvHeads))
      for (let query = 0; query < queries; query++) {
        for (let key = 0; key < total; key++) {
          const share = pattern[(head * queries + query) * total + key]!
          for (let i = 0; i < size; i++) {
            z[(query * heads + head) * size + i]! += share * values[(key * kvHeads + kvHead) * size + i]!
          }
        }
      }
    }
    return z
  }

  #steer(x: Float64Array, layer: number, steering: readonly ReferenceSteering[]): Float64Array {
    const out = x.slice()
    for (const { vector, coefficient } of steering.filter((one) => one.layer === layer)) {
      if (vector.length !== this.config.hidden_size) throw new RangeError(`a steering vector has ${vector.length} elements`)
      for (let i = 0; i < out.length; i++) out[i]! += coefficient * vector[i % vector.length]!
    }
    return out
  }

  #weight(name: string): Float64Array {
    const tensor = this.#tensors.get(name)
    if (tensor === undefined) throw new Error(`the reference model has no tensor ${name}`)
    return tensor.data
  }

  #emptyCache(): Cache {
    const empty = (): Float64Array[] => Array.from({ length: this.config.num_hidden_layers }, () => new Float64Array(0))
    return { positions: 0, keys: empty(), values: empty() }
  }
}

/** Radians per position [headDim / 2], with Llama 3.1's scaling where the config asks for it. */
export function rotaryFrequencies(config: Pick<ReferenceConfig, "head_dim" | "rope_theta" | "rope_scaling">): number[] {
  const plain = Array.from({ length: config.head_dim / 2 }, (_, i) => config.rope_theta ** ((-2 * i) / config.head_dim))
  const scaling = config.rope_scaling
  if (scaling === null) return plain
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context } = scaling
  return plain.map((frequency) => {
    const turns = (context * frequency) / (2 * Math.PI)
    if (turns > high) return frequency
    if (turns < low) return frequency / factor
    const share = (turns - low) / (high - low)
    return (1 - share) * (frequency / factor) + share * frequency
  })
}

/** ln(sum(exp(values))). */
export function logSumExp(values: Float64Array): number {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity)
  return most + Math.log(values.reduce((total, value) => total + Math.exp(value - most), 0))
}

/** Natural log-probs of logits [vocab]. */
export function logSoftmax(logits: Float64Array): Float64Array {
  const total = logSumExp(logits)
  return logits.map((logit) => logit - total)
}

/** The log-prob of each next id: element i belongs to ids[i + 1] and is read from the logits of position i. */
export function nextLogProbs(logits: readonly Float64Array[], ids: readonly number[]): number[] {
  return ids.slice(1).map((id, i) => logits[i]![id]! - logSumExp(logits[i]!))
}

/** Hugging Face's repetition penalty: once for every distinct id in `ids`. */
export function penalised(logits: Float64Array, ids: readonly number[], penalty: number): Float64Array {
  const out = logits.slice()
  for (const id of new Set(ids)) out[id] = out[id]! < 0 ? out[id]! * penalty : out[id]! / penalty
  return out
}

function bestTwo(logits: Float64Array): { best: number; gap: number } {
  let best = 0
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id
  let second = -Infinity
  for (let id = 0; id < logits.length; id++) if (id !== best) second = Math.max(second, logits[id]!)
  return { best, gap: logits[best]! - second }
}

/** x [rows, size] divided by its root mean square, before the norm's weight. */
function normalized(x: Float64Array, size: number, eps: number): Float64Array {
  const out = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += size) {
    const scale = 1 / Math.sqrt(dot(x, start, x, start, size) / size + eps)
    for (let i = start; i < start + size; i++) out[i] = x[i]! * scale
  }
  return out
}

function scaled(x: Float64Array, weight: Float64Array): Float64Array {
  return x.map((value, i) => value * weight[i % weight.length]!)
}

/** x [rows, inputs] times the transpose of weight [outputs, inputs]: [rows, outputs]. */
function linear(x: Float64Array, weight: Float64Array, inputs: number): Float64Array {
  const outputs = weight.length / inputs
  const out = new Float64Array((x.length / inputs) * outputs)
  // Each row of the weight is read once for all rows of x: the weights are what does not fit into the cache.
  for (let output = 0; output < outputs; output++) {
    for (let row = 0; row * inputs < x.length; row++) {
      out[row * outputs + output] = dot(x, row * inputs, weight, output * inputs, inputs)
    }
  }
  return out
}

/** Four running sums, so that the additions need not wait for one another. */
function dot(a: Float64Array, aStart: number, b: Float64Array, bStart: number, length: number): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let i = 0
  for (; i + 3 < length; i += 4) {
    s0 += a[aStart + i]! * b[bStart + i]!
    s1 += a[aStart + i + 1]! * b[bStart + i + 1]!
    s2 += a[aStart + i + 2]! * b[bStart + i + 2]!
    s3 += a[aStart + i + 3]! * b[bStart + i + 3]!
  }
  for (; i < length; i++) s0 += a[aStart + i]! * b[bStart + i]!
  return s0 + s1 + (s2 + s3)
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x))
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + b[i]!)
}

function joined(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

function rows(x: Float64Array, size: number): Float64Array[] {
  return Array.from({ length: x.length / size }, (_, row) => x.subarray(row * size, (row + 1) * size))
}
