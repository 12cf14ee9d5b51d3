import { InputError } from "../engine/errors.ts"
import type { Point } from "./crossing.ts"
import type { Metric } from "./metrics.ts"
import { mean } from "./numbers.ts"

/** A metric's curve, ascending. */
export interface Series {
  readonly points: readonly Point[]
  readonly direction: Metric["direction"]
}

/** The part of the curves' variance that a split must explain; of a straight line it explains three quarters, of noise little. */
const EXPLAINED = 0.5

/**
 * Where several metrics change level together: each curve from 0 on is scaled to lie between 0 and 1, turned so that it
 * rises, and the split into two constant levels is sought that leaves the smallest sum of squares over all curves (least
 * squares with one change). `max` is the last coefficient of the first level, `crossing` the first of the second. A curve
 * that is no number somewhere has its largest value there. No crossing where the split explains less than half of the
 * variance or the level falls.
 *
 * @throws InputError without a curve, or with fewer than three points from 0 on
 */
export function changePoint(series: readonly Series[]): {
  max: number | null
  crossing: number | null
  interpolated: null
  reason?: string
} {
  const curves = series.map(({ points, direction }) => ({ points: points.filter((p) => p.coefficient >= 0), direction }))
  const coefficients = (curves[0]?.points ?? []).map(({ coefficient }) => coefficient)
  if (coefficients.length < 3) {
    throw new InputError({ where: "curve", expected: "three or more coefficients from 0 on", found: `${coefficients.length}` })
  }
  const scaled = curves.map(({ points, direction }) =>
    scale(
      points.map(({ value }) => value),
      direction,
    ),
  )
  const left = (at: number): number => sum(scaled.map((curve) => squares(curve.slice(0, at)) + squares(curve.slice(at))))
  const splits = coefficients.map((_, i) => i).slice(1)
  const best = splits.reduce((a, b) => (left(b) < left(a) ? b : a))
  const total = sum(scaled.map(squares))
  const step = sum(scaled.map((curve) => mean(curve.slice(best)) - mean(curve.slice(0, best))))
  if (total === 0 || step <= 0 || left(best) > (1 - EXPLAINED) * total) {
    return { max: null, crossing: null, interpolated: null, reason: "the metrics do not change from one level to another" }
  }
  return { max: coefficients[best - 1] as number, crossing: coefficients[best] as number, interpolated: null }
}

function scale(values: readonly number[], direction: Metric["direction"]): number[] {
  const turned = values.map((value) => (direction === "rises" ? value : -value))
  const finite = turned.filter(Number.isFinite)
  const [low, high] = [Math.min(...finite), Math.max(...finite)]
  return turned.map((value) => {
    if (!Number.isFinite(value)) return 1
    return high > low ? (value - low) / (high - low) : 0
  })
}

function squares(values: readonly number[]): number {
  const middle = mean(values)
  return sum(values.map((value) => (value - middle) ** 2))
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
