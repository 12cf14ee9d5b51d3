import { join } from "node:path"
import {
  defaultThreshold,
  InputError,
  type LayerMap,
  type LayerMapOptions,
  layerSets,
  type MappedSet,
  mapLayers,
  metrics,
  parseCoefficients,
  RELATIVE_COEFFICIENTS,
  type SteeringVector,
} from "../index.ts"
import { writeFileAtomic, writeLayerMap } from "../node.ts"
import { checkSets } from "../steering/layer-map.ts"
import type { Command, Context } from "./command.ts"
import { assertFolderWritable } from "./files.ts"
import { mapNotes, mapSettings, setTable } from "./layer-map-report.ts"
import { checkLayers } from "./layers.ts"
import { metricOption, metricOptions, metricsNote } from "./metric.ts"
import { count, type Options, parseLayers, positive } from "./options.ts"
import { checkPairs, type PairsSource } from "./pairs.ts"
import { asPrompts, chatOption } from "./prompts.ts"
import { versions } from "./run-record.ts"
import { checkDemo, describeModel, openSession, type Session } from "./session.ts"
import { ranges, toJson } from "./text.ts"
import { Stopwatch } from "./stopwatch.ts"
import { heading, readVectorSource, sourceOptions, trainedOn, type VectorSource, withDemo } from "./vector-source.ts"
import { checkVector, describeVector, noteVectors } from "./vectors.ts"

export const layers: Command = {
  name: "layers",
  summary: "find the redline of each layer and of sets of layers, to choose where to steer",
  options: {
    ...sourceOptions,
    "sets": {
      value: "LIST",
      help: 'sets of 0-based layers such as "0;1;3-4;2-5", in quotes; each layer and each pair of neighbours unless told',
    },
    "prompt": { value: "TEXT", help: "what the model continues; again for more" },
    "prompts": { value: "FILE", help: "more prompts, one a line, beside those of --prompt" },
    ...chatOption,
    "coefficients": {
      value: "LIST",
      help: "start:end:step or a list, in lengths of the residual stream; 0:1:0.05 unless told",
    },
    "tokens": { value: "N", help: "new tokens of a completion; 32 unless told" },
    "repetition-penalty": { value: "NUMBER", help: "while generating; 1.1 unless told, 1 is none" },
    ...metricOptions,
    "out": { value: "DIR", help: "write layers.json, layers.html, heat-map.svg and heat-map.png there" },
    "demo": { help: "the embedded model's bridge pairs and its prompts, where not given otherwise" },
  },
  notes: [
    "The vector is one of --vector, --positive with --negative, or --pairs (a vector by the mean of the differences, at every layer of " +
      "any set). Coefficients are relative: 1 adds a vector as long as the mean residual stream of the layers. Each set is a search of " +
      "its own, as redline find --layers is; a large model's layers are many, name some with --sets.",
    "The set suggested is the one with the largest KL(steered || unsteered) at its redline: it moves the predictions furthest while the " +
      "text still makes sense. It is a suggestion, not a measure of how well the topic is met: read the texts.",
    metricsNote,
    "JSON: { model, adapter, vector, prompts: [{ text, ids }], settings, suggested, stopped, sets: [{ layers, unit, redline, " +
      "relativeRedline, minimum, relativeMinimum, effect: { divergence, changed }, baseline, threshold, crossing, reason, points: " +
      "[{ relative, coefficient, metric, distance }], curve }], seconds }. suggested is a set's layers or null; distance is 0 at the " +
      "baseline and 1 at the threshold; curve is as that of redline find.",
    "Ctrl-C stops the search and prints the sets known by then (exit code 130); a second one ends the process at once.",
  ],
  examples: [
    "redline layers --demo",
    'redline layers --pairs pairs.jsonl --prompt "I am" --sets "2;3;4;3-4" --out runs/layers',
    "redline layers --model DIR --vector wedding.safetensors --prompt Hello --coefficients 0:0.6:0.05 --json",
  ],
  run,
}

type MapSettings = Required<Pick<LayerMapOptions, "coefficients" | "tokens" | "repetitionPenalty" | "metric" | "threshold">>

interface Request extends VectorSource {
  readonly sets: readonly (readonly number[])[] | undefined
  readonly settings: MapSettings
  readonly out: string | undefined
}

