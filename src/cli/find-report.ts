import { type CurvePoint, type FoundRedline, metrics, TAKEN_HOLD } from "../index.ts"
import { hasThreshold } from "../steering/crossing.ts"
import { heldUpTo } from "../steering/metrics.ts"
import { bar, counted, cut, oneLine, short, table } from "./text.ts"

const BAR = 24
const MARKER = " ◀ redline"

/** A line of the curve's table; the heading and the redline are styled by the caller. */
export interface TableLine {
  readonly text: string
  readonly kind: "heading" | "point" | "redline" | "broken"
}

/** The curve as a table of `width` columns: coefficient, metric, bar with the threshold's mark, the first prompt's text. */
export function curveTable(found: FoundRedline, width: number): TableLine[] {
  const { curve, settings, threshold, max, crossing } = found
  const values = curve.map(({ metric }) => metric).filter(Number.isFinite)
  const largest = Math.max(threshold, ...values)
  const left = table(
    [
      ["coefficient", settings.metric, `0 to ${short(largest)}, │ threshold`],
      ...curve.map(({ coefficient, metric }) => [`${coefficient}`, metric.toFixed(3), bar(metric, largest, BAR, threshold)]),
    ],
    ["right", "right", "left"],
  )
  const columns = Math.max(...left.map((line) => line.length))
  const rest = Math.max(12, width - columns - 2)
  return left.map((line, i) => {
    const point = curve[i - 1]
    const kind = point === undefined ? "heading" : kindOf(point, max, crossing)
    const text = point === undefined ? headingOf(found) : textOf(point)
    const marker = kind === "redline" ? MARKER : ""
    return { kind, text: `${line.padEnd(columns)}  ${cut(text, rest - marker.length)}${marker}`.trimEnd() }
  })
}

/** What the curve says, in sentences; `evaluator` names the model that judged, where it was another. */
export function conclusion(found: FoundRedline, evaluator?: string): string[] {
  const { baseline, threshold, crossing, max, minimum, interpolated, unit, reason, settings, stopped, prompts } = found
  const averaged = prompts.length > 1 ? `, mean over ${counted(prompts.length, "prompt")}` : ""
  const metric = `${settings.metric} (${metrics[settings.metric].describe}${averaged})`
  const { absolute, direction } = metrics[settings.metric]
  const distance = absolute === undefined ? percent(settings.threshold) : `${settings.threshold}`
  const side = direction === "rises" ? "above" : "below"
  const limit = `its threshold ${threshold.toFixed(3)}, ${distance} ${side} the baseline ${baseline.toFixed(3)} at coefficient 0`
  const advice = stopped ? [] : [`Try ${max === null ? "larger" : "smaller"} ones with --coefficients, or auto.`]
  const stop = stopped ? ["Stopped before the search was done: this is what was known by then."] : []
  if (max === null || crossing === null) {
    if (!hasThreshold(found)) return [...stop, `No redline found: ${reason ?? "no threshold"}.`]
    return [...stop, `No redline found: ${reason ?? "no crossing"}.`, `${metric} has not reached ${limit}.`, ...advice]
  }
  const crosses = `At ${crossing} ${metric} crosses ${limit}`
  if (max === 0) return [...stop, `The redline is 0: ${reason ?? "the metric crosses at once"}.`, `${crosses}.`, ...advice]
  const between = interpolated === null ? "" : `; interpolated between the two: ${short(interpolated)}`
  const length = Number((max / unit).toPrecision(2))
  return [
    ...stop,
    `The redline is ${max}: up to there ${heldUpTo(settings.metric, evaluator)}.`,
    `${crosses}${between}.`,
    `At ${max} the vector is ${length} times as long as the mean residual it is added to.`,
    ...(minimum === null ? [] : [`The vector takes effect from ${minimum}, where kl-p95 reaches ${TAKEN_HOLD} nat.`]),
  ]
}

/** All prompts' texts at the redline, or at the largest coefficient known where there is none. */
export function allTexts(found: FoundRedline): string[] {
  const at = found.curve.find(({ coefficient }) => coefficient === found.max) ?? found.curve.at(-1)
  if (!at) return []
  const texts = at.completions.map((completion, i) => `  ${promptName(found, i)} → ${oneLine(shown(completion)).trimStart()}`)
  return [`Texts at ${at.coefficient}:`, ...texts]
}

/** What was run, in a line; `evaluator` names the model that judged, where it was another. */
export function settingsLine({ layers, prompts, settings }: FoundRedline, layerRanges: string, evaluator?: string): string {
  const steered = `${layers.length === 1 ? "layer" : "layers"} ${layerRanges}`
  const generated = `${counted(settings.tokens, "token")}, repetition penalty ${settings.repetitionPenalty}`
  const judged = evaluator === undefined ? "" : `; judged by ${evaluator}`
  return `${steered}; ${counted(prompts.length, "prompt")}; ${generated}${judged}`
}

function kindOf({ coefficient }: CurvePoint, max: number | null, crossing: number | null): TableLine["kind"] {
  if (coefficient === max) return "redline"
  return crossing !== null && coefficient >= crossing ? "broken" : "point"
}

function headingOf(found: FoundRedline): string {
  return `text after ${promptName(found, 0)}`
}

function textOf({ completions: [first] }: CurvePoint): string {
  return first ? oneLine(shown(first)).trimStart() : ""
}

const shown = ({ text, ids }: { text: string | undefined; ids: readonly number[] }): string => text ?? ids.join(" ")

function promptName({ prompts }: FoundRedline, index: number): string {
  const prompt = prompts[index]
  return prompt ? `«${oneLine(shown(prompt))}»` : ""
}

const percent = (fraction: number): string => `${short(fraction * 100)} %`
