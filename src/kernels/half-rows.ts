import gateCode from "./half-rows-gate.wgsl"
import normCode from "./half-rows-norm.wgsl"
import plainCode from "./half-rows-plain.wgsl"
import code from "./half-rows.wgsl"
import halvesCode from "./halves.wgsl"
import { type Access, type Kernel, pad8, sizes } from "./kernel.ts"
import { partOf } from "./parts.ts"
import { normLanes } from "./rms-norm.ts"

/** Halves that a number is split into: 1 rounds it to 11 bits of significand, 2 keep 22. */
export type Parts = 1 | 2

/** What the rows are, computed on the way with the bits that a kernel of its own would give. */
export type RowsInput =
  /** x as it stands. Binds x f32 [tokens, pad8(columns)]. */
  | { readonly kind: "plain" }
  /** x's {@link rmsNorm}. Binds x f32 [tokens, pad8(columns)] and the norm's weight f32 [pad8(columns)]. */
  | { readonly kind: "norm"; readonly epsilon: number }
  /** silu(gate) * up, as {@link siluGate}. Binds gate and up side by side f32 [tokens, pad8(2 columns)]. */
  | { readonly kind: "gate" }

export interface HalfRowsOptions {
  readonly columns: number
  readonly parts: Parts
  readonly input: RowsInput
}

export interface HalfRowsParameters {
  readonly tokens: number
}

/**
 * Rows of activations as f16 for {@link matmulMatrix}, each scaled by a power of two of its own.
 *
 * Bindings: what {@link RowsInput} says, halves f16 [parts, tokens, pad8(columns)], undo f32 [tokens], by which products with the
 * row must be multiplied.
 */
export function halfRows({ columns, parts, input }: HalfRowsOptions): Kernel<HalfRowsParameters> {
  const { inputs, code: inputCode, constants } = inputOf(input, columns)
  const header = sizes({ LANES: normLanes(columns), PARTS: parts, INPUTS: inputs.length })
  return {
    label: `${input.kind === "plain" ? "rows" : input.kind} to f16 x ${parts}`,
    code: header + halvesCode + inputCode + code,
    constants,
    bindings: [...inputs, "write", "write"],
    parameters: ({ tokens }) => [tokens, pad8(columns)],
    grid: ({ tokens }) => [tokens, 1, 1],
  }
}

/** What an input brings to the kernel. */
interface InputCode {
  readonly inputs: readonly Access[]
  readonly code: string
  readonly constants: Kernel["constants"]
}

function inputOf(input: RowsInput, width: number): InputCode {
  if (input.kind === "plain") return { inputs: ["read"], code: plainCode, constants: {} }
  if (input.kind === "norm") {
    return { inputs: ["read", "read"], code: normCode, constants: { WIDTH: width, EPSILON: input.epsilon } }
  }
  const part = partOf(width)
  const constants = { WIDTH: width, STRIDE_IN: pad8(2 * width) }
  return { inputs: ["read"], code: part.code + gateCode + gateQuad(part.size), constants }
}

/** quad() of as many parts as it takes: WGSL has no function for types of any width. */
function gateQuad(size: number): string {
  const parts = Array.from({ length: 4 / size }, (_, i) => `gated(token, k * ${4 / size} + ${i})`)
  return `fn quad(token: u32, k: u32) -> vec4u { return bitcast<vec4u>(vec4f(${parts.join(", ")})); }\n`
}
