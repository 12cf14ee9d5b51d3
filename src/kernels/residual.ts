import { spread } from "./grid.ts"
import { ceilDiv, type Kernel } from "./kernel.ts"
import code from "./residual.wgsl"

export interface ResidualParameters {
  /** Numbers to add, a multiple of 8. */
  readonly count: number
}

/** Adds y to x in place. Bindings: x f32 [count], y f32 [count]. */
export function residual(): Kernel<ResidualParameters> {
  return {
    label: "residual",
    code,
    constants: {},
    bindings: ["write", "read"],
    parameters: ({ count }) => [count / 4],
    grid: ({ count }) => spread(ceilDiv(count / 4, 256)),
  }
}
