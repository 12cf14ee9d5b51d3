import { type Completion, type Model, RedlineError } from "../../src/index.ts"
import { count, notNegative } from "../../src/cli/options.ts"
import { parseCounts } from "../program.ts"
import { type Ceilings, ceilingsFor, ceilingsLine } from "./ceilings.ts"
import { kernelLines, type Kernels, kernelsOf, profiled } from "./kernels.ts"
import {
  type BenchModel,
  bytesPerStep,
  decodedAgainstScored,
  loadBenchModel,
  modelFacts,
  randomPrompts,
  TOLERANCE,
  toleranceOf,
} from "./model.ts"
import { columns, digits, gigabytes, median, percent } from "./numbers.ts"
import { assertSame, type BenchContext, type Benchmark, secondsFor } from "./report.ts"
import { attentionWork, generationPasses } from "./work.ts"

/** Tokens one after another, for batches of several sizes: what a step of the generation costs. */
export const decodeBenchmark: Benchmark = {
  options: { "rows": "1,8,64", "tokens": "32", "prompt-tokens": "8", ...TOLERANCE },
  async run(context) {
    const { options } = context
    const batches = parseCounts(options.text("rows") as string, "--rows")
    const prompt = options.number("prompt-tokens", count) as number
    const tokens = options.number("tokens", { ...notNegative, expected: "at least 2", fits: (x) => x >= 2 }) as number
    const ceilings = await ceilingsFor(context)
    await using loaded = await loadBenchModel(context)
    const results: Decoded[] = []
    for (const rows of batches) results.push(await measure(context, loaded, { rows, prompt, tokens }, ceilings))
    const head = ["rows", "first token, ms", "a step, ms", "tokens/s", "weights", "of ceiling", "decoded and scored differ by"]
    const table = results.map((each) => [
      `${each.rows}`,
      digits(each.firstToken * 1000),
      digits(each.step * 1000),
      digits(each.tokensPerSecond),
      gigabytes(each.weightBytesPerSecond),
      percent(each.ofBandwidth),
      `${each.worstDifference.toExponential(1)} nats`,
    ])
    const lines = [
      ceilingsLine(ceilings),
      `${loaded.model.name}: ${tokens} tokens after a prompt of ${prompt} (median of ${context.repeats})`,
      ...columns([head, ...table]),
      ...results.flatMap(({ rows, kernels, seconds }) =>
        kernelLines(`kernels of ${rows} row${rows === 1 ? "" : "s"}, prompt and steps`, kernels, median(seconds.all)),
      ),
    ]
    return { lines, json: { ...modelFacts(loaded), promptTokens: prompt, tokens, ceilings, results } }
  },
}

interface Decoded {
  readonly rows: number
  readonly seconds: { readonly first: readonly number[]; readonly all: readonly number[] }
  readonly firstToken: number
  /** Seconds of a step of all rows, after the first. */
  readonly step: number
  readonly tokensPerSecond: number
  readonly weightBytesPerSecond: number
  /** Of the memory's ceiling. */
  readonly ofBandwidth: number
  readonly worstDifference: number
  readonly kernels: Kernels | undefined
}

async function measure(
  { options, device, repeats }: BenchContext,
  { model, checkpoint }: BenchModel,
  { rows, prompt, tokens }: { rows: number; prompt: number; tokens: number },
  ceilings: Ceilings,
): Promise<Decoded> {
  const prompts = randomPrompts(rows, prompt, model.config.vocabSize)
  const { ids } = await generate(model, prompts, tokens)
  await generate(model, prompts, 1)
  const worstDifference = await decodedAgainstScored(model, prompts, tokens, toleranceOf(options), { expected: ids })
  const first: number[] = []
  const all: number[] = []
  for (let i = 0; i < repeats; i++) {
    first.push(await secondsFor(device, () => generate(model, prompts, 1)))
    let again: Generated | undefined
    all.push(await secondsFor(device, async () => (again = await generate(model, prompts, tokens))))
    assertSame("the tokens", again?.ids, ids)
  }
  const times = await profiled(device, () => generate(model, prompts, tokens))
  const attention = attentionWork(model.config, generationPasses(rows, prompt, tokens))
  const step = (median(all) - median(first)) / (tokens - 1)
  if (step <= 0) throw new RedlineError("the machine is too busy: one token took longer than all; ask for more of them")
  return {
    rows,
    seconds: { first, all },
    firstToken: median(first),
    step,
    tokensPerSecond: rows / step,
    weightBytesPerSecond: bytesPerStep(checkpoint) / step,
    ofBandwidth: bytesPerStep(checkpoint) / step / ceilings.bytes,
    worstDifference,
    kernels: times && kernelsOf(times, model.config, attention, ceilings),
  }
}

interface Generated {
  readonly ids: readonly Completion["ids"][]
}

async function generate(model: Model, prompts: readonly number[][], tokens: number): Promise<Generated> {
  const made = await model.complete(prompts, { tokens, endIds: [], repetitionPenalty: 1.1 })
  return { ids: made.map(({ ids }) => ids) }
}
