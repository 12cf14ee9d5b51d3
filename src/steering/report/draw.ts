import * as Plot from "@observablehq/plot"

/** What the figures are drawn with: a browser's document, or another that has `createElementNS`. */
export type FigureDocument = object

/** Colours are attributes, for programs that know no CSS; a dark background's come by a media query. */
export const FIGURE_CSS: string = `.rl-figure{color:#222;background:#fff;font-family:system-ui,"DejaVu Sans",sans-serif}
@media(prefers-color-scheme:dark){.rl-figure{color:#ddd;background:#16181d}
.rl-curve path{stroke:#7ab0ff}.rl-points circle{fill:#7ab0ff}.rl-band path{fill:#7ab0ff}
.rl-max line{stroke:#ff7b72}.rl-beyond rect{fill:#ff7b72}.rl-minimum line{stroke:#56c28c}}
@media print{.rl-figure{color:#222;background:#fff}}`

/** A plot as SVG that stands alone. @param label What it shows, for who cannot see it. */
export function draw(document: FigureDocument, label: string, options: Plot.PlotOptions): string {
  const drawing = { ...options, document, className: "rl-figure", ariaLabel: label, style: { fontSize: "12px" } }
  // Plot gives a live element; its own style sheet is replaced by one that needs no functions of CSS that SVG programs lack.
  const svg = (Plot.plot(drawing as Plot.PlotOptions) as unknown as { outerHTML: string }).outerHTML
  return svg
    .replace(/<style>[^]*?<\/style>/, `<style>${FIGURE_CSS}</style>`)
    .replace("<svg ", `<svg ${svg.includes("xmlns=") ? "" : 'xmlns="http://www.w3.org/2000/svg" '}role="img" `)
}
