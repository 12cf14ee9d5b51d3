import { join } from "node:path"
import { InputError, type Model, type SteeringVector, trainVector } from "../index.ts"
import { embeddedModel } from "../node.ts"
import type { Context } from "./command.ts"
import type { Options, OptionTable } from "./options.ts"
import { pairsOptions, type PairsSource, readPair, readPairsFile } from "./pairs.ts"
import { readPrompts, sharedPrefix } from "./prompts.ts"
import { adapterName, modelName, type Session, shortPath } from "./session.ts"
import { counted } from "./text.ts"
import { type FileVector, readVectorFile } from "./vectors.ts"

/** For commands that search with one vector: where it comes from, and the prompts. */
export const sourceOptions: OptionTable = {
  vector: { value: "FILE", help: "a steering vector (.safetensors or .gguf)" },
  ...pairsOptions,
}

/** A vector's file, or pairs to train it from, with the prompts to search with. */
export interface VectorSource {
  readonly vector: FileVector | undefined
  readonly source: PairsSource | undefined
  readonly prompts: readonly string[]
}

/**
 * The source that {@link sourceOptions} name, and the prompts; without any, what all texts of the pairs begin with.
 * @param layers Of the file's vector to read; all unless told.
 * @throws InputError for no source or several, bad files, or no prompt
 */
export async function readVectorSource(options: Options, command: string, layers?: readonly number[]): Promise<VectorSource> {
  if (!options.oneOf(["vector"], ["positive", "negative"], ["pairs"])) {
    const todo = "or start with --demo"
    const expected = "--vector, --positive with --negative, or --pairs"
    throw new InputError({ where: command, expected, found: "none of them", todo })
  }
  const file = options.text("vector")
  const vector = file === undefined ? undefined : await readVectorFile(file, layers)
  const pairsFile = options.text("pairs")
  const source = pairsFile === undefined ? readPair(options) : await readPairsFile(pairsFile)
  const prompts = await readPrompts(options)
  if (prompts.length === 0) prompts.push(sharedPrefix(source?.pairs ?? []))
  return { vector, source, prompts }
}

/** A vector by the mean at these layers, with progress. */
export function trainedOn(
  model: Model,
  { pairs, from }: PairsSource,
  layers: readonly number[],
  { terminal, signal }: Context,
): Promise<SteeringVector> {
  terminal.progress(`training on ${counted(pairs.length, "pair")}`)
  return trainVector(model, pairs, {
    layers,
    createdFrom: from,
    signal,
    onProgress: ({ done, total }) => terminal.progress(`training ${done} of ${counted(total, "pair")}`),
  })
}

/** What was run, as the first lines of a search's output: model, adapter, vector and `settings`. */
export function heading(options: Options, { device, model }: Session, vector: SteeringVector, settings: string): string[] {
  const { layers, hiddenSize } = model.config
  const from = options.text("vector") ?? vector.metadata.createdFrom ?? "unknown"
  return [
    `${modelName(options)} (${layers} layers of ${hiddenSize}) on ${adapterName(device.facts)}`,
    `vector by ${vector.metadata.method} from ${from}; ${settings}`,
    "",
  ]
}

/** The options with the embedded model's bridge pairs, its prompts and `more` where --demo is given and they were not. */
export function withDemo(options: Options, more: Readonly<Record<string, string>> = {}): Options {
  if (!options.has("demo")) return options
  const own = (...names: string[]): boolean => names.some((name) => options.has(name))
  return options.withDefaults({
    ...(!own("vector", "positive", "negative") && { pairs: shortPath(join(embeddedModel, "pairs", "bridge.jsonl")) }),
    ...(!own("prompt") && { prompts: shortPath(join(embeddedModel, "prompts.txt")) }),
    ...more,
  })
}
