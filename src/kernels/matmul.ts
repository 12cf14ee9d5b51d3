import { ceilDiv, pad8, type Kernel } from "./kernel.ts"
import lanesCode from "./matmul-lanes.wgsl"
import { weightCode, type WeightType } from "./weights.ts"

/** How the work of a matrix product is cut up. All variants but those for one token add in the same order. */
export type MatmulVariant = {
  /** Each lane owns `tokens` x `rows` outputs; `lanes` lanes to a workgroup lie along the rows. */
  readonly kind: "lanes"
  readonly tokens: number
  readonly rows: number
  readonly lanes: number
}

export interface MatmulShape {
  /** Outputs per token: the weight's rows. */
  readonly rows: number
  /** Inputs per token: the weight's columns. */
  readonly columns: number
  readonly type: WeightType
  readonly variant: MatmulVariant
}

export interface MatmulParameters {
  readonly tokens: number
  /** Elements from one token's outputs to the next. */
  readonly outStride: number
  /** Where in a token's outputs this weight's first row goes. */
  readonly outOffset: number
}

/**
 * out[t * outStride + outOffset + n] = sum over k of x[t * stride + k] * weights[n * stride + k], for t < tokens and n < rows,
 * with stride = pad8(columns). Binds x [tokens, stride], weights [pad8(rows), stride] and out.
 */
export function matmul(shape: MatmulShape): Kernel<MatmulParameters> {
  const { rows, columns, type, variant } = shape
  const sizes = `const TOKENS = ${variant.tokens}u;\nconst ROWS = ${variant.rows}u;\nconst LANES = ${variant.lanes}u;\n`
  return {
    label: `matmul ${rows}x${columns} ${type} ${variant.kind}`,
    code: weightCode(type) + sizes + lanesCode,
    constants: { rows, stride: pad8(columns) },
    bindings: ["read", "read", "write"],
    parameters: (p) => [p.tokens, p.outStride, p.outOffset],
    grid: (p) => [ceilDiv(rows, variant.rows * variant.lanes), ceilDiv(p.tokens, variant.tokens), 1],
  }
}
