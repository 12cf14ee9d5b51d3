import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { captureBenchmark } from "../../scripts/bench/capture.ts"
import { cardBenchmark } from "../../scripts/bench/card.ts"
import { decodeBenchmark } from "../../scripts/bench/decode.ts"
import { loadBenchmark } from "../../scripts/bench/load.ts"
import { logitsBenchmark } from "../../scripts/bench/logits.ts"
import { metricsBenchmark } from "../../scripts/bench/metrics.ts"
import { randomPrompts } from "../../scripts/bench/model.ts"
import { peersBenchmark } from "../../scripts/bench/peers.ts"
import { prefillBenchmark } from "../../scripts/bench/prefill.ts"
import { type Benchmark, runBenchmark } from "../../scripts/bench/report.ts"
import { searchBenchmark } from "../../scripts/bench/search.ts"
import { configOf } from "../../scripts/checkpoint/shapes.ts"
import { writeCheckpoint } from "../../scripts/checkpoint/write.ts"
import { embeddedModel, loadModel, openDevice } from "../../src/node.ts"
import { testDevice } from "../helpers/device.ts"

// Every benchmark in its quickest form: what it reports has a shape and adds up. No time is judged.

const scratch = mkdtempSync(join(tmpdir(), "redline-bench-"))
const card = join(scratch, "card.json")
const tiny = join(scratch, "tiny")
const MODELS = [
  ["the embedded model", embeddedModel],
  ["a checkpoint without a tokenizer", tiny],
] as const

interface Row {
  readonly kernel: string
  readonly dispatches: number
  readonly seconds: number
  readonly share: number
  readonly bytes?: number
  readonly flops?: number
  readonly bytesPerSecond?: number
  readonly ofCeiling?: number
}
interface Kernels {
  readonly rows: readonly Row[]
  readonly seconds: number
}
type Decoded = Record<
  "rows" | "step" | "tokensPerSecond" | "weightBytesPerSecond" | "ofBandwidth" | "worstDifference",
  number
> & {
  readonly kernels: Kernels
}
type Prefilled = Record<"length" | "median" | "tokensPerSecond" | "flopsPerSecond" | "ofArithmetic", number> & {
  readonly kernels: Kernels
}

