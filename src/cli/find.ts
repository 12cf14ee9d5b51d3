import {
  checkEvaluator,
  defaultThreshold,
  findRedline,
  type FindSettings,
  type FoundRedline,
  metrics,
  type Model,
  parseCoefficients,
  type SteeringVector,
} from "../index.ts"
import type { OpenRun } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { assertFolderWritable, folderOption } from "./files.ts"
import { allTexts, conclusion, curveTable, settingsLine } from "./find-report.ts"
import { readGeneration, searchGenerationOptions } from "./generation.ts"
import { checkLayers, layersOption, middleThird } from "./layers.ts"
import { metricOption, metricOptions, metricsNote } from "./metric.ts"
import { type Options, positive } from "./options.ts"
import { checkPairs, type PairsSource } from "./pairs.ts"
import { asPrompts, chatOption } from "./prompts.ts"
import { finishSearch, openSearch, runFacts, type Search } from "./run-record.ts"
import { checkDemo, describeFolder, describeModel, loadBeside, modelPath, openSession, type Session } from "./session.ts"
import { ranges, wrap } from "./text.ts"
import { heading, readVectorSource, sourceOptions, trainedOn, type VectorSource, withDemo } from "./vector-source.ts"
import { Stopwatch } from "./stopwatch.ts"
import { checkVector, describeVector, noteVectors } from "./vectors.ts"

export const find: Command = {
  name: "find",
  summary: "find the largest coefficient of a steering vector at which the model still makes sense",
  options: {
    ...sourceOptions,
    layers: {
      value: "LAYERS",
      help: "0-based layers such as 2-5,7; the vector's own, or the model's middle third to train at",
    },
    prompt: { value: "TEXT", help: "what the model continues; again for more" },
    prompts: { value: "FILE", help: "more prompts, one a line, beside those of --prompt" },
    ...chatOption,
    coefficients: { value: "LIST", help: "start:end:step (0:8:0.25), 0,1,2.5 or auto, which is the default" },
    ...searchGenerationOptions,
    evaluator: { value: "DIR", help: "another model of the same tokens, whose log-probs judge the texts" },
    ...metricOptions,
    out: {
      value: "DIR",
      help: "keep the run there: run.json, curve.jsonl, the vector, figures, report.html; a stopped one goes on",
    },
    texts: { help: "also print every prompt's text at the redline" },
    demo: {
      help: "the embedded model's bridge pairs, its prompts, layers 3-4, coefficients 0:1.8:0.1, where not given otherwise",
    },
  },
  notes: [
    "The vector is one of --vector, --positive with --negative, or --pairs (a vector by the mean of the differences). Without " +
      "--prompt and --prompts the model continues the words that all texts of the pairs begin with. The metric is the mean over " +
      "prompts. Every coefficient of the list and 0, the baseline, run as one batch; auto brackets the crossing in units of the residual " +
      "stream and refines it.",
    metricsNote,
    "JSON: { model, evaluator, adapter, vector, layers, prompts: [{ text, ids }], settings, baseline, threshold, crossing, max, " +
      "interpolated, minimum, unit, stopped, reason, curve: [{ coefficient, metric, metrics, metricsByPrompt, completions: [{ ids, " +
      "logprobs, text }] }], seconds: { load, train, search, total } }. evaluator is null unless another model judges; crossing and max " +
      "are null, with a reason, when the metric never crosses. Numbers that are not finite are null.",
    "Ctrl-C stops the search and prints what is known (exit code 130); a second one ends the process at once.",
  ],
  examples: [
    "redline find --demo",
    'redline find --positive "I am talking about weddings" --negative "I am talking about nothing" --layers 3-4',
    "redline find --model DIR --vector wedding.safetensors --prompt Hello --coefficients 0:8:0.25 --json",
  ],
  run,
}

interface Request extends VectorSource {
  readonly settings: FindSettings
  /** The folder of the model that judges, where it is another. */
  readonly evaluator: string | undefined
  readonly out: string | undefined
}

