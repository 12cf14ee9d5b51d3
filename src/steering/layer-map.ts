import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import { checkCoefficients } from "./coefficients.ts"
import {
  encodePrompts,
  type EncodedPrompt,
  type FindOptions,
  type FindProgress,
  findRedline,
  findSettings,
  type FindSettings,
  type FoundRedline,
} from "./find.ts"
import { mean } from "./numbers.ts"
import { residualUnit } from "./residual-unit.ts"
import type { SteeringVector } from "./vector.ts"

/** 0 to 1 by 0.05, in lengths of the residual stream: on the embedded model the redlines of layers and pairs lie within. */
export const RELATIVE_COEFFICIENTS: readonly number[] = Array.from({ length: 21 }, (_, i) => i / 20)

export interface LayerMapOptions extends Pick<
  FindOptions,
  "prompts" | "prompt" | "tokens" | "repetitionPenalty" | "metric" | "threshold" | "signal"
> {
  /** The sets of layers to steer at; {@link layerSets} of the vector's unless told. */
  readonly sets?: readonly (readonly number[])[]
  /**
   * Ascending, in lengths of the residual stream: at 1 the vector is as long as the mean residual it is added to, as `unit` of
   * {@link FoundRedline} says. {@link RELATIVE_COEFFICIENTS} unless told.
   */
  readonly coefficients?: readonly number[]
  readonly onProgress?: (progress: LayerMapProgress) => void
}

export interface LayerMapProgress {
  /** The set that is searched. */
  readonly layers: readonly number[]
  /** Sets that are done, of all. */
  readonly done: number
  readonly total: number
  /** How far the search of this set is. */
  readonly search: FindProgress
}

/** What steering one set of layers does, at one coefficient. */
export interface LayerMapPoint {
  readonly relative: number
  /** The vector's own. */
  readonly coefficient: number
  /** The watched metric, the mean over prompts. */
  readonly metric: number
  /** How far the metric is from its baseline on the way to its threshold: 0 at the baseline, 1 at the threshold. */
  readonly distance: number
}

/** How far a set of layers moves the model at its redline, where the text still makes sense. */
export interface LayerEffect {
  /** `kl-p50`, the mean over prompts of the median over tokens of KL(steered || unsteered), in nats. */
  readonly divergence: number
  /** The mean share of a completion's tokens that differ from the unsteered one's, place by place. */
  readonly changed: number
}

/** A set of layers and its redline. */
export interface MappedSet {
  /** Ascending. */
  readonly layers: readonly number[]
  /** The coefficient at which the vector is as long as the mean residual, averaged over the set. */
  readonly unit: number
  readonly found: FoundRedline
  /** The curve on the axis that the sets share. */
  readonly points: readonly LayerMapPoint[]
  /** `found.max`, in the vector's own coefficients; null when the metric never crosses. */
  readonly redline: number | null
  readonly relativeRedline: number | null
  /** `found.minimum`, from which the vector takes hold. */
  readonly minimum: number | null
  readonly relativeMinimum: number | null
  /** At the redline; null without one. */
  readonly effect: LayerEffect | null
}

export interface LayerMap {
  /** In the order asked for. */
  readonly sets: readonly MappedSet[]
  /** The set to try first, see {@link mapLayers}; null when no set has a redline above 0. A suggestion, no more. */
  readonly suggested: MappedSet | null
  readonly prompts: readonly EncodedPrompt[]
  /** `coefficients` are the relative ones. */
  readonly settings: FindSettings & { readonly coefficients: readonly number[] }
  /** Whether the search was aborted: later sets are then missing, and the last may be cut short. */
  readonly stopped: boolean
}

/** Each layer alone, then each pair of neighbours. */
export function layerSets(layers: readonly number[]): number[][] {
  const sorted = [...new Set(layers)].sort((a, b) => a - b)
  const pairs = sorted.filter((layer) => sorted.includes(layer + 1)).map((layer) => [layer, layer + 1])
  return [...sorted.map((layer) => [layer]), ...pairs]
}

/**
 * Finds the redline of each of several sets of layers, so that the layers to steer at can be chosen. The sets share an axis:
 * coefficients are given in lengths of the residual stream, and every set's own are multiples of its unit.
 *
 * `suggested` is the set with the largest divergence at its redline (`effect.divergence`): the one that moves the predictions
 * furthest while the text still makes sense. It is a suggestion: it does not know whether they move towards the topic, the
 * redline is known to a step of the axis, and sets whose redline lies beyond the axis do not take part. Read the texts.
 *
 * @param vector With a direction for every layer of any set.
 * @returns the sets in their order. Aborted, those known by then, with `stopped`
 * @throws InputError for no sets, an empty one, one given twice, layers that vector or model lack, and what {@link findRedline}
 * throws; the signal's reason when aborted before the first set's baseline is known
 * @example
 * const { sets, suggested } = await mapLayers(model, vector, { sets: [[2], [3], [3, 4]], prompt: "I am talking about" })
 */
