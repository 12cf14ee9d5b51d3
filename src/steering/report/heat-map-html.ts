import type { LayerMap, MappedSet } from "../layer-map.ts"
import { metrics } from "../metrics.ts"
import { ranges } from "../ranges.ts"
import { definitions, escape, page, shown, tableHtml } from "./page.ts"

/** SVG, as the figure's function gives it. */
export interface HeatMaps {
  readonly wide: string
  /** The same for a phone's width. */
  readonly narrow: string
}

/** What the page says of model, vector, adapter and versions. */
export interface LayerMapFacts {
  readonly model: Readonly<Record<string, unknown>> & { readonly name: string }
  readonly vector: Readonly<Record<string, unknown>>
  readonly adapter: Readonly<Record<string, unknown>>
  readonly versions: Readonly<Record<string, string>>
}

/** A map of layers as one HTML file that needs nothing else. */
export function layerMapHtml(map: LayerMap, figures: HeatMaps, facts: LayerMapFacts): string {
  const { settings, prompts, sets } = map
  const of = { ...settings, prompts: prompts.map(({ text, ids }) => text ?? ids.join(" ")).join(" · ") }
  return page(
    "Redlines by layer",
    `<header><p class="over">${escape(facts.model.name)}, ${sets.length} sets of layers</p><h1>${escape(headline(map))}</h1>
<p>${escape(explanation(map))}</p></header>
<section><h2>The map</h2><figure class="on-wide">${figures.wide}</figure><figure class="on-narrow">${figures.narrow}</figure>
<p class="legend">Bar: the redline, the last coefficient before ${escape(settings.metric)} crosses its threshold. Dot: the minimum, from which the
vector takes hold; the line between them is the usable range. Own: the redline in the vector's own coefficients, as the other commands
take them. ★: suggested.</p></section>
<section><h2>Every set</h2>${setTable(map)}</section>
<section><h2>Texts at the redline</h2>${sets.map((set) => textsOf(set, map)).join("\n")}</section>
<section><h2>Settings</h2>${definitions(of)}</section>
<section><h2>Model, vector, environment</h2>${definitions({ ...facts.model, vector: facts.vector, adapter: facts.adapter, ...facts.versions })}</section>`,
  )
}

function headline({ suggested, sets }: LayerMap): string {
  if (!suggested) return sets.length === 0 ? "Nothing was searched." : "No set of layers has a redline."
  return `Try ${layersOf(suggested)} first: the redline is ${shown(suggested.redline)}.`
}

function explanation({ suggested, settings, stopped }: LayerMap): string {
  const stop = stopped ? "Stopped before all sets were searched. " : ""
  const watched = `Watched: ${settings.metric}, ${metrics[settings.metric].describe}.`
  if (!suggested?.effect) return `${stop}${watched}`
  const divergence = `${shown(suggested.effect.divergence)} nats`
  return `${stop}At its redline this set moves the model's predictions furthest, by ${divergence} in the median token. That is a suggestion: whether they move to the topic, the texts tell. ${watched}`
}

function setTable({ sets, suggested }: LayerMap): string {
  const head = ["layers", "minimum", "redline", "own", "KL at redline", "changed tokens"]
  const rows = sets.map((set) => {
    const { effect, relativeMinimum, relativeRedline, redline } = set
    const numbers = [relativeMinimum, relativeRedline, redline, effect?.divergence].map(shown)
    return [`${ranges(set.layers)}${set === suggested ? " ★" : ""}`, ...numbers, effect ? percent(effect.changed) : "none"]
  })
  return tableHtml("the sets of layers", head, rows)
}

function textsOf(set: MappedSet, { prompts, suggested }: LayerMap): string {
  const { found, redline, relativeRedline, layers } = set
  const at = redline === null ? undefined : found.curve.find(({ coefficient }) => coefficient === redline)
  const heading = at ? `${shown(redline)} <small>${shown(relativeRedline)} of the residual stream</small>` : "no redline"
  const texts = (at?.completions ?? []).map(({ text, ids }, i) => {
    const prompt = prompts[i]
    return `<p><q>${escape(prompt?.text ?? prompt?.ids.join(" ") ?? "")}</q> ${escape(text ?? ids.join(" "))}</p>`
  })
  const others = texts.length - 1
  const more = others < 1 ? "" : `<details><summary>${others} more</summary>${texts.slice(1).join("\n")}</details>`
  const why = at ? "" : `<p>${escape(found.reason ?? "")}</p>`
  const kind = set === suggested ? "redline" : "sound"
  return `<article class="${kind}"><h3>${ranges(layers)}: ${heading}</h3>${texts[0] ?? why}${more}</article>`
}

const layersOf = ({ layers }: MappedSet): string => `${layers.length === 1 ? "layer" : "layers"} ${ranges(layers)}`

const percent = (share: number): string => `${Math.round(100 * share)} %`
