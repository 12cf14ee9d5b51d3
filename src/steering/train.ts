import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import { checkedLayers, eachPair, type PairOptions } from "./activations.ts"
import { bytesPerPair, createLearner, type TrainingMethod } from "./learn.ts"
import type { Pair } from "./pairs.ts"
import { SteeringVector } from "./vector.ts"

export { type TrainingMethod, trainingMethods } from "./learn.ts"

export interface TrainingOptions extends PairOptions {
  /** How the activations become a vector; `mean` unless told. */
  readonly method?: TrainingMethod
  readonly onProgress?: (progress: TrainingProgress) => void
  /** Gets what the user should know about the result, a sentence each. */
  readonly onWarning?: (warning: string) => void
  /** Where the pairs come from, kept in the vector's metadata. */
  readonly createdFrom?: string
  /** Bytes of activations kept at a time, of at least one layer; 512 MiB unless told. */
  readonly memory?: number
}

export interface TrainingProgress {
  readonly stage: "training"
  /** Pairs that have run, of those to run: each counts once for every group of layers that fits into memory. */
  readonly done: number
  readonly total: number
}

const MEMORY = 512 * 1024 * 1024

const PCA_DIFF_WARNING =
  "pca-diff centres the differences, so it discards what all pairs have in common, often the very thing that is wanted; " +
  "mean and pca-center keep it"

/**
 * A steering vector from contrast pairs, of the residual stream after each layer at the last token.
 *
 * - `mean`: the mean over pairs of positive minus negative (the ALERT report's «mean of the differences»; Turner et al.
 *   2023, https://arxiv.org/abs/2308.10248; Rimsky et al. 2023, https://arxiv.org/abs/2312.06681). As long as the difference is.
 * - `pca-center`: the direction, of length 1, along which the differences are longest, which is the first principal component
 *   of all texts once both of a pair are moved by their midpoint (repeng's method of this name).
 * - `pca-diff`: the first principal component of the differences, of length 1. That centres them and so discards what they
 *   have in common (repeng's default); a warning says so.
 *
 * The sign of the last two is such that no more pairs have the positive behind the negative than before it.
 *
 * However many pairs there are, `mean` keeps sums alone; the others keep differences, f32 [pairs, hidden], of as many
 * layers as fit into `memory`, and run the pairs again for the next layers.
 *
 * @throws InputError without pairs, with a single one for PCA, with sides that are empty or equal, for pairs that show no
 * difference, or for a layer that the model has not
 * @example
 * const vector = await trainVector(model, [{ positive: "I am happy", negative: "I am sad" }], { layers: [3, 4] })
 */
export async function trainVector(model: Model, pairs: readonly Pair[], options: TrainingOptions = {}): Promise<SteeringVector> {
  const [vector] = await trainOnSubsets(model, pairs, [[...pairs.keys()]], options)
  return vector as SteeringVector
}

/** A vector from each of some subsets of the pairs, ascending places each, at the cost of one. */
export async function trainOnSubsets(
  model: Model,
  pairs: readonly Pair[],
  subsets: readonly (readonly number[])[],
  options: TrainingOptions = {},
): Promise<SteeringVector[]> {
  const { method = "mean", memory = MEMORY, signal, createdFrom = `${pairs.length} pairs` } = options
  const layers = checkedLayers(model, pairs, options, method === "mean" ? 1 : 2, method)
  if (method === "pca-diff") options.onWarning?.(PCA_DIFF_WARNING)
  const groups = groupLayers(layers, bytesPerPair(method, model.config.hiddenSize) * pairs.length, memory)
  const directions: [number, Float32Array][][] = subsets.map(() => [])
  for (const [g, group] of groups.entries()) {
    const learners = new Map(group.map((layer) => [layer, createLearner(method, model.config.hiddenSize, subsets)]))
    await eachPair(
      model,
      pairs,
      group,
      options,
      (layer, pair, positive, negative) => learners.get(layer)?.add(pair, positive, negative),
      (done) => options.onProgress?.({ stage: "training", done: g * pairs.length + done, total: groups.length * pairs.length }),
    )
    for (const [layer, learner] of learners) {
      // PCA may take seconds, in which nothing else happens: let an abort come in between.
      await new Promise((resolve) => setTimeout(resolve))
      signal?.throwIfAborted()
      for (const [i, direction] of learner.directions().entries())
        directions[i]?.push([layer, direction ?? noDirection(layer, method)])
    }
  }
  return directions.map((own) => new SteeringVector(own, { modelHint: model.name, method, createdFrom }))
}

/** Layers in groups whose bytes stay within `memory`, at least one in each. */
function groupLayers(layers: readonly number[], bytesPerLayer: number, memory: number): number[][] {
  const size = Math.max(1, Math.min(layers.length, Math.floor(memory / bytesPerLayer)))
  return Array.from({ length: Math.ceil(layers.length / size) }, (_, i) => layers.slice(i * size, (i + 1) * size))
}

function noDirection(layer: number, method: TrainingMethod): never {
  const what = method === "pca-diff" ? "differences that vary from pair to pair" : "pairs whose sides differ"
  throw new InputError({ where: `pairs, layer ${layer}`, expected: what, found: "none that do", todo: "give other pairs" })
}
