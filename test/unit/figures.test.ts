import { parseHTML } from "linkedom"
import { expect, test } from "vitest"
import type { Metrics } from "../../src/steering/metrics.ts"
import type { RecordedPoint, Run, RunResult } from "../../src/steering/record.ts"
import { comparisonFigure, curveFigure, metricFigures, NARROW } from "../../src/steering/report/figures.ts"
import { gradesFigure } from "../../src/steering/report/grade-figures.ts"
import { recordedRun } from "../helpers/runs.ts"

const document = parseHTML("<html></html>").document as object
const run = recordedRun()
const settings = { ...run.settings, metric: "improbable" } as const
/** The share of improbable tokens at 0, 0.5, … 2. */
const improbable = (...values: number[]): Run => ({
  ...run,
  settings: { ...settings, threshold: 0.02 },
  result: null,
  curve: values.map((value, i) => {
    const point = run.curve[i] as RecordedPoint
    return { ...point, metric: value, metrics: { ...point.metrics, improbable: value }, metricsByPrompt: [] }
  }),
})
const texts = (svg: string): string[] => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text as string)
/** The heights at which the points of each colour stand, from the bottom. */
function heights(svg: string): number[][] {
  const circles = [...svg.matchAll(/<circle[^>]*>/g)].map(([circle]) => circle)
  const of = (circle: string, name: string): string => new RegExp(`${name}="([^"]*)"`).exec(circle)?.[1] ?? ""
  const colours = [...new Set(circles.map((circle) => of(circle, "fill")))]
  return colours.map((colour) =>
    circles.filter((circle) => of(circle, "fill") === colour).map((circle) => -Number(of(circle, "cy"))),
  )
}

test.each<[string, Run, number[]]>([
  ["a baseline of 0", improbable(0, 0, 0.02, 0.04, 0.08), [0, 0, 1, 2, 4]],
  ["values far beyond", improbable(0, 0.02, 0.06, 0.5, 1), [0, 1, 3, 4, 4]],
  ["values far below", improbable(0.5, 0.52, 0.4, 0, 0.5), [0, 1, -2, -2, 0]],
  ["the result's threshold", run, [0, -0.5, 0.5, 3, 4]],
])("a run with %s is compared by its way to the threshold", (_, other, expected) => {
  const linear = improbable(0, 0.02, 0.04, 0.06, 0.08) // 0, 1, 2, 3, 4: the scale
  const [[zero = 0, one = 0] = [], own = []] = heights(comparisonFigure([linear, other], document))
  expect(own.map((height) => Number(((height - zero) / (one - zero)).toFixed(6)) + 0)).toEqual(expected)
})

test("a run without its baseline has no curve in a comparison", () => {
  const late = { ...run, result: null, curve: run.curve.slice(1) }
  expect(heights(comparisonFigure([run, late], document))).toHaveLength(1)
})

test("the narrow curve leaves the levels' names to the caption, the wide one has them", () => {
  expect(texts(curveFigure(run, document)).filter((text) => /[a-z]+ [\d.]+$/.test(text))).toEqual([
    "baseline 1",
    "threshold 1.2",
    "minimum 0.5",
    "redline 1",
  ])
  const narrow = curveFigure(run, document, NARROW)
  expect(texts(narrow).filter((text) => /[a-z]+ [\d.]+$/.test(text))).toEqual(["minimum 0.5", "redline 1"])
  expect(narrow).toContain(`viewBox="0 0 ${NARROW} `)
})

test.each([
  [0, "start"],
  [1, "middle"],
  [2, "end"],
])("the name of a redline at %f of 2 stays within the figure: %s", (max, anchor) => {
  const svg = curveFigure({ ...run, result: { ...(run.result as RunResult), max } }, document)
  const group = /<g ([^>]*)><text[^>]*>redline/.exec(svg)?.[1] ?? ""
  expect(/text-anchor="(\w+)"/.exec(group)?.[1] ?? "middle").toBe(anchor)
})

test("a run that is not done is drawn without levels", () => {
  expect(texts(curveFigure({ ...run, result: null }, document)).filter((text) => / [\d.]+$/.test(text))).toEqual([])
})

test("metrics that an older record lacks, and values that are no numbers, are left out", () => {
  const nll = [1, NaN, Infinity, 2, 3]
  const curve = run.curve.map((point, i) => ({ ...point, metrics: { nll: nll[i] } as Metrics, metricsByPrompt: [] }))
  const drawn = metricFigures({ ...run, curve }, document)
  expect(drawn.map(({ name }) => name)).toEqual(["nll"])
  const { svg } = drawn[0] as { svg: string }
  expect(heights(svg)[0]).toHaveLength(3)
  expect(/<g [^>]*rl-curve[^>]*><path d="([^"]*)"/.exec(svg)?.[1]?.match(/M/g)).toHaveLength(1)
})

test("the figure of grades has a line for each rating at its height, and the redline where it is within", () => {
  const grading = { grader: "openai", model: "judge", source: "there", concept: "bridge", rubric: "00" }
  const at = (coefficient: number, by: number) => ({
    coefficient,
    concept: 0.5 * by,
    prompt: by,
    fluency: 1.5 * by,
    overall: 2 * by,
    texts: 1,
  })
  const summary = { ...grading, curve: [at(0, 0), at(2, 1)], best: at(2, 1) }
  for (const width of [720, NARROW]) {
    const svg = gradesFigure(summary, run, document, width)
    const groups = [...svg.matchAll(/<g[^>]*aria-label="dot"[^>]*>([^]*?)<\/g>/g)].map(([, group]) => group as string)
    const lines = groups.map((group) => [...group.matchAll(/cy="([\d.]+)"/g)].map(([, cy]) => -Number(cy)))
    const [bottom, top] = [lines[0]?.[0] as number, lines[3]?.[1] as number]
    expect(lines.map((line) => line.map((height) => Number(((2 * (height - bottom)) / (top - bottom)).toFixed(6))))).toEqual([
      [0, 0.5],
      [0, 1],
      [0, 1.5],
      [0, 2],
    ])
    expect(texts(svg)).toEqual(expect.arrayContaining(["● concept", "● prompt", "● fluency", "● overall", "redline 1"]))
  }
  expect(texts(gradesFigure({ ...summary, curve: [at(1.5, 0), at(2, 1)] }, run, document))).not.toContain("redline 1")
})
