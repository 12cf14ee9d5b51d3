import convertCode from "./half-weights.wgsl"
import largestCode from "./half-weights-largest.wgsl"
import halvesCode from "./halves.wgsl"
import { ceilDiv, type Kernel } from "./kernel.ts"
import type { WeightType } from "./weights.ts"

const LANES = 256
// Enough to fill a GPU; each lane then strides over the rest.
const MAX_WORKGROUPS = 4096

export interface HalfWeightsParameters {
  /** Pairs of weights: words of the f16 result. */
  readonly words: number
}

/** Two neighbouring weights, as the bits of f32. */
const PAIR: Readonly<Record<WeightType, string>> = {
  f32: "return vec2u(weights[i * 2], weights[i * 2 + 1]);",
  f16: "return vec2u(single(weights[i] & 0xffffu), single(weights[i] >> 16));",
  bf16: "return vec2u(weights[i] << 16, weights[i] & 0xffff0000u);",
}

const prelude = (type: WeightType): string =>
  `const LANES = ${LANES}u;\n${halvesCode}\nfn weightPair(i: u32) -> vec2u { ${PAIR[type]} }\n`

const grid = ({ words }: HalfWeightsParameters): readonly [number, number, number] => [
  Math.min(ceilDiv(words, LANES), MAX_WORKGROUPS),
  1,
  1,
]

/** facts[0] = the bits of the largest finite magnitude. Binds weights as packed and facts u32 [3], zero before. */
export function largestWeight({ type }: { readonly type: WeightType }): Kernel<HalfWeightsParameters> {
  return {
    label: `largest weight ${type}`,
    code: prelude(type) + largestCode,
    constants: {},
    bindings: ["read", "write"],
    parameters: ({ words }) => [words],
    grid,
  }
}

/**
 * Weights as f16, times 2 ** {@link scaleExponent} of facts[0]; facts[1] and facts[2] count what was lost. Run it after
 * {@link largestWeight}. Binds weights as packed, facts u32 [3] and the result, two to a word.
 */
export function halfWeights({ type }: { readonly type: WeightType }): Kernel<HalfWeightsParameters> {
  return {
    label: `weights ${type} to f16`,
    code: prelude(type) + convertCode,
    constants: {},
    bindings: ["read", "write", "write"],
    parameters: ({ words }) => [words],
    grid,
  }
}

/** The exponent by which halves.wgsl scales, from the bits of the largest magnitude as f32. */
export function scaleExponent(largest: number): number {
  return largest === 0 ? 0 : Math.min(141 - (largest >>> 23), 100)
}
