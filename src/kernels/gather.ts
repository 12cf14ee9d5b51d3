import code from "./gather.wgsl"
import { ceilDiv, pad8, type Kernel } from "./kernel.ts"

export interface GatherOptions {
  readonly width: number
}

export interface GatherParameters {
  /** Rows to copy. */
  readonly count: number
}

/**
 * Copies chosen rows: out[i] = x[index[i]].
 *
 * Bindings: x f32 [any, pad8(width)], index u32 [count], out f32 [count, pad8(width)].
 */
export function gather({ width }: GatherOptions): Kernel<GatherParameters> {
  return {
    label: `gather [${width}]`,
    code,
    constants: { STRIDE: pad8(width) },
    bindings: ["read", "read", "write"],
    parameters: () => [],
    grid: ({ count }) => [ceilDiv(pad8(width) / 4, 64), count, 1],
  }
}
