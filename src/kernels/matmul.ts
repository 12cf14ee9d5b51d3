import { ceilDiv, float, type Kernel, pad8, sizes } from "./kernel.ts"
import broadcastRowCode from "./matmul-broadcast-row.wgsl"
import broadcastCode from "./matmul-broadcast.wgsl"
import lanesCode from "./matmul-lanes.wgsl"
import reduceCode from "./matmul-reduce.wgsl"
import tileCode from "./matmul-tile.wgsl"
import commonCode from "./matmul.wgsl"
import { weightCode, type WeightType } from "./weights.ts"

/**
 * How a matrix product is cut up. All but `reduce` add each output's products one by one from the first column to the last, so
 * that a token's outputs have the same bits in any of them.
 */
export type MatmulVariant =
  /** `lanes` lanes share out the columns of 4 rows, for one token. */
  | { readonly kind: "reduce"; readonly lanes: number }
  /** A workgroup computes `tokens` x `rows` outputs, each lane `laneTokens` (4 or more) x `laneRows`, `depth` columns at a time. */
  | {
      readonly kind: "tile"
      readonly tokens: number
      readonly rows: number
      readonly depth: number
      readonly laneTokens: number
      readonly laneRows: number
    }
  /** A subgroup of 8 lanes or more, for 8 tokens x 16 rows. */
  | { readonly kind: "broadcast" }
  /** The same for one token x 16 rows. */
  | { readonly kind: "broadcast-row" }
  /** Each lane computes `tokens` outputs alone, `lanes` rows to a workgroup. */
  | { readonly kind: "lanes"; readonly tokens: number; readonly lanes: number }

export interface MatmulShape {
  /** Outputs per token: the weight's rows. */
  readonly rows: number
  /** Inputs per token: the weight's columns. */
  readonly columns: number
  readonly type: WeightType
  readonly variant: MatmulVariant
  /** What outputs are multiplied by, where the weights were scaled; 1 unless told, which leaves every bit as it is. */
  readonly scale?: number
}

export interface MatmulParameters {
  readonly tokens: number
  /** Elements from one token's outputs to the next. */
  readonly outStride: number
  /** Where in a token's outputs this weight's first row goes. */
  readonly outOffset: number
  /** Whether the outputs are added to what stands there, as those of a block are to the residual stream. */
  readonly adds?: boolean
}

/** What a variant brings: its code, and the tokens and rows that one workgroup computes. */
interface Cut {
  readonly code: string
  readonly tokens: number
  readonly rows: number
}

/**
 * out[t * outStride + outOffset + n] = sum over k of x[t * stride + k] * weights[n * stride + k], for t < tokens and n < rows,
 * with stride = pad8(columns); += with `adds`. Binds x [tokens, stride], weights [pad8(rows), stride] and out.
 *
 * The sizes are parameters and not constants of the shader: all weights of a type share one pipeline.
 */
export function matmul(shape: MatmulShape): Kernel<MatmulParameters> {
  const { rows, columns, type, variant, scale = 1 } = shape
  const { code, ...workgroup } = cut(variant)
  const enable = variant.kind.startsWith("broadcast") ? "enable subgroups;\n" : ""
  return {
    label: `matmul ${variant.kind} ${type}`,
    code: enable + weightCode(type) + commonCode + code,
    constants: {},
    bindings: ["read", "read", "write"],
    parameters: (p) => [p.tokens, p.outStride, p.outOffset, rows, pad8(columns), float(scale), p.adds ? 1 : 0],
    grid: (p) => [ceilDiv(rows, workgroup.rows), ceilDiv(p.tokens, workgroup.tokens), 1],
  }
}

function cut(variant: MatmulVariant): Cut {
  const { kind } = variant
  if (kind === "broadcast") return { code: broadcastCode, tokens: 8, rows: 16 }
  if (kind === "broadcast-row") return { code: broadcastRowCode, tokens: 1, rows: 16 }
  if (kind === "reduce") return { code: sizes({ LANES: variant.lanes }) + reduceCode, tokens: 1, rows: 4 }
  if (kind === "tile") return tileCut(variant)
  const { tokens, lanes } = variant
  return { code: sizes({ TOKENS: tokens, LANES: lanes }) + lanesCode, tokens, rows: lanes }
}

function tileCut({ tokens, rows, depth, laneTokens, laneRows }: Extract<MatmulVariant, { kind: "tile" }>): Cut {
  const header = sizes({ TILE_TOKENS: tokens, TILE_ROWS: rows, DEPTH: depth, LANE_TOKENS: laneTokens, LANE_ROWS: laneRows })
  return { code: header + tileCode, tokens, rows }
}
