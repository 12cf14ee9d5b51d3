import { type Sensitivity, telling } from "../sensitivity.ts"
import type { Estimate, MethodScore } from "../study.ts"
import type { Study, StudyResult } from "../study-record.ts"
import { defaultCandidate } from "../study-run.ts"
import { type GradedTopic, gradedTopicsHtml } from "./grade-html.ts"
import { definitions, escape, page, shown, tableHtml } from "./page.ts"

/** SVG, as the figures' functions give them. */
export interface StudyFigures {
  readonly methods: string
  readonly truth: string
  /** The same for a phone's width. */
  readonly truthNarrow: string
  readonly topics: readonly { readonly name: string; readonly svg: string }[]
  /** The topics that were graded. */
  readonly grades?: readonly GradedTopic[]
}

/** A study as one HTML file that needs nothing else. */
export function studyHtml(study: Study, figures: StudyFigures): string {
  const { result, model, adapter, versions, settings, prompts, layers, topics, truth, name } = study
  const facts = { layers: layers.join(", "), ...settings, prompts: prompts.map(({ text }) => text ?? "").join(" · ") }
  const body = result
    ? resultSections(result, figures)
    : ["<p>Run it again with the same settings: it goes on where it stopped.</p>"]
  const { grades = [] } = figures
  if (grades.length > 0) body.push(`<section><h2>Grades</h2>${gradedTopicsHtml(grades)}</section>`)
  return page(
    `${name}: a study by redline`,
    `<header><p class="over">${escape(model.name)}, ${Object.keys(topics).length} topics</p><h1>${escape(headline(result))}</h1></header>
${body.join("\n")}
<section><h2>Settings</h2>${definitions(facts)}</section>
<section><h2>Model, truth, environment</h2>${definitions({ ...model, truth, adapter, ...versions })}</section>`,
  )
}

/** A study with its methods in order: those first whose coherent picks outweigh what they give away. */
export function bestFirst(study: Study): Study {
  if (!study.result) return study
  const worth = ({ coherent, givenAway }: MethodScore): number => coherent.value - givenAway.value
  return { ...study, result: { ...study.result, methods: study.result.methods.toSorted((a, b) => worth(b) - worth(a)) } }
}

function headline(result: StudyResult | null): string {
  if (!result) return "This study is not done."
  const own = result.methods.find(({ method }) => method === defaultCandidate)
  if (!own) return `${result.methods.length} methods on ${result.topics.length} topics`
  return `${own.method} picks ${percent(own.coherent)} coherent and gives ${percent(own.givenAway)} of the range away.`
}

function resultSections(result: StudyResult, figures: StudyFigures): string[] {
  const small = figures.topics.map(({ name, svg }) => `<figure>${svg}<figcaption><b>${escape(name)}</b></figcaption></figure>`)
  return [
    `<section><h2>Methods</h2><p>A pick is coherent when it is not above the last coherent coefficient; given away is the share of the
usable range above it. In brackets: 95 % bootstrap intervals over the topics.</p>
<figure class="on-wide">${figures.methods}<figcaption>Red: the default. Dashed: the aims, 90 % and 15 %.</figcaption></figure>
${methodTable(result.methods)}</section>`,
    `<section><h2>The truth</h2><figure class="on-wide">${figures.truth}</figure><figure class="on-narrow">${figures.truthNarrow}</figure>
<p class="legend">The darker a cell, the more texts make sense. Framed: the last coherent coefficient. Red dot: the default's pick. Blue
ring: that of nll +20 %.</p></section>`,
    `<section><h2>Topics</h2><p class="legend">Green: the share of texts that make sense. Blue: the share of improbable tokens. Dashed: the
last coherent coefficient. Red: the default's pick.</p><div class="multiples">${small.join("\n")}</div></section>`,
    ...minimumSection(result),
    ...replaySection(result),
    ...sensitivitySection(result.sensitivity),
  ]
}

function methodTable(methods: readonly MethodScore[]): string {
  const rows = methods.map(({ method, coherent, givenAway, distance, length, picks }) => {
    const above = picks.filter((pick) => !pick.coherent).map(({ topic }) => topic)
    const named = above.slice(0, 4).join(", ") + (above.length > 4 ? ` and ${above.length - 4} more` : "")
    const cells = [interval(coherent), interval(givenAway), shown(distance.value), length.value.toFixed(2), named]
    return [method === defaultCandidate ? `${method}, the default` : method, ...cells]
  })
  return tableHtml(
    "the methods",
    ["method", "coherent picks", "range given away", "steps off", "lengths off", "too high on"],
    rows,
  )
}

function minimumSection({ minimum }: StudyResult): string[] {
  if (!minimum) return []
  const rows = minimum.topics.map(({ topic, minimum: least, onset, onTopic: [plain, at, best] }) => {
    return [topic, shown(least), shown(onset), ...[plain, at, best].map((share) => `${Math.round(100 * share)} %`)]
  })
  return [
    `<section><h2>The minimum</h2><p>Within a step of where the texts turn to the topic on ${interval(minimum.within)} of the topics.</p>
${tableHtml("the minima", ["topic", "minimum", "onset", "on topic at 0", "at the minimum", "at best"], rows)}</section>`,
  ]
}

function replaySection({ coarseThenFine }: StudyResult): string[] {
  if (coarseThenFine.length === 0) return []
  const rows = coarseThenFine.map(({ step, agrees, evaluated, total }) => {
    return [`every ${step} steps`, `${Math.round(100 * agrees)} %`, `${evaluated.toFixed(1)} of ${total}`]
  })
  return [
    `<section><h2>Coarse, then fine</h2><p>How often a coarse grid, then the points between, finds the full grid's crossing.</p>
${tableHtml("the strategies", ["coarse grid", "same crossing", "coefficients run"], rows)}</section>`,
  ]
}

function sensitivitySection(rows: readonly Sensitivity[]): string[] {
  const names = rows[0]?.methods.map(({ method }) => method)
  if (!names) return []
  const cells = ({ coherent, givenAway }: MethodScore): string => `${percent(coherent)} / ${percent(givenAway)}`
  const lines = rows.map((row) => {
    const { methods, byReference } = telling(row)
    return [`${row.setting} ${row.value}${byReference ? " *" : ""}`, ...methods.map(cells)]
  })
  return [
    `<section><h2>Sensitivity</h2><p>Coherent picks / range given away with one setting changed, by the truth of the texts that it gave;
* by that of the reference, where these make no sense without steering either.</p>
${tableHtml("the settings", ["setting", ...names.map((name) => name.replace("alert ", ""))], lines)}</section>`,
  ]
}

const percent = ({ value }: Estimate): string => `${Math.round(100 * value)} %`

const interval = (estimate: Estimate): string =>
  `${percent(estimate)} (${Math.round(100 * estimate.low)}-${Math.round(100 * estimate.high)})`