async function run(context: Context): Promise<void> {
  checkDemo(context.options)
  const options = withDemo(context.options)
  const request = await readRequest(options)
  const { terminal, signal } = context
  const watch = new Stopwatch()
  using session = await openSession({ ...context, options }, (config) => {
    if (request.vector) checkVector(request.vector, config)
    else checkLayers(request.sets?.flat() ?? [], config, "--sets")
  })
  const { model } = session
  const prompts = asPrompts(model, request.prompts, options, request.settings.tokens)
  if (request.source) checkPairs(model, request.source)
  session.announce()
  if (request.vector) noteVectors([request.vector], model, terminal)

  watch.lap("load")
  const sets = request.sets ?? layerSets(request.vector?.vector.layers ?? [...Array(model.config.layers).keys()])
  const at = [...new Set(sets.flat())]
  const vector = request.vector?.vector ?? (await trainedOn(model, request.source as PairsSource, at, context))
  watch.lap("train")
  const map = await mapLayers(model, vector, {
    ...request.settings,
    sets,
    prompts,
    signal,
    onProgress: ({ layers: steered, done, total, search }) => {
      const part = (search.done + search.batch * (search.total - search.done)) / Math.max(1, search.total)
      terminal.progress(`layers ${ranges(steered)}, set ${done + 1} of ${total}, ${Math.round(100 * part)} % of it generated`)
    },
  })
  watch.lap("search")
  const document = documentOf(map, vector, session, options, watch.seconds)
  if (terminal.json) terminal.document(document)
  else printMap(map, vector, session, { ...context, options })
  terminal.note(watch.describe())
  if (request.out !== undefined) await writeMap(request.out, map, vector, session, options, document)
}

/** Everything that can be read and checked without the model. */
async function readRequest(options: Options): Promise<Request> {
  const metric = metricOption(options)
  const sets = setsOption(options)
  const settings = {
    coefficients: coefficientsOption(options),
    tokens: options.number("tokens", count) ?? 32,
    repetitionPenalty: options.number("repetition-penalty", positive) ?? 1.1,
    threshold: options.number("threshold", positive) ?? defaultThreshold(metrics[metric]),
    metric,
  }
  const source = await readVectorSource(options, "layers", sets?.flat())
  const out = options.text("out")
  if (out !== undefined) await assertFolderWritable(out)
  return { ...source, sets, settings, out }
}

/** What --sets names. @throws InputError for what is no list of layers, or a set given twice */
function setsOption(options: Options): number[][] | undefined {
  const text = options.text("sets")
  if (text === undefined) return undefined
  const parts = text.split(";").filter((part) => part.trim() !== "")
  return checkSets(
    parts.map((part) => parseLayers(part, "--sets")),
    "--sets",
  )
}

function coefficientsOption(options: Options): readonly number[] {
  const text = options.text("coefficients")
  if (text === undefined) return RELATIVE_COEFFICIENTS
  const coefficients = parseCoefficients(text, "--coefficients")
  if (coefficients !== "auto") return coefficients
  const expected = "coefficients that all sets share"
  throw new InputError({ where: "--coefficients", expected, found: "auto", todo: "give start:end:step, such as 0:1:0.05" })
}

function documentOf(
  map: LayerMap,
  vector: SteeringVector,
  { device, model }: Session,
  options: Options,
  seconds: Readonly<Record<string, number>>,
): Record<string, unknown> {
  return {
    model: describeModel(options, model),
    adapter: device.facts,
    vector: { ...describeVector(vector), file: options.text("vector") },
    prompts: map.prompts,
    settings: map.settings,
    suggested: map.suggested?.layers,
    stopped: map.stopped,
    sets: map.sets.map(describeSet),
    seconds,
  }
}

function describeSet({ found, points, ...set }: MappedSet): Record<string, unknown> {
  const { baseline, threshold, crossing, reason, curve } = found
  return { ...set, baseline, threshold, crossing, reason, points, curve }
}

function printMap(map: LayerMap, vector: SteeringVector, session: Session, { options, terminal }: Context): void {
  terminal.print(...heading(options, session, vector, mapSettings(map)))
  for (const { kind, text } of setTable(map)) {
    terminal.print(kind === "set" ? text : terminal.style(kind === "heading" ? "dim" : "bold", text))
  }
  terminal.print("", ...mapNotes(map, terminal.width))
}

async function writeMap(
  folder: string,
  map: LayerMap,
  vector: SteeringVector,
  { device, model }: Session,
  options: Options,
  document: Readonly<Record<string, unknown>>,
): Promise<void> {
  await writeLayerMap(folder, map, {
    model: describeModel(options, model),
    vector: describeVector(vector),
    adapter: { ...device.facts },
    versions: versions(),
  })
  await writeFileAtomic(join(folder, "layers.json"), `${toJson(document)}\n`)
}
