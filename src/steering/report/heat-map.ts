import * as Plot from "@observablehq/plot"
import type { LayerMap, MappedSet } from "../layer-map.ts"
import { ranges } from "../ranges.ts"
import { draw, type FigureDocument } from "./draw.ts"
import { shown } from "./page.ts"

/** A colour of the map: for distances up to `to`, of which 1 is the threshold. The last has no end. */
interface Level {
  readonly to: number
  readonly light: string
  readonly dark: string
}

/** Blue while the metric is on the safe side of its threshold, orange beyond: lightness tells them apart without colour. */
const LEVELS: readonly Level[] = [
  { to: 0.25, light: "#eaf2fb", dark: "#1d2b3c" },
  { to: 0.5, light: "#cfe2f4", dark: "#23405e" },
  { to: 0.75, light: "#a9cbea", dark: "#2c5784" },
  { to: 1, light: "#7fb0dd", dark: "#3a74ad" },
  { to: 2, light: "#f9b27a", dark: "#6b3a16" },
  { to: 4, light: "#ec7a3c", dark: "#96491a" },
  { to: 8, light: "#c8471a", dark: "#c25e22" },
  { to: Infinity, light: "#86260a", dark: "#e08850" },
]

const HEAT_CSS = `@media screen and (prefers-color-scheme:dark){${LEVELS.map(({ dark }, i) => `.rl-level-${i}{fill:${dark}}`).join("")}}`

const ROW = 24
const TOP = 76
const BOTTOM = 46

/** The metric by relative coefficient and set of layers, from each set's minimum to its redline a bar. */
export function heatMapFigure(map: LayerMap, document: FigureDocument, width = 720): string {
  const narrow = width < 500
  const names = map.sets.map(nameOf)
  const right = narrow ? 62 : 110
  const cells = cellsOf(map)
  const drawn = draw(document, `${map.settings.metric} by coefficient and layers, with the redlines`, {
    width,
    height: TOP + BOTTOM + names.length * ROW,
    marginLeft: 8 + 7 * Math.max(6, ...names.map((name) => name.length)),
    marginRight: right,
    marginTop: TOP,
    marginBottom: BOTTOM,
    x: { label: null, ticks: narrow ? 5 : 10, tickSize: 4, domain: extent(cells), nice: false },
    y: { label: null, domain: names, tickSize: 0, padding: 0.08 },
    marks: [
      ...LEVELS.map(({ light }, level) =>
        Plot.rect(
          cells.filter((cell) => cell.level === level),
          { x1: "x1", x2: "x2", y: "name", fill: light, insetLeft: 0.5, insetRight: 0.5, className: `rl-level-${level}` },
        ),
      ),
      ...redlineMarks(map, cells),
      Plot.text(map.sets, {
        frameAnchor: "right",
        y: nameOf,
        text: (set: MappedSet) => ownOf(set, map),
        textAnchor: "start",
        dx: 8,
      }),
    ],
  })
  const words = [
    text(0, TOP - 8, "layers"),
    text(width - right + 8, TOP - 8, narrow ? "own" : "redline, own"),
    text((width - right) / 2 + 20, TOP + names.length * ROW + 36, "coefficient, in lengths of the residual stream", "middle"),
  ]
  return drawn.replace("</style>", `${HEAT_CSS}</style>`).replace(/<\/svg>$/, `${legend(map, width)}${words.join("")}</svg>`)
}

/** A rectangle of the map; its sides lie midway to the neighbours. */
interface Cell {
  readonly name: string
  readonly x: number
  readonly x1: number
  readonly x2: number
  readonly level: number
}

function cellsOf({ sets }: LayerMap): Cell[] {
  return sets.flatMap((set) =>
    set.points.map(({ relative, distance }, i): Cell => {
      const before = set.points[i - 1]?.relative
      const after = set.points[i + 1]?.relative
      const half = ((after ?? relative + (relative - (before ?? relative - 0.1))) - relative) / 2
      const x1 = before === undefined ? relative - half : (before + relative) / 2
      return { name: nameOf(set), x: relative, x1, x2: relative + half, level: levelOf(distance) }
    }),
  )
}

/** The level of a distance; one that is no number counts as beyond all. */
export function levelOf(distance: number): number {
  const level = LEVELS.findIndex(({ to }) => distance < to)
  return level < 0 ? LEVELS.length - 1 : level
}

/** A dot where the vector takes hold, a bar before the first coefficient beyond the threshold, and a line between them. */
function redlineMarks({ sets }: LayerMap, cells: readonly Cell[]) {
  const rows = sets.map((set) => {
    const name = nameOf(set)
    const end = cells.find((cell) => cell.name === name && cell.x === set.relativeRedline)?.x2
    return { name, start: set.relativeMinimum, end }
  })
  const windows = rows.filter(({ start, end }) => start !== null && start < (end ?? -Infinity))
  return [
    Plot.ruleY(windows, { y: "name", x1: "start", x2: "end", stroke: "currentColor", strokeWidth: 1.5 }),
    Plot.dot(
      rows.filter(({ start }) => start !== null),
      { y: "name", x: "start", r: 3, fill: "currentColor" },
    ),
    Plot.tickX(
      rows.filter(({ end }) => end !== undefined),
      { y: "name", x: "end", stroke: "currentColor", strokeWidth: 3.5, insetTop: -1, insetBottom: -1 },
    ),
  ]
}

/** The levels with the metric's values between them. Every set has the same baseline: without steering there are no layers. */
function legend({ sets, settings }: LayerMap, width: number): string {
  const found = sets[0]?.found
  if (!found) return ""
  const { baseline, threshold } = found
  const step = Math.min(52, width / LEVELS.length)
  const boxes = LEVELS.map(
    ({ light }, i) => `<rect class="rl-level-${i}" fill="${light}" x="${i * step}" y="22" width="${step - 1}" height="10"/>`,
  )
  const values = LEVELS.slice(0, -1).map(({ to }, i) => {
    const value = (baseline + to * (threshold - baseline)).toPrecision(2)
    return text((i + 1) * step - 0.5, 45, `${Number(value)}`, "middle", to === 1 ? 700 : 400, 10)
  })
  const title = `${settings.metric}: ${shown(baseline)} without steering, threshold ${shown(threshold)}`
  return `${text(0, 14, title)}${boxes.join("")}${values.join("")}`
}

function text(x: number, y: number, words: string, anchor = "start", weight = 400, size = 12): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-weight="${weight}" font-size="${size}" fill="currentColor">${words}</text>`
}

function ownOf(set: MappedSet, { suggested }: LayerMap): string {
  return set.redline === null ? "none" : `${shown(set.redline)}${set === suggested ? " ★" : ""}`
}

function extent(cells: readonly Cell[]): [number, number] {
  return [Math.min(...cells.map(({ x1 }) => x1)), Math.max(...cells.map(({ x2 }) => x2))]
}

const nameOf = ({ layers }: MappedSet): string => ranges(layers)
