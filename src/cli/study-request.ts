import { readdir, stat } from "node:fs/promises"
import { basename, join } from "node:path"
import {
  checkTopicNames,
  Grammar,
  grammarTruth,
  InputError,
  Labels,
  parseCoefficients,
  parsePromptKinds,
  type Truth,
} from "../index.ts"
import { embeddedInstructModel, embeddedModel, sha256 } from "../node.ts"
import { assertFolderWritable, folderOption, linesOf, readText } from "./files.ts"
import { layersOption } from "./layers.ts"
import { type GenerationSettings, readGeneration, searchGenerationOptions } from "./generation.ts"
import type { Options, OptionTable } from "./options.ts"
import { pairsOfFile, type PairsSource } from "./pairs.ts"
import { chatOption, readPrompts } from "./prompts.ts"
import { modelName } from "./session.ts"

/** The options of a study of pairs, which run folders have settled. */
export const searchOptions: OptionTable = {
  "layers": {
    value: "LAYERS",
    help: "0-based layers to steer at; 3-4 of the embedded models, the middle third of others unless told",
  },
  "prompt": { value: "TEXT", help: "a prompt; again for more" },
  "prompts": { value: "FILE", help: "prompts, one a line; those of the embedded model unless told" },
  ...chatOption,
  "coefficients": { value: "LIST", help: "the grid, from 0 on; 0:1.8:0.1 unless told" },
  ...searchGenerationOptions,
  "evaluator": { value: "DIR", help: "another model of the same tokens, whose log-probs judge the texts" },
  "sensitivity": {
    help: "also with other numbers of tokens, temperatures, penalties, kinds of prompt and models: some 25 times the work",
  },
  "prompt-kinds": { value: "FILE.json", help: "of --sensitivity: { kind: [prompts] }; the embedded model's unless told" },
  "instruct": { value: "DIR", help: "of --sensitivity: the instruct model beside --model; the embedded one's unless told" },
}

/** What judges the texts, and what to call it in the record. */
export interface TruthSource {
  readonly truth: Truth
  readonly describe: Readonly<Record<string, unknown>>
  /** Labels, which have to fit what was run. */
  readonly labels?: Labels
}

export interface TopicSource extends PairsSource {
  readonly name: string
  readonly sha256: string
}

/** A study as the command line asks for it. */
export interface StudyRequest extends GenerationSettings {
  readonly topics: readonly TopicSource[]
  /** Undefined for the middle third of a model that is not known yet. */
  readonly layers: readonly number[] | undefined
  readonly prompts: readonly string[]
  readonly coefficients: readonly number[]
  readonly evaluator: string | undefined
  /** The prompts of each kind, where sensitivity is asked for. */
  readonly kinds: ReadonlyMap<string, readonly string[]> | undefined
  readonly truth: TruthSource | undefined
  readonly out: string | undefined
}

/** The run folders that the operands name; undefined where they are files or none. @throws InputError where they are of both kinds */
export async function runFolders(options: Options): Promise<readonly string[] | undefined> {
  const { operands } = options
  const facts = await Promise.all(operands.map((path) => stat(path).catch(() => undefined)))
  const folders = operands.filter((_, i) => facts[i]?.isDirectory())
  if (folders.length === 0) return undefined
  const file = operands.find((_, i) => !facts[i]?.isDirectory())
  if (file !== undefined) {
    throw new InputError({ where: file, expected: `a run's folder, as ${folders[0]} is`, found: "a file", todo: "give one kind" })
  }
  const settled = Object.keys(searchOptions).find((name) => options.has(name))
  if (settled === undefined) return folders
  throw new InputError({ where: `--${settled}`, expected: "pairs to run", found: `${folders[0]}, a run that is done` })
}

/** Everything of a study of pairs that can be read and checked without the model. */
export async function readStudyRequest(options: Options): Promise<StudyRequest> {
  const coefficients = gridOption(options)
  const topics = await Promise.all((options.operands.length > 0 ? options.operands : await embeddedPairs()).map(readTopic))
  checkTopicNames(topics.map(({ name }) => name))
  const given = await readPrompts(options)
  const out = options.text("out")
  await folderOption(options, "instruct") // which is loaded late
  const truth = await readTruth(options, modelName(options), out)
  truth?.labels?.check(new Map(topics.map(({ name }) => [name, coefficients])))
  if (out !== undefined) await assertFolderWritable(out)
  return {
    topics,
    layers: layersOption(options) ?? (isEmbedded(modelName(options)) ? [3, 4] : undefined),
    prompts: given.length > 0 ? given : linesOf(await readText(join(embeddedModel, "prompts.txt"))),
    coefficients,
    ...readGeneration(options),
    evaluator: await folderOption(options, "evaluator"),
    kinds: await readPromptKinds(options),
    truth,
    out,
  }
}

/**
 * What judges the texts: --labels, --grammar, or the embedded models' grammar for them alone. Undefined where there is nothing
 * yet, and --out keeps the texts to be labelled.
 */
export async function readTruth(options: Options, model: string, out: string | undefined): Promise<TruthSource | undefined> {
  options.oneOf(["labels"], ["grammar"])
  const file = options.text("labels")
  if (file !== undefined) {
    const source = await readText(file)
    const labels = Labels.parse(source, file)
    return { truth: labels.truth(), labels, describe: { labels: basename(file), ...digest(source) } }
  }
  const grammarFile = options.text("grammar") ?? (isEmbedded(model) ? join(embeddedModel, "grammar.json") : undefined)
  if (grammarFile !== undefined) {
    const source = await readText(grammarFile)
    const grammar = Grammar.parse(source, grammarFile)
    return { truth: grammarTruth(grammar), describe: { grammar: basename(grammarFile), ...digest(source) } }
  }
  if (out !== undefined) return undefined
  throw new InputError({
    where: "study",
    expected: "--labels or --grammar, which say what makes sense",
    found: `neither for ${model}`,
    todo: "or keep the texts with --out, and label them",
  })
}

/** Whether a model of this name is one of those that come with the package. */
export function isEmbedded(model: string): boolean {
  return [embeddedModel, embeddedInstructModel].some((folder) => basename(folder) === model)
}

async function readPromptKinds(options: Options): Promise<StudyRequest["kinds"]> {
  if (!options.has("sensitivity")) {
    const lonely = ["prompt-kinds", "instruct"].find((name) => options.has(name))
    if (lonely === undefined) return undefined
    throw new InputError({ where: `--${lonely}`, expected: "--sensitivity beside it", found: "none" })
  }
  const file = options.text("prompt-kinds") ?? join(embeddedModel, "prompt-kinds.json")
  return parsePromptKinds(await readText(file), file)
}

function gridOption(options: Options): readonly number[] {
  const coefficients = parseCoefficients(options.text("coefficients") ?? "0:1.8:0.1", "--coefficients")
  if (coefficients !== "auto" && coefficients[0] === 0 && coefficients.length > 2) return coefficients
  const found = coefficients === "auto" ? "auto" : coefficients.join(", ")
  throw new InputError({ where: "--coefficients", expected: "a grid of three or more from 0 on", found, todo: "give 0:end:step" })
}

async function readTopic(file: string): Promise<TopicSource> {
  const text = await readText(file)
  return { ...pairsOfFile(file, text), name: basename(file).replace(/\.jsonl$/, ""), ...digest(text) }
}

async function embeddedPairs(): Promise<string[]> {
  const folder = join(embeddedModel, "pairs")
  return (await readdir(folder)).toSorted().map((file) => join(folder, file))
}

const digest = (text: string): { sha256: string } => ({ sha256: sha256(Buffer.from(text)) })
