import { readFile } from "node:fs/promises"
import { beforeAll, describe, expect, test } from "vitest"
import type { Model } from "../../src/engine/model.ts"
import { findRedline, type FoundRedline } from "../../src/steering/find.ts"
import { defaultThreshold, findCrossing } from "../../src/steering/crossing.ts"
import { DEFAULT_METRIC, metrics } from "../../src/steering/metrics.ts"
import { type Pair, parsePairs } from "../../src/steering/pairs.ts"
import { trainVector } from "../../src/steering/train.ts"
import type { SteeringVector } from "../../src/steering/vector.ts"
import { loadDemo, tinyTalkFolder } from "../helpers/fixtures.ts"
import { tinyTalkModel } from "../helpers/models.ts"
import { expectClose } from "../helpers/numbers.ts"

const demo = loadDemo()
const topics = Object.entries(demo.topics)
/** The first coefficients of the curves, past every redline. */
const coefficients = demo.topics["bridge"]!.sweep.map(({ c }) => c).filter((c) => c <= 0.9)

let model: Model
const vectors = new Map<string, SteeringVector>()
const found = new Map<string, FoundRedline>()
beforeAll(async () => {
  model = await tinyTalkModel()
})

describe.each(topics)("%s", (topic, fixture) => {
  beforeAll(async () => {
    const vector = await trainVector(model, await pairsOf(topic), { layers: demo.layers })
    vectors.set(topic, vector)
    found.set(topic, await findRedline(model, vector, { prompts: demo.prompts, coefficients, metric: "nll" }))
  })

  test("the vector's norms are the reference's", async () => {
    expect(await pairsOf(topic)).toEqual(fixture.positive.map((positive, i) => ({ positive, negative: fixture.negative[i] })))
    const expected = demo.layers.map((layer) => fixture.vector_norms[layer]!)
    expectClose([...vectors.get(topic)!.norms().values()], expected, { absolute: 1e-3, relative: 0 })
  })

  test("nll is within 2 % of the reference curve up to 0.7", () => {
    const expected = fixture.sweep.filter(({ c }) => c <= 0.7)
    const curve = found.get(topic)!.curve.filter(({ coefficient }) => coefficient <= 0.7)
    expect(curve.map(({ coefficient }) => coefficient)).toEqual(expected.map(({ c }) => c))
    expectClose(
      curve.map(({ metric }) => metric),
      expected.map(({ nll }) => nll),
      { absolute: 0, relative: 0.02 },
    )
  })

  test("the redline is the reference's within one step", () => {
    const baseline = fixture.sweep[0]!.nll
    const crossing = fixture.sweep.findIndex(({ nll }) => nll >= 1.2 * baseline)
    expect(Math.abs(found.get(topic)!.max! - fixture.sweep[crossing - 1]!.c)).toBeLessThanOrEqual(0.1 + 1e-9)
  })
})

test("the bridge vector's redline is 0.7, and its text turns to the bridge before it", () => {
  const { max, crossing, curve } = found.get("bridge")!
  expect({ max, crossing }).toEqual({ max: 0.7, crossing: 0.8 })
  const textAt = (c: number): string =>
    curve
      .find(({ coefficient }) => coefficient === c)!
      .completions.map(({ text }) => text)
      .join("\n")
  expect(textAt(0)).not.toMatch(/bridge/)
  expect(textAt(0.6).match(/bridge/g)!.length).toBeGreaterThan(6)
})

test("the metric watched by default finds the bridge's redline too", async () => {
  const { curve } = found.get("bridge")!
  const points = curve.map(({ coefficient, metrics: { improbable } }) => ({ coefficient, value: improbable }))
  expect(
    findCrossing(points, points[0]!.value, defaultThreshold(metrics[DEFAULT_METRIC]), metrics[DEFAULT_METRIC]),
  ).toMatchObject({
    max: 0.7,
    crossing: 0.8,
  })
})

test("one coefficient at a time gives the same texts and metrics as one batch", async () => {
  const { curve, prompts } = found.get("bridge")!
  const vector = vectors.get("bridge")!
  for (const c of [0.4, 0.7, 0.9]) {
    const alone = await findRedline(model, vector, { prompts: prompts.map(({ ids }) => ids), coefficients: [c] })
    const point = alone.curve.find(({ coefficient }) => coefficient === c)!
    const together = curve.find(({ coefficient }) => coefficient === c)!
    expect(point.completions.map(({ text }) => text)).toEqual(together.completions.map(({ text }) => text))
    expectClose(Object.values(point.metrics), Object.values(together.metrics), { absolute: 1e-4, relative: 0 })
  }
})

test("auto finds the same redline as the grid, within its resolution", async () => {
  const vector = vectors.get("bridge")!
  const auto = await findRedline(model, vector, { prompts: demo.prompts.slice(0, 3), tokens: 16 })
  const grid = await findRedline(model, vector, {
    prompts: demo.prompts.slice(0, 3),
    tokens: 16,
    coefficients: Array.from({ length: 25 }, (_, i) => i / 25),
  })
  expect(auto.max).toBeLessThan(auto.crossing!)
  expect(Math.abs(auto.crossing! - grid.crossing!)).toBeLessThanOrEqual(0.04 + auto.crossing! / 16)
})

async function pairsOf(topic: string): Promise<Pair[]> {
  const file = `${tinyTalkFolder}/pairs/${topic}.jsonl`
  return parsePairs(await readFile(file, "utf8"), file)
}
