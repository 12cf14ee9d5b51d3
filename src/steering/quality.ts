import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import { eachPair } from "./activations.ts"
import type { Pair } from "./pairs.ts"
import { cosine, dot, mean, norm } from "./numbers.ts"
import { halves } from "./spread.ts"
import { trainOnSubsets, type TrainingOptions } from "./train.ts"
import type { SteeringVector } from "./vector.ts"

/** How well the pairs' two classes come apart at one layer. Each half of the pairs is judged by the vector of the other. */
export interface LayerQuality {
  readonly layer: number
  /** The share of held-out texts on their side of the threshold, which lies midway between the training half's classes: 0.5 is chance. */
  readonly accuracy: number
  /** Cohen's d of the held-out texts' projections: how far the classes' means are apart, in standard deviations. */
  readonly effect: number
  /** The cosine between the vectors of the two halves: 1 where the pairs agree on the direction. */
  readonly agreement: number
  /** The length of the vector of all pairs; 1 for PCA. */
  readonly norm: number
  /** The mean length of the residual stream at the last tokens of both sides. */
  readonly residualNorm: number
}

export interface VectorQuality {
  /** The vector of all pairs: what `trainVector` gives for the same options. */
  readonly vector: SteeringVector
  /** Ascending. */
  readonly layers: readonly LayerQuality[]
  /** How many layers the model has. */
  readonly modelLayers: number
}

export interface QualityOptions extends Omit<TrainingOptions, "onProgress"> {
  readonly onProgress?: (progress: QualityProgress) => void
}

export interface QualityProgress {
  readonly stage: "training" | "judging"
  /** Pairs that have run in this stage, of those to run. */
  readonly done: number
  readonly total: number
}

/**
 * Trains a vector and says per layer how good it is, by two-fold cross-validation: a vector from either half of the pairs
 * is tried on the other half. The pairs run once more than for the vector alone; that pass keeps a few numbers per pair.
 *
 * @throws InputError for fewer than four pairs, and what `trainVector` throws
 */
export async function vectorQuality(model: Model, pairs: readonly Pair[], options: QualityOptions = {}): Promise<VectorQuality> {
  const folds = halves(pairs.length)
  if (folds[1].length < 2) {
    throw new InputError({
      where: "pairs",
      expected: "at least 4 pairs to judge a vector by",
      found: `${pairs.length}`,
      todo: "give more pairs",
    })
  }
  const trained = await trainOnSubsets(model, pairs, [[...pairs.keys()], ...folds], options)
  const [vector, ...fromHalves] = trained as [SteeringVector, SteeringVector, SteeringVector]
  const tables = new Map(
    vector.layers.map((layer) => [
      layer,
      new Projections(
        pairs.length,
        fromHalves.map((half) => at(half, layer)),
      ),
    ]),
  )
  await eachPair(
    model,
    pairs,
    vector.layers,
    options,
    (layer, pair, positive, negative) => tables.get(layer)?.add(pair, positive, negative),
    (done) => options.onProgress?.({ stage: "judging", done, total: pairs.length }),
  )
  const layers = [...tables].map(([layer, table]): LayerQuality => {
    const trials = [table.judge(0, folds[0], folds[1]), table.judge(1, folds[1], folds[0])] as const
    return {
      layer,
      accuracy: (trials[0].accuracy + trials[1].accuracy) / 2,
      effect: (trials[0].effect + trials[1].effect) / 2,
      agreement: cosine(at(fromHalves[0], layer), at(fromHalves[1], layer)),
      norm: norm(at(vector, layer)),
      residualNorm: table.residualNorm,
    }
  })
  return { vector, layers, modelLayers: model.config.layers }
}

const at = (vector: SteeringVector | undefined, layer: number): Float32Array => vector?.directions.get(layer) as Float32Array

/** What one layer keeps of every pair: both sides' projections onto each of some directions. */
class Projections {
  readonly #directions: readonly Float32Array[]
  readonly #positive: readonly Float64Array[]
  readonly #negative: readonly Float64Array[]
  readonly #pairs: number
  #norms = 0

  constructor(pairs: number, directions: readonly Float32Array[]) {
    this.#pairs = pairs
    this.#directions = directions
    this.#positive = directions.map(() => new Float64Array(pairs))
    this.#negative = directions.map(() => new Float64Array(pairs))
  }

  get residualNorm(): number {
    return this.#norms / (2 * this.#pairs)
  }

  add(pair: number, positive: Float32Array, negative: Float32Array): void {
    this.#norms += norm(positive) + norm(negative)
    for (const [i, direction] of this.#directions.entries()) {
      ;(this.#positive[i] as Float64Array)[pair] = dot(positive, direction)
      ;(this.#negative[i] as Float64Array)[pair] = dot(negative, direction)
    }
  }

  /** Direction `index`, which comes from the pairs `seen`, on the pairs `held`. */
  judge(index: number, seen: readonly number[], held: readonly number[]): { accuracy: number; effect: number } {
    const of = (sides: readonly Float64Array[], pairs: readonly number[]): number[] =>
      pairs.map((pair) => sides[index]?.[pair] as number)
    const threshold = (mean(of(this.#positive, seen)) + mean(of(this.#negative, seen))) / 2
    const positive = of(this.#positive, held)
    const negative = of(this.#negative, held)
    const right = positive.filter((x) => x > threshold).length + negative.filter((x) => x < threshold).length
    return { accuracy: right / (2 * held.length), effect: cohensD(positive, negative) }
  }
}

/** The difference of the means over the pooled standard deviation (Cohen, Statistical Power Analysis, 1988). */
function cohensD(a: readonly number[], b: readonly number[]): number {
  const difference = mean(a) - mean(b)
  return difference === 0 ? 0 : difference / Math.sqrt((variance(a) + variance(b)) / 2)
}

function variance(values: readonly number[]): number {
  const middle = mean(values)
  return values.reduce((sum, x) => sum + (x - middle) ** 2, 0) / (values.length - 1)
}
