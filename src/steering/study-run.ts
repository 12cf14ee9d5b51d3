import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import { type CurvePoint, type EncodedPrompt, findRedline, type FindOptions, type FoundRedline } from "./find.ts"
import { type MethodName, type MethodOptions, methods, type MethodPoint } from "./methods.ts"
import { DEFAULT_METRIC, type MetricName, metricNames, metrics } from "./metrics.ts"
import { minimumCoefficient } from "./minimum.ts"
import { mean } from "./numbers.ts"
import { judgePick, type JudgedPick, lastCoherent, type MethodScore, scoreMethod } from "./study.ts"
import type { Truth } from "./truth.ts"
import type { SteeringVector } from "./vector.ts"

/** A vector whose redline is known from elsewhere. */
export interface StudyTopic {
  readonly name: string
  readonly vector: SteeringVector
}

/** Where a topic's search is kept. */
export interface TopicRecord extends Disposable {
  /** Points that an earlier study of the same settings left. */
  readonly known: readonly CurvePoint[]
  append(points: readonly CurvePoint[]): void
  /** The losses on ordinary text that it left, by coefficient. */
  readonly losses?: ReadonlyMap<number, number>
  finish(found: FoundRedline): Promise<void>
}

/** What every topic of a study has in common. */
export interface StudySettings extends Pick<
  FindOptions,
  "layers" | "tokens" | "repetitionPenalty" | "temperature" | "seed" | "evaluator" | "signal"
> {
  readonly prompts: NonNullable<FindOptions["prompts"]>
  /** The grid, ascending from 0. */
  readonly coefficients: readonly number[]
  readonly truth: Truth
}

export interface StudyOptions extends StudySettings {
  /** Whether to score the steered model on ordinary text too, which `loss-bound` needs; true unless told. */
  readonly textLoss?: boolean
  /** Opens the record of a topic; it is closed when the topic is done. */
  readonly record?: (topic: StudyTopic) => Promise<TopicRecord>
  /** Called with every topic as it is done. */
  readonly onTopic?: (studied: StudiedTopic) => Promise<void>
  readonly onProgress?: (progress: StudyProgress) => void
}

export interface StudyProgress {
  readonly stage: "studying"
  readonly topic: string
  readonly done: number
  readonly total: number
}

/** What is known at a coefficient of a topic. */
export interface StudiedPoint extends MethodPoint {
  readonly metrics: CurvePoint["metrics"]
  readonly completions: CurvePoint["completions"]
  /** The share of the texts that make sense; null where nobody knows. */
  readonly coherence: number | null
  /** The share of the texts about the topic; null where nobody knows. */
  readonly onTopic: number | null
}

/** One topic's full grid, with the truth; a {@link MethodCurve}. */
export interface StudiedTopic {
  readonly name: string
  readonly curve: readonly StudiedPoint[]
  /** The coefficient at which the vector is as long as the mean residual. */
  readonly unit: number
  /** The last coherent coefficient. */
  readonly last: number
  /** See {@link minimumCoefficient}. */
  readonly minimum: number | null
}

/** A method with its parameters, as a study compares them. */
export interface Candidate {
  readonly name: string
  readonly method: MethodName
  readonly options: MethodOptions
}

/** ALERT on a metric at its own threshold. */
function alertName(metric: MetricName): string {
  const { absolute, direction } = metrics[metric]
  return `alert ${metric} ${absolute === undefined ? `${direction === "rises" ? "+" : "-"}20 %` : `+${absolute}`}`
}

/** Every metric of the registry as ALERT watches it, nll at thresholds from 10 to 50 %, and the other methods. */
export const candidates: readonly Candidate[] = [
  ...[0.1, 0.2, 0.3, 0.4, 0.5].map((fraction): Candidate => ({
    name: `alert nll +${fraction * 100} %`,
    method: "alert",
    options: { metric: "nll", fraction },
  })),
  ...metricNames
    .filter((metric) => metric !== "nll")
    .map((metric): Candidate => ({ name: alertName(metric), method: "alert", options: { metric } })),
  { name: "iso-kl 1 nat", method: "iso-kl", options: {} },
  { name: "loss-bound +1 nat", method: "loss-bound", options: {} },
  { name: "change-point nll, kl-p95", method: "change-point", options: {} },
]

/** The candidate that picks as `redline find` does unless told otherwise. */
export const defaultCandidate: string = alertName(DEFAULT_METRIC)

/**
 * Runs the full grid of every topic and judges each completion by the truth.
 * @throws InputError without topics or for a grid that does not begin at 0
 */
