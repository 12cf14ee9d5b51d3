import { InputError } from "../engine/errors.ts"
import { checkCoefficients, type Coefficients } from "./coefficients.ts"
import { defaultThreshold, findCrossing, thresholdOf, type Crossing } from "./crossing.ts"
import { type MetricName, type Metrics, metrics } from "./metrics.ts"

/** What is known at one coefficient. The caller's own fields (completions, texts) pass through the search untouched. */
export interface Evaluation {
  readonly coefficient: number
  readonly metrics: Metrics
}

export interface EvaluateContext<E extends Evaluation> {
  readonly signal?: AbortSignal
  /** Hands over points as soon as they are known, so that a stopped search keeps them; calling it is optional. */
  readonly onPoints: (points: readonly E[]) => void
}

/**
 * Generates and scores at each of the coefficients, best as the rows of one batch; gives one evaluation for each.
 * When the signal aborts, it rejects with the signal's reason.
 */
export type Evaluate<E extends Evaluation> = (
  coefficients: readonly number[],
  context: EvaluateContext<E>,
) => Promise<readonly E[]>

export interface SearchOptions<E extends Evaluation = Evaluation> {
  readonly coefficients: Coefficients
  /** The metric whose crossing is searched. */
  readonly metric: MetricName
  /**
   * How far the metric must go from its baseline in its direction, as a fraction of it, 0.2 unless told; where the metric
   * has an `absolute` threshold, in its own units, that threshold unless told.
   */
  readonly fraction?: number
  /**
   * For "auto": the coefficient at which the vector is as long as the mean residual of its layer; 1 unless told.
   * The search runs from 1/16 of it to 8 times it.
   */
  readonly unit?: number
  readonly signal?: AbortSignal
  /** Called with new points: how many are done, how many have been asked for so far ("auto" asks in batches). */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number; readonly points: readonly E[] }) => void
}

export interface SearchResult<E extends Evaluation = Evaluation> extends Crossing {
  /** The metric at 0. */
  readonly baseline: number
  /** Every point evaluated, the one at 0 included, in ascending order of coefficients, each once. */
  readonly curve: readonly E[]
  /** Whether the search was aborted: the rest of the result is then what was known. */
  readonly stopped: boolean
}

/** "auto" never adds a vector longer than this many mean residuals. */
export const AUTO_CAP = 8

/** "auto" looks at these multiples of the unit first, a batch at a time, until the metric crosses: steps of √2 from 1/16. */
const BRACKET_BATCHES: readonly (readonly number[])[] = [
  Array.from({ length: 8 }, (_, k) => 2 ** (k / 2 - 4)),
  Array.from({ length: 7 }, (_, k) => 2 ** (k / 2)),
]
/** A refinement divides the bracket into 8. */
const REFINE_STEPS = 8
/** Refinement ends when the bracket is no wider than this part of the crossing, or after {@link REFINE_BATCHES}. */
const RESOLUTION = 1 / 16
const REFINE_BATCHES = 3

/**
 * Finds the coefficient at which a metric leaves its baseline (ALERT, steps 2 to 4).
 *
 * Given coefficients are evaluated in one call, 0 before them. "auto" evaluates 0 and 8 more (1/16 to 0.7 units), if need
 * be another 7 (1 to 8 units), then 7 between the last before the threshold and the first beyond: 16 or 23 evaluations
 * in two or three batches, and a crossing known to 1/16 of itself. A crossing below the first multiple takes up to two
 * batches of 7 more. A crossing narrower than a step of √2 that falls back again can be missed.
 *
 * Aborted once the baseline is known, it gives what is known, with `stopped`.
 *
 * @throws InputError for coefficients not ascending, a unit or fraction not above 0; NotFiniteError when the metric at 0
 * is no number; the signal's reason when aborted before the baseline is known; whatever `evaluate` throws
 */
