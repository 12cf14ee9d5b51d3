import type { ChildProcess } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { commonOptions } from "../../src/cli/command.ts"
import { find } from "../../src/cli/find.ts"
import { parseOptions } from "../../src/cli/options.ts"
import { Terminal } from "../../src/cli/terminal.ts"
import { bufferSource, readSafetensors, readTensorF32, SteeringVector } from "../../src/index.ts"
import { CommandLine, type Done, finish } from "../helpers/cli.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"

const cli = new CommandLine()
const at = (name: string): string => cli.at(name)

const PAIR = ["--positive", "I am talking about bridges", "--negative", "I am talking about dogs"]
const QUICK = [...PAIR, "--layers", "3-4", "--tokens", "4", "--coefficients", "0.5,4"]

const start = (...args: string[]): ChildProcess => cli.start(...args)
const redline = (...args: string[]): Promise<Done> => cli.run(...args)
const json = (...args: string[]): Promise<Record<string, unknown>> => cli.json(...args)

/** A copy of the embedded model with other files; `null` leaves one out. */
function modelWith(name: string, files: Readonly<Record<string, string | Uint8Array | null>>): string {
  mkdirSync(at(name))
  for (const file of ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
    if (!(file in files)) symlinkSync(join(tinyTalkFolder, file), at(`${name}/${file}`))
  }
  for (const [file, content] of Object.entries(files)) if (content !== null) writeFileSync(at(`${name}/${file}`), content)
  return name
}

function vectorFile(name: string, width: number, layer: number): void {
  const vector = new SteeringVector([[layer, new Float32Array(width).fill(1)]], { modelHint: "test", method: "test" })
  writeFileSync(at(name), vector.toSafetensors())
}

beforeAll(() => {
  const weights = readFileSync(join(tinyTalkFolder, "model.safetensors"))
  const config = JSON.parse(readFileSync(join(tinyTalkFolder, "config.json"), "utf8")) as object
  const shard = { weight_map: { "model.norm.weight": "model-00001-of-00002.safetensors" } }
  modelWith("broken-tokenizer", { "tokenizer.json": '{"version": ' })
  modelWith("truncated", { "model.safetensors": weights.subarray(0, weights.length - 1000) })
  modelWith("other", { "config.json": JSON.stringify({ ...config, architectures: ["GPT2LMHeadModel"], model_type: "gpt2" }) })
  modelWith("no-shard", { "model.safetensors": null, "model.safetensors.index.json": JSON.stringify(shard) })
  modelWith("no-tokenizer", { "tokenizer.json": null, "tokenizer_config.json": null })
  const bad = Uint8Array.from(weights)
  bad.set([0xc0, 0x7f], bad.length - 2) // a BF16 NaN as the last weight of the file
  modelWith("nan", { "model.safetensors": bad })
  vectorFile("good.safetensors", 256, 3)
  vectorFile("narrow.safetensors", 255, 3)
  vectorFile("deep.safetensors", 256, 6)
  writeFileSync(at("a-file"), "")
  writeFileSync(at("prompts.txt"), "I am\n\nHello, everyone.\n")
  writeFileSync(at("long.txt"), "word ".repeat(3000))
  writeFileSync(at("pairs.jsonl"), '{"positive": "I am happy", "negative": "I am sad"}\n{"positive": "I am glad"}\n')
})

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

