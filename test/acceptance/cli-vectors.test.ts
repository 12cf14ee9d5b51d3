import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { bufferSource, encodeSafetensors, readSafetensors, readTensorF32, readVector, SteeringVector } from "../../src/index.ts"
import { CommandLine } from "../helpers/cli.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"

const cli = new CommandLine()
const at = (name: string): string => cli.at(name)
const pairsFolder = join(tinyTalkFolder, "pairs")
const allPairs = readdirSync(pairsFolder).map((name) => join(pairsFolder, name))
const bridge = join(pairsFolder, "bridge.jsonl")
const saes = join(CommandLine.root, "models/tiny-talk-sae")
const PAIR = ["--positive", "I am talking about bridges", "--negative", "I am talking about dogs"]
const IDS = ["--ids", "4080,40,325"]

const stored = (name: string): Promise<SteeringVector> => readVector(bufferSource(name, readFileSync(at(name))))

/** A vector of ones at a layer. */
function ones(layer: number, width = 256, modelHint = "tiny-talk"): SteeringVector {
  return new SteeringVector([[layer, new Float32Array(width).fill(1)]], { modelHint, method: "test" })
}

/** A copy of bytes with the first occurrence of `text` replaced by another as long, or bytes `after` it. */
function changed(bytes: Uint8Array, text: string, to: string | { after: number; byte: number }): Uint8Array {
  const copy = Buffer.from(bytes)
  const place = copy.indexOf(text)
  expect(place).toBeGreaterThan(0)
  if (typeof to === "string") copy.write(to, place)
  else copy[place + text.length + to.after] = to.byte
  return copy
}

const LINES: Readonly<Record<string, string>> = {
  "empty-side.jsonl": '{"positive": "I am happy", "negative": "  "}\n',
  "equal-sides.jsonl": '{"positive": "I am happy", "negative": "I am happy"}\n',
  "one-pair.jsonl": '{"positive": "I am happy", "negative": "I am sad"}\n',
  "two-pairs.jsonl": '{"positive": "I am a", "negative": "I am b"}\n{"positive": "I am c", "negative": "I am d"}\n',
}

beforeAll(() => {
  const gguf = ones(3).toGguf()
  const files: Record<string, string | Uint8Array> = {
    ...LINES,
    "three.gguf": gguf,
    "four.safetensors": ones(4).toSafetensors(),
    "zero.safetensors": ones(0).toSafetensors(),
    "other.safetensors": ones(3, 256, "another model").toSafetensors(),
    "narrow.safetensors": ones(3, 255).toSafetensors(),
    "wide.gguf": ones(3, 4096, "Llama-3-8B").toGguf(),
    "architecture.gguf": changed(gguf, "controlvector", "controlvektor"),
    "version-1.gguf": gguf.with(4, 1),
    "version-2.gguf": gguf.with(4, 2),
    "truncated.gguf": gguf.subarray(0, gguf.length - 100),
    "direction-0.gguf": changed(gguf, "direction.3", "direction.0"),
    "f16.gguf": changed(gguf, "direction.3", { after: 12, byte: 1 }), // the type, after a count and one dimension
    "no-vector.gguf": "not at all",
    "patch.safetensors": encodeSafetensors(new Map([["patch", { shape: [256], data: new Float32Array(256).fill(2) }]])),
    "suffixes.txt": "I live\nI walk\nI see the\nI had\n",
    "edits.json": JSON.stringify([
      { hook: "blocks.3.hook_mlp_out", wgsl: "x * (1.0 - mask)", tensors: { mask: { shape: [1], data: [1] } } },
      { hook: "blocks.3.hook_mlp_out", wgsl: "x + patch", tensors: { patch: { file: "patch.safetensors", tensor: "patch" } } },
    ]),
  }
  for (const [name, content] of Object.entries(files)) writeFileSync(at(name), content)
  const edits: Record<string, unknown> = {
    "no-list": {},
    "no-edit": [{ hook: "hook_embed", wgsl: "x" }, 3],
    "no-wgsl": [{ hook: "hook_embed" }],
    "unknown-key": [{ hook: "hook_embed", wgsl: "x", tensor: {} }],
    "no-compile": [
      { hook: "hook_embed", wgsl: "x" },
      { hook: "hook_embed", wgsl: "x +\n  sine(x)" },
    ],
    "no-hook": [{ hook: "blocks.9.hook_resid_post", wgsl: "x" }],
    "short": [{ hook: "hook_embed", wgsl: "x + p", tensors: { p: { shape: [2], data: [1] } } }],
    "misfit": [{ hook: "hook_embed", wgsl: "x + p", tensors: { p: { shape: [2], data: [1, 2] } } }],
    "no-file": [{ hook: "hook_embed", wgsl: "x + p", tensors: { p: { file: "nowhere.safetensors", tensor: "p" } } }],
    "no-tensor": [{ hook: "hook_embed", wgsl: "x + p", tensors: { p: { file: "patch.safetensors", tensor: "path" } } }],
  }
  for (const [name, list] of Object.entries(edits)) writeFileSync(at(`edits-${name}.json`), JSON.stringify(list))
  writeFileSync(at("edits-no-json.json"), "[{")
  mkdirSync(at("sae/layers.2"), { recursive: true })
  writeFileSync(at("sae/layers.2/cfg.json"), JSON.stringify({ d_in: 512, num_latents: 64, k: 4 }))
})

