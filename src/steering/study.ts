import { InputError } from "../engine/errors.ts"
import { mean, median } from "./numbers.ts"

/** How coherent the texts are at a coefficient: from 0, none of the sentences is possible, to 1, all are; null where nobody knows. */
export interface CoherencePoint {
  readonly coefficient: number
  readonly coherence: number | null
}

/** What a method picked for one topic, against the truth. */
export interface JudgedPick {
  readonly topic: string
  /** The method's maximum; the largest coefficient evaluated where it found no crossing. */
  readonly pick: number
  /** The last coherent coefficient. */
  readonly last: number
  /** pick - last, in steps of the grid; above 0 is babble let in, below 0 range given away. */
  readonly steps: number
  /** The same in units of the residual's length. */
  readonly units: number
  readonly coherent: boolean
  /** The share of the usable range, 0 to last, that lies above the pick. */
  readonly givenAway: number
}

/** A number over all topics with its 95 % bootstrap interval. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
}

/** A method over all topics. */
export interface MethodScore {
  readonly method: string
  readonly picks: readonly JudgedPick[]
  /** The share of picks that are coherent. */
  readonly coherent: Estimate
  /** The mean share of the usable range given away. */
  readonly givenAway: Estimate
  /** The median distance to the last coherent coefficient, in steps of the grid, without its sign. */
  readonly distance: Estimate
  /** The same in units of the residual's length. */
  readonly length: Estimate
}

/** The share of possible sentences from which on a coefficient counts as coherent, in the study's ground truth. */
export const COHERENT_SHARE = 0.75

/**
 * The last coherent coefficient: the largest such that it and all before it, from 0 upwards, have at least `share` of their
 * sentences possible. 0 when only the unsteered text is.
 * @param points in ascending order; those below 0 are passed over
 */
export function lastCoherent(points: readonly CoherencePoint[], share: number = COHERENT_SHARE): number {
  let last = 0
  for (const { coefficient, coherence } of points) {
    if (coefficient < 0) continue
    if (coherence === null || coherence < share) break
    last = coefficient
  }
  return last
}

export interface JudgeOptions {
  /** The coefficients evaluated, ascending. */
  readonly coefficients: readonly number[]
  readonly last: number
  /** The coefficient that makes the vector as long as the mean residual. */
  readonly unit: number
}

/** A pick against the truth; null stands for a method that found no crossing. */
export function judgePick(topic: string, max: number | null, { coefficients, last, unit }: JudgeOptions): JudgedPick {
  const pick = max ?? (coefficients.at(-1) as number)
  const step = meanStep(coefficients)
  return {
    topic,
    pick,
    last,
    steps: (pick - last) / step,
    units: (pick - last) / unit,
    coherent: pick <= last + 1e-9,
    givenAway: last > 0 ? Math.max(0, (last - pick) / last) : 0,
  }
}

function meanStep(coefficients: readonly number[]): number {
  const positive = coefficients.filter((c) => c >= 0)
  if (positive.length < 2)
    throw new InputError({ where: "coefficients", expected: "two or more from 0 on", found: `${positive.length}` })
  return ((positive.at(-1) as number) - (positive[0] as number)) / (positive.length - 1)
}

/** Sums a method's picks up over topics. Throws an InputError without any. */
export function scoreMethod(method: string, picks: readonly JudgedPick[]): MethodScore {
  if (picks.length === 0) throw new InputError({ where: "study", expected: "at least one topic", found: "none" })
  return {
    method,
    picks,
    coherent: bootstrap(
      picks.map(({ coherent }) => (coherent ? 1 : 0)),
      mean,
    ),
    givenAway: bootstrap(
      picks.map(({ givenAway }) => givenAway),
      mean,
    ),
    distance: bootstrap(
      picks.map(({ steps }) => Math.abs(steps)),
      median,
    ),
    length: bootstrap(
      picks.map(({ units }) => Math.abs(units)),
      median,
    ),
  }
}

const SAMPLES = 2000

/** A statistic of the values, and the 95 % interval of it over samples drawn from them with replacement (Efron 1979), seeded. */
export function bootstrap(values: readonly number[], statistic: (values: readonly number[]) => number, seed = 1): Estimate {
  const next = generator(seed)
  const estimates = Array.from({ length: SAMPLES }, () =>
    statistic(values.map(() => values[Math.floor(next() * values.length)] as number)),
  ).sort((a, b) => a - b)
  const at = (q: number): number => estimates[Math.round(q * (SAMPLES - 1))] as number
  return { value: statistic(values), low: at(0.025), high: at(0.975) }
}

/** Numbers in [0, 1) by Weyl's sequence and a 32-bit mix: the same for the same seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let x = state
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32
  }
}
