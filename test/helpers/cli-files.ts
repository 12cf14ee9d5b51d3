import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SteeringVector } from "../../src/index.ts"
import type { CommandLine } from "./cli.ts"
import { tinyTalkFolder } from "./fixtures.ts"

/** A pair of texts, which makes a vector in a moment. */
export const PAIR: readonly string[] = ["--positive", "I am talking about bridges", "--negative", "I am talking about dogs"]

/** Writes models, vectors, prompts and pairs, good and bad ones, into the command line's scratch folder. */
export function writeCliFiles(cli: CommandLine): void {
  const weights = readFileSync(join(tinyTalkFolder, "model.safetensors"))
  const config = JSON.parse(readFileSync(join(tinyTalkFolder, "config.json"), "utf8")) as object
  const shard = { weight_map: { "model.norm.weight": "model-00001-of-00002.safetensors" } }
  modelWith(cli, "broken-tokenizer", { "tokenizer.json": '{"version": ' })
  modelWith(cli, "truncated", { "model.safetensors": weights.subarray(0, weights.length - 1000) })
  modelWith(cli, "other", {
    "config.json": JSON.stringify({ ...config, architectures: ["GPT2LMHeadModel"], model_type: "gpt2" }),
  })
  modelWith(cli, "no-shard", { "model.safetensors": null, "model.safetensors.index.json": JSON.stringify(shard) })
  modelWith(cli, "no-tokenizer", { "tokenizer.json": null, "tokenizer_config.json": null })
  const bad = Uint8Array.from(weights)
  bad.set([0xc0, 0x7f], bad.length - 2) // a BF16 NaN as the last weight of the file
  modelWith(cli, "nan", { "model.safetensors": bad })
  vectorFile(cli, "good.safetensors", 256, 3)
  vectorFile(cli, "narrow.safetensors", 255, 3)
  vectorFile(cli, "deep.safetensors", 256, 6)
  writeFileSync(cli.at("a-file"), "")
  writeFileSync(cli.at("prompts.txt"), "I am\n\nHello, everyone.\n")
  writeFileSync(cli.at("long.txt"), "word ".repeat(3000))
  writeFileSync(cli.at("pairs.jsonl"), '{"positive": "I am happy", "negative": "I am sad"}\n{"positive": "I am glad"}\n')
}

/** A copy of the embedded model with other files; `null` leaves one out. */
export function modelWith(cli: CommandLine, name: string, files: Readonly<Record<string, string | Uint8Array | null>>): string {
  mkdirSync(cli.at(name))
  for (const file of ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
    if (!(file in files)) symlinkSync(join(tinyTalkFolder, file), cli.at(`${name}/${file}`))
  }
  for (const [file, content] of Object.entries(files)) if (content !== null) writeFileSync(cli.at(`${name}/${file}`), content)
  return name
}

/** Writes a topic's first pairs into the scratch folder, as TOPIC.jsonl. */
export function writePairs(cli: CommandLine, topic: string, count: number): string {
  const lines = readFileSync(join(tinyTalkFolder, `pairs/${topic}.jsonl`), "utf8").split("\n")
  writeFileSync(cli.at(`${topic}.jsonl`), lines.slice(0, count).join("\n"))
  return `${topic}.jsonl`
}

function vectorFile(cli: CommandLine, name: string, width: number, layer: number): void {
  const vector = new SteeringVector([[layer, new Float32Array(width).fill(1)]], { modelHint: "test", method: "test" })
  writeFileSync(cli.at(name), vector.toSafetensors())
}
