import code from "./embed.wgsl"
import { ceilDiv, pad8, type Kernel } from "./kernel.ts"
import { weightCode, type WeightType } from "./weights.ts"

export interface EmbedOptions {
  readonly vocab: number
  readonly width: number
  readonly type: WeightType
}

export interface EmbedParameters {
  readonly tokens: number
  /** The table's row at which the bound chunk starts. */
  readonly firstRow: number
  /** Rows in the chunk. */
  readonly chunkRows: number
}

/**
 * Looks up token embeddings in a chunk of the table; tokens whose id lies outside it are left alone.
 *
 * Bindings: ids [tokens], the chunk [chunkRows, pad8(width)] in `type`, out f32 [tokens, pad8(width)].
 */
export function embed({ vocab, width, type }: EmbedOptions): Kernel<EmbedParameters> {
  return {
    label: `embed ${type} [${vocab}, ${width}]`,
    code: weightCode(type) + code,
    constants: { STRIDE: pad8(width) },
    bindings: ["read", "read", "write"],
    parameters: ({ firstRow, chunkRows }) => [firstRow, chunkRows],
    grid: ({ tokens }) => [ceilDiv(pad8(width) / 4, 64), tokens, 1],
  }
}
