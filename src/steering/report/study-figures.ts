import * as Plot from "@observablehq/plot"
import type { MethodScore } from "../study.ts"
import type { Study, StudyLine, StudyResult } from "../study-record.ts"
import { defaultCandidate } from "../study-run.ts"
import { draw, type FigureDocument } from "./draw.ts"

const BLUE = "#1f5fbf"
const RED = "#c62828"
const CELL = 20

/** What the ALERT report picks by, against which the default is drawn. */
const REPORTS_OWN = "alert nll +20 %"

/** Every method's coherent picks and the range it gives away, with their intervals; dashed: the aims, 90 % and 15 %. */
export function methodsFigure({ methods }: StudyResult, document: FigureDocument): string {
  const panels = [
    { panel: "coherent picks", aim: 0.9, of: (score: MethodScore) => score.coherent },
    { panel: "range given away", aim: 0.15, of: (score: MethodScore) => score.givenAway },
  ]
  const rows = panels.flatMap(({ panel, of }) => methods.map((score) => ({ panel, method: score.method, ...of(score) })))
  return draw(document, "coherent picks and range given away, by method", {
    width: 780,
    height: 60 + methods.length * CELL,
    marginLeft: 280,
    marginRight: 20,
    marginTop: 34,
    fx: { label: null, domain: panels.map(({ panel }) => panel), padding: 0.12 },
    x: { label: null, domain: [0, 1], tickFormat: "%", ticks: 4, grid: true },
    y: { label: null, domain: methods.map(({ method }) => method), tickSize: 0 },
    marks: [
      Plot.ruleX(panels, { fx: "panel", x: "aim", stroke: "currentColor", strokeDasharray: "3,3" }),
      Plot.ruleY(rows, { fx: "panel", y: "method", x1: "low", x2: "high", stroke: BLUE, strokeWidth: 2, className: "rl-curve" }),
      Plot.dot(rows, {
        fx: "panel",
        y: "method",
        x: "value",
        r: 4,
        fill: (row: (typeof rows)[number]) => (row.method === defaultCandidate ? RED : BLUE),
        className: "rl-dots",
      }),
    ],
  })
}

/** The share of texts that make sense by topic and coefficient, with the last coherent coefficient and two methods' picks. */
export function truthFigure({ lines, result }: Study, document: FigureDocument, width = 720): string {
  const topics = (result?.topics ?? []).map(({ name }) => name)
  const cells = lines.filter(({ coherence, coefficient }) => coherence !== null && coefficient >= 0)
  const picks = (method: string) =>
    (result?.methods.find((score) => score.method === method)?.picks ?? []).map(({ topic, pick }) => ({ y: topic, x: pick }))
  const coefficients = [...new Set(cells.map(({ coefficient }) => coefficient))].sort((a, b) => a - b)
  const every = Math.ceil(coefficients.length / (width < 500 ? 7 : 20))
  return draw(document, "share of texts that make sense, by topic and coefficient", {
    width,
    height: 60 + topics.length * CELL,
    marginLeft: 84,
    marginBottom: 36,
    marginRight: 12,
    x: { label: "coefficient", domain: coefficients, ticks: coefficients.filter((_, i) => i % every === 0), tickSize: 0 },
    y: { label: null, domain: topics, tickSize: 0 },
    color: { type: "linear", scheme: "greens", domain: [0, 1.15] },
    marks: [
      Plot.cell(cells, { x: "coefficient", y: "topic", fill: "coherence", inset: 0.5 }),
      Plot.cell(result?.topics ?? [], { x: "last", y: "name", stroke: "#111", strokeWidth: 2, inset: 1 }),
      Plot.dot(picks(REPORTS_OWN), { x: "x", y: "y", r: 5.5, stroke: BLUE, strokeWidth: 2 }),
      Plot.dot(picks(defaultCandidate), { x: "x", y: "y", r: 3, fill: RED }),
    ],
  })
}

/** Of each topic: the share of texts that make sense (falling) and of improbable tokens (rising), with the default's pick. */
export function topicFigures({ lines, result }: Study, document: FigureDocument): { name: string; svg: string }[] {
  return (result?.topics ?? []).map(({ name, last }) => {
    const own = lines.filter(({ topic, coefficient }) => topic === name && coefficient >= 0)
    const pick = result?.methods
      .find(({ method }) => method === defaultCandidate)
      ?.picks.find(({ topic }) => topic === name)?.pick
    const share = (of: (line: StudyLine) => number | null) =>
      own.flatMap((line) => {
        const y = of(line)
        return y === null ? [] : [{ x: line.coefficient, y }]
      })
    const svg = draw(document, `${name}: coherence and improbable tokens by coefficient`, {
      width: 260,
      height: 150,
      marginLeft: 44,
      marginTop: 12,
      x: { label: null, ticks: 4 },
      y: { label: null, domain: [0, 1], ticks: 3, tickFormat: "%" },
      marks: [
        Plot.ruleX([last], { stroke: "currentColor", strokeDasharray: "2,3" }),
        ...(pick === undefined ? [] : [Plot.ruleX([pick], { stroke: RED, strokeWidth: 2, className: "rl-max" })]),
        Plot.line(
          share(({ coherence }) => coherence),
          { x: "x", y: "y", stroke: "#15803d", strokeWidth: 2, className: "rl-truth" },
        ),
        Plot.line(
          share(({ metrics }) => metrics.improbable),
          { x: "x", y: "y", stroke: BLUE, strokeWidth: 2, className: "rl-curve" },
        ),
      ],
    })
    return { name, svg }
  })
}
