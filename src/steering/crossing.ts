import { InputError, NotFiniteError } from "../engine/errors.ts"
import type { Metric } from "./metrics.ts"

/** A point of the curve: the metric at a coefficient. */
export interface Point {
  readonly coefficient: number
  readonly value: number
}

/** Which way a metric crosses its threshold, and whether its distance is relative; a {@link Metric} is one. */
export type Rule = Pick<Metric, "direction" | "absolute">

const RISES: Rule = { direction: "rises" }

/** Where a metric leaves its baseline behind. Coefficients are in the vector's own units. */
export interface Crossing {
  /** The metric at which the text counts as broken. */
  readonly threshold: number
  /** The first positive coefficient at which the metric has reached the threshold; null when there is none. */
  readonly crossing: number | null
  /** The last coefficient before the crossing, 0 when the first positive one crosses; null when none crosses. */
  readonly max: number | null
  /** Where the line from `max` to `crossing` meets the threshold; null without a crossing or with an infinite metric. */
  readonly interpolated: number | null
  /** Why there is no crossing, or no positive coefficient below it. */
  readonly reason?: string
}

/** The fraction of the baseline by which a metric must change, or its own absolute distance, unless told. */
export const defaultThreshold = ({ absolute }: Pick<Metric, "absolute">): number => absolute ?? 0.2

/**
 * The metric at which a text counts as broken: away from the baseline in the metric's direction by `fraction` of the
 * baseline's absolute value; by `fraction` itself, in the metric's units, where the rule is absolute.
 *
 * @throws InputError for a fraction that is not above 0, NotFiniteError for a baseline that is no number
 */
export function thresholdOf(baseline: number, fraction: number, { direction, absolute }: Rule = RISES): number {
  if (!(fraction > 0 && fraction < Infinity)) {
    throw new InputError({ where: "threshold", expected: "a number above 0, such as 0.2", found: `${fraction}` })
  }
  if (!Number.isFinite(baseline))
    throw new NotFiniteError(`the metric at coefficient 0 is ${baseline}: the model itself is broken`)
  const distance = absolute === undefined ? fraction * Math.abs(baseline) : fraction
  return direction === "rises" ? baseline + distance : baseline - distance
}

/** Whether there is a threshold: a fraction of a baseline of 0 is none. */
export const hasThreshold = ({ baseline, threshold }: { readonly baseline: number; readonly threshold: number }): boolean =>
  threshold !== baseline

/**
 * The first crossing of a curve, walking from 0 in the direction of positive coefficients (ALERT, step 4). A metric that
 * is not finite has crossed. Later points do not matter: a metric may fall again once repetition is predictable. A fraction of a
 * baseline of 0 is no threshold: nothing crosses it.
 *
 * @param curve in ascending order of coefficients; those below 0 and at 0 are passed over
 * @param baseline the metric at 0
 * @param fraction of the baseline, or the distance itself where the rule is absolute
 * @param rule rising and relative unless told; the metric itself does
 */
export function findCrossing(curve: readonly Point[], baseline: number, fraction: number, rule: Rule = RISES): Crossing {
  const threshold = thresholdOf(baseline, fraction, rule)
  const away = rule.direction === "rises" ? (a: number, b: number): number => a - b : (a: number, b: number): number => b - a
  const none = !hasThreshold({ baseline, threshold })
  const crossed = ({ value }: Point): boolean => !Number.isFinite(value) || (!none && away(value, threshold) >= 0)
  const walked = [{ coefficient: 0, value: baseline }, ...curve.filter((point) => point.coefficient > 0)]
  const index = walked.findIndex((point, i) => i > 0 && crossed(point))
  if (index < 0) {
    const reason = none ? NO_THRESHOLD : whyNone(walked, threshold, rule)
    return { threshold, crossing: null, max: null, interpolated: null, reason }
  }

  const above = walked[index] as Point
  const below = walked[index - 1] as Point
  const found = {
    threshold,
    crossing: above.coefficient,
    max: below.coefficient,
    interpolated: interpolate(below, above, threshold),
  }
  if (index > 1) return found
  return { ...found, reason: `the metric crosses at once, at ${above.coefficient}, the smallest positive coefficient evaluated` }
}

/** Said of a baseline of 0 whose threshold is a fraction of it. */
const NO_THRESHOLD =
  "the metric is 0 at coefficient 0, and a fraction of 0 is no threshold; watch improbable or kl-p95, whose thresholds are " +
  "absolute, or generate more tokens"

function whyNone(walked: readonly Point[], threshold: number, { direction }: Rule): string {
  if (walked.length === 1) return "no positive coefficient was evaluated"
  const last = walked.at(-1) as Point
  const side = direction === "rises" ? "below" : "above"
  const limit = Number(threshold.toPrecision(4))
  return `the metric stays ${side} its threshold ${limit} up to ${last.coefficient}, the largest coefficient evaluated`
}

function interpolate(below: Point, above: Point, threshold: number): number | null {
  if (!Number.isFinite(above.value)) return null
  const part = (threshold - below.value) / (above.value - below.value)
  return below.coefficient + part * (above.coefficient - below.coefficient)
}
