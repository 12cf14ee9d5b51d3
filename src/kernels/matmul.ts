import { type Access, ceilDiv, float, type Kernel, pad8, sizes } from "./kernel.ts"
import broadcastRowCode from "./matmul-broadcast-row.wgsl"
import broadcastCode from "./matmul-broadcast.wgsl"
import lanesCode from "./matmul-lanes.wgsl"
import reduceSubgroupsCode from "./matmul-reduce-subgroups.wgsl"
import reduceRoundsCode from "./matmul-reduce-rounds.wgsl"
import reduceCode from "./matmul-reduce.wgsl"
import steeredCode from "./matmul-steered.wgsl"
import tileCode from "./matmul-tile.wgsl"
import commonCode from "./matmul.wgsl"
import { weightCode, type WeightType } from "./weights.ts"

/**
 * How a matrix product is cut up. All but `reduce` add each output's products one by one from the first column to the last, so
 * that a token's outputs have the same bits in any of them; so they have in `reduce` for any number of tokens.
 */
export type MatmulVariant =
  /** `lanes` lanes share out the columns of 4 rows, for `tokens` tokens; their sums meet by subgroups where they may. */
  | { readonly kind: "reduce"; readonly lanes: number; readonly tokens: number; readonly subgroups: boolean }
  /** A workgroup computes `tokens` x `rows` outputs, each lane `laneTokens` (4 or more) x `laneRows` (even), `depth` columns at a time. */
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

/**
 * What a product does beside multiplying, so that fewer kernels read and write the activations. Storage buffers that it needs come
 * after the product's own, in this order.
 */
export interface MatmulEnds {
  /** x is the residual stream: its root-mean-square norm is what is multiplied (rms-norm.wgsl). Binds the norm's weight f32 [stride]. */
  readonly normed?: { readonly epsilon: number } | undefined
  /** The weight's upper half are gates and the lower ups: what is written are rows / 2 outputs silu(gate) * up (silu-gate.wgsl). */
  readonly gated?: boolean
  /**
   * Outputs are steered as by {@link steer} with `addsAlone`, after they are added. Binds batch rows u32 [tokens], positions
   * u32 [tokens], vectors f32 [count, outStride] and operations [batchRows, count].
   */
  readonly steered?: boolean
}

export interface MatmulShape extends MatmulEnds {
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
  /** Operations of a row, where outputs are steered. */
  readonly count?: number
}

/** Whether a variant can take such an end; the others need a kernel of their own for it. */
export const canNorm = ({ kind }: MatmulVariant): boolean => kind === "reduce" || kind === "tile"
export const canGate = ({ kind }: MatmulVariant): boolean => kind !== "lanes"

/** What a variant brings: its code, and the tokens and rows that one workgroup computes. */
interface Cut {
  readonly code: string
  readonly tokens: number
  readonly rows: number
  readonly subgroups?: boolean
}

/**
 * out[t * outStride + outOffset + n] = sum over k of x[t * stride + k] * weights[n * stride + k], for t < tokens and n < rows,
 * with stride = pad8(columns); += with `adds`. Binds x [tokens, stride], weights [pad8(rows), stride], out, and what
 * {@link MatmulEnds} say.
 *
 * The sizes are parameters and not constants of the shader: all weights of a type share one pipeline.
 */
export function matmul(shape: MatmulShape): Kernel<MatmulParameters> {
  const { rows, columns, type, variant, scale = 1, normed, gated = false, steered = false } = shape
  const { code, subgroups, ...workgroup } = cut(variant)
  const ends = endsCode(shape)
  return {
    label: ["matmul", normed && "normed", gated && "gated", steered && "steered", variant.kind, type].filter(Boolean).join(" "),
    code: (subgroups ? "enable subgroups;\n" : "") + weightCode(type) + ends.code + commonCode + code,
    constants: {},
    bindings: ["read", "read", "write", ...ends.bindings],
    parameters: (p) => {
      const place = [p.tokens, p.outStride, p.outOffset, rows, pad8(columns)]
      return [...place, float(scale), p.adds ? 1 : 0, rows / 2, float(columns), float(normed?.epsilon ?? 0), p.count ?? 0]
    },
    grid: (p) => [ceilDiv(rows, workgroup.rows), ceilDiv(p.tokens, workgroup.tokens), 1],
  }
}

/** The text and the bindings of a product's ends. */
function endsCode({ normed, gated = false, steered = false }: MatmulEnds): { code: string; bindings: readonly Access[] } {
  const lines = [`const NORMED = ${normed !== undefined};`, `const GATED = ${gated};`]
  const bindings: Access[] = []
  const bind = (name: string, type: string): void => {
    lines.push(`@group(0) @binding(${3 + bindings.length}) var<storage, read> ${name}: array<${type}>;`)
    bindings.push("read")
  }
  if (normed) {
    bind("normWeight", "vec4f")
    lines.push("fn weighed(v: vec4f, quad: u32) -> vec4f { return v * normWeight[quad]; }")
  } else {
    lines.push("fn weighed(v: vec4f, quad: u32) -> vec4f { return v; }")
  }
  if (steered) {
    bind("batchRows", "u32")
    bind("positions", "u32")
    bind("vectors", "f32")
    bind("operations", "Operation")
    lines.push(steeredCode)
  } else {
    lines.push("fn steered(value: f32, token: u32, column: u32) -> f32 { return value; }")
  }
  lines.push(`@group(0) @binding(${3 + bindings.length}) var<uniform> parameters: Parameters;`, "")
  return { code: lines.join("\n"), bindings }
}

function cut(variant: MatmulVariant): Cut {
  const { kind } = variant
  if (kind === "broadcast") return { code: broadcastCode, tokens: 8, rows: 16, subgroups: true }
  if (kind === "broadcast-row") return { code: broadcastRowCode, tokens: 1, rows: 16, subgroups: true }
  if (kind === "reduce") return reduceCut(variant)
  if (kind === "tile") return tileCut(variant)
  const { tokens, lanes } = variant
  return { code: sizes({ TOKENS: tokens, LANES: lanes }) + lanesCode, tokens, rows: lanes }
}

function reduceCut({ tokens, lanes, subgroups }: Extract<MatmulVariant, { kind: "reduce" }>): Cut {
  const header = sizes({ TOKENS: tokens, LANES: lanes })
  return { code: header + reduceCode + (subgroups ? reduceSubgroupsCode : reduceRoundsCode), tokens, rows: 4, subgroups }
}

function tileCut({ tokens, rows, depth, laneTokens, laneRows }: Extract<MatmulVariant, { kind: "tile" }>): Cut {
  const header = sizes({ TILE_TOKENS: tokens, TILE_ROWS: rows, DEPTH: depth, LANE_TOKENS: laneTokens, LANE_ROWS: laneRows })
  return { code: header + tileCode, tokens, rows }
}