async function run(context: Context): Promise<void> {
  checkDemo(context.options)
  const options = withDemo(context.options, {
    ...(!context.options.has("vector") && { layers: "3-4" }),
    coefficients: "0:1.8:0.1",
  })
  const request = await readRequest(options)
  const { terminal, signal } = context
  const watch = new Stopwatch()
  using session = await openSession({ ...context, options }, (config) => {
    if (request.vector) checkVector(request.vector, config)
    else checkLayers(layersOption(options) ?? [], config)
  })
  const { model } = session
  using evaluator = await loadBeside(request.evaluator, session, context)
  const prompts = asPrompts(model, request.prompts, options, request.settings.tokens)
  const promptIds = prompts.map(({ ids }) => ids)
  if (evaluator) checkEvaluator(evaluator, model, promptIds, request.settings.tokens)
  if (request.source) checkPairs(model, request.source)
  session.announce()
  if (request.vector) noteVectors([request.vector], model, terminal)

  watch.lap("load")
  const layers = layersOption(options) ?? middleThird(model.config.layers)
  const vector = request.vector?.vector ?? (await trainedOn(model, request.source as PairsSource, layers, context))
  watch.lap("train")
  const { out, settings } = request
  using record = await recordOf(request, session, evaluator, { vector, prompts, settings }, context)
  terminal.progress("searching")
  const found = await findRedline(model, vector, {
    ...settings,
    prompts,
    ...(evaluator && { evaluator }),
    ...(record && { record }),
    signal,
    onProgress: ({ done, total, batch }) => {
      const percent = Math.round((100 * (done + batch * (total - done))) / total)
      terminal.progress(`searching ${done} of ${total} coefficients, ${percent} % generated`)
    },
  })
  watch.lap("search")
  const { seconds } = watch

  const judge = evaluator && describeFolder(request.evaluator as string, evaluator)
  if (terminal.json) terminal.document(documentOf(found, vector, session, options, { evaluator: judge, seconds }))
  else printFound(found, vector, session, { ...context, options }, judge?.name)
  terminal.note(watch.describe())
  if (out !== undefined && record) await finishSearch(out, record, found, vector, seconds)
}

/** The run's folder, where --out asks for one. */
async function recordOf(
  { out, evaluator: folder = "" }: Request,
  { device, model }: Session,
  evaluator: Model | undefined,
  search: Search,
  { options, terminal }: Context,
): Promise<OpenRun | undefined> {
  if (out === undefined) return undefined
  const writer = { model, folder: modelPath(options) }
  const facts = await runFacts(device, writer, evaluator && { model: evaluator, folder })
  return openSearch(out, facts, search, model, terminal)
}

/** Everything that can be read and checked without the model. */
async function readRequest(options: Options): Promise<Request> {
  const layers = layersOption(options)
  const metric = metricOption(options)
  const settings = {
    coefficients: parseCoefficients(options.text("coefficients") ?? "auto", "--coefficients"),
    ...readGeneration(options),
    threshold: options.number("threshold", positive) ?? defaultThreshold(metrics[metric]),
    metric,
  }
  const source = await readVectorSource(options, "find", layers)
  const out = options.text("out")
  if (out !== undefined) await assertFolderWritable(out)
  return { ...source, settings, evaluator: await folderOption(options, "evaluator"), out }
}

function documentOf(
  found: FoundRedline,
  vector: SteeringVector,
  { device, model }: Session,
  options: Options,
  { evaluator, seconds }: Readonly<Record<"evaluator" | "seconds", Readonly<Record<string, unknown>> | undefined>>,
): Record<string, unknown> {
  return {
    model: describeModel(options, model),
    evaluator,
    adapter: device.facts,
    vector: { ...describeVector(vector), file: options.text("vector") },
    layers: found.layers,
    prompts: found.prompts,
    settings: found.settings,
    baseline: found.baseline,
    threshold: found.threshold,
    crossing: found.crossing,
    max: found.max,
    interpolated: found.interpolated,
    minimum: found.minimum,
    unit: found.unit,
    stopped: found.stopped,
    reason: found.reason,
    curve: found.curve,
    seconds,
  }
}

function printFound(
  found: FoundRedline,
  vector: SteeringVector,
  session: Session,
  { options, terminal }: Context,
  evaluator: string | undefined,
): void {
  terminal.print(...heading(options, session, vector, settingsLine(found, ranges(found.layers), evaluator)))
  for (const { kind, text } of curveTable(found, terminal.width)) {
    terminal.print(
      kind === "heading" || kind === "broken"
        ? terminal.style("dim", text)
        : kind === "redline"
          ? terminal.style("bold", text)
          : text,
    )
  }
  terminal.print("", ...conclusion(found, evaluator).flatMap((sentence) => wrap(sentence, terminal.width)))
  if (options.has("texts")) terminal.print("", ...allTexts(found))
}