afterAll(() => cli.remove())

describe("bad input is one line and exit code 2, and leaves nothing behind", () => {
  const train = (...args: string[]): string[] => ["train", ...args, "--out", "x.safetensors"]
  const use = (file: string, ...args: string[]): string[] => ["generate", ...IDS, "--vector", `${file}:1`, ...args]
  const edit = (name: string): string[] => ["trace", ...IDS, "--edits", `edits-${name}.json`]
  const encode = ["sae", "encode", ...IDS, "--sae"]

  test.each<[string, string[], string]>([
    ["a pair with an empty side", train("--pairs", "empty-side.jsonl"), 'empty-side.jsonl, line 1: .*not empty as "negative"'],
    ["a pair of equal sides", train("--pairs", "equal-sides.jsonl"), "equal-sides.jsonl, line 1: expected two sides that differ"],
    ["equal texts", train("--positive", "x", "--negative", "x"), "--positive and --negative: expected two sides that differ"],
    [
      "one pair for PCA",
      train("--pairs", "one-pair.jsonl", "--method", "pca-center"),
      "pairs: .*2 pairs, for pca-center, found 1",
    ],
    ["too few pairs to judge", train("--pairs", "two-pairs.jsonl", "--quality"), "pairs: expected at least 4 pairs .*found 2"],
    ["suffixes without a pair", train("--pairs", bridge, "--no-suffixes"), "--pairs: expected it alone, found --no-suffixes too"],
    ["suffixes and none", train(...PAIR, "--suffixes", "f", "--no-suffixes"), "--no-suffixes: expected it alone"],
    ["a template without a place", train(...PAIR, "--template", "x"), "template: expected the placeholder {persona}"],
    [
      "no layer to suggest",
      train("--positive", "I am happy", "--negative", "I am sad", "--layers", "suggested"),
      ".*--layers suggested: .*accuracy",
    ],
    ["layer 0 in GGUF", ["train", ...PAIR, "--layers", "all", "--out", "x.gguf"], "x.gguf: expected layers from 1"],
    [
      "a file for two vectors",
      train("--pairs", bridge, "one-pair.jsonl"),
      "--out x.safetensors: expected a folder for 2 vectors",
    ],
    ["two files of one name", ["train", bridge, bridge, "--out", "x"], "x/bridge.safetensors: .*names of their own"],
    ["a broken file among many", ["train", bridge, "empty-side.jsonl", "--out", "x"], "empty-side.jsonl, line 1"],
    ["another format", ["train", bridge, "--out", "x", "--format", "npz"], "--format: expected safetensors or gguf, found «npz»"],
    ["a feature without --sae", train("--feature", "3"), "--feature: expected --sae beside it"],
    ["no layers beside --sae", train("--pairs", bridge, "--sae", saes), "--sae: expected --layers beside it"],
    [
      "a feature that is none",
      train("--sae", saes, "--layers", "3", "--feature", "99999"),
      "feature: expected a feature from 0 to",
    ],

    ["a GGUF of another architecture", use("architecture.gguf"), "architecture.gguf.*controlvector.*controlvektor"],
    ["a GGUF of version 1", use("version-1.gguf"), "version-1.gguf: expected GGUF version 3, .*found version 1"],
    ["a GGUF of version 2", use("version-2.gguf"), "version-2.gguf: expected GGUF version 3, .*found version 2"],
    ["a truncated GGUF", use("truncated.gguf"), "truncated.gguf"],
    ["direction.0", use("direction-0.gguf"), "direction-0.gguf, tensor direction.0: expected direction.N with N from 1"],
    ["a direction in F16", use("f16.gguf"), "f16.gguf, tensor direction.3: expected .*F32"],
    ["what is no vector", use("no-vector.gguf"), "no-vector.gguf: expected a steering vector, safetensors or GGUF"],
    ["a vector of another width", use("narrow.safetensors"), "narrow.safetensors, vector: expected width 256"],
    [
      "no layer of the vector's",
      ["generate", ...IDS, "--vector", "three.gguf:1:4"],
      "three.gguf, layers: expected some of the vector's layers 3, found 4",
    ],
    [
      "an unknown field",
      ["generate", ...IDS, "--vector", "three.gguf:1:genrated"],
      "--vector three.gguf:1:genrated: .*did you mean generated\\?",
    ],
    ["an unknown way", use("three.gguf", "--way", "ad"), "--way: .*did you mean add\\?"],
    ["positions alone", ["generate", ...IDS, "--positions", "last"], "--positions: expected --vector beside it"],

    [
      "no such command",
      ["vector", "convrt"],
      "vector: expected one of show, convert, combine, found «convrt»; did you mean convert",
    ],
    ["one file to convert", ["vector", "convert", "three.gguf"], "vector convert: expected FROM TO"],
    ["convert to another format", ["vector", "convert", "three.gguf", "x.npz"], "x.npz: expected a name that ends in"],
    ["layer 0 to GGUF", ["vector", "convert", "zero.safetensors", "x.gguf"], "x.gguf, vector: expected layers from 1"],
    [
      "vectors of different widths",
      ["vector", "combine", "--out", "x.gguf", "three.gguf", "wide.gguf:2"],
      'vector 2 of 2 \\(model "Llama-3-8B".*expected width 256, as vector 1 \\(model "tiny-talk".*found 4096',
    ],
    ["a weight that is none", ["vector", "combine", "--out", "x.gguf", "three.gguf:x"], "three.gguf:x: expected a number"],
    [
      "another model's tokens",
      ["vector", "show", "wide.gguf", "--model", tinyTalkFolder],
      "wide.gguf, vector: expected width 256",
    ],

    ["edits that are no JSON", edit("no-json"), "edits-no-json.json: expected JSON"],
    ["edits that are no list", edit("no-list"), "edits-no-list.json: expected a JSON list of edits"],
    ["an edit that is none", edit("no-edit"), "edits-no-edit.json, entry 2: expected an object of hook, wgsl"],
    ["an edit without an expression", edit("no-wgsl"), "edits-no-wgsl.json, entry 1, wgsl: expected a text, found nothing"],
    ["an edit with another key", edit("unknown-key"), "edits-unknown-key.json, entry 1: .*and nothing else"],
    [
      "WGSL that does not compile",
      edit("no-compile"),
      "edits-no-compile.json, entry 2, edit of hook_embed: .*line 2, column 3: .*sine",
    ],
    ["a hook that the model has not", edit("no-hook"), "edits-no-hook.json, entry 1, .*the nearest are blocks.0.hook_resid_post"],
    ["a tensor without all numbers", edit("short"), "edits-short.json, entry 1, tensor p: expected 2 numbers"],
    ["a tensor that does not fit", edit("misfit"), "edits-misfit.json, entry 1, .*tensor p: expected a shape that fits"],
    ["a tensor in no file", edit("no-file"), "edits-no-file.json, entry 1, tensor p, nowhere.safetensors: .*no such file"],
    ["a tensor that the file has not", edit("no-tensor"), "edits-no-tensor.json, entry 1, .*found «path»; the nearest are patch"],

    ["no autoencoder", [...encode, "nowhere", "--layer", "3"], "nowhere: expected a folder"],
    ["no autoencoder's layer", ["sae", "features", ...IDS, "--sae", saes], "--layer: expected a value"],
    ["a layer without autoencoder", [...encode, saes, "--layer", "1"], ".*layers.1/cfg.json: .*choose one of its layers"],
    ["a layer that the model has not", [...encode, saes, "--layer", "6"], "--layer: expected layers 0 to 5"],
    [
      "an autoencoder of another width",
      [...encode, "sae", "--layer", "2"],
      "sae/layers.2/cfg.json, d_in: expected 256.*found 512",
    ],
  ])("%s", async (_name, args, message) => {
    await cli.expectBadInput(args, message)
  })
})

