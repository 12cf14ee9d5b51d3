import code from "./edit.wgsl"
import { ceilDiv, type Kernel } from "./kernel.ts"

export interface EditOptions {
  /** A WGSL expression of type f32; it may use x, row, position, head, index and the names of the tensors. */
  readonly expression: string
  /** The tensors' names in it, two at most. */
  readonly names: readonly string[]
}

/** Elements from one row, position, outer and inner index to the next; 0 repeats the tensor along that axis. */
export interface EditStrides {
  readonly row: number
  readonly position: number
  readonly outer: number
  readonly inner: number
}

export interface EditParameters {
  readonly tokens: number
  /** Values of a token, [width / inner, inner]. */
  readonly width: number
  readonly inner: number
  /** Floats from one token's row to the next, and where in it the values begin. */
  readonly stride: number
  readonly start: number
  /** Added to the batch's rows: the caller's row of the first. */
  readonly firstRow: number
  readonly tensors: readonly [EditStrides, EditStrides]
}

// Under a name of ours a tensor may be called «patch» or «mod», which WGSL reserves.
const PREFIX = "tensor_"
const ours = (name: string): string => PREFIX + name
const RETURN = "  return "

/** Where in an expression a place in the kernel's code lies; lines and columns count from 1. */
export function placeInExpression(
  { code: whole }: Kernel<never>,
  line: number,
  column: number,
): { line: number; column: number } {
  const before = (whole.split("\n")[line - 1] ?? "").slice(0, column - 1)
  const renamed = before.split(PREFIX).length - 1
  return { line: line - 1, column: column - renamed * PREFIX.length - (line === 2 ? RETURN.length : 0) }
}

/**
 * Sets each value x of an internal to the value of a WGSL expression, in place.
 *
 * Bindings: values f32 [tokens, stride], rows u32 [tokens], positions u32 [tokens], two tensors f32.
 */
export function edit({ expression, names }: EditOptions): Kernel<EditParameters> {
  const [a = "none0", b = "none1"] = names
  const body = expression.replace(/\b[A-Za-z_]\w*/g, (word) => (names.includes(word) ? ours(word) : word))
  const edited = `fn edited(x: f32, row: u32, position: u32, head: u32, index: u32, ${ours(a)}: f32, ${ours(b)}: f32) -> f32 {\n${RETURN}${body};\n}\n`
  return {
    label: `edit ${expression}`,
    code: edited + code,
    constants: {},
    bindings: ["write", "read", "read", "read", "read"],
    parameters: (p) => [
      p.tokens,
      p.width,
      p.inner,
      p.stride,
      p.start,
      p.firstRow,
      0,
      0,
      ...p.tensors.flatMap(({ row, position, outer, inner }) => [row, position, outer, inner]),
    ],
    grid: (p) => [ceilDiv(p.width, 64), p.tokens, 1],
  }
}
