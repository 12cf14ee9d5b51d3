import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import type { Pair } from "./pairs.ts"
import { SteeringVector } from "./vector.ts"

export type TrainingMethod = "mean"

export interface TrainingOptions {
  /** How the activations become a vector; `mean` unless told. */
  readonly method?: TrainingMethod
  /** 0-based layers; all unless told. */
  readonly layers?: readonly number[]
  /** Pairs that run at a time. */
  readonly batch?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: { readonly stage: "training"; readonly done: number; readonly total: number }) => void
  /** Where the pairs come from, kept in the vector's metadata. */
  readonly createdFrom?: string
}

/**
 * A steering vector from contrast pairs: per layer the mean over pairs of the residual stream after that layer at the
 * last token, positive minus negative (the ALERT report's «mean of the differences»; Turner et al. 2023,
 * https://arxiv.org/abs/2308.10248; Rimsky et al. 2023, https://arxiv.org/abs/2312.06681).
 *
 * The activations of one batch are held at a time, however many pairs there are.
 * @throws InputError without pairs, or for a layer that the model has not.
 */
export async function trainVector(model: Model, pairs: readonly Pair[], options: TrainingOptions = {}): Promise<SteeringVector> {
  const { layers: count, hiddenSize } = model.config
  const layers = options.layers ?? Array.from({ length: count }, (_, layer) => layer)
  checkLayers(layers, count)
  if (pairs.length === 0) {
    throw new InputError({ where: "pairs", expected: "at least one pair", found: "none", todo: "give pairs of texts" })
  }
  const sums = new Map(layers.map((layer) => [layer, new Float64Array(hiddenSize)]))
  const batch = options.batch ?? 32
  for (let first = 0; first < pairs.length; first += batch) {
    options.signal?.throwIfAborted()
    await addDifferences(model, pairs.slice(first, first + batch), sums, options.signal)
    options.onProgress?.({ stage: "training", done: Math.min(first + batch, pairs.length), total: pairs.length })
  }
  const directions = new Map([...sums].map(([layer, sum]) => [layer, Float32Array.from(sum, (x) => x / pairs.length)]))
  const createdFrom = options.createdFrom ?? `${pairs.length} pairs`
  return new SteeringVector(directions, { modelHint: model.name, method: options.method ?? "mean", createdFrom })
}

function checkLayers(layers: readonly number[], count: number): void {
  const bad = layers.find((layer) => !Number.isInteger(layer) || layer < 0 || layer >= count)
  if (bad === undefined && layers.length > 0) return
  const found = bad === undefined ? "none" : `layer ${bad}`
  throw new InputError({ where: "layers", expected: `layers 0 to ${count - 1} of this model`, found })
}

/** Adds each pair's residuals at the last token, positive minus negative, to the sums. */
async function addDifferences(
  model: Model,
  pairs: readonly Pair[],
  sums: ReadonlyMap<number, Float64Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const texts = pairs.flatMap(({ positive, negative }) => [positive, negative])
  const name = (layer: number): string => `blocks.${layer}.hook_resid_post`
  const capture = [...sums.keys()].map(name)
  const { captured } = await model.run(texts, { capture, at: "last", logits: false, ...(signal && { signal }) })
  for (const [layer, sum] of sums) {
    const residuals = captured.get(name(layer))?.data as Float32Array
    for (let row = 0; row < texts.length; row++) {
      const sign = row % 2 === 0 ? 1 : -1
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + sign * (residuals[row * sum.length + i] as number)
    }
  }
}
