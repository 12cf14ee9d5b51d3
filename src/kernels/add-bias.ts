import code from "./add-bias.wgsl"
import { ceilDiv, type Kernel, pad8 } from "./kernel.ts"

export interface AddBiasOptions {
  readonly width: number
  /** Whether negative sums become 0 (ReLU). */
  readonly rectify: boolean
}

export interface AddBiasParameters {
  readonly rows: number
}

/**
 * x += bias in every row, rectified where wanted.
 *
 * Bindings: x f32 [rows, pad8(width)], bias f32 [pad8(width)].
 */
export function addBias({ width, rectify }: AddBiasOptions): Kernel<AddBiasParameters> {
  return {
    label: `add bias [${width}]${rectify ? ", rectified" : ""}`,
    code,
    constants: { STRIDE: pad8(width), RECTIFY: rectify ? 1 : 0 },
    bindings: ["write", "read"],
    parameters: () => [],
    grid: ({ rows }) => [ceilDiv(pad8(width) / 4, 64), rows, 1],
  }
}
