import decodeCode from "./attention-decode.wgsl"
import { type AttentionOptions, type AttentionParameters, headConstants } from "./attention.ts"
import { type Kernel, sizes } from "./kernel.ts"
import { partOf } from "./parts.ts"

/**
 * Attention for tokens that are the only ones of their rows in a pass, from qkv as the product left it: what {@link rotary} and
 * {@link attention} do, in one kernel. qkv itself stays as it is.
 *
 * Bindings: qkv, the caches, rows, positions and prefixes as for {@link attention}, cosines and sines f32 [positions, headDim / 2,
 * 2], out.
 */
export function attentionDecode({ heads, kvHeads, headDim }: Omit<AttentionOptions, "keysPerTile">): Kernel<AttentionParameters> {
  const group = heads / kvHeads
  const part = partOf(headDim)
  const lanesOfGroup = 128
  const header = sizes({
    GROUP: group,
    HEAD_DIM: headDim,
    LANES: lanesOfGroup,
    TILE: Math.max(32, Math.floor(lanesOfGroup / group)),
  })
  const components = Array.from({ length: part.size }, (_, i) => `turned[i + ${i}]`)
  const turnedPart = `fn turnedPart(i: u32) -> Part { return Part(${components.join(", ")}); }\n`
  return {
    label: `attention decode [${heads}/${kvHeads}, ${headDim}]`,
    code: part.code + header + turnedPart + decodeCode,
    constants: headConstants({ heads, kvHeads, headDim }),
    bindings: ["read", "write", "write", "read", "read", "read", "read", "write"],
    parameters: ({ capacity }) => [capacity, headDim / part.size],
    grid: ({ tokens }) => [kvHeads, tokens, 1],
  }
}
