import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { CommandLine, type Done } from "../helpers/cli.ts"
import { PAIR, writeCliFiles } from "../helpers/cli-files.ts"

const cli = new CommandLine()
const redline = (...args: string[]): Promise<Done> => cli.run(...args)

beforeAll(() => writeCliFiles(cli))

afterAll(() => cli.remove())

describe("bad input is one line and exit code 2, and leaves nothing behind", () => {
  const score = ["score", "--ids", "1,2"]
  test.each<[string, string[], string]>([
    ["no command", [], "command: expected one of find, generate, .*, info, found nothing"],
    ["an unknown command", ["fnd"], "command: .*did you mean find\\?"],
    ["a word near no command", ["chat"], "command: .*found «chat»; «redline --help» says more$"],
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
    ["a vector without a prompt", ["find", "--vector", "good.safetensors"], "--vector: expected --prompt or --prompts beside it"],
    [
      "a model beside the demo's",
      ["find", "--demo", "--model", "x"],
      "--demo: expected no --model beside it.*; leave --model out",
    ],
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
    ["an unknown metric", ["find", ...PAIR, "--metric", "bleu"], "--metric: expected nll, vocab.*found «bleu»$"],
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
    [
      "another way to multiply",
      ["info", "--matmul", "fast"],
      "--matmul: expected auto, f32, matrix or matrix-exact, found «fast»; choose one of them",
    ],
    [
      "an adapter that is not there",
      ["generate", "--prompt", "x", "--adapter", "no such card"],
      "--adapter: expected an adapter whose name holds «no such card», found «.+»; take one of them or leave --adapter out",
    ],
    [
      "more positions than the context",
      ["info", "--positions", "1000000"],
      "--positions: expected at most 2048, the context of tiny-talk, found 1000000",
    ],
    [
      "no run to report",
      ["report", "."],
      "\\.: expected a run's folder.*; make one with redline find --out or redline study --out",
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
    [
      "a folder below a file",
      ["find", ...PAIR, "--out", "a-file/deep/down"],
      "--out a-file/deep/down: expected a folder to write to, found .*/a-file, a file; name another",
    ],
    [
      "a folder where nothing can be written",
      ["find", ...PAIR, "--out", "/proc/x"],
      "--out /proc/x: expected a folder to write to, found /proc, a folder that takes no file",
    ],
    ["a new folder for a run that fails", ["find", ...PAIR, "--out", "new/folder", "--layers", "9"], "--layers: .*found 9"],
  ])("%s", async (_name, args, message) => {
    await cli.expectBadInput(args, message)
  })
})

test.each<[string, string[], RegExp]>([
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
