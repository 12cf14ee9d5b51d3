import { readFile } from "node:fs/promises"
import { beforeAll, describe, expect, test } from "vitest"
import type { Model } from "../../src/engine/model.ts"
import { Grammar } from "../../src/steering/grammar.ts"
import { parsePairs } from "../../src/steering/pairs.ts"
import { compareMethods, type StudiedTopic, studyTopics } from "../../src/steering/study-run.ts"
import { grammarTruth } from "../../src/steering/truth.ts"
import { trainVector } from "../../src/steering/train.ts"
import { loadDemo, tinyTalkFolder } from "../helpers/fixtures.ts"
import { tinyTalkModel } from "../helpers/models.ts"

const demo = loadDemo()
const coefficients = [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2]

let model: Model
let studied: StudiedTopic[]
beforeAll(async () => {
  model = await tinyTalkModel()
  const pairs = parsePairs(await readFile(`${tinyTalkFolder}/pairs/bridge.jsonl`, "utf8"))
  const vector = await trainVector(model, pairs, { layers: demo.layers })
  const grammar = Grammar.parse(await readFile(`${tinyTalkFolder}/grammar.json`, "utf8"), "grammar.json")
  studied = await studyTopics(model, [{ name: "bridge", vector }], {
    prompts: demo.prompts,
    coefficients,
    truth: grammarTruth(grammar),
  })
})

describe("the study of one topic", () => {
  test("judges every coefficient as the reference does", () => {
    const expected = demo.topics["bridge"]!.sweep.filter(({ c }) => coefficients.includes(c))
    const { curve, last } = studied[0]!
    for (const [i, { c, coherence: reference, on_topic }] of expected.entries()) {
      expect(curve[i]!.coefficient).toBe(c)
      if (c <= 0.8) expect(curve[i]!.onTopic).toBeCloseTo(on_topic, 2)
      // Where the text babbles, a near tie may break another way in float32.
      if (c <= 0.8) expect(curve[i]!.coherence).toBeCloseTo(reference, 2)
    }
    expect(last).toBe(0.8)
  })

  test("the steered model's loss on ordinary text starts at the unsteered loss and rises", () => {
    const losses = studied[0]!.curve.map(({ textLoss }) => textLoss!)
    expect(losses[0]).toBeLessThan(3)
    expect(losses.at(-1)).toBeGreaterThan(losses[0]! + 1)
  })

  test("every candidate picks, and alert on nll is within a step of the truth", () => {
    const scores = compareMethods(studied)
    expect(new Set(scores.map(({ method }) => method)).size).toBe(scores.length)
    const alert = scores.find(({ method }) => method === "alert nll +20 %")!
    expect(alert.coherent.value).toBe(1)
    expect(Math.abs(alert.picks[0]!.steps)).toBeLessThanOrEqual(1 + 1e-9)
  })
})

test("no topic, or a grid that leaves 0 out, is refused", async () => {
  const options = { prompts: ["I am"], coefficients, truth: { coherence: () => 1 } }
  await expect(studyTopics(model, [], options)).rejects.toThrow(/^study: expected at least one topic, found none/)
  await expect(studyTopics(model, [{ name: "x", vector: {} as never }], { ...options, coefficients: [1, 2] })).rejects.toThrow(
    /^coefficients: expected a grid from 0 on, found 1/,
  )
})
