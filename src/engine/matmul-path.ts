import type { MatrixUnit } from "../kernels/matmul-matrix.ts"
import type { Device } from "./device.ts"
import { InputError } from "./errors.ts"
import type { HalfCounts } from "./half-chunk.ts"
import { type MatmulChoice, type MatmulMode, parseMatmul } from "./matmul-choice.ts"
import { probeMatrix } from "./matrix-probe.ts"
import { unitName } from "./matrix-unit.ts"

export interface MatmulOptions {
  /** How matrices are multiplied; as the device was opened unless told. */
  readonly matmul?: MatmulChoice | undefined
}

/** How a model's matrices are multiplied on a device, and why it is not otherwise. */
export type MatmulPath =
  | { readonly mode: "f32"; readonly reason?: string }
  | { readonly mode: Exclude<MatmulMode, "f32">; readonly unit: MatrixUnit }

/** What a model's results owe to how its matrices are multiplied. */
export interface Precision {
  readonly matmul: MatmulMode
  /** Why it is f32, where that was left open. */
  readonly reason?: string
  /** The matrix unit's size, tokens x rows x columns. */
  readonly unit?: string
  /** Weights in f16, each tensor scaled by a power of two, and how many lost bits by it. */
  readonly weights?: HalfCounts
}

const UNMEASURED = "auto does not take matrix units before they are measured on a GPU"

/**
 * The path for what is wanted, as the device was opened unless told. Matrix units are tried before they are taken.
 * @throws InputError when they are wanted and not there, or wrong
 */
export async function matmulPath(device: Device, wanted: MatmulChoice | undefined, where = "matmul"): Promise<MatmulPath> {
  const choice = parseMatmul(wanted ?? device.matmul, where)
  if (choice === "f32") return { mode: "f32" }
  if (choice === "auto") return { mode: "f32", reason: UNMEASURED }
  const support = await probeMatrix(device, choice)
  if ("unit" in support) return { mode: choice, unit: support.unit }
  const expected = `matrix units that multiply f16 to f32, for ${choice}`
  throw new InputError({ where, expected, found: support.reason, todo: "use f32, or another adapter" })
}

export function precisionOf(path: MatmulPath, halves: HalfCounts | undefined): Precision {
  if (path.mode !== "f32") return { matmul: path.mode, unit: unitName(path.unit), ...(halves && { weights: halves }) }
  return { matmul: "f32", ...(path.reason !== undefined && { reason: path.reason }) }
}

/** What a user should know of it, a line each. */
export function precisionWarnings({ matmul, unit, weights }: Precision): string[] {
  if (matmul === "f32") return []
  const how = matmul === "matrix" ? "activations rounded to f16" : "activations in two halves of f16"
  const lines = [`matrices are multiplied by matrix units of ${unit}, sums in f32: weights in f16, ${how}`]
  const { values = 0, underflowed = 0, rounded = 0 } = weights ?? {}
  if (underflowed > 0) lines.push(`${underflowed} of ${values} weights are too small for f16 beside their tensor's largest`)
  if (rounded > 0) lines.push(`${rounded} of ${values} weights were rounded to f16`)
  return lines
}

/** How a device multiplies matrices, and what became of its matrix units when they were tried. */
export interface MatmulFacts {
  readonly mode: MatmulMode
  /** Why it is f32, where that was left open. */
  readonly reason?: string
  /** The size of the matrix unit, tokens x rows x columns; null where there is none that computes right. */
  readonly unit: string | null
  /** Why there is none. */
  readonly without?: string
}

/** Tries the device's matrix units. @throws InputError as {@link matmulPath} */
export async function describeMatmul(device: Device): Promise<MatmulFacts> {
  const path = await matmulPath(device, undefined)
  const { matmul: mode, reason } = precisionOf(path, undefined)
  const support = await probeMatrix(device, mode === "f32" ? "matrix" : mode)
  const found = "unit" in support ? { unit: unitName(support.unit) } : { unit: null, without: support.reason }
  return { mode, ...(reason !== undefined && { reason }), ...found }
}
