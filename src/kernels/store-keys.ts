import type { AttentionPatternOptions } from "./attention-pattern.ts"
import { ceilDiv, pad8, type Kernel } from "./kernel.ts"
import type { RotaryParameters } from "./rotary.ts"
import code from "./store-keys.wgsl"

/**
 * Writes the rotated keys in qkv into the cache once more, after they were edited there.
 *
 * Bindings: qkv f32 [tokens, pad8((heads + 2 kvHeads) headDim)], the cache of keys f32 [batchRows, capacity, kvHeads, headDim],
 * rows u32 [tokens], positions u32 [tokens].
 */
export function storeKeys({ heads, kvHeads, headDim }: AttentionPatternOptions): Kernel<RotaryParameters> {
  return {
    label: `store-keys [${heads}+${kvHeads}, ${headDim}]`,
    code,
    constants: { KEY_WIDTH: kvHeads * headDim, KEY_START: heads * headDim, STRIDE: pad8((heads + 2 * kvHeads) * headDim) },
    bindings: ["read", "write", "read", "read"],
    parameters: ({ capacity }) => [capacity],
    grid: ({ tokens }) => [ceilDiv(kvHeads * headDim, 64), tokens, 1],
  }
}
