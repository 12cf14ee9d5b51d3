import { expect, test } from "vitest"
import type { GradeSummary } from "../../src/steering/grade-summary.ts"
import type { RecordedCompletion, RecordedPoint, Run, RunResult } from "../../src/steering/record.ts"
import { comparisonHtml, headline, reportHtml } from "../../src/steering/report/html.ts"
import { recordedRun } from "../helpers/runs.ts"

const run = recordedRun()
const figures = { curve: "<svg>wide</svg>", curveNarrow: "<svg>narrow</svg>", metrics: [] }
const withResult = (changes: Partial<RunResult> | null): Run => ({
  ...run,
  result: changes && { ...(run.result as RunResult), ...changes },
})
/** A run with one point, that of coefficient 0, changed so. */
const withPoint = (changes: Partial<RecordedPoint>): Run => ({
  ...run,
  curve: [{ ...(run.curve[0] as RecordedPoint), ...changes }],
})
const withCompletion = (completion: RecordedCompletion): Run => withPoint({ completions: [completion] })

const HOSTILE = `<b a="1">&'`
const ESCAPED = "&lt;b a=&quot;1&quot;&gt;&amp;&#39;"

test.each<[string, Run]>([
  ["a run's name", { ...run, name: HOSTILE }],
  ["a model's name", { ...run, model: { name: HOSTILE } }],
  ["an evaluator's name", { ...run, evaluator: { name: HOSTILE } }],
  ["a reason", withResult({ max: null, crossing: null, reason: HOSTILE })],
  ["a prompt", { ...run, prompts: [{ text: HOSTILE, ids: [1] }] }],
  ["a token", withCompletion({ ids: [1], logprobs: [0], text: HOSTILE, pieces: [HOSTILE] })],
  ["a text without tokens", withCompletion({ ids: [1], logprobs: [0], text: HOSTILE })],
  ["a fact of the vector", { ...run, vector: { source: HOSTILE } }],
  ["the name of a fact", { ...run, adapter: { [HOSTILE]: "1" } }],
])("%s is text in a report, not HTML", (_, hostile) => {
  const html = reportHtml(hostile, figures)
  expect(html).toContain(ESCAPED)
  expect(html).not.toContain("<b a=")
})

const grading = { grader: "openai", model: "judge", source: "there", concept: "bridge", rubric: "00" }
const point = (coefficient: number, overall: number) => ({
  coefficient,
  concept: 2,
  prompt: 1.5,
  fluency: 0.25,
  overall,
  texts: 6,
})
const summary = { ...grading, curve: [point(0, 0), point(1, 1.2), point(2, 1.3)], best: point(2, 1.3) }
const graded = (...summaries: readonly GradeSummary[]): string =>
  reportHtml(run, {
    ...figures,
    grades: summaries.map((one) => ({ summary: one, wide: "<svg>a</svg>", narrow: "<svg>b</svg>" })),
  })

test.each(["grader", "model", "concept"])("a grading's %s is text in a report, not HTML", (name) => {
  const html = graded({ ...summary, [name]: HOSTILE })
  expect(html).toContain(ESCAPED)
  expect(html).not.toContain("<b a=")
})

