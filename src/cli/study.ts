import { readdir } from "node:fs/promises"
import { basename, join } from "node:path"
import {
  compareMethods,
  type Estimate,
  Grammar,
  InputError,
  type MethodScore,
  parseCoefficients,
  type StudiedTopic,
  type StudyTopic,
  studyTopics,
  trainVector,
} from "../index.ts"
import { embeddedModel, makeFolder, writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { assertFolderWritable, linesOf, readText } from "./files.ts"
import { checkLayers, layersOption } from "./layers.ts"
import { count, positive } from "./options.ts"
import { readPairsFile } from "./pairs.ts"
import { readPrompts } from "./prompts.ts"
import { describeModel, openSession, type Session } from "./session.ts"
import { table, toJson } from "./text.ts"

export const study: Command = {
  name: "study",
  summary: "score every method that picks a coefficient against a ground truth, on many topics",
  operands: {
    value: "[FILE.jsonl …]",
    help: "contrast pairs, a topic of each; those of the embedded model unless told",
    least: 0,
    most: Infinity,
  },
  options: {
    "layers": { value: "LAYERS", help: "0-based layers to steer at; 3-4 unless told" },
    "prompt": { value: "TEXT", help: "a prompt; again for more" },
    "prompts": { value: "FILE", help: "prompts, one a line; those of the embedded model unless told" },
    "coefficients": { value: "LIST", help: "the grid, from 0 on; 0:1.8:0.1 unless told" },
    "tokens": { value: "N", help: "new tokens of a completion; 32 unless told" },
    "repetition-penalty": { value: "NUMBER", help: "Hugging Face's; 1.1 unless told" },
    "grammar": {
      value: "FILE.json",
      help: "the grammar that says which sentences are possible; the embedded model's unless told",
    },
    "out": { value: "DIR", help: "also write study.json, with every curve and pick, there" },
  },
  notes: [
    "The truth: the last coefficient such that at it and at all before it at least 75 % of the completions' sentences are possible. " +
      "A pick is coherent when it is not above that; given away is the share of the usable range above the pick. Both are means over " +
      "topics with 95 % bootstrap intervals; off is the median distance in steps of the grid.",
    "JSON: { model, adapter, settings, topics: [{ name, last, unit, minimum, coherence, metrics, textLoss }], methods: [{ method, " +
      "coherent, givenAway, distance, picks }] }, the lists of a topic by coefficient.",
  ],
  examples: ["redline study", "redline study models/tiny-talk/pairs/bridge.jsonl models/tiny-talk/pairs/pirate.jsonl"],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal, signal } = context
  const coefficients = parseCoefficients(options.text("coefficients") ?? "0:1.8:0.1", "--coefficients")
  if (coefficients === "auto") {
    throw new InputError({ where: "--coefficients", expected: "a grid from 0 on", found: "auto", todo: "give start:end:step" })
  }
  const layers = layersOption(options) ?? [3, 4]
  const tokens = options.number("tokens", count) ?? 32
  const repetitionPenalty = options.number("repetition-penalty", positive) ?? 1.1
  const files = options.operands.length > 0 ? options.operands : await embeddedPairs()
  const given = await readPrompts(options)
  const prompts = given.length > 0 ? given : linesOf(await readText(join(embeddedModel, "prompts.txt")))
  const grammarFile = options.text("grammar") ?? join(embeddedModel, "grammar.json")
  const grammar = Grammar.parse(await readText(grammarFile), grammarFile)
  const sources = await Promise.all(files.map(readPairsFile))
  const out = options.text("out")
  if (out !== undefined) await assertFolderWritable(out)
  using session = await openSession(context, (config) => checkLayers(layers, config))
  session.announce()
  const topics: StudyTopic[] = []
  for (const [i, { pairs, from }] of sources.entries()) {
    terminal.progress(`training vector ${i + 1} of ${sources.length}`)
    const vector = await trainVector(session.model, pairs, { layers, createdFrom: from, signal })
    topics.push({ name: basename(files[i] as string).replace(/\.jsonl$/, ""), vector })
  }
  const settings = { prompts, coefficients, layers, tokens, repetitionPenalty }
  const studied = await studyTopics(session.model, topics, {
    ...settings,
    coherence: (completion, prompt) => grammar.judge(completion, prompt).coherence,
    signal,
    onProgress: ({ topic, done, total }) => terminal.progress(`studying ${topic}, ${done + 1} of ${total}`),
  })
  const scores = compareMethods(studied)
  const document = describeStudy(context, session, settings, studied, scores)
  if (out !== undefined) {
    await makeFolder(out)
    await writeFileAtomic(join(out, "study.json"), `${toJson(document)}\n`)
  }
  if (terminal.json) return terminal.document(document)
  terminal.print(...report(studied, scores))
}

async function embeddedPairs(): Promise<string[]> {
  const folder = join(embeddedModel, "pairs")
  return (await readdir(folder)).toSorted().map((file) => join(folder, file))
}

function describeStudy(
  { options }: Context,
  { model, device }: Session,
  settings: object,
  studied: readonly StudiedTopic[],
  methods: readonly MethodScore[],
): Record<string, unknown> {
  const topics = studied.map(({ name, last, coherence, curve, found }) => ({
    name,
    last,
    unit: curve.unit,
    minimum: found.minimum,
    coherence: coherence.map((point) => point.coherence),
    metrics: found.curve.map((point) => point.metrics),
    textLoss: curve.curve.map((point) => point.textLoss),
  }))
  return { model: describeModel(options, model), adapter: device.facts, settings, topics, methods }
}

function report(studied: readonly StudiedTopic[], scores: readonly MethodScore[]): string[] {
  const percent = ({ value, low, high }: Estimate): string =>
    `${Math.round(100 * value)} % (${Math.round(100 * low)}-${Math.round(100 * high)})`
  const rows = scores.map(({ method, coherent, givenAway, distance, picks }) => {
    const above = picks.filter((pick) => !pick.coherent).map(({ topic }) => topic)
    return [
      method,
      percent(coherent),
      percent(givenAway),
      distance.value.toFixed(1),
      above.slice(0, 4).join(", ") + (above.length > 4 ? " …" : ""),
    ]
  })
  return [
    `${studied.length} topics; last coherent coefficient: ${studied.map(({ name, last }) => `${name} ${last}`).join(", ")}`,
    "",
    ...table(
      [["method", "coherent picks", "range given away", "off", "too high on"], ...rows],
      ["left", "right", "right", "right", "left"],
    ),
  ]
}
