import { InputError } from "../engine/errors.ts"
import { checkCoefficients } from "./coefficients.ts"
import { defaultThreshold, findCrossing, type Crossing } from "./crossing.ts"
import { DEFAULT_METRIC, type MetricName, metrics } from "./metrics.ts"
import { mean } from "./numbers.ts"
import type { Evaluate, Evaluation } from "./search.ts"

export interface CoarseThenFineOptions {
  /** The full grid, ascending, from 0 or above; 0 is always evaluated. */
  readonly coefficients: readonly number[]
  /** The coarse grid takes every `step`-th of it, and its last. */
  readonly step: number
  /** {@link DEFAULT_METRIC} unless told. */
  readonly metric?: MetricName
  /** As in `searchCoefficients`. */
  readonly fraction?: number
  readonly signal?: AbortSignal
}

export interface CoarseThenFine<E extends Evaluation = Evaluation> extends Crossing {
  /** What was evaluated, ascending. */
  readonly curve: readonly E[]
}

/**
 * Searches a grid in two batches: every `step`-th coefficient, then those of the grid between the first coarse one beyond
 * the threshold and the one before it. Misses a crossing that a coarse step jumps over because the metric falls back.
 * @throws InputError for a grid that does not ascend from 0 or above, or a step that is not a whole number above 1
 */
export async function coarseThenFine<E extends Evaluation>(
  evaluate: Evaluate<E>,
  { coefficients, step, metric = DEFAULT_METRIC, fraction = defaultThreshold(metrics[metric]), signal }: CoarseThenFineOptions,
): Promise<CoarseThenFine<E>> {
  const grid = gridOf(coefficients, step)
  const known: E[] = []
  const extend = async (batch: readonly number[]): Promise<Crossing> => {
    signal?.throwIfAborted()
    if (batch.length > 0) known.push(...(await evaluate(batch, { onPoints: () => {}, ...(signal && { signal }) })))
    known.sort((a, b) => a.coefficient - b.coefficient)
    return crossingOf(known, metric, fraction)
  }
  const coarse = await extend(coarseOf(grid, step))
  return { ...(await extend(betweenOf(grid, coarse))), curve: known }
}

export interface Replay {
  /** Whether the two-batch search finds the full grid's crossing. */
  readonly agrees: boolean
  readonly full: Crossing
  readonly replayed: Crossing
  /** How many points the search evaluates, of how many the full grid has. */
  readonly evaluated: number
  readonly total: number
}

/**
 * What {@link coarseThenFine} finds on a curve that is known in full: its points from 0 on are the grid.
 * @throws InputError for a step that is not a whole number above 1, or a curve that does not begin at 0
 */
export function replayCoarseThenFine(
  curve: readonly Evaluation[],
  step: number,
  options: { readonly metric?: MetricName; readonly fraction?: number } = {},
): Replay {
  const { metric = DEFAULT_METRIC, fraction = defaultThreshold(metrics[metric]) } = options
  const points = curve.filter(({ coefficient }) => coefficient >= 0)
  if (points[0]?.coefficient !== 0) {
    throw new InputError({ where: "curve", expected: "a point at coefficient 0", found: "none" })
  }
  const grid = gridOf(
    points.map(({ coefficient }) => coefficient),
    step,
  )
  const found = (some: readonly number[]): Crossing =>
    crossingOf(
      points.filter(({ coefficient }) => some.includes(coefficient)),
      metric,
      fraction,
    )
  const first = coarseOf(grid, step)
  const asked = [...first, ...betweenOf(grid, found(first))]
  const [full, replayed] = [found(grid), found(asked)]
  return { agrees: full.crossing === replayed.crossing, full, replayed, evaluated: asked.length, total: grid.length }
}

/** How a two-batch search does on curves that are known in full. */
export interface ReplayScore {
  readonly step: number
  /** The share of curves on which it finds the full grid's crossing. */
  readonly agrees: number
  /** The mean number of points that it evaluates, of how many the grid has. */
  readonly evaluated: number
  readonly total: number
}

/** {@link replayCoarseThenFine} over several curves, for steps of 2, 3, 4 and 6 of the grid that fit it. */
export function replayAll(
  curves: readonly (readonly Evaluation[])[],
  options: { readonly metric?: MetricName } = {},
): ReplayScore[] {
  const shortest = Math.min(...curves.map((curve) => curve.length))
  return [2, 3, 4, 6]
    .filter((step) => step < shortest)
    .map((step) => {
      const replays = curves.map((curve) => replayCoarseThenFine(curve, step, options))
      const agrees = mean(replays.map((replay) => (replay.agrees ? 1 : 0)))
      return { step, agrees, evaluated: mean(replays.map(({ evaluated }) => evaluated)), total: replays[0]?.total ?? 0 }
    })
}

function gridOf(coefficients: readonly number[], step: number): number[] {
  checkCoefficients(coefficients)
  const [first = 0] = coefficients
  if (first < 0) throw new InputError({ where: "coefficients", expected: "none below 0", found: `${first}` })
  if (!(Number.isInteger(step) && step > 1)) {
    throw new InputError({ where: "step", expected: "a whole number above 1", found: `${step}` })
  }
  return [0, ...coefficients.filter((c) => c > 0)]
}

const coarseOf = (grid: readonly number[], step: number): number[] =>
  grid.filter((_, i) => i % step === 0 || i === grid.length - 1)

function betweenOf(grid: readonly number[], { max, crossing }: Crossing): number[] {
  return max === null || crossing === null ? [] : grid.filter((c) => c > max && c < crossing)
}

function crossingOf(points: readonly Evaluation[], metric: MetricName, fraction: number): Crossing {
  const values = points.map((point) => ({ coefficient: point.coefficient, value: point.metrics[metric] }))
  const baseline = values.find(({ coefficient }) => coefficient === 0)
  if (!baseline) throw new TypeError("evaluate gave no evaluation for the coefficient 0")
  return findCrossing(values, baseline.value, fraction, metrics[metric])
}