beforeAll(async () => {
  await writeCheckpoint(tiny, { config: configOf("tiny") ?? {}, seed: 1, type: "BF16", shardBytes: 5e9 })
  await runBenchmark("card", cardBenchmark, ["--repeats", "1", "--dispatches", "50", "--out", card])
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** Runs a benchmark with the card's ceilings and gives what its file holds. */
async function bench(name: string, benchmark: Benchmark, args: readonly string[]): Promise<Record<string, unknown>> {
  const out = join(scratch, `${name}.json`)
  const all = ["--repeats", "1", "--card", card, ...args, "--out", out]
  const { lines, json } = await runBenchmark(name, benchmark, all)
  expect(lines.length).toBeGreaterThan(2)
  const written = JSON.parse(await readFile(out, "utf8")) as Record<string, unknown>
  expect(written).toEqual(JSON.parse(JSON.stringify(json)))
  expect(written).toMatchObject({ benchmark: name, command: `npm run bench -- ${name} ${all.join(" ")}` })
  return written
}

function expectPositive(...values: readonly unknown[]): void {
  for (const value of values.flat()) expect(value).toBeGreaterThan(0)
}

function expectKernels({ rows, seconds }: Kernels, products: number): void {
  expect(rows.reduce((sum, row) => sum + row.seconds, 0)).toBeCloseTo(seconds, 9)
  expect(rows.reduce((sum, row) => sum + row.share, 0)).toBeCloseTo(1, 6)
  const matrix = rows.filter(({ kernel }) => kernel.startsWith("matmul"))
  expect(matrix.reduce((sum, { dispatches }) => sum + dispatches, 0)).toBe(products)
  for (const row of rows.filter(({ kernel }) => /^(matmul|attention|rms-norm|residual|log-probs|choose)/.test(kernel))) {
    expectPositive(row.bytes, row.seconds, row.bytesPerSecond, row.ofCeiling)
    if (/^(matmul|attention)/.test(row.kernel)) expectPositive(row.flops)
    expect((row.bytes as number) / row.seconds).toBeCloseTo(row.bytesPerSecond as number, 3)
  }
}

test("card: every ceiling is positive, and what is not offered is not listed", async () => {
  const written = JSON.parse(await readFile(card, "utf8")) as {
    memory: { bytes: number; copy: { perSecond: number; seconds: number[] }; read: { perSecond: number } }
    fma: { speed: { perSecond: number } }
    matrices: { speed?: { perSecond: number }; fault?: string }[]
    chain: { dispatches: number; encode: number; whole: number }
    upload: { writeBuffer: { perSecond: number }; mapped: { perSecond: number } }
  }
  const { memory, fma, matrices, chain, upload } = written
  expectPositive(memory.copy.perSecond, memory.read.perSecond, fma.speed.perSecond, upload.writeBuffer.perSecond)
  expectPositive(upload.mapped.perSecond, chain.encode, chain.whole)
  expect(memory.copy.perSecond).toBeCloseTo((2 * memory.bytes) / (memory.copy.seconds[0] as number), 3)
  expect(chain.dispatches).toBe(50)
  for (const { speed, fault } of matrices) expect(speed?.perSecond ?? fault).toBeTruthy()
})

test.for(MODELS)("decode: %s", async ([, model]) => {
  const written = await bench("decode", decodeBenchmark, ["--model", model, "--rows", "1,3", "--tokens", "12", "--repeats", "3"])
  const results = written.results as Decoded[]
  expect(results.map(({ rows }) => rows)).toEqual([1, 3])
  for (const { rows, step, tokensPerSecond, weightBytesPerSecond, ofBandwidth, worstDifference, kernels } of results) {
    expectPositive(weightBytesPerSecond, ofBandwidth)
    expect(tokensPerSecond).toBeCloseTo(rows / step, 6)
    expect(worstDifference).toBeLessThan(0.05)
    // Four products a layer in twelve passes, the prompt's among them, and the head for twelve tokens.
    expectKernels(kernels, 4 * (written.layers as number) * 12 + 12)
  }
})

test.for(MODELS)("prefill: %s", async ([, model]) => {
  const written = await bench("prefill", prefillBenchmark, ["--model", model, "--lengths", "20,40"])
  const results = written.results as Prefilled[]
  expect(results.map(({ length }) => length)).toEqual([20, 40])
  for (const { length, median, tokensPerSecond, flopsPerSecond, ofArithmetic, kernels } of results) {
    expectPositive(median, flopsPerSecond, ofArithmetic)
    expect(tokensPerSecond).toBeCloseTo(length / median, 6)
    expectKernels(kernels, 4 * (written.layers as number) + 1)
    const flops = kernels.rows.reduce((sum, row) => sum + (row.flops ?? 0), 0)
    // The model's own arithmetic, counted without the kernels; sizes that are padded count as padded there.
    expect(flops / (flopsPerSecond * median)).toBeCloseTo(1, 2)
  }
})

test.for(MODELS)("load: %s", async ([, model]) => {
  const written = await bench("load", loadBenchmark, ["--model", model, "--repeats", "2"])
  const runs = written.runs as Record<string, number>[]
  expect(runs).toHaveLength(2)
  for (const { bytes, headers, weights, allocated, compared } of runs) {
    expectPositive(headers, weights, allocated)
    expect(bytes).toBe(written.bytes)
    expect(compared).toBeGreaterThanOrEqual(10)
  }
  const { before, peak } = written.hostBytes as { before: number; peak: number }
  expect(peak).toBeGreaterThanOrEqual(before)
})

test.for(MODELS)("search: %s", async ([, model]) => {
  const args = ["--model", model, "--coefficients", "4", "--tokens", "3", "--singles", "2"]
  const written = await bench("search", searchBenchmark, args)
  expect(written).toMatchObject({ coefficients: 4, singles: 2, tokens: 3 })
  const { batch, oneByOne } = written.seconds as { batch: number[]; oneByOne: number[] }
  expectPositive(batch, oneByOne)
  expect(written.ratio).toBeCloseTo((oneByOne[0] as number) / 2 / ((batch[0] as number) / 4), 6)
  // Three passes of the generation and one that scores; a head for each token and one for all scored ones.
  expectKernels(written.kernels as Kernels, 4 * (written.layers as number) * 4 + 4)
})

test("a device takes further features, those that the adapter has", async () => {
  using device = await openDevice({ features: ["shader-f16", "no-such-feature"] })
  const engine = await testDevice()
  const [more, own] = [device, engine].map(({ gpu }) => [...(gpu.features as ReadonlySet<string>)]) as [string[], string[]]
  expect(more).toEqual(expect.arrayContaining(own))
  expect(more.filter((name) => !own.includes(name) && name !== "shader-f16")).toEqual([])
  expect(more).not.toContain("no-such-feature")
})

test("capture and metrics run", async () => {
  const captured = await bench("capture", captureBenchmark, ["--positions", "16"])
  expectPositive(captured.ratio)
  const metrics = await bench("metrics", metricsBenchmark, ["--coefficients", "1"])
  expectPositive(metrics.ratio)
})

test("logits: those of float64 loops are compared, plain and steered", async () => {
  const [against, direction] = [join(scratch, "reference.json"), join(scratch, "vector.json")]
  await writeFile(direction, JSON.stringify(Array.from({ length: 128 }, (_, i) => Math.sin(i))))
  const steered = ["--vector", direction, "--layer", "1", "--coefficient", "2"]
  const { status, stderr } = script("reference-logits", tiny, "--ids", "1,17,290,33", ...steered, "--out", against)
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
  const args = ["--model", tiny, "--against", against]
  const same = await bench("logits", logitsBenchmark, [...args, ...steered])
  expect(same).toMatchObject({ steered: true, sameFirst: true, sharedOfFive: 5 })
  expect(same.worst).toBeLessThan(1e-4)
  expect(same.worst).toBeGreaterThan(0)
  const plain = await bench("logits", logitsBenchmark, args)
  expect(plain.worst).toBeGreaterThan(0.01)
})

// In place of node-llama-cpp, which is no dependency: it says what a file beside it holds.
const STAND_IN = `import { readFileSync } from "node:fs"
const rows = new Map(JSON.parse(readFileSync(new URL("rows.json", import.meta.url), "utf8")))
const sequence = { async clearHistory() {}, async *evaluate(prompt) { yield* rows.get(prompt.join()) } }
const context = { getSequence: () => sequence }
async function loadModel({ modelPath }) {
  if (readFileSync(modelPath, "latin1").slice(0, 4) !== "GGUF") throw new Error("no GGUF")
  return { tokenize: () => [], createContext: async () => context }
}
export const getLlama = async () => ({ gpu: false, systemInfo: "", llamaCppRelease: { release: "0" }, loadModel, async dispose() {} })
`

test("peers: what chooses the model's tokens is timed, what chooses others is not", async () => {
  const device = await testDevice()
  using model = await loadModel(tiny, { device })
  const prompts = randomPrompts(3, 5, model.config.vocabSize)
  const made = await model.complete(prompts, { tokens: 4, endIds: [], repetitionPenalty: 1 })
  const args = ["--model", tiny, "--rows", "3", "--singles", "2", "--tokens", "4", "--prompt-tokens", "5", "--threads", "1"]
  const beside = async (
    name: string,
    rows: readonly (readonly number[])[],
    ...more: string[]
  ): Promise<Record<string, unknown>> => {
    const dist = join(scratch, name, "node_modules", "node-llama-cpp", "dist")
    await mkdir(dist, { recursive: true })
    await writeFile(join(dist, "../package.json"), JSON.stringify({ version: "1.2.3", type: "module" }))
    await writeFile(join(dist, "index.js"), STAND_IN)
    await writeFile(join(dist, "rows.json"), JSON.stringify(prompts.map((prompt, i) => [prompt.join(), rows[i]])))
    return bench("peers", peersBenchmark, [...args, ...more, "--node-llama-cpp", join(scratch, name)])
  }
  const ids = made.map((row) => row.ids)
  const { results, peer } = (await beside("same", ids)) as {
    results: { name: string; sameRows: number; worstGap: number; wall: { row: { alone: number; batch: number } } }[]
    peer: unknown
  }
  expect(peer).toMatchObject({ nodeLlamaCpp: "1.2.3", llamaCpp: "0", gpu: false })
  expect(results.map(({ name }) => name)).toEqual(["Redline", "llama.cpp f32, 1 thread", "llama.cpp as stored, 1 thread"])
  for (const { sameRows, worstGap, wall } of results) {
    expect([sameRows, worstGap]).toEqual([1, 0])
    expectPositive(wall.row.alone, wall.row.batch)
  }
  const [first = [], ...others] = ids
  const wrong = [[...first.slice(0, 3), ((first[3] as number) + 1) % model.config.vocabSize], ...others]
  await expect(beside("wrong", wrong, "--precisions", "f32")).rejects.toThrow(
    /llama.cpp f32, 1 thread chose a token whose logit is .* nothing is timed/,
  )
})

// What the command line answers, and with which exit code.
const BAD: readonly (readonly [args: string, message: string])[] = [
  [
    "dekode",
    "bench: expected one of card, search, decode, prefill, load, accuracy, logits, agreement, capture, metrics, peers, found «dekode»",
  ],
  ["decode --row 1", "bench decode: expected --model --adapter"],
  ["decode --rows 1,x", "bench: --rows: expected whole numbers of at least 1, such as 1,8,64, found «1,x»"],
  ["load --repeats 0", "bench: --repeats: expected a whole number of at least 1, found «0»"],
  ["load --model /nowhere", "bench: /nowhere: expected a folder, found no such file or folder"],
  ["decode --card /nowhere.json", "bench: --card /nowhere.json: expected the JSON of «bench card --out», found no such file"],
  ["load --out /nowhere/x.json", "bench: /nowhere/x.json: expected a writable file, found no such file or folder"],
  ["agreement", "bench: --matmul: expected a value, found nothing; name what is compared with f32: matrix or matrix-exact"],
  ["agreement --matmul f32", "bench: --matmul: expected matrix or matrix-exact, found f32"],
  ["decode --kernels fast", "bench: --kernels: expected gpu or software, found fast"],
  ["agreement --matrix-unit real", "bench: --matrix-unit: expected emulated, found real"],
  ["decode --rows 1 --matmul fast", "bench: --matmul: expected auto, f32, matrix or matrix-exact, found «fast»"],
  ["logits", "bench: --against: expected a value, found nothing; name the JSON that «hf_baseline.py logits» wrote"],
  ["peers", "bench: --node-llama-cpp: expected a folder, found nothing; run «npm install node-llama-cpp» in a folder of its own"],
  [
    "peers --node-llama-cpp /nowhere",
    "bench: --node-llama-cpp: expected /nowhere/node_modules/node-llama-cpp, found no such package",
  ],
]

/** A script's run, as users start it. */
function script(name: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const [run, program] = ["run.mjs", `${name}.ts`].map((file) => join(import.meta.dirname, "../../scripts", file)) as [
    string,
    string,
  ]
  return spawnSync(process.execPath, [run, program, ...args], { encoding: "utf8" })
}

test.for(BAD)("bench %s is answered with one line", ([args, message]) => {
  const { status, stdout, stderr } = script("bench", ...args.split(" "))
  const lines = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("Warning: max"))
  expect(lines).toHaveLength(1)
  expect(lines[0]?.slice(0, message.length)).toBe(message)
  expect([status, stdout]).toEqual([2, ""])
})

test.for([
  ["", "reference-logits: expected a model's folder, found nothing"],
  ["DIR", "reference-logits: --ids: expected a value, found nothing; give the prompt, such as --ids 1,17,290"],
  ["DIR --ids 1,x", "reference-logits: --ids: expected token ids such as 1,17,290, found «1,x»"],
  ["DIR --ids 1 --out /nowhere/x", "reference-logits: /nowhere/x: expected a writable file, found no such file or folder"],
  ["/nowhere --ids 1 --out OUT", "reference-logits: /nowhere/config.json: expected a JSON file, found no such file"],
] as const)("reference-logits %s is answered with one line", ([args, message]) => {
  const given = args === "" ? [] : args.replace("OUT", join(scratch, "out.json")).split(" ")
  const { status, stderr } = script("reference-logits", ...given)
  expect([status, stderr.split(";")[0]?.trim() ?? ""]).toEqual([2, message.split(";")[0]])
})
