import { expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { averageMetrics, metricNames, metrics, nll, parseMetricName, vocab } from "../../src/steering/metrics.ts"

const scores = { logprobs: [-1, -2, -6], vocabMeans: [-10, -12, -20], entropies: [0.5, 1, 1.5] }

test("nll is the mean negative log-prob, vocab minus the mean of the vocabulary means", () => {
  expect(metrics.nll.compute(scores)).toBe(3)
  expect(metrics.vocab.compute(scores)).toBe(14)
  expect(nll(Float32Array.of(-0.5, -1))).toBe(0.75)
  expect(vocab(Float32Array.of(-8))).toBe(8)
})

test("what is impossible to the model stays visible", () => {
  expect(nll([-1, -Infinity])).toBe(Infinity)
  expect(nll([-1, NaN])).toBeNaN()
})

test("each prompt counts the same, however long its completion", () => {
  const short = { logprobs: [-1], vocabMeans: [-4], entropies: [0] }
  expect(averageMetrics([scores, short])).toEqual({ nll: 2, vocab: 9 })
})

test("nothing to score is an error", () => {
  const empty = { logprobs: [], vocabMeans: [], entropies: [] }
  for (const name of metricNames) expect(() => metrics[name].compute(empty)).toThrow(InputError)
  expect(() => averageMetrics([scores, empty])).toThrow(/^completion: .*found none$/)
  expect(() => averageMetrics([])).toThrow(/^completions: .*found none$/)
})

test("names are checked, and agree with the registry", () => {
  expect(metricNames).toEqual(["nll", "vocab"])
  for (const name of metricNames) expect(metrics[name].name).toBe(name)
  expect(parseMetricName("vocab")).toBe("vocab")
  expect(() => parseMetricName("toString", "--metric")).toThrow('--metric: expected nll or vocab, found "toString"')
})
