import type { LayerQuality } from "../index.ts"
import { counted, ranges, short, table } from "./text.ts"
import type { Trained } from "./train-vectors.ts"
import { describeVector } from "./vectors.ts"

/** One vector, layer by layer, with its quality where it is known. */
export function describeTrained(trained: Trained): string[] {
  const { vector, quality, suggested, out, source } = trained
  const from = source.pairs.length === 0 ? source.from : counted(source.pairs.length, "pair")
  const summary = `${out}: ${vector.metadata.method} of ${from}, layers ${ranges(vector.layers)}, width ${vector.width}`
  if (!quality || !suggested) return [...normTable(vector.norms()), "", summary]
  return [...qualityTable(quality, suggested), "", suggestion(quality, suggested), summary]
}

/** Several vectors, a line each. */
export function describeAll(all: readonly Trained[]): string[] {
  const judged = all.some(({ quality }) => quality !== undefined)
  const heading = ["file", "pairs", "layers", "norm", ...(judged ? ["accuracy", "agreement", "suggested"] : [])]
  const rows = all.map(({ out, source, vector, quality = [], suggested = [] }) => {
    const norms = [...vector.norms().values()]
    const best = quality.reduce<LayerQuality | undefined>((a, b) => (a && a.accuracy >= b.accuracy ? a : b), undefined)
    const judgement = [
      best?.accuracy.toFixed(2) ?? "",
      best?.agreement.toFixed(2) ?? "",
      suggested.length > 0 ? ranges(suggested) : "none",
    ]
    const mean = norms.reduce((a, b) => a + b, 0) / norms.length
    return [out, `${source.pairs.length}`, ranges(vector.layers), short(mean), ...(judged ? judgement : [])]
  })
  return table(
    [heading, ...rows],
    ["left", "right", "left", "right", "right", "right", "left"].slice(0, heading.length) as ("left" | "right")[],
  )
}

/** A vector as the JSON has it. */
export function trainedDocument({ vector, out, quality, suggested }: Trained): Record<string, unknown> {
  return { vector: describeVector(vector), out, quality, suggested }
}

function normTable(norms: ReadonlyMap<number, number>): string[] {
  return table([["layer", "norm"], ...[...norms].map(([layer, norm]) => [`${layer}`, norm.toFixed(4)])], ["right", "right"])
}

function qualityTable(quality: readonly LayerQuality[], suggested: readonly number[]): string[] {
  const rows = quality.map(({ layer, accuracy, effect, agreement, norm, residualNorm }) => [
    `${layer}`,
    accuracy.toFixed(2),
    effect.toFixed(2),
    agreement.toFixed(2),
    norm.toFixed(4),
    (norm / residualNorm).toFixed(4),
    suggested.includes(layer) ? "suggested" : "",
  ])
  const heading = ["layer", "accuracy", "effect", "agreement", "norm", "norm/residual", ""]
  return table([heading, ...rows], ["right", "right", "right", "right", "right", "right", "left"])
}

function suggestion(quality: readonly LayerQuality[], suggested: readonly number[]): string {
  if (suggested.length > 0) return `suggested layers, of those looked at: ${ranges(suggested)}`
  const best = Math.max(...quality.map(({ accuracy }) => accuracy))
  return `no layer is suggested: held-out texts come apart with an accuracy of ${best.toFixed(2)} at best (0.5 is chance)`
}