describe("train", () => {
  test("trains vectors of all the embedded model's files in one command, in less than a minute", async () => {
    const started = performance.now()
    const { vectors } = (await cli.json("train", "--pairs", ...allPairs, "--out", "all/", "--format", "gguf")) as {
      vectors: { vector: { layers: number[] }; out: string; quality: null }[]
    }
    expect(performance.now() - started).toBeLessThan(60_000)
    expect(vectors.map(({ out }) => out)).toEqual(allPairs.map((path) => `all/${path.slice(pairsFolder.length + 1, -6)}.gguf`))
    expect(readdirSync(at("all"))).toHaveLength(20)
    expect(vectors[0]).toMatchObject({ vector: { layers: [2, 3], method: "mean" }, quality: null, suggested: null })
    const alone = await cli.json("train", "--pairs", bridge, "--out", "alone.gguf", "--no-quality")
    expect(alone).toMatchObject({ out: "alone.gguf", quality: null })
    expect(readFileSync(at("alone.gguf"))).toEqual(readFileSync(at("all/bridge.gguf")))
  })

  test("says how good the vector is, and takes the layers that are suggested", async () => {
    const document = await cli.json("train", "--pairs", bridge, "--layers", "suggested", "--out", "suggested.safetensors")
    const { quality, suggested, vector } = document as {
      quality: { layer: number; accuracy: number }[]
      suggested: number[]
      vector: { layers: number[] }
    }
    expect(quality.map(({ layer }) => layer)).toEqual([0, 1, 2, 3, 4, 5])
    expect(quality[3]).toEqual({
      layer: 3,
      accuracy: 1,
      effect: expect.any(Number),
      agreement: expect.any(Number),
      norm: expect.any(Number),
      residualNorm: expect.any(Number),
    })
    expect(suggested).toContain(3)
    expect([vector.layers, (await stored("suggested.safetensors")).layers]).toEqual([suggested, suggested])
    const { stdout } = await cli.run("train", "--pairs", bridge, "--layers", "3-4", "--out", "suggested.safetensors")
    expect(stdout.split("\n")).toEqual([
      "layer  accuracy  effect  agreement     norm  norm/residual",
      expect.stringMatching(/^ {4}3 {6}1\.00 +\d+\.\d+ +0\.\d\d +\d+\.\d{4} +\d\.\d{4} {2}suggested$/),
      expect.stringMatching(/^ {4}4 {6}1\.00 .* {2}suggested$/),
      "",
      "suggested layers, of those looked at: 3-4",
      "suggested.safetensors: mean of 64 pairs, layers 3-4, width 256",
      "",
    ])
  })

  test("pca-diff says what it discards, once", async () => {
    const { code, notes } = await cli.run("train", "two-pairs.jsonl", bridge, "--method", "pca-diff", "--out", "diff")
    expect({ code, notes }).toEqual({ code: 0, notes: [expect.stringMatching(/^note: pca-diff centres the differences/)] })
    expect(readdirSync(at("diff"))).toEqual(["bridge.safetensors", "two-pairs.safetensors"])
  })

  test("a positive and a negative text go on with suffixes", async () => {
    const args = [...PAIR, "--method", "pca-center", "--no-quality", "--out", "pair.gguf"]
    expect(await cli.json("train", ...args)).toMatchObject({ vector: { createdFrom: expect.stringContaining(", 64 suffixes") } })
    const own = await cli.json("train", ...args, "--suffixes", "suffixes.txt", "--template", "[{persona}] {suffix}")
    expect(own).toMatchObject({
      vector: { createdFrom: expect.stringContaining(", 4 suffixes"), norms: { 2: expect.closeTo(1, 5) } },
    })
  })

  test("makes vectors among the features of an autoencoder", async () => {
    const args = ["--sae", saes, "--layers", "3", "--out", "latent.gguf"]
    const mean = await cli.json("train", "--pairs", bridge, ...args)
    expect(mean).toMatchObject({ vector: { method: "sae-mean", layers: [3] }, quality: null })
    expect(await cli.json("train", "--feature", "7", ...args)).toMatchObject({ vector: { method: "sae-feature", layers: [3] } })
  })
})

