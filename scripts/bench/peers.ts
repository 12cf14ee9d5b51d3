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
  type Clock,
  type Engine,
  measure,
  type Measured,
  redline,
  type Seconds,
  type Task,
  type Times,
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
    const engines: Engine[] = [redline(model)]
    for (const precision of precisions) {
      const peer = await loadPeer(llamaCpp, loaded, precision)
      for (const each of threads) engines.push(await peerEngine(peer, { precision, threads: each, task }))
    }
    const tolerance = toleranceOf(options)
    const load = [loadavg()]
    const measured = await measure(device, engines, task, repeats)
    load.push(loadavg())
    const own = (measured[0] as Measured).batch
    const results: Result[] = []
    for (const each of measured) {
      const agreed = await agreement(model, each, task, own)
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

function peerEngine(
  peer: LlamaCppModel,
  { precision, threads, task }: { precision: Precision; threads: number; task: Task },
): Promise<Engine> {
  const promptTokens = (task.prompts[0] as readonly number[]).length
  const exact = precision === "f32"
  return peer.engine({
    name: `llama.cpp ${exact ? "f32" : "as stored"}, ${threads} thread${threads === 1 ? "" : "s"}`,
    rows: task.prompts.length,
    promptTokens,
    positions: promptTokens + task.tokens,
    threads,
    exact,
  })
}

/** What follows from the medians of one clock. */
interface Figures {
  /** Seconds of a row, alone and its part of the batch. */
  readonly row: { readonly alone: number; readonly batch: number }
  /** Tokens a second after the first of each row; not a number where the clock does not tell. */
  readonly tokensPerSecond: { readonly alone: number; readonly batch: number }
  /** Of products with weights and attention, prompt and all. */
  readonly flopsPerSecond: { readonly alone: number; readonly batch: number }
}

interface Result extends Agreement, Readonly<Record<Clock, Figures>> {
  readonly name: string
  readonly seconds: Seconds
}

function resultOf({ engine, seconds }: Measured, agreed: Agreement, { config }: Model, task: Task): Result {
  const { prompts, alone, tokens } = task
  const prompt = (prompts[0] as readonly number[]).length
  const flops =
    matrixFlops(config, prompt + tokens - 1, tokens) + attentionWork(config, generationPasses(1, prompt, tokens)).flops
  const figures = (clock: Clock): Figures => {
    const each = (all: Times, rows: number): number => median(all[clock]) / rows
    const row = { alone: each(seconds.oneByOne, alone.length), batch: each(seconds.batch, prompts.length) }
    const rate = (all: number, first: Times, rows: number): number => {
      const rest = all - each(first, rows)
      return rest > 0 ? (tokens - 1) / rest : NaN // a busy machine can take longer for one token than for all
    }
    return {
      row,
      tokensPerSecond: {
        alone: rate(row.alone, seconds.oneByOneFirst, alone.length),
        batch: rate(row.batch, seconds.batchFirst, prompts.length),
      },
      flopsPerSecond: { alone: flops / row.alone, batch: flops / row.batch },
    }
  }
  return { name: engine.name, ...agreed, wall: figures("wall"), cpu: figures("cpu"), seconds }
}

/** A column for each engine. */
function table(results: readonly Result[], { prompts, alone }: Task): string[] {
  const own = results[0] as Result
  const spread = (seconds: readonly number[]): string =>
    `${digits(median(seconds))} (${digits(Math.min(...seconds))}–${digits(Math.max(...seconds))})`
  const rows: [string, (each: Result) => string][] = []
  for (const clock of ["wall", "cpu"] as const) {
    rows.push(
      [clock === "wall" ? "by the clock" : "by processor time, all threads", () => ""],
      [`  batch of ${prompts.length}, s`, ({ seconds }) => spread(seconds.batch[clock])],
      [`  ${alone.length} one by one, s`, ({ seconds }) => spread(seconds.oneByOne[clock])],
      ["  a row alone / in the batch", (each) => digits(each[clock].row.alone / each[clock].row.batch)],
      ["  a row alone / in Redline's batch", (each) => digits(each[clock].row.alone / own[clock].row.batch)],
      ["  its batch / Redline's batch", (each) => digits(each[clock].row.batch / own[clock].row.batch)],
      ["  decode of one row, tokens/s", (each) => digits(each[clock].tokensPerSecond.alone)],
      [`  decode of ${prompts.length} rows, tokens/s`, (each) => digits(each[clock].tokensPerSecond.batch)],
      ["  GFLOP/s, one row", (each) => digits(each[clock].flopsPerSecond.alone / 1e9)],
      [`  GFLOP/s, ${prompts.length} rows`, (each) => digits(each[clock].flopsPerSecond.batch / 1e9)],
    )
  }
  rows.push(
    ["rows with the tokens of Redline's batch", ({ sameRows }) => percent(sameRows)],
    ["a token's logit below the largest, at most", ({ worstGap }) => worstGap.toExponential(1)],
  )
  return columns([["", ...results.map(({ name }) => name)], ...rows.map(([name, cell]) => [name, ...results.map(cell)])])
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
