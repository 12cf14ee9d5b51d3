import * as Plot from "@observablehq/plot"
import { thresholdOf } from "../crossing.ts"
import { draw, FIGURE_CSS, type FigureDocument } from "./draw.ts"
import type { RecordedPoint, Run } from "../record.ts"
import { metricNames, metrics, type MetricName } from "../metrics.ts"

const BLUE = "#1f5fbf"
export const RED: string = "#c62828"
const GREEN = "#15803d"
const PALETTE = ["#1f77b4", "#d9730d", "#2e9f5b", "#c2498f", "#8a63d2", "#8c6d31", "#0f9bb3", "#888888"]

interface Sample {
  readonly x: number
  readonly y: number
  readonly low: number
  readonly high: number
}

/** The width of a figure for a phone: that of its page without the margins, so that its text is not scaled. */
export const NARROW = 328

/** Of a figure that fills the page's width. */
export const frame = (width: number): Plot.PlotOptions => ({
  width,
  height: isNarrow(width) ? 300 : 360,
  marginLeft: isNarrow(width) ? 38 : 50,
  marginRight: isNarrow(width) ? 10 : 20,
  marginBottom: 42,
})
export const isNarrow = (width: number): boolean => width < 500
export const ticksOf = (width: number): { ticks?: number } => (isNarrow(width) ? { ticks: 5 } : {})

/** The watched metric against the coefficient, with baseline, threshold, crossing, maximum, minimum and the spread over prompts. */
export function curveFigure(run: Run, document: FigureDocument, width = 720): string {
  const samples = samplesOf(run.curve, run.settings.metric)
  const { result } = run
  const level = (value: number, name: string) => [
    levelRule(value, name === "baseline" ? BASELINE : THRESHOLD),
    // A phone's width has no room between the lines: there the caption says it.
    ...(isNarrow(width) ? [] : [levelLabel(value, name, name === "baseline" ? 8 : -8)]),
  ]
  const [first, last] = [samples[0]?.x ?? 0, samples.at(-1)?.x ?? 0]
  const named = (value: number | null, name: string, dy: number) =>
    value === null ? [] : [uprightLabel(value, name, (value - first) / (last - first), dy)]
  const marks = result
    ? [
        ...beyond(result.crossing, samples),
        ...level(result.baseline, "baseline"),
        ...level(result.threshold, "threshold"),
        ...upright(result.minimum ?? null, GREEN, "rl-minimum"),
        ...upright(result.max, RED, "rl-max"),
        ...named(result.minimum ?? null, "minimum", -4),
        ...named(result.max, "redline", -19),
      ]
    : []
  return draw(document, `${run.settings.metric} against the coefficient`, {
    ...frame(width),
    marginTop: 52,
    insetBottom: 14,
    x: { label: "coefficient", ...ticksOf(width) },
    y: { label: unitOf(run.settings.metric), ...ticksOf(width), nice: true, ...scaleOf(samples) },
    marks: [...marks, ...curveMarks(samples)],
  })
}

/** Every metric as a small figure of its own. */
export function metricFigures(run: Run, document: FigureDocument): { name: MetricName; svg: string }[] {
  const known = metricNames.filter((name) => run.curve.some((point) => point.metrics[name] !== undefined))
  return known.map((name) => {
    const samples = samplesOf(run.curve, name)
    const marks = upright(run.result?.max ?? null, RED, "rl-max")
    const svg = draw(document, `${name}: ${metrics[name].describe}`, {
      width: 260,
      height: 150,
      marginLeft: 44,
      marginTop: 14,
      x: { label: null, ticks: 4 },
      y: { label: null, ticks: 4, nice: true, ...scaleOf(samples) },
      marks: [...marks, ...curveMarks(samples, 1.6)],
    })
    return { name, svg }
  })
}

/** {@link metricFigures} in one picture, three in a row. */
export function metricsFigure(run: Run, document: FigureDocument): string {
  const each = metricFigures(run, document)
  const width = 3 * 270
  const height = Math.ceil(each.length / 3) * 178
  const cells = each.map(({ name, svg }, i) => {
    const [x, y] = [(i % 3) * 270, Math.floor(i / 3) * 178]
    return `<text x="${x + 44}" y="${y + 16}" font-size="12" font-weight="600">${name}</text>${svg.replace("<svg ", `<svg x="${x}" y="${y + 22}" `)}`
  })
  const open = `<svg xmlns="http://www.w3.org/2000/svg" class="rl-figure" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`
  return `${open} fill="currentColor" role="img" aria-label="every metric"><style>${FIGURE_CSS}</style>${cells.join("")}</svg>`
}

/**
 * How far several runs' watched metrics have gone from their baselines, 0, to their thresholds, 1. Metrics of any unit and direction
 * compare so, those with a baseline of 0 too; what is far beyond lies on the edge.
 */
