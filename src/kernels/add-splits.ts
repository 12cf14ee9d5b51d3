import code from "./add-splits.wgsl"
import { ceilDiv, type Kernel } from "./kernel.ts"
import type { MatmulParameters } from "./matmul.ts"

export interface AddSplitsOptions {
  readonly rows: number
  readonly splits: number
}

/**
 * Adds the splits of a matrix product in their order: the same bits each time; with `adds`, their sum to what is in out. Binds
 * parts f32 [splits, tokens, rows] and out, as {@link MatmulParameters} lays it out.
 */
export function addSplits({ rows, splits }: AddSplitsOptions): Kernel<MatmulParameters> {
  return {
    label: `add ${splits} splits`,
    code,
    constants: {},
    bindings: ["read", "write"],
    parameters: (p) => [p.tokens, p.outStride, p.outOffset, rows, splits, p.adds ? 1 : 0],
    grid: (p) => [ceilDiv(rows, 64), p.tokens, 1],
  }
}
