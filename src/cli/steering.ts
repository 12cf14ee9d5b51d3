import { basename } from "node:path"
import { InputError, type LlamaConfig, type Model, type Pair, parsePairs, SteeringVector, trainVector } from "../index.ts"
import { fileSource } from "../node.ts"
import type { Context } from "./command.ts"
import { readText } from "./files.ts"
import { anyNumber, type Options, type OptionTable, parseLayers, quote } from "./options.ts"
import { counted } from "./text.ts"

/** The options of a vector that is trained from pairs. */
export const pairsOptions: OptionTable = {
  positive: { value: "TEXT", help: "one contrast pair: the text that the vector shall lead to …" },
  negative: { value: "TEXT", help: "… and the text that it shall lead away from" },
  pairs: { value: "FILE.jsonl", help: 'many contrast pairs, {"positive": …, "negative": …} a line' },
}

/** The options of a steered run. */
export const steeringOptions: OptionTable = {
  vector: { value: "FILE", help: "a steering vector (.safetensors), added to the residual stream at every position" },
  coefficient: { value: "NUMBER", help: "what the vector is multiplied with" },
  layers: { value: "LAYERS", help: "0-based layers to add it at, such as 2-5,7; all that it has unless told" },
}

/** Pairs to train a vector from. */
export interface PairsSource {
  readonly pairs: readonly Pair[]
  /** What to call them. */
  readonly from: string
}

/** The pairs that the options give; undefined when they give none. */
export async function readPairs(options: Options): Promise<PairsSource | undefined> {
  const file = options.text("pairs")
  if (file !== undefined) {
    const pairs = parsePairs(await readText(file), file)
    return { pairs, from: `${counted(pairs.length, "pair")} of ${basename(file)}` }
  }
  const positive = options.text("positive")
  const negative = options.text("negative")
  if (positive === undefined && negative === undefined) return undefined
  if (!positive || !negative) {
    const missing = positive ? "--negative" : "--positive"
    throw new InputError({ where: missing, expected: "the other text of the pair", found: "nothing" })
  }
  return { pairs: [{ positive, negative }], from: `${quote(positive)} against ${quote(negative)}` }
}

/** Encodes the pairs early, so that what is wrong with them is said before any work. @throws InputError */
export function checkPairs(model: Model, { pairs }: PairsSource): void {
  for (const { positive, negative } of pairs) {
    model.encode(positive)
    model.encode(negative)
  }
}

/** The vector in a safetensors file. */
export async function readVector(path: string): Promise<SteeringVector> {
  if (!path.endsWith(".safetensors")) {
    throw new InputError({ where: `--vector ${path}`, expected: "a file that ends in .safetensors", found: "another" })
  }
  await using source = await fileSource(path)
  return await SteeringVector.fromSafetensors(source)
}

/** Trains a vector, with progress, at the layers that --layers names or at {@link middleThird}. */
export async function trainFrom(model: Model, { pairs, from }: PairsSource, context: Context): Promise<SteeringVector> {
  const { options, terminal, signal } = context
  terminal.progress(`training on ${counted(pairs.length, "pair")}`)
  return trainVector(model, pairs, {
    layers: layersOption(options) ?? middleThird(model.config.layers),
    createdFrom: from,
    signal,
    onProgress: ({ done, total }) => terminal.progress(`training ${done} of ${counted(total, "pair")}`),
  })
}

/** What --layers names. */
export function layersOption(options: Options): number[] | undefined {
  const text = options.text("layers")
  return text === undefined ? undefined : parseLayers(text)
}

/** The middle third of a model's layers: where a direction means most is there in the papers on steering. */
export function middleThird(layers: number): number[] {
  const first = Math.floor(layers / 3)
  const end = Math.max(first + 1, Math.round((2 * layers) / 3))
  return Array.from({ length: end - first }, (_, i) => first + i)
}

/** The vector and coefficient that {@link steeringOptions} give; none when they give none. */
export async function readSteering(options: Options): Promise<{ vector: SteeringVector; coefficient: number }[]> {
  const path = options.text("vector")
  const coefficient = options.number("coefficient", anyNumber)
  const layers = layersOption(options)
  if (path === undefined) {
    const lonely = ["coefficient", "layers"].find((name) => options.has(name))
    if (lonely === undefined) return []
    throw new InputError({ where: `--${lonely}`, expected: "--vector beside it", found: "no vector", todo: "name its file" })
  }
  if (coefficient === undefined) {
    const todo = "«redline find» finds the largest usable one"
    throw new InputError({ where: "--vector", expected: "--coefficient beside it", found: "no coefficient", todo })
  }
  const vector = await readVector(path)
  return [{ vector: layers ? vector.select(layers) : vector, coefficient }]
}

/** @throws InputError for a vector that does not fit the model. */
export function checkSteering(steering: readonly { vector: SteeringVector }[], config: LlamaConfig): void {
  for (const { vector } of steering) vector.checkAgainst(config)
}

/** @throws InputError for a layer of --layers that the model has not. */
export function checkLayers(options: Options, { layers }: LlamaConfig): void {
  const beyond = layersOption(options)?.filter((layer) => layer >= layers) ?? []
  if (beyond.length === 0) return
  throw new InputError({ where: "--layers", expected: `layers 0 to ${layers - 1}, the model's`, found: beyond.join(", ") })
}

/** The vector as the JSON documents give it: norms by layer. */
export function describeVector(vector: SteeringVector): Record<string, unknown> {
  const { modelHint, method, createdFrom } = vector.metadata
  return { modelHint, method, createdFrom, layers: vector.layers, norms: Object.fromEntries(vector.norms()) }
}
