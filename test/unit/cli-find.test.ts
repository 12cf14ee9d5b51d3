import { expect, test } from "vitest"
import { allTexts, conclusion, curveTable, settingsLine } from "../../src/cli/find-report.ts"
import { linesOf } from "../../src/cli/files.ts"
import { sharedPrefix } from "../../src/cli/prompts.ts"
import { middleThird } from "../../src/cli/layers.ts"
import { findCrossing, type FoundRedline, type Metrics } from "../../src/index.ts"

const TEXTS = [" a small\nhouse", " the bridge is painted red so that ships can see it", " bridge bridge bridge"]

/** A result whose curve has these metrics at 0, 0.5, 1, …, as the search would give it. */
function found(values: readonly number[], more: Partial<FoundRedline> = {}): FoundRedline {
  const curve = values.map((value, i) => ({
    coefficient: i / 2,
    metric: value,
    metrics: { nll: value, vocab: 9 } as Metrics,
    metricsByPrompt: [],
    completions: [
      { ids: [1], logprobs: [-1], text: TEXTS[i] },
      { ids: [2, 3], logprobs: [-1, -1], text: undefined },
    ],
  }))
  const points = curve.map(({ coefficient, metric }) => ({ coefficient, value: metric }))
  return {
    ...findCrossing(points, values[0]!, 0.2),
    baseline: values[0]!,
    curve,
    stopped: false,
    prompts: [
      { text: "I am", ids: [1] },
      { text: undefined, ids: [7, 8] },
    ],
    layers: [3, 4],
    settings: {
      coefficients: "auto",
      tokens: 32,
      repetitionPenalty: 1.1,
      temperature: 0,
      seed: 0,
      threshold: 0.2,
      metric: "nll",
    },
    minimum: null,
    unit: 2,
    ...more,
  }
}

test("the table marks the redline and fits the width", () => {
  const lines = curveTable(found([2, 1.5, 4.8]), 90)
  expect(lines.map(({ kind }) => kind)).toEqual(["heading", "point", "redline", "broken"])
  expect(lines.map(({ text }) => text)).toEqual([
    "coefficient    nll  0 to 4.8, │ threshold     text after «I am»",
    "          0  2.000  ██████████  │             a small⏎house",
    "        0.5  1.500  ███████▌    │             the bridge is painted red so that… ◀ redline",
    "          1  4.800  ████████████│███████████  bridge bridge bridge",
  ])
})

test("a metric that is not finite fills its bar and leaves the others their scale", () => {
  const lines = curveTable(found([2, Infinity]), 100).map(({ text }) => text)
  expect(lines[0]).toContain("0 to 2.4")
  expect(lines[2]).toContain("Infinity  ███████████████████████│")
})

test.each([
  [
    "it crosses",
    found([2, 1.5, 4.8], { minimum: 0.5 }),
    [
      "The redline is 0.5: up to there the unsteered model finds the text about as probable as its own.",
      "At 1 nll (mean negative log-prob of the chosen tokens, mean over 2 prompts) crosses its threshold 2.400, 20 % above the " +
        "baseline 2.000 at coefficient 0; interpolated between the two: 0.6364.",
      "At 0.5 the vector is 0.25 times as long as the mean residual it is added to.",
      "The vector takes effect from 0.5, where kl-p95 reaches 0.1 nat.",
    ],
  ],
  [
    "it crosses at once",
    found([2, 4], { prompts: [{ text: "I am", ids: [1] }] }),
    [
      "The redline is 0: the metric crosses at once, at 0.5, the smallest positive coefficient evaluated.",
      "At 0.5 nll (mean negative log-prob of the chosen tokens) crosses its threshold 2.400, 20 % above the baseline 2.000 at " +
        "coefficient 0.",
      "Try smaller ones with --coefficients, or auto.",
    ],
  ],
  [
    "it never crosses",
    found([2, 2.1]),
    [
      "No redline found: the metric stays below its threshold 2.4 up to 0.5, the largest coefficient evaluated.",
      "nll (mean negative log-prob of the chosen tokens, mean over 2 prompts) has not reached its threshold 2.400, 20 % above the " +
        "baseline 2.000 at coefficient 0.",
      "Try larger ones with --coefficients, or auto.",
    ],
  ],
  [
    "it was stopped",
    found([2], { stopped: true, reason: "stopped after 1 of 9 coefficients" }),
    [
      "Stopped before the search was done: this is what was known by then.",
      "No redline found: stopped after 1 of 9 coefficients.",
      "nll (mean negative log-prob of the chosen tokens, mean over 2 prompts) has not reached its threshold 2.400, 20 % above the " +
        "baseline 2.000 at coefficient 0.",
    ],
  ],
])("what the curve says: %s", (_name, result, sentences) => {
  expect(conclusion(result)).toEqual(sentences)
})

