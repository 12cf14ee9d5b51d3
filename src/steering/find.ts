import { InputError } from "../engine/errors.ts"
import type { JudgedCompletion } from "../engine/judge.ts"
import type { Model, Prompt } from "../engine/model.ts"
import type { TokenScores } from "../engine/score.ts"
import type { Steering } from "../engine/steer.ts"
import type { Coefficients } from "./coefficients.ts"
import { defaultThreshold } from "./crossing.ts"
import { checkEvaluator } from "./evaluator.ts"
import { computeMetrics, DEFAULT_METRIC, meanMetrics, type MetricName, type Metrics, metrics } from "./metrics.ts"
import { minimumCoefficient } from "./minimum.ts"
import { recorded } from "./record.ts"
import { residualUnit } from "./residual-unit.ts"
import { type Evaluate, type EvaluateContext, searchCoefficients, type SearchResult } from "./search.ts"
import type { SteeringVector } from "./vector.ts"

/** A prompt's ids, and the text that is shown for them: of a chat, the user's message alone. */
export interface EncodedPrompt {
  readonly text: string | undefined
  readonly ids: readonly number[]
  /** Whether the text is a message that the completion answers, rather than its beginning. */
  readonly chat?: boolean
}

/** A prompt of a search: as {@link Model.encode} takes it, or with its ids already. */
export type FindPrompt = Prompt | EncodedPrompt

export interface FindOptions {
  /** The prompts that the metric is averaged over; `prompt` is one alone. */
  readonly prompts?: readonly FindPrompt[]
  readonly prompt?: FindPrompt
  /** Coefficients in ascending order, or "auto" (the default). */
  readonly coefficients?: Coefficients
  /** Layers to steer at; all of the vector's unless told. */
  readonly layers?: readonly number[]
  /** New tokens of a completion; 32 unless told. Curves sharpen from about 12. */
  readonly tokens?: number
  /** Hugging Face's repetition penalty while generating; 1.1 unless told. */
  readonly repetitionPenalty?: number
  /** 0, which is greedy, unless told. Above it the texts are drawn, and the curve is noisy (ALERT's report: 0.5 is). */
  readonly temperature?: number
  /** Of the drawing, 0 unless told; the coefficient-th of a list draws with other numbers than the one before it. */
  readonly seed?: number
  /**
   * The model whose log-probs without steering judge the texts, where it is not the one that writes them (a base model for an
   * instruct model's, or the other way); it must have the same tokens. Divergences stay those of the writing model.
   */
  readonly evaluator?: Model
  /**
   * How far the metric is from its baseline at the redline, in its direction: as a fraction of the baseline, 0.2 unless
   * told; for metrics whose baseline is about 0 (`improbable`, `kl-p50`, `kl-p95`) in their own units, their `absolute` unless
   * told.
   */
  readonly threshold?: number
  /** The metric that is watched; `improbable` unless told, the ALERT report watches `nll`. */
  readonly metric?: MetricName
  /** Points that an earlier search of the same settings left, and where new ones are kept as they come. */
  readonly record?: { readonly known: readonly CurvePoint[]; append(points: readonly CurvePoint[]): void }
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: FindProgress) => void
}

export interface FindProgress {
  readonly stage: "searching"
  /** Coefficients that are done, of those asked for so far. */
  readonly done: number
  readonly total: number
  /** How far the batch that runs is, from 0 to 1. */
  readonly batch: number
}

/** A completion at one coefficient and what the unsteered model says of it. */
export interface ScoredCompletion {
  /** New ids alone. */
  readonly ids: readonly number[]
  /** Of each id, by the unsteered model, in nats. */
  readonly logprobs: readonly number[]
  /** Undefined without a tokenizer. */
  readonly text: string | undefined
}

export interface CurvePoint {
  readonly coefficient: number
  /** The watched metric, the mean over prompts. */
  readonly metric: number
  /** The means over prompts. */
  readonly metrics: Metrics
  /** In the prompts' order, for a spread. */
  readonly metricsByPrompt: readonly Metrics[]
  /** In the prompts' order. */
  readonly completions: readonly ScoredCompletion[]
}

