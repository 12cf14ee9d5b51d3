import type { LayerQuality, VectorQuality } from "./quality.ts"

/** Below this accuracy of the best layer nothing is suggested: the pairs show no direction. */
const LEAST_ACCURACY = 0.75
const ACCURACY_MARGIN = 0.05
const AGREEMENT_MARGIN = 0.1

/**
 * The layers to steer at, ascending and without gaps, that a quality report speaks for; none when even the best layer puts
 * fewer than 75 % of the held-out texts on their side.
 *
 * The rule: leave out the model's first and last layer, where a direction is of tokens rather than of meaning; keep the
 * layers whose accuracy is within 0.05 and whose agreement is within 0.1 of the best; take the longest run of neighbours
 * (of equal ones the one that agrees best), and of it at most half as many layers as the model has, nearest its middle.
 *
 * The report cannot say how far a model bears steering: it suggests where to look, and `findRedline` says the rest.
 */
export function suggestLayers({ layers, modelLayers }: Pick<VectorQuality, "layers" | "modelLayers">): number[] {
  const inner = modelLayers > 2 ? layers.filter(({ layer }) => layer > 0 && layer < modelLayers - 1) : layers
  const bestAccuracy = Math.max(...inner.map(({ accuracy }) => accuracy))
  if (!(bestAccuracy >= LEAST_ACCURACY)) return []
  const accurate = inner.filter(({ accuracy }) => accuracy >= bestAccuracy - ACCURACY_MARGIN)
  const bestAgreement = Math.max(...accurate.map(({ agreement }) => agreement))
  const runs = neighbours(accurate.filter(({ agreement }) => agreement >= bestAgreement - AGREEMENT_MARGIN))
  const longest = runs.reduce((a, b) =>
    b.length > a.length || (b.length === a.length && agreementOf(b) > agreementOf(a)) ? b : a,
  )
  return nearestMiddle(
    longest.map(({ layer }) => layer),
    modelLayers,
  )
}

/** The middle third of a model's layers: where a direction means most is there in the papers on steering. */
export function middleThird(layers: number): number[] {
  const first = Math.floor(layers / 3)
  const end = Math.max(first + 1, Math.round((2 * layers) / 3))
  return Array.from({ length: end - first }, (_, i) => first + i)
}

function neighbours(layers: readonly LayerQuality[]): LayerQuality[][] {
  const runs: LayerQuality[][] = []
  for (const one of layers) {
    const run = runs.at(-1)
    if (run?.at(-1)?.layer === one.layer - 1) run.push(one)
    else runs.push([one])
  }
  return runs
}

function agreementOf(run: readonly LayerQuality[]): number {
  return run.reduce((sum, { agreement }) => sum + agreement, 0) / run.length
}

function nearestMiddle(run: readonly number[], modelLayers: number): number[] {
  const size = Math.min(run.length, Math.ceil(modelLayers / 2))
  const wanted = Math.floor((modelLayers - size) / 2) - (run[0] as number)
  const start = Math.max(0, Math.min(wanted, run.length - size))
  return run.slice(start, start + size)
}
