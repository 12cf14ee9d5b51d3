import { ceilDiv, type Kernel, pad8 } from "./kernel.ts"
import code from "./top-k.wgsl"

export interface TopKOptions {
  readonly width: number
  /** Numbers to find in each row, at most `width`. */
  readonly k: number
  /** Lanes of the workgroup that serves a row, a power of two; 256 unless told. */
  readonly lanes?: number | undefined
}

export interface TopKParameters {
  readonly rows: number
}

/**
 * The k largest positive numbers of each row in ascending order of their columns; of equal ones the first columns win. Where
 * fewer are positive, the rest of the k places hold column 0 with value 0. All sizes share one pipeline.
 *
 * Bindings: x f32 [rows, pad8(width)], indices u32 [rows, k], values f32 [rows, k].
 */
export function topK({ width, k, lanes = 256 }: TopKOptions): Kernel<TopKParameters> {
  return {
    label: `top ${k} of ${width}`,
    code,
    constants: { LANES: lanes },
    bindings: ["read", "write", "write"],
    parameters: () => [width, ceilDiv(width, 4), pad8(width) / 4, k, lanes],
    grid: ({ rows }) => [rows, 1, 1],
  }
}
