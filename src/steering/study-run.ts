import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import { type CurvePoint, findRedline, type FoundRedline } from "./find.ts"
import { type MethodCurve, type MethodName, type MethodOptions, methods, type Pick } from "./methods.ts"
import { metricNames, metrics } from "./metrics.ts"
import { mean } from "./numbers.ts"
import { type CoherencePoint, judgePick, type JudgedPick, lastCoherent, type MethodScore, scoreMethod } from "./study.ts"
import type { SteeringVector } from "./vector.ts"

/** A vector whose redline is known from elsewhere. */
export interface StudyTopic {
  readonly name: string
  readonly vector: SteeringVector
}

export interface StudyOptions {
  readonly prompts: readonly string[]
  /** The grid, ascending from 0. */
  readonly coefficients: readonly number[]
  readonly layers?: readonly number[]
  readonly tokens?: number
  readonly repetitionPenalty?: number
  /** How much of a completion makes sense, from 0 to 1: the ground truth. */
  readonly coherence: (completion: string, prompt: string) => number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: {
    readonly stage: "studying"
    readonly topic: string
    readonly done: number
    readonly total: number
  }) => void
}

/** One topic's full grid, with the truth. */
export interface StudiedTopic {
  readonly name: string
  readonly found: FoundRedline
  readonly coherence: readonly CoherencePoint[]
  /** The last coherent coefficient. */
  readonly last: number
  readonly curve: MethodCurve
}

/** A method with its parameters, as a study compares them. */
export interface Candidate {
  readonly name: string
  readonly method: MethodName
  readonly options: MethodOptions
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
    .map((metric): Candidate => {
      const { absolute, direction } = metrics[metric]
      const how = absolute === undefined ? `${direction === "rises" ? "+" : "-"}20 %` : `+${absolute}`
      return { name: `alert ${metric} ${how}`, method: "alert", options: { metric } }
    }),
  { name: "iso-kl 1 nat", method: "iso-kl", options: {} },
  { name: "loss-bound +1 nat", method: "loss-bound", options: {} },
  { name: "change-point nll, kl-p95", method: "change-point", options: {} },
]

/**
 * Runs the full grid of every topic and judges each completion by the ground truth.
 * @throws InputError without topics or for a grid that does not begin at 0
 */
export async function studyTopics(model: Model, topics: readonly StudyTopic[], options: StudyOptions): Promise<StudiedTopic[]> {
  if (topics.length === 0) throw new InputError({ where: "study", expected: "at least one topic", found: "none" })
  if (options.coefficients[0] !== 0) {
    throw new InputError({ where: "coefficients", expected: "a grid from 0 on", found: `${options.coefficients[0] ?? "none"}` })
  }
  const studied: StudiedTopic[] = []
  for (const [done, { name, vector }] of topics.entries()) {
    options.onProgress?.({ stage: "studying", topic: name, done, total: topics.length })
    studied.push(await studyTopic(model, name, vector, options))
  }
  return studied
}

async function studyTopic(model: Model, name: string, vector: SteeringVector, options: StudyOptions): Promise<StudiedTopic> {
  const { prompts, coefficients, layers, tokens, repetitionPenalty, signal } = options
  const found = await findRedline(model, vector, {
    prompts,
    coefficients,
    ...(layers && { layers }),
    ...(tokens !== undefined && { tokens }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(signal && { signal }),
  })
  signal?.throwIfAborted()
  const coherence = found.curve.map(({ coefficient, completions }) => ({
    coefficient,
    coherence: mean(completions.map(({ text }, i) => options.coherence(text ?? "", prompts[i] as string))),
  }))
  const losses = await textLosses(model, vector, found)
  const curve = found.curve.map((point, i) => ({ ...point, textLoss: losses[i] as number }))
  return { name, found, coherence, last: lastCoherent(coherence), curve: { curve, unit: found.unit } }
}

/**
 * The steered model's mean loss on ordinary text at every coefficient, in nats per token: the unsteered completions with
 * their prompts, which are the model's own idea of ordinary text.
 */
async function textLosses(model: Model, vector: SteeringVector, { curve, prompts, layers }: FoundRedline): Promise<number[]> {
  const plain = curve.find(({ coefficient }) => coefficient === 0) as CurvePoint
  const texts = prompts.map(({ ids }, i) => ({ ids: [...ids, ...(plain.completions[i]?.ids ?? [])], from: 1 }))
  const coefficients = curve.flatMap(({ coefficient }) => texts.map(() => coefficient))
  const sequences = curve.flatMap(() => texts)
  const scores = await model.score(sequences, { steering: [{ vector, coefficient: coefficients, layers }] })
  return curve.map((_, i) => {
    const own = scores.slice(i * texts.length, (i + 1) * texts.length)
    return mean(own.map(({ logprobs }) => -mean([...logprobs])))
  })
}

/** Every candidate on every topic, in the candidates' order. */
export function compareMethods(studied: readonly StudiedTopic[], compared: readonly Candidate[] = candidates): MethodScore[] {
  return compared.map(({ name, method, options }) => {
    const picks = studied.map((topic) => judged(topic, methods[method].pick(topic.curve, options)))
    return scoreMethod(name, picks)
  })
}

function judged({ name, found, last, curve }: StudiedTopic, { max }: Pick): JudgedPick {
  const coefficients = found.curve.map(({ coefficient }) => coefficient)
  return judgePick(name, max, { coefficients, last, unit: curve.unit })
}
