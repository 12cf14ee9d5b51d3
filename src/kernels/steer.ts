import { ceilDiv, pad8, type Kernel } from "./kernel.ts"
import code from "./steer.wgsl"

export interface SteerOptions {
  readonly width: number
}

export interface SteerParameters {
  readonly tokens: number
  /** Vectors. */
  readonly count: number
}

/**
 * Adds steering vectors to the residual stream in place, each times its coefficient of the token's batch row. Vectors are
 * added in order; one whose coefficient is 0 is skipped, so that an unsteered row keeps its bits.
 *
 * Bindings: x f32 [tokens, pad8(width)], rows u32 [tokens], vectors f32 [count, pad8(width)],
 * coefficients f32 [batchRows, count].
 */
export function steer({ width }: SteerOptions): Kernel<SteerParameters> {
  return {
    label: `steer [${width}]`,
    code,
    constants: { STRIDE: pad8(width) },
    bindings: ["write", "read", "read", "read"],
    parameters: ({ count }) => [count],
    grid: ({ tokens, count }) => [ceilDiv(pad8(width) / 4, 64), count === 0 ? 0 : tokens, 1],
  }
}
