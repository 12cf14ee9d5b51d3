import code from "./half-rows.wgsl"
import halvesCode from "./halves.wgsl"
import { pad8, type Kernel } from "./kernel.ts"

/** Halves that a number is split into: 1 rounds it to 11 bits of significand, 2 keep 22. */
export type Parts = 1 | 2

export interface HalfRowsOptions {
  readonly columns: number
  readonly parts: Parts
  /** Lanes that share a row: a power of two. */
  readonly lanes: number
}

export interface HalfRowsParameters {
  readonly tokens: number
}

/**
 * Rows of activations as f16 for {@link matmulMatrix}, each scaled by a power of two of its own.
 *
 * Bindings: x f32 [tokens, pad8(columns)], halves f16 [parts, tokens, pad8(columns)], undo f32 [tokens], by which products with
 * the row must be multiplied.
 */
export function halfRows({ columns, parts, lanes }: HalfRowsOptions): Kernel<HalfRowsParameters> {
  return {
    label: `rows to f16 x ${parts}`,
    code: `const LANES = ${lanes}u;\nconst PARTS = ${parts}u;\n${halvesCode}${code}`,
    constants: {},
    bindings: ["read", "write", "write"],
    parameters: ({ tokens }) => [tokens, pad8(columns)],
    grid: ({ tokens }) => [tokens, 1, 1],
  }
}
