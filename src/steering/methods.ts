import { InputError } from "../engine/errors.ts"
import { changePoint } from "./change-point.ts"
import { findCrossing, type Crossing, defaultThreshold, type Point } from "./crossing.ts"
import { DEFAULT_METRIC, type MetricName, type Metrics, metrics } from "./metrics.ts"
import { mean } from "./numbers.ts"
import { bootstrap } from "./study.ts"

/** What is known at a coefficient, each prompt on its own: a curve's point as `findRedline` gives it. */
export interface MethodPoint {
  readonly coefficient: number
  readonly metricsByPrompt: readonly Metrics[]
  /** The steered model's mean teacher-forced loss on ordinary text, in nats per token: for `loss-bound`. */
  readonly textLoss?: number
}

/** A curve to pick from, ascending, with 0 in it. What `findRedline` returns is one. */
export interface MethodCurve {
  readonly curve: readonly MethodPoint[]
  /** The coefficient at which the vector is as long as the mean residual. */
  readonly unit: number
}

export interface Pick {
  /** The last coefficient evaluated before the crossing; null when there is none. */
  readonly max: number | null
  /** The first coefficient evaluated beyond it; null when there is none. */
  readonly crossing: number | null
  /** Where the method sees the crossing between the two; null where it does not say. */
  readonly interpolated: number | null
  /**
   * Where `max` may lie: its 95 % bootstrap interval over the prompts, with no crossing counting as the largest
   * coefficient; of a single prompt, or where prompts play no part, the evaluated neighbours of `max`.
   */
  readonly interval: readonly [low: number, high: number] | null
  readonly reason?: string
}

export interface MethodOptions {
  /** Watched by `alert`; {@link DEFAULT_METRIC} unless told. */
  readonly metric?: MetricName
  /** Of `alert`: how far the metric goes, as in `findCrossing`; the metric's own default unless told. */
  readonly fraction?: number
  /** Of `loss-bound`: the loss not to pass, in nats; 1 above the loss without steering unless told, as losses differ by model. */
  readonly bound?: number
  /** Of `iso-kl`: the divergence to reach, in nats; 1 unless told. */
  readonly divergence?: number
  /** Of `change-point`: the metrics that change together; nll and kl-p95 unless told. */
  readonly metrics?: readonly MetricName[]
}

/** A way to pick the largest useful coefficient. */
export interface Method {
  readonly name: MethodName
  readonly describe: string
  /** @throws InputError for a curve without 0 or without what the method looks at, NotFiniteError for a broken baseline */
  readonly pick: (curve: MethodCurve, options?: MethodOptions) => Pick
  /** The pick without its interval, which takes 2,000 samples. Throws as `pick` does. */
  readonly locate: (curve: MethodCurve, options?: MethodOptions) => Located
}

export type MethodName = "alert" | "loss-bound" | "iso-kl" | "change-point"

export type Located = Omit<Pick, "interval">

/** What a method sees of some prompts; the same prompt may stand several times. */
type Locate = (curve: MethodCurve, prompts: readonly number[], options: MethodOptions) => Located

const alert: Locate = (curve, prompts, { metric = DEFAULT_METRIC, fraction = defaultThreshold(metrics[metric]) }) => {
  const points = averaged(curve, prompts, metric)
  return located(findCrossing(points, baselineOf(points), fraction, metrics[metric]))
}

const lossBound: Locate = ({ curve }, _, { bound }) => {
  const points = curve.map(({ coefficient, textLoss }): Point => {
    if (textLoss !== undefined) return { coefficient, value: textLoss }
    throw new InputError({ where: `curve at ${coefficient}`, expected: "the loss on ordinary text", found: "none" })
  })
  const baseline = baselineOf(points)
  return located(findCrossing(points, baseline, bound === undefined ? 1 : bound - baseline, { direction: "rises", absolute: 1 }))
}

const isoKl: Locate = (curve, prompts, { divergence = 1 }) => {
  const points = averaged(curve, prompts, "kl-p95")
  const found = findCrossing(points, 0, divergence, metrics["kl-p95"])
  const at = (coefficient: number | null): Point | undefined => points.find((point) => point.coefficient === coefficient)
  const [below, above] = [at(found.max), at(found.crossing)]
  if (!below || !above || !Number.isFinite(above.value) || below.coefficient <= 0 || below.value <= 0) return located(found)
  // Divergences grow like a power of the coefficient, so the line is drawn between logarithms.
  const part = Math.log(divergence / below.value) / Math.log(above.value / below.value)
  return { ...located(found), interpolated: below.coefficient * (above.coefficient / below.coefficient) ** part }
}

const split: Locate = (curve, prompts, { metrics: names = ["nll", "kl-p95"] }) =>
  changePoint(names.map((name) => ({ points: averaged(curve, prompts, name), direction: metrics[name].direction })))

const all: readonly Method[] = [
  method("alert", "a metric passes a threshold relative to its baseline (ALERT)", alert),
  method("loss-bound", "the steered model's loss on ordinary text passes a bound (Chalnev, Siu, Conmy)", lossBound, false),
  method("iso-kl", "the 95th percentile of the tokens' KL(steered || unsteered) reaches 1 nat", isoKl),
  method("change-point", "the split in two levels that explains several metrics best", split),
]

/** Every method by its name. */
export const methods: Readonly<Record<MethodName, Method>> = Object.fromEntries(all.map((each) => [each.name, each])) as Record<
  MethodName,
  Method
>

function method(name: MethodName, describe: string, locate: Locate, byPrompt = true): Method {
  const promptsOf = ({ curve }: MethodCurve): number[] => (curve[0]?.metricsByPrompt ?? []).map((_, i) => i)
  return {
    name,
    describe,
    locate: (curve, options = {}) => locate(curve, promptsOf(curve), options),
    pick(curve, options = {}) {
      const prompts = promptsOf(curve)
      const found = locate(curve, prompts, options)
      return { ...found, interval: intervalOf(curve, found, byPrompt ? prompts : [], (some) => locate(curve, some, options)) }
    },
  }
}

function intervalOf(
  { curve }: MethodCurve,
  { max }: Located,
  prompts: readonly number[],
  locate: (prompts: readonly number[]) => Located,
): Pick["interval"] {
  if (max === null) return null
  const coefficients = curve.map(({ coefficient }) => coefficient).filter((c) => c >= 0)
  const last = coefficients.at(-1) as number
  if (prompts.length > 1) {
    const { low, high } = bootstrap(prompts, (some) => locate(some).max ?? last)
    return [low, high]
  }
  const index = coefficients.indexOf(max)
  return [coefficients[index - 1] ?? max, coefficients[index + 1] ?? max]
}

function located({ max, crossing, interpolated, reason }: Crossing): Located {
  return { max, crossing, interpolated, ...(reason && { reason }) }
}

function averaged({ curve }: MethodCurve, prompts: readonly number[], metric: MetricName): Point[] {
  return curve.map(({ coefficient, metricsByPrompt }) => {
    return { coefficient, value: mean(prompts.map((prompt) => (metricsByPrompt[prompt] as Metrics)[metric])) }
  })
}

function baselineOf(points: readonly Point[]): number {
  const zero = points.find(({ coefficient }) => coefficient === 0)
  if (zero) return zero.value
  throw new InputError({ where: "curve", expected: "a point at coefficient 0", found: "none" })
}
