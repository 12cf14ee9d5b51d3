import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"
import type { TokenScores } from "../engine/score.ts"
import { mean } from "./numbers.ts"

/** A completion and what is known of its tokens, one number for each, in nats. */
export interface MetricInput {
  /** The completion's tokens alone. */
  readonly ids: readonly number[]
  /** By the unsteered model. */
  readonly unsteered: TokenScores
  /** By the steered model that wrote it. */
  readonly steered: TokenScores
  /** The Kullback-Leibler divergence of the steered model's predictions from the unsteered one's. */
  readonly divergences: ArrayLike<number>
}

/** A number for a completion that changes when it stops making sense. */
export interface Metric {
  readonly name: MetricName
  /** One line for help and reports. */
  readonly describe: string
  /** Which way it goes when a text becomes incoherent. */
  readonly direction: "rises" | "falls"
  /**
   * Of a metric that is 0 or almost 0 without steering, where no fraction of the baseline means anything: the default distance of its
   * threshold from the baseline, in the metric's own units. Others have a threshold relative to the baseline.
   */
  readonly absolute?: number
  /** The metric of one completion, which is not empty. */
  readonly compute: (completion: MetricInput) => number
}

/** Mean negative log-prob of the tokens: the cross-entropy per token, in nats. */
export const nll = ({ logprobs }: Pick<TokenScores, "logprobs">): number => -mean(logprobs)

/** Minus the mean log-softmax over the whole vocabulary, averaged over the positions, in nats. */
export const vocab = ({ vocabMeans }: Pick<TokenScores, "vocabMeans">): number => -mean(vocabMeans)

/** exp of {@link nll}: the number of equally likely tokens that would surprise as much. */
export const perplexity = (scores: Pick<TokenScores, "logprobs">): number => Math.exp(nll(scores))

/** Mean entropy of the predictions from which the tokens were drawn, in nats. */
export const predictiveEntropy = ({ entropies }: Pick<TokenScores, "entropies">): number => mean(entropies)

/** Entropy of the completion's own token frequencies, in nats: log of its length when no token repeats, 0 when all are one. */
export function unigramEntropy(ids: readonly number[]): number {
  return [...frequencies(ids).values()].reduce((sum, count) => sum + (count / ids.length) * Math.log(ids.length / count), 0)
}

/** 1 - distinct / total: the share of tokens that have occurred before. */
export const repetition = (ids: readonly number[]): number => 1 - frequencies(ids).size / ids.length

/** The share of the most frequent token. */
export const largestShare = (ids: readonly number[]): number => Math.max(...frequencies(ids).values()) / ids.length

/** Tokens of a lower log-prob, in nats, count as improbable: a probability of 0.7 %. */
export const IMPROBABLE = -5

/**
 * The share of tokens that the unsteered model finds improbable. Sense ends at single impossible words, long before the mean
 * over all tokens shows them.
 */
export function improbableShare({ logprobs }: Pick<TokenScores, "logprobs">): number {
  let count = 0
  for (let i = 0; i < logprobs.length; i++) if (!((logprobs[i] as number) >= IMPROBABLE)) count++
  return count / logprobs.length
}

/**
 * Perplexity per effective token of the text, exp(nll - unigram entropy): rises both when tokens surprise and when few
 * different ones are used. The ALERT report names a «perplexity with entropy» without its formula; this is ours.
 */
export const perplexityWithEntropy = (scores: Pick<TokenScores, "logprobs">, ids: readonly number[]): number =>
  Math.exp(nll(scores) - unigramEntropy(ids))

/** Perplexity times 1 + {@link repetition}; named in the ALERT report without its formula, this is ours. */
export const perplexityWithRepetition = (scores: Pick<TokenScores, "logprobs">, ids: readonly number[]): number =>
  perplexity(scores) * (1 + repetition(ids))

/** The value that a share `q` of the values do not exceed, between neighbours by the line through them. */
export function quantile(values: ArrayLike<number>, q: number): number {
  const sorted = Array.from(values).sort((a, b) => a - b)
  const at = q * (sorted.length - 1)
  const below = sorted[Math.floor(at)] as number
  return below + (at - Math.floor(at)) * ((sorted[Math.ceil(at)] as number) - below)
}

type Evaluated = "nll" | "vocab" | "perplexity" | "perplexity-entropy" | "perplexity-repetition" | "predictive-entropy"

/** Metrics by the unsteered model bear the plain name; by the steered one, `steered-` stands before it. */
export type MetricName =
  | Evaluated
  | `steered-${Evaluated}`
  | "improbable"
  | "unigram-entropy"
  | "repetition"
  | "largest-share"
  | "kl-p50"
  | "kl-p95"

export type Metrics = Readonly<Record<MetricName, number>>

type Evaluation = readonly [
  name: Evaluated,
  describe: string,
  direction: Metric["direction"],
  compute: (scores: TokenScores, ids: readonly number[]) => number,
]

