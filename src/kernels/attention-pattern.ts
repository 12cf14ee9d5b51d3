import code from "./attention-pattern.wgsl"
import { pad8, type Kernel } from "./kernel.ts"

export interface AttentionPatternOptions {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
}

export interface AttentionPatternParameters {
  readonly tokens: number
  /** Positions that the cache holds for each row of the batch. */
  readonly capacity: number
  /** Keys in a row of the result: more than every token's position. */
  readonly keys: number
}

/**
 * The attention probabilities themselves, for looking inside: zero where a key lies after the token.
 *
 * Bindings: rotated qkv f32 [tokens, pad8((heads + 2 kvHeads) headDim)], the cache of keys
 * f32 [batchRows, capacity, kvHeads, headDim], rows u32 [tokens], positions u32 [tokens], out f32 [tokens, heads, keys].
 */
export function attentionPattern({ heads, kvHeads, headDim }: AttentionPatternOptions): Kernel<AttentionPatternParameters> {
  return {
    label: `attention-pattern [${heads}/${kvHeads}, ${headDim}]`,
    code,
    constants: {
      HEADS: heads,
      KV_HEADS: kvHeads,
      STRIDE: pad8((heads + 2 * kvHeads) * headDim),
      SCALE: 1 / Math.sqrt(headDim),
    },
    bindings: ["read", "read", "read", "read", "write"],
    parameters: ({ capacity, keys }) => [capacity, keys, headDim],
    grid: ({ tokens }) => [heads, tokens, 1],
  }
}
