import { join } from "node:path"
import { afterAll, beforeAll, describe, test } from "vitest"
import { CommandLine } from "../helpers/cli.ts"
import { PAIR } from "../helpers/cli-files.ts"
import { writeVectorFiles } from "../helpers/cli-vector-files.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"

const cli = new CommandLine()
const bridge = join(tinyTalkFolder, "pairs", "bridge.jsonl")
const saes = join(CommandLine.root, "models/tiny-talk-sae")
const IDS = ["--ids", "4080,40,325"]

beforeAll(() => writeVectorFiles(cli))

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
    [
      "a file of another format",
      ["train", bridge, "--out", "x.txt"],
      "--out x.txt: expected a name that ends in .safetensors or",
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
