import decodeCode from "./attention-decode.wgsl"
import lanesCode from "./attention-lanes.wgsl"
import tilesCode from "./attention-tiles.wgsl"
import { spread } from "./grid.ts"
import { ceilDiv, pad8, sizes, type Kernel } from "./kernel.ts"
import { partOf } from "./parts.ts"

export interface AttentionOptions {
  readonly heads: number
  /** Divides `heads`: query head h reads key and value head floor(h / (heads / kvHeads)). */
  readonly kvHeads: number
  /** Even. */
  readonly headDim: number
  /** Keys that `tiles` takes at once, which is also the number of lanes of a workgroup. */
  readonly keysPerTile: number
  /** `tiles` (the default) for GPUs; `lanes`, without barriers, for adapters that compute on the CPU. */
  readonly variant?: "tiles" | "lanes"
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
 * f32 [batchRows, capacity, kvHeads, headDim], rows u32 [tokens], positions u32 [tokens], prefixes u32 [batchRows, 2],
 * out f32 [tokens, pad8(heads headDim)]. A row's prefix (source row, shared positions) says where its first entries are: where rows
 * begin alike they stand in one row's cache alone, and are computed and read once.
 */
export function attention(options: AttentionOptions): Kernel<AttentionParameters> {
  return options.variant === "lanes" ? lanes(options) : tiles(options)
}

const BINDINGS = ["read", "read", "read", "read", "read", "read", "write"] as const

function tiles({ heads, kvHeads, headDim, keysPerTile }: AttentionOptions): Kernel<AttentionParameters> {
  const part = partOf(headDim)
  return {
    label: `attention tiles [${heads}/${kvHeads}, ${headDim}]`,
    code: part.code + tilesCode,
    constants: {
      HEADS: heads,
      KV_HEADS: kvHeads,
      HEAD_DIM: headDim,
      STRIDE_IN: pad8((heads + 2 * kvHeads) * headDim),
      STRIDE_OUT: pad8(heads * headDim),
      SCALE: 1 / Math.sqrt(headDim),
      TILE: keysPerTile,
    },
    bindings: BINDINGS,
    parameters: ({ capacity }) => [capacity, headDim / part.size],
    grid: ({ tokens }) => [heads, tokens, 1],
  }
}

const LANES = 8 // of a workgroup: what a CPU's vector holds

function lanes({ heads, kvHeads, headDim }: AttentionOptions): Kernel<AttentionParameters> {
  const part = partOf(headDim)
  return {
    label: `attention lanes [${heads}/${kvHeads}, ${headDim}]`,
    // The arrays of a lane take their length from `const`, not from `override`.
    code: `${part.code}const GROUP = ${heads / kvHeads}u;\n${lanesCode}`,
    constants: {
      KV_HEADS: kvHeads,
      STRIDE_IN: pad8((heads + 2 * kvHeads) * headDim),
      STRIDE_OUT: pad8(heads * headDim),
      SCALE: 1 / Math.sqrt(headDim),
    },
    bindings: BINDINGS,
    parameters: ({ capacity, tokens }) => [capacity, tokens, headDim / part.size],
    grid: ({ tokens }) => spread(ceilDiv(tokens * kvHeads, LANES)),
  }
}

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
    constants: {
      KV_HEADS: kvHeads,
      STRIDE_IN: pad8((heads + 2 * kvHeads) * headDim),
      STRIDE_OUT: pad8(heads * headDim),
      SCALE: 1 / Math.sqrt(headDim),
    },
    bindings: ["read", "write", "write", "read", "read", "read", "read", "write"],
    parameters: ({ capacity }) => [capacity, headDim / part.size],
    grid: ({ tokens }) => [kvHeads, tokens, 1],
  }
}
