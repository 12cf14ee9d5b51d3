import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import { checkPair, type Pair } from "./pairs.ts"

/** How pairs run through a model. */
export interface PairOptions {
  /** 0-based layers; all unless told. */
  readonly layers?: readonly number[]
  /** Pairs that run at a time; 32 unless told. */
  readonly batch?: number
  readonly signal?: AbortSignal
}

/** The residual streams [hidden] after a layer at the last tokens of one pair: views, valid during the call alone. */
export type VisitPair = (layer: number, pair: number, positive: Float32Array, negative: Float32Array) => void

/**
 * Runs pairs, a batch at a time, and shows each pair's residual streams to `visit`. Texts are packed without padding, so
 * that a pair's numbers do not depend on its neighbours.
 *
 * @param onBatch gets the number of pairs done, after each batch
 */
export async function eachPair(
  model: Model,
  pairs: readonly Pair[],
  layers: readonly number[],
  { batch = 32, signal }: Pick<PairOptions, "batch" | "signal">,
  visit: VisitPair,
  onBatch?: (done: number) => void,
): Promise<void> {
  const name = (layer: number): string => `blocks.${layer}.hook_resid_post`
  const width = model.config.hiddenSize
  for (let first = 0; first < pairs.length; first += batch) {
    signal?.throwIfAborted()
    const some = pairs.slice(first, first + batch)
    const texts = some.flatMap(({ positive, negative }) => [positive, negative])
    const { captured } = await model.run(texts, {
      capture: layers.map(name),
      at: "last",
      logits: false,
      ...(signal && { signal }),
    })
    for (const layer of layers) {
      const residuals = captured.get(name(layer))?.data as Float32Array
      const row = (i: number): Float32Array => residuals.subarray(i * width, (i + 1) * width)
      for (let i = 0; i < some.length; i++) visit(layer, first + i, row(2 * i), row(2 * i + 1))
    }
    onBatch?.(first + some.length)
  }
}

/**
 * The layers that the options ask for, ascending, after a check of everything that can be wrong before a model runs.
 *
 * @throws InputError for fewer than `least` pairs, a pair that is none, a layer that the model has not, a batch below 1
 */
export function checkedLayers(
  model: Model,
  pairs: readonly Pair[],
  { layers, batch }: PairOptions,
  least: number,
  why: string,
): number[] {
  const count = model.config.layers
  if (pairs.length < least) {
    const expected = `at least ${least === 1 ? "one pair" : `${least} pairs, for ${why}`}`
    throw new InputError({
      where: "pairs",
      expected,
      found: pairs.length === 0 ? "none" : `${pairs.length}`,
      todo: "give more pairs of texts",
    })
  }
  for (const [i, pair] of pairs.entries()) checkPair(pair, `pair ${i + 1}`)
  if (batch !== undefined && !(Number.isInteger(batch) && batch >= 1)) {
    throw new InputError({ where: "batch", expected: "a whole number of at least 1", found: `${batch}` })
  }
  if (layers === undefined) return Array.from({ length: count }, (_, layer) => layer)
  const bad = layers.find((layer) => !Number.isInteger(layer) || layer < 0 || layer >= count)
  if (bad !== undefined || layers.length === 0) {
    const found = bad === undefined ? "none" : `layer ${bad}`
    throw new InputError({ where: "layers", expected: `layers 0 to ${count - 1} of this model`, found })
  }
  return [...new Set(layers)].sort((a, b) => a - b)
}
