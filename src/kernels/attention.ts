import code from "./attention.wgsl"
import { pad8, type Kernel } from "./kernel.ts"

export interface AttentionOptions {
  readonly heads: number
  /** Divides `heads`: query head h reads key and value head floor(h / (heads / kvHeads)). */
  readonly kvHeads: number
  /** Even. */
  readonly headDim: number
  /** Keys taken at once, which is also the number of lanes of a workgroup. */
  readonly keysPerTile: number
}

export interface AttentionParameters {
  readonly tokens: number
  /** Positions that the cache holds for each row of the batch. */
  readonly capacity: number
}

/**
 * Causal grouped-query attention of every token over positions 0 to its own in its row's cache, any number of them
 * (online softmax, Milakov and Gimelshein 2018, https://arxiv.org/abs/1805.02867).
 *
 * Bindings: rotated qkv f32 [tokens, pad8((heads + 2 kvHeads) headDim)], the caches of keys and of values
 * f32 [batchRows, capacity, kvHeads, headDim], rows u32 [tokens], positions u32 [tokens],
 * out f32 [tokens, pad8(heads headDim)].
 */
export function attention({ heads, kvHeads, headDim, keysPerTile }: AttentionOptions): Kernel<AttentionParameters> {
  const part = headDim % 4 === 0 ? 4 : 2
  return {
    label: `attention [${heads}/${kvHeads}, ${headDim}]`,
    code: `alias Part = vec${part}f;\nconst PART = ${part}u;\n${code}`,
    constants: {
      HEADS: heads,
      KV_HEADS: kvHeads,
      HEAD_DIM: headDim,
      STRIDE_IN: pad8((heads + 2 * kvHeads) * headDim),
      STRIDE_OUT: pad8(heads * headDim),
      SCALE: 1 / Math.sqrt(headDim),
      TILE: keysPerTile,
    },
    bindings: ["read", "read", "read", "read", "read", "write"],
    parameters: ({ capacity }) => [capacity],
    grid: ({ tokens }) => [heads, tokens, 1],
  }
}
