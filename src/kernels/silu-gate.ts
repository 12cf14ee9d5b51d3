import { ceilDiv, pad8, type Kernel } from "./kernel.ts"
import { partOf } from "./parts.ts"
import code from "./silu-gate.wgsl"

export interface SiluGateOptions {
  readonly width: number
}

export interface SiluGateParameters {
  readonly tokens: number
}

/**
 * The gated activation of Llama's feed-forward block: silu(gate) * up, silu(x) = x / (1 + e^-x).
 *
 * Bindings: gate and up side by side f32 [tokens, pad8(2 width)], out f32 [tokens, pad8(width)].
 */
export function siluGate({ width }: SiluGateOptions): Kernel<SiluGateParameters> {
  const part = partOf(width)
  return {
    label: `silu-gate [${width}]`,
    code: part.code + code,
    constants: { WIDTH: width, STRIDE_IN: pad8(2 * width), STRIDE_OUT: pad8(width) },
    bindings: ["read", "write"],
    parameters: () => [],
    grid: ({ tokens }) => [ceilDiv(width / part.size, 64), tokens, 1],
  }
}
