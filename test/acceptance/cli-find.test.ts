import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { CommandLine } from "../helpers/cli.ts"
import { modelWith, PAIR } from "../helpers/cli-files.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"
import { makeCheckpoint, writeCheckpoint } from "../reference/checkpoint.ts"

const cli = new CommandLine()
afterAll(() => cli.remove())

const SEARCH = ["find", ...PAIR, "--layers", "3-4", "--tokens", "8", "--coefficients", "0.5", "--prompt", "These days, I"]

/** The texts at every coefficient. */
async function texts(...more: string[]): Promise<unknown[]> {
  return textsOf((await cli.json(...SEARCH, ...more))["curve"])
}

function textsOf(curve: unknown): unknown[] {
  return (curve as { completions: { text: string }[] }[]).map(({ completions }) => completions.map(({ text }) => text))
}

describe("--temperature and --seed", () => {
  test("a seed draws the same texts again, another seed others", async () => {
    const [one, again, other] = [
      await texts("--temperature", "1", "--seed", "1"),
      await texts("--temperature", "1", "--seed", "1"),
      await texts("--temperature", "1", "--seed", "2"),
    ]
    expect(again).toEqual(one)
    for (const [i, text] of (other as unknown[]).entries()) expect(text).not.toEqual(one[i])
  })

  test("they are settings of the run; at temperature 0 a seed changes no text", async () => {
    const document = await cli.json(...SEARCH, "--temperature", "0.5", "--seed", "7")
    expect(document["settings"]).toMatchObject({ temperature: 0.5, seed: 7 })
    expect(await texts("--seed", "7")).toEqual(await texts())
  })

  test.each([
    [["--temperature", "-1"], "--temperature: expected a number of at least 0, found «-1»"],
    [["--temperature", "warm"], "--temperature: expected a number of at least 0, found «warm»"],
    [["--seed", "1.5"], "--seed: expected a whole number of at least 0, found «1.5»"],
  ])("%j is refused", async (more, message) => {
    await cli.expectBadInput([...SEARCH, ...more], message)
  })
})

describe("an evaluator that cannot judge is refused, and no run is begun", () => {
  beforeAll(async () => {
    await writeCheckpoint(cli.at("small"), makeCheckpoint({ seed: 1, layers: 1 }))
    modelWith(cli, "renamed", { "tokenizer.json": swapped(read("tokenizer.json"), "Ġbridge", "Ġdog") })
    modelWith(cli, "short", { "config.json": JSON.stringify({ ...JSON.parse(read("config.json")), max_position_embeddings: 8 }) })
  })

  test.each([
    ["no folder", "nowhere", "nowhere: expected a folder, found no such file or folder"],
    [
      "another vocabulary",
      "small",
      "evaluator small: expected the tokens of tiny-talk.*, found 519 of them instead of 4096; give a",
    ],
    [
      "other tokens",
      "renamed",
      "evaluator renamed: expected the tokens of tiny-talk.*, found Ġ(bridge|dog) instead of Ġ(bridge|dog) as",
    ],
    ["too short a context", "short", "evaluator short: expected a context of 14 tokens, found 8; shorten"],
  ])("%s", async (_name, evaluator, message) => {
    await cli.expectBadInput([...SEARCH, "--evaluator", evaluator, "--out", "run"], message)
  })

  test("a model without a tokenizer judges by ids", async () => {
    modelWith(cli, "no-tokenizer", { "tokenizer.json": null, "tokenizer_config.json": null })
    const { curve, evaluator } = await cli.json(...SEARCH, "--evaluator", "no-tokenizer")
    expect(textsOf(curve)).toEqual(await texts())
    expect(evaluator).toMatchObject({ name: "no-tokenizer", path: "no-tokenizer", layers: 6 })
  })
})

function read(file: string): string {
  return readFileSync(join(tinyTalkFolder, file), "utf8")
}

/** The tokenizer.json with two tokens that have each other's ids. */
function swapped(tokenizer: string, a: string, b: string): string {
  const parsed = JSON.parse(tokenizer) as { model: { vocab: Record<string, number> } }
  const { vocab } = parsed.model
  const [idOfA, idOfB] = [vocab[a] as number, vocab[b] as number]
  expect([idOfA, idOfB]).toEqual([expect.any(Number), expect.any(Number)])
  Object.assign(vocab, { [a]: idOfB, [b]: idOfA })
  return JSON.stringify(parsed)
}
