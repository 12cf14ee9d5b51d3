import { createHash } from "node:crypto"
import { type Model, RedlineError } from "../../src/index.ts"
import { parseCounts } from "../program.ts"
import { type Ceilings, ceilingsFor, ceilingsLine } from "./ceilings.ts"
import { kernelLines, type Kernels, kernelsOf, profiled } from "./kernels.ts"
import {
  type BenchModel,
  decodedAgainstScored,
  loadBenchModel,
  modelFacts,
  randomPrompts,
  TOLERANCE,
  toleranceOf,
} from "./model.ts"
import { columns, digits, median, percent, withPrefix } from "./numbers.ts"
import { assertSame, type BenchContext, type Benchmark, secondsFor } from "./report.ts"
import { attentionWork, matrixFlops } from "./work.ts"

/** Tokens generated after the prompt, for the check alone. */
const CHECKED = 4

/** One long prompt, to the logits of its last token. */
export const prefillBenchmark: Benchmark = {
  options: { lengths: undefined, ...TOLERANCE },
  async run(context) {
    const ceilings = await ceilingsFor(context)
    await using loaded = await loadBenchModel(context)
    const { model } = loaded
    const usual = `${Math.min(512, model.config.maxPositions - CHECKED)}`
    const lengths = parseCounts(context.options.text("lengths") ?? usual, "--lengths")
    const results: Prefilled[] = []
    for (const length of lengths) results.push(await measure(context, loaded, length, ceilings))
    const head = ["tokens", "ms", "tokens/s", "arithmetic", "of ceiling", "decoded and scored differ by"]
    const table = results.map((each) => [
      `${each.length}`,
      digits(each.median * 1000),
      digits(each.tokensPerSecond),
      withPrefix(each.flopsPerSecond, "FLOP/s"),
      percent(each.ofArithmetic),
      `${each.worstDifference.toExponential(1)} nats`,
    ])
    const lines = [
      ceilingsLine(ceilings),
      `${model.name}: a prompt, to its last logits (median of ${context.repeats})`,
      ...columns([head, ...table]),
      ...results.flatMap((each) => kernelLines(`kernels of ${each.length} tokens`, each.kernels, each.median)),
    ]
    return { lines, json: { ...modelFacts(loaded), ceilings, results } }
  },
}

interface Prefilled {
  readonly length: number
  readonly seconds: readonly number[]
  readonly median: number
  readonly tokensPerSecond: number
  readonly flopsPerSecond: number
  /** Of the faster of the ceilings of arithmetic. */
  readonly ofArithmetic: number
  readonly worstDifference: number
  readonly kernels: Kernels | undefined
}

async function measure(
  { options, device, repeats }: BenchContext,
  { model }: BenchModel,
  length: number,
  ceilings: Ceilings,
): Promise<Prefilled> {
  const prompts = randomPrompts(1, length, model.config.vocabSize)
  const expected = await lastLogits(model, prompts)
  const worstDifference = await decodedAgainstScored(model, prompts, CHECKED, toleranceOf(options))
  const seconds: number[] = []
  for (let i = 0; i < repeats; i++) {
    let again = ""
    seconds.push(await secondsFor(device, async () => (again = await lastLogits(model, prompts))))
    assertSame("the last logits", again, expected)
  }
  const times = await profiled(device, () => lastLogits(model, prompts))
  const attention = attentionWork(model.config, [{ rows: 1, from: 0, count: length }])
  const flops = matrixFlops(model.config, length, 1) + attention.flops
  const half = median(seconds)
  return {
    length,
    seconds,
    median: half,
    tokensPerSecond: length / half,
    flopsPerSecond: flops / half,
    ofArithmetic: flops / half / Math.max(ceilings.f32, ceilings.matrices ?? 0),
    worstDifference,
    kernels: times && kernelsOf(times, model.config, attention, ceilings),
  }
}

/** @returns a hash of the logits */
async function lastLogits(model: Model, prompts: readonly number[][]): Promise<string> {
  const { logits } = await model.run(prompts, { at: "last" })
  if (!logits) throw new RedlineError("the run gave no logits")
  const { buffer, byteOffset, byteLength } = logits.data
  return createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex")
}
