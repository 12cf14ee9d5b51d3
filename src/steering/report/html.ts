import { hasThreshold } from "../crossing.ts"
import { heldUpTo, metrics } from "../metrics.ts"
import type { RecordedCompletion, RecordedPoint, Run } from "../record.ts"
import { runColor } from "./figures.ts"
import { type GradesDrawn, gradesHtml } from "./grade-html.ts"
import { byWidth, definitions, escape, page, shown } from "./page.ts"

export interface ReportFigures {
  readonly curve: string
  /** The same for a phone's width. */
  readonly curveNarrow: string
  readonly metrics: readonly { readonly name: keyof typeof metrics; readonly svg: string }[]
  /** Of a run that was graded, each grading's. */
  readonly grades?: readonly GradesDrawn[]
}

/** A run as one HTML file that needs nothing else. Figures are SVG, as the figures' functions give them. */
export function reportHtml(run: Run, figures: ReportFigures): string {
  const { adapter, versions, model, evaluator, vector, layers, prompts, settings } = run
  const small = figures.metrics.map(
    ({ name, svg }) => `<figure>${svg}<figcaption><b>${name}</b> ${escape(metrics[name].describe)}</figcaption></figure>`,
  )
  const { grades = [] } = figures
  const points = run.curve.map((point) => pointSection(point, run))
  const sections = [
    section("The curve", points.length > 0 && byWidth(figures.curve, figures.curveNarrow, curveCaption(run))),
    section("Every metric", small.length > 0 && `<div class="multiples">${small.join("\n")}</div>`),
    section("Grades", grades.length > 0 && gradesHtml(run, grades)),
    section("Texts", points.length > 0 && `${shades(run)}${points.join("\n")}`),
    section("Settings", definitions({ ...settings, prompts: prompts.map(nameOf).join(" · ") })),
    section(
      "Model, vector, environment",
      definitions({
        ...model,
        ...prefixed("evaluator", evaluator ?? {}),
        ...prefixed("vector", vector),
        ...prefixed("adapter", adapter),
        ...versions,
      }),
    ),
  ]
  return page(
    `${run.name}: redline`,
    `<header><p class="over">${escape(model.name)}, vector of layers ${layers.join(", ")}${evaluator ? `, judged by ${escape(evaluator.name)}` : ""}</p><h1>${escape(headline(run))}</h1>
<p>${escape(explanation(run))}</p></header>
${sections.filter((text) => text !== "").join("\n")}`,
  )
}

const section = (heading: string, body: string | false): string =>
  body === false ? "" : `<section><h2>${heading}</h2>${body}</section>`

const shades = ({ evaluator }: Run): string =>
  `<p class="legend">The darker a token, the less ${evaluator ? escape(evaluator.name) : "the unsteered model"} expects it:
${[1, 3, 5, 7, 9].map((s) => `<i class="s${s}">−${s - 1}${s === 9 ? " or less" : ""}</i>`).join(" ")} nats</p>
`

/** Several runs side by side, their figure wide and for a phone's width. */
export function comparisonHtml(runs: readonly Run[], figure: string, narrow: string): string {
  const head = ["run", "model", "layers", "metric", "baseline", "threshold", "redline", "crossing", "minimum"]
  const rows = runs.map(({ name, model, layers, settings, result }, i) => {
    const numbers = [result?.baseline, result?.threshold, result?.max, result?.crossing, result?.minimum]
    const cells = [model.name, layers.join(", "), settings.metric, ...numbers.map(shown)].map(
      (cell) => `<td>${escape(cell)}</td>`,
    )
    return `<tr><th scope="row"><span style="color:${runColor(i)}">●</span> ${i + 1}. ${escape(name)}</th>${cells.join("")}</tr>`
  })
  return page(
    "Runs compared: redline",
    `<header><h1>${runs.length} runs compared</h1></header>
${byWidth(figure, narrow, "How far each metric is from its baseline, 0, to its threshold, 1; 4 and more at the top. Upright: the redlines.")}
<div class="scroll" tabindex="0" role="region" aria-label="the runs"><table><thead><tr>${head.map((h) => `<th scope="col">${h}</th>`).join("")}</tr></thead><tbody>${rows.join("\n")}</tbody></table></div>`,
  )
}

/** The result in a sentence. */
export function headline({ result }: Run): string {
  if (!result) return "This search is not done."
  if (result.max === null) return "No redline found."
  return `The redline is ${result.max}.`
}

function curveCaption({ result }: Run): string {
  const levels = result && `Dotted: the baseline, ${shown(result.baseline)}. Dashed: the threshold, ${shown(result.threshold)}. `
  return `${levels ?? ""}The band spans the prompts.`
}

function explanation({ result, settings, evaluator }: Run): string {
  if (!result) return "Run it again with the same settings: it goes on where it stopped."
  const { crossing, baseline, threshold, reason, minimum } = result
  const limit = `its threshold ${shown(threshold)} (${shown(baseline)} at coefficient 0)`
  if (crossing === null && !hasThreshold(result)) return `${settings.metric} has no threshold: ${reason ?? "its baseline is 0"}.`
  if (crossing === null) return `${settings.metric} has not reached ${limit}: ${reason ?? "no crossing"}.`
  const takes = minimum === null || minimum === undefined ? "" : ` The vector takes effect from ${minimum}.`
  return `Up to there ${heldUpTo(settings.metric, evaluator?.name)}. At ${crossing}, ${settings.metric} (${metrics[settings.metric].describe}) crosses ${limit}.${takes}`
}

function pointSection(point: RecordedPoint, { result, prompts, settings }: Run): string {
  const { coefficient, metric, completions } = point
  const isMax = coefficient === result?.max
  const broken = typeof result?.crossing === "number" && coefficient >= result.crossing
  const kind = isMax ? "redline" : broken ? "broken" : "sound"
  const mark = isMax ? " <strong>redline</strong>" : coefficient === result?.minimum ? " <strong>minimum</strong>" : ""
  const texts = completions.map((completion, i) => {
    return `<p><q>${escape(prompts[i] ? nameOf(prompts[i]) : "")}</q> ${tokens(completion)}</p>`
  })
  const others = texts.length - 1
  const more = others < 1 ? "" : `<details><summary>${others} more</summary>${texts.slice(1).join("\n")}</details>`
  return `<article class="${kind}"><h3>${coefficient}${mark} <small>${settings.metric} ${shown(metric)}</small></h3>${texts[0] ?? ""}${more}</article>`
}

/** A token's shade goes by its log-prob: class s0 for 0 nats, s9 for -8 and less. */
function tokens({ ids, logprobs, text, pieces }: RecordedCompletion): string {
  if (!pieces) return escape(text ?? ids.join(" "))
  return pieces
    .map((piece, i) => {
      const logprob = logprobs[i] ?? 0
      const shade = logprob >= 0 ? 0 : Math.min(9, 1 + Math.floor(-logprob) || 9)
      return `<i class="s${shade}" title="${logprob.toFixed(2)}">${escape(piece)}</i>`
    })
    .join("")
}

const prefixed = (prefix: string, values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [`${prefix} ${key}`, value]))

const nameOf = ({ text, ids }: Run["prompts"][number]): string => text ?? ids.join(" ")
