import { ceilDiv, type Kernel, pad8 } from "./kernel.ts"
import code from "./sparse-sum.wgsl"
import { weightCode, type WeightType } from "./weights.ts"

export interface SparseSumOptions {
  /** Columns of the weights. */
  readonly width: number
  /** Terms of a sum. */
  readonly k: number
  readonly type: WeightType
}

export interface SparseSumParameters {
  /** Sums to make. */
  readonly rows: number
  /** The first row of the weights in this chunk, and its rows. */
  readonly firstRow: number
  readonly chunkRows: number
}

/**
 * out[t] += the sum over i < k of values[t, i] * weights[indices[t, i]], for the indices that are in this chunk of the weights;
 * terms of value 0 are left out. Terms are added in their order, so that with ascending indices chunks do not change a bit.
 * All sizes share one pipeline.
 *
 * Bindings: indices u32 [rows, k], values f32 [rows, k], weights [pad8(chunkRows), pad8(width)], out f32 [rows, pad8(width)].
 */
export function sparseSum({ width, k, type }: SparseSumOptions): Kernel<SparseSumParameters> {
  return {
    label: `sparse sum of ${k} x ${width} ${type}`,
    code: weightCode(type) + code,
    constants: {},
    bindings: ["read", "read", "read", "write"],
    parameters: ({ firstRow, chunkRows }) => [k, pad8(width) / 8, firstRow, chunkRows],
    grid: ({ rows }) => [ceilDiv(pad8(width) / 8, 64), rows, 1],
  }
}
