import { expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import {
  computeMetrics,
  meanMetrics,
  type MetricInput,
  type MetricName,
  metricNames,
  metrics,
  nll,
  parseMetricName,
  quantile,
  unigramEntropy,
} from "../../src/steering/metrics.ts"

const of = (...values: number[]): Float64Array => Float64Array.from(values)

const completion: MetricInput = {
  ids: [7, 9, 7, 3],
  unsteered: { logprobs: of(-1, -2, -6, -3), vocabMeans: of(-10, -12, -20, -14), entropies: of(0.5, 1, 1.5, 3) },
  steered: { logprobs: of(-0.5, -1, -0.25, -0.25), vocabMeans: of(-20, -24, -22, -22), entropies: of(0.25, 0.5, 0.75, 0.5) },
  divergences: of(0, 3, 1, 2),
}
/** Three tokens, one twice: 1/2 log 2 + 2 (1/4 log 4), and its exp, 2 √2. */
const entropy = 1.5 * Math.LN2

const EXPECTED: Record<MetricName, [value: number, direction: "rises" | "falls"]> = {
  "nll": [3, "rises"],
  "vocab": [14, "falls"],
  "perplexity": [20.085536923187668, "rises"],
  "perplexity-entropy": [20.085536923187668 / (2 * Math.SQRT2), "rises"],
  "perplexity-repetition": [20.085536923187668 * 1.25, "rises"],
  "predictive-entropy": [1.5, "rises"],
  "improbable": [0.25, "rises"],
  "unigram-entropy": [entropy, "falls"],
  "repetition": [0.25, "rises"],
  "largest-share": [0.5, "rises"],
  "kl-p50": [1.5, "rises"],
  "kl-p95": [2.85, "rises"],
  "steered-nll": [0.5, "rises"],
  "steered-vocab": [22, "falls"],
  "steered-perplexity": [1.6487212707001282, "rises"],
  "steered-perplexity-entropy": [1.6487212707001282 / (2 * Math.SQRT2), "rises"],
  "steered-perplexity-repetition": [1.6487212707001282 * 1.25, "rises"],
  "steered-predictive-entropy": [0.5, "rises"],
}

test.each(Object.entries(EXPECTED))("%s by hand", (name, [value, direction]) => {
  const metric = metrics[name as MetricName]
  expect(metric.compute(completion)).toBeCloseTo(value, 12)
  expect(metric.direction).toBe(direction)
  expect(metric.name).toBe(name)
})

test("only what is about 0 without steering has an absolute threshold", () => {
  const absolute = metricNames.filter((name) => metrics[name].absolute !== undefined)
  expect(absolute.map((name) => [name, metrics[name].absolute])).toEqual([
    ["improbable", 0.025],
    ["kl-p50", 1],
    ["kl-p95", 1],
  ])
})

test.each([
  ["one token", [5], 0],
  ["one token over and over", [5, 5, 5], 0],
  ["all distinct", [1, 2, 3, 4], Math.log(4)],
])("the entropy of %s", (_, ids, expected) => {
  expect(unigramEntropy(ids)).toBeCloseTo(expected, 12)
  expect(unigramEntropy(ids)).toBeGreaterThanOrEqual(0)
})

test.each([
  [[4], 0.95, 4],
  [[3, 1, 2], 0.5, 2],
  [[4, 1, 2, 3], 0.5, 2.5],
  [[0, 10], 0.95, 9.5],
  [[5, 1, 9], 1, 9],
])("of %j the quantile %d is %d", (values, q, expected) => {
  expect(quantile(values, q)).toBeCloseTo(expected, 12)
})

test("what is impossible to the model stays visible", () => {
  expect(nll({ logprobs: of(-1, -Infinity) })).toBe(Infinity)
  expect(nll({ logprobs: of(-1, NaN) })).toBeNaN()
})

test("each prompt counts the same, however long its completion", () => {
  const one = { logprobs: of(-1), vocabMeans: of(-4), entropies: of(0) }
  const short: MetricInput = { ids: [2], unsteered: one, steered: one, divergences: of(0.5) }
  const each = computeMetrics([completion, short])
  expect(each.map(({ nll: value }) => value)).toEqual([3, 1])
  expect(meanMetrics(each)).toMatchObject({ "nll": 2, "vocab": 9, "steered-nll": 0.75, "kl-p50": 1, "repetition": 0.125 })
  expect(Object.keys(each[0]!)).toEqual(metricNames)
})

test("nothing to score is an error", () => {
  const none = { logprobs: of(), vocabMeans: of(), entropies: of() }
  const empty: MetricInput = { ids: [], unsteered: none, steered: none, divergences: of() }
  expect(() => computeMetrics([completion, empty])).toThrow(/^completion 1: .*found none$/)
  expect(() => computeMetrics([])).toThrow(InputError)
})

test("names are checked, and agree with the registry", () => {
  expect(metricNames).toEqual(expect.arrayContaining(Object.keys(EXPECTED)))
  expect(metricNames).toHaveLength(Object.keys(EXPECTED).length)
  expect(parseMetricName("vocab")).toBe("vocab")
  expect(() => parseMetricName("toString", "--metric")).toThrow(/^--metric: expected one of nll, vocab, .*, found "toString"$/)
})
