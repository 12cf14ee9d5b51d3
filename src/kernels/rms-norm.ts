import { pad8, type Kernel } from "./kernel.ts"
import code from "./rms-norm.wgsl"

export interface RmsNormOptions {
  readonly width: number
  /** Added to the mean square before the root. */
  readonly epsilon: number
}

export interface RmsNormParameters {
  readonly tokens: number
}

/** Lanes that share a row, and so the order in which its squares are added. */
export const normLanes = (width: number): number => (width <= 1024 ? 32 : 256)

/**
 * Root-mean-square norm with a weight per column (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467).
 *
 * Bindings: x f32 [tokens, pad8(width)], weight f32 [pad8(width)], out f32 [tokens, pad8(width)].
 */
export function rmsNorm({ width, epsilon }: RmsNormOptions): Kernel<RmsNormParameters> {
  return {
    label: `rms-norm [${width}]`,
    code,
    constants: { WIDTH: width, STRIDE: pad8(width), EPSILON: epsilon, LANES: normLanes(width) },
    bindings: ["read", "read", "write"],
    parameters: () => [],
    grid: ({ tokens }) => [tokens, 1, 1],
  }
}
