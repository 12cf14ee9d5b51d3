import { mkdtemp, rm } from "node:fs/promises"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { count, notNegative } from "../../src/cli/options.ts"
import { InputError, type Model, RedlineError } from "../../src/index.ts"
import { writeGguf } from "../gguf/write.ts"
import { parseCounts } from "../program.ts"
import { measureDispatches } from "./card/host.ts"
import { type Ceilings, ceilingsFor, ceilingsLine } from "./ceilings.ts"
import { type Kernels, kernelsOf, profiled } from "./kernels.ts"
import { type BenchModel, loadBenchModel, modelFacts, randomPrompts, TOLERANCE, toleranceOf } from "./model.ts"
import { columns, digits, median, percent, withPrefix } from "./numbers.ts"
import { LlamaCpp, type LlamaCppModel } from "./peers/llama-cpp.ts"
import {
  type Agreement,
  agreement,
  type Engine,
  measure,
  type Measured,
  redline,
  type Seconds,
  type Task,
} from "./peers/measure.ts"
import type { BenchContext, Benchmark } from "./report.ts"
import { attentionWork, generationPasses, matrixFlops } from "./work.ts"

/** What a tokenizer that was converted must split as the model's own does. */
const SAMPLE = "I don't live near the river's 1234567 old bridges,  \n\n nor by the sea: café, naïve!"

/** Greedy generation by Redline and by llama.cpp, as one batch and one by one, in turns, in one process; nothing is steered. */
export const peersBenchmark: Benchmark = {
  options: {
    "node-llama-cpp": undefined,
    "gpu": "false",
    "precisions": "f32,stored",
    "threads": undefined,
    "rows": "64",
    "singles": undefined,
    "tokens": "32",
    "prompt-tokens": "8",
    "stored-tolerance": "0.5",
    ...TOLERANCE,
  },
  async run(context) {
    const { options, device, repeats } = context
    const precisions = precisionsOf(options.text("precisions") as string)
    const threads = parseCounts(options.text("threads") ?? `${LlamaCpp.threads}`, "--threads")
    await using llamaCpp = await LlamaCpp.open(options.text("node-llama-cpp"), options.text("gpu") as string)
    const ceilings = await ceilingsFor(context)
    await using loaded = await loadBenchModel(context)
    const { model } = loaded
    const task = taskFor(context, model)
    const engines: (Engine & { readonly tolerance: number })[] = [{ ...redline(model), tolerance: toleranceOf(options) }]
    for (const precision of precisions) {
      const peer = await loadPeer(llamaCpp, loaded, precision)
      for (const each of threads) engines.push(await peerEngine(context, peer, { precision, threads: each, task }))
    }
    const load = [loadavg()]
    const measured = await measure(device, engines, task, repeats)
    load.push(loadavg())
    const own = (measured[0] as Measured).batch
    const results: Result[] = []
    for (const [i, each] of measured.entries()) {
      const agreed = await agreement(model, each, task, own)
      const { tolerance } = engines[i] as (typeof engines)[number]
      if (!(agreed.worstGap <= tolerance)) {
        const found = `a token whose logit is ${agreed.worstGap} below the largest, not ${tolerance} at most`
        throw new RedlineError(`peers: ${each.engine.name} chose ${found}: nothing is timed`)
      }
      results.push(resultOf(each, agreed, model, task))
    }
    const profile = await profileOf(context, model, task, ceilings)
    const { gpu, devices, llamaCpp: release, nodeLlamaCpp } = llamaCpp.facts
    const where = gpu === false ? "on the CPU" : `by ${String(gpu)} on ${String(devices)}`
    const lines = [
      ceilingsLine(ceilings),
      `llama.cpp ${String(release)} through node-llama-cpp ${String(nodeLlamaCpp)}, ${where}`,
      `${model.name}: ${task.prompts.length} prompts of ${options.text("prompt-tokens")} tokens, ${task.tokens} generated (median of ${repeats}, lowest to highest)`,
      ...table(results, task),
      ...profileLines(profile, task),
    ]
    const sizes = { rows: task.prompts.length, singles: task.alone.length, tokens: task.tokens }
    const promptTokens = options.number("prompt-tokens", count)
    const json = { ...modelFacts(loaded), ...sizes, promptTokens, peer: llamaCpp.facts, load, ceilings, results, profile }
    return { lines, json }
  },
}

