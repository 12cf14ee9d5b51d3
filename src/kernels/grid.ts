import { ceilDiv, type Grid } from "./kernel.ts"

// An axis of a grid ends at 65535 workgroups: a short x axis lets y carry any number with few idle ones at the end.
const GROUPS_IN_X = 1024

/** A grid of at least `groups` workgroups; the shader numbers them by `group.y * groups.x + group.x`. */
export function spread(groups: number): Grid {
  return [Math.min(groups, GROUPS_IN_X), ceilDiv(groups, GROUPS_IN_X), 1]
}
