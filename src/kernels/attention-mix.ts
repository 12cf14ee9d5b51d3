import code from "./attention-mix.wgsl"
import type { AttentionPatternOptions, AttentionPatternParameters } from "./attention-pattern.ts"
import { ceilDiv, pad8, type Kernel } from "./kernel.ts"

/**
 * The values mixed by a given attention pattern: what {@link attention} computes in one go, for patterns that were edited.
 *
 * Bindings: pattern f32 [tokens, heads, keys], the cache of values f32 [batchRows, capacity, kvHeads, headDim],
 * rows u32 [tokens], positions u32 [tokens], out f32 [tokens, pad8(heads headDim)].
 */
export function attentionMix({ heads, kvHeads, headDim }: AttentionPatternOptions): Kernel<AttentionPatternParameters> {
  return {
    label: `attention-mix [${heads}/${kvHeads}, ${headDim}]`,
    code,
    constants: { HEADS: heads, KV_HEADS: kvHeads, HEAD_DIM: headDim, STRIDE_OUT: pad8(heads * headDim) },
    bindings: ["read", "read", "read", "read", "write"],
    parameters: ({ capacity, keys }) => [capacity, keys],
    grid: ({ tokens }) => [ceilDiv(heads * headDim, 64), tokens, 1],
  }
}