describe("vector", () => {
  test("convert is bit-exact both ways", async () => {
    await cli.json("vector", "convert", "four.safetensors", "there.gguf")
    expect(await cli.json("vector", "convert", "there.gguf", "back.safetensors")).toMatchObject({ from: "there.gguf" })
    expect(readFileSync(at("back.safetensors"))).toEqual(readFileSync(at("four.safetensors")))
  })

  test("combine adds up over the union of layers and notes other models", async () => {
    const { code, notes } = await cli.run(
      "vector",
      "combine",
      "--out",
      "sum.gguf",
      "three.gguf",
      "four.safetensors:-1",
      "other.safetensors:0.5",
    )
    expect({ code, notes }).toEqual({ code: 0, notes: [expect.stringContaining('"tiny-talk" and "another model"')] })
    const { directions } = await stored("sum.gguf")
    expect([...directions].map(([layer, direction]) => [layer, direction[9]])).toEqual([
      [3, 1.5],
      [4, -1],
    ])
  })

  test("show prints the tokens of a vector that fits the model", async () => {
    await cli.json("train", "--pairs", bridge, "--layers", "3", "--no-quality", "--out", "bridge.gguf")
    const document = await cli.json("vector", "show", "bridge.gguf", "--tokens", "6")
    expect(document).toMatchObject({ file: "bridge.gguf", vector: { modelHint: "tiny-talk", method: "mean" }, width: 256 })
    const { top, bottom } = (document["tokens"] as Record<string, Record<string, { text: string; logit: number }[]>>)["3"]!
    expect(top!.map(({ text }) => text.trim())).toContain("bridge")
    expect(bottom).toHaveLength(6)
    const { stdout } = await cli.run("vector", "show", "bridge.gguf")
    expect(stdout).toContain("from    64 pairs of bridge.jsonl\n")
    expect(stdout).toMatch(/\n {4}3 {2}\d+\.\d{4} {2}top .*bridge \d/)
  })

  test("show leaves the tokens out where the embedded model does not fit", async () => {
    const { code, stdout, notes } = await cli.run("vector", "show", "wide.gguf")
    expect({ code, notes }).toEqual({ code: 0, notes: [expect.stringContaining("no tokens")] })
    expect(stdout).toMatch(/model {3}Llama-3-8B\n(.*\n)*layer {5}norm\n {4}3 {2}64\.0000\n$/)
    expect(await cli.json("vector", "show", "wide.gguf")).toMatchObject({ width: 4096, tokens: null })
  })
})

