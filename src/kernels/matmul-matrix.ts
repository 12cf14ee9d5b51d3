import type { Parts } from "./half-rows.ts"
import { ceilDiv, float, type Kernel, pad8, sizes } from "./kernel.ts"
import type { MatmulParameters } from "./matmul.ts"
import code from "./matmul-matrix.wgsl"

/** An adapter's matrix unit: what it multiplies at once, f16 [m, k] by f16 [k, n] added to f32 [m, n]. */
export interface MatrixUnit {
  readonly m: number
  readonly n: number
  readonly k: number
  /** Lanes of the adapter's largest subgroup. */
  readonly lanes: number
  /** Rewrites the kernel for an adapter without such a unit; the tests check the tiling so. */
  readonly emulate?: (code: string) => string
}

/** How a matrix product is cut up: a workgroup's outputs and the columns it stages at a time, and a subgroup's outputs. */
export interface MatrixTile {
  readonly tokens: number
  readonly rows: number
  readonly depth: number
  readonly subgroupTokens: number
  readonly subgroupRows: number
}

export interface MatmulMatrixShape {
  /** Outputs per token: the weight's rows. */
  readonly rows: number
  /** Inputs per token: the weight's columns. */
  readonly columns: number
  /** Takes the weights' scale back. */
  readonly scale: number
  readonly unit: MatrixUnit
  readonly tile: MatrixTile
  readonly parts: Parts
  /** Workgroups that share a tile's columns; {@link splitsOf} says how many there are in the end. */
  readonly splits: number
}

/** Splits begin at multiples of this many columns: of every depth, so that blocks of columns stay together. */
const SPLIT_UNIT = 64

/**
 * out[(s * tokens + t) * outStride + outOffset + n] = sum over the columns of split s of x[t][k] * weights[n][k], for t < tokens
 * and n < rows; += with `adds`. Several splits go to a buffer of their own, with outStride = rows, and {@link addSplits} adds
 * them up.
 *
 * Binds halves f16 [parts, tokens, pad8(columns)] and undo f32 [tokens] of {@link halfRows}, weights f16 [pad8(rows),
 * pad8(columns)] and out.
 */
export function matmulMatrix(shape: MatmulMatrixShape): Kernel<MatmulParameters> {
  const { rows, columns, scale, unit, tile, parts } = shape
  const { lanes, m, n, k, emulate = (text: string): string => text } = unit
  const header = sizes({
    LANES: subgroups(tile) * lanes,
    TILE_TOKENS: tile.tokens,
    TILE_ROWS: tile.rows,
    DEPTH: tile.depth,
    SUBGROUP_TOKENS: tile.subgroupTokens,
    SUBGROUP_ROWS: tile.subgroupRows,
    PARTS: parts,
    MATRIX_M: m,
    MATRIX_N: n,
    MATRIX_K: k,
  })
  const enable = "enable f16;\nenable subgroups;\nenable chromium_experimental_subgroup_matrix;\n"
  return {
    label: `matmul matrix ${tile.tokens} x ${tile.rows} x ${parts}`,
    code: emulate(enable + header + code),
    constants: {},
    bindings: ["read", "read", "read", "write"],
    parameters: ({ tokens, outStride, outOffset, adds }) => {
      return [tokens, outStride, outOffset, rows, pad8(columns), splitColumns(shape), float(scale), adds ? 1 : 0]
    },
    grid: (p) => [ceilDiv(rows, tile.rows), ceilDiv(p.tokens, tile.tokens), splitsOf(shape)],
  }
}

/** Splits of a product: at most as many as wanted, none empty. */
export function splitsOf(shape: Pick<MatmulMatrixShape, "columns" | "splits">): number {
  return ceilDiv(pad8(shape.columns), splitColumns(shape))
}

const splitColumns = ({ columns, splits }: Pick<MatmulMatrixShape, "columns" | "splits">): number =>
  ceilDiv(ceilDiv(pad8(columns), splits), SPLIT_UNIT) * SPLIT_UNIT

const subgroups = ({ tokens, rows, subgroupTokens, subgroupRows }: MatrixTile): number =>
  (tokens / subgroupTokens) * (rows / subgroupRows)

/** Lanes of a workgroup. */
export const tileLanes = (tile: MatrixTile, { lanes }: MatrixUnit): number => subgroups(tile) * lanes

/** Bytes of workgroup memory. */
export function tileBytes(tile: MatrixTile, { m, n }: MatrixUnit, parts: Parts): number {
  return (parts * tile.tokens + tile.rows) * (tile.depth + 8) * 2 + subgroups(tile) * m * n * 4
}

/** The tile, as deep as `bytes` of workgroup memory allow; undefined where they allow none. */
export function fitTile(tile: MatrixTile, unit: MatrixUnit, parts: Parts, bytes: number): MatrixTile | undefined {
  for (let depth = tile.depth; depth >= unit.k; depth /= 2) {
    const fitting = { ...tile, depth }
    if (tileBytes(fitting, unit, parts) <= bytes) return fitting
  }
  return undefined
}
