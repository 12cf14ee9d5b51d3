import findBadCode from "./find-bad.wgsl"
import { ceilDiv, type Kernel } from "./kernel.ts"
import type { WeightType } from "./weights.ts"

const LANES = 256
// Enough to fill a GPU; each lane then strides over the rest.
const MAX_WORKGROUPS = 4096

const EXPONENT: Readonly<Record<WeightType, number>> = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 }

export interface FindBadParameters {
  /** 32-bit words of the weight, up to 2 ** 29. */
  readonly words: number
}

/** Sets found [1] to 1 when a weight is NaN or infinite, and leaves it alone otherwise. Binds weights [words] as packed and found. */
export function findBad({ type }: { readonly type: WeightType }): Kernel<FindBadParameters> {
  const exponent = EXPONENT[type]
  return {
    label: `find-bad ${type}`,
    code: findBadCode,
    constants: { exponentLow: exponent, exponentHigh: type === "f32" ? exponent : exponent * 2 ** 16 },
    bindings: ["read", "write"],
    parameters: (p) => [p.words],
    grid: (p) => [Math.min(ceilDiv(p.words, LANES), MAX_WORKGROUPS), 1, 1],
  }
}
