import { ceilDiv, pad8, type Kernel } from "./kernel.ts"
import code from "./rotary.wgsl"

export interface RotaryOptions {
  readonly heads: number
  readonly kvHeads: number
  /** Even. */
  readonly headDim: number
}

export interface RotaryParameters {
  readonly tokens: number
  /** Positions that the cache holds for each row of the batch. */
  readonly capacity: number
}

/**
 * Rotary position embedding (Su et al. 2021, https://arxiv.org/abs/2104.09864) in the half-split order of Hugging Face's
 * checkpoints, in place on queries and keys; rotated keys and the values also go into the cache.
 *
 * Bindings: qkv f32 [tokens, pad8((heads + 2 kvHeads) headDim)], the caches of keys and of values
 * f32 [batchRows, capacity, kvHeads, headDim], rows u32 [tokens], positions u32 [tokens],
 * cosines and sines f32 [positions, headDim / 2, 2].
 */
export function rotary({ heads, kvHeads, headDim }: RotaryOptions): Kernel<RotaryParameters> {
  const allHeads = heads + 2 * kvHeads
  return {
    label: `rotary [${heads}+${kvHeads}, ${headDim}]`,
    code,
    constants: { HEADS: heads, KV_HEADS: kvHeads, HALF: headDim / 2, STRIDE: pad8(allHeads * headDim) },
    bindings: ["write", "write", "write", "read", "read", "read"],
    parameters: ({ capacity }) => [capacity],
    grid: ({ tokens }) => [ceilDiv((allHeads * headDim) / 2, 64), tokens, 1],
  }
}
