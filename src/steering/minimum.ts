import type { Metrics } from "./metrics.ts"
import { mean, median } from "./numbers.ts"
import { bootstrap, type Estimate } from "./study.ts"

/** The divergence at which a vector has taken hold, in nats: chosen on the embedded model's topics, see docs/study.md. */
export const TAKEN_HOLD = 0.1

/**
 * The smallest coefficient at which the vector has taken hold: the first positive one where the 95th percentile over tokens
 * of KL(steered || unsteered), the mean over prompts, is at least `divergence` nats. Null when there is none.
 * docs/study.md says how well it holds.
 */
export function minimumCoefficient(
  curve: readonly { readonly coefficient: number; readonly metrics: Metrics }[],
  divergence: number = TAKEN_HOLD,
): number | null {
  return curve.find(({ coefficient, metrics }) => coefficient > 0 && metrics["kl-p95"] >= divergence)?.coefficient ?? null
}

/** A topic's minimum against where its texts turn to the topic. */
export interface JudgedMinimum {
  readonly topic: string
  readonly minimum: number
  /** The first coefficient at which at least half as many texts are about the topic as at the best coherent one. */
  readonly onset: number
  /** minimum - onset, in steps of the grid: below 0 the texts differ before they are about the topic. */
  readonly steps: number
  /** The share of the texts about the topic at 0, at the minimum and at the best coherent coefficient. */
  readonly onTopic: readonly [plain: number, atMinimum: number, best: number]
}

/** How well the minimum holds, over the topics where the truth knows what texts are about. */
export interface MinimumScore {
  readonly topics: readonly JudgedMinimum[]
  /** The median distance to the onset, in steps of the grid, without its sign. */
  readonly distance: Estimate
  /** The share of minima within a step of the onset. */
  readonly within: Estimate
}

/** A topic's points, as a study knows them. */
interface Subject {
  readonly name: string
  readonly minimum: number | null
  readonly last: number
  readonly curve: readonly { readonly coefficient: number; readonly onTopic: number | null }[]
}

/** Scores the minima of a study's topics; null where no topic has both a minimum and texts that turn to it. */
export function scoreMinimum(studied: readonly Subject[]): MinimumScore | null {
  const topics = studied.flatMap((topic) => judgeMinimum(topic) ?? [])
  if (topics.length === 0) return null
  return {
    topics,
    distance: bootstrap(
      topics.map(({ steps }) => Math.abs(steps)),
      median,
    ),
    within: bootstrap(
      topics.map(({ steps }) => (Math.abs(steps) < 1.5 ? 1 : 0)),
      mean,
    ),
  }
}

function judgeMinimum({ name, minimum, last, curve }: Subject): JudgedMinimum | undefined {
  const points = curve.filter(({ coefficient }) => coefficient >= 0 && coefficient <= last)
  const share = (coefficient: number): number => curve.find((point) => point.coefficient === coefficient)?.onTopic ?? 0
  const best = Math.max(0, ...points.map(({ onTopic }) => onTopic ?? 0))
  const onset = points.find(({ coefficient, onTopic }) => coefficient > 0 && (onTopic ?? 0) >= best / 2)?.coefficient
  if (minimum === null || onset === undefined || best === 0) return undefined
  const steps =
    curve.findIndex((point) => point.coefficient === minimum) - curve.findIndex((point) => point.coefficient === onset)
  return { topic: name, minimum, onset, steps, onTopic: [share(0), share(minimum), best] }
}
