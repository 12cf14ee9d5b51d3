import type { Parts } from "../kernels/half-rows.ts"
import { InputError } from "./errors.ts"

/**
 * How matrices are multiplied: `f32` as they are stored, `matrix` by the adapter's matrix units with f16 inputs and f32 sums,
 * `matrix-exact` so too, each activation in two halves that keep 22 bits of it. By matrix units a token's bits depend on whether
 * fewer than 16, up to 128 or more tokens are multiplied together, never on what the others are: below 16 the f32 path reads the
 * weights in f16, up to 128 several workgroups share a sum. Sparse autoencoders are always multiplied in f32.
 */
export type MatmulMode = "f32" | "matrix" | "matrix-exact"

/**
 * What may be asked for. `auto` is `f32` today: the matrix path rounds its inputs, and neither its speed nor what the rounding
 * does to results has been measured on a GPU yet. It is to choose the matrix path on adapters where that was measured and good.
 */
export type MatmulChoice = "auto" | MatmulMode

const CHOICES: readonly string[] = ["auto", "f32", "matrix", "matrix-exact"]

export const partsOf: Readonly<Record<Exclude<MatmulMode, "f32">, Parts>> = { "matrix": 1, "matrix-exact": 2 }

/** @throws InputError for another word. */
export function parseMatmul(text: string, where = "matmul"): MatmulChoice {
  if (CHOICES.includes(text)) return text as MatmulChoice
  throw new InputError({ where, expected: "auto, f32, matrix or matrix-exact", found: `«${text}»`, todo: "choose one of them" })
}