describe("bad input is one line and exit code 2, and leaves nothing behind", () => {
  const score = ["score", "--ids", "1,2"]
  test.each<[string, string[], string]>([
    ["no command", [], "command: expected one of find, generate, .*, info, found nothing"],
    ["an unknown command", ["fnd"], "command: .*did you mean find\\?"],
    ["an option before the command", ["--json"], "command: .*found --json"],
    ["an unknown option", ["find", "--promt", "x"], "find: .*found --promt; did you mean --prompt\\?"],
    ["another command's option", ["score", "--text", "x", "--tokens", "3"], "score: .*found --tokens"],
    ["no source of a vector", ["find"], "find: expected --vector, --positive with --negative, or --pairs, found none"],
    [
      "two sources",
      ["find", ...PAIR, "--vector", "good.safetensors"],
      "--vector: expected it alone, found --positive --negative too",
    ],
    ["half a pair", ["find", "--positive", "x"], "--negative: .*found nothing"],
    ["a vector without a prompt", ["find", "--vector", "good.safetensors"], "prompt: expected --prompt"],
    ["a broken pair", ["train", "--pairs", "pairs.jsonl", "--out", "x.safetensors"], 'pairs.jsonl, line 2: .*no key "negative"'],
    ["an absent file of pairs", ["train", "--pairs", "nowhere", "--out", "x.safetensors"], "nowhere: .*no such file"],
    ["prompts in an absent file", ["find", ...PAIR, "--prompts", "nowhere"], "nowhere: .*no such file"],
    ["prompts in an empty file", ["find", ...PAIR, "--prompts", "a-file"], "a-file: expected a prompt on each line"],
    [
      "coefficients that descend",
      ["find", ...PAIR, "--coefficients", "0,2,1"],
      "--coefficients: expected ascending numbers.*1 after 2",
    ],
    [
      "coefficients that are no numbers",
      ["find", ...PAIR, "--coefficients", "0,x"],
      '--coefficients: expected start:end:step.*"x"',
    ],
    [
      "a coefficient that is no number",
      ["generate", "--prompt", "x", "--vector", "good.gguf", "--coefficient", "x"],
      "--coefficient: .*«x»",
    ],
    [
      "a vector without a coefficient",
      ["generate", "--prompt", "x", "--vector", "good.safetensors"],
      "--vector good.safetensors: expected a coefficient, as in FILE:COEFFICIENT, found none",
    ],
    ["an unknown metric", ["find", ...PAIR, "--metric", "bleu"], "--metric: expected nll, vocab.*found «bleu»; did you mean nll"],
    ["no tokens", ["find", ...PAIR, "--tokens", "0"], "--tokens: expected a whole number of at least 1, found «0»"],
    ["layers of another form", ["find", ...PAIR, "--layers", "4-3"], "--layers: expected layers such as 2-5,7"],
    [
      "layers that the model has not",
      ["find", ...PAIR, "--layers", "4-7"],
      "--layers: expected layers 0 to 5, the model's, found 6, 7",
    ],
    [
      "layers that the vector has not",
      ["find", "--vector", "good.safetensors", "--prompt", "x", "--layers", "4"],
      "good.safetensors, layers: .*found 4",
    ],
    [
      "a vector of another width",
      ["find", "--vector", "narrow.safetensors", "--prompt", "x"],
      "narrow.safetensors, vector: expected width 256.*found 255",
    ],
    [
      "a vector for other layers",
      [...score, "--vector", "deep.safetensors", "--coefficient", "1"],
      "deep.safetensors, vector: expected layers 0 to 5.*found 6",
    ],
    [
      "a vector of another ending",
      [...score, "--vector", "a-file", "--coefficient", "1"],
      "--vector a-file: expected a file that ends in .safetensors or .gguf",
    ],
    ["no folder", ["generate", "--model", "nowhere", "--prompt", "x"], "nowhere: expected a folder, found no such file"],
    ["a file for a folder", ["info", "--model", "a-file"], "a-file: expected a folder, found a file"],
    [
      "a broken tokenizer",
      ["generate", "--model", "broken-tokenizer", "--prompt", "x"],
      "broken-tokenizer/tokenizer.json: expected JSON",
    ],
    ["truncated weights", ["info", "--model", "truncated"], "truncated/model.safetensors, .*\\(offsets-outside-file\\)"],
    [
      "another architecture",
      [...score, "--model", "other"],
      "other/config.json: expected LlamaForCausalLM, found GPT2LMHeadModel",
    ],
    [
      "a missing shard",
      ["train", ...PAIR, "--out", "x.safetensors", "--model", "no-shard"],
      "no-shard/.*index.json: expected shard model-00001-of-00002",
    ],
    ["text without a tokenizer", ["generate", "--model", "no-tokenizer", "--prompt", "x"], "prompt «x»: expected a tokenizer"],
    ["an empty prompt", ["generate", "--prompt", ""], "prompt «»: .*an empty prompt"],
    [
      "a prompt longer than the context",
      ["find", ...PAIR, "--prompts", "long.txt"],
      "prompt «word .*»: expected at most 2048 tokens",
    ],
    [
      "more tokens than the context holds",
      ["generate", "--ids", "1", "--tokens", "2048"],
      "ids: expected at most 2048 tokens.*1 and 2048",
    ],
    ["ids outside the vocabulary", ["trace", "--ids", "1,4096"], "ids: expected token ids from 0 to 4095, found 4096"],
    ["ids that are none", ["score", "--ids", "1,x"], "--ids: expected token ids such as 1,2,3, found «1,x»"],
    ["text and ids", ["score", "--ids", "1,2", "--text", "x"], "--text: expected it alone, found --ids too"],
    ["nothing to score", ["score"], "--text: expected a value, found nothing; give --text or --ids"],
    ["a prompt as long as the text", [...score, "--prompt-length", "2"], "--prompt-length: expected 1 to 1.*found 2"],
    [
      "an unknown internal",
      ["trace", "--ids", "1", "--capture", "blocks.0.hook_resid"],
      "capture: .*the nearest are blocks.0.hook_resid",
    ],
    [
      "an unknown method",
      ["train", ...PAIR, "--method", "pca-centre", "--out", "x.safetensors"],
      "--method: expected mean, pca-center, pca-diff, found «pca-centre»; did you mean pca-center",
    ],
    [
      "another extension",
      ["train", ...PAIR, "--out", "x.npz"],
      "--out x.npz: expected a name that ends in .safetensors or .gguf",
    ],
    [
      "a file in no folder",
      ["trace", "--ids", "1", "--out", "nowhere/x.safetensors"],
      "nowhere/x.safetensors: expected a writable file",
    ],
    [
      "a folder that is a file",
      ["find", ...PAIR, "--out", "a-file"],
      "--out a-file: expected a folder to write to, found a file",
    ],
    ["a folder below a file", ["find", ...PAIR, "--out", "a-file/deep/down"], "--out .*a-file: expected a folder to write to"],
    ["a new folder for a run that fails", ["find", ...PAIR, "--out", "new/folder", "--layers", "9"], "--layers: .*found 9"],
  ])("%s", async (_name, args, message) => {
    await cli.expectBadInput(args, message)
  })
})

