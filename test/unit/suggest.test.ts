import { expect, test } from "vitest"
import type { LayerQuality } from "../../src/steering/quality.ts"
import { suggestLayers } from "../../src/steering/suggest.ts"

/** A report of layers 0, 1, 2, …, or of those that are not undefined. */
function report(
  accuracies: readonly (number | undefined)[],
  agreements: readonly number[] = [],
): Parameters<typeof suggestLayers>[0] {
  const layers = accuracies.flatMap((accuracy, layer): LayerQuality[] =>
    accuracy === undefined ? [] : [{ layer, accuracy, agreement: agreements[layer] ?? 0.9, effect: 1, norm: 1, residualNorm: 1 }],
  )
  return { layers, modelLayers: accuracies.length }
}

test.each<[string, Parameters<typeof suggestLayers>[0], number[]]>([
  ["the run of accurate layers", report([0.6, 0.7, 0.97, 1, 0.6, 0.6]), [2, 3]],
  ["but the first and the last", report([1, 1, 1, 1]), [1, 2]],
  ["no gap in it: the longest run", report([0.5, 1, 0.5, 1, 1, 0.5]), [3, 4]],
  ["of runs as long, the one that agrees best", report([0.5, 1, 1, 0.5, 1, 1, 0.5], [0, 0.9, 0.9, 0, 0.95, 0.9, 0]), [4, 5]],
  ["where halves disagree, not", report([0.5, 1, 1, 1, 1, 0.5], [0.9, 0.3, 0.92, 0.99, 0.7, 0.9]), [2, 3]],
  ["half of the layers at most, in the middle", report(Array.from({ length: 12 }, () => 1)), [3, 4, 5, 6, 7, 8]],
  [
    "half of the layers at most, as near the middle as the run is",
    report([0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1]),
    [4, 5, 6, 7, 8],
  ],
  ["half of the layers at most, when the run is early", report([1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]), [1, 2, 3, 4, 5]],
  ["a single layer", report([0.5, 0.5, 1, 0.5]), [2]],
  ["all of a very small model", report([1, 1]), [0]],
  ["layers that were not asked about are a gap", report([undefined, 1, undefined, 0.98, 1, undefined]), [3, 4]],
  ["nothing when no layer tells the sides apart", report([1, 0.6, 0.74, 0.5, 1]), []],
  ["nothing when none but the ends was asked about", report([1, undefined, undefined, 1]), []],
])("suggests %s", (_, given, layers) => {
  expect(suggestLayers(given)).toEqual(layers)
})