/** iso-KL's limit for the divergence of a token, in nats. */
const KL_LIMIT = 1
/** Beyond the baseline: chosen on the embedded model's topics, see docs/study.md. */
const IMPROBABLE_LIMIT = 0.025

const BY_A_MODEL: readonly Evaluation[] = [
  ["nll", "mean negative log-prob of the chosen tokens", "rises", nll],
  ["vocab", "minus the mean log-softmax over the vocabulary, averaged over the positions", "falls", vocab],
  ["perplexity", "exp of nll", "rises", perplexity],
  ["perplexity-entropy", "perplexity divided by the exp of the text's unigram entropy", "rises", perplexityWithEntropy],
  ["perplexity-repetition", "perplexity times 1 + the share of repeated tokens", "rises", perplexityWithRepetition],
  ["predictive-entropy", "mean entropy of the predictions", "rises", predictiveEntropy],
]

const OF_THE_TEXT: readonly Metric[] = [
  {
    name: "unigram-entropy",
    describe: "entropy of the text's token frequencies",
    direction: "falls",
    compute: ({ ids }) => unigramEntropy(ids),
  },
  { name: "repetition", describe: "1 - distinct / total tokens", direction: "rises", compute: ({ ids }) => repetition(ids) },
  {
    name: "largest-share",
    describe: "share of the most frequent token",
    direction: "rises",
    compute: ({ ids }) => largestShare(ids),
  },
  {
    name: "kl-p50",
    describe: "median over tokens of KL(steered || unsteered)",
    direction: "rises",
    absolute: KL_LIMIT,
    compute: ({ divergences }) => quantile(divergences, 0.5),
  },
  {
    name: "kl-p95",
    describe: "95th percentile over tokens of KL(steered || unsteered)",
    direction: "rises",
    absolute: KL_LIMIT,
    compute: ({ divergences }) => quantile(divergences, 0.95),
  },
]

const all: readonly Metric[] = [
  ...BY_A_MODEL.map(([name, describe, direction, compute]): Metric => {
    return { name, describe, direction, compute: ({ ids, unsteered }) => compute(unsteered, ids) }
  }),
  {
    name: "improbable",
    describe: `share of tokens with a log-prob below ${IMPROBABLE}`,
    direction: "rises",
    absolute: IMPROBABLE_LIMIT,
    compute: ({ unsteered }) => improbableShare(unsteered),
  },
  ...OF_THE_TEXT,
  ...BY_A_MODEL.map(([name, describe, direction, compute]): Metric => {
    const by = `${describe}, by the steered model`
    return { name: `steered-${name}`, describe: by, direction, compute: ({ ids, steered }) => compute(steered, ids) }
  }),
]

/** Every metric by its name: a new one is an entry here and a member of {@link MetricName}. */
export const metrics: Readonly<Record<MetricName, Metric>> = Object.fromEntries(
  all.map((metric) => [metric.name, metric]),
) as Record<MetricName, Metric>

/** Metrics that say how probable the judging model finds the text, and nothing else. */
const OF_PROBABILITY: ReadonlySet<MetricName> = new Set(["improbable", "nll", "perplexity"])

/**
 * What a metric shows of the texts up to its redline, in words.
 * @param evaluator The name of the model that judged, where it was another than the one that wrote.
 */
export function heldUpTo(metric: MetricName, evaluator?: string): string {
  if (!OF_PROBABILITY.has(metric)) return `${metric} has not reached its threshold`
  if (evaluator === undefined) return "the unsteered model finds the text about as probable as its own"
  return `${evaluator} finds the text about as probable as the one without steering`
}

/** What a search watches unless told: docs/study.md has the evidence. */
export const DEFAULT_METRIC: MetricName = "improbable"

export const metricNames: readonly MetricName[] = all.map(({ name }) => name)

/** `text` as a metric's name. Throws an InputError that lists the names. */
export function parseMetricName(text: string, where = "metric"): MetricName {
  const name = metricNames.find((known) => known === text)
  if (name !== undefined) return name
  throw new InputError({ where, expected: `one of ${metricNames.join(", ")}`, found: show(text) })
}

/**
 * Every metric of each completion.
 * @throws InputError without completions, or for an empty one
 */
export function computeMetrics(completions: readonly MetricInput[]): Metrics[] {
  if (completions.length === 0) throw new InputError({ where: "completions", expected: "at least one to score", found: "none" })
  const empty = completions.findIndex(({ ids }) => ids.length === 0)
  if (empty >= 0) throw new InputError({ where: `completion ${empty}`, expected: "at least one token to score", found: "none" })
  return completions.map((completion) => byName(({ compute }) => compute(completion)))
}

/** Every metric's mean over completions: each prompt counts the same, however long its completion. */
export function meanMetrics(each: readonly Metrics[]): Metrics {
  return byName(({ name }) => mean(each.map((one) => one[name])))
}

function byName(value: (metric: Metric) => number): Metrics {
  return Object.fromEntries(all.map((metric) => [metric.name, value(metric)])) as Record<MetricName, number>
}

function frequencies(ids: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}