export function comparisonFigure(runs: readonly Run[], document: FigureDocument, width = 720): string {
  const range = runs.map(({ name }, i) => ({ name: unique(name, i), color: PALETTE[i % PALETTE.length] as string }))
  const rows = runs.flatMap((run, i) => progressOf(run).map((point) => ({ ...point, run: range[i]?.name })))
  const picks = runs.flatMap(({ result }, i) => (typeof result?.max !== "number" ? [] : [{ x: result.max, color: runColor(i) }]))
  return draw(document, "the way from baseline to threshold against the coefficient, of every run", {
    ...frame(width),
    marginTop: 32,
    x: { label: "coefficient", ...ticksOf(width) },
    y: { label: "baseline 0, threshold 1", ticks: 5, nice: true },
    color: { domain: range.map(({ name }) => name), range: range.map(({ color }) => color) },
    marks: [
      levelRule(0, BASELINE),
      levelRule(1, THRESHOLD),
      ...picks.map(({ x, color }) => Plot.ruleX([x], { stroke: color, strokeDasharray: "4,3" })),
      Plot.line(rows, { x: "x", y: "y", z: "run", stroke: "run", strokeWidth: 2 }),
      Plot.dot(rows, { x: "x", y: "y", fill: "run", r: 2.5 }),
    ],
  })
}

/** The shares of the way to the threshold that {@link comparisonFigure} shows. */
const WAY = [-2, 4] as const

function progressOf({ curve, settings, result }: Run): { x: number; y: number }[] {
  const samples = samplesOf(curve, settings.metric)
  const baseline = result?.baseline ?? samples.find(({ x }) => x === 0)?.y
  if (baseline === undefined) return []
  const distance = (result?.threshold ?? thresholdOf(baseline, settings.threshold, metrics[settings.metric])) - baseline
  return samples.map(({ x, y }) => ({ x, y: Math.min(WAY[1], Math.max(WAY[0], (y - baseline) / distance)) }))
}

/** The colour of the i-th run in {@link comparisonFigure}. */
export const runColor = (i: number): string => PALETTE[i % PALETTE.length] as string

function curveMarks(samples: readonly Sample[], r = 3) {
  const spread = samples.filter(({ low, high }) => Number.isFinite(low) && Number.isFinite(high))
  return [
    Plot.areaY(spread, { x: "x", y1: "low", y2: "high", fill: BLUE, fillOpacity: 0.15, className: "rl-band" }),
    Plot.line(samples, { x: "x", y: "y", stroke: BLUE, strokeWidth: r * 0.7, className: "rl-curve" }),
    Plot.dot(samples, { x: "x", y: "y", fill: BLUE, r, className: "rl-points" }),
  ]
}

export function upright(value: number | null, color: string, className: string): Plot.Markish[] {
  return value === null ? [] : [Plot.ruleX([value], { stroke: color, strokeWidth: 2, className })]
}

/** Above the frame, where nothing is drawn. @param part How far from the left of the frame, from 0 to 1. */
export function uprightLabel(value: number, name: string, part: number, dy: number): Plot.Markish {
  const textAnchor = part < 0.2 ? "start" : part > 0.8 ? "end" : "middle"
  const text = [`${name} ${short(value)}`]
  return Plot.text([value], {
    x: (v: number) => v,
    text,
    frameAnchor: "top",
    lineAnchor: "bottom",
    textAnchor,
    dy,
    fontWeight: 600,
  })
}

const BASELINE = "2,4"
const THRESHOLD = "6,4"
const levelRule = (value: number, dash: string) =>
  Plot.ruleY([value], { stroke: "currentColor", strokeOpacity: 0.6, strokeDasharray: dash })

function levelLabel(value: number, name: string, dy: number) {
  const at = { frameAnchor: "left", textAnchor: "start", dx: 6, dy } as const
  return Plot.text([value], { y: (v: number) => v, text: [`${name} ${short(value)}`], ...at })
}

function beyond(crossing: number | null, samples: readonly Sample[]) {
  const last = samples.at(-1)?.x
  if (crossing === null || last === undefined || last <= crossing) return []
  return [Plot.rectX([0], { x1: crossing, x2: last, fill: RED, fillOpacity: 0.08, className: "rl-beyond" })]
}

function samplesOf(curve: readonly RecordedPoint[], name: MetricName): Sample[] {
  return curve
    .map((point) => {
      const byPrompt = (point.metricsByPrompt ?? []).map((values) => values[name]).filter(Number.isFinite)
      const y = point.metrics[name]
      return { x: point.coefficient, y, low: Math.min(y, ...byPrompt), high: Math.max(y, ...byPrompt) }
    })
    .filter(({ y }) => Number.isFinite(y))
}

/** A metric that grows a hundredfold, as perplexities do, is drawn on a logarithmic scale. */
function scaleOf(samples: readonly Sample[]): { type?: "log"; tickFormat?: string } {
  const low = Math.min(...samples.map((sample) => sample.low))
  const high = Math.max(...samples.map((sample) => sample.high))
  return low > 0 && high / low > 100 ? { type: "log", tickFormat: "~g" } : {}
}

const unitOf = (name: MetricName): string =>
  /nll|vocab|entropy|kl/.test(name) && !name.includes("perplexity") ? `${name} (nats)` : name

/** Names of folders may be the same: the first keeps its own, the others get a number. */
const unique = (name: string, i: number): string => `${i + 1}. ${name}`

const short = (value: number): string => `${Number(value.toPrecision(4))}`
