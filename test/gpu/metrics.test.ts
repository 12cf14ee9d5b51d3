import { afterAll, beforeAll, test } from "vitest"
import type { Model } from "../../src/engine/model.ts"
import { computeMetrics, type MetricInput, metricNames } from "../../src/steering/metrics.ts"
import { randomModel } from "../helpers/models.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import { logSoftmax, type ReferenceLlama } from "../reference/llama.ts"

const vocab = 131
let model: Model
let reference: ReferenceLlama
beforeAll(async () => {
  ;({ model, reference } = await randomModel({ seed: 61, vocab, layers: 2, hidden: 60, intermediate: 92, headDim: 12 }))
})
afterAll(() => model.dispose())

const next = random(9)
const direction = Float32Array.from({ length: 60 }, () => next())
const prompts = [5, 12, 8].map((length) => Array.from({ length }, () => Math.floor(((next() + 1) / 2) * vocab)))
const coefficients = [0, 1, -2]

/** What the engine should have measured, from the float64 model's distributions. */
function expectedInput(prompt: readonly number[], ids: readonly number[], coefficient: number): MetricInput {
  const distributions = (c: number): Float64Array[] =>
    reference
      .forward([...prompt, ...ids], { steering: [{ layer: 1, vector: direction, coefficient: c }] })
      .logits.slice(prompt.length - 1, -1)
      .map((logits) => logSoftmax(logits))
  const scores = (rows: readonly Float64Array[]) => ({
    logprobs: Float64Array.from(rows, (lp, i) => lp[ids[i]!]!),
    vocabMeans: Float64Array.from(rows, (lp) => lp.reduce((a, b) => a + b, 0) / vocab),
    entropies: Float64Array.from(rows, (lp) => -lp.reduce((a, b) => a + Math.exp(b) * b, 0)),
  })
  const [plain, own] = [distributions(0), distributions(coefficient)]
  const divergences = own.map((q, i) => q.reduce((sum, logQ, id) => sum + Math.exp(logQ) * (logQ - plain[i]![id]!), 0))
  return { ids, unsteered: scores(plain), steered: scores(own), divergences }
}

test("every metric of every completion is within 1e-4 of float64", async () => {
  const steering = [{ vector: { directions: new Map([[1, direction]]) }, coefficient: coefficients }]
  const judged = await model.judge(prompts, { tokens: 14, repetitionPenalty: 1.1, steering })
  const actual = computeMetrics(judged)
  const expected = computeMetrics(judged.map(({ ids }, row) => expectedInput(prompts[row]!, ids, coefficients[row]!)))
  for (const [row, metrics] of actual.entries()) {
    for (const name of metricNames) {
      // Perplexities are exponentials: their bound is relative.
      const relative = name.includes("perplexity") ? 1e-4 : 0
      expectClose([metrics[name]], [expected[row]![name]], { absolute: 1e-4, relative }, `${name}, row ${row}`)
    }
  }
})
