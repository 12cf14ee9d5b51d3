import { afterAll, beforeAll, expect, test } from "vitest"
import type { Model } from "../../src/engine/model.ts"
import { openDevice } from "../../src/node/dawn.ts"
import { randomModel } from "../helpers/models.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import { logSoftmax, type ReferenceLlama } from "../reference/llama.ts"

const vocab = 131
let model: Model
let reference: ReferenceLlama
const options = { seed: 51, vocab, layers: 2, hidden: 60, intermediate: 92, headDim: 12 } as const
beforeAll(async () => {
  ;({ model, reference } = await randomModel(options))
})
afterAll(() => model.dispose())

const next = random(6)
const randomIds = (length: number): number[] => Array.from({ length }, () => Math.floor(((next() + 1) / 2) * vocab))
const direction = Float32Array.from({ length: 60 }, () => next())
const prompts = [randomIds(4), randomIds(11), randomIds(7)]
const coefficients = [0, 2, -1.5]
const steering = [{ vector: { directions: new Map([[0, direction]]) }, coefficient: coefficients }]
const generation = { tokens: 11, repetitionPenalty: 1.1, steering }

test("both evaluators' numbers and the divergence agree with float64", async () => {
  const judged = await model.judge(prompts, generation)
  expect(judged.map(({ ids }) => ids)).toEqual((await model.complete(prompts, generation)).map(({ ids }) => ids))
  for (const [row, { ids, unsteered, steered, divergences }] of judged.entries()) {
    const prompt = prompts[row]!
    const all = [...prompt, ...ids]
    const distributions = (coefficient: number): Float64Array[] =>
      reference
        .forward(all, { steering: [{ layer: 0, vector: direction, coefficient }] })
        .logits.slice(prompt.length - 1, -1)
        .map((logits) => logSoftmax(logits))
    const [plain, own] = [distributions(0), distributions(coefficients[row]!)]
    const within = { absolute: 1e-4, relative: 0 }
    for (const [scores, expected] of [
      [unsteered, plain],
      [steered, own],
    ] as const) {
      expectClose(
        scores.logprobs,
        expected.map((lp, i) => lp[ids[i]!]!),
        within,
        `log-probs, row ${row}`,
      )
      expectClose(
        scores.vocabMeans,
        expected.map((lp) => lp.reduce((a, b) => a + b, 0) / vocab),
        within,
        `means, row ${row}`,
      )
      expectClose(
        scores.entropies,
        expected.map((lp) => -lp.reduce((a, b) => a + Math.exp(b) * b, 0)),
        within,
        `entropies, row ${row}`,
      )
    }
    const kl = own.map((q, i) => q.reduce((sum, logQ, id) => sum + Math.exp(logQ) * (logQ - plain[i]![id]!), 0))
    expectClose(divergences, kl, within, `divergences, row ${row}`)
  }
  expectClose(
    judged[0]!.divergences,
    judged[0]!.ids.map(() => 0),
    { absolute: 1e-5, relative: 0 },
  )
})

test("rows that need several pieces are judged the same", async () => {
  using device = await openDevice({ debug: true, maxBinding: 16 * 1024 })
  const narrow = await randomModel(options, device)
  using owned = narrow.model
  const many = [...prompts, ...prompts, ...prompts]
  const repeated = [{ ...steering[0]!, coefficient: [...coefficients, ...coefficients, ...coefficients] }]
  const pieces = await owned.judge(many, { ...generation, steering: repeated })
  const whole = await model.judge(prompts, generation)
  for (const [i, { ids, divergences, steered }] of pieces.entries()) {
    expect(ids).toEqual(whole[i % 3]!.ids)
    expectClose(divergences, whole[i % 3]!.divergences, { absolute: 1e-4, relative: 0 })
    expectClose(steered.logprobs, whole[i % 3]!.steered.logprobs, { absolute: 1e-4, relative: 0 })
  }
})
