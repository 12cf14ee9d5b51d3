import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { bufferSource, readSafetensors, readTensorF32, readVector, type SteeringVector } from "../../src/index.ts"
import { CommandLine } from "../helpers/cli.ts"
import { PAIR, writePairs } from "../helpers/cli-files.ts"
import { writeVectorFiles } from "../helpers/cli-vector-files.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"

const cli = new CommandLine()
const at = (name: string): string => cli.at(name)
const topics = ["anger", "bridge", "calm", "castle"]
const somePairs = topics.map((topic) => writePairs(cli, topic, 16))
const bridge = "bridge.jsonl"
const saes = join(CommandLine.root, "models/tiny-talk-sae")
const IDS = ["--ids", "4080,40,325"]

const stored = (name: string): Promise<SteeringVector> => readVector(bufferSource(name, readFileSync(at(name))))

beforeAll(() => writeVectorFiles(cli))

afterAll(() => cli.remove())

describe("train", () => {
  test("trains vectors of several files in one command, each as it would be alone", async () => {
    const { vectors } = (await cli.json("train", "--pairs", ...somePairs, "--out", "all/", "--format", "gguf")) as {
      vectors: { vector: { layers: number[] }; out: string; quality: null }[]
    }
    expect(vectors.map(({ out }) => out)).toEqual(topics.map((topic) => `all/${topic}.gguf`))
    expect(readdirSync(at("all"))).toHaveLength(somePairs.length)
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
      "suggested.safetensors: mean of 16 pairs, layers 3-4, width 256",
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

  test("convert takes some of the layers", async () => {
    const all = join(tinyTalkFolder, "vectors/calm.safetensors")
    await cli.json("vector", "convert", all, "calm.gguf", "--layers", "1-5")
    expect((await stored("calm.gguf")).layers).toEqual([1, 2, 3, 4, 5])
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
    expect(stdout).toContain("from    16 pairs of bridge.jsonl\n")
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