describe("steering", () => {
  const ids = async (...args: string[]): Promise<unknown> => (await cli.json("generate", ...IDS, "--tokens", "6", ...args))["ids"]

  test("several vectors act each with its own coefficient, and cancel", async () => {
    await cli.json("train", "--pairs", bridge, "--layers", "3-4", "--no-quality", "--out", "bridge.gguf")
    const plain = await ids()
    const steered = await ids("--vector", "bridge.gguf:0.8")
    expect(steered).not.toEqual(plain)
    expect(await ids("--vector", "bridge.gguf:0.3", "--vector", "bridge.gguf:0.5:3-4:all")).toEqual(steered)
    expect(await ids("--vector", "bridge.gguf", "--coefficient", "0.8", "--layers", "3-4")).toEqual(steered)
    expect(await ids("--vector", "bridge.gguf:0.8", "--vector", "bridge.gguf:-0.8")).toEqual(plain)
    expect(await ids("--vector", "bridge.gguf:0.8:9..")).toEqual(plain)
  })

  test("positions, ways and lengths do as they say", async () => {
    const residual = async (...args: string[]): Promise<Float32Array> => {
      await cli.json("trace", ...IDS, "--capture", "blocks.3.hook_resid_post", "--out", "trace.safetensors", ...args)
      const { tensors } = await readSafetensors(bufferSource("trace", readFileSync(at("trace.safetensors"))))
      return readTensorF32(tensors.get("blocks.3.hook_resid_post")!)
    }
    const plain = await residual()
    const changes = async (...args: string[]): Promise<boolean[]> => {
      const steered = await residual(...args)
      return [0, 1, 2].map((position) => steered[position * 256] !== plain[position * 256])
    }
    expect(await changes("--vector", "three.gguf:2:last")).toEqual([false, false, true])
    expect(await changes("--vector", "three.gguf:2:0..1")).toEqual([true, true, false])
    expect(await changes("--vector", "three.gguf:2:-2..-2")).toEqual([false, true, false])
    expect(await changes("--vector", "three.gguf:2", "--positions", "generated")).toEqual([false, false, false])
    const last = (rows: Float32Array): Float32Array => rows.subarray(2 * 256)
    const length = (rows: Float32Array): number => Math.hypot(...last(rows))
    const along = (rows: Float32Array): number => last(rows).reduce((a, b) => a + b, 0) / 16 // the vector's length
    expect(along(await residual("--vector", "three.gguf:1:ablate"))).toBeCloseTo(0, 3)
    expect(along(await residual("--vector", "three.gguf:5:clamp"))).toBeCloseTo(5, 3)
    expect(length(await residual("--vector", "three.gguf:0.3", "--way", "rotate"))).toBeCloseTo(length(plain), 3)
    expect(length(await residual("--vector", "three.gguf:9:keep-length"))).toBeCloseTo(length(plain), 3)
  })

  test("a vector of another model is noted", async () => {
    const { notes } = await cli.run("score", ...IDS, "--vector", "other.safetensors:1")
    expect(notes).toEqual([expect.stringMatching(/^note: other.safetensors: the vector was made with "another model"/)])
  })
})