test.each<[string, string[], RegExp]>([
  ["an adapter that is not there", ["info", "--adapter", "no adapter has this name"], /^redline: .*no adapter has this name/],
  ["weights that are no numbers", ["generate", "--model", "nan", "--prompt", "I am"], /^redline: .*NaN.*: model\./],
])("what fails is one line and exit code 1: %s", async (_name, args, message) => {
  const { code, stdout, errors } = await redline(...args)
  expect(errors).toEqual([expect.stringMatching(message)])
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
})

test("--debug adds the stack", async () => {
  const { code, errors } = await redline("generate", "--debug", "--model", "nowhere", "--prompt", "x")
  expect(code).toBe(2)
  expect(errors[0]).toBe("redline: nowhere: expected a folder, found no such file or folder")
  expect(errors[2]).toMatch(/^ {4}at /)
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
    expect(lines[3]).toMatch(/^coefficient +nll .*text after «I am talking about»$/)
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
      ["model", "adapter", "vector", "layers", "prompts", "settings", "baseline", "threshold", "crossing", "max"].concat([
        "interpolated",
        "unit",
        "stopped",
        "reason",
        "curve",
        "seconds",
      ]),
    )
    expect(document).toMatchObject({
      model: { name: "tiny-talk", layers: 6, hiddenSize: 256 },
      vector: { method: "mean", modelHint: "tiny-talk", layers: [3, 4], norms: { 3: expect.any(Number), 4: expect.any(Number) } },
      layers: [3, 4],
      prompts: [{ text: "Hello" }, { text: "I am", ids: [4080, 40, 325] }, { text: "Hello, everyone." }],
      settings: { coefficients: [0.5, 4], tokens: 4, repetitionPenalty: 1.1, threshold: 0.2, metric: "nll" },
      crossing: 4,
      max: 0.5,
      stopped: false,
    })
    const curve = document["curve"] as {
      coefficient: number
      metric: number
      completions: { ids: number[]; logprobs: number[] }[]
    }[]
    expect(curve.map(({ coefficient }) => coefficient)).toEqual([0, 0.5, 4])
    expect(curve[0]?.metric).toBe(document["baseline"])
    for (const { metric, completions } of curve) {
      const means = completions.map(({ ids, logprobs }) => {
        expect(logprobs).toHaveLength(ids.length)
        return -logprobs.reduce((a, b) => a + b, 0) / ids.length
      })
      expect(metric).toBeCloseTo(means.reduce((a, b) => a + b, 0) / 3, 6)
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
    model: { name: "tiny-talk", vocabSize: 4096 },
    memory: { rows: 2, positions: 64, cache: 2 * 6 * 2 * 64 * 4 * 32 * 4 },
  })
  const memory = document["memory"] as Record<string, number>
  expect(memory["total"]).toBe(memory["weights"]! + memory["cache"]! + memory["workspace"]!)
  const { code, stdout } = await redline("info")
  expect(code).toBe(0)
  expect(stdout).toMatch(/^adapter +.+\n/)
  expect(stdout).toContain("\nmemory for 32 rows of 64 positions\n")
})

test("a reader that goes away early is no crash", async () => {
  const child = start("generate", "--prompt", "I am", "--tokens", "2000", "--temperature", "1")
  child.stdout?.once("data", () => child.stdout?.destroy())
  const { code, errors } = await finish(child)
  expect({ code, errors }).toEqual({ code: 1, errors: [] })
})
