import * as Plot from "@observablehq/plot"
import type { GradeSummary } from "../grade-summary.ts"
import type { Run } from "../record.ts"
import { BEST_RATING } from "../rubric.ts"
import { draw, type FigureDocument } from "./draw.ts"
import { frame, isNarrow, RED, ticksOf, upright, uprightLabel } from "./figures.ts"

/** What is drawn, told apart by colour and by dashes; the overall grade thick and on top. */
const LINES = [
  { name: "concept", color: "#d9730d", dash: "6,3" },
  { name: "prompt", color: "#8a63d2", dash: "2,3" },
  { name: "fluency", color: "#2e9f5b", dash: "9,3,2,3" },
  { name: "overall", color: "#1f77b4", dash: "none" },
] as const

/** The mean ratings over the coefficient, with the redline. */
export function gradesFigure({ curve }: GradeSummary, run: Run, document: FigureDocument, width = 720): string {
  const max = run.result?.max ?? null
  const [first, last] = [curve[0]?.coefficient ?? 0, curve.at(-1)?.coefficient ?? 0]
  const inside = max !== null && max >= first && max <= last
  const step = isNarrow(width) ? 74 : 90
  return draw(document, "the grades against the coefficient", {
    ...frame(width),
    marginTop: 52,
    x: { label: "coefficient", ...ticksOf(width) },
    y: { label: "mean rating", domain: [0, BEST_RATING], ticks: 4, grid: true },
    marks: [
      ...(inside ? upright(max, RED, "rl-max") : []),
      ...(inside && last > first ? [uprightLabel(max, "redline", (max - first) / (last - first), -4)] : []),
      ...LINES.flatMap(({ name, color, dash }, i) => [
        Plot.line(curve, {
          x: "coefficient",
          y: name,
          stroke: color,
          strokeDasharray: dash,
          strokeWidth: name === "overall" ? 3 : 1.8,
        }),
        Plot.dot(curve, { x: "coefficient", y: name, fill: color, r: name === "overall" ? 3.5 : 2.5 }),
        Plot.text([name], {
          text: [`● ${name}`],
          frameAnchor: "top-left",
          lineAnchor: "bottom",
          textAnchor: "start",
          dx: i * step,
          dy: -19,
          fill: color,
          fontWeight: 600,
        }),
      ]),
    ],
  })
}