test.each([
  ["nll", undefined, "the unsteered model finds the text about as probable as its own"],
  ["improbable", "judge", "judge finds the text about as probable as the one without steering"],
  ["kl-p50", undefined, "kl-p50 has not reached its threshold"],
  ["steered-nll", "judge", "steered-nll has not reached its threshold"],
  ["repetition", undefined, "repetition has not reached its threshold"],
] as const)("what holds up to the redline of %s, judged by %s", (metric, evaluator, said) => {
  const { settings, ...rest } = found([2, 1.5, 4.8])
  expect(conclusion({ ...rest, settings: { ...settings, metric } }, evaluator)[0]).toBe(
    `The redline is 0.5: up to there ${said}.`,
  )
})

test("a baseline of 0 without an absolute threshold has no redline and no threshold to name", () => {
  expect(conclusion(found([0, 0, 0.5]))).toEqual([
    "No redline found: the metric is 0 at coefficient 0, and a fraction of 0 is no threshold; watch improbable or kl-p95, whose " +
      "thresholds are absolute, or generate more tokens.",
  ])
})

test("the settings name another model that judges", () => {
  const line = "layers 3-4; 2 prompts; 32 tokens, repetition penalty 1.1"
  expect(settingsLine(found([2]), "3-4")).toBe(line)
  expect(settingsLine(found([2]), "3-4", "judge")).toBe(`${line}; judged by judge`)
})

test("all texts are those at the redline, ids where there is no text", () => {
  expect(allTexts(found([2, 1.5, 4.8]))).toEqual(["Texts at 0.5:", `  «I am» →${TEXTS[1]}`, "  «7 8» → 2 3"])
})

test.each([
  [["I am talking about weddings", "I am talking about war"], "I am talking about"],
  [["I am happy", "I am happy today"], "I am happy"],
  [["I am talking", "I am tall"], "I am"],
  [["Hello, all", "Hello, you"], "Hello,"],
  [["same", "same"], "same"],
])("the prefix of %j is «%s»", ([positive = "", negative = ""], expected) => {
  expect(sharedPrefix([{ positive, negative }])).toBe(expected)
})

test("the prefix is one of all pairs", () => {
  const pairs = [
    { positive: "I am talking about dogs", negative: "I am talking about cats" },
    { positive: "I am talking of dogs", negative: "I am talking of cats" },
  ]
  expect(sharedPrefix(pairs)).toBe("I am talking")
})

test.each([[["happy", "sad"]], [["sadly", "sad"]], [["… a", "… b"]]])("%j share no word", ([positive = "", negative = ""]) => {
  expect(() => sharedPrefix([{ positive, negative }])).toThrow(
    "expected --prompt, --prompts or pairs that begin with the same words",
  )
})

test("without pairs there is no prefix: a vector needs a prompt", () => {
  expect(() => sharedPrefix([])).toThrow("--vector: expected --prompt or --prompts beside it, found neither; give a prompt")
})

test("blank lines are no prompts", () => {
  expect(linesOf("\uFEFFone\r\n\n  \ntwo \n")).toEqual(["one", "two "])
})

test.each([
  [1, [0]],
  [2, [0]],
  [6, [2, 3]],
  [16, [5, 6, 7, 8, 9, 10]],
])("the middle third of %i layers", (layers, expected) => {
  expect(middleThird(layers)).toEqual(expected)
})
