import { basename, extname, join } from "node:path"
import { InputError, type TrainingMethod, trainingMethods, type VectorFormat } from "../index.ts"
import { assertFolderWritable, checkedOut } from "./files.ts"
import { layersOption } from "./layers.ts"
import { didYouMean, type NumberKind, type Options, quote } from "./options.ts"
import { type PairsSource, readPairsFile, readPromptPairs, suffixOptions } from "./pairs.ts"

/** What `redline train` was asked for, checked as far as it can be without the model. */
export interface TrainRequest {
  /** At least one; a single one where a feature is asked for, without pairs. */
  readonly targets: readonly Target[]
  readonly method: TrainingMethod
  /** Undefined: the model's middle third. */
  readonly layers: readonly number[] | "all" | "suggested" | undefined
  readonly quality: boolean
  /** Where the vector is made among the features of autoencoders: their folder, and the one feature, if it is one. */
  readonly sae: { readonly folder: string; readonly layers: readonly number[]; readonly feature: number | undefined } | undefined
  /** Where the vectors' files go, when they go into a folder. */
  readonly folder: string | undefined
}

/** A vector to make. */
export interface Target {
  readonly source: PairsSource
  /** The vector's file. */
  readonly out: string
}

const PROMPT_PAIRS = ["positive", "negative", ...Object.keys(suffixOptions)]
const FORMATS: readonly VectorFormat[] = ["safetensors", "gguf"]
const feature: NumberKind = { expected: "a whole number from 0", fits: (x) => Number.isSafeInteger(x) && x >= 0 }
/** Fewer cannot be halved and tried. */
const PAIRS_TO_JUDGE = 4

/** @throws InputError for options that do not go together, files of pairs that are broken, places that cannot be written */
export async function readTrainRequest(options: Options): Promise<TrainRequest> {
  const method = methodOption(options)
  const sae = saeOptions(options, method)
  const layers = sae?.layers ?? layersChoice(options)
  const sources = await readSources(options)
  const { folder, outs } = await readOuts(options, sources)
  const targets = sources.map(({ source }, i): Target => ({ source, out: outs[i] as string }))
  checkFirstLayer(targets, layers)
  return { targets, method, layers, quality: qualityChoice(options, targets, sae !== undefined), sae, folder }
}

function methodOption(options: Options): TrainingMethod {
  const text = options.text("method") ?? "mean"
  const method = trainingMethods.find((known) => known === text)
  if (method !== undefined) return method
  const meant = didYouMean(text, trainingMethods)
  throw new InputError({ where: "--method", expected: trainingMethods.join(", "), found: quote(text), ...meant })
}

function layersChoice(options: Options): TrainRequest["layers"] {
  const text = options.text("layers")?.trim()
  return text === "all" || text === "suggested" ? text : layersOption(options)
}

function saeOptions(options: Options, method: TrainingMethod): TrainRequest["sae"] {
  const folder = options.text("sae")
  const index = options.number("feature", feature)
  if (folder === undefined) {
    if (index === undefined) return undefined
    throw new InputError({ where: "--feature", expected: "--sae beside it", found: "no autoencoder", todo: "name its folder" })
  }
  const layers = options.has("layers") ? layersOption(options) : undefined
  if (layers === undefined) {
    throw new InputError({
      where: "--sae",
      expected: "--layers beside it, such as 3",
      found: "none",
      todo: "name layers of the folder",
    })
  }
  if (index !== undefined && layers.length > 1) {
    throw new InputError({
      where: "--feature",
      expected: "one layer, as features are numbered anew in each",
      found: `${layers.length}`,
    })
  }
  if (method === "pca-diff") {
    throw new InputError({ where: "--method", expected: "mean or pca-center beside --sae", found: quote(method) })
  }
  return { folder, layers, feature: index }
}

interface NamedSource {
  readonly source: PairsSource
  /** The file of pairs; undefined when they come from none. */
  readonly file: string | undefined
}