type Precision = "f32" | "stored"

function precisionsOf(text: string): Precision[] {
  const names = text.split(",")
  if (names.every((name): name is Precision => name === "f32" || name === "stored")) return names
  throw new InputError({ where: "--precisions", expected: "f32, stored or both with a comma", found: `«${text}»` })
}

function taskFor({ options }: BenchContext, { config }: Model): Task {
  const [rows, length] = ["rows", "prompt-tokens"].map((name) => options.number(name, count) as number) as [number, number]
  const tokens = options.number("tokens", { ...notNegative, expected: "at least 2", fits: (x) => x >= 2 }) as number
  const prompts = randomPrompts(rows, length, config.vocabSize)
  return { prompts, alone: prompts.slice(0, options.number("singles", count) ?? rows), tokens }
}

/** The model as llama.cpp reads it, converted for this run. @throws RedlineError when it splits a text in other tokens. */
async function loadPeer(llamaCpp: LlamaCpp, { model, checkpoint }: BenchModel, precision: Precision): Promise<LlamaCppModel> {
  const folder = await mkdtemp(join(tmpdir(), "redline-peers-"))
  try {
    const file = join(folder, "model.gguf")
    await writeGguf(file, checkpoint, { f32: precision === "f32", name: model.name })
    const peer = await llamaCpp.load(file)
    const expected = model.tokenizer?.encode(SAMPLE, { addSpecial: false })
    const found = expected && peer.tokenize(SAMPLE)
    if (expected?.join() === found?.join()) return peer
    throw new RedlineError(
      `peers: llama.cpp splits a text in tokens ${found?.join()} instead of ${expected?.join()}: nothing is timed`,
    )
  } finally {
    await rm(folder, { recursive: true, force: true }) // what is mapped stays readable
  }
}

async function peerEngine(
  { options }: BenchContext,
  peer: LlamaCppModel,
  { precision, threads, task }: { precision: Precision; threads: number; task: Task },
): Promise<Engine & { readonly tolerance: number }> {
  const promptTokens = (task.prompts[0] as readonly number[]).length
  const exact = precision === "f32"
  const engine = await peer.engine({
    name: `llama.cpp ${exact ? "f32" : "as stored"}, ${threads} thread${threads === 1 ? "" : "s"}`,
    rows: task.prompts.length,
    promptTokens,
    positions: promptTokens + task.tokens,
    threads,
    exact,
  })
  return { ...engine, tolerance: exact ? toleranceOf(options) : (options.number("stored-tolerance", notNegative) as number) }
}

interface Result extends Agreement {
  readonly name: string
  readonly seconds: Seconds
  /** Tokens a second after the first, one row at a time and in the batch. */
  readonly tokensPerSecond: { readonly one: number; readonly batch: number }
  /** Of products with weights and attention, prompt and all. */
  readonly flopsPerSecond: { readonly one: number; readonly batch: number }
  /** How many times as long a row takes alone as in the batch. */
  readonly ratio: number
}

function resultOf({ engine, seconds }: Measured, agreed: Agreement, { config }: Model, task: Task): Result {
  const { prompts, alone, tokens } = task
  const [batch, one] = [median(seconds.batch), median(seconds.oneByOne)]
  const steps = { one: one - median(seconds.oneByOneFirst), batch: batch - median(seconds.batchFirst) }
  if (!(Math.min(steps.one, steps.batch) > 0)) throw new RedlineError("the machine is too busy: one token took longer than all")
  const prompt = (prompts[0] as readonly number[]).length
  const flops =
    matrixFlops(config, prompt + tokens - 1, tokens) + attentionWork(config, generationPasses(1, prompt, tokens)).flops
  return {
    name: engine.name,
    ...agreed,
    seconds,
    tokensPerSecond: {
      one: (alone.length * (tokens - 1)) / steps.one,
      batch: (prompts.length * (tokens - 1)) / steps.batch,
    },
    flopsPerSecond: { one: (alone.length * flops) / one, batch: (prompts.length * flops) / batch },
    ratio: one / alone.length / (batch / prompts.length),
  }
}

