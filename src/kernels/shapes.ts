import type { AttentionOptions } from "./attention.ts"
import type { MatrixTile } from "./matmul-matrix.ts"
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
  /** Ascending, the last without end. All steps of `reduce` give a token the same bits, and so do all others. */
  readonly matmul: readonly Step[]
  readonly attention: Pick<AttentionOptions, "variant" | "keysPerTile"> & {
    /** Whether passes with one token a row have a kernel of their own. */
    readonly decodes: boolean
  }
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

const reduceStep = (tokens: number, subgroups: boolean): Step => ({
  upTo: tokens,
  variant: { kind: "reduce", lanes: 128, tokens, subgroups },
})

// GPUs: memory is the limit up to some 30 tokens, then arithmetic, which wants many outputs per lane. Reasoned, not timed yet.
const gpu = (subgroups: boolean): KernelShapes => ({
  matmul: [
    ...[1, 4, 8].map((tokens) => reduceStep(tokens, subgroups)),
    { upTo: 32, variant: tile(32, 64, 32, 4, 4) },
    { upTo: 256, variant: tile(64, 64, 16, 8, 4) },
    { upTo: Infinity, variant: tile(128, 128, 16, 8, 8) },
  ],
  attention: { variant: "flash", keysPerTile: 64, decodes: true },
  vocabularyLanes: 256,
})

// lavapipe: barriers and loads are dear, broadcasts in a subgroup cheap. Subgroups have 8 lanes with AVX2.
const SOFTWARE: KernelShapes = {
  matmul: [
    { upTo: 1, variant: { kind: "broadcast-row" } },
    { upTo: Infinity, variant: { kind: "broadcast" } },
  ],
  attention: { variant: "lanes", keysPerTile: 8, decodes: false },
  vocabularyLanes: 8,
}

// SwiftShader, and lavapipe without AVX2: subgroups of 4 lanes.
const SOFTWARE_NARROW: KernelShapes = {
  matmul: [
    { upTo: 1, variant: { kind: "lanes", tokens: 1, lanes: 8 } },
    { upTo: Infinity, variant: { kind: "lanes", tokens: 4, lanes: 8 } },
  ],
  attention: { variant: "lanes", keysPerTile: 8, decodes: false },
  vocabularyLanes: 8,
}

/** The shapes for this kind of adapter. */
export function kernelShapes(facts: ShapeFacts): KernelShapes {
  if (!facts.software) return gpu(facts.subgroups)
  return facts.subgroups && facts.subgroupMinSize >= 8 ? SOFTWARE : SOFTWARE_NARROW
}

/** The variant for a batch of `tokens` tokens. */
export function chooseMatmul(shapes: KernelShapes, tokens: number): MatmulVariant {
  const step = shapes.matmul.find((each) => tokens <= each.upTo) ?? shapes.matmul.at(-1)
  if (!step) throw new RangeError("a table of shapes without a step")
  return step.variant
}

/** A tile for matrix units, and the most tokens that it is for. */
interface MatrixStep {
  readonly upTo: number
  readonly tile: MatrixTile
  /** Whether several workgroups share a tile's columns where there would be too few of them to fill a GPU. */
  readonly split: boolean
}

/** Below this many tokens memory is the limit, and a matrix unit would multiply mostly padding. */
export const MATRIX_MIN_TOKENS = 16

const matrixTile = (tokens: number, rows: number, depth: number, subgroupTokens: number, subgroupRows: number): MatrixTile => ({
  tokens,
  rows,
  depth,
  subgroupTokens,
  subgroupRows,
})

/** Ascending, the last without end. Reasoned, not timed yet. */
export const MATRIX_STEPS: readonly MatrixStep[] = [
  { upTo: 32, tile: matrixTile(32, 64, 64, 16, 32), split: true },
  { upTo: 128, tile: matrixTile(64, 64, 64, 32, 32), split: true },
  { upTo: 511, tile: matrixTile(128, 64, 64, 32, 32), split: false },
  { upTo: Infinity, tile: matrixTile(128, 128, 32, 64, 64), split: false },
]

/** The most tokens of a step that splits. */
export const MATRIX_SPLIT_TOKENS = 128

// Two workgroups for each of a large GPU's 132 multiprocessors; a split shorter than this is all start and end.
const WANTED_WORKGROUPS = 256
const SPLIT_COLUMNS = 512
const MAX_SPLITS = 8

/** The tile for `tokens` tokens. */
export function chooseMatrixTile(tokens: number): MatrixStep {
  return MATRIX_STEPS.find((each) => tokens <= each.upTo) as MatrixStep
}

/** How many workgroups share a tile's columns. It depends on the weight alone: a token's bits are the same in all steps that split. */
export function chooseSplits(rows: number, columns: number): number {
  const wanted = Math.floor(WANTED_WORKGROUPS / Math.ceil(rows / 64))
  return Math.max(1, Math.min(wanted, Math.floor(columns / SPLIT_COLUMNS), MAX_SPLITS))
}
