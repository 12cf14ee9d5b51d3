import { ceilDiv, type Kernel } from "./kernel.ts"
import code from "./residual.wgsl"

export interface ResidualParameters {
  /** Numbers to add, a multiple of 8. */
  readonly count: number
}

const QUADS_PER_GROUP = 256
// An axis of a grid ends at 65535 workgroups: a short x axis lets y carry any size with little idle at the end.
const GROUPS_IN_X = 1024

/** Adds y to x in place. Bindings: x f32 [count], y f32 [count]. */
export function residual(): Kernel<ResidualParameters> {
  return {
    label: "residual",
    code,
    constants: {},
    bindings: ["write", "read"],
    parameters: ({ count }) => [count / 4],
    grid: ({ count }) => {
      const groups = ceilDiv(count / 4, QUADS_PER_GROUP)
      return [Math.min(groups, GROUPS_IN_X), ceilDiv(groups, GROUPS_IN_X), 1]
    },
  }
}
