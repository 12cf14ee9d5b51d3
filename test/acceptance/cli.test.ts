import type { ChildProcess } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { commonOptions } from "../../src/cli/command.ts"
import { find } from "../../src/cli/find.ts"
import { parseOptions } from "../../src/cli/options.ts"
import { Terminal } from "../../src/cli/terminal.ts"
import { bufferSource, readSafetensors, readTensorF32, SteeringVector } from "../../src/index.ts"
import { CommandLine, type Done, finish } from "../helpers/cli.ts"
import { PAIR, writeCliFiles } from "../helpers/cli-files.ts"

const cli = new CommandLine()
const at = (name: string): string => cli.at(name)

const QUICK = [...PAIR, "--layers", "3-4", "--tokens", "4", "--coefficients", "0.5,4"]

const start = (...args: string[]): ChildProcess => cli.start(...args)
const redline = (...args: string[]): Promise<Done> => cli.run(...args)
const json = (...args: string[]): Promise<Record<string, unknown>> => cli.json(...args)

beforeAll(() => writeCliFiles(cli))

afterAll(() => cli.remove())

describe("help", () => {
  test.each([
    [["--help"], "redline generate"],
    [["find", "--help"], "--coefficients LIST"],
    [["generate", "-h"], "--top-p NUMBER"],
    [["score", "--help"], "--prompt-length N"],
    [["trace", "--help"], "--capture NAMES"],
    [["train", "--help"], "--method NAME"],
    [["info", "--help"], "--positions N"],
    [["report", "--help"], "redline study --out"],
    [["help"], "redline generate"],
    [["help", "find"], "metricsByPrompt"],
    [["help", "vector"], "redline vector show"],
  ])("redline %j", async (args, part) => {
    const { code, stdout, errors } = await redline(...args)
    expect({ code, errors }).toEqual({ code: 0, errors: [] })
    expect(stdout).toContain(part)
    expect(stdout.split("\n").filter((line) => line.length > 110)).toEqual([])
  })

  test("--version is the package's", async () => {
    const { version } = JSON.parse(readFileSync(join(CommandLine.root, "package.json"), "utf8")) as { version: string }
    expect((await redline("--version")).stdout).toBe(`${version}\n`)
  })
})

describe("find", () => {
  test("prints the table and what it means; notes stay away with --quiet", async () => {
    const child = start("find", ...QUICK, "--texts", "--quiet")
    let notes = ""
    child.stderr?.on("data", (piece: Buffer) => (notes += piece.toString()))
    const { code, stdout } = await finish(child)
    expect(code).toBe(0)
    expect(notes).not.toMatch(/^(note|took)/m)
    const lines = stdout.split("\n")
    expect(lines[0]).toMatch(/^tiny-talk \(6 layers of 256\) on ./)
    expect(lines[1]).toContain(
      "vector by mean from «I am talking about bridges» against «I am talking about dogs»; layers 3-4; 1 prompt; 4 tokens",
    )
    expect(lines[3]).toMatch(/^coefficient +improbable .*text after «I am talking about»$/)
    expect(lines.slice(4, 7).map((line) => line.trim().split(" ")[0])).toEqual(["0", "0.5", "4"])
    expect(lines[5]).toMatch(/◀ redline$/)
    expect(stdout).toContain("The redline is 0.5: ")
    expect(stdout).toContain("Texts at 0.5:\n  «I am talking about» → ")
    // oxlint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/\x1b/)
  })

  test("JSON and --out", async () => {
    const document = await json("find", ...QUICK, "--prompt", "Hello", "--prompts", "prompts.txt", "--out", "run/deep")
    expect(Object.keys(document)).toEqual(
      ["model", "evaluator", "adapter", "vector", "layers", "prompts", "settings", "baseline", "threshold", "crossing"].concat([
        "max",
        "interpolated",
        "minimum",
        "unit",
        "stopped",
        "reason",
        "curve",
        "seconds",
      ]),
    )
    expect(document).toMatchObject({
      model: { name: "tiny-talk", layers: 6, hiddenSize: 256 },
      evaluator: null,
      vector: { method: "mean", modelHint: "tiny-talk", layers: [3, 4], norms: { 3: expect.any(Number), 4: expect.any(Number) } },
      layers: [3, 4],
      prompts: [{ text: "Hello" }, { text: "I am", ids: [4080, 40, 325] }, { text: "Hello, everyone." }],
      settings: { coefficients: [0.5, 4], tokens: 4, repetitionPenalty: 1.1, threshold: 0.025, metric: "improbable" },
      crossing: 4,
      max: 0.5,
      stopped: false,
    })
    const curve = document["curve"] as {
      coefficient: number
      metric: number
      metrics: Record<string, number>
      completions: { ids: number[]; logprobs: number[] }[]
    }[]
    expect(curve.map(({ coefficient }) => coefficient)).toEqual([0, 0.5, 4])
    expect(curve[0]?.metric).toBe(document["baseline"])
    for (const { metric, metrics, completions } of curve) {
      const means = completions.map(({ ids, logprobs }) => {
        expect(logprobs).toHaveLength(ids.length)
        return -logprobs.reduce((a, b) => a + b, 0) / ids.length
      })
      expect(metrics["nll"]).toBeCloseTo(means.reduce((a, b) => a + b, 0) / 3, 6)
      expect(metric).toBe(metrics["improbable"])
    }
    const seconds = document["seconds"] as Record<string, number>
    expect(Object.keys(seconds)).toEqual(["load", "train", "search", "total"])
    const files = [
      "curve.jsonl",
      "curve.png",
      "curve.svg",
      "metrics.png",
      "metrics.svg",
      "report.html",
      "run.json",
      "seconds.json",
    ]
    expect(readdirSync(at("run/deep")).toSorted()).toEqual([...files, "vector.safetensors"])
    const { result, settings } = JSON.parse(readFileSync(at("run/deep/run.json"), "utf8")) as Record<string, unknown>
    expect(settings).toEqual(document["settings"])
    expect(result).toMatchObject({ max: document["max"], crossing: document["crossing"], baseline: document["baseline"] })
  })

  test("a curve that never crosses has a reason", async () => {
    const document = await json("find", ...QUICK, "--coefficients", "0.001")
    expect(document).toMatchObject({ crossing: null, max: null, reason: expect.stringContaining("stays below its threshold") })
  })

  test("what follows --demo replaces the demo's settings", async () => {
    const vector = await json(
      "find",
      "--demo",
      "--vector",
      "good.safetensors",
      "--prompt",
      "I am",
      "--tokens",
      "2",
      "--coefficients",
      "0",
    )
    expect(vector).toMatchObject({ vector: { file: "good.safetensors" }, layers: [3], prompts: [{ text: "I am" }] })
    const pair = await json("find", "--demo", ...PAIR, "--tokens", "2", "--coefficients", "0")
    expect(pair).toMatchObject({ vector: { createdFrom: expect.stringContaining("bridges") }, layers: [3, 4] })
    expect(pair["prompts"]).toHaveLength(6)
  })

  // In this process, because progress tells when the first batch is done, and it is shown on a terminal alone.
  test("the first Ctrl-C prints what is known", async () => {
    const stop = new AbortController()
    let shown = ""
    const stdout = { write: (text: string) => (shown += text) }
    const stderr = { isTTY: true, write: (text: string) => text.includes("searching 9 of ") && stop.abort() }
    const args = [...PAIR, "--layers", "3-4", "--tokens", "2", "--threshold", "1000"]
    const options = parseOptions(args, { ...find.options, ...commonOptions }, "find")
    await find.run({ options, terminal: new Terminal(stdout, stderr, { json: false, quiet: false }), signal: stop.signal })
    expect(stop.signal.aborted).toBe(true)
    expect(shown).toContain("\n          0  ")
    expect(shown).toContain(
      "Stopped before the search was done: this is what was known by then.\nNo redline found: stopped after 9 of ",
    )
  })
})