function table(results: readonly Result[], { prompts, alone }: Task): string[] {
  const first = results[0] as Result
  const spread = (seconds: readonly number[]): string =>
    `${digits(median(seconds))} (${digits(Math.min(...seconds))}–${digits(Math.max(...seconds))})`
  const head = ["", `batch of ${prompts.length}, s`, `${alone.length} one by one, s`, "ratio"]
  const more = ["decode at 1, tokens/s", `at ${prompts.length}`, "GFLOP/s at 1", `at ${prompts.length}`]
  const same = ["same tokens", "worst choice, nats", `Redline's batch against its one by one`]
  const body = results.map((each) => [
    each.name,
    spread(each.seconds.batch),
    spread(each.seconds.oneByOne),
    digits(each.ratio),
    digits(each.tokensPerSecond.one),
    digits(each.tokensPerSecond.batch),
    digits(each.flopsPerSecond.one / 1e9),
    digits(each.flopsPerSecond.batch / 1e9),
    percent(each.sameRows),
    each.worstGap.toExponential(1),
    digits(median(each.seconds.oneByOne) / alone.length / (median(first.seconds.batch) / prompts.length)),
  ])
  return columns([[...head, ...more, ...same], ...body])
}

/** Where Redline's time goes: dispatches and what they take, of one row and of the batch. */
interface Profile {
  /** Microseconds of a dispatch that does nearly nothing. */
  readonly emptyDispatch: number
  readonly one: PassProfile | undefined
  readonly batch: PassProfile | undefined
}
interface PassProfile {
  readonly dispatches: number
  /** Seconds of all kernels, timed one by one. */
  readonly kernels: number
  /** Of these, of products with weights, and their arithmetic a second. */
  readonly products: { readonly seconds: number; readonly flopsPerSecond: number }
}

async function profileOf({ device, repeats }: BenchContext, model: Model, task: Task, ceilings: Ceilings): Promise<Profile> {
  const engine = redline(model)
  const of = async (prompts: Task["prompts"]): Promise<PassProfile | undefined> => {
    const times = await profiled(device, () => engine.generate(prompts, task.tokens))
    return times && passProfile(kernelsOf(times, model.config, undefined, ceilings))
  }
  const { whole } = await measureDispatches(device, 1000, repeats)
  return { emptyDispatch: whole, one: await of(task.prompts.slice(0, 1)), batch: await of(task.prompts) }
}

function passProfile({ rows, seconds }: Kernels): PassProfile {
  const products = rows.filter(({ kernel }) => kernel.startsWith("matmul"))
  const total = products.reduce((sum, row) => sum + row.seconds, 0)
  const flops = products.reduce((sum, row) => sum + (row.flops ?? NaN), 0)
  return {
    dispatches: rows.reduce((sum, row) => sum + row.dispatches, 0),
    kernels: seconds,
    products: { seconds: total, flopsPerSecond: flops / total },
  }
}

function profileLines({ emptyDispatch, one, batch }: Profile, { prompts, tokens }: Task): string[] {
  const line = (name: string, pass: PassProfile | undefined): string => {
    if (!pass) return `Redline, ${name}: kernels not timed, the adapter has no timestamp-query`
    const { dispatches, kernels, products } = pass
    const empty = `${digits((dispatches * emptyDispatch) / 1e3)} ms if they were empty (${digits(emptyDispatch)} µs each)`
    const work = `products ${percent(products.seconds / kernels)} of it at ${withPrefix(products.flopsPerSecond, "FLOP/s")}`
    return `Redline, ${name}: ${digits(dispatches / tokens)} dispatches a token, ${empty}; kernels ${digits(kernels * 1e3)} ms, ${work}`
  }
  return [line("one row", one), line(`batch of ${prompts.length}`, batch)]
}