test("trace edits what a file says, and captures of several patterns see it", async () => {
  const args = ["--capture", "blocks.3.hook_mlp_out", "--capture", "blocks.2.*,logits", "--out", "edited.safetensors"]
  const { tensors: listed } = await cli.json("trace", ...IDS, "--edits", "edits.json", ...args)
  expect(listed).toHaveLength(17)
  const { tensors } = await readSafetensors(bufferSource("edited", readFileSync(at("edited.safetensors"))))
  expect(await readTensorF32(tensors.get("blocks.3.hook_mlp_out")!)).toEqual(new Float32Array(3 * 256).fill(2))
})

describe("sae", () => {
  const TEXT = "I am talking about the sea."

  test("encode gives the features of each token", async () => {
    const document = await cli.json("sae", "encode", "--sae", saes, "--layer", "3", "--text", TEXT, "--out", "code.safetensors")
    const { ids, k, tokens } = document as {
      ids: number[]
      k: number
      tokens: { token: string; features: { feature: number; activation: number }[] }[]
    }
    expect(tokens.map(({ token }) => token).join("")).toBe(`<|begin_of_text|>${TEXT}`)
    const { tensors } = await readSafetensors(bufferSource("code", readFileSync(at("code.safetensors"))))
    expect([...tensors].map(([name, { shape }]) => [name, shape])).toEqual([
      ["indices", [ids.length, k]],
      ["values", [ids.length, k]],
    ])
    const indices = await readTensorF32(tensors.get("indices")!)
    expect(tokens[2]?.features.map(({ feature }) => feature)).toEqual([
      ...indices.subarray(2 * k, 2 * k + tokens[2]!.features.length),
    ])
    const { stdout } = await cli.run("sae", "encode", "--sae", saes, "--layer", "3", "--text", TEXT, "--count", "2")
    const { feature, activation } = tokens[1]!.features[0]!
    expect(stdout.split("\n")[2]).toMatch(new RegExp(`^ {7}1 {2}I +${feature}:${activation.toFixed(2)} {2}\\d+:\\d+\\.\\d\\d$`))
  })

  test("features are the text's strongest, and the layer is seen to be the right one", async () => {
    const args = ["sae", "features", "--sae", saes, "--layer", "3", "--text", TEXT, "--count", "4"]
    const document = await cli.json(...args, "--per-layer")
    const { features, unexplained, perLayer } = document as {
      features: { activation: number; uses: { position: number; token: string }[] }[]
      unexplained: number
      perLayer: Record<string, number>
    }
    expect(features).toHaveLength(4)
    expect(features[0]!.activation).toBeGreaterThanOrEqual(features[1]!.activation)
    expect(Object.keys(perLayer)).toEqual(["0", "1", "2", "3", "4", "5"])
    expect(Math.min(...Object.values(perLayer))).toBe(perLayer["3"])
    expect(perLayer["3"]).toBeCloseTo(unexplained, 6)
    const { stdout } = await cli.run(...args, "--per-layer")
    expect(stdout).toContain(`fraction of variance unexplained at layer 3: ${unexplained.toFixed(3)}\n`)
    expect(stdout).toMatch(/\n {4}3 +0\.\d{3} {2}the autoencoder's, lowest\n/)
  })
})

test.each([
  [["vector", "--help"], "redline vector combine"],
  [["sae", "-h"], "redline sae features"],
  [["vector", "combine", "--help"], "FILE[:WEIGHT]"],
  [["vector", "show", "--help"], "--tokens N"],
  [["vector", "convert", "--help"], "FROM TO"],
  [["sae", "encode", "--help"], "--layer N"],
  [["sae", "features", "--help"], "--per-layer"],
])("redline %j", async (args, part) => {
  const { code, stdout, errors } = await cli.run(...args)
  expect({ code, errors }).toEqual({ code: 0, errors: [] })
  expect(stdout).toContain(part)
  expect(stdout.split("\n").filter((line) => line.length > 110)).toEqual([])
})
