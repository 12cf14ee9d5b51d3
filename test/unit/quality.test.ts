import { describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import type { Model } from "../../src/engine/model.ts"
import { vectorQuality, type QualityProgress } from "../../src/steering/quality.ts"
import { halves } from "../../src/steering/spread.ts"

const PAIRS = 8
const pairs = Array.from({ length: PAIRS }, (_, i) => ({ positive: `${i}+`, negative: `${i}-` }))
const [first, second] = halves(PAIRS)

/** The residual [4] after each layer for a side (1 or -1) of a pair: what there is to find is known. */
const layers: readonly ((pair: number, side: number) => readonly number[])[] = [
  // The sides lie at 3 and -3, always.
  (_, side) => [3 * side, 0, 0, 4],
  // Around 2 and -2, half of each half of the pairs 1 above and the other half 1 below.
  (pair, side) => [0, 2 * side + placeInHalf(pair), 0, 0],
  // The halves contradict one another.
  (pair, side) => [0, 0, first.includes(pair) ? 3 * side : -side, 0],
]

function placeInHalf(pair: number): number {
  return (first.includes(pair) ? first : second).indexOf(pair) % 2 === 0 ? 1 : -1
}

/** As much of a model as the report needs, whose residuals are {@link layers}. */
const model = {
  name: "made up",
  config: { layers: layers.length, hiddenSize: 4 },
  run: (texts: readonly string[], { capture }: { capture: readonly string[] }) => {
    const rows = (name: string): number[] =>
      texts.flatMap((text) => [...layers[Number(name.split(".")[1])]!(Number.parseInt(text, 10), text.endsWith("+") ? 1 : -1)])
    return Promise.resolve({ captured: new Map(capture.map((name) => [name, { data: Float32Array.from(rows(name)) }])) })
  },
} as unknown as Model

describe("the quality report of what is known", () => {
  test.each(["mean", "pca-center"] as const)("%s", async (method) => {
    const { vector, layers: report } = await vectorQuality(model, pairs, { method, layers: [0, 1] })
    expect(vector.layers).toEqual([0, 1])
    expect(report[0]).toEqual({
      layer: 0,
      accuracy: 1,
      effect: Infinity,
      agreement: expect.closeTo(1, 12),
      norm: expect.closeTo(method === "mean" ? 6 : 1, 6),
      residualNorm: 5,
    })
    // Sample variance of 1, -1, 1, -1 is 4/3.
    expect(report[1]).toEqual({
      layer: 1,
      accuracy: 1,
      effect: expect.closeTo(4 / Math.sqrt(4 / 3), 6),
      agreement: expect.closeTo(1, 12),
      norm: expect.closeTo(method === "mean" ? 4 : 1, 6),
      residualNorm: 2,
    })
  })

  test("halves that contradict one another", async () => {
    const [report] = (await vectorQuality(model, pairs, { layers: [2] })).layers
    expect(report).toMatchObject({ accuracy: 0, agreement: -1, effect: -Infinity, norm: 2, residualNorm: 2 })
  })

  test("the vector is the trained one, and both stages report progress", async () => {
    const seen: QualityProgress[] = []
    await vectorQuality(model, pairs, { layers: [0], batch: 5, onProgress: (progress) => seen.push(progress) })
    expect(seen.map(({ stage, done, total }) => `${stage} ${done}/${total}`)).toEqual([
      "training 5/8",
      "training 8/8",
      "judging 5/8",
      "judging 8/8",
    ])
  })

  test.each([3, 1, 0])("%i pairs are too few", async (count) => {
    const report = vectorQuality(model, pairs.slice(0, count))
    await expect(report).rejects.toThrow(InputError)
    await expect(report).rejects.toThrow(new RegExp(`^pairs: expected at least 4 pairs to judge a vector by, found ${count}; `))
  })
})

describe("halves", () => {
  test("hold everything once, the first one more of an odd number", () => {
    for (const count of [0, 1, 2, 7, 64, 1001]) {
      const [a, b] = halves(count)
      expect(a.length - b.length).toBe(count % 2)
      expect([...a, ...b].sort((x, y) => x - y)).toEqual(Array.from({ length: count }, (_, i) => i))
      for (const half of [a, b]) expect(half).toEqual([...half].sort((x, y) => x - y))
    }
  })

  test.each([2, 3, 4, 5, 8, 16])("share out what recurs at every %ith place", (period) => {
    const [a] = halves(40 * period)
    for (let rest = 0; rest < period; rest++) {
      const share = a.filter((i) => i % period === rest).length / 40
      expect(share).toBeGreaterThanOrEqual(0.4)
      expect(share).toBeLessThanOrEqual(0.6)
    }
  })
})
