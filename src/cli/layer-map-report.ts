import type { LayerMap, LayerMapPoint, MappedSet } from "../index.ts"
import { hasThreshold } from "../steering/crossing.ts"
import { counted, ranges, short, table, wrap } from "./text.ts"

/** From half-way to the threshold, beyond it, twice and four times as far. */
const SHADES = ["░", "▒", "▓", "█"] as const
const REDLINE = "┃"
/** Of the heat row: more coefficients than this share columns. */
const MOST = 41

/** A line of the sets' table; the heading and the suggested set are styled by the caller. */
export interface SetLine {
  readonly text: string
  readonly kind: "heading" | "set" | "suggested"
}

/** Sets as a table: layers, minimum, redline, effect, and a row of the map. */
export function setTable({ sets, suggested }: LayerMap): SetLine[] {
  const columns = Math.min(MOST, Math.max(0, ...sets.map(({ points }) => points.length)))
  const rows = sets.map((set) => [
    ranges(set.layers),
    number(set.relativeMinimum),
    number(set.relativeRedline),
    number(set.redline),
    set.effect?.divergence.toFixed(3) ?? "none",
    set.effect ? `${Math.round(100 * set.effect.changed)} %` : "none",
    heatRow(set, columns),
  ])
  const head = ["layers", "minimum", "redline", "own", "KL", "changed", axis(sets, columns)]
  const lines = table([head, ...rows], ["left", "right", "right", "right", "right", "right", "left"])
  return lines.map((text, i) => {
    if (i === 0) return { text, kind: "heading" }
    return sets[i - 1] === suggested ? { text: `${text}  ◀ suggested`, kind: "suggested" } : { text, kind: "set" }
  })
}

/** What the characters of the map mean, and what is suggested. */
export function mapNotes({ sets, suggested, settings, stopped }: LayerMap, width: number): string[] {
  const { baseline, threshold, reason } = sets[0]?.found ?? { baseline: NaN, threshold: NaN }
  const watched = `${settings.metric} is ${short(baseline)} without steering, its threshold ${short(threshold)}`
  const shades = `░ from half-way to the threshold, ▒ beyond it, ▓ twice, █ four times as far, ${REDLINE} the redline`
  const units =
    "Minimum and redline are in lengths of the residual stream, own is the redline in the vector's coefficients; KL(steered || " +
    "unsteered) and changed tokens are those at the redline."
  const advice = suggested
    ? `Suggested: ${layersOf(suggested)} at ${short(suggested.redline ?? 0)}, which moves the predictions furthest before ${settings.metric} ` +
      "crosses: the largest KL at the redline. That says nothing of the topic: read the texts."
    : !hasThreshold({ baseline, threshold }) && reason !== undefined
      ? `No set has a redline: ${reason}.`
      : "No set has a redline above 0 here: try other --coefficients."
  const stop = stopped ? ["Stopped before all sets were searched: these are those known by then."] : []
  return [`${watched}. Map: ${shades}. ${units}`, ...stop, advice].flatMap((line) => wrap(line, width))
}

/** The settings in a line. */
export function mapSettings({ sets, prompts, settings }: LayerMap): string {
  const generated = `${counted(settings.tokens, "token")}, repetition penalty ${settings.repetitionPenalty}`
  return `${counted(sets.length, "set")} of layers; ${counted(prompts.length, "prompt")}; ${generated}`
}

/** A character for each coefficient, or for the worst of several where there are more than `columns`. */
export function heatRow({ points, relativeRedline }: MappedSet, columns: number): string {
  const groups = grouped(points, columns)
  const marked = groups.findLastIndex((group) => group.some(({ relative }) => relative === relativeRedline))
  return groups.map((group, i) => (i === marked ? REDLINE : shade(Math.max(...group.map(({ distance }) => distance))))).join("")
}

function shade(distance: number): string {
  if (!(distance >= 0.5)) return Number.isNaN(distance) ? "█" : " "
  return SHADES[distance < 1 ? 0 : distance < 2 ? 1 : distance < 4 ? 2 : 3]
}

function grouped(points: readonly LayerMapPoint[], columns: number): LayerMapPoint[][] {
  const count = Math.min(columns, points.length)
  return Array.from({ length: count }, (_, i) =>
    points.slice(Math.floor((i * points.length) / count), Math.floor(((i + 1) * points.length) / count)),
  )
}

/** The first and the last coefficient over the ends of the heat rows. */
function axis(sets: readonly MappedSet[], columns: number): string {
  const all = sets.flatMap(({ points }) => points.map(({ relative }) => relative))
  const first = short(Math.min(...all))
  return `${first}${short(Math.max(...all)).padStart(columns - first.length)}`
}

const layersOf = ({ layers }: MappedSet): string => `${layers.length === 1 ? "layer" : "layers"} ${ranges(layers)}`

const number = (value: number | null): string => (value === null ? "none" : short(value))