export async function studyTopics(model: Model, topics: readonly StudyTopic[], options: StudyOptions): Promise<StudiedTopic[]> {
  if (topics.length === 0) throw new InputError({ where: "study", expected: "at least one topic", found: "none" })
  if (options.coefficients[0] !== 0) {
    throw new InputError({ where: "coefficients", expected: "a grid from 0 on", found: `${options.coefficients[0] ?? "none"}` })
  }
  const studied: StudiedTopic[] = []
  for (const [done, topic] of topics.entries()) {
    options.onProgress?.({ stage: "studying", topic: topic.name, done, total: topics.length })
    studied.push(await studyTopic(model, topic, options))
  }
  return studied
}

async function studyTopic(model: Model, topic: StudyTopic, options: StudyOptions): Promise<StudiedTopic> {
  const { truth, textLoss = true, record: open, onTopic, onProgress: _, ...search } = options
  using record = await open?.(topic)
  const found = await findRedline(model, topic.vector, { ...search, ...(record && { record }) })
  options.signal?.throwIfAborted()
  const losses = textLoss ? await textLosses(model, topic.vector, found, record?.losses) : undefined
  const curve = found.curve.map((point) => ({ ...point, textLoss: losses?.get(point.coefficient) }))
  const studied = judgeTopic(topic.name, { ...found, curve }, truth)
  await record?.finish(found)
  await onTopic?.(studied)
  return studied
}

/** A search that is done, as `findRedline` gives it or a run's folder holds it. */
export interface DoneSearch {
  readonly curve: readonly (CurvePoint & { readonly textLoss?: number | undefined })[]
  readonly prompts: readonly Pick<EncodedPrompt, "text" | "chat">[]
  readonly unit: number
}

/** Judges a search by the truth. */
export function judgeTopic(name: string, { curve, prompts, unit }: DoneSearch, truth: Truth): StudiedTopic {
  const texts = prompts.map(({ text, chat }) => (chat ? "" : (text ?? ""))) // what a completion goes on from
  const points = curve.map(({ textLoss, ...point }): StudiedPoint => ({
    ...point,
    ...(textLoss !== undefined && { textLoss }),
    coherence: truth.coherence(name, point, texts),
    onTopic: truth.onTopic?.(name, point, texts) ?? null,
  }))
  return { name, curve: points, unit, last: lastCoherent(points), minimum: minimumCoefficient(points) }
}

/**
 * The steered model's mean loss on ordinary text by coefficient, in nats per token: the unsteered completions with their
 * prompts, which are the model's own idea of ordinary text.
 */
async function textLosses(
  model: Model,
  vector: SteeringVector,
  { curve, prompts, layers }: FoundRedline,
  known: ReadonlyMap<number, number> = new Map(),
): Promise<ReadonlyMap<number, number>> {
  const plain = curve.find(({ coefficient }) => coefficient === 0) as CurvePoint
  const texts = prompts.map(({ ids }, i) => ({ ids: [...ids, ...(plain.completions[i]?.ids ?? [])], from: 1 }))
  const missing = curve.map(({ coefficient }) => coefficient).filter((coefficient) => !known.has(coefficient))
  if (missing.length === 0) return known
  const coefficients = missing.flatMap((coefficient) => texts.map(() => coefficient))
  const sequences = missing.flatMap(() => texts)
  const scores = await model.score(sequences, { steering: [{ vector, coefficient: coefficients, layers }] })
  const losses = missing.map((coefficient, i): [number, number] => {
    const own = scores.slice(i * texts.length, (i + 1) * texts.length)
    return [coefficient, mean(own.map(({ logprobs }) => -mean([...logprobs])))]
  })
  return new Map([...known, ...losses])
}

/** Every candidate on every topic, in the candidates' order; without those that need losses on ordinary text where there are none. */
export function compareMethods(studied: readonly StudiedTopic[], compared: readonly Candidate[] = candidates): MethodScore[] {
  const losses = studied.every(({ curve }) => curve.every(({ textLoss }) => textLoss !== undefined))
  return compared
    .filter(({ method }) => losses || method !== "loss-bound")
    .map(({ name, method, options }) => {
      const picks = studied.map((topic) => judged(topic, methods[method].locate(topic, options).max))
      return scoreMethod(name, picks)
    })
}

function judged({ name, curve, last, unit }: StudiedTopic, max: number | null): JudgedPick {
  return judgePick(name, max, { coefficients: curve.map(({ coefficient }) => coefficient), last, unit })
}
