import type { Sae } from "../../src/engine/sae.ts"
import { fractionUnexplainedPerLayer } from "../../src/engine/sae-features.ts"
import type { Model } from "../../src/index.ts"
import { vectorTokens } from "../../src/steering/lens.ts"
import { featureVector } from "../../src/steering/sae-vector.ts"
import { residualsOf } from "./data.ts"

/** What a feature does on held-out text. */
export interface FeatureReport {
  readonly feature: number
  /** The share of tokens at which it is among the k strongest. */
  readonly share: number
  /** Where it is strongest, each with the words before it; the token itself in bold. */
  readonly contexts: readonly string[]
  /** The tokens that its direction makes likeliest through the final norm and the head. */
  readonly promotes: readonly string[]
}

export interface LayerReport {
  readonly layer: number
  /** Of held-out text, by the layer whose output is described: this one's and its neighbours'. */
  readonly unexplained: ReadonlyMap<number, number>
  /** Of the text it was trained on. */
  readonly unexplainedInTraining: number
  /** Features that no token of the training text uses. */
  readonly dead: number
  readonly features: readonly FeatureReport[]
}

const SHOWN = 12
const CONTEXTS = 3
const WORDS_BEFORE = 6

/** Measures an autoencoder on text that it was trained on (its residuals) and on text that it was not. */
export async function reportOn(
  model: Model,
  sae: Sae,
  training: Float32Array,
  heldOut: readonly (readonly number[])[],
): Promise<LayerReport> {
  const used = new Set(strong(await sae.encode(training)).map(({ feature }) => feature))
  return {
    layer: sae.layer,
    unexplained: await fractionUnexplainedPerLayer(model, sae, heldOut),
    unexplainedInTraining: await sae.fractionOfVarianceUnexplained(training),
    dead: sae.latents - used.size,
    features: await describe(model, sae, heldOut),
  }
}

interface Use {
  readonly row: number
  readonly feature: number
  readonly activation: number
}

function strong({ k, indices, values }: Awaited<ReturnType<Sae["encode"]>>): Use[] {
  const all = [...values].map((activation, i) => ({ row: Math.floor(i / k), feature: indices[i] as number, activation }))
  return all.filter(({ activation }) => activation > 0)
}

/** The features that stand out: strong where they are used, at few tokens, and each at other tokens. */
async function describe(model: Model, sae: Sae, texts: readonly (readonly number[])[]): Promise<FeatureReport[]> {
  const places = texts.flatMap((ids) => ids.slice(1).map((_, i) => ({ ids, position: i + 1 })))
  const rows = (await residualsOf(model, texts, [sae.layer])).get(sae.layer) as Float32Array
  const uses = new Map<number, Use[]>()
  for (const use of strong(await sae.encode(rows))) uses.set(use.feature, [...(uses.get(use.feature) ?? []), use])
  const rare = [...uses.values()].filter((own) => own.length >= CONTEXTS && own.length < places.length / 20)
  for (const own of rare) own.sort((a, b) => b.activation - a.activation)
  rare.sort(([a], [b]) => (b?.activation ?? 0) - (a?.activation ?? 0))
  const reports: FeatureReport[] = []
  const seen = new Set<number>()
  for (const own of rare) {
    const [first] = own as [Use]
    const { ids, position } = places[first.row] as (typeof places)[number]
    if (seen.has(ids[position] as number) || reports.length === SHOWN) continue
    seen.add(ids[position] as number)
    const contexts = own.slice(0, CONTEXTS).map(({ row }) => context(model, places[row] as (typeof places)[number]))
    const promotes = await promoted(model, sae, first.feature)
    reports.push({ feature: first.feature, share: own.length / places.length, contexts, promotes })
  }
  return reports
}

function context(model: Model, { ids, position }: { readonly ids: readonly number[]; readonly position: number }): string {
  const before = model.decode(ids.slice(Math.max(1, position - WORDS_BEFORE), position)) ?? ""
  const token = model.decode(ids.slice(position, position + 1)) ?? ""
  return `…${before}**${token.trim() || "¶"}**`
}

async function promoted(model: Model, sae: Sae, feature: number): Promise<string[]> {
  const { top } = await vectorTokens(model, await featureVector(model, sae, feature), sae.layer, 5)
  return top.map(({ id, text }) => (text === undefined ? `token ${id}` : text.trim() || "¶"))
}
