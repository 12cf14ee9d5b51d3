import { cpus } from "node:os"
import { count, type Options } from "../../src/cli/options.ts"
import { type Device, InputError, RedlineError } from "../../src/index.ts"
import { assertWritable, openDevice, writeFileAtomic } from "../../src/node.ts"
import { emulatedUnit } from "../../test/helpers/matrix-unit.ts"
import { parseScript, type ScriptOptions } from "../program.ts"

/** What a benchmark found: lines for people, and the raw numbers. */
export interface Report {
  readonly lines: readonly string[]
  readonly json: Readonly<Record<string, unknown>>
}

/** A benchmark: its options with their defaults beside those that all take, and what it does. */
export interface Benchmark {
  readonly options: ScriptOptions
  /** Features of the device that the engine itself does not ask for. */
  readonly features?: readonly string[]
  readonly run: (context: BenchContext) => Promise<Report>
}

export interface BenchContext {
  readonly options: Options
  readonly device: Device
  readonly repeats: number
}

const COMMON: ScriptOptions = {
  "model": undefined,
  "adapter": undefined,
  "matmul": undefined,
  "kernels": undefined,
  "matrix-unit": undefined,
  "repeats": "5",
  "out": undefined,
  "card": undefined,
}

/**
 * Runs a benchmark and writes its raw numbers, with the command that made them, where `--out` names a file.
 * @throws InputError for bad options, before anything is measured.
 */
export async function runBenchmark(
  name: string,
  { options: own, features = [], run }: Benchmark,
  args: readonly string[],
): Promise<Report> {
  const options = parseScript(`bench ${name}`, args, { ...COMMON, ...own })
  const repeats = options.number("repeats", count) as number
  const out = options.text("out")
  if (out !== undefined) await assertWritable(out)
  const adapter = options.text("adapter")
  const kernels = choiceOf(options, "kernels", ["gpu", "software"])
  const unit = choiceOf(options, "matrix-unit", ["emulated"])
  using device = await openDevice({
    features,
    ...(adapter !== undefined && { adapter }),
    ...(kernels !== undefined && { kernels }),
    ...(unit !== undefined && { matrix: { unit: emulatedUnit() } }),
  })
  const found = await run({ options, device, repeats })
  const command = `npm run bench -- ${[name, ...args].join(" ")}`
  const json = { benchmark: name, command, ...machine(device), ...(kernels && { kernels }), ...(unit && { unit }), ...found.json }
  if (out !== undefined) await writeFileAtomic(out, `${JSON.stringify(json, null, 2)}\n`)
  return { lines: [adapterLine(device), ...found.lines], json }
}

/** What is asked for in place of the adapter's own: whose kernels run, or a matrix unit emulated in plain WGSL. */
function choiceOf<T extends string>(options: Options, name: string, choices: readonly T[]): T | undefined {
  const given = options.text(name)
  const choice = choices.find((one) => one === given)
  if (choice !== undefined || given === undefined) return choice
  throw new InputError({ where: `--${name}`, expected: choices.join(" or "), found: given })
}

/** Seconds that work takes, to the end of what it submitted. */
export async function secondsFor(device: Device, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  await device.gpu.queue.onSubmittedWorkDone()
  return (performance.now() - start) / 1000
}

/** @throws RedlineError when two things that must be the same are not: then no time is told. */
export function assertSame(what: string, a: unknown, b: unknown): void {
  if (JSON.stringify(a) !== JSON.stringify(b)) throw new RedlineError(`${what} differ from one run to the next: nothing is timed`)
}

const adapterLine = ({ facts }: Device): string =>
  [facts.vendor, facts.architecture, facts.device, facts.description].filter((part) => part !== "").join(", ")

/** Where and when a benchmark ran. */
function machine(device: Device): Record<string, unknown> {
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cpu: `${cpus().length} x ${cpus()[0]?.model}`,
    adapter: device.facts,
  }
}
