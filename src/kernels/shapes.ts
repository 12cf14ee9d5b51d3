import type { AttentionOptions } from "./attention.ts"
import type { MatmulVariant } from "./matmul.ts"

/** What the choice of shapes depends on. */
export interface ShapeFacts {
  /** The adapter computes on the CPU (lavapipe, SwiftShader). */
  readonly software: boolean
  /** Whether kernels may use subgroup operations. */
  readonly subgroups: boolean
  /** Lanes of the smallest subgroup. */
  readonly subgroupMinSize: number
}

/** A variant and the most tokens that it is for. */
interface Step {
  readonly upTo: number
  readonly variant: MatmulVariant
}

export interface KernelShapes {
  /** Ascending, the last without end. All steps after the first give a token the same bits. */
  readonly matmul: readonly Step[]
  readonly attention: Pick<AttentionOptions, "variant" | "keysPerTile">
  /** Lanes that share a row of logits, in the kernels over the vocabulary. */
  readonly vocabularyLanes: number
}

const tile = (tokens: number, rows: number, depth: number, laneTokens: number, laneRows: number): MatmulVariant => ({
  kind: "tile",
  tokens,
  rows,
  depth,
  laneTokens,
  laneRows,
})

// GPUs: memory is the limit up to some 30 tokens, then arithmetic, which wants many outputs per lane. Reasoned, not timed yet.
const GPU: KernelShapes = {
  matmul: [
    { upTo: 1, variant: { kind: "reduce", lanes: 128 } },
    { upTo: 8, variant: tile(8, 32, 64, 4, 1) },
    { upTo: 32, variant: tile(32, 64, 32, 4, 4) },
    { upTo: 256, variant: tile(64, 64, 16, 8, 4) },
    { upTo: Infinity, variant: tile(128, 128, 16, 8, 8) },
  ],
  attention: { variant: "tiles", keysPerTile: 64 },
  vocabularyLanes: 256,
}

// lavapipe: barriers and loads are dear, broadcasts in a subgroup cheap. Subgroups have 8 lanes with AVX2.
const SOFTWARE: KernelShapes = {
  matmul: [
    { upTo: 1, variant: { kind: "broadcast-row" } },
    { upTo: Infinity, variant: { kind: "broadcast" } },
  ],
  attention: { variant: "lanes", keysPerTile: 8 },
  vocabularyLanes: 8,
}

// SwiftShader, and lavapipe without AVX2: subgroups of 4 lanes.
const SOFTWARE_NARROW: KernelShapes = {
  matmul: [
    { upTo: 1, variant: { kind: "lanes", tokens: 1, lanes: 8 } },
    { upTo: Infinity, variant: { kind: "lanes", tokens: 4, lanes: 8 } },
  ],
  attention: { variant: "lanes", keysPerTile: 8 },
  vocabularyLanes: 8,
}

/** The shapes for this kind of adapter. */
export function kernelShapes(facts: ShapeFacts): KernelShapes {
  if (!facts.software) return GPU
  return facts.subgroups && facts.subgroupMinSize >= 8 ? SOFTWARE : SOFTWARE_NARROW
}

/** The variant for a batch of `tokens` tokens. */
export function chooseMatmul(shapes: KernelShapes, tokens: number): MatmulVariant {
  const step = shapes.matmul.find((each) => tokens <= each.upTo) ?? shapes.matmul.at(-1)
  if (!step) throw new RangeError("a table of shapes without a step")
  return step.variant
}
