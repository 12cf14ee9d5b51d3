import { notNegative, type Options } from "../../src/cli/options.ts"
import { openCheckpoint, type Checkpoint, Model, parseMatmul, RedlineError, type Steering } from "../../src/index.ts"
import { type DiskFolder, embeddedModel, openFolder } from "../../src/node.ts"
import type { ScriptOptions } from "../program.ts"
import { random } from "./random.ts"
import type { BenchContext } from "./report.ts"

/** A model to be measured, and its files. */
export interface BenchModel extends AsyncDisposable {
  readonly model: Model
  readonly checkpoint: Checkpoint
}

/** The folder after `--model`; the embedded model's unless told. */
export const modelFolder = ({ options }: BenchContext): string => options.text("model") ?? embeddedModel

/** Loads the model after `--model`, to multiply as `--matmul` says unless told otherwise. */
export async function loadBenchModel(
  context: BenchContext,
  matmul: string | undefined = context.options.text("matmul"),
): Promise<BenchModel> {
  const folder: DiskFolder = await openFolder(modelFolder(context))
  const checkpoint = await openCheckpoint(folder)
  const model = await Model.load(checkpoint, {
    device: context.device,
    ...(matmul !== undefined && { matmul: parseMatmul(matmul, "--matmul") }),
  })
  return {
    model,
    checkpoint,
    async [Symbol.asyncDispose]() {
      model.dispose()
      await folder.close()
    },
  }
}

/** What a report says of a model. */
export function modelFacts({ model, checkpoint }: Pick<BenchModel, "model" | "checkpoint">): Record<string, unknown> {
  const types = new Set([...checkpoint.tensors.values()].map(({ dtype }) => dtype))
  const { layers, hiddenSize, vocabSize } = model.config
  const { matmul } = model.precision
  return { model: model.name, layers, hiddenSize, vocabSize, bytes: checkpoint.bytes, precisions: [...types], matmul }
}

/** Bytes of weights that a step reads at least: all but the embedding, where the head has a matrix of its own. */
export function bytesPerStep({ config, tensors }: Checkpoint): number {
  let bytes = 0
  for (const [name, { begin, end }] of tensors) {
    if (name !== "model.embed_tokens.weight" || config.tiedEmbeddings) bytes += end - begin
  }
  return bytes
}

/** Prompts of ids drawn at random from the vocabulary: the same for the same numbers. */
export function randomPrompts(rows: number, length: number, vocabSize: number, seed = 1): number[][] {
  const next = random(seed)
  return Array.from({ length: rows }, () => Array.from({ length }, () => Math.floor(next() * vocabSize)))
}

/** A random direction of length 1, added at the middle layer with a coefficient of its own for every row. */
export function randomSteering(model: Model, coefficients: readonly number[]): Steering[] {
  const next = random(2)
  const values = Float32Array.from({ length: model.config.hiddenSize }, () => next() + next() + next() - 1.5)
  const length = Math.hypot(...values)
  const direction = values.map((x) => x / length)
  return [{ vector: { directions: new Map([[Math.floor(model.config.layers / 2), direction]]) }, coefficient: coefficients }]
}

/** By how much log-probs of the same tokens may differ, in nats, between passes that add in another order or precision. */
export const TOLERANCE: ScriptOptions = { tolerance: "0.05" }

/** The value after `--tolerance`. */
export const toleranceOf = (options: Options): number => options.number("tolerance", notNegative) as number

/**
 * Sets the log-probs that the model gave its tokens as it generated them beside those of one pass over the whole text.
 * @returns the largest difference, in nats
 * @throws RedlineError when it is too large: then no time is told.
 */
export async function decodedAgainstScored(
  model: Model,
  prompts: readonly (readonly number[])[],
  tokens: number,
  tolerance: number,
  options: { readonly steering?: readonly Steering[]; readonly expected?: readonly (readonly number[])[] } = {},
): Promise<number> {
  const { steering = [], expected } = options
  const made = await model.complete(prompts, { tokens, endIds: [], repetitionPenalty: 1.1, logprobs: true, steering })
  if (expected && JSON.stringify(made.map(({ ids }) => ids)) !== JSON.stringify(expected)) {
    throw new RedlineError("the tokens differ from those of the timed run: nothing is timed")
  }
  const sequences = made.map(({ ids }, row) => ({
    ids: [...(prompts[row] as readonly number[]), ...ids],
    from: (prompts[row] as readonly number[]).length,
  }))
  const scored = await model.score(sequences, { steering })
  let worst = 0
  let checked = 0
  for (const [row, { logprobs = [] }] of made.entries()) {
    for (const [i, logprob] of logprobs.entries()) {
      worst = Math.max(worst, Math.abs(logprob - (scored[row]?.logprobs[i] ?? NaN)))
      checked++
    }
  }
  if (checked !== prompts.length * tokens) throw new RedlineError(`${checked} log-probs came back: nothing is timed`)
  if (worst <= tolerance) return worst
  throw new RedlineError(
    `log-probs while decoding and in one pass differ by ${worst} nats, not by ${tolerance} at most: nothing is timed`,
  )
}
