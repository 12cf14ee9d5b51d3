// Draws the curve of a search as docs/bridge-curve.svg for the README:
//   npm run --silent demo -- --json | node scripts/run.mjs scripts/curve-svg.ts > docs/bridge-curve.svg
import { text } from "node:stream/consumers"
import type { FoundRedline } from "../src/index.ts"

const WIDTH = 720
const HEIGHT = 300
const LEFT = 56
const RIGHT = 16
const TOP = 16
const BOTTOM = 44

const { curve, baseline, threshold, max, crossing, settings } = JSON.parse(await text(process.stdin)) as FoundRedline

const last = Math.max(...curve.map(({ coefficient }) => coefficient))
const highest = Math.max(...curve.map(({ metric }) => metric))
const x = (coefficient: number): number => LEFT + (coefficient / last) * (WIDTH - LEFT - RIGHT)
const y = (metric: number): number => HEIGHT - BOTTOM - (metric / highest) * (HEIGHT - TOP - BOTTOM)
const at = (value: number): string => value.toFixed(1)

const label = (px: number, py: number, anchor: string, words: string): string =>
  `<text x="${at(px)}" y="${at(py)}" text-anchor="${anchor}">${words}</text>`
const level = (metric: number, name: string, dash: string, below: number): string =>
  `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(metric))}" y2="${at(y(metric))}" stroke="#888" stroke-dasharray="${dash}"/>` +
  label(WIDTH - RIGHT, y(metric) + below, "end", `${name} ${metric.toFixed(2)}`)

const points = curve.map(({ coefficient, metric }) => `${at(x(coefficient))},${at(y(metric))}`)
const redline =
  max === null || crossing === null
    ? ""
    : `<rect x="${at(x(max))}" y="${TOP}" width="${at(WIDTH - RIGHT - x(max))}" height="${HEIGHT - TOP - BOTTOM}" fill="#d33" opacity="0.08"/>` +
      `<line x1="${at(x(max))}" x2="${at(x(max))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#d33" stroke-width="2"/>` +
      label(x(max) - 6, TOP + 12, "end", `redline ${max}`)
const ticks = curve
  .filter((_, i) => i % 2 === 0)
  .map(({ coefficient }) => label(x(coefficient), HEIGHT - BOTTOM + 18, "middle", `${coefficient}`))

process.stdout
  .write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#777">
${redline}
${level(baseline, "baseline", "2 4", 14)}
${level(threshold, "threshold", "6 4", -5)}
<polyline points="${points.join(" ")}" fill="none" stroke="#36c" stroke-width="2.5"/>
${points.map((point) => `<circle cx="${point.split(",")[0]}" cy="${point.split(",")[1]}" r="3" fill="#36c"/>`).join("")}
${ticks.join("")}
${label((WIDTH + LEFT) / 2, HEIGHT - 8, "middle", "coefficient")}
<text transform="translate(16 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${settings.metric} (nats)</text>
</svg>
`)
