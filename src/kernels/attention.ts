import flashCode from "./attention-flash.wgsl"
import lanesCode from "./attention-lanes.wgsl"
import tilesCode from "./attention-tiles.wgsl"
import { spread } from "./grid.ts"
import { ceilDiv, pad8, sizes, type Kernel } from "./kernel.ts"
import { partOf } from "./parts.ts"

export interface AttentionOptions {
  readonly heads: number
  /** Divides `heads`: query head h reads key and value head floor(h / (heads / kvHeads)). */
  readonly kvHeads: number
  /** Even; of wider heads than 256 `flash` is `tiles`. */
  readonly headDim: number
  /** Keys that `tiles` takes at once, which is also the number of lanes of a workgroup. */
  readonly keysPerTile: number
  /**
   * For GPUs `tiles` (the default), a workgroup for each token and head, or `flash`, which loads keys once for many of them: for
   * prompts. `lanes`, without barriers, for adapters that compute on the CPU.
   */
  readonly variant?: "tiles" | "lanes" | "flash"
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
  const { variant, headDim } = options
  if (variant === "lanes") return lanes(options)
  return variant === "flash" && headDim <= FLASH_MAX_HEAD ? flash(options) : tiles(options)
}

/** What the kernels of attention are compiled for. */
export const headConstants = ({
  heads,
  kvHeads,
  headDim,
}: Pick<AttentionOptions, "heads" | "kvHeads" | "headDim">): Kernel["constants"] => ({
  KV_HEADS: kvHeads,
  STRIDE_IN: pad8((heads + 2 * kvHeads) * headDim),
  STRIDE_OUT: pad8(heads * headDim),
  SCALE: 1 / Math.sqrt(headDim),
})

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
    constants: headConstants({ heads, kvHeads, headDim }),
    bindings: BINDINGS,
    parameters: ({ capacity, tokens }) => [capacity, tokens, headDim / part.size],
    grid: ({ tokens }) => spread(ceilDiv(tokens * kvHeads, LANES)),
  }
}

// Sizes of `flash`. In 128 lanes, each multiplies 4 queries by 4 keys and 4 queries by 16 columns of a 128-wide head, which takes
// 8 and 5 wide reads of workgroup memory for 64 multiply-adds: arithmetic is the limit, not memory. 64 queries (16 tokens of a
// model with 4 heads to a kv head) need 24 KiB of workgroup memory, of the 32 KiB that most adapters have at least. Wider heads
// take 32 queries, so that a lane's results still fit its registers (64 of them). 32 keys waste little on short rows.
const FLASH_MAX_HEAD = 256
const FLASH_LANES = 128
const FLASH_KEYS = 32
const FLASH_DEPTH = 8 // parts of queries and keys that are staged at once: 128 bytes of a key
const FLASH_MIX_KEYS = 16 // values that are staged at once, in the memory of queries and keys

function flash({ heads, kvHeads, headDim }: AttentionOptions): Kernel<AttentionParameters> {
  const part = partOf(headDim)
  const quads = headDim <= 128 ? 16 : 8 // of queries
  const quadLanes = FLASH_LANES / quads
  const group = heads / kvHeads
  const constants = sizes({
    GROUP: group,
    QUADS: quads,
    QUAD_LANES: quadLanes,
    KEYS: FLASH_KEYS,
    DEPTH: FLASH_DEPTH,
    MIX_KEYS: FLASH_MIX_KEYS,
    LANE_PARTS: ceilDiv(headDim / part.size, quadLanes),
  })
  return {
    label: `attention flash [${heads}/${kvHeads}, ${headDim}]`,
    code: part.code + constants + flashCode,
    constants: headConstants({ heads, kvHeads, headDim }),
    bindings: BINDINGS,
    parameters: ({ capacity, tokens }) => [capacity, tokens, headDim / part.size, quadLanes],
    grid: ({ tokens }) => [ceilDiv(tokens * group, quads * 4), kvHeads, 1],
  }
}
