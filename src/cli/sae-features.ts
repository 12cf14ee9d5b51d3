import { fractionUnexplainedPerLayer, type TopFeature, topFeatures, type TopFeatures } from "../index.ts"
import type { Command, Context } from "./command.ts"
import { count } from "./options.ts"
import { promptOf, promptOptions } from "./prompts.ts"
import { saeOf, saeOptions, withSae } from "./sae.ts"
import { cut, oneLine, table } from "./text.ts"

export const saeFeatures: Command = {
  name: "sae features",
  summary: "the strongest features of a text, with the tokens that they are strong at",
  options: {
    ...saeOptions,
    ...promptOptions("text"),
    "count": { value: "N", help: "features; 10 unless told" },
    "per-layer": { help: "the fraction of variance unexplained of every layer's output: lowest at the autoencoder's own" },
  },
  notes: [
    "The first token is left out: attention rests on it, which drowns what the others say. The fraction of variance unexplained is of " +
      "this text: 0 is perfect, 1 no better than the mean. With --per-layer a folder whose numbers are off by one is seen.",
    "JSON: { layer, ids, features: [{ feature, activation, uses: [{ position, id, token, activation }] }], unexplained, perLayer }: " +
      "perLayer by layer, null without --per-layer; unexplained is null where the tokens do not differ.",
  ],
  examples: ['redline sae features --sae models/tiny-talk-sae --layer 3 --text "I am talking about the sea." --per-layer'],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal, signal } = context
  const text = promptOf(options, "text")
  const wanted = options.number("count", count) ?? 10
  saeOf(options)
  await withSae(context, async (session, sae) => {
    const { model } = session
    const found = await topFeatures(model, sae, text, wanted, { signal })
    session.announce()
    const layers = Array.from({ length: model.config.layers }, (_, layer) => layer)
    const perLayer = options.has("per-layer")
      ? await fractionUnexplainedPerLayer(model, sae, [text], { layers, signal })
      : undefined
    if (terminal.json) return terminal.document({ ...found, perLayer: perLayer && Object.fromEntries(perLayer) })
    terminal.print(...describe(found).map((line) => cut(line, terminal.width)))
    if (perLayer) terminal.print("", ...layerTable(perLayer, sae.layer))
  })
}

function describe({ features, layer, unexplained }: TopFeatures): string[] {
  const rows = features.map(({ feature, activation, uses }) => [`${feature}`, activation.toFixed(2), usesOf(uses)])
  const share =
    unexplained === undefined ? [] : ["", `fraction of variance unexplained at layer ${layer}: ${unexplained.toFixed(3)}`]
  return [...table([["feature", "activation", "position:token"], ...rows], ["right", "right", "left"]), ...share]
}

function usesOf(uses: TopFeature["uses"]): string {
  return uses.map(({ position, token, id }) => `${position}:${token === undefined ? id : oneLine(token).trim()}`).join("  ")
}

function layerTable(perLayer: ReadonlyMap<number, number>, own: number): string[] {
  const lowest = Math.min(...perLayer.values())
  const rows = [...perLayer].map(([layer, fraction]) => [
    `${layer}`,
    fraction.toFixed(3),
    [layer === own ? "the autoencoder's" : "", fraction === lowest ? "lowest" : ""].filter((note) => note !== "").join(", "),
  ])
  return table([["layer", "unexplained", ""], ...rows], ["right", "right", "left"])
}
