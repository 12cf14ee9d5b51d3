import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"

/** What the unsteered model says about a completion, one number for each of its tokens, in nats. */
export interface TokenScores {
  /** Log-prob of the token given what precedes it. */
  readonly logprobs: ArrayLike<number>
  /** Mean over the vocabulary of the log-softmax at the token's position. */
  readonly vocabMeans: ArrayLike<number>
  /** Entropy of the prediction at the token's position. */
  readonly entropies: ArrayLike<number>
}

export type MetricName = "nll" | "vocab"

/** A number for a completion that rises when it stops making sense. */
export interface Metric {
  readonly name: MetricName
  /** One line for help and reports. */
  readonly describe: string
  /** The metric of one completion, in nats. Throws an InputError when the completion is empty. */
  readonly compute: (tokens: TokenScores) => number
}

export type Metrics = Readonly<Record<MetricName, number>>

/** Mean negative log-prob of the chosen tokens, in nats. Throws an InputError when there are none. */
export const nll = (logprobs: ArrayLike<number>): number => -mean(logprobs)

/** Minus the mean log-softmax over the vocabulary, averaged over the positions, in nats. Throws like {@link nll}. */
export const vocab = (vocabMeans: ArrayLike<number>): number => -mean(vocabMeans)

/** Every metric by its name: a new one is an entry here and a member of {@link MetricName}. */
export const metrics: Readonly<Record<MetricName, Metric>> = {
  nll: {
    name: "nll",
    describe: "mean negative log-prob of the chosen tokens",
    compute: (tokens) => nll(tokens.logprobs),
  },
  vocab: {
    name: "vocab",
    describe: "minus the mean log-softmax over the vocabulary, averaged over the positions",
    compute: (tokens) => vocab(tokens.vocabMeans),
  },
}

export const metricNames: readonly MetricName[] = Object.keys(metrics) as MetricName[]

/** `text` as a metric's name. Throws an InputError that lists the names. */
export function parseMetricName(text: string, where = "metric"): MetricName {
  const name = metricNames.find((known) => known === text)
  if (name !== undefined) return name
  throw new InputError({ where, expected: metricNames.join(" or "), found: show(text) })
}

/** Every metric averaged over the prompts' completions; each prompt counts the same, however long its completion. */
export function averageMetrics(completions: readonly TokenScores[]): Metrics {
  const average = (metric: Metric): number => mean(completions.map(metric.compute), "completions")
  return { nll: average(metrics.nll), vocab: average(metrics.vocab) }
}

function mean(values: ArrayLike<number>, where = "completion"): number {
  if (values.length === 0) throw new InputError({ where, expected: "at least one to score", found: "none" })
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] as number
  return sum / values.length
}