test("a trained vector steers generation and scoring as its file says", async () => {
  const trained = await json("train", ...PAIR, "--no-suffixes", "--layers", "3-4", "--out", "bridge.safetensors")
  expect(trained).toMatchObject({ vector: { method: "mean", modelHint: "tiny-talk", layers: [3, 4] }, out: "bridge.safetensors" })
  const vector = await SteeringVector.fromSafetensors(bufferSource("bridge", readFileSync(at("bridge.safetensors"))))
  expect(Object.fromEntries(vector.norms())).toEqual((trained["vector"] as { norms: unknown }).norms)

  const steered = ["--vector", "bridge.safetensors", "--coefficient", "-2.5", "--layers", "4"]
  const plain = await json("generate", "--prompt", "I am", "--tokens", "4")
  const generated = await json("generate", "--prompt", "I am", "--tokens", "4", ...steered)
  expect(generated["promptIds"]).toEqual([4080, 40, 325])
  expect(generated["ids"]).not.toEqual(plain["ids"])

  // Teacher forcing under the same steering sees what the generation saw.
  const ids = [...(generated["promptIds"] as number[]), ...(generated["ids"] as number[])]
  const scored = await json("score", "--ids", ids.join(","), "--prompt-length", "3", ...steered)
  const logprobs = scored["logprobs"] as (number | null)[]
  expect(scored["ids"]).toEqual(ids)
  expect(logprobs.slice(0, 2)).toEqual([null, null])
  const forced = logprobs.slice(2) as number[]
  for (const [i, logprob] of (generated["logprobs"] as number[]).entries()) expect(forced[i]).toBeCloseTo(logprob, 4)
  expect(scored["total"]).toBeCloseTo(
    forced.reduce((a, b) => a + b, 0),
    9,
  )
  expect(scored["mean"]).toBeCloseTo((scored["total"] as number) / forced.length, 9)
})

