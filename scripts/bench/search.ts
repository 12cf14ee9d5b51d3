import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { count } from "../../src/cli/options.ts"
import { type Model, parsePairs, type Steering, trainVector } from "../../src/index.ts"
import { embeddedModel } from "../../src/node.ts"
import { ceilingsFor, ceilingsLine } from "./ceilings.ts"
import { kernelLines, kernelsOf, profiled } from "./kernels.ts"
import {
  decodedAgainstScored,
  loadBenchModel,
  modelFacts,
  randomPrompts,
  randomSteering,
  TOLERANCE,
  toleranceOf,
} from "./model.ts"
import { median } from "./numbers.ts"
import { assertSame, type BenchContext, type Benchmark, secondsFor } from "./report.ts"
import { attentionWork, generationPasses } from "./work.ts"

/** One batch of all coefficients against as many searches of one coefficient, in turns, in one process. */
export const searchBenchmark: Benchmark = {
  options: { "coefficients": "32", "tokens": "32", "prompt-tokens": undefined, "singles": undefined, ...TOLERANCE },
  async run(context) {
    const { options, device, repeats } = context
    const tokens = options.number("tokens", count) as number
    const total = options.number("coefficients", count) as number
    const singles = Math.min(total, options.number("singles", count) ?? total)
    const ceilings = await ceilingsFor(context)
    await using loaded = await loadBenchModel(context)
    const { model } = loaded
    const task = await taskFor(context, model, total)
    const all = task.coefficients
    // Those that also run alone are spread over all.
    const alone = Array.from({ length: singles }, (_, i) => all[Math.floor((i * total) / singles)] as number)

    const expected = await search(model, task, all, tokens) // compiles the shaders of both
    const one = await search(model, task, alone.slice(0, 1), tokens)
    const prompts = all.map(() => task.prompt)
    const worst = await decodedAgainstScored(model, prompts, tokens, toleranceOf(options), {
      steering: task.steering(all),
      expected: expected.ids,
    })
    const batch: number[] = []
    const single: number[] = []
    for (let i = 0; i < repeats; i++) {
      let found = one
      batch.push(await secondsFor(device, async () => (found = await search(model, task, all, tokens))))
      assertSame("the completions", found, expected)
      single.push(
        await secondsFor(device, async () => {
          for (const coefficient of alone) found = await search(model, task, [coefficient], tokens)
        }),
      )
    }
    const times = await profiled(device, () => search(model, task, all, tokens))
    const length = task.prompt.length
    const passes = [...generationPasses(total, length, tokens), { rows: total, from: 0, count: length + tokens - 1 }]
    const kernels = times && kernelsOf(times, model.config, attentionWork(model.config, passes), ceilings)
    const ratio = median(single) / singles / (median(batch) / total)
    const apart = singles === total ? "" : `, ${singles} of them`
    const lines = [
      ceilingsLine(ceilings),
      `${model.name}: ${total} coefficients x ${tokens} tokens, generated and scored (median of ${repeats})`,
      `  one batch    ${median(batch).toFixed(3)} s`,
      `  one by one   ${median(single).toFixed(3)} s${apart}`,
      `  ratio        ${ratio.toFixed(2)}${apart && " by coefficient"}`,
      `  log-probs while decoding and in one pass differ by ${worst.toExponential(1)} nats at most`,
      ...kernelLines("kernels of the batch", kernels, median(batch)),
    ]
    const json = {
      ...modelFacts(loaded),
      coefficients: total,
      singles,
      tokens,
      promptTokens: length,
      seconds: { batch, oneByOne: single },
      ratio,
      worstDifference: worst,
      ceilings,
      kernels,
    }
    return { lines, json }
  },
}

/** What is searched over. */
interface Task {
  readonly prompt: readonly number[]
  readonly coefficients: readonly number[]
  readonly steering: (coefficients: readonly number[]) => Steering[]
}

/** The embedded model's first prompt and its bridge vector; for a model without a tokenizer random ids and a random direction. */
async function taskFor({ options }: BenchContext, model: Model, total: number): Promise<Task> {
  const length = options.number("prompt-tokens", count) ?? (model.tokenizer ? undefined : 8)
  if (length !== undefined) {
    return {
      prompt: randomPrompts(1, length, model.config.vocabSize)[0] as number[],
      coefficients: Array.from({ length: total }, (_, i) => (8 * i) / Math.max(1, total - 1)),
      steering: (coefficients) => randomSteering(model, coefficients),
    }
  }
  const [text = ""] = (await readFile(join(embeddedModel, "prompts.txt"), "utf8")).split("\n")
  const pairs = parsePairs(await readFile(join(embeddedModel, "pairs", "bridge.jsonl"), "utf8"))
  const vector = await trainVector(model, pairs.slice(0, 16), { layers: [Math.floor(model.config.layers / 2)] })
  return {
    prompt: model.encode(text),
    coefficients: Array.from({ length: total }, (_, i) => (1.5 * (i + 1)) / total),
    steering: (coefficient) => [{ vector, coefficient }],
  }
}

interface Found {
  readonly ids: readonly (readonly number[])[]
  /** The mean log-prob of each completion, under the model without steering. */
  readonly scores: readonly number[]
}

/** Generates and scores at the coefficients, without a baseline of its own: what a search costs for them. */
async function search(model: Model, { prompt, steering }: Task, coefficients: readonly number[], tokens: number): Promise<Found> {
  const completions = await model.complete(
    coefficients.map(() => prompt),
    { tokens, repetitionPenalty: 1.1, endIds: [], steering: steering(coefficients) },
  )
  const ids = completions.map((completion) => completion.ids)
  const scores = await model.score(ids.map((own) => ({ ids: [...prompt, ...own], from: prompt.length })))
  return { ids, scores: scores.map(({ logprobs }) => logprobs.reduce((sum, x) => sum + x, 0) / logprobs.length) }
}