export async function searchCoefficients<E extends Evaluation>(
  evaluate: Evaluate<E>,
  options: SearchOptions<E>,
): Promise<SearchResult<E>> {
  const rule = metrics[options.metric]
  const fraction = options.fraction ?? defaultThreshold(rule)
  thresholdOf(1, fraction) // refuses a bad fraction before any work
  const plan = options.coefficients === "auto" ? autoPlan(options.unit ?? 1) : givenPlan(options.coefficients)
  const curve = new Curve(evaluate, options)
  const crossing = (): Crossing => findCrossing(curve.points(), curve.baseline, fraction, rule)

  let stopped = false
  try {
    for (let batch = plan(null); batch.length > 0; batch = plan(crossing())) await curve.extend(batch)
  } catch (error) {
    if (!isAbort(error, options.signal) || !curve.hasBaseline) throw error
    stopped = true
  }
  const found = crossing()
  const reasons = [stopped ? `stopped after ${curve.done} of ${curve.total} coefficients` : undefined, found.reason]
  const reason = reasons.filter((text) => text !== undefined).join("; ")
  return { baseline: curve.baseline, ...found, ...(reason && { reason }), curve: curve.evaluations(), stopped }
}

/** The next coefficients to evaluate, given what the last ones showed; none when the search is over. */
type Plan = (found: Crossing | null) => readonly number[]

function givenPlan(coefficients: readonly number[]): Plan {
  checkCoefficients(coefficients)
  // Should the search be stopped half-way, the baseline and the side of the crossing are known first.
  const batch = [0, ...coefficients.filter((c) => c > 0), ...coefficients.filter((c) => c < 0)]
  return (found) => (found === null ? batch : [])
}

function autoPlan(unit: number): Plan {
  if (!(unit > 0 && unit < Infinity)) {
    throw new InputError({ where: "unit", expected: "a coefficient above 0", found: `${unit}`, todo: "give the coefficients" })
  }
  const brackets = BRACKET_BATCHES.map((batch) => batch.map((multiple) => tidy(multiple * unit)))
  let bracketed = 0
  let refined = 0
  return (found) => {
    if (found === null || found.crossing === null) {
      const batch = brackets[bracketed++] ?? []
      return found === null ? [0, ...batch] : batch
    }
    const low = found.max ?? 0
    const width = found.crossing - low
    if (width <= RESOLUTION * found.crossing || refined++ === REFINE_BATCHES) return []
    return Array.from({ length: REFINE_STEPS - 1 }, (_, i) => tidy(low + ((i + 1) * width) / REFINE_STEPS))
  }
}

/** Four digits: legible, and finer than any refinement. */
const tidy = (coefficient: number): number => Number(coefficient.toPrecision(4))

/** The points known so far, and how many were asked for. */
class Curve<E extends Evaluation> {
  readonly #evaluate: Evaluate<E>
  readonly #options: SearchOptions<E>
  readonly #known = new Map<number, E>()
  total = 0

  constructor(evaluate: Evaluate<E>, options: SearchOptions<E>) {
    this.#evaluate = evaluate
    this.#options = options
  }

  get done(): number {
    return this.#known.size
  }

  get hasBaseline(): boolean {
    return this.#known.has(0)
  }

  get baseline(): number {
    return this.#value(this.#known.get(0) as E)
  }

  evaluations(): E[] {
    return [...this.#known.values()].sort((a, b) => a.coefficient - b.coefficient)
  }

  points(): { coefficient: number; value: number }[] {
    return this.evaluations().map((e) => ({ coefficient: e.coefficient, value: this.#value(e) }))
  }

  async extend(coefficients: readonly number[]): Promise<void> {
    const { signal } = this.#options
    this.total += coefficients.length
    signal?.throwIfAborted()
    const onPoints = (points: readonly E[]): void => this.#add(points)
    onPoints(await this.#evaluate(coefficients, { onPoints, ...(signal && { signal }) }))
    const missing = coefficients.filter((c) => !this.#known.has(c))
    if (missing.length > 0) throw new TypeError(`evaluate gave no evaluation for the coefficients ${missing.join(", ")}`)
  }

  #add(points: readonly E[]): void {
    const fresh = points.filter((point) => !this.#known.has(point.coefficient))
    if (fresh.length === 0) return
    for (const point of fresh) this.#known.set(point.coefficient, point)
    this.#options.onProgress?.({ done: this.done, total: this.total, points: fresh })
  }

  #value(evaluation: E): number {
    return evaluation.metrics[this.#options.metric]
  }
}

function isAbort(error: unknown, signal: AbortSignal | undefined): boolean {
  if (signal?.aborted === true && error === signal.reason) return true
  return error instanceof Error && error.name === "AbortError"
}