describe("generate", () => {
  test("streams the new text alone", async () => {
    const document = await json("generate", "--prompt", "I am", "--tokens", "5")
    const { code, stdout, errors } = await redline("generate", "--prompt", "I am", "--tokens", "5")
    expect({ code, stdout, errors }).toEqual({ code: 0, stdout: `${String(document["text"])}\n`, errors: [] })
    expect(document).toMatchObject({ prompt: "I am", stopped: "length" })
    expect(document["logprobs"]).toHaveLength(5)
  })

  test("runs on ids where there is no tokenizer", async () => {
    const { code, stdout } = await redline("generate", "--model", "no-tokenizer", "--ids", "4080,40,325", "--tokens", "3")
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+ \d+ \d+\n$/) })
    const document = await json("generate", "--model", "no-tokenizer", "--ids", "4080,40,325", "--tokens", "3")
    expect(document).toMatchObject({ prompt: null, text: null, ids: stdout.trim().split(" ").map(Number) })
  })

  test("a seed gives the same sample again, another seed another", async () => {
    const sample = (seed: string) => json("generate", "--prompt", "I", "--temperature", "2", "--top-p", "0.99", "--seed", seed)
    const [one, again, other] = [await sample("1"), await sample("1"), await sample("2")]
    expect(again["ids"]).toEqual(one["ids"])
    expect(other["ids"]).not.toEqual(one["ids"])
  })

  test("Ctrl-C ends it with exit code 130", async () => {
    const child = start("generate", "--prompt", "I am", "--tokens", "2000", "--temperature", "1")
    child.stdout?.once("data", () => child.kill("SIGINT"))
    const { code, stdout, errors } = await finish(child)
    expect(code).toBe(130)
    expect(stdout).toMatch(/\n$/)
    expect(errors).toEqual(["stopped before there was a result"])
  })
})

test("score prints a line for each token", async () => {
  const { code, stdout } = await redline("score", "--text", "I am happy")
  expect(code).toBe(0)
  expect(stdout.split("\n")).toEqual([
    "position    id  log-prob  token",
    "       0  4080            <|begin_of_text|>",
    expect.stringMatching(/^ {7}1 {4}40 {3}-\d\.\d{4} {2}I$/),
    expect.stringMatching(/^ {7}2 {3}325 {3}-\d\.\d{4} {3}am$/),
    expect.stringMatching(/^ {7}3 {3}669 {3}-\d\.\d{4} {3}happy$/),
    "",
    expect.stringMatching(/^mean -\d\.\d{4}, total -\d\.\d{4} over 3 tokens$/),
    "",
  ])
})

test("trace writes what it names", async () => {
  const names = "blocks.3.hook_resid_post,blocks.*.attn.hook_pattern,logits"
  const document = await json("trace", "--text", "I am", "--capture", names, "--out", "trace.safetensors")
  const { tensors, metadata } = await readSafetensors(bufferSource("trace", readFileSync(at("trace.safetensors"))))
  expect(metadata).toEqual({ model: "tiny-talk", ids: "4080,40,325" })
  expect(document).toMatchObject({ ids: [4080, 40, 325], out: "trace.safetensors" })
  const listed = document["tensors"] as { name: string; shape: number[] }[]
  expect(Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]))).toEqual(
    Object.fromEntries(listed.map(({ name, shape }) => [name, shape])),
  )
  expect(listed.map(({ name }) => name)).toHaveLength(8)
  expect(tensors.get("logits")?.shape).toEqual([1, 3, 4096])

  const logits = await readTensorF32(tensors.get("logits")!)
  const [next] = (await json("generate", "--prompt", "I am", "--tokens", "1"))["ids"] as number[]
  const last = logits.subarray(2 * 4096)
  expect(last.indexOf(Math.max(...last))).toBe(next)

  const { code, stdout } = await redline("trace", "--text", "I am", "--capture", "blocks.3.hook_resid_post")
  expect({ code, stdout }).toEqual({ code: 0, stdout: `name${" ".repeat(22)}shape\nblocks.3.hook_resid_post  [1, 3, 256]\n` })
})

test("info plans memory without loading", async () => {
  const document = await json("info", "--rows", "2", "--positions", "64")
  expect(document).toMatchObject({
    adapter: { software: expect.any(Boolean) },
    features: expect.arrayContaining(["core-features-and-limits"]),
    limits: { maxBufferSize: expect.any(Number), maxStorageBufferBindingSize: expect.any(Number) },
    matmul: { mode: "f32", reason: expect.stringContaining("measured") },
    model: { name: "tiny-talk", vocabSize: 4096 },
    memory: { rows: 2, positions: 64, cache: 2 * 6 * 2 * 64 * 4 * 32 * 4 },
  })
  const memory = document["memory"] as Record<string, number>
  expect(memory["total"]).toBe(memory["weights"]! + memory["cache"]! + memory["workspace"]!)
  const { code, stdout } = await redline("info")
  expect(code).toBe(0)
  expect(stdout).toMatch(/^adapter +.+\n/)
  expect(stdout).toMatch(/\nmatrices +f32: auto does not take matrix units .*\nmatrix units +.+\n/)
  expect(stdout).toContain("\nmemory for 32 rows of 64 positions\n")
})

test("a reader that goes away early is no crash", async () => {
  const child = start("generate", "--prompt", "I am", "--tokens", "2000", "--temperature", "1")
  child.stdout?.once("data", () => child.stdout?.destroy())
  const { code, errors } = await finish(child)
  expect({ code, errors }).toEqual({ code: 1, errors: [] })
})