export interface FoundRedline extends SearchResult<CurvePoint> {
  readonly prompts: readonly EncodedPrompt[]
  readonly layers: readonly number[]
  readonly settings: FindSettings
  /** The smallest coefficient at which the vector has taken hold, see {@link minimumCoefficient}; null when none did. */
  readonly minimum: number | null
  /** The coefficient at which the vector is as long as the mean residual, averaged over the layers. */
  readonly unit: number
}

export interface FindSettings {
  readonly coefficients: Coefficients
  readonly tokens: number
  readonly repetitionPenalty: number
  readonly temperature: number
  readonly seed: number
  readonly threshold: number
  readonly metric: MetricName
}

/**
 * Finds the redline of a steering vector by ALERT (Loeffler, «Automatically Choosing Maximum Coefficients for Steering
 * Vectors via ALERT»): generates greedily at every coefficient, all of them and all prompts as rows of one batch, scores
 * the completions with the unsteered model, and looks for the first coefficient at which the metric has risen by the
 * threshold over its baseline at 0.
 *
 * @returns `max`, the last coefficient below the crossing, the crossing itself and the whole curve with its texts; `max`
 * and `crossing` are null with a `reason` when the curve never crosses. Aborted, it returns what is known by then.
 * @throws InputError for prompts, coefficients, layers or a vector that do not fit the model
 * @example
 * const found = await findRedline(model, vector, { prompt: "I am talking about" })
 */
export async function findRedline(model: Model, vector: SteeringVector, options: FindOptions = {}): Promise<FoundRedline> {
  const settings = findSettings(options)
  const chosen = options.layers ? vector.select(options.layers) : vector
  chosen.checkAgainst(model.config)
  const prompts = encodePrompts(model, options, settings.tokens)
  const promptIds = prompts.map(({ ids }) => ids)
  if (options.evaluator) checkEvaluator(options.evaluator, model, promptIds, settings.tokens)
  const unit = await residualUnit(model, chosen, promptIds)
  const { signal, onProgress } = options
  let progress: FindProgress = { stage: "searching", done: 0, total: 0, batch: 0 }
  const report = (news: Partial<FindProgress>): void => {
    progress = { ...progress, ...news }
    onProgress?.(progress)
  }
  const sweep = new Sweep(model, options.evaluator, chosen, promptIds, settings, (batch) => report({ batch }))
  const evaluate: Evaluate<CurvePoint> = (coefficients, context) => {
    report({ total: progress.done + coefficients.length, batch: 0 })
    return sweep.evaluate(coefficients, context)
  }
  const found = await searchCoefficients<CurvePoint>(options.record ? recorded(evaluate, options.record) : evaluate, {
    coefficients: settings.coefficients,
    metric: settings.metric,
    fraction: settings.threshold,
    unit,
    ...(signal && { signal }),
    onProgress: ({ done, total }) => report({ done, total, batch: 0 }),
  })
  return { ...found, prompts, layers: chosen.layers, settings, minimum: minimumCoefficient(found.curve), unit }
}

/** The settings of a search, with the defaults for what was not told. */
export function findSettings(options: Pick<FindOptions, keyof FindSettings>): FindSettings {
  const metric = options.metric ?? DEFAULT_METRIC
  return {
    coefficients: options.coefficients ?? "auto",
    tokens: options.tokens ?? 32,
    repetitionPenalty: options.repetitionPenalty ?? 1.1,
    temperature: options.temperature ?? 0,
    seed: options.seed ?? 0,
    threshold: options.threshold ?? defaultThreshold(metrics[metric]),
    metric,
  }
}

/**
 * The prompts of a search with their ids.
 * @param tokens That are to come after each.
 * @throws InputError for none, ids outside the vocabulary, or a prompt too long for `tokens` more
 */
export function encodePrompts(model: Model, options: Pick<FindOptions, "prompts" | "prompt">, tokens: number): EncodedPrompt[] {
  return promptsOf(options).map((prompt) => encoded(model, prompt, tokens))
}

function promptsOf({ prompts, prompt }: Pick<FindOptions, "prompts" | "prompt">): readonly FindPrompt[] {
  const all = [...(prompts ?? []), ...(prompt === undefined ? [] : [prompt])]
  if (all.length > 0) return all
  throw new InputError({ where: "prompts", expected: "at least one prompt", found: "none", todo: "give a prompt" })
}

