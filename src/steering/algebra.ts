import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"
import { namesModel, SteeringVector } from "./vector.ts"

/** A vector and what it is multiplied with. */
export type WeightedVector = readonly [vector: SteeringVector, weight: number]

/**
 * The weighted sum of vectors over the union of their layers: where a vector has no direction it counts as zero.
 *
 * Weights are f32, as coefficients are; sums are f64, rounded to f32 at the end. The metadata say what it was made from, and
 * name every model that the parts were made with; {@link warningsAmong} tells when those differ.
 *
 * @throws InputError for no vectors, differing widths, or a weight or sum that is not finite as f32
 * @example
 * const calmNotSad = combine([[calm, 1], [sad, -0.5]])
 */
export function combine(parts: readonly WeightedVector[]): SteeringVector {
  checkWidths(parts.map(([vector]) => vector))
  const sums = new Map<number, Float64Array>()
  for (const [vector, weight] of parts) {
    const factor = checkWeight(weight)
    for (const [layer, direction] of vector.directions) {
      const before = sums.get(layer)
      // The first is not added to zeros, which would turn its -0 into 0.
      const term = Float64Array.from(direction, (x) => x * factor)
      sums.set(layer, before === undefined ? term : before.map((x, i) => x + (term[i] as number)))
    }
  }
  const directions = [...sums].map(([layer, sum]) => [layer, Float32Array.from(sum)] as const)
  const createdFrom = parts.map(([vector, weight]) => `${weight} * (${nameOf(vector)})`).join(" + ")
  return new SteeringVector(directions, { modelHint: hintOf(parts), method: "combine", createdFrom }, "the sum of vectors")
}

/** a + b, as {@link combine}. */
export function add(a: SteeringVector, b: SteeringVector): SteeringVector {
  return combine([
    [a, 1],
    [b, 1],
  ])
}

/** a - b, as {@link combine}. */
export function subtract(a: SteeringVector, b: SteeringVector): SteeringVector {
  return combine([
    [a, 1],
    [b, -1],
  ])
}

/** -v, as {@link combine}. */
export function negate(vector: SteeringVector): SteeringVector {
  return scale(vector, -1)
}

/** factor · v, as {@link combine}: the vector that at coefficient 1 does what `vector` does at `factor`. */
export function scale(vector: SteeringVector, factor: number): SteeringVector {
  return combine([[vector, factor]])
}

/** v / divisor: {@link scale} by 1 / divisor. Throws an InputError for 0. */
export function divide(vector: SteeringVector, divisor: number): SteeringVector {
  if (divisor === 0) throw new InputError({ where: "divisor", expected: "another number than 0", found: "0" })
  return scale(vector, 1 / divisor)
}

/** What is odd, though not wrong, about combining these vectors: that they were made with models of different names. */
export function warningsAmong(vectors: readonly SteeringVector[]): string[] {
  const hints = modelsOf(vectors)
  if (hints.length <= 1) return []
  return [`the vectors were made with different models, ${hints.map(show).join(" and ")}: their sum may mean nothing`]
}

function modelsOf(vectors: readonly SteeringVector[]): string[] {
  return [...new Set(vectors.map(({ metadata }) => metadata.modelHint).filter(namesModel))]
}

function hintOf(parts: readonly WeightedVector[]): string {
  const vectors = parts.map(([vector]) => vector)
  return modelsOf(vectors).join(", ") || (vectors[0]?.metadata.modelHint ?? "unknown")
}

function checkWidths(vectors: readonly SteeringVector[]): void {
  const [first, ...others] = vectors
  if (first === undefined) throw new InputError({ where: "vectors", expected: "at least one", found: "none" })
  for (const [i, other] of others.entries()) {
    if (other.width === first.width) continue
    throw new InputError({
      where: `vector ${i + 2} of ${vectors.length} (${describe(other)})`,
      expected: `width ${first.width}, as vector 1 (${describe(first)}) has`,
      found: `${other.width}`,
      todo: "combine vectors of one model",
    })
  }
}

function checkWeight(weight: number): number {
  const factor = Math.fround(weight)
  if (Number.isFinite(factor)) return factor
  throw new InputError({ where: "weight", expected: "a number that fits an f32", found: `${weight}` })
}

function nameOf({ metadata }: SteeringVector): string {
  return metadata.createdFrom ?? metadata.method
}

function describe(vector: SteeringVector): string {
  return `model ${show(vector.metadata.modelHint)}, from ${show(nameOf(vector))}`
}
