import { InputError } from "./errors.ts"
import type { Model, Prompt } from "./model.ts"
import type { Sae, SaeOptions } from "./sae.ts"

export interface FeatureOptions extends SaeOptions {
  /**
   * Whether to leave out each text's first token; it is left out by default. Attention rests on it, which makes its residual many
   * times as long as the others and alike in every text: it drowns what the others say.
   */
  readonly skipFirst?: boolean
}

/** A token at which a feature is among the strongest. */
export interface FeatureUse {
  readonly position: number
  readonly id: number
  /** The token's text; undefined without a tokenizer. */
  readonly token: string | undefined
  readonly activation: number
}

export interface TopFeature {
  readonly feature: number
  /** Its largest activation. */
  readonly activation: number
  /** The strongest first. */
  readonly uses: readonly FeatureUse[]
}

export interface TopFeatures {
  readonly layer: number
  readonly ids: readonly number[]
  /** By falling activation. */
  readonly features: readonly TopFeature[]
  /** The share of the variance of this text's residuals that the autoencoder misses; undefined where they do not vary. */
  readonly unexplained: number | undefined
}

/**
 * The `count` features that are strongest anywhere in a text, each with the tokens at which it is among the sae.k strongest.
 * @throws InputError for a text that the model does not take or that has no token to look at, or an autoencoder of another model.
 * @example
 * const { features } = await topFeatures(model, sae, "I am talking about the sea.", 10)
 */
export async function topFeatures(
  model: Model,
  sae: Sae,
  prompt: Prompt,
  count: number,
  options: FeatureOptions = {},
): Promise<TopFeatures> {
  if (!Number.isInteger(count) || count < 1) {
    throw new InputError({ where: "count", expected: "a whole number of at least 1", found: `${count}` })
  }
  const ids = model.encode(prompt)
  const rows = await residualRows(model, [ids], sae, [sae.layer], options)
  const residuals = rows.get(sae.layer) as Float32Array
  const { k, indices, values } = await sae.encode(residuals, options)
  const first = ids.length - residuals.length / sae.width
  const uses = new Map<number, FeatureUse[]>()
  for (const [entry, activation] of values.entries()) {
    if (activation === 0) continue
    const position = first + Math.floor(entry / k)
    const id = ids[position] as number
    const feature = indices[entry] as number
    uses.set(feature, [...(uses.get(feature) ?? []), { position, id, token: model.tokenizer?.decode([id]), activation }])
  }
  const features = [...uses].map(([feature, own]) => {
    const sorted = own.sort((a, b) => b.activation - a.activation)
    return { feature, activation: (sorted[0] as FeatureUse).activation, uses: sorted }
  })
  features.sort((a, b) => b.activation - a.activation || a.feature - b.feature)
  const vary = residuals.some((x, i) => x !== residuals[i % sae.width])
  const unexplained = vary ? await sae.fractionOfVarianceUnexplained(residuals, options) : undefined
  return { layer: sae.layer, ids, features: features.slice(0, count), unexplained }
}

/**
 * The fraction of variance that an autoencoder leaves unexplained of each layer's output: lowest at the layer that it was trained
 * for, so that files whose numbers are off by one are seen.
 * @param layers 0-based; by default the autoencoder's own and its two neighbours
 * @throws InputError for no texts, a layer that the model has not, or an autoencoder of another model.
 * @example
 * const byLayer = await fractionUnexplainedPerLayer(model, sae, texts)
 */
export async function fractionUnexplainedPerLayer(
  model: Model,
  sae: Sae,
  prompts: readonly Prompt[],
  options: FeatureOptions & { readonly layers?: readonly number[] } = {},
): Promise<Map<number, number>> {
  const { layers: count } = model.config
  const neighbours = [sae.layer - 1, sae.layer, sae.layer + 1].filter((layer) => layer >= 0 && layer < count)
  const rows = await residualRows(model, prompts, sae, options.layers ?? neighbours, options)
  const fractions = new Map<number, number>()
  for (const [layer, residuals] of rows) fractions.set(layer, await sae.fractionOfVarianceUnexplained(residuals, options))
  return fractions
}

/** The residuals [tokens, width] after each layer, of all prompts one after the other. */
async function residualRows(
  model: Model,
  prompts: readonly Prompt[],
  sae: Sae,
  layers: readonly number[],
  { skipFirst = true, signal }: FeatureOptions,
): Promise<Map<number, Float32Array>> {
  const { hiddenSize: width, layers: count } = model.config
  if (sae.width !== width) {
    const todo = "choose an autoencoder of this model"
    throw new InputError({ where: sae.name, expected: `width ${width}, the model's`, found: `${sae.width}`, todo })
  }
  const bad = layers.find((layer) => !Number.isInteger(layer) || layer < 0 || layer >= count)
  if (bad !== undefined || layers.length === 0) {
    const found = bad === undefined ? "none" : `layer ${bad}`
    throw new InputError({ where: "layers", expected: `layers 0 to ${count - 1} of this model`, found })
  }
  const name = (layer: number): string => `blocks.${layer}.hook_resid_post`
  const capture = layers.map(name)
  const { captured, lengths } = await model.run(prompts, { capture, logits: false, ...(signal && { signal }) })
  const longest = Math.max(0, ...lengths)
  const from = skipFirst ? 1 : 0
  const tokens = lengths.reduce((sum, length) => sum + length - from, 0)
  if (tokens === 0) {
    const expected = skipFirst ? "a text of two tokens or more: the first is left out" : "at least one text"
    throw new InputError({ where: "text", expected, found: lengths.length === 0 ? "none" : "one token" })
  }
  return new Map(
    layers.map((layer) => {
      const data = captured.get(name(layer))?.data as Float32Array
      const rows = new Float32Array(tokens * width)
      let at = 0
      for (const [row, length] of lengths.entries()) {
        const own = data.subarray((row * longest + from) * width, (row * longest + length) * width)
        rows.set(own, at)
        at += own.length
      }
      return [layer, rows]
    }),
  )
}