test("every grading is a figure and a table, with the metric, the best coefficient and the redline", () => {
  const html = graded({ ...summary, grader: "local", model: "own" }, summary)
  const of = (pattern: RegExp): string[] => [...html.matchAll(pattern)].map(([, text]) => text as string)
  expect(of(/<h3>(\w+ <small>\w+)<\/small><\/h3>/g)).toEqual(["own <small>local", "judge <small>openai"])
  expect(of(/on-narrow">(<svg>b<\/svg>)/g)).toHaveLength(2)
  expect(of(/(A small model is a poor judge)/g)).toHaveLength(1)
  const rows = of(/<tr><th scope="row">(.*?)<\/tr>/g).map((row) =>
    row
      .replaceAll(/<\/?t[hd]>/g, " ")
      .replaceAll(/ +/g, " ")
      .trim(),
  )
  const own = ["0 1 2.00 1.50 0.25 0.00 6", "1 1.1 2.00 1.50 0.25 1.20 6 redline", "2 4 2.00 1.50 0.25 1.30 6 best"]
  expect(rows).toEqual([...own, ...own])
  expect(html).toContain("Best overall: 1.3 at 2.")
})

test.each<[string, Run]>([
  ["a run's name", { ...run, name: HOSTILE }],
  ["a model's name", { ...run, model: { name: HOSTILE } }],
])("%s is text in a comparison, not HTML", (_, hostile) => {
  const html = comparisonHtml([run, hostile], "", "")
  expect(html).toContain(ESCAPED)
  expect(html).not.toContain("<b a=")
})

test.each<[string, Run, string, string]>([
  [
    "found",
    run,
    "The redline is 1.",
    "At 1.5, nll (mean negative log-prob of the chosen tokens) crosses its threshold 1.2 (1 at",
  ],
  ["found with a minimum", run, "The redline is 1.", "The vector takes effect from 0.5."],
  ["at once beyond", withResult({ max: 0, crossing: 0.5 }), "The redline is 0.", "At 0.5, nll"],
  [
    "never crossed",
    withResult({ max: null, crossing: null, reason: "it is flat" }),
    "No redline found.",
    "1.2 (1 at coefficient 0): it is flat.",
  ],
  [
    "never crossed, nobody says why",
    withResult({ max: null, crossing: null }),
    "No redline found.",
    "coefficient 0): no crossing.",
  ],
  ["not done", withResult(null), "This search is not done.", "Run it again with the same settings: it goes on where it stopped."],
])("a redline that is %s", (_, of, sentence, explanation) => {
  expect(headline(of)).toBe(sentence)
  const html = reportHtml(of, figures)
  expect(html).toContain(`<h1>${sentence}</h1>`)
  expect(html).toContain(explanation)
})

test.each<[string, Run, string[]]>([
  [
    "the model itself",
    run,
    ["Up to there the unsteered model finds the text about as probable as its own.", "unsteered model expects"],
  ],
  [
    "an evaluator",
    { ...run, evaluator: { name: "judge" } },
    [
      ", judged by judge</p>",
      "Up to there judge finds the text about as probable as the one without",
      "the less judge expects",
      "evaluator name",
    ],
  ],
  [
    "a metric of no probability",
    { ...run, settings: { ...run.settings, metric: "kl-p50" } },
    ["Up to there kl-p50 has not reached its threshold. At 1.5, kl-p50"],
  ],
  [
    "a metric without a threshold",
    withResult({ baseline: 0, threshold: 0, max: null, crossing: null, reason: "it is 0" }),
    ["<p>nll has no threshold: it is 0.</p>"],
  ],
])("the report names who judged and what follows: %s", (_, of, parts) => {
  const html = reportHtml(of, figures)
  for (const part of parts) expect(html).toContain(part)
})

test.each<[string, Run]>([
  ["without a minimum", withResult({ minimum: null })],
  [
    "that never looked for one",
    { ...run, result: (({ minimum: _, ...rest }) => rest)(run.result as RunResult & { minimum: null }) },
  ],
])("a run %s says nothing of it", (_, of) => {
  expect(reportHtml(of, figures)).not.toMatch(/takes effect|<strong>minimum/)
  expect(comparisonHtml([of, of], "", "").match(/<td>none<\/td>/g)).toHaveLength(2)
})

test.each<[number | undefined, string]>([
  [undefined, "s0"],
  [0.1, "s0"],
  [0, "s0"],
  [-0.001, "s1"],
  [-0.999, "s1"],
  [-1, "s2"],
  [-6.999, "s7"],
  [-7, "s8"],
  [-7.999, "s8"],
  [-8, "s9"],
  [-1000, "s9"],
  [-Infinity, "s9"],
  [NaN, "s9"],
])("a token of log-prob %f has the shade %s", (logprob, shade) => {
  const logprobs = logprob === undefined ? [] : [logprob]
  const html = reportHtml(withCompletion({ ids: [1], logprobs, text: "word", pieces: ["word"] }), figures)
  expect(html).toContain(`<i class="${shade}" title="${(logprob ?? 0).toFixed(2)}">word</i>`)
})

test.each<[string, Partial<RecordedPoint>, string]>([
  ["a metric that is no number", { metric: NaN }, "<small>nll NaN</small>"],
  ["an infinite metric", { metric: Infinity }, "<small>nll Infinity</small>"],
  ["a metric of many digits", { metric: 1.23456 }, "<small>nll 1.235</small>"],
  ["no completions", { completions: [] }, "<small>nll 1</small></h3></article>"],
  ["one completion", { completions: [{ ids: [1], logprobs: [0], text: "a" }] }, "</q> a</p></article>"],
  ["ids alone", { completions: [{ ids: [7, 8], logprobs: [0, 0], text: undefined }] }, "</q> 7 8</p>"],
  ["a completion for every prompt", {}, "<details><summary>1 more</summary>"],
])("a point with %s", (_, changes, part) => {
  expect(reportHtml(withPoint(changes), figures)).toContain(part)
})

test("coefficients are marked as below, at and beyond the redline", () => {
  const articles = reportHtml(run, figures).matchAll(/<article class="(\w+)"><h3>([\d.]+)( <strong>\w+<\/strong>)?/g)
  expect([...articles].map(([, kind, coefficient, mark = ""]) => `${coefficient} ${kind}${mark}`)).toEqual([
    "0 sound",
    "0.5 sound <strong>minimum</strong>",
    "1 redline <strong>redline</strong>",
    "1.5 broken",
    "2 broken",
  ])
})

test("without figures of metrics or without points there is no heading for them", () => {
  const headings = (html: string): string[] => [...html.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, text]) => text as string)
  const rest = ["Settings", "Model, vector, environment"]
  const metrics = [{ name: "nll", svg: "<svg/>" }] as const
  expect(headings(reportHtml(run, { ...figures, metrics }))).toEqual(["The curve", "Every metric", "Texts", ...rest])
  expect(headings(reportHtml(run, figures))).toEqual(["The curve", "Texts", ...rest])
  expect(headings(reportHtml({ ...run, curve: [] }, figures))).toEqual(rest)
})

test("a comparison has a row for every run, «none» for what one that is not done lacks", () => {
  const html = comparisonHtml([run, { ...withResult(null), name: "open" }], "<svg>wide</svg>", "<svg>narrow</svg>")
  const rows = html.split("<tr>").slice(2)
  const cells = rows.map((row) => [...row.matchAll(/<td>(.*?)<\/td>/g)].map(([, cell]) => cell))
  expect(cells).toEqual([
    ["tiny &lt;model&gt;", "3, 4", "nll", "1", "1.2", "1", "1.5", "0.5"],
    ["tiny &lt;model&gt;", "3, 4", "nll", "none", "none", "none", "none", "none"],
  ])
  expect(html).toContain(`<div class="on-wide"><svg>wide</svg></div><div class="on-narrow"><svg>narrow</svg></div>`)
})