function encoded(model: Model, prompt: FindPrompt, tokens: number): EncodedPrompt {
  if (typeof prompt === "string") return { text: prompt, ids: model.encode(prompt, tokens) }
  if ("length" in prompt) return { text: model.decode(prompt), ids: model.encode(prompt, tokens) }
  return { ...prompt, ids: model.encode(prompt.ids, tokens) }
}

/** Generates and scores coefficients with every prompt, as many rows at a time as the device takes. */
class Sweep {
  readonly #model: Model
  readonly #evaluator: Model | undefined
  readonly #vector: SteeringVector
  readonly #prompts: readonly (readonly number[])[]
  readonly #settings: FindSettings
  readonly #onBatch: (part: number) => void

  constructor(
    model: Model,
    evaluator: Model | undefined,
    vector: SteeringVector,
    prompts: readonly (readonly number[])[],
    settings: FindSettings,
    onBatch: (part: number) => void,
  ) {
    this.#model = model
    this.#evaluator = evaluator
    this.#vector = vector
    this.#prompts = prompts
    this.#settings = settings
    this.#onBatch = onBatch
  }

  async evaluate(coefficients: readonly number[], { signal, onPoints }: EvaluateContext<CurvePoint>): Promise<CurvePoint[]> {
    const longest = Math.max(...this.#prompts.map((ids) => ids.length)) + this.#settings.tokens
    const atOnce = Math.max(1, Math.floor(this.#model.rowsAtOnce(longest) / this.#prompts.length))
    const points: CurvePoint[] = []
    for (let first = 0; first < coefficients.length; first += atOnce) {
      const batch = await this.#batch(coefficients.slice(first, first + atOnce), first, signal)
      onPoints(batch)
      points.push(...batch)
    }
    return points
  }

  async #batch(coefficients: readonly number[], first: number, signal: AbortSignal | undefined): Promise<CurvePoint[]> {
    const rows = coefficients.flatMap((coefficient) => this.#prompts.map((ids) => ({ coefficient, ids })))
    const steering: Steering[] = [{ vector: this.#vector, coefficient: rows.map(({ coefficient }) => coefficient) }]
    const { tokens, repetitionPenalty, temperature } = this.#settings
    const each = this.#prompts.length
    // A row draws with the seed + its place, in the whole list as in a batch of its own.
    const seed = this.#settings.seed + first * each
    const abort = signal && { signal }
    const prompts = rows.map(({ ids }) => ids)
    const onProgress = (done: number, total: number): void => this.#onBatch(done / total)
    const options = { tokens, repetitionPenalty, temperature, seed, steering, onProgress, ...abort }
    const judged = await this.#byEvaluator(prompts, await this.#model.judge(prompts, options), signal)
    return coefficients.map((coefficient, i) => this.#point(coefficient, judged.slice(i * each, (i + 1) * each)))
  }

  /** The same completions as another model without steering sees them. */
  async #byEvaluator(
    prompts: readonly (readonly number[])[],
    judged: readonly JudgedCompletion[],
    signal: AbortSignal | undefined,
  ): Promise<readonly JudgedCompletion[]> {
    if (!this.#evaluator) return judged
    const sequences = judged.map(({ ids }, row) => {
      const prompt = prompts[row] as readonly number[]
      return { ids: [...prompt, ...ids], from: prompt.length }
    })
    const scores = await this.#evaluator.score(sequences, signal && { signal })
    return judged.map((completion, row) => ({ ...completion, unsteered: scores[row] as TokenScores }))
  }

  #point(coefficient: number, completions: readonly JudgedCompletion[]): CurvePoint {
    const metricsByPrompt = computeMetrics(completions)
    const means = meanMetrics(metricsByPrompt)
    const texts = completions.map(({ ids, unsteered }) => {
      return { ids, logprobs: [...unsteered.logprobs], text: this.#model.decode(ids) }
    })
    return { coefficient, metric: means[this.#settings.metric], metrics: means, metricsByPrompt, completions: texts }
  }
}