export async function mapLayers(model: Model, vector: SteeringVector, options: LayerMapOptions = {}): Promise<LayerMap> {
  const relative = options.coefficients ?? RELATIVE_COEFFICIENTS
  checkCoefficients(relative)
  const settings = { ...findSettings(options), coefficients: relative }
  const asked = checkSets(options.sets ?? layerSets(vector.layers))
  const sets = asked.map((layers) => vector.select(layers))
  for (const set of sets) set.checkAgainst(model.config)
  const prompts = encodePrompts(model, options, settings.tokens)
  const mapped: MappedSet[] = []
  const { signal, onProgress } = options
  for (const [done, set] of sets.entries()) {
    const report = (search: FindProgress): void => onProgress?.({ layers: set.layers, done, total: sets.length, search })
    const search = { ...settings, prompts, onProgress: report, ...(signal && { signal }) }
    const next = await mapSet(model, set, relative, search).catch((error: unknown) => {
      if (signal?.aborted && error === signal.reason && mapped.length > 0) return undefined
      throw error
    })
    if (next) mapped.push(next)
    if (!next || next.found.stopped) break
  }
  const stopped = mapped.length < sets.length || mapped.some(({ found }) => found.stopped)
  return { sets: mapped, suggested: suggestedOf(mapped), prompts, settings, stopped }
}

/**
 * The sets with their layers ascending, each once.
 * @throws InputError for none, an empty one, or one given twice
 */
export function checkSets(sets: readonly (readonly number[])[], where = "sets"): number[][] {
  const sorted = sets.map((layers) => [...new Set(layers)].sort((a, b) => a - b))
  if (sorted.length === 0 || sorted.some((layers) => layers.length === 0)) {
    const found = sorted.length === 0 ? "none" : "a set without layers"
    throw new InputError({ where, expected: "sets of at least one layer", found, todo: "name the layers of each" })
  }
  const names = sorted.map((layers) => layers.join(", "))
  const twice = new Set(names.filter((name, i) => names.indexOf(name) !== i))
  if (twice.size === 0) return sorted
  const found = [...twice].map((name) => `layers ${name}`).join(" and ")
  throw new InputError({ where, expected: "each set once", found: `${found} again`, todo: "leave the repetition out" })
}

async function mapSet(
  model: Model,
  vector: SteeringVector,
  relative: readonly number[],
  search: Omit<FindOptions, "prompts"> & { readonly prompts: readonly EncodedPrompt[] },
): Promise<MappedSet> {
  search.signal?.throwIfAborted()
  const unit = await residualUnit(
    model,
    vector,
    search.prompts.map(({ ids }) => ids),
  )
  const coefficients = relative.map((multiple) => ownOf(multiple, unit))
  return mappedSet(await findRedline(model, vector, { ...search, coefficients }), relative)
}

/** A finished search, on the axis of its relative coefficients. */
export function mappedSet(found: FoundRedline, relative: readonly number[]): MappedSet {
  const { layers, unit, max, minimum, curve, baseline, threshold } = found
  const onAxis = new Map(relative.map((multiple) => [ownOf(multiple, unit), multiple]))
  const relativeOf = (own: number): number => onAxis.get(own) ?? own / unit
  const points = curve.map(({ coefficient, metric }): LayerMapPoint => {
    // A baseline of 0 under a relative threshold leaves no distance to go: what differs from it is beyond.
    const distance = metric === baseline ? 0 : Number.isFinite(metric) ? (metric - baseline) / (threshold - baseline) : Infinity
    return { relative: relativeOf(coefficient), coefficient, metric, distance }
  })
  return {
    layers,
    unit,
    found,
    points,
    redline: max,
    relativeRedline: max === null ? null : relativeOf(max),
    minimum,
    relativeMinimum: minimum === null ? null : relativeOf(minimum),
    effect: effectAt(found, max),
  }
}

/** Six digits: legible, and finer than any axis. */
const ownOf = (relative: number, unit: number): number => Number((relative * unit).toPrecision(6))

function effectAt({ curve }: FoundRedline, coefficient: number | null): LayerEffect | null {
  const plain = curve.find((point) => point.coefficient === 0)
  const point = curve.find((each) => each.coefficient === coefficient)
  if (!plain || !point) return null
  const changed = point.completions.map(({ ids }, i) => changedShare(ids, plain.completions[i]?.ids ?? []))
  return { divergence: point.metrics["kl-p50"], changed: mean(changed) }
}

function suggestedOf(sets: readonly MappedSet[]): MappedSet | null {
  let best: MappedSet | null = null
  for (const set of sets) {
    if ((set.redline ?? 0) > 0 && (set.effect?.divergence ?? 0) > (best?.effect?.divergence ?? 0)) best = set
  }
  return best
}

/** The share of a completion's tokens that differ from another's, place by place. */
export function changedShare(ids: readonly number[], plain: readonly number[]): number {
  const length = Math.max(ids.length, plain.length)
  const changed = Array.from({ length }, (_, i) => ids[i] !== plain[i]).filter(Boolean).length
  return length === 0 ? 0 : changed / length
}
