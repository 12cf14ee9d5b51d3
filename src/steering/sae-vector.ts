import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import type { Sae } from "../engine/sae.ts"
import { checkedLayers, eachPair, type PairOptions } from "./activations.ts"
import { createLearner } from "./learn.ts"
import type { Pair } from "./pairs.ts"
import { SteeringVector } from "./vector.ts"

export interface SaeTrainingOptions extends Omit<PairOptions, "layers"> {
  /** How the features of pairs become a mix of features; `mean` unless told. */
  readonly method?: "mean" | "pca-center"
  readonly onProgress?: (progress: SaeTrainingProgress) => void
  /** Where the pairs come from, kept in the vector's metadata. */
  readonly createdFrom?: string
}

export interface SaeTrainingProgress {
  readonly stage: "training"
  /** Pairs that have run and been encoded, of all. */
  readonly done: number
  readonly total: number
}

/**
 * A steering vector made among the features of a sparse autoencoder, as the ALERT report makes its vectors: both sides of each
 * pair are encoded at the last token (rectified, before TopK), `mean` or `pca-center` of {@link trainVector} makes a mix of
 * features of them, and the mix goes through W_dec, without b_dec. It has one layer, the autoencoder's, and the mix's length.
 *
 * `mean` keeps sums alone; `pca-center` keeps differences, f32 [pairs, latents].
 *
 * @throws InputError without pairs, with a single one for PCA, for pairs whose features do not differ, or an autoencoder of
 * another model
 * @example
 * const vector = await trainSaeVector(model, sae, [{ positive: "I am happy", negative: "I am sad" }])
 */
export async function trainSaeVector(
  model: Model,
  sae: Sae,
  pairs: readonly Pair[],
  options: SaeTrainingOptions = {},
): Promise<SteeringVector> {
  const { method = "mean", batch = 32, signal, createdFrom = `${pairs.length} pairs`, onProgress } = options
  checkedLayers(model, pairs, { layers: [sae.layer], batch }, method === "mean" ? 1 : 2, method)
  checkWidth(model, sae)
  const { width, latents } = sae
  const learner = createLearner(method, latents, [[...pairs.keys()]])
  for (let first = 0; first < pairs.length; first += batch) {
    const some = pairs.slice(first, first + batch)
    const residuals = new Float32Array(2 * some.length * width)
    await eachPair(model, some, [sae.layer], { batch, ...(signal && { signal }) }, (_, pair, positive, negative) => {
      residuals.set(positive, 2 * pair * width)
      residuals.set(negative, (2 * pair + 1) * width)
    })
    const features = await sae.activations(residuals, { ...(signal && { signal }) })
    const row = (i: number): Float32Array => features.subarray(i * latents, (i + 1) * latents)
    for (let i = 0; i < some.length; i++) learner.add(first + i, row(2 * i), row(2 * i + 1))
    onProgress?.({ stage: "training", done: first + some.length, total: pairs.length })
  }
  const [mix] = learner.directions()
  if (!mix) {
    const where = `pairs, features of layer ${sae.layer}`
    throw new InputError({ where, expected: "pairs whose sides differ", found: "none that do", todo: "give other pairs" })
  }
  const direction = await sae.combine(mix, { ...(signal && { signal }) })
  return new SteeringVector([[sae.layer, direction]], { modelHint: model.name, method: `sae-${method}`, createdFrom })
}

/**
 * The steering vector of one feature of a sparse autoencoder: its direction W_dec[feature], as it is, at the autoencoder's layer.
 * @throws InputError for a feature that there is none of, or an autoencoder of another model
 * @example
 * const vector = await featureVector(model, sae, 117)
 */
export async function featureVector(model: Model, sae: Sae, feature: number): Promise<SteeringVector> {
  checkWidth(model, sae)
  const metadata = { modelHint: model.name, method: "sae-feature", createdFrom: `feature ${feature} of layer ${sae.layer}` }
  return new SteeringVector([[sae.layer, await sae.feature(feature)]], metadata)
}

function checkWidth({ config, name }: Model, sae: Sae): void {
  if (sae.width === config.hiddenSize) return
  const todo = "choose an autoencoder of this model"
  throw new InputError({ where: sae.name, expected: `width ${config.hiddenSize}, ${name}'s`, found: `${sae.width}`, todo })
}