async function readSources(options: Options): Promise<NamedSource[]> {
  const files = [...options.all("pairs"), ...options.operands]
  options.oneOf(["feature"], ["pairs"], PROMPT_PAIRS)
  options.oneOf(["feature"], ["method"])
  const alone = ["feature", ...PROMPT_PAIRS].find((name) => options.has(name))
  if (alone !== undefined && files.length > 0) {
    throw new InputError({ where: `--${alone}`, expected: "it alone", found: `the file ${files[0]} too` })
  }
  if (options.has("feature")) return [{ source: { pairs: [], from: `feature ${options.text("feature")}` }, file: undefined }]
  const prompts = await readPromptPairs(options)
  if (prompts) return [{ source: prompts, file: undefined }]
  const sources: NamedSource[] = []
  for (const file of files) sources.push({ source: await readPairsFile(file), file })
  if (sources.length > 0) return sources
  throw new InputError({ where: "train", expected: "--pairs, or --positive with --negative", found: "none of them" })
}

async function readOuts(
  options: Options,
  sources: readonly NamedSource[],
): Promise<{ folder: string | undefined; outs: string[] }> {
  const out = options.required("out", "name the vector's file, or the folder for several")
  const format = formatOption(options)
  const named = FORMATS.find((known) => out.toLowerCase().endsWith(`.${known}`))
  if (named !== undefined && sources.length === 1) {
    if (format !== undefined && format !== named) {
      throw new InputError({ where: "--format", expected: `${named}, as --out says`, found: quote(format) })
    }
    return { folder: undefined, outs: [await checkedOut(out, FORMATS)] }
  }
  if (named !== undefined) {
    throw new InputError({ where: `--out ${out}`, expected: `a folder for ${sources.length} vectors`, found: "a file's name" })
  }
  const nameless = sources.some(({ file }) => file === undefined)
  if (nameless || (sources.length === 1 && extname(out) !== "" && !out.endsWith("/"))) {
    throw new InputError({ where: `--out ${out}`, expected: "a name that ends in .safetensors or .gguf", found: "another" })
  }
  const outs = sources.map(({ file }) =>
    join(out, `${basename(file as string).replace(/\.jsonl?$/i, "")}.${format ?? "safetensors"}`),
  )
  const twice = outs.find((path, i) => outs.indexOf(path) < i)
  if (twice !== undefined) {
    throw new InputError({ where: twice, expected: "files of pairs with names of their own", found: "two of this name" })
  }
  await assertFolderWritable(out)
  return { folder: out, outs }
}

function formatOption(options: Options): VectorFormat | undefined {
  const text = options.text("format")
  const format = FORMATS.find((known) => known === text)
  if (text === undefined || format !== undefined) return format
  throw new InputError({ where: "--format", expected: FORMATS.join(" or "), found: quote(text) })
}

/** GGUF has no place for layer 0: better said before the work than after. */
function checkFirstLayer(targets: readonly Target[], layers: TrainRequest["layers"]): void {
  const gguf = targets.find(({ out }) => out.toLowerCase().endsWith(".gguf"))
  const first = layers === "all" || (Array.isArray(layers) && layers.includes(0))
  if (gguf === undefined || !first) return
  const todo = "leave that layer out or write a safetensors file"
  throw new InputError({
    where: gguf.out,
    expected: "layers from 1, all that a GGUF control vector can hold",
    found: "layer 0",
    todo,
  })
}

function qualityChoice(options: Options, targets: readonly Target[], sae: boolean): boolean {
  options.oneOf(["quality"], ["no-quality"])
  if (sae) {
    options.oneOf(["sae"], ["quality"])
    return false
  }
  const needed = options.has("quality") || options.text("layers") === "suggested"
  return (
    needed || (!options.has("no-quality") && targets.length === 1 && (targets[0] as Target).source.pairs.length >= PAIRS_TO_JUDGE)
  )
}
